//! The operations of `benchmark/harness/operations.py`: which records they ask for, in which order, and their outcomes.

use std::sync::atomic::{AtomicUsize, Ordering};

use aerospike_core::ErrorKind;
use aerospike_core::{
    BatchOperation, BatchPolicy, BatchReadPolicy, Bin, Bins, Client, Key, ReadPolicy, Record,
    ResultCode, WritePolicy,
};
use futures_util::future::try_join_all;
use serde_json::Value as Json;

use super::data::{mix, Space};
use super::Server;
use crate::Fallible;

pub const OUTCOMES: [&str; 6] = [
    "read",
    "update",
    "not_found",
    "error",
    "timeout",
    "unfinished",
];
pub const READ: usize = 0;
pub const UPDATE: usize = 1;
pub const NOT_FOUND: usize = 2;
pub const ERROR: usize = 3;
pub const TIMEOUT: usize = 4;
pub const UNFINISHED: usize = 5;

const KEYS: u64 = 200_000;
const MOST_STEPS: u64 = 4_096;
const LEAST_STEPS: u64 = 4;
const STRIDE: u64 = 7_919;
const PARTS: u64 = 10_000;
const OPERATION_SALT: u64 = 0xA5A5_0001;
const MISSING_SALT: u64 = 0xA5A5_0002;

/// What every operation of a workload does.
pub struct Work {
    kind: String,
    pub space: Space,
    batch: u64,
    mode: String,
    reads: f64,
    missing: f64,
}

impl Work {
    pub fn parse(fields: &Json) -> Fallible<Self> {
        let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
        if text("result") != "dict" {
            return Err("there are no other results than records here".into());
        }
        Ok(Self {
            kind: text("kind"),
            space: Space::parse(&fields["space"])?,
            batch: fields["batch"].as_u64().unwrap_or_default(),
            mode: text("mode"),
            reads: fields["reads"].as_f64().ok_or("how many reads?")?,
            missing: fields["missing"].as_f64().ok_or("how many missing?")?,
        })
    }

    fn sets(&self) -> u64 {
        if self.kind == "request" {
            self.space.sets
        } else {
            1
        }
    }

    fn steps(&self, slots: u64) -> u64 {
        let keys = match self.kind.as_str() {
            "request" | "batch" => self.sets() * self.batch,
            _ => 1,
        };
        (KEYS / (keys * slots)).clamp(LEAST_STEPS, MOST_STEPS)
    }

    fn single(&self, slot: u64, step: u64) -> (usize, u64) {
        let place = (slot << 32) + step;
        let number = mix(place) % self.space.records;
        if (mix(place ^ OPERATION_SALT) % PARTS) as f64 >= self.reads * PARTS as f64 {
            (UPDATE, number)
        } else if ((mix(place ^ MISSING_SALT) % PARTS) as f64) < self.missing * PARTS as f64 {
            (NOT_FOUND, number)
        } else {
            (READ, number)
        }
    }

    fn batch_keys(&self, slot: u64, step: u64, set: u64) -> Fallible<Vec<Key>> {
        let first = mix((slot << 32) + (step << 8) + set) % self.space.records;
        (0..self.batch)
            .map(|place| {
                self.space
                    .key(set, (first + place * STRIDE) % self.space.records)
            })
            .collect()
    }
}

enum Step {
    Read(Key),
    Write(Key, Vec<Bin>),
    Cold(Key),
    Batches(Vec<Vec<Key>>),
}

/// What an operation found. Boxing a record would add to what is measured.
#[allow(clippy::large_enum_variant)]
pub enum Found {
    Written,
    Missing,
    Record(Record),
    Batch(Vec<BatchOperation>),
}

impl Found {
    pub fn outcome(&self) -> usize {
        match self {
            Found::Written => UPDATE,
            Found::Missing => NOT_FOUND,
            Found::Record(_) | Found::Batch(_) => READ,
        }
    }
}

/// The operations of one thread or task, one after the other and over again.
pub struct Operations {
    steps: Vec<Step>,
    next: AtomicUsize,
    in_turn: bool,
    server: Server,
    read: ReadPolicy,
    write: WritePolicy,
    batch: BatchPolicy,
    batch_read: BatchReadPolicy,
}

impl Operations {
    pub fn prepare(work: &Work, server: &Server, slot: u64, slots: u64) -> Fallible<Self> {
        let mut steps = Vec::new();
        for step in 0..work.steps(slots) {
            steps.push(match work.kind.as_str() {
                "single" | "cold" => {
                    let (outcome, number) = work.single(slot, step);
                    let missing = if outcome == NOT_FOUND {
                        work.space.records
                    } else {
                        0
                    };
                    let key = work.space.key(0, missing + number)?;
                    match (work.kind.as_str(), outcome) {
                        ("cold", _) => Step::Cold(key),
                        (_, UPDATE) => Step::Write(key, work.space.bins(number)?),
                        _ => Step::Read(key),
                    }
                }
                "batch" | "request" => {
                    let batches = (0..work.sets()).map(|set| work.batch_keys(slot, step, set));
                    let batches = batches.collect::<Fallible<Vec<_>>>()?;
                    Step::Batches(if work.mode == "merged" {
                        vec![batches.concat()]
                    } else {
                        batches
                    })
                }
                other => return Err(format!("no operation is called {other:?}").into()),
            });
        }
        let mut operations = Self {
            steps,
            next: AtomicUsize::new(0),
            in_turn: work.mode == "sequential",
            server: server.clone(),
            read: ReadPolicy::default(),
            write: WritePolicy::default(),
            batch: BatchPolicy::default(),
            batch_read: BatchReadPolicy::default(),
        };
        if server.lifted {
            for policy in [
                &mut operations.read.base_policy,
                &mut operations.write.base_policy,
                &mut operations.batch.base_policy,
            ] {
                policy.total_timeout = 0;
                policy.socket_timeout = 0;
            }
        }
        Ok(operations)
    }

    /// Does the next operation.
    pub async fn next(&self, client: &Client) -> Fallible<Found> {
        let step = self.next.fetch_add(1, Ordering::Relaxed) % self.steps.len();
        match &self.steps[step] {
            Step::Read(key) => self.get(client, key).await,
            Step::Write(key, bins) => {
                client.put(&self.write, key, bins).await?;
                Ok(Found::Written)
            }
            Step::Cold(key) => {
                let client = self.server.connect().await?;
                let found = self.get(&client, key).await;
                client.close().await?;
                found
            }
            Step::Batches(batches) => {
                let mut rows = Vec::new();
                if self.in_turn {
                    for keys in batches {
                        rows.append(&mut self.read_batch(client, keys).await?);
                    }
                } else {
                    let gathered = batches.iter().map(|keys| self.read_batch(client, keys));
                    rows = try_join_all(gathered)
                        .await?
                        .into_iter()
                        .flatten()
                        .collect();
                }
                if rows.iter().any(|row| row.record().is_none()) {
                    return Err("a batch lacks records".into());
                }
                Ok(Found::Batch(rows))
            }
        }
    }

    async fn get(&self, client: &Client, key: &Key) -> Fallible<Found> {
        match client.get(&self.read, key, Bins::All).await {
            Ok(record) => Ok(Found::Record(record)),
            Err(error) if error.server_result_code() == Some(ResultCode::KeyNotFoundError) => {
                Ok(Found::Missing)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn read_batch(&self, client: &Client, keys: &[Key]) -> Fallible<Vec<BatchOperation>> {
        let mut rows: Vec<_> = keys
            .iter()
            .map(|key| BatchOperation::read(&self.batch_read, key.clone(), Bins::All))
            .collect();
        client.batch(&self.batch, &mut rows).await?;
        Ok(rows)
    }
}

/// Whether an error says that there was not enough time.
pub fn timed_out(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<aerospike_core::Error>()
        .is_some_and(|error| {
            matches!(error.kind(), ErrorKind::Timeout)
                || error.server_result_code() == Some(ResultCode::Timeout)
        })
}
