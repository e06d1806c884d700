//! The limits of histogram buckets, for formats that have fixed ones, and what error they mean for a
//! quantile.

use std::sync::LazyLock;

/// Stages: 4 buckets per doubling, evenly wide in proportion, from 1 us to 4.3 s. They are borders of the recorder's own
/// buckets, so nothing is counted on the wrong side. Every stage has a series for each, so there are no more of them
/// than a quantile needs.
pub static STAGES: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let below = [128, 512];
    let fine = (10..32).flat_map(|power| [32, 38, 45, 54].map(move |part| part << (power - 5)));
    below.into_iter().chain(fine).chain([1 << 32]).collect()
});

/// Whole operations: six buckets per decade from 100 us to 1 s and some on either side, on round numbers that service
/// levels are written in. There may be a thousand series, so every bucket is a thousand lines.
pub static OPERATIONS: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let steps = [100, 150, 220, 330, 500, 700];
    let decades = (3..7).map(|power| 10u64.pow(power));
    let fine = decades.flat_map(|decade| steps.map(|step| step * decade));
    let above = [1, 2, 5, 10].map(|seconds| seconds * 1_000_000_000);
    [10_000, 20_000, 50_000]
        .into_iter()
        .chain(fine)
        .chain(above)
        .collect()
});

/// Numbers of keys.
pub static KEYS: LazyLock<Vec<u64>> = LazyLock::new(|| {
    vec![
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000,
    ]
});

/// How far a quantile that is interpolated within a stage's buckets can be off, from 1 us to 4.3 s.
pub const STAGE_ERROR: f64 = 0.2;
/// How far one of whole operations can be off, from 100 us to 1 s: the widest bucket, and the width of the
/// recorder's own buckets at its borders.
pub const OPERATION_ERROR: f64 = 0.57;

#[cfg(test)]
mod tests {
    use super::*;
    use aerospike_stages::histogram::{bounds_of, bucket_of, RELATIVE_ERROR};

    fn widest(limits: &[u64]) -> f64 {
        let pairs = limits.windows(2);
        pairs
            .map(|pair| pair[1] as f64 / pair[0] as f64 - 1.0)
            .fold(0.0, f64::max)
    }

    #[test]
    fn limits_grow_and_are_as_fine_as_they_say() {
        for limits in [&*STAGES, &*OPERATIONS, &*KEYS] {
            assert!(limits.windows(2).all(|pair| pair[0] < pair[1]));
        }
        let fine: Vec<u64> = STAGES
            .iter()
            .copied()
            .filter(|limit| *limit >= 1_024)
            .collect();
        assert!(widest(&fine) <= STAGE_ERROR);
        let within = |limit: &&u64| (100_000..=1_000_000_000).contains(*limit);
        let fine: Vec<u64> = OPERATIONS.iter().filter(within).copied().collect();
        assert!((1.0 + widest(&fine)) * (1.0 + 2.0 * RELATIVE_ERROR) - 1.0 <= OPERATION_ERROR);
        assert_eq!(
            (OPERATIONS[0], *OPERATIONS.last().unwrap()),
            (10_000, 10_000_000_000)
        );
        // What the conventions recommend is among them.
        for millis in [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000] {
            assert!(OPERATIONS.contains(&(millis * 1_000_000)));
        }
    }

    #[test]
    fn limits_of_stages_are_borders_of_the_recorders_buckets() {
        for limit in &*STAGES {
            assert_eq!(bounds_of(bucket_of(*limit)).0, *limit);
        }
    }
}
