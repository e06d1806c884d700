//! Deletes of one record.

use super::{check_generation, check_key, live, Command};
use crate::store::{clock, Namespace};
use crate::wire::reply::put_result;
use crate::wire::{code, flags};

pub(super) fn run(
    namespace: &Namespace,
    command: &Command<'_>,
    out: &mut Vec<u8>,
) -> Result<(), u8> {
    if command.info2 & flags::INFO2_DURABLE_DELETE != 0 {
        return Err(code::ENTERPRISE_ONLY);
    }
    let mut partition = namespace.partition(command.digest).lock();
    let record =
        live(&mut partition, command.digest, clock::now_millis()).ok_or(code::NOT_FOUND)?;
    check_generation(command, record.generation)?;
    check_key(record, command.fields.key)?;
    partition.remove(command.digest);
    put_result(out, code::OK, command.index);
    Ok(())
}
