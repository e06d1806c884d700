//! Where the bins of an operation's replies are kept, and the tags by which their rows are found.
//!
//! The driver passes a record's generation on as it is, 32 bits wide, though servers fill only 16
//! of them. A tag takes its place and says where the bins lie and what the real generation is.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::particle::Bins;

/// Marks a generation as a tag.
const TAG: u32 = 1 << 31;
/// Bits of a tag that number the slots of a segment.
const SLOT_BITS: u32 = 16;
/// Most slots of a segment.
pub(super) const MAX_SLOTS: usize = 1 << SLOT_BITS;
/// Most segments of an operation; what comes after them is left to the driver.
const MAX_SEGMENTS: u32 = TAG >> SLOT_BITS;

static LATE_BYTES: AtomicU64 = AtomicU64::new(0);

/// Bytes of replies, in this process, that came after their operation had ended and were dropped.
#[must_use]
pub fn late_bytes() -> u64 {
    LATE_BYTES.load(Ordering::Relaxed)
}

/// Where the bins of one record lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) start: u32,
    pub(super) bins: u16,
    pub(super) generation: u32,
}

/// The number of a segment, which its tags are made from before it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentId(u16);

impl SegmentId {
    pub(super) fn tag(self, slot: u16) -> u32 {
        TAG | (u32::from(self.0) << SLOT_BITS) | u32::from(slot)
    }
}

#[derive(Debug)]
struct Segment {
    id: SegmentId,
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
struct State {
    ended: bool,
    segments: Vec<Segment>,
}

/// Gathers the bins of one operation's replies, from as many connections as it uses.
#[derive(Debug, Default)]
pub struct Sink {
    next: AtomicU32,
    state: Mutex<State>,
}

impl Sink {
    /// An empty sink.
    #[must_use]
    pub fn new() -> Self {
        Sink::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under this lock can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for the next segment, unless the operation has had as many as can be told apart.
    pub(super) fn begin(&self) -> Option<SegmentId> {
        let number = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (next < MAX_SEGMENTS).then_some(next + 1)
            });
        number
            .ok()
            .and_then(|number| u16::try_from(number).ok())
            .map(SegmentId)
    }

    /// Keeps a segment, if the operation still wants it.
    pub(super) fn keep(&self, id: SegmentId, mut bytes: Vec<u8>, slots: Vec<Slot>) {
        // What is kept takes no more than twice what was received.
        if bytes.len() < bytes.capacity() / 2 {
            bytes.shrink_to_fit();
        }
        let mut state = self.state();
        if state.ended {
            drop(state);
            LATE_BYTES.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return;
        }
        state.segments.push(Segment { id, bytes, slots });
    }

    /// Ends the operation: hands out what was kept, and drops what may still arrive.
    #[must_use]
    pub fn end(&self) -> Replies {
        let mut state = self.state();
        state.ended = true;
        let segments = std::mem::take(&mut state.segments);
        drop(state);
        Replies { segments }
    }
}

/// What an operation's sink has gathered.
#[derive(Debug)]
pub struct Replies {
    segments: Vec<Segment>,
}

/// Where the bins of a row lie in [`KeptBins`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRow {
    segment: u16,
    bins: u16,
    start: u32,
}

impl Replies {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// What a record's generation stands for: the bins of a row, and its real generation. `None`
    /// for a generation that is no tag of this operation.
    #[must_use]
    pub fn row(&self, generation: u32) -> Option<(KeptRow, u32)> {
        let tag = (generation & TAG != 0).then_some(generation & !TAG)?;
        let id = tag >> SLOT_BITS;
        // Segments are mostly kept in the order in which they were begun.
        let place = usize::try_from(id).ok()?;
        let fits = |segment: &Segment| u32::from(segment.id.0) == id;
        let place = match self.segments.get(place) {
            Some(segment) if fits(segment) => place,
            _ => self.segments.iter().position(fits)?,
        };
        let slot = tag as usize & (MAX_SLOTS - 1);
        let slot = self.segments.get(place)?.slots.get(slot)?;
        let row = KeptRow {
            segment: u16::try_from(place).ok()?,
            bins: slot.bins,
            start: slot.start,
        };
        Some((row, slot.generation))
    }

    /// What the generation of the only record stands for: its bins, and its real generation. `None` for
    /// a generation that is no tag of this operation.
    #[must_use]
    pub fn take(mut self, generation: u32) -> Option<(KeptRecord, u32)> {
        let (row, generation) = self.row(generation)?;
        let segment = self.segments.get_mut(usize::from(row.segment))?;
        let record = KeptRecord {
            bytes: std::mem::take(&mut segment.bytes),
            bins: row.bins,
        };
        Some((record, generation))
    }

    /// Keeps the bins alone, and only those of segments that one of `rows` lies in.
    #[must_use]
    pub fn into_bins(self, rows: impl Iterator<Item = KeptRow>) -> KeptBins {
        let mut segments = self.segments;
        let mut used = vec![false; segments.len()];
        for row in rows {
            if let Some(used) = used.get_mut(usize::from(row.segment)) {
                *used = true;
            }
        }
        let kept = segments.iter_mut().zip(used).map(|(segment, used)| {
            if used {
                std::mem::take(&mut segment.bytes)
            } else {
                Vec::new()
            }
        });
        KeptBins {
            segments: kept.collect(),
        }
    }
}

/// The bins of one record, in the bytes in which they arrived.
#[derive(Debug)]
pub struct KeptRecord {
    bytes: Vec<u8>,
    bins: u16,
}

impl KeptRecord {
    /// The bins.
    #[inline]
    #[must_use]
    pub fn bins(&self) -> Bins<'_> {
        Bins::new(&self.bytes, self.bins)
    }
}

/// The bins of a batch, in the bytes in which they arrived.
#[derive(Debug, Default)]
pub struct KeptBins {
    segments: Vec<Vec<u8>>,
}

impl KeptBins {
    /// The bins of a row.
    #[inline]
    #[must_use]
    pub fn of(&self, row: KeptRow) -> Bins<'_> {
        let bytes = self
            .segments
            .get(usize::from(row.segment))
            .and_then(|segment| segment.get(row.start as usize..))
            .unwrap_or_default();
        Bins::new(bytes, row.bins)
    }

    /// Bytes of memory that are held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.segments.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(start: u32, generation: u32) -> Slot {
        Slot {
            start,
            bins: 1,
            generation,
        }
    }

    #[test]
    fn tags_lead_to_rows_whatever_the_order_of_keeping() {
        let sink = Sink::new();
        let (first, second) = (sink.begin().unwrap(), sink.begin().unwrap());
        sink.keep(second, vec![2; 8], vec![slot(4, 22)]);
        sink.keep(first, vec![1; 8], vec![slot(0, 11), slot(2, 12)]);
        let replies = sink.end();
        assert_eq!(replies.row(first.tag(1)).unwrap().1, 12);
        assert_eq!(replies.row(second.tag(0)).unwrap().1, 22);
        for generation in [0, 7, 0xffff, first.tag(2), second.tag(1), u32::MAX] {
            assert_eq!(replies.row(generation), None, "{generation:#x}");
        }
    }

    #[test]
    fn segments_without_a_row_are_let_go() {
        let sink = Sink::new();
        let (first, second) = (sink.begin().unwrap(), sink.begin().unwrap());
        sink.keep(first, vec![1; 1000], vec![slot(0, 1)]);
        sink.keep(second, vec![2; 10], vec![slot(0, 2)]);
        let replies = sink.end();
        let (row, _) = replies.row(second.tag(0)).unwrap();
        let kept = replies.into_bins([row].into_iter());
        assert_eq!(kept.held_bytes(), 10);
    }

    #[test]
    fn what_comes_after_the_end_is_counted_and_dropped() {
        let sink = Sink::new();
        let id = sink.begin().unwrap();
        assert!(sink.end().is_empty());
        let before = late_bytes();
        sink.keep(id, vec![0; 100], Vec::new());
        assert!(late_bytes() >= before + 100);
        assert!(sink.end().is_empty());
    }

    #[test]
    fn little_in_a_large_buffer_does_not_hold_it() {
        let sink = Sink::new();
        let id = sink.begin().unwrap();
        let mut bytes = Vec::with_capacity(1 << 20);
        bytes.extend_from_slice(&[1; 100]);
        sink.keep(id, bytes, vec![slot(0, 1)]);
        let replies = sink.end();
        let (row, _) = replies.row(id.tag(0)).unwrap();
        assert!(replies.into_bins([row].into_iter()).held_bytes() <= 200);
    }

    #[test]
    fn segments_that_cannot_be_told_apart_are_not_begun() {
        let sink = Sink::new();
        sink.next.store(MAX_SEGMENTS - 1, Ordering::Relaxed);
        assert!(sink.begin().is_some());
        assert_eq!(sink.begin(), None);
        assert_eq!(sink.begin(), None);
    }
}
