//! The operations on many records.
//!
//! A batch fails as a whole only if no row was answered; otherwise every row carries its own
//! outcome, those of nodes that could not be reached included.

use std::time::{Duration, Instant};

use aerospike_core::operations;
use aerospike_core::{BatchOperation, BatchPolicy, BatchRecord, ErrorKind};

use crate::error::{is_retryable, row_code, Fault};
use crate::ops::backoff;
use crate::ops::request::{
    BatchOperateRequest, BatchReadRequest, BatchRemoveRequest, BatchWriteRequest, Reply, RetryInfo,
    WriteRow,
};
use crate::ops::session::Session;
use crate::ops::single::drop_empty_answers;

pub(super) async fn read(session: &Session, request: BatchReadRequest) -> Result<Reply, Fault> {
    let BatchReadRequest { keys, bins, read, policy } = request;
    let rows =
        keys.into_iter().map(|key| BatchOperation::read(&read, key, bins.clone())).collect();
    Ok(Reply::BatchRead(send(session, &policy, rows).await?))
}

pub(super) async fn operate(
    session: &Session,
    request: BatchOperateRequest,
) -> Result<Reply, Fault> {
    let BatchOperateRequest { keys, steps, writes, write, read, policy } = request;
    let rows = keys
        .into_iter()
        .map(|key| {
            if writes {
                BatchOperation::write(&write, key, steps.clone())
            } else {
                BatchOperation::read_ops(&read, key, steps.clone())
            }
        })
        .collect();
    written(send(session, &policy, rows).await?, RetryInfo::SINGLE)
}

pub(super) async fn remove(session: &Session, request: BatchRemoveRequest) -> Result<Reply, Fault> {
    let BatchRemoveRequest { rows, policy } = request;
    let rows = rows.into_iter().map(|(key, delete)| BatchOperation::delete(&delete, key)).collect();
    written(send(session, &policy, rows).await?, RetryInfo::SINGLE)
}

pub(super) async fn write(session: &Session, request: BatchWriteRequest) -> Result<Reply, Fault> {
    let BatchWriteRequest { rows, policy, retry } = request;
    let rows: Vec<BatchOperation> = rows.into_iter().map(write_row).collect();
    if retry == 0 || rows.is_empty() {
        let max_attempts = retry.saturating_add(1);
        let records = send(session, &policy, rows).await?;
        return written(records, RetryInfo { max_attempts, ..RetryInfo::SINGLE });
    }
    write_with_retries(session, &policy, &rows, retry).await
}

async fn write_with_retries(
    session: &Session,
    policy: &BatchPolicy,
    rows: &[BatchOperation],
    retry: u32,
) -> Result<Reply, Fault> {
    let started = Instant::now();
    let budget = match policy.base_policy.total_timeout {
        0 => None,
        limit => Some(Duration::from_millis(u64::from(limit))),
    };
    let max_attempts = retry.saturating_add(1);
    let mut records: Vec<BatchRecord> = Vec::new();
    let mut pending: Vec<usize> = (0..rows.len()).collect();
    let mut failure = None;
    let mut info = RetryInfo { attempts: 0, max_attempts, ..RetryInfo::SINGLE };
    loop {
        info.attempts += 1;
        let attempt = pending.iter().map(|&row| rows[row].clone()).collect();
        match send(session, policy, attempt).await {
            Ok(answered) if records.is_empty() => records = answered,
            Ok(answered) => {
                for (&row, record) in pending.iter().zip(answered) {
                    records[row] = record;
                }
            }
            Err(fault) if fault.is_transient() && !session.is_closed() => failure = Some(fault),
            Err(fault) if records.is_empty() => return Err(fault),
            Err(_) => break,
        }
        if !records.is_empty() {
            pending.retain(|&row| is_retryable(row_code(&records[row])));
        }
        if pending.is_empty() || info.attempts == max_attempts {
            break;
        }
        let pause = backoff::pause(info.attempts - 1);
        if budget.is_some_and(|budget| started.elapsed() + pause >= budget) {
            info.truncated_by_timeout = true;
            break;
        }
        aerospike_rt::sleep(pause).await;
    }
    match failure {
        Some(fault) if records.is_empty() => Err(fault),
        _ => {
            info.unresolved = pending.len();
            written(records, info)
        }
    }
}

fn write_row(row: WriteRow) -> BatchOperation {
    let steps: Vec<_> = row.bins.iter().map(operations::put).collect();
    BatchOperation::write(&row.policy, row.key, steps)
}

fn written(mut records: Vec<BatchRecord>, retry: RetryInfo) -> Result<Reply, Fault> {
    for record in records.iter_mut().filter_map(|row| row.record.as_mut()) {
        drop_empty_answers(record);
    }
    Ok(Reply::BatchWrite { records, retry })
}

/// Sends a batch and takes the rows back.
async fn send(
    session: &Session,
    policy: &BatchPolicy,
    mut rows: Vec<BatchOperation>,
) -> Result<Vec<BatchRecord>, Fault> {
    let Some(first) = rows.first() else {
        return Ok(Vec::new());
    };
    let namespace = first.batch_record().key.namespace().to_owned();
    let sent = session.client().batch(policy, &mut rows).await;
    let records: Vec<BatchRecord> = rows.into_iter().map(BatchOperation::into_batch_record).collect();
    match sent {
        Err(error) if !records.iter().any(|row| is_answered(row, &error)) => {
            Err(Fault::driver(error).about_namespace(&namespace))
        }
        _ => Ok(records),
    }
}

/// Whether a row has an outcome of its own rather than a copy of what ended the batch.
fn is_answered(row: &BatchRecord, ended_by: &aerospike_core::Error) -> bool {
    let Some(error) = row.error() else {
        return row.record.is_some();
    };
    match error.kind() {
        ErrorKind::Server { .. } => error.result_code() != ended_by.result_code(),
        _ => false,
    }
}
