//! What commands mean: one record's reads, writes and deletes here; batches and scans in their own modules.

pub(crate) mod batch;
pub(crate) mod delete;
pub(crate) mod kind;
pub(crate) mod modify;
pub(crate) mod read;
pub(crate) mod scan;
pub(crate) mod write;

use parking_lot::MutexGuard;

use crate::store::{clock, Namespace, Partition, Record};
use crate::wire::message::{Asks, Fields, Message, Ops};
use crate::wire::reply::{put_header, put_op, put_result, ReplyHeader};
use crate::wire::{code, flags, particle, Digest};

/// Largest reply in bytes: a command that reads a large bin over and over is refused.
const MAX_REPLY_SIZE: usize = crate::wire::frame::MAX_FRAME_SIZE / 2;

/// A command on one record, wherever it came from.
pub(crate) struct Command<'a> {
    pub(crate) info1: u8,
    pub(crate) info2: u8,
    pub(crate) info3: u8,
    pub(crate) generation: u32,
    pub(crate) record_ttl: u32,
    pub(crate) digest: &'a Digest,
    pub(crate) fields: &'a Fields<'a>,
    pub(crate) ops: Ops<'a>,
    /// The row's index in its batch; zero for a single command.
    pub(crate) index: u32,
}

impl<'a> Command<'a> {
    /// The command of a message that names one record by its digest.
    pub(crate) fn of_message(message: &'a Message<'a>) -> Option<Self> {
        Some(Command {
            info1: message.info1,
            info2: message.info2,
            info3: message.info3,
            generation: message.generation,
            record_ttl: message.record_ttl,
            digest: message.fields.digest?,
            fields: &message.fields,
            ops: message.ops,
            index: 0,
        })
    }

    pub(crate) fn responds_all_ops(&self) -> bool {
        self.info2 & flags::INFO2_RESPOND_ALL_OPS != 0
    }
}

/// The namespace a command names.
pub(crate) fn namespace_of<'n>(
    namespaces: &'n [Namespace],
    fields: &Fields<'_>,
) -> Option<&'n Namespace> {
    let name = fields.namespace?;
    namespaces
        .iter()
        .find(|namespace| namespace.name().as_bytes() == name)
}

/// Runs a command on one record, appends its reply message and returns the result code.
pub(crate) fn run(namespaces: &[Namespace], command: &Command<'_>, out: &mut Vec<u8>) -> u8 {
    let start = out.len();
    let outcome = match namespace_of(namespaces, command.fields) {
        Some(namespace) => perform(namespace, command, out),
        None => Err(code::NAMESPACE),
    };
    let Err(result) = outcome else {
        return code::OK;
    };
    out.truncate(start);
    if result == code::UDF_EXECUTION {
        put_udf_failure(out, command.index);
    } else {
        put_result(out, result, command.index);
    }
    result
}

fn perform(namespace: &Namespace, command: &Command<'_>, out: &mut Vec<u8>) -> Result<(), u8> {
    refuse_unsupported(command.fields.asks)?;
    if command.info2 & flags::INFO2_WRITE == 0 {
        if command.info1 & flags::INFO1_READ == 0 {
            return Err(code::PARAMETER);
        }
        return read::run(namespace, command, out);
    }
    if command.info2 & flags::INFO2_DELETE != 0 {
        return delete::run(namespace, command, out);
    }
    write::run(namespace, command, out)
}

/// The result code for a feature this server does not have, if one is asked for.
pub(crate) fn refuse_unsupported(asks: Asks) -> Result<(), u8> {
    if asks.transaction {
        Err(code::ENTERPRISE_ONLY)
    } else if asks.udf {
        Err(code::UDF_EXECUTION)
    } else if asks.filter {
        Err(code::UNSUPPORTED_FEATURE)
    } else {
        Ok(())
    }
}

fn put_udf_failure(out: &mut Vec<u8>, index: u32) {
    put_header(
        out,
        ReplyHeader {
            result: code::UDF_EXECUTION,
            index,
            ops: 1,
            ..ReplyHeader::default()
        },
    );
    put_op(
        out,
        b"FAILURE",
        particle::STRING,
        b"no UDF module is registered",
    );
}

/// The record with this digest unless it is absent or expired; an expired one is removed on the way.
fn live<'p>(
    partition: &'p mut MutexGuard<'_, Partition>,
    digest: &Digest,
    now: u64,
) -> Option<&'p mut Record> {
    let expired = partition.get(digest)?.is_expired(clock::seconds(now));
    if expired {
        partition.remove(digest);
        return None;
    }
    partition.get_mut(digest)
}

/// A key sent along must be the one stored, if one is.
fn check_key(record: &Record, sent: Option<&[u8]>) -> Result<(), u8> {
    match (&record.key, sent) {
        (Some(stored), Some(sent)) if stored.as_ref() != sent => Err(code::KEY_MISMATCH),
        _ => Ok(()),
    }
}

/// The generation policy of the command against the record's generation; a record to be created has zero.
fn check_generation(command: &Command<'_>, generation: u16) -> Result<(), u8> {
    let generation = u32::from(generation);
    let agreed = if command.info2 & flags::INFO2_GENERATION != 0 {
        command.generation == generation
    } else if command.info2 & flags::INFO2_GENERATION_GT != 0 {
        command.generation > generation
    } else {
        true
    };
    if agreed {
        Ok(())
    } else {
        Err(code::GENERATION)
    }
}
