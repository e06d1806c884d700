//! Scans of whole namespaces or sets, partition by partition, resumable after any record.

use std::time::Duration;

use super::read::{put_bin, set_op_count};
use super::{namespace_of, refuse_unsupported, MAX_REPLY_SIZE};
use crate::store::{clock, Namespace, Record};
use crate::wire::message::{Message, Ops};
use crate::wire::reply::{put_field, put_header, put_last, put_partition_done, ReplyHeader};
use crate::wire::{code, field, flags, op, partition_of, Digest, DIGEST_SIZE, PARTITIONS};

/// A scan limited in records per second pauses this many times a second.
const PAUSES_PER_SECOND: u32 = 20;

/// One partition to scan.
struct Share {
    partition: u16,
    /// Records up to and including this digest have been sent before.
    after: Option<Digest>,
    served: bool,
}

/// A scan on its way through the server.
pub(crate) struct ScanRun<'a> {
    set: Option<&'a [u8]>,
    bins: Ops<'a>,
    no_bin_data: bool,
    report_partitions: bool,
    shares: std::vec::IntoIter<Share>,
    /// What is left of the partition in hand, in reverse order.
    digests: Vec<Digest>,
    current: Option<u16>,
    records_left: u64,
    records_per_second: u32,
}

/// Whether a scan has more to send, and how long it must wait before it goes on.
pub(crate) enum ScanProgress {
    Ended,
    Continues { pause: Option<Duration> },
}

impl<'a> ScanRun<'a> {
    /// A scan of the partitions the message lists, or of those the node is master of if it lists none.
    pub(crate) fn new(message: &Message<'a>, holdings: &[Option<usize>]) -> Self {
        let (fields, listed) = (&message.fields, shares(message, holdings));
        ScanRun {
            set: fields.set,
            bins: message.ops,
            no_bin_data: message.info1 & flags::INFO1_NO_BIN_DATA != 0,
            report_partitions: message.info3 & flags::INFO3_PARTITION_DONE != 0,
            shares: listed.into_iter(),
            digests: Vec::new(),
            current: None,
            records_left: match fields.max_records {
                0 => u64::MAX,
                limit => limit,
            },
            records_per_second: fields.records_per_second,
        }
    }

    /// The result code of a scan this server cannot run.
    pub(crate) fn refusal(message: &Message<'_>, namespaces: &[Namespace]) -> Option<u8> {
        if namespace_of(namespaces, &message.fields).is_none() {
            return Some(code::NAMESPACE);
        }
        if let Err(result) = refuse_unsupported(message.fields.asks) {
            return Some(result);
        }
        if message.fields.asks.index {
            return Some(code::INDEX_NOT_FOUND);
        }
        let only_reads = message.ops.iter().all(|wanted| wanted.op == op::READ);
        (message.info2 & flags::INFO2_WRITE != 0 || !only_reads)
            .then_some(code::UNSUPPORTED_FEATURE)
    }

    /// Appends reply messages until `limit` bytes are reached or the scan has ended.
    pub(crate) fn fill(
        &mut self,
        namespace: &Namespace,
        out: &mut Vec<u8>,
        limit: usize,
    ) -> ScanProgress {
        let quota = match self.records_per_second {
            0 => u64::MAX,
            rate => u64::from(rate.div_ceil(PAUSES_PER_SECOND)),
        };
        let mut sent = 0;
        while out.len() < limit && sent < quota {
            if self.records_left == 0 {
                put_last(out, code::OK, 0);
                return ScanProgress::Ended;
            }
            let Some(partition) = self.current else {
                if self.open_next(namespace, out) {
                    continue;
                }
                put_last(out, code::OK, 0);
                return ScanProgress::Ended;
            };
            match self.digests.pop() {
                Some(digest) => match self.put_record(namespace, &digest, out) {
                    Ok(true) => {
                        sent += 1;
                        self.records_left -= 1;
                    }
                    Ok(false) => {}
                    Err(result) => {
                        put_last(out, result, 0);
                        return ScanProgress::Ended;
                    }
                },
                None => {
                    self.current = None;
                    if self.report_partitions {
                        put_partition_done(out, partition, true);
                    }
                }
            }
        }
        ScanProgress::Continues {
            pause: pause_after(sent, self.records_per_second),
        }
    }

    fn open_next(&mut self, namespace: &Namespace, out: &mut Vec<u8>) -> bool {
        let Some(share) = self.shares.next() else {
            return false;
        };
        let held = namespace
            .partition_by_id(share.partition)
            .filter(|_| share.served);
        let Some(partition) = held else {
            put_partition_done(out, share.partition, false);
            return true;
        };
        self.digests = partition
            .lock()
            .keys()
            .filter(|digest| share.after.is_none_or(|after| **digest > after))
            .copied()
            .collect();
        self.digests.sort_unstable_by(|a, b| b.cmp(a));
        self.current = Some(share.partition);
        true
    }

    /// Appends a record's message, if the record is there and wanted.
    fn put_record(
        &self,
        namespace: &Namespace,
        digest: &Digest,
        out: &mut Vec<u8>,
    ) -> Result<bool, u8> {
        let partition = namespace.partition(digest).lock();
        let Some(record) = partition.get(digest) else {
            return Ok(false);
        };
        let wanted = self.set.is_none_or(|set| record.is_in_set(set));
        if !wanted || record.is_expired(clock::now_seconds()) {
            return Ok(false);
        }
        let header = out.len();
        put_record_header(namespace, digest, record, out);
        let mut ops = 0;
        if !self.no_bin_data && self.bins.is_empty() {
            out.extend_from_slice(record.bins.wire());
            ops = record.bins.count();
        } else if !self.no_bin_data {
            for wanted in self.bins.iter() {
                ops += put_bin(out, &record.bins, wanted.name, false);
                if out.len() > MAX_REPLY_SIZE {
                    out.truncate(header);
                    return Err(code::RECORD_TOO_BIG);
                }
            }
        }
        set_op_count(out, header, ops);
        Ok(true)
    }
}

fn put_record_header(namespace: &Namespace, digest: &Digest, record: &Record, out: &mut Vec<u8>) {
    let fields = 2 + u16::from(record.set.is_some()) + u16::from(record.key.is_some());
    put_header(
        out,
        ReplyHeader {
            generation: u32::from(record.generation),
            void_time: record.void_time,
            fields,
            ..ReplyHeader::default()
        },
    );
    put_field(out, field::NAMESPACE, namespace.name().as_bytes());
    if let Some(set) = &record.set {
        put_field(out, field::SET, set);
    }
    put_field(out, field::DIGEST, digest);
    if let Some(key) = &record.key {
        put_field(out, field::KEY, key);
    }
}

fn shares(message: &Message<'_>, holdings: &[Option<usize>]) -> Vec<Share> {
    let held = |partition: u16| {
        holdings
            .get(usize::from(partition))
            .is_some_and(Option::is_some)
    };
    let whole = |partition: u16| Share {
        partition,
        after: None,
        served: held(partition),
    };
    let (pids, digests) = (message.fields.partitions, message.fields.digests);
    if pids.is_none() && digests.is_none() {
        let mastered = (0..PARTITIONS as u16)
            .filter(|&partition| holdings.get(usize::from(partition)) == Some(&Some(0)));
        return mastered.map(whole).collect();
    }
    let listed = pids
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|pid| whole(u16::from_le_bytes([pid[0], pid[1]])));
    let resumed = digests
        .unwrap_or_default()
        .chunks_exact(DIGEST_SIZE)
        .filter_map(|chunk| {
            let digest: Digest = chunk.try_into().ok()?;
            let partition = partition_of(&digest) as u16;
            Some(Share {
                after: Some(digest),
                ..whole(partition)
            })
        });
    listed.chain(resumed).collect()
}

fn pause_after(sent: u64, records_per_second: u32) -> Option<Duration> {
    (records_per_second > 0 && sent > 0)
        .then(|| Duration::from_secs_f64(sent as f64 / f64::from(records_per_second)))
}
