//! The kinds of requests that faults are aimed at and counters are kept for.

use std::fmt;
use std::str::FromStr;

use crate::wire::batch::Batch;
use crate::wire::message::{Message, Ops};
use crate::wire::{flags, op};

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandKind {
    /// Every kind, for faults that do not care.
    Any,
    /// Text requests about the node, including those of the client's background tending.
    Info,
    /// Security administration.
    Admin,
    /// Reads of one record's bins or metadata.
    Read,
    /// Existence checks of one record.
    Exists,
    /// Writes of one record that return no bins: put, increment, append, prepend.
    Write,
    /// Several operations on one record in one command that return results.
    Operate,
    /// Deletes of one record.
    Delete,
    /// Touches of one record.
    Touch,
    /// User-defined functions on one record.
    Udf,
    /// Batches whose rows only read.
    BatchRead,
    /// Batches with at least one row that writes.
    BatchWrite,
    /// Scans and queries.
    Scan,
}

impl CommandKind {
    /// All kinds, in order.
    pub const ALL: [CommandKind; 13] = [
        CommandKind::Any,
        CommandKind::Info,
        CommandKind::Admin,
        CommandKind::Read,
        CommandKind::Exists,
        CommandKind::Write,
        CommandKind::Operate,
        CommandKind::Delete,
        CommandKind::Touch,
        CommandKind::Udf,
        CommandKind::BatchRead,
        CommandKind::BatchWrite,
        CommandKind::Scan,
    ];

    /// The kind's name in fault specifications.
    pub fn name(self) -> &'static str {
        match self {
            CommandKind::Any => "any",
            CommandKind::Info => "info",
            CommandKind::Admin => "admin",
            CommandKind::Read => "read",
            CommandKind::Exists => "exists",
            CommandKind::Write => "write",
            CommandKind::Operate => "operate",
            CommandKind::Delete => "delete",
            CommandKind::Touch => "touch",
            CommandKind::Udf => "udf",
            CommandKind::BatchRead => "batch-read",
            CommandKind::BatchWrite => "batch-write",
            CommandKind::Scan => "scan",
        }
    }

    /// Whether a fault aimed at this kind meets a request of kind `seen`.
    pub(crate) fn covers(self, seen: CommandKind) -> bool {
        self == CommandKind::Any || self == seen
    }

    /// The kind of a command that is not a batch.
    pub(crate) fn of_message(message: &Message<'_>) -> CommandKind {
        let (info1, info2, ops) = (message.info1, message.info2, &message.ops);
        if message.fields.digest.is_none() && message.fields.key.is_none() {
            return CommandKind::Scan;
        }
        if message.fields.asks.udf {
            return CommandKind::Udf;
        }
        if info2 & flags::INFO2_WRITE == 0 {
            return read_kind(info1, info2, ops);
        }
        if info2 & flags::INFO2_DELETE != 0 {
            return CommandKind::Delete;
        }
        if info1 & flags::INFO1_READ != 0 || info2 & flags::INFO2_RESPOND_ALL_OPS != 0 {
            return CommandKind::Operate;
        }
        if !ops.is_empty() && ops.iter().all(|op| op.op == op::TOUCH) {
            return CommandKind::Touch;
        }
        CommandKind::Write
    }

    /// The kind of a batch.
    pub(crate) fn of_batch(batch: &Batch<'_>) -> CommandKind {
        if batch.writes {
            CommandKind::BatchWrite
        } else {
            CommandKind::BatchRead
        }
    }
}

/// Some clients name a bin when they ask for the header only; the flag wins, here as in the answer.
fn read_kind(info1: u8, info2: u8, ops: &Ops<'_>) -> CommandKind {
    if info1 & flags::INFO1_NO_BIN_DATA != 0 {
        CommandKind::Exists
    } else if info2 & flags::INFO2_RESPOND_ALL_OPS != 0 || ops.iter().any(|op| op.op != op::READ) {
        CommandKind::Operate
    } else {
        CommandKind::Read
    }
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name given is that of no command kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseKindError(String);

impl fmt::Display for ParseKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = CommandKind::ALL
            .into_iter()
            .map(CommandKind::name)
            .collect();
        write!(
            f,
            "unknown command kind {:?}: use one of {}",
            self.0,
            names.join(", ")
        )
    }
}

impl std::error::Error for ParseKindError {}

impl FromStr for CommandKind {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim().to_ascii_lowercase().replace('_', "-");
        CommandKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| ParseKindError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_name_parses_back_and_discriminants_index_the_table() {
        for (place, kind) in CommandKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.to_string().parse::<CommandKind>().unwrap(), kind);
            assert_eq!(kind as usize, place);
        }
        assert_eq!(
            "Batch_Read".parse::<CommandKind>().unwrap(),
            CommandKind::BatchRead
        );
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "reed".parse::<CommandKind>().unwrap_err().to_string();
        assert!(
            error.contains("\"reed\"") && error.contains("batch-write"),
            "{error}"
        );
    }
}
