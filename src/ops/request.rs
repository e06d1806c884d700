//! What an operation needs and what it yields, as owned values that may cross threads.

use crate::error::{failure_code, failure_in_doubt, TIMEOUT_CODE};
use aerospike_core::operations::Operation as Step;
use aerospike_core::{
    AdminPolicy, BatchDeletePolicy, BatchPolicy, BatchReadPolicy, BatchRecord, BatchWritePolicy,
    Bin, Bins, IndexMap, Key, ReadPolicy, Record, Value, WritePolicy,
};
use aerospike_rt::replies::{Bins as BytesOfBins, KeptBins, KeptRecord, KeptRow, Replies};

/// Reads bins, or only the header, of one record.
#[derive(Debug)]
pub struct ReadRequest {
    /// Which record.
    pub key: Key,
    /// Which bins.
    pub bins: Bins,
    /// How.
    pub policy: ReadPolicy,
}

/// Changes bins of one record.
#[derive(Debug)]
pub struct WriteRequest {
    /// Which record.
    pub key: Key,
    /// Bins with their values; a nil value deletes the bin.
    pub bins: Vec<Bin>,
    /// How.
    pub policy: WritePolicy,
}

/// Removes or touches one record.
#[derive(Debug)]
pub struct KeyRequest {
    /// Which record.
    pub key: Key,
    /// How.
    pub policy: WritePolicy,
}

/// Several steps on one record.
#[derive(Debug)]
pub struct OperateRequest {
    /// Which record.
    pub key: Key,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// What each step may answer, in the same order.
    pub answers: Vec<Answer>,
    /// How.
    pub policy: WritePolicy,
}

/// What a step may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The bin it works on; all bins, or none, if absent.
    pub bin: Option<String>,
    /// Whether it reads.
    pub reads: bool,
}

/// Reads many records.
#[derive(Debug)]
pub struct BatchReadRequest {
    /// Which records.
    pub keys: Vec<Key>,
    /// Which bins of each.
    pub bins: Bins,
    /// How each record is read.
    pub read: BatchReadPolicy,
    /// How the batch is sent.
    pub policy: BatchPolicy,
}

/// One record of a batch write.
#[derive(Debug)]
pub struct WriteRow {
    /// Which record.
    pub key: Key,
    /// Bins with their values.
    pub bins: Vec<Bin>,
    /// How the record is written.
    pub policy: BatchWritePolicy,
}

/// Writes many records.
#[derive(Debug)]
pub struct BatchWriteRequest {
    /// What to write.
    pub rows: Vec<WriteRow>,
    /// How the batch is sent.
    pub policy: BatchPolicy,
    /// How often failed rows may be sent again.
    pub retry: u32,
}

/// The same steps on many records.
#[derive(Debug)]
pub struct BatchOperateRequest {
    /// Which records.
    pub keys: Vec<Key>,
    /// What to do with each.
    pub steps: Vec<Step>,
    /// Whether a step writes.
    pub writes: bool,
    /// How each record is written, if a step writes.
    pub write: BatchWritePolicy,
    /// How each record is read, if none does.
    pub read: BatchReadPolicy,
    /// How the batch is sent.
    pub policy: BatchPolicy,
}

/// Removes many records.
#[derive(Debug)]
pub struct BatchRemoveRequest {
    /// Which records, each with how.
    pub rows: Vec<(Key, BatchDeletePolicy)>,
    /// How the batch is sent.
    pub policy: BatchPolicy,
}

/// Removes all records of a set, or of a namespace.
#[derive(Debug)]
pub struct TruncateRequest {
    /// Which namespace.
    pub namespace: String,
    /// Which set; all of them if empty.
    pub set: String,
    /// Only records last updated before this time, in nanoseconds since 1970; all if zero.
    pub before_nanos: i64,
    /// How.
    pub policy: AdminPolicy,
}

/// Asks nodes about themselves.
#[derive(Debug)]
pub struct InfoRequest {
    /// The command.
    pub command: String,
    /// How.
    pub policy: AdminPolicy,
}

/// Everything a session can be asked. What is large is on the heap, where it does not move from hand to
/// hand.
#[derive(Debug)]
pub enum Request {
    /// All bins of a record.
    Get(Box<ReadRequest>),
    /// Some bins of a record.
    Select(Box<ReadRequest>),
    /// The header of a record.
    Exists(Box<ReadRequest>),
    /// Write bins.
    Put(Box<WriteRequest>),
    /// Delete bins.
    RemoveBin(Box<WriteRequest>),
    /// Delete a record.
    Remove(Box<KeyRequest>),
    /// Renew a record's time to live.
    Touch(Box<KeyRequest>),
    /// Append to a bin.
    Append(Box<WriteRequest>),
    /// Prepend to a bin.
    Prepend(Box<WriteRequest>),
    /// Add to a bin.
    Increment(Box<WriteRequest>),
    /// Several steps, answers by bin.
    Operate(Box<OperateRequest>),
    /// Several steps, answers in order.
    OperateOrdered(Box<OperateRequest>),
    /// Read many records.
    BatchRead(Box<BatchReadRequest>),
    /// Write many records.
    BatchWrite(Box<BatchWriteRequest>),
    /// The same steps on many records.
    BatchOperate(Box<BatchOperateRequest>),
    /// Delete many records.
    BatchRemove(Box<BatchRemoveRequest>),
    /// Delete all records of a set.
    Truncate(TruncateRequest),
    /// Ask every node.
    InfoAll(InfoRequest),
    /// Ask one node.
    InfoRandomNode(InfoRequest),
    /// Ask whether any node answers.
    Ping,
}

impl Request {
    /// Whether it is about one record, and takes one exchange with one node after the other.
    pub fn is_single(&self) -> bool {
        match self {
            Request::Get(_)
            | Request::Select(_)
            | Request::Exists(_)
            | Request::Put(_)
            | Request::RemoveBin(_)
            | Request::Remove(_)
            | Request::Touch(_)
            | Request::Append(_)
            | Request::Prepend(_)
            | Request::Increment(_)
            | Request::Operate(_)
            | Request::OperateOrdered(_) => true,
            Request::BatchRead(_)
            | Request::BatchWrite(_)
            | Request::BatchOperate(_)
            | Request::BatchRemove(_)
            | Request::Truncate(_)
            | Request::InfoAll(_)
            | Request::InfoRandomNode(_)
            | Request::Ping => false,
        }
    }

    /// How long it may take in milliseconds, 0 for ever; nothing if its policy has no such limit.
    pub fn total_timeout(&self) -> Option<u32> {
        Some(match self {
            Request::Get(request) | Request::Select(request) | Request::Exists(request) => {
                request.policy.base_policy.total_timeout
            }
            Request::Put(request)
            | Request::RemoveBin(request)
            | Request::Append(request)
            | Request::Prepend(request)
            | Request::Increment(request) => request.policy.base_policy.total_timeout,
            Request::Remove(request) | Request::Touch(request) => {
                request.policy.base_policy.total_timeout
            }
            Request::Operate(request) | Request::OperateOrdered(request) => {
                request.policy.base_policy.total_timeout
            }
            Request::BatchRead(request) => request.policy.base_policy.total_timeout,
            Request::BatchWrite(request) => request.policy.base_policy.total_timeout,
            Request::BatchOperate(request) => request.policy.base_policy.total_timeout,
            Request::BatchRemove(request) => request.policy.base_policy.total_timeout,
            Request::Truncate(_)
            | Request::InfoAll(_)
            | Request::InfoRandomNode(_)
            | Request::Ping => return None,
        })
    }
}

/// How the retries of a batch write went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryInfo {
    /// Batches that were sent.
    pub attempts: u32,
    /// Batches that were allowed.
    pub max_attempts: u32,
    /// Whether the total time-out ended the retries.
    pub truncated_by_timeout: bool,
    /// Rows that still had a retryable failure at the end.
    pub unresolved: usize,
}

impl RetryInfo {
    /// A batch that was sent once.
    pub const SINGLE: RetryInfo = RetryInfo {
        attempts: 1,
        max_attempts: 1,
        truncated_by_timeout: false,
        unresolved: 0,
    };
}

/// The rows of a batch, in request order.
#[derive(Debug, Default)]
pub struct Rows {
    /// The rows.
    pub records: Vec<BatchRecord>,
    /// The code of rows without an outcome: why their node ended the batch before it came to them.
    pub unanswered: i32,
    kept: Kept,
    /// By row, whether an attempt before the last one may have written it; empty if there was none.
    doubtful: Vec<bool>,
}

/// Bins that have stayed in the bytes of their replies.
#[derive(Debug, Default)]
struct Kept {
    bins: KeptBins,
    /// By row, where its bins lie; empty if there are none.
    rows: Vec<Option<KeptRow>>,
}

/// The bins of a row.
#[derive(Debug, Clone)]
pub enum RowBins<'a> {
    /// As the driver has decoded them.
    Decoded(&'a IndexMap<String, Value>),
    /// As they came, to be read from the bytes of their reply.
    Kept(BytesOfBins<'a>),
}

impl Rows {
    /// Rows as the driver has decoded them; `unanswered` is the code of those without an outcome.
    pub fn new(records: Vec<BatchRecord>, unanswered: i32) -> Self {
        Rows {
            records,
            unanswered,
            kept: Kept::default(),
            doubtful: Vec::new(),
        }
    }

    /// The same rows with what earlier attempts at them may have written, row by row.
    pub fn with_doubts(mut self, doubtful: Vec<bool>) -> Self {
        self.doubtful = doubtful;
        self
    }

    /// The same rows with the bins that the driver has not seen.
    pub fn with_bins_of(mut self, replies: Replies) -> Self {
        if replies.is_empty() {
            return self;
        }
        let places = self.records.iter_mut().map(|row| {
            let record = row.record.as_mut()?;
            let (place, generation) = replies.row(record.generation)?;
            record.generation = generation;
            Some(place)
        });
        let rows: Vec<_> = places.collect();
        self.kept = Kept {
            bins: replies.into_bins(rows.iter().flatten().copied()),
            rows,
        };
        self
    }

    /// The bins of the row at `place`, if its record was found.
    #[inline]
    pub fn bins(&self, place: usize) -> Option<RowBins<'_>> {
        let record = Rows::found(self.records.get(place)?)?;
        Some(self.bins_beside_errors(place, record))
    }

    /// The bins of the record at `place`, even if its row has failed.
    #[inline]
    pub fn bins_beside_errors<'a>(&'a self, place: usize, record: &'a Record) -> RowBins<'a> {
        match self.kept.rows.get(place) {
            Some(Some(row)) => RowBins::Kept(self.kept.bins.of(*row)),
            _ => RowBins::Decoded(&record.bins),
        }
    }

    /// Bytes of memory, without what the driver's own records point to.
    pub fn held_bytes(&self) -> usize {
        self.records.capacity() * size_of::<BatchRecord>()
            + self.kept.rows.capacity() * size_of::<Option<KeptRow>>()
            + self.kept.bins.held_bytes()
    }

    /// The code of a row: 0 for success, the server's code, or a negative one of the client's.
    pub fn code(&self, row: &BatchRecord) -> i32 {
        match row.error() {
            Some(error) => failure_code(error),
            None if row.record.is_some() => 0,
            None => self.unanswered,
        }
    }

    /// Whether the row at `place` may have been written although it has failed.
    pub fn in_doubt(&self, place: usize) -> bool {
        let Some(row) = self.records.get(place) else {
            return false;
        };
        let before = self.doubtful.get(place).copied().unwrap_or_default();
        row.has_write()
            && match row.error() {
                Some(error) => before || failure_in_doubt(error),
                None => row.record.is_none() && (before || self.unanswered == TIMEOUT_CODE),
            }
    }

    /// The record of a row, if it was found.
    pub fn found(row: &BatchRecord) -> Option<&Record> {
        match row.error() {
            None => row.record.as_ref(),
            Some(_) => None,
        }
    }
}

/// One node's answer to an info command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAnswer {
    /// The node.
    pub name: String,
    /// 0, or why it could not be asked.
    pub code: i32,
    /// What it said, or what went wrong.
    pub response: String,
}

/// A record that was read.
#[derive(Debug)]
pub struct RecordReply {
    /// The key of the request.
    pub key: Key,
    /// The record.
    pub record: Record,
    /// Its bins, if they have stayed in the bytes of the reply.
    pub kept: Option<KeptRecord>,
}

/// The header of a record.
#[derive(Debug)]
pub struct HeaderReply {
    /// The key of the request.
    pub key: Key,
    /// The record without bins, if it exists.
    pub record: Option<Record>,
}

/// The answers of several steps on a record.
#[derive(Debug)]
pub struct OrderedReply {
    /// The key of the request.
    pub key: Key,
    /// The record; its bins have moved to the entries.
    pub record: Record,
    /// Bin names and values.
    pub entries: Vec<(String, Value)>,
}

/// What an operation yields.
#[derive(Debug)]
pub enum Reply {
    /// Nothing but success.
    Nothing,
    /// A record.
    Record(Box<RecordReply>),
    /// The header of a record, if it exists.
    Header(Box<HeaderReply>),
    /// The answers of several steps, in their order.
    Ordered(Box<OrderedReply>),
    /// The rows of a batch read.
    BatchRead(Rows),
    /// The rows of another batch.
    BatchWrite {
        /// The rows, in request order.
        rows: Rows,
        /// How retries went.
        retry: RetryInfo,
    },
    /// Every node's answer.
    InfoAll(Vec<NodeAnswer>),
    /// One node's answer.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

/// The largest time to live that numbers hold, which stands for "never expires".
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// Seconds until a record expires.
pub fn ttl_seconds(record: &Record) -> u32 {
    record.time_to_live().map_or(NEVER_EXPIRES, |left| {
        u32::try_from(left.as_secs()).unwrap_or(NEVER_EXPIRES)
    })
}
