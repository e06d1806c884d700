//! What exporting is asked for: the standard `OTEL_*` variables and our own, with arguments in their place where there
//! are any. A value that makes no sense is refused with what to check.
//!
//! Here is how values are found and read; what there is to ask for is in the modules below.

use std::collections::HashMap;
use std::time::Duration;

mod destination;
pub mod metrics;
pub mod traces;

pub use destination::{Destination, Transport};

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked<S> {
    /// Something is to be exported.
    On(Box<S>),
    /// Nothing is; the variable that says so.
    Off(&'static str),
}

/// Where values come from: arguments by name, and the environment.
pub struct Source<'a> {
    /// Arguments that were given.
    pub arguments: &'a HashMap<String, String>,
    /// Looks a variable up.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// A source, and the variables that its arguments stand for.
#[derive(Clone, Copy)]
struct Reader<'a> {
    source: &'a Source<'a>,
    named: &'static [(&'static str, &'static str)],
}

impl Reader<'_> {
    /// The value of the first variable that has one, with what to call it in a message.
    fn find(&self, variables: &[&'static str]) -> Option<(String, String)> {
        let of_argument = self.named.iter().find_map(|(argument, variable)| {
            let value = self.source.arguments.get(*argument)?;
            variables
                .contains(variable)
                .then(|| (value.clone(), format!("`{argument}`")))
        });
        of_argument.or_else(|| {
            variables.iter().find_map(|variable| {
                let value = (self.source.environment)(variable)?;
                let value = value.trim();
                (!value.is_empty()).then(|| (value.to_owned(), (*variable).to_owned()))
            })
        })
    }

    fn parsed<T>(
        &self,
        variables: &[&'static str],
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some((value, name)) = self.find(variables) else {
            return Ok(None);
        };
        match parse(value.trim()) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(format!("{name} must be {expected}, not {value:?}")),
        }
    }

    fn flag(&self, argument: &str) -> bool {
        self.flag_or(argument, false)
    }

    fn flag_or(&self, argument: &str, default: bool) -> bool {
        let given = self.source.arguments.get(argument);
        given.map_or(default, |value| value == "true")
    }

    fn number(&self, variable: &'static str, default: u64) -> Result<u64, String> {
        let positive = |value: &str| value.parse().ok().filter(|number| *number > 0);
        let found = self.parsed(&[variable], "a whole number above zero", positive)?;
        Ok(found.unwrap_or(default))
    }

    fn millis(&self, variables: &[&'static str], default: u64) -> Result<Duration, String> {
        let positive = |value: &str| value.parse().ok().filter(|number| *number > 0);
        let found = self.parsed(
            variables,
            "a whole number of milliseconds above zero",
            positive,
        )?;
        Ok(Duration::from_millis(found.unwrap_or(default)))
    }
}

/// The variable that says that nothing is exported, if one does. `exporter` names who exports the signal.
fn switched_off(
    source: &Source<'_>,
    exporter: &'static str,
) -> Result<Option<&'static str>, String> {
    let environment = |variable: &str| (source.environment)(variable).unwrap_or_default();
    let disabled = environment("OTEL_SDK_DISABLED");
    if disabled.trim().eq_ignore_ascii_case("true") {
        return Ok(Some("OTEL_SDK_DISABLED"));
    }
    match environment(exporter).trim() {
        "" | "otlp" => Ok(None),
        "none" => Ok(Some(exporter)),
        other => Err(format!(
            "{exporter} must be \"otlp\" or \"none\", not {other:?}: this client exports over OTLP only"
        )),
    }
}

/// `name=value,other=value`, values percent-encoded.
fn pairs(list: &str) -> Option<Vec<(String, String)>> {
    list.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = name.trim();
            (!name.is_empty()).then(|| (name.to_owned(), decoded(value.trim())))
        })
        .collect()
}

fn decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = value.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
