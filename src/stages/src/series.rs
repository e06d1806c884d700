//! The durations of operations by what they were about and how they ended: a table per thread,
//! operation and lane. Its thread writes it without locks; anybody may read it meanwhile.
//!
//! How many combinations there are in the process is bounded. What comes later is counted under its
//! outcome alone, and says that it is the overflow.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockWriteGuard};

use crate::ends::PackedEnd;
use crate::facts::End;
use crate::histogram::Counts;
use crate::node::NodeId;
use crate::operation::{Lane, Operation, Outcome};
use crate::sparse::Sparse;
use crate::target::Target;

/// How many combinations of operation, lane, target, node and end are told apart in one process.
pub const CAPACITY: usize = 1_000;

/// Everything that tells one series from another, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

const STAGED: u64 = 1;
const MEASURED: u64 = 1 << 1;
const OVERFLOW: u64 = 1 << 2;

impl Key {
    /// The key of an operation whose stages were recorded (`staged`), and whose duration counts in
    /// the metrics (`measured`).
    #[inline]
    pub(crate) fn new(
        target: Target,
        node: NodeId,
        end: PackedEnd,
        staged: bool,
        measured: bool,
    ) -> Key {
        let recorded = (u64::from(staged) * STAGED) | (u64::from(measured) * MEASURED);
        let place = ((node.index() as u64) << 24) | (u64::from(target.index()) << 32);
        Key(recorded | (end.bits() << 8) | place)
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Key {
        Key(bits)
    }

    #[inline]
    pub(crate) const fn is_staged(self) -> bool {
        self.0 & STAGED != 0
    }

    #[inline]
    pub(crate) const fn is_measured(self) -> bool {
        self.0 & MEASURED != 0
    }

    const fn is_overflow(self) -> bool {
        self.0 & OVERFLOW != 0
    }

    #[inline]
    pub(crate) fn end(self) -> PackedEnd {
        PackedEnd::from_bits(self.0 >> 8 & 0xffff)
    }

    #[inline]
    pub(crate) fn outcome(self) -> Outcome {
        self.end().outcome
    }

    #[inline]
    pub(crate) fn node(self) -> NodeId {
        NodeId::from_index((self.0 >> 24) as usize & 0xff)
    }

    pub(crate) fn target(self) -> Target {
        Target::from_index((self.0 >> 32) as u16)
    }

    /// The same without how it was recorded.
    const fn identity(self) -> u64 {
        self.0 & !(STAGED | MEASURED)
    }

    fn overflown(self) -> Key {
        let plain = PackedEnd::plain(self.outcome());
        let kept = self.0 & (STAGED | MEASURED);
        Key(kept | OVERFLOW | plain.bits() << 8)
    }
}

/// One series at rest.
#[derive(Debug, Clone, Copy)]
pub struct SeriesTotals<'a> {
    /// What the operations were about.
    pub target: Target,
    /// Which node they talked to; none if it was several, or is not known.
    pub node: NodeId,
    /// How they ended.
    pub end: End,
    /// Whether these are operations that had no room among the others.
    pub overflow: bool,
    /// Their durations.
    pub durations: &'a Counts,
    identity: u64,
}

impl SeriesTotals<'_> {
    /// The key, without how it was recorded.
    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }
}

pub(crate) type Known = HashSet<(u8, u8, u64)>;

static KNOWN: RwLock<Option<Known>> = RwLock::new(None);

pub(crate) fn lock_known() -> RwLockWriteGuard<'static, Option<Known>> {
    KNOWN.write().unwrap_or_else(PoisonError::into_inner)
}

/// The key to count under: the same, if there is room for it.
#[cold]
fn admit(operation: Operation, lane: Lane, key: Key) -> Key {
    let name = (operation as u8, lane as u8, key.identity());
    {
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            if known.contains(&name) {
                return key;
            }
            if known.len() >= CAPACITY {
                return key.overflown();
            }
        }
    }
    let mut known = lock_known();
    let known = known.get_or_insert_default();
    if known.len() >= CAPACITY && !known.contains(&name) {
        return key.overflown();
    }
    known.insert(name);
    key
}

/// What an operation that has not been added yet will be counted under.
pub(crate) fn expected(operation: Operation, lane: Lane, key: Key) -> Key {
    let name = (operation as u8, lane as u8, key.identity());
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    match &*known {
        Some(known) if known.len() >= CAPACITY && !known.contains(&name) => key.overflown(),
        _ => key,
    }
}

struct Entry {
    key: Key,
    durations: Sparse,
}

/// Entries are made in blocks of doubling size and never move.
const FIRST: usize = 4;
const BLOCKS: usize = 11;

/// The series of one operation on one lane, as one thread has seen them.
pub(crate) struct Series {
    blocks: [OnceLock<Box<[OnceLock<Entry>]>>; BLOCKS],
    length: AtomicU64,
    /// Where entries are found by key: tables of doubling size, of which the last is in use. A slot
    /// has the number of an entry plus one.
    slots: [OnceLock<Box<[AtomicU64]>>; BLOCKS],
    /// The number of the entry that was used last.
    last: AtomicU64,
}

impl Default for Series {
    fn default() -> Self {
        Series {
            blocks: Default::default(),
            length: AtomicU64::new(0),
            slots: Default::default(),
            last: AtomicU64::new(0),
        }
    }
}

/// Which block an entry is in, and where.
fn place(number: usize) -> (usize, usize) {
    let block = (number / FIRST + 1).ilog2() as usize;
    (block, number - FIRST * ((1 << block) - 1))
}

impl Series {
    fn len(&self) -> usize {
        self.length.load(Ordering::Acquire) as usize
    }

    fn entry(&self, number: usize) -> Option<&Entry> {
        let (block, offset) = place(number);
        self.blocks.get(block)?.get()?.get(offset)?.get()
    }

    /// Where the durations of a key are added. Only the thread that owns the table may call it.
    pub(crate) fn of(&self, operation: Operation, lane: Lane, key: Key) -> Option<&Sparse> {
        let last = self.entry(self.last.load(Ordering::Relaxed) as usize);
        match last.filter(|entry| entry.key == key) {
            Some(entry) => Some(&entry.durations),
            None => self.elsewhere(operation, lane, key),
        }
    }

    fn elsewhere(&self, operation: Operation, lane: Lane, key: Key) -> Option<&Sparse> {
        let found = self.find(key).or_else(|| {
            let admitted = admit(operation, lane, key);
            self.find(admitted).or_else(|| self.insert(admitted))
        });
        let (number, entry) = found?;
        self.last.store(number as u64, Ordering::Relaxed);
        Some(&entry.durations)
    }

    fn slots_of(&self, length: usize) -> Option<&[AtomicU64]> {
        let (level, _) = place(length.saturating_sub(1));
        let size = FIRST << (level + 2);
        let slots = self.slots.get(level)?.get_or_init(|| {
            let slots: Box<[AtomicU64]> = (0..size).map(|_| AtomicU64::new(0)).collect();
            for number in 0..length.saturating_sub(1) {
                if let Some(entry) = self.entry(number) {
                    put(&slots, entry.key, number);
                }
            }
            slots
        });
        Some(slots)
    }

    fn find(&self, key: Key) -> Option<(usize, &Entry)> {
        let slots = self.slots_of(self.len())?;
        for slot in probe(slots, key) {
            let number = slot.load(Ordering::Relaxed).checked_sub(1)? as usize;
            let entry = self.entry(number)?;
            if entry.key == key {
                return Some((number, entry));
            }
        }
        None
    }

    fn insert(&self, key: Key) -> Option<(usize, &Entry)> {
        let number = self.len();
        let slots = self.slots_of(number + 1)?;
        let (block, offset) = place(number);
        let entries = self
            .blocks
            .get(block)?
            .get_or_init(|| (0..FIRST << block).map(|_| OnceLock::new()).collect());
        let entry = entries.get(offset)?.get_or_init(|| Entry {
            key,
            durations: Sparse::default(),
        });
        put(slots, key, number);
        self.length.store(number as u64 + 1, Ordering::Release);
        Some((number, entry))
    }

    /// Calls `visit` with every key and its durations.
    pub(crate) fn visit(&self, mut visit: impl FnMut(Key, &Sparse)) {
        for number in 0..self.len() {
            if let Some(entry) = self.entry(number) {
                visit(entry.key, &entry.durations);
            }
        }
    }
}

/// The slots in which a key may be, one after the other.
fn probe(slots: &[AtomicU64], key: Key) -> impl Iterator<Item = &AtomicU64> {
    let mixed = key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let first = (mixed >> 32) as usize % slots.len();
    slots[first..].iter().chain(&slots[..first])
}

fn put(slots: &[AtomicU64], key: Key, number: usize) {
    if let Some(free) = probe(slots, key).find(|slot| slot.load(Ordering::Relaxed) == 0) {
        free.store(number as u64 + 1, Ordering::Relaxed);
    }
}

/// The series of a copy at rest.
#[derive(Debug, Clone, Default)]
pub struct SeriesMap(BTreeMap<u64, Counts>);

impl SeriesMap {
    pub(crate) fn of(&mut self, key: Key) -> &mut Counts {
        self.0.entry(key.identity()).or_default()
    }

    pub(crate) fn merge(&mut self, other: &SeriesMap) {
        for (key, durations) in &other.0 {
            self.0.entry(*key).or_default().merge(durations);
        }
    }

    /// Every series.
    pub fn iter(&self) -> impl Iterator<Item = SeriesTotals<'_>> {
        self.0.iter().map(|(key, durations)| {
            let key = Key::from_bits(*key);
            SeriesTotals {
                target: key.target(),
                node: key.node(),
                end: key.end().unpack(),
                overflow: key.is_overflow(),
                durations,
                identity: key.identity(),
            }
        })
    }
}

#[cfg(test)]
mod tests;
