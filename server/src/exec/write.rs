//! Writes of one record: policies, operations in order, the record's new metadata.

use super::read::{clear_metadata, put_bin, set_op_count};
use super::{check_generation, check_key, live, modify, Command, MAX_REPLY_SIZE};
use crate::store::bins::Bins;
use crate::store::{clock, Namespace, Record};
use crate::wire::reply::{put_header, put_op, ReplyHeader};
use crate::wire::{code, flags, op, particle};

const TTL_NAMESPACE_DEFAULT: u32 = 0;
const TTL_NEVER: u32 = u32::MAX;
const TTL_KEEP: u32 = u32::MAX - 1;

/// Ten years.
const MAX_TTL: u32 = 10 * 365 * 24 * 60 * 60;

/// Longest set name.
const MAX_SET_SIZE: usize = 63;

/// What the real server stores beside bins, key and set name; part of the size a record is limited to.
const RECORD_OVERHEAD: usize = 36;

/// Most operations in one command.
const MAX_OPS: usize = 32 * 1024;

/// How a write treats the record that is there, or is not.
struct Policy {
    must_exist: bool,
    must_not_exist: bool,
    replace: bool,
}

pub(super) fn run(
    namespace: &Namespace,
    command: &Command<'_>,
    out: &mut Vec<u8>,
) -> Result<(), u8> {
    let policy = check_policy(command)?;
    if command
        .fields
        .set
        .is_some_and(|set| set.len() > MAX_SET_SIZE)
    {
        return Err(code::PARAMETER);
    }
    let now = clock::now_millis();
    let mut partition = namespace.partition(command.digest).lock();
    let existing = live(&mut partition, command.digest, now);
    if policy.must_exist && existing.is_none() {
        return Err(code::NOT_FOUND);
    }
    if policy.must_not_exist && existing.is_some() {
        return Err(code::RECORD_EXISTS);
    }
    let generation = existing.as_ref().map_or(0, |record| record.generation);
    check_generation(command, generation)?;
    if let Some(record) = &existing {
        if command.fields.set.is_some_and(|set| !record.is_in_set(set)) {
            return Err(code::PARAMETER);
        }
        check_key(record, command.fields.key)?;
    }
    let void_time = void_time(namespace, command.record_ttl, existing.as_deref(), now)?;

    let mut bins = match &existing {
        Some(record) if !policy.replace => record.bins.clone(),
        _ => Bins::default(),
    };
    let header = out.len();
    let generation = next_generation(generation);
    put_header(
        out,
        ReplyHeader {
            generation: u32::from(generation),
            void_time,
            index: command.index,
            ..ReplyHeader::default()
        },
    );
    let answered = apply_ops(namespace, command, &mut bins, out)?;
    set_op_count(out, header, answered);

    if bins.is_empty() {
        if existing.is_none() {
            return Err(code::NOT_FOUND);
        }
        if command.info2 & flags::INFO2_DURABLE_DELETE != 0 {
            return Err(code::ENTERPRISE_ONLY);
        }
        if answered > 0 {
            clear_metadata(out, header);
        }
        partition.remove(command.digest);
        return Ok(());
    }
    check_size(namespace, command, existing.as_deref(), &bins)?;
    if let Some(record) = existing {
        record.generation = generation;
        record.void_time = void_time;
        record.last_update = now;
        record.bins = bins;
        if record.key.is_none() {
            record.key = command.fields.key.map(Box::from);
        }
        return Ok(());
    }
    let set = match command.fields.set {
        Some(set) => Some(namespace.intern_set(set).ok_or(code::PARAMETER)?),
        None => None,
    };
    partition.insert(
        *command.digest,
        Record {
            generation,
            void_time,
            last_update: now,
            set,
            key: command.fields.key.map(Box::from),
            bins,
        },
    );
    Ok(())
}

/// Checks what can be known before the record is looked at.
fn check_policy(command: &Command<'_>) -> Result<Policy, u8> {
    if command.ops.is_empty() || command.ops.len() > MAX_OPS {
        return Err(code::PARAMETER);
    }
    let mut policy = Policy {
        must_exist: command.info3 & (flags::INFO3_UPDATE_ONLY | flags::INFO3_REPLACE_ONLY) != 0,
        must_not_exist: command.info2 & flags::INFO2_CREATE_ONLY != 0,
        replace: command.info3 & (flags::INFO3_CREATE_OR_REPLACE | flags::INFO3_REPLACE_ONLY) != 0,
    };
    let get_all = command.info1 & flags::INFO1_GET_ALL != 0;
    let (mut read_alls, mut reads) = (0, 0);
    for op in command.ops.iter() {
        if op.name.len() > modify::MAX_NAME_SIZE {
            return Err(code::BIN_NAME);
        }
        let changes_what_is_there = match op.op {
            op::TOUCH => {
                policy.must_exist = true;
                true
            }
            op::WRITE => op.kind == particle::NULL,
            op::READ if get_all && op.name.is_empty() => {
                read_alls += 1;
                false
            }
            other => {
                reads += u32::from(op::is_read(other));
                !op::is_read(other)
            }
        };
        if policy.replace && changes_what_is_there {
            return Err(code::PARAMETER);
        }
    }
    let reads_unannounced = read_alls + reads > 0 && command.info1 & flags::INFO1_READ == 0;
    let read_all_misused =
        read_alls > 1 || (read_alls == 1 && (command.responds_all_ops() || reads > 0));
    if reads_unannounced || read_all_misused || (get_all && read_alls == 0) {
        return Err(code::PARAMETER);
    }
    Ok(policy)
}

/// Applies the operations in order and appends what they return; the count of answers is the result.
fn apply_ops(
    namespace: &Namespace,
    command: &Command<'_>,
    bins: &mut Bins,
    out: &mut Vec<u8>,
) -> Result<u16, u8> {
    let always = command.responds_all_ops();
    let get_all = command.info1 & flags::INFO1_GET_ALL != 0;
    let mut answered: u16 = 0;
    for op in command.ops.iter() {
        let answers = match op.op {
            op::READ if get_all && op.name.is_empty() => {
                out.extend_from_slice(bins.wire());
                bins.count()
            }
            op::READ => put_bin(out, bins, op.name, always),
            read if op::is_read(read) => return Err(code::UNSUPPORTED_FEATURE),
            change => {
                match change {
                    op::TOUCH => {}
                    op::DELETE_ALL => bins.clear(),
                    _ => modify::apply(bins, &op)?,
                }
                if always {
                    put_op(out, op.name, particle::NULL, &[]);
                }
                u16::from(always)
            }
        };
        answered = answered.checked_add(answers).ok_or(code::PARAMETER)?;
        // What grows without bound would be refused at the end anyway; a later operation may still shrink the rest.
        if bins.wire().len() / 2 > namespace.options.max_record_size || out.len() > MAX_REPLY_SIZE {
            return Err(code::RECORD_TOO_BIG);
        }
    }
    Ok(answered)
}

fn void_time(
    namespace: &Namespace,
    ttl: u32,
    existing: Option<&Record>,
    now: u64,
) -> Result<u32, u8> {
    let now = clock::seconds(now);
    let default = match namespace.options.default_ttl {
        0 => 0,
        ttl => now.saturating_add(ttl),
    };
    match (ttl, existing) {
        (TTL_NEVER, _) => Ok(0),
        (TTL_KEEP, Some(record)) => Ok(record.void_time),
        (TTL_NAMESPACE_DEFAULT, _) | (TTL_KEEP, None) => Ok(default),
        (ttl, _) if ttl > MAX_TTL => Err(code::PARAMETER),
        (ttl, _) => Ok(now.saturating_add(ttl)),
    }
}

fn check_size(
    namespace: &Namespace,
    command: &Command<'_>,
    existing: Option<&Record>,
    bins: &Bins,
) -> Result<(), u8> {
    let stored_key = existing.and_then(|record| record.key.as_deref());
    let key = stored_key.or(command.fields.key).map_or(0, <[u8]>::len);
    let set = command.fields.set.map_or(0, <[u8]>::len);
    if bins.wire().len() + key + set + RECORD_OVERHEAD > namespace.options.max_record_size {
        return Err(code::RECORD_TOO_BIG);
    }
    Ok(())
}

/// Generations wrap past zero, which stands for a record that does not exist.
fn next_generation(generation: u16) -> u16 {
    generation.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_skip_zero_when_they_wrap() {
        assert_eq!(next_generation(0), 1);
        assert_eq!(next_generation(u16::MAX), 1);
    }
}
