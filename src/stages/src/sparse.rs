//! A histogram with the buckets of [`crate::histogram`] that only has memory for the doublings in
//! which there are values: a few hundred bytes where the values lie near each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use crate::histogram::{bucket_of, bump, Counts, BUCKETS};

/// Buckets that are allocated together: one doubling.
const GROUP: usize = 32;
const GROUPS: usize = BUCKETS / GROUP;

type Group = [AtomicU64; GROUP];

/// A histogram that one thread writes and any thread reads.
pub(crate) struct Sparse {
    groups: [OnceLock<Box<Group>>; GROUPS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Sparse {
    fn default() -> Self {
        Sparse {
            groups: std::array::from_fn(|_| OnceLock::new()),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

impl Sparse {
    /// Adds a value. Only the thread that owns the histogram may call it.
    #[inline]
    pub(crate) fn record(&self, value: u64) {
        let bucket = bucket_of(value);
        let group = self.groups[bucket / GROUP].get_or_init(Box::default);
        bump(&group[bucket % GROUP], 1);
        bump(&self.sum, value);
        if value > self.max.load(Ordering::Relaxed) {
            self.max.store(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_to(&self, counts: &mut Counts) {
        for (number, group) in self.groups.iter().enumerate() {
            let Some(group) = group.get() else { continue };
            for (offset, cell) in group.iter().enumerate() {
                counts.add(number * GROUP + offset, cell.load(Ordering::Relaxed));
            }
        }
        counts.sum += self.sum.load(Ordering::Relaxed);
        counts.max = counts.max.max(self.max.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_counts_as_the_dense_one(values in prop::collection::vec(any::<u64>().prop_map(|v| v >> (v % 64)), 0..200)) {
            let (sparse, dense) = (Sparse::default(), Histogram::default());
            for value in values.iter().map(|value| value % 1_000_000_000_000) {
                sparse.record(value);
                dense.record(value);
            }
            let (mut mine, mut theirs) = (Counts::default(), Counts::default());
            sparse.add_to(&mut mine);
            dense.add_to(&mut theirs);
            prop_assert_eq!(mine, theirs);
        }
    }
}
