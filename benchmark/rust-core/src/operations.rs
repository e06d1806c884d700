//! What an operation is: the keys in order, the call of the driver, and its result as the protocol's JSON.

use aerospike_core::{
    BatchOperation, BatchPolicy, BatchReadPolicy, Bin, Bins, Client, Key, ReadPolicy, Record,
    Value, WritePolicy,
};
use futures_util::future::try_join_all;
use serde_json::{json, Value as Json};

use crate::Fallible;

const NAMESPACE: &str = "test";
const WRITTEN: &str = "lanes_written";
const SETS: usize = 9;
const RECORDS_PER_SET: usize = 1_000;
const KEYS_PER_BATCH: usize = 200;
const STRIDE: usize = 389;
const SLOT_STRIDE: usize = 97;

/// What one operation does.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Get,
    Put,
    Mixed,
    Batch,
    Gathered,
    Single,
}

impl Kind {
    pub fn parse(name: &str) -> Fallible<Self> {
        Ok(match name {
            "get" => Kind::Get,
            "put" => Kind::Put,
            "mixed" => Kind::Mixed,
            "batch" => Kind::Batch,
            "gathered" => Kind::Gathered,
            "single" => Kind::Single,
            _ => return Err(format!("no operation is called {name:?}").into()),
        })
    }
}

/// What an operation found. Boxing a record would add to what is measured.
#[allow(clippy::large_enum_variant)]
pub enum Found {
    Nothing,
    Record(Record),
    Batch(Vec<BatchOperation>),
}

/// The operations of one thread or task, one after the other and over again.
pub struct Operations {
    kind: Kind,
    step: usize,
    reads: Vec<Key>,
    writes: Vec<(Key, Vec<Bin>)>,
    requests: Vec<Vec<Vec<Key>>>,
    read: ReadPolicy,
    write: WritePolicy,
    batch: BatchPolicy,
    batch_read: BatchReadPolicy,
}

fn number_at(slot: usize, step: usize) -> usize {
    (step * STRIDE + slot * SLOT_STRIDE) % RECORDS_PER_SET
}

fn key(set: &str, set_index: usize, number: usize) -> Fallible<Key> {
    let user_key = Value::from(format!("user-{set_index}-{number:04}"));
    Ok(Key::new(NAMESPACE, set, user_key)?)
}

impl Operations {
    /// Prepares keys, and bins as they are stored: they are what the other clients write, too.
    pub async fn prepare(client: &Client, kind: Kind, slot: usize) -> Fallible<Self> {
        let numbers: Vec<usize> = (0..RECORDS_PER_SET)
            .map(|step| number_at(slot, step))
            .collect();
        let mut operations = Self {
            kind,
            step: 0,
            reads: Vec::new(),
            writes: Vec::new(),
            requests: Vec::new(),
            read: ReadPolicy::default(),
            write: WritePolicy::default(),
            batch: BatchPolicy::default(),
            batch_read: BatchReadPolicy::default(),
        };
        if matches!(kind, Kind::Get | Kind::Put | Kind::Mixed) {
            for &number in &numbers {
                operations.reads.push(key("lanes_0", 0, number)?);
            }
        }
        if matches!(kind, Kind::Put | Kind::Mixed) {
            for (&number, stored) in numbers.iter().zip(&operations.reads) {
                let record = client.get(&operations.read, stored, Bins::All).await?;
                let bins = record
                    .bins
                    .into_iter()
                    .map(|(name, value)| Bin::new(name, value));
                operations
                    .writes
                    .push((key(WRITTEN, 0, number)?, bins.collect()));
            }
        }
        for numbers in numbers.chunks(KEYS_PER_BATCH) {
            let sets = match kind {
                Kind::Batch => 1,
                Kind::Gathered | Kind::Single => SETS,
                Kind::Get | Kind::Put | Kind::Mixed => break,
            };
            let mut request = Vec::new();
            for set_index in 0..sets {
                let set = format!("lanes_{set_index}");
                let keys = numbers.iter().map(|&number| key(&set, set_index, number));
                request.push(keys.collect::<Fallible<Vec<Key>>>()?);
            }
            operations.requests.push(match kind {
                Kind::Single => vec![request.concat()],
                _ => request,
            });
        }
        Ok(operations)
    }

    /// Does the next operation.
    pub async fn next(&mut self, client: &Client) -> Fallible<Found> {
        let step = self.step;
        self.step += 1;
        match self.kind {
            Kind::Get => self.get(client, step).await,
            Kind::Put => self.put(client, step).await,
            Kind::Mixed if step.is_multiple_of(2) => self.get(client, step / 2).await,
            Kind::Mixed => self.put(client, step / 2).await,
            Kind::Batch | Kind::Gathered | Kind::Single => {
                let request = &self.requests[step % self.requests.len()];
                let batches = request.iter().map(|keys| self.read_batch(client, keys));
                Ok(Found::Batch(
                    try_join_all(batches).await?.into_iter().flatten().collect(),
                ))
            }
        }
    }

    async fn get(&self, client: &Client, step: usize) -> Fallible<Found> {
        let key = &self.reads[step % self.reads.len()];
        let record = client.get(&self.read, key, Bins::All).await?;
        Ok(Found::Record(record))
    }

    async fn put(&self, client: &Client, step: usize) -> Fallible<Found> {
        let (key, bins) = &self.writes[step % self.writes.len()];
        client.put(&self.write, key, bins).await?;
        Ok(Found::Nothing)
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

/// A result as the JSON that says what kind every value is.
pub fn plain(found: &Found) -> Json {
    match found {
        Found::Nothing => Json::Null,
        Found::Record(record) => plain_record(record),
        Found::Batch(rows) => plain_map(rows.iter().filter_map(|row| {
            let name = row.batch_record().key.user_key().map(plain_value)?;
            Some((name, row.record().map_or(Json::Null, plain_record)))
        })),
    }
}

pub fn plain_record(record: &Record) -> Json {
    plain_map(
        record
            .bins
            .iter()
            .map(|(name, value)| (json!(name), plain_value(value))),
    )
}

pub fn plain_map(entries: impl Iterator<Item = (Json, Json)>) -> Json {
    let mut entries: Vec<(Json, Json)> = entries.collect();
    entries.sort_by_cached_key(|(name, _)| name.to_string());
    json!({ "map": entries })
}

pub fn plain_value(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) => json!(f64::from(value)),
        Value::String(value) => json!(value),
        Value::Blob(value) => {
            json!({ "bytes": value.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })
        }
        other => json!({ "unexpected": format!("{other:?}") }),
    }
}
