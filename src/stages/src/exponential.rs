//! The recorder's log-linear histograms as OpenTelemetry's exponential ones.
//!
//! Both have 32 buckets per doubling, at slightly different borders: every bucket is counted in the
//! exponential one that its middle lies in.

use crate::histogram::{bounds_of, Counts};

/// Bucket borders are powers of 2^(2^-SCALE): 32 per doubling, each 2.2 % wider than the one before.
pub const SCALE: i32 = 5;

/// How far a value can be from the middle of the bucket that it is counted in.
pub const ERROR: f64 = 0.028;

/// A histogram with exponential buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Exponential {
    /// How many values there are.
    pub count: u64,
    /// Their sum, in the unit that was asked for.
    pub sum: f64,
    /// The largest of them.
    pub max: f64,
    /// Values below half a nanosecond.
    pub zeros: u64,
    /// The number of the first bucket: bucket `n` holds what is above `base^n`, up to `base^(n+1)`.
    pub offset: i32,
    /// Values by bucket, from the first.
    pub buckets: Vec<u64>,
}

/// The number of the exponential bucket that a value lies in.
#[must_use]
pub fn index_of(value: f64) -> i32 {
    let index = value.log2() * f64::from(1 << SCALE);
    index.ceil() as i32 - 1
}

impl Exponential {
    /// Converts; values are multiplied with `scale`, which turns them into the unit that is wanted.
    #[must_use]
    pub fn of(counts: &Counts, scale: f64) -> Exponential {
        let mut zeros = 0;
        let mut offset = None;
        let mut buckets: Vec<u64> = Vec::new();
        for (bucket, count) in counts.buckets() {
            let (low, high) = bounds_of(bucket);
            if low == 0 {
                zeros += count;
                continue;
            }
            // Whole numbers: the last one of the bucket is one less than the next one's first.
            let middle = (low + high - 1) as f64 / 2.0;
            let index = index_of(middle * scale);
            let offset = *offset.get_or_insert(index);
            let place = usize::try_from(index - offset).unwrap_or(0);
            if buckets.len() <= place {
                buckets.resize(place + 1, 0);
            }
            buckets[place] += count;
        }
        Exponential {
            count: counts.count(),
            sum: counts.sum as f64 * scale,
            max: counts.max as f64 * scale,
            zeros,
            offset: offset.unwrap_or(0),
            buckets,
        }
    }

    /// Lower and upper border of a bucket.
    #[cfg(test)]
    fn borders(&self, place: usize) -> (f64, f64) {
        let per_doubling = f64::from(1 << SCALE);
        let border = |index: i32| (f64::from(index) / per_doubling).exp2();
        let index = self.offset + place as i32;
        (border(index), border(index + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_nothing() {
        let none = Exponential::of(&Counts::default(), 1e-9);
        assert_eq!((none.count, none.zeros, none.buckets.len()), (0, 0, 0));
    }

    #[test]
    fn borders_belong_to_the_bucket_below() {
        assert_eq!(index_of(1.0), -1);
        assert_eq!(index_of(2.0), 31);
        assert_eq!(index_of(2.000_001), 32);
    }

    proptest! {
        #[test]
        fn quantiles_stay_within_the_error(
            mut values in prop::collection::vec(100u64..100_000_000_000, 1..300),
            quantile in 0.0f64..=1.0,
        ) {
            let mut counts = Counts::default();
            values.iter().for_each(|value| counts.record(*value));
            let converted = Exponential::of(&counts, 1e-9);
            prop_assert_eq!(converted.zeros + converted.buckets.iter().sum::<u64>(), values.len() as u64);
            prop_assert_eq!(converted.count, values.len() as u64);
            prop_assert!((converted.sum * 1e9 / counts.sum as f64 - 1.0).abs() < 1e-9);
            values.sort_unstable();
            let rank = ((quantile * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1] as f64 / 1e9;
            let mut seen = 0;
            let place = converted.buckets.iter().position(|count| {
                seen += *count as usize;
                seen >= rank
            });
            let (low, high) = converted.borders(place.unwrap());
            let reported = (low + high) / 2.0;
            prop_assert!((reported / exact - 1.0).abs() <= ERROR, "{} against {}", reported, exact);
        }

        #[test]
        fn small_numbers_are_counted_too(values in prop::collection::vec(0u64..100, 0..50)) {
            let mut counts = Counts::default();
            values.iter().for_each(|value| counts.record(*value));
            let converted = Exponential::of(&counts, 1.0);
            prop_assert_eq!(converted.zeros, values.iter().filter(|value| **value == 0).count() as u64);
            prop_assert_eq!(converted.zeros + converted.buckets.iter().sum::<u64>(), values.len() as u64);
        }
    }
}
