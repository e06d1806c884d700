//! What tracing is asked for: the standard `OTEL_*` variables and our own, with arguments of `init_tracing` in their
//! place where there are any. A value that makes no sense is refused with what to check.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::sampling::Sampler;

/// How spans get to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, as protobuf.
    Http,
}

/// What the tail keeps besides failures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailSettings {
    /// Operations slower than this.
    pub slow: Option<Duration>,
    /// Operations slower than this share of all.
    pub quantile: Option<f64>,
    /// At most so many.
    pub per_second: u32,
    /// Also where the application decided against its trace.
    pub overrides_parent: bool,
}

/// Everything that exporting spans needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How.
    pub transport: Transport,
    /// Where: a URL, with its path for HTTP.
    pub endpoint: String,
    /// What is sent along.
    pub headers: Vec<(String, String)>,
    /// Whether requests are compressed with gzip.
    pub gzip: bool,
    /// How long one request may take.
    pub timeout: Duration,
    /// A file with the certificates to trust instead of the system's.
    pub certificate: Option<PathBuf>,
    /// What the service is called.
    pub service_name: String,
    /// What else is known of it.
    pub resource: Vec<(String, String)>,
    /// Decides at the head.
    pub sampler: Sampler,
    /// Decides at the tail.
    pub tail: Option<TailSettings>,
    /// Whether stages and nodes become spans, too.
    pub stages: bool,
    /// How many operations may wait.
    pub queue: usize,
    /// How many spans are sent at once, about.
    pub batch: usize,
    /// How long spans wait for more of them.
    pub delay: Duration,
    /// How long sending a batch may take, attempts included.
    pub export_timeout: Duration,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// Spans are to be exported.
    On(Box<Settings>),
    /// They are not; the variable that says so.
    Off(&'static str),
}

/// Arguments that stand for variables, for messages.
const ARGUMENTS: [(&str, &str); 17] = [
    ("endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ("protocol", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
    ("headers", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
    ("compression", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"),
    ("timeout_ms", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"),
    ("certificate", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"),
    ("service_name", "OTEL_SERVICE_NAME"),
    ("resource_attributes", "OTEL_RESOURCE_ATTRIBUTES"),
    ("sampler", "OTEL_TRACES_SAMPLER"),
    ("sampler_arg", "OTEL_TRACES_SAMPLER_ARG"),
    ("queue_size", "OTEL_BSP_MAX_QUEUE_SIZE"),
    ("batch_size", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
    ("schedule_delay_ms", "OTEL_BSP_SCHEDULE_DELAY"),
    ("export_timeout_ms", "OTEL_BSP_EXPORT_TIMEOUT"),
    ("slow_ms", "AEROSPIKE_PY_TRACE_SLOW_MS"),
    ("slow_percentile", "AEROSPIKE_PY_TRACE_SLOW_PERCENTILE"),
    ("per_second", "AEROSPIKE_PY_TRACE_PER_SECOND"),
];

/// Arguments without a variable.
const KEEP_FAILURES: &str = "failures";
const OVERRIDES_PARENT: &str = "override_parent";
const STAGE_SPANS: &str = "stage_spans";

/// How many operations the tail keeps in a second unless it is told otherwise.
const TAIL_PER_SECOND: u32 = 100;

/// Where values come from: arguments by name, and the environment.
pub struct Source<'a> {
    /// Arguments that were given.
    pub arguments: &'a HashMap<String, String>,
    /// Looks a variable up.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    /// The value of the first variable that has one, with what to call it in a message.
    fn find(&self, variables: &[&'static str]) -> Option<(String, String)> {
        let of_argument = ARGUMENTS.iter().find_map(|(argument, variable)| {
            let value = self.arguments.get(*argument)?;
            variables
                .contains(variable)
                .then(|| (value.clone(), format!("`{argument}`")))
        });
        of_argument.or_else(|| {
            variables.iter().find_map(|variable| {
                let value = (self.environment)(variable)?;
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
        self.arguments
            .get(argument)
            .is_some_and(|value| value == "true")
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

/// Works out what is asked for.
///
/// # Errors
/// Which value makes no sense, and what it should be.
pub fn resolve(source: &Source<'_>) -> Result<Asked, String> {
    let environment = |variable: &str| (source.environment)(variable).unwrap_or_default();
    if environment("OTEL_SDK_DISABLED")
        .trim()
        .eq_ignore_ascii_case("true")
    {
        return Ok(Asked::Off("OTEL_SDK_DISABLED"));
    }
    match environment("OTEL_TRACES_EXPORTER").trim() {
        "" | "otlp" => {}
        "none" => return Ok(Asked::Off("OTEL_TRACES_EXPORTER")),
        other => {
            return Err(format!(
                "OTEL_TRACES_EXPORTER must be \"otlp\" or \"none\", not {other:?}: this client exports over OTLP only"
            ))
        }
    }
    let transport = transport(source)?;
    let tail = tail(source)?;
    let resource = resource(source)?;
    let named = resource.iter().find(|(name, _)| name == "service.name");
    let service_name = source
        .find(&["OTEL_SERVICE_NAME"])
        .map(|(name, _)| name)
        .or_else(|| named.map(|(_, name)| name.clone()))
        .unwrap_or_else(|| "aerospike-py".to_owned());
    Ok(Asked::On(Box::new(Settings {
        transport,
        endpoint: endpoint(source, transport)?,
        headers: headers(source)?,
        gzip: gzip(source)?,
        timeout: source.millis(
            &[
                "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                "OTEL_EXPORTER_OTLP_TIMEOUT",
            ],
            10_000,
        )?,
        certificate: source
            .find(&[
                "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
            ])
            .map(|(path, _)| PathBuf::from(path)),
        service_name,
        resource,
        sampler: sampler(source, tail.is_some())?,
        tail,
        stages: source
            .arguments
            .get(STAGE_SPANS)
            .is_none_or(|value| value == "true"),
        queue: source.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)?.min(1 << 20) as usize,
        batch: source
            .number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?
            .min(1 << 16) as usize,
        delay: source.millis(&["OTEL_BSP_SCHEDULE_DELAY"], 5_000)?,
        export_timeout: source.millis(&["OTEL_BSP_EXPORT_TIMEOUT"], 30_000)?,
    })))
}

fn transport(source: &Source<'_>) -> Result<Transport, String> {
    let found = source.parsed(
        &[
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ],
        "\"grpc\" or \"http/protobuf\"",
        |value| match value {
            "grpc" => Some(Transport::Grpc),
            "http/protobuf" => Some(Transport::Http),
            _ => None,
        },
    )?;
    Ok(found.unwrap_or(Transport::Grpc))
}

fn endpoint(source: &Source<'_>, transport: Transport) -> Result<String, String> {
    let url = |value: &str| is_url(value).then(|| value.trim_end_matches('/').to_owned());
    let expected = "a URL like http://collector:4317 with the scheme http or https";
    if let Some(own) = source.parsed(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"], expected, url)? {
        return Ok(match transport {
            // An argument or variable for traces alone is used as it is; without any path, the standard one is meant.
            Transport::Http if !has_path(&own) => format!("{own}/v1/traces"),
            _ => own,
        });
    }
    let common = source.parsed(&["OTEL_EXPORTER_OTLP_ENDPOINT"], expected, url)?;
    Ok(match (transport, common) {
        (Transport::Grpc, Some(common)) => common,
        (Transport::Grpc, None) => "http://localhost:4317".to_owned(),
        (Transport::Http, Some(common)) => format!("{common}/v1/traces"),
        (Transport::Http, None) => "http://localhost:4318/v1/traces".to_owned(),
    })
}

fn is_url(value: &str) -> bool {
    let rest = value
        .strip_prefix("http://")
        .or_else(|| value.strip_prefix("https://"));
    let Some(rest) = rest else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let odd = |character: char| character.is_whitespace() || character.is_control();
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let good_port = port.is_none_or(|port| port.ends_with(']') || port.parse::<u16>().is_ok());
    !authority.is_empty() && !authority.starts_with(':') && good_port && !value.contains(odd)
}

fn has_path(url: &str) -> bool {
    url.split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'))
}

fn gzip(source: &Source<'_>) -> Result<bool, String> {
    let found = source.parsed(
        &[
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
        ],
        "\"gzip\" or \"none\"",
        |value| match value {
            "gzip" => Some(true),
            "none" => Some(false),
            _ => None,
        },
    )?;
    Ok(found.unwrap_or(false))
}

fn headers(source: &Source<'_>) -> Result<Vec<(String, String)>, String> {
    let found = source.parsed(
        &[
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ],
        "a list like name=value,other=value",
        pairs,
    )?;
    Ok(found.unwrap_or_default())
}

fn resource(source: &Source<'_>) -> Result<Vec<(String, String)>, String> {
    let found = source.parsed(
        &["OTEL_RESOURCE_ATTRIBUTES"],
        "a list like name=value,other=value",
        pairs,
    )?;
    Ok(found.unwrap_or_default())
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

fn sampler(source: &Source<'_>, has_tail: bool) -> Result<Sampler, String> {
    let share = |value: &str| {
        value
            .parse()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
    };
    let ratio = || {
        let found = source.parsed(&["OTEL_TRACES_SAMPLER_ARG"], "a number from 0 to 1", share)?;
        Ok::<_, String>(Sampler::Ratio(found.unwrap_or(1.0)))
    };
    let name = source.find(&["OTEL_TRACES_SAMPLER"]);
    match name.as_ref().map(|(value, _)| value.as_str()) {
        // Whoever names what the tail should keep does not want everything else as well.
        None if has_tail => Ok(Sampler::AlwaysOff),
        None | Some("always_on" | "parentbased_always_on") => Ok(Sampler::AlwaysOn),
        Some("always_off" | "parentbased_always_off") => Ok(Sampler::AlwaysOff),
        Some("traceidratio" | "parentbased_traceidratio") => ratio(),
        Some(other) => Err(format!(
            "{} must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off \
             and parentbased_traceidratio, not {other:?}",
            name.as_ref().map_or("", |(_, name)| name)
        )),
    }
}

fn tail(source: &Source<'_>) -> Result<Option<TailSettings>, String> {
    let slow = source.parsed(
        &["AEROSPIKE_PY_TRACE_SLOW_MS"],
        "a number of milliseconds above zero",
        |value| {
            let millis = value.parse::<f64>().ok()?;
            (millis > 0.0 && millis < 1e9).then(|| Duration::from_secs_f64(millis / 1e3))
        },
    )?;
    let quantile = source.parsed(
        &["AEROSPIKE_PY_TRACE_SLOW_PERCENTILE"],
        "a percentile from 50 to below 100, like 99 or p99",
        |value| {
            let number = value.strip_prefix('p').unwrap_or(value);
            let percentile = number.parse::<f64>().ok()?;
            (50.0..100.0)
                .contains(&percentile)
                .then_some(percentile / 100.0)
        },
    )?;
    let per_second = source.parsed(
        &["AEROSPIKE_PY_TRACE_PER_SECOND"],
        "a whole number above zero",
        |value| value.parse().ok().filter(|number| *number > 0),
    )?;
    let wanted = slow.is_some()
        || quantile.is_some()
        || per_second.is_some()
        || source.flag(KEEP_FAILURES)
        || source.flag(OVERRIDES_PARENT);
    Ok(wanted.then(|| TailSettings {
        slow,
        quantile,
        per_second: per_second.unwrap_or(TAIL_PER_SECOND),
        overrides_parent: source.flag(OVERRIDES_PARENT),
    }))
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
