//! Durations in log-linear buckets: 32 per doubling, so that a bucket's middle is at most 1.6 %
//! from any value in it, from 32 ns to 137 s.
//!
//! [`Histogram`] has one writer and any number of readers; nobody waits for anybody.
//! [`Counts`] is a copy at rest that can be merged, subtracted and asked for percentiles.

use std::sync::atomic::{AtomicU64, Ordering};

const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;
const MAX_BITS: u32 = 37;
/// How many buckets there are.
pub const BUCKETS: usize = ((MAX_BITS - SUB_BITS + 1) as usize) << SUB_BITS;
/// The relative error of a reported percentile, for values from 100 ns to 100 s.
pub const RELATIVE_ERROR: f64 = 1.0 / (2.0 * SUB as f64);

/// The bucket of a value in nanoseconds.
#[inline]
#[must_use]
pub fn bucket_of(value: u64) -> usize {
    (place_of(value) as usize).min(BUCKETS - 1)
}

/// The same for values up to [`u32::MAX`], which are known to have a bucket.
#[inline]
fn bucket_of_short(value: u32) -> usize {
    const { assert!(place_of(u32::MAX as u64) < BUCKETS as u64) };
    place_of(u64::from(value)) as usize
}

/// Groups of as many buckets as there are in a doubling; the first two have buckets of one nanosecond.
#[inline]
const fn place_of(value: u64) -> u64 {
    let shift = (u64::BITS - 1 - SUB_BITS) - (value | SUB).leading_zeros();
    ((shift as u64) << SUB_BITS) + (value >> shift)
}

/// First value of a bucket and first value after it.
#[must_use]
pub fn bounds_of(bucket: usize) -> (u64, u64) {
    let (group, offset) = ((bucket as u64) >> SUB_BITS, (bucket as u64) & (SUB - 1));
    if group == 0 {
        return (offset, offset + 1);
    }
    let shift = group - 1;
    ((SUB + offset) << shift, (SUB + offset + 1) << shift)
}

fn middle_of(bucket: usize) -> u64 {
    let (low, high) = bounds_of(bucket);
    low + (high - low) / 2
}

/// A histogram that one thread writes and any thread reads.
pub struct Histogram {
    buckets: Box<[AtomicU64; BUCKETS]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            buckets: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

/// Adds without a locked instruction: the cell has one writer.
#[inline]
pub(crate) fn bump(cell: &AtomicU64, by: u64) {
    cell.store(
        cell.load(Ordering::Relaxed).wrapping_add(by),
        Ordering::Relaxed,
    );
}

impl Histogram {
    /// Adds a value. Only the thread that owns the histogram may call it.
    #[inline]
    pub fn record(&self, value: u64) {
        bump(&self.buckets[bucket_of(value)], 1);
        bump(&self.sum, value);
        if value > self.max.load(Ordering::Relaxed) {
            self.max.store(value, Ordering::Relaxed);
        }
    }

    /// Adds all values but zeros, and returns their sum. Only the thread that owns the histogram may call it.
    #[inline]
    pub(crate) fn record_all(&self, values: impl Iterator<Item = u32>) -> u64 {
        let (mut sum, mut max) = (0_u64, 0);
        for value in values {
            if value > 0 {
                bump(&self.buckets[bucket_of_short(value)], 1);
                sum += u64::from(value);
                max = max.max(value);
            }
        }
        bump(&self.sum, sum);
        if u64::from(max) > self.max.load(Ordering::Relaxed) {
            self.max.store(u64::from(max), Ordering::Relaxed);
        }
        sum
    }

    /// Adds this histogram to a copy at rest.
    pub fn add_to(&self, counts: &mut Counts) {
        for (mine, theirs) in self.buckets.iter().zip(counts.buckets.iter_mut()) {
            *theirs += mine.load(Ordering::Relaxed);
        }
        counts.sum += self.sum.load(Ordering::Relaxed);
        counts.max = counts.max.max(self.max.load(Ordering::Relaxed));
    }
}

/// The content of one or several histograms at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    buckets: Vec<u64>,
    /// Sum of all values in nanoseconds.
    pub sum: u64,
    /// Largest value in nanoseconds.
    pub max: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            buckets: vec![0; BUCKETS],
            sum: 0,
            max: 0,
        }
    }
}

impl Counts {
    /// Adds values to a bucket, without their sum.
    #[inline]
    pub(crate) fn add(&mut self, bucket: usize, count: u64) {
        self.buckets[bucket] += count;
    }

    /// The buckets in which there are values, with how many.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let all = self.buckets.iter().copied().enumerate();
        all.filter(|(_, count)| *count > 0)
    }

    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        self.buckets[bucket_of(value)] += 1;
        self.sum += value;
        self.max = self.max.max(value);
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds another copy.
    pub fn merge(&mut self, other: &Counts) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// What has been added since `earlier`. The largest value is exact when it is newer than
    /// `earlier`, otherwise it is the middle of the highest bucket that grew.
    #[must_use]
    pub fn since(&self, earlier: &Counts) -> Counts {
        let buckets: Vec<u64> = self
            .buckets
            .iter()
            .zip(&earlier.buckets)
            .map(|(now, then)| now.saturating_sub(*then))
            .collect();
        let highest = buckets.iter().rposition(|count| *count > 0);
        let max = match highest {
            None => 0,
            Some(_) if self.max > earlier.max => self.max,
            Some(bucket) => middle_of(bucket),
        };
        Counts {
            buckets,
            sum: self.sum.saturating_sub(earlier.sum),
            max,
        }
    }

    /// The value below which `quantile` (0 to 1) of all values lie, 0 when there are none.
    #[must_use]
    pub fn percentile(&self, quantile: f64) -> u64 {
        let count = self.count();
        if count == 0 {
            return 0;
        }
        let rank = ((quantile * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        for (bucket, in_bucket) in self.buckets.iter().enumerate() {
            seen += in_bucket;
            if seen >= rank {
                return middle_of(bucket).min(self.max);
            }
        }
        self.max
    }

    /// Adds so many zeros.
    pub fn add_zeros(&mut self, count: u64) {
        self.buckets[0] += count;
    }

    /// [`Counts::at_most`] for limits that grow.
    #[must_use]
    pub fn at_most_each(&self, limits: &[u64]) -> Vec<u64> {
        let (mut bucket, mut seen) = (0, 0);
        let at_most = |limit: &u64| {
            while bucket < BUCKETS && bounds_of(bucket).1 <= limit.saturating_add(1) {
                seen += self.buckets[bucket];
                bucket += 1;
            }
            seen
        };
        limits.iter().map(at_most).collect()
    }

    /// How many values are at most `limit` nanoseconds, by buckets that lie wholly below it.
    #[must_use]
    pub fn at_most(&self, limit: u64) -> u64 {
        self.buckets
            .iter()
            .enumerate()
            .take_while(|(bucket, _)| bounds_of(*bucket).1 <= limit.saturating_add(1))
            .map(|(_, count)| count)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        for bucket in 0..BUCKETS - 1 {
            assert_eq!(bounds_of(bucket).1, bounds_of(bucket + 1).0);
            assert_eq!(bucket_of(bounds_of(bucket).0), bucket);
            assert_eq!(bucket_of(bounds_of(bucket).1 - 1), bucket);
        }
        assert!(bounds_of(BUCKETS - 1).1 > 100_000_000_000);
    }

    #[test]
    fn since_forgets_what_was_there_before() {
        let histogram = Histogram::default();
        histogram.record(1_000_000);
        let mut before = Counts::default();
        histogram.add_to(&mut before);
        histogram.record(2_000);
        let mut after = Counts::default();
        histogram.add_to(&mut after);
        let since = after.since(&before);
        assert_eq!((since.count(), since.sum), (1, 2_000));
        assert!((since.max as f64 / 2_000.0 - 1.0).abs() <= 0.02);
    }

    proptest! {
        #[test]
        fn percentiles_are_within_two_percent(mut values in prop::collection::vec(100u64..100_000_000_000, 1..400), q in 0.0f64..=1.0) {
            let histogram = Histogram::default();
            for value in &values {
                histogram.record(*value);
            }
            let mut counts = Counts::default();
            histogram.add_to(&mut counts);
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1] as f64;
            let reported = counts.percentile(q) as f64;
            prop_assert!((reported / exact - 1.0).abs() <= 0.02, "{} against {}", reported, exact);
            prop_assert_eq!(counts.max, values[values.len() - 1]);
            prop_assert_eq!(counts.count(), values.len() as u64);
        }

        #[test]
        fn all_at_once_equals_one_by_one(values in prop::collection::vec(prop_oneof![any::<u32>(), 0..100u32], 0..100), before in 1u64..10_000_000_000) {
            let (together, single) = (Histogram::default(), Histogram::default());
            together.record(before);
            single.record(before);
            let sum = together.record_all(values.iter().copied());
            values.iter().filter(|value| **value > 0).for_each(|value| single.record(u64::from(*value)));
            prop_assert_eq!(sum, values.iter().map(|value| u64::from(*value)).sum::<u64>());
            let (mut all, mut each) = (Counts::default(), Counts::default());
            together.add_to(&mut all);
            single.add_to(&mut each);
            prop_assert_eq!(all, each);
        }

        #[test]
        fn limits_together_are_limits_one_by_one(values in prop::collection::vec(0u64..1_000_000_000, 0..100), mut limits in prop::collection::vec(0u64..1_000_000_000, 1..30)) {
            let mut counts = Counts::default();
            values.iter().for_each(|value| counts.record(*value));
            limits.sort_unstable();
            let one_by_one: Vec<u64> = limits.iter().map(|limit| counts.at_most(*limit)).collect();
            prop_assert_eq!(counts.at_most_each(&limits), one_by_one);
        }

        #[test]
        fn merging_equals_recording_together(a in prop::collection::vec(0u64..1_000_000_000_000, 0..100), b in prop::collection::vec(0u64..1_000_000_000_000, 0..100)) {
            let (one, two, both) = (Histogram::default(), Histogram::default(), Histogram::default());
            for value in &a { one.record(*value); both.record(*value); }
            for value in &b { two.record(*value); both.record(*value); }
            let (mut merged, mut second, mut together) = (Counts::default(), Counts::default(), Counts::default());
            one.add_to(&mut merged);
            two.add_to(&mut second);
            merged.merge(&second);
            both.add_to(&mut together);
            prop_assert_eq!(merged, together);
        }
    }
}
