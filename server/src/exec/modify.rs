//! What one operation does to one bin: set, increment, append, prepend. Collections are kept as opaque bytes.

use std::borrow::Cow;

use crate::store::bins::Bins;
use crate::wire::message::Op;
use crate::wire::{code, op, particle};

/// Longest bin name.
pub(super) const MAX_NAME_SIZE: usize = 15;

/// Most bins in one record.
const MAX_BINS: u16 = 32_767;

/// Applies an operation that changes a bin.
pub(super) fn apply(bins: &mut Bins, op: &Op<'_>) -> Result<(), u8> {
    match op.op {
        op::WRITE if op.kind == particle::NULL => {
            bins.remove(op.name);
            Ok(())
        }
        op::WRITE => {
            check_value(op)?;
            store(bins, op.name, op.kind, op.value)
        }
        op::INCR => increment(bins, op),
        op::APPEND | op::PREPEND => concatenate(bins, op),
        op::CDT_MODIFY | op::EXP_MODIFY | op::BITS_MODIFY | op::HLL_MODIFY => {
            Err(code::UNSUPPORTED_FEATURE)
        }
        _ => Err(code::PARAMETER),
    }
}

fn store(bins: &mut Bins, name: &[u8], kind: u8, value: &[u8]) -> Result<(), u8> {
    bins.set(name, kind, value);
    if bins.count() > MAX_BINS {
        return Err(code::PARAMETER);
    }
    Ok(())
}

/// Values of fixed size must have it; the server stores no types it does not know.
fn check_value(op: &Op<'_>) -> Result<(), u8> {
    let fits = match op.kind {
        particle::INTEGER | particle::FLOAT => op.value.len() == 8,
        particle::BOOL => matches!(op.value, [0 | 1]),
        particle::STRING
        | particle::BLOB
        | particle::JAVA_BLOB..=particle::ERLANG_BLOB
        | particle::HLL
        | particle::GEOJSON => true,
        particle::MAP | particle::LIST => !op.value.is_empty(),
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(code::PARAMETER)
    }
}

fn increment(bins: &mut Bins, op: &Op<'_>) -> Result<(), u8> {
    let operand: [u8; 8] = op.value.try_into().map_err(|_| code::PARAMETER)?;
    if op.kind != particle::INTEGER && op.kind != particle::FLOAT {
        return Err(code::PARAMETER);
    }
    let sum = match bins.get(op.name) {
        None => operand,
        Some(bin) if bin.kind != op.kind => return Err(code::INCOMPATIBLE_TYPE),
        Some(bin) => {
            let current: [u8; 8] = bin.value.try_into().map_err(|_| code::INCOMPATIBLE_TYPE)?;
            if op.kind == particle::INTEGER {
                i64::from_be_bytes(current)
                    .wrapping_add(i64::from_be_bytes(operand))
                    .to_be_bytes()
            } else {
                (f64::from_be_bytes(current) + f64::from_be_bytes(operand)).to_be_bytes()
            }
        }
    };
    store(bins, op.name, op.kind, &sum)
}

fn concatenate(bins: &mut Bins, op: &Op<'_>) -> Result<(), u8> {
    if !matches!(
        op.kind,
        particle::STRING | particle::BLOB | particle::JAVA_BLOB..=particle::ERLANG_BLOB
    ) {
        return Err(code::INCOMPATIBLE_TYPE);
    }
    let joined: Cow<'_, [u8]> = match bins.get(op.name) {
        None => op.value.into(),
        Some(bin) if bin.kind != op.kind => return Err(code::INCOMPATIBLE_TYPE),
        Some(bin) if op.op == op::APPEND => [bin.value, op.value].concat().into(),
        Some(bin) => [op.value, bin.value].concat().into(),
    };
    store(bins, op.name, op.kind, &joined)
}
