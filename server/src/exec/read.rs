//! Reads of one record: all bins, some bins, or only its metadata.

use super::{check_key, live, Command, MAX_REPLY_SIZE};
use crate::store::bins::Bins;
use crate::store::{clock, Namespace, Record};
use crate::wire::reply::{put_header, put_op, ReplyHeader};
use crate::wire::{code, flags, op, particle};

/// A read with this time to live leaves the record's life as it is, whatever the namespace says.
const READ_TOUCH_NEVER: u32 = u32::MAX;

pub(super) fn run(
    namespace: &Namespace,
    command: &Command<'_>,
    out: &mut Vec<u8>,
) -> Result<(), u8> {
    let now = clock::now_millis();
    let mut partition = namespace.partition(command.digest).lock();
    let record = live(&mut partition, command.digest, now).ok_or(code::NOT_FOUND)?;
    check_key(record, command.fields.key)?;
    touch_if_due(record, command.record_ttl, now)?;

    let header = out.len();
    put_header(
        out,
        ReplyHeader {
            generation: u32::from(record.generation),
            void_time: record.void_time,
            index: command.index,
            ..ReplyHeader::default()
        },
    );
    let ops = if command.info1 & flags::INFO1_NO_BIN_DATA != 0 {
        0
    } else if command.info1 & flags::INFO1_GET_ALL != 0 {
        out.extend_from_slice(record.bins.wire());
        record.bins.count()
    } else {
        let mut answered = 0;
        for wanted in command.ops.iter() {
            if wanted.op != op::READ {
                return Err(code::UNSUPPORTED_FEATURE);
            }
            answered += put_bin(out, &record.bins, wanted.name, command.responds_all_ops());
            if out.len() > MAX_REPLY_SIZE {
                return Err(code::RECORD_TOO_BIG);
            }
        }
        answered
    };
    set_op_count(out, header, ops);
    Ok(())
}

/// Appends one bin, or a nil in its place if it is absent and every operation must be answered.
pub(super) fn put_bin(out: &mut Vec<u8>, bins: &Bins, name: &[u8], always: bool) -> u16 {
    match bins.get(name) {
        Some(bin) => put_op(out, name, bin.kind, bin.value),
        None if always => put_op(out, name, particle::NULL, &[]),
        None => return 0,
    }
    1
}

/// Fills in the operation count of the reply header that starts at `header`.
pub(super) fn set_op_count(out: &mut [u8], header: usize, ops: u16) {
    out[header + 20..header + 22].copy_from_slice(&ops.to_be_bytes());
}

/// Takes generation and void time out of the reply header that starts at `header`: a record just deleted has none.
pub(super) fn clear_metadata(out: &mut [u8], header: usize) {
    out[header + 6..header + 14].fill(0);
}

/// Reads may prolong a record's life: when less than the given percentage of it is left, it starts anew.
fn touch_if_due(record: &mut Record, percent: u32, now: u64) -> Result<(), u8> {
    match percent {
        0 | READ_TOUCH_NEVER => Ok(()),
        1..=100 if record.void_time == 0 => Ok(()),
        1..=100 => {
            let life = record
                .void_time
                .saturating_sub(clock::seconds(record.last_update));
            let left = record.void_time.saturating_sub(clock::seconds(now));
            if u64::from(left) * 100 < u64::from(life) * u64::from(percent) {
                record.void_time = clock::seconds(now).saturating_add(life);
                record.last_update = now;
            }
            Ok(())
        }
        _ => Err(code::PARAMETER),
    }
}
