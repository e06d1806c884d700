//! Operations that have ended and are not in the histograms yet.
//!
//! A histogram for every stage means a page of memory for every stage, which other programs have
//! pushed out of the processor's caches by the time the next operation ends. Gathered in a small
//! block and added up many at a time, an operation touches two lines of memory instead.
//!
//! One thread writes; others read at any time. Whoever needs more than single words to fit together
//! guards them as the collector does.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ends::PackedEnd;
use crate::node::NodeId;
use crate::series::Key;
use crate::table::Stage;
use crate::target::Target;

/// How many operations are gathered. Adding them up takes a microsecond or two, which the last of them
/// has to wait for.
pub(crate) const CAPACITY: usize = 32;

/// Two stages to a word.
const STAGE_WORDS: usize = Stage::COUNT.div_ceil(2);
const LOW: u64 = u32::MAX as u64;
const WALL: usize = STAGE_WORDS;
const REST: usize = STAGE_WORDS + 1;
const WORDS: usize = STAGE_WORDS + 2;

/// Where the rest has the stage it failed in, and whether nodes have their share; the bits below are the key.
const FAILED_IN: u32 = 48;
const SHARED_OUT: u32 = 56;

/// What is kept of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Whether its stages were recorded.
    pub(crate) staged: bool,
    pub(crate) node: NodeId,
    pub(crate) wall: u64,
    pub(crate) target: Target,
    pub(crate) end: PackedEnd,
    pub(crate) failed_in: Option<Stage>,
    /// Whether its duration counts in the metrics that are always on.
    pub(crate) measured: bool,
    /// Whether its nodes have been given their share of its time: it had tasks, or talked to several nodes. Otherwise
    /// all is its one node's.
    pub(crate) shared_out: bool,
}

/// What is kept of an operation beside times: most operations have the same as the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest(u64);

impl Rest {
    #[inline]
    fn of(ended: &Ended) -> Self {
        let failed_in = ended.failed_in.map_or(0, |stage| stage.index() as u64 + 1);
        let shared_out = u64::from(ended.shared_out);
        Rest(ended.key().bits() | failed_in << FAILED_IN | shared_out << SHARED_OUT)
    }

    /// What it counts under.
    #[inline]
    pub(crate) fn key(self) -> Key {
        Key::from_bits(self.0 & ((1 << FAILED_IN) - 1))
    }

    #[inline]
    pub(crate) fn failed_in(self) -> Option<Stage> {
        let failed_in = (self.0 >> FAILED_IN) as usize & 0xff;
        failed_in.checked_sub(1).map(|stage| Stage::ALL[stage])
    }

    #[inline]
    pub(crate) fn shared_out(self) -> bool {
        self.0 >> SHARED_OUT & 1 != 0
    }
}

impl Ended {
    /// What it counts under.
    #[inline]
    pub(crate) fn key(&self) -> Key {
        Key::new(self.target, self.node, self.end, self.staged, self.measured)
    }
}

/// A stage of several operations.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    rows: &'a [[AtomicU64; WORDS]],
    word: usize,
    shift: usize,
}

impl<'a> Column<'a> {
    /// Nanoseconds of one operation after the other.
    #[inline]
    pub(crate) fn values(self) -> impl Iterator<Item = u32> + 'a {
        let pair = move |row: &[AtomicU64; WORDS]| row[self.word].load(Ordering::Relaxed);
        self.rows
            .iter()
            .map(move |row| (pair(row) >> self.shift) as u32)
    }
}

/// Whether the stages of an operation that took so long fit into half the space: not if that was more than four
/// seconds.
#[inline]
pub(crate) const fn fits(wall: u64) -> bool {
    wall <= u32::MAX as u64
}

/// A block of operations in the order in which they ended.
#[repr(C)]
pub(crate) struct Pending {
    length: AtomicU64,
    words: [[AtomicU64; WORDS]; CAPACITY],
}

impl Default for Pending {
    fn default() -> Self {
        Pending {
            length: AtomicU64::new(0),
            words: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
        }
    }
}

impl Pending {
    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        (self.length.load(Ordering::Relaxed) as usize).min(CAPACITY)
    }

    /// Adds one with its stages, which [fit](fits), if it has some; `false` if there is no room.
    #[inline]
    pub(crate) fn push(&self, ended: &Ended, stages: &[u64; Stage::COUNT]) -> bool {
        let place = self.len();
        let Some(words) = self.words.get(place) else {
            return false;
        };
        if ended.staged {
            for (word, pair) in words.iter().zip(stages.chunks(2)) {
                let high = pair.get(1).copied().unwrap_or(0);
                word.store(pair[0] | high << 32, Ordering::Relaxed);
            }
        }
        words[WALL].store(ended.wall, Ordering::Relaxed);
        words[REST].store(Rest::of(ended).0, Ordering::Relaxed);
        self.length.store(place as u64 + 1, Ordering::Relaxed);
        true
    }

    /// Makes room for all again.
    #[inline]
    pub(crate) fn clear(&self) {
        self.length.store(0, Ordering::Relaxed);
    }

    /// Makes one that has no stages look as if it had spent no time in any, for [`Pending::columns`].
    pub(crate) fn forget_stages(&self, place: usize) {
        for word in &self.words[place][..STAGE_WORDS] {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Calls `visit` with the numbers of the stages in which operations have spent some time, each with the nanoseconds
    /// of all of them, zeros included. Those without stages have been made to have none.
    #[inline]
    pub(crate) fn columns(&self, mut visit: impl FnMut(usize, Column<'_>)) {
        let rows = &self.words[..self.len()];
        for word in 0..STAGE_WORDS {
            let pairs = rows.iter().map(|row| row[word].load(Ordering::Relaxed));
            let any = pairs.fold(0, |any, pair| any | pair);
            for half in 0..2 {
                let shift = 32 * half;
                if any >> shift & LOW > 0 {
                    visit(2 * word + half, Column { rows, word, shift });
                }
            }
        }
    }

    /// Nanoseconds of a stage, for the place of one that has stages.
    #[inline]
    pub(crate) fn nanos(&self, place: usize, stage: Stage) -> u64 {
        let pair = self.words[place][stage.index() / 2].load(Ordering::Relaxed);
        (pair >> (32 * (stage.index() % 2))) & LOW
    }

    /// What is there, with the duration of the whole, but for the times of stages.
    #[inline]
    pub(crate) fn rests(&self) -> impl Iterator<Item = (Rest, u64)> + '_ {
        self.words[..self.len()].iter().map(|words| {
            let rest = Rest(words[REST].load(Ordering::Relaxed));
            (rest, words[WALL].load(Ordering::Relaxed))
        })
    }

    /// What is there, with nanoseconds by stage where these were recorded.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ended, Option<[u64; Stage::COUNT]>)> + '_ {
        self.rests().enumerate().map(|(place, (rest, wall))| {
            let key = rest.key();
            let ended = Ended {
                staged: key.is_staged(),
                node: key.node(),
                wall,
                target: key.target(),
                end: key.end(),
                failed_in: rest.failed_in(),
                measured: key.is_measured(),
                shared_out: rest.shared_out(),
            };
            let stages = || Stage::ALL.map(|stage| self.nanos(place, stage));
            (ended, ended.staged.then(stages))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Outcome;
    use proptest::prelude::*;

    fn any_ended() -> impl Strategy<Value = (Ended, Option<[u64; Stage::COUNT]>)> {
        let stages = prop::option::of(any::<[u32; Stage::COUNT]>());
        let rest = (
            0..NodeId::COUNT,
            any::<u64>(),
            (any::<u16>(), 0..Outcome::COUNT as u64, any::<u8>()),
            prop::option::of(0..Stage::COUNT),
            (any::<bool>(), any::<bool>()),
        );
        (stages, rest).prop_map(
            |(
                stages,
                (node, wall, (target, outcome, detail), failed_in, (measured, shared_out)),
            )| {
                let ended = Ended {
                    staged: stages.is_some(),
                    node: NodeId::from_index(node),
                    wall,
                    target: Target::from_index(target),
                    end: PackedEnd::from_bits(outcome | u64::from(detail) << 8),
                    failed_in: failed_in.map(|stage| Stage::ALL[stage]),
                    measured,
                    shared_out,
                };
                (ended, stages.map(|all| all.map(u64::from)))
            },
        )
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(all in prop::collection::vec(any_ended(), 0..CAPACITY + 3)) {
            let pending = Pending::default();
            let push = |(ended, stages): &(Ended, Option<_>)| pending.push(ended, &stages.unwrap_or([9; Stage::COUNT]));
            // Whatever was there before does not shine through.
            for ended in all.iter().rev() {
                push(ended);
            }
            pending.clear();
            let taken: Vec<bool> = all.iter().map(push).collect();
            prop_assert_eq!(taken.iter().filter(|taken| **taken).count(), all.len().min(CAPACITY));
            let kept: Vec<_> = pending.iter().collect();
            prop_assert_eq!(&kept[..], &all[..all.len().min(CAPACITY)]);
            for place in (0..kept.len()).filter(|place| kept[*place].1.is_none()) {
                pending.forget_stages(place);
            }
            let mut columns = [const { Vec::new() }; Stage::COUNT];
            pending.columns(|stage, column| columns[stage] = column.values().map(u64::from).collect());
            for (stage, column) in columns.iter().enumerate() {
                let of = |one: &(Ended, Option<[u64; Stage::COUNT]>)| one.1.map_or(0, |stages| stages[stage]);
                let expected: Vec<u64> = kept.iter().map(of).collect();
                prop_assert!(*column == expected || column.is_empty() && expected.iter().all(|nanos| *nanos == 0));
            }
        }
    }

    #[test]
    fn only_what_takes_seconds_is_too_wide() {
        assert!(fits(4_294_967_295));
        assert!(!fits(4_294_967_296));
    }
}
