//! The operations on many records.
//!
//! A batch fails as a whole only if no row was answered; otherwise every row carries its own
//! outcome, those of nodes that could not be reached included.

use std::time::{Duration, Instant};

use aerospike_core::operations;
use aerospike_core::{BatchOperation, BatchPolicy, BatchRecord, ErrorKind};

use crate::error::{failure_code, is_retryable, Fault, NO_SERVER_CODE};
use crate::ops::backoff;
use crate::ops::gathered::Gathered;
use crate::ops::request::{
    BatchOperateRequest, BatchReadRequest, BatchRemoveRequest, BatchWriteRequest, Reply, RetryInfo,
    Rows, WriteRow,
};
use crate::ops::row_failures;
use crate::ops::session::Session;
use crate::ops::single::drop_empty_answers;

pub(super) async fn read(session: &Session, request: BatchReadRequest) -> Result<Reply, Fault> {
    let BatchReadRequest {
        keys,
        bins,
        read,
        policy,
    } = request;
    let rows: Vec<_> = keys
        .into_iter()
        .map(|key| BatchOperation::read(&read, key, bins.clone()))
        .collect();
    // The driver asks for a single record in another way than for several.
    let kept = Gathered::new(session.keeps_bins() && rows.len() > 1);
    let sent = kept.gather(send(session, &policy, rows)).await?;
    Ok(Reply::BatchRead(match kept.end() {
        Some(replies) => sent.with_bins_of(replies),
        None => sent,
    }))
}

pub(super) async fn operate(
    session: &Session,
    request: BatchOperateRequest,
) -> Result<Reply, Fault> {
    let BatchOperateRequest {
        keys,
        steps,
        writes,
        write,
        read,
        policy,
    } = request;
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
    let rows = rows
        .into_iter()
        .map(|(key, delete)| BatchOperation::delete(&delete, key))
        .collect();
    written(send(session, &policy, rows).await?, RetryInfo::SINGLE)
}

pub(super) async fn write(session: &Session, request: BatchWriteRequest) -> Result<Reply, Fault> {
    let BatchWriteRequest {
        rows,
        policy,
        retry,
    } = request;
    let rows: Vec<BatchOperation> = rows.into_iter().map(write_row).collect();
    if retry == 0 || rows.is_empty() {
        let max_attempts = retry.saturating_add(1);
        let sent = send(session, &policy, rows).await?;
        return written(
            sent,
            RetryInfo {
                max_attempts,
                ..RetryInfo::SINGLE
            },
        );
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
    let mut policy = policy.clone();
    let budget = match policy.base_policy.total_timeout {
        0 => None,
        limit => Some(Duration::from_millis(u64::from(limit))),
    };
    let max_attempts = retry.saturating_add(1);
    let mut result: Option<Rows> = None;
    let mut pending: Vec<usize> = (0..rows.len()).collect();
    let mut failure: Option<Fault> = None;
    // What one attempt may have written stays in doubt whatever the next ones are told.
    let mut doubtful = vec![false; rows.len()];
    let mut info = RetryInfo {
        attempts: 0,
        max_attempts,
        ..RetryInfo::SINGLE
    };
    loop {
        info.attempts += 1;
        let attempt = pending.iter().map(|&row| rows[row].clone()).collect();
        match send(session, &policy, attempt).await {
            Ok(sent) => {
                for (place, &row) in pending.iter().enumerate() {
                    doubtful[row] |= sent.in_doubt(place);
                }
                let result = match &mut result {
                    None => result.insert(sent),
                    Some(result) => {
                        result.unanswered = sent.unanswered;
                        for (&row, record) in pending.iter().zip(sent.records) {
                            result.records[row] = record;
                        }
                        result
                    }
                };
                pending.retain(|&row| is_retryable(result.code(&result.records[row])));
            }
            Err(fault) => {
                if fault.in_doubt() {
                    pending.iter().for_each(|&row| doubtful[row] = true);
                }
                let lasting = !fault.is_transient() || session.is_closed();
                let said_less = failure.as_ref().is_some_and(Fault::in_doubt) && !fault.in_doubt();
                if !said_less {
                    failure = Some(fault);
                }
                if lasting {
                    break;
                }
            }
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
        if let Some(budget) = budget {
            // To the driver every attempt is a batch of its own.
            let left = budget.saturating_sub(started.elapsed()).as_millis();
            policy.base_policy.total_timeout = u32::try_from(left).unwrap_or(u32::MAX).max(1);
        }
    }
    match (result, failure) {
        (Some(rows), _) => {
            info.unresolved = pending.len();
            written(rows.with_doubts(doubtful), info)
        }
        (None, Some(fault)) => Err(fault),
        (None, None) => Err(Fault::internal("a batch write made no attempt")),
    }
}

fn write_row(row: WriteRow) -> BatchOperation {
    let steps: Vec<_> = row.bins.iter().map(operations::put).collect();
    BatchOperation::write(&row.policy, row.key, steps)
}

fn written(mut rows: Rows, retry: RetryInfo) -> Result<Reply, Fault> {
    for record in rows
        .records
        .iter_mut()
        .filter_map(|row| row.record.as_mut())
    {
        drop_empty_answers(record);
    }
    Ok(Reply::BatchWrite { rows, retry })
}

/// Sends a batch and takes the rows back.
async fn send(
    session: &Session,
    policy: &BatchPolicy,
    mut operations: Vec<BatchOperation>,
) -> Result<Rows, Fault> {
    let Some(first) = operations.first() else {
        return Ok(Rows::default());
    };
    let namespace = first.batch_record().key.namespace().to_owned();
    let sent = session.client().batch(policy, &mut operations).await;
    let records: Vec<BatchRecord> = operations
        .into_iter()
        .map(BatchOperation::into_batch_record)
        .collect();
    row_failures::count(&records);
    let ended_by = match sent {
        Err(error) if records.iter().any(|row| is_answered(row, &error)) => None,
        Err(error) => return Err(Fault::driver(error).about_namespace(&namespace)),
        Ok(()) if policy.respond_all_keys => early_end(&records),
        Ok(()) => None,
    };
    match ended_by {
        Some(error) if !records.iter().any(|row| is_answered(row, error)) => {
            Err(Fault::driver(error.clone()).about_namespace(&namespace))
        }
        ended_by => {
            let unanswered = ended_by.map_or(NO_SERVER_CODE, failure_code);
            Ok(Rows::new(records, unanswered))
        }
    }
}

/// Why nodes left rows without an answer, if they did.
///
/// A node that refuses a batch as a whole answers once, and the driver takes that for the answer to
/// the first of the node's rows: it is the only failure with that node's name.
fn early_end(records: &[BatchRecord]) -> Option<&aerospike_core::Error> {
    if records
        .iter()
        .all(|row| row.error().is_some() || row.record.is_some())
    {
        return None;
    }
    let failures = || records.iter().filter_map(BatchRecord::error);
    let alone = |error: &&aerospike_core::Error| {
        failures()
            .filter(|other| other.node() == error.node())
            .count()
            == 1
    };
    failures().find(alone).or_else(|| failures().next())
}

/// Whether a row has an outcome of its own rather than that of the whole batch.
fn is_answered(row: &BatchRecord, batch: &aerospike_core::Error) -> bool {
    let Some(error) = row.error() else {
        return row.record.is_some();
    };
    match error.kind() {
        ErrorKind::Server { .. } => error.result_code() != batch.result_code(),
        _ => false,
    }
}
