//! Records in memory: namespaces of 4096 partitions, each behind its own lock. What commands mean is in `exec`.

pub(crate) mod bins;
pub(crate) mod clock;

use std::collections::hash_map::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::options::NamespaceOptions;
use crate::wire::{partition_of, Digest, PARTITIONS};
use bins::Bins;

/// Most sets in one namespace.
const MAX_SETS: usize = 4095;

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) generation: u16,
    /// Seconds since the Aerospike epoch after which the record is gone; zero for never.
    pub(crate) void_time: u32,
    /// Milliseconds since the Aerospike epoch.
    pub(crate) last_update: u64,
    pub(crate) set: Option<Arc<[u8]>>,
    /// Particle type followed by the user key's bytes, if the writer sent it.
    pub(crate) key: Option<Box<[u8]>>,
    pub(crate) bins: Bins,
}

impl Record {
    /// Whether the record's life is over at `now` (seconds since the Aerospike epoch).
    pub(crate) fn is_expired(&self, now: u32) -> bool {
        self.void_time != 0 && self.void_time < now
    }

    pub(crate) fn is_in_set(&self, set: &[u8]) -> bool {
        self.set.as_deref() == Some(set)
    }
}

/// Digests are hashes already: eight of their bytes are the table's hash.
#[derive(Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(chunk) = bytes.get(4..12).and_then(|part| part.try_into().ok()) {
            self.0 = u64::from_le_bytes(chunk);
        }
    }

    // Hashing an array feeds its length first; it is the same for every digest.
    fn write_usize(&mut self, _length: usize) {}
}

/// The records of one partition.
pub(crate) type Partition = HashMap<Digest, Record, BuildHasherDefault<DigestHasher>>;

/// One namespace.
pub(crate) struct Namespace {
    pub(crate) options: NamespaceOptions,
    partitions: Vec<Mutex<Partition>>,
    /// Names in the order of their first use: each is stored once.
    sets: RwLock<Vec<Arc<[u8]>>>,
}

impl Namespace {
    pub(crate) fn new(options: NamespaceOptions) -> Self {
        Namespace {
            options,
            partitions: (0..PARTITIONS).map(|_| Mutex::default()).collect(),
            sets: RwLock::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.options.name
    }

    /// The partition that holds `digest`.
    pub(crate) fn partition(&self, digest: &Digest) -> &Mutex<Partition> {
        &self.partitions[partition_of(digest)]
    }

    /// The partition with this id, if there is one.
    pub(crate) fn partition_by_id(&self, id: u16) -> Option<&Mutex<Partition>> {
        self.partitions.get(usize::from(id))
    }

    /// The stored form of a set's name, known from its first use on; none if there are too many sets already.
    pub(crate) fn intern_set(&self, name: &[u8]) -> Option<Arc<[u8]>> {
        let known = |sets: &[Arc<[u8]>]| sets.iter().find(|set| set.as_ref() == name).cloned();
        if let Some(set) = known(&self.sets.read()) {
            return Some(set);
        }
        let mut sets = self.sets.write();
        if let Some(set) = known(&sets) {
            return Some(set);
        }
        if sets.len() == MAX_SETS {
            return None;
        }
        let set: Arc<[u8]> = name.into();
        sets.push(Arc::clone(&set));
        Some(set)
    }

    /// Names of the sets ever written to.
    pub(crate) fn set_names(&self) -> Vec<Arc<[u8]>> {
        self.sets.read().clone()
    }

    /// Number of live records, of one set or of all.
    pub(crate) fn count(&self, set: Option<&[u8]>) -> usize {
        let now = clock::now_seconds();
        let live = |record: &&Record| {
            !record.is_expired(now) && set.is_none_or(|set| record.is_in_set(set))
        };
        self.partitions
            .iter()
            .map(|partition| partition.lock().values().filter(live).count())
            .sum()
    }

    /// Bytes of the bins and keys stored, of one set or of all.
    pub(crate) fn bytes_used(&self, set: Option<&[u8]>) -> usize {
        let size = |record: &Record| {
            record.bins.wire().len() + record.key.as_ref().map_or(0, |key| key.len())
        };
        let wanted = |record: &&Record| set.is_none_or(|set| record.is_in_set(set));
        self.partitions
            .iter()
            .map(|partition| {
                partition
                    .lock()
                    .values()
                    .filter(wanted)
                    .map(size)
                    .sum::<usize>()
            })
            .sum()
    }

    /// Removes the records, of one set or of all, that were last written before `before` (milliseconds since the
    /// Aerospike epoch), or all of them.
    pub(crate) fn truncate(&self, set: Option<&[u8]>, before: Option<u64>) {
        for partition in &self.partitions {
            partition.lock().retain(|_, record| {
                let spared = before.is_some_and(|before| record.last_update >= before);
                spared || set.is_some_and(|set| !record.is_in_set(set))
            });
        }
    }
}
