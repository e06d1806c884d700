//! Log records between the thread that made them and the thread that hands them to Python.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::queue::Queue;

/// So many records wait to be handed over; the rest is counted.
const CAPACITY: usize = 1024;
/// Longer messages are cut.
const LONGEST: usize = 4096;

static QUEUE: Queue<Record> = Queue::new(CAPACITY);

/// One log record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Python's name of the logger.
    pub logger: String,
    /// Python's number of the level.
    pub level: u32,
    pub message: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    /// Seconds since 1970.
    pub time: f64,
}

/// Leaves a record; whether there was room.
pub fn push(record: Record) -> bool {
    QUEUE.push(record)
}

/// The oldest record.
pub fn pop() -> Option<Record> {
    QUEUE.pop()
}

/// Whether nothing waits.
pub fn is_empty() -> bool {
    QUEUE.is_empty()
}

/// Records that there was no room for.
pub fn dropped() -> u64 {
    QUEUE.dropped()
}

/// Now, as Python's `logging` counts time.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// The logger for records of a target: below `aerospike_py`, with dots. This crate's own modules are not
/// told apart from the package.
pub fn logger_of(target: &str) -> String {
    const ROOT: &str = "aerospike_py";
    let dotted = target.replace("::", ".");
    let below = ["aerospike_py", "_aerospike"].iter().find_map(|own| {
        let rest = dotted.strip_prefix(own)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| rest.to_owned())
    });
    match below {
        Some(rest) => format!("{ROOT}{rest}"),
        None if dotted.is_empty() => ROOT.to_owned(),
        None => format!("{ROOT}.{dotted}"),
    }
}

/// A message that is cut while it is written.
#[derive(Default)]
pub struct Message(String);

impl Message {
    /// What was written.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = LONGEST.saturating_sub(self.0.len());
        let fits = (0..=room.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        self.0.push_str(&text[..fits.unwrap_or(0)]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn targets_become_loggers_below_one_root() {
        let names = [
            (
                "aerospike_core::cluster::node",
                "aerospike_py.aerospike_core.cluster.node",
            ),
            ("_aerospike::probes", "aerospike_py.probes"),
            ("aerospike_py.probes", "aerospike_py.probes"),
            ("aerospike_python", "aerospike_py.aerospike_python"),
            ("_aerospike", "aerospike_py"),
            ("", "aerospike_py"),
        ];
        for (target, logger) in names {
            assert_eq!(logger_of(target), logger);
        }
    }

    proptest! {
        #[test]
        fn messages_are_cut_between_characters(parts in prop::collection::vec(".{0,900}", 0..12)) {
            let mut message = Message::default();
            for part in &parts {
                write!(message, "{part}").unwrap();
            }
            let text = message.into_text();
            prop_assert!(text.len() <= LONGEST);
            let whole = parts.concat();
            prop_assert!(whole.len() > LONGEST || text == whole);
        }
    }
}
