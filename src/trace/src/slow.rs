//! What counts as slow when that is a percentile: wall times are counted while they come in, and twice a minute's worth
//! of them says where the percentile lies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use aerospike_stages::histogram::{bounds_of, bucket_of, BUCKETS};
use aerospike_stages::{Lane, Operation};

/// With fewer operations than this nothing is slow.
const ENOUGH: u64 = 200;

struct Running {
    counts: Box<[AtomicU64]>,
    /// The longest that is not slow.
    threshold: AtomicU64,
}

impl Default for Running {
    fn default() -> Self {
        Running {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            threshold: AtomicU64::new(u64::MAX),
        }
    }
}

/// Running percentiles, by operation and lane.
pub struct Percentiles {
    quantile: f64,
    running: [[OnceLock<Running>; Lane::COUNT]; Operation::COUNT],
}

impl Percentiles {
    /// For a quantile between zero and one.
    #[must_use]
    pub fn new(quantile: f64) -> Self {
        Percentiles {
            quantile,
            running: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
        }
    }

    /// Counts an operation; says whether it was slower than the percentile of those before.
    pub fn is_slow(&self, operation: Operation, lane: Lane, wall: u64) -> bool {
        let running = self.running[operation as usize][lane as usize].get_or_init(Running::default);
        running.counts[bucket_of(wall)].fetch_add(1, Ordering::Relaxed);
        wall > running.threshold.load(Ordering::Relaxed)
    }

    /// Says anew where the percentiles lie, and lets what is old count half. Called about once in thirty seconds, and
    /// more often while there is little.
    pub fn renew(&self, forget: bool) {
        for running in self.running.iter().flatten().filter_map(OnceLock::get) {
            let counts: Vec<u64> = running
                .counts
                .iter()
                .map(|count| count.load(Ordering::Relaxed))
                .collect();
            let all: u64 = counts.iter().sum();
            if all < ENOUGH {
                continue;
            }
            let rank = (all as f64 * self.quantile) as u64;
            let mut passed = 0;
            let bucket = counts.iter().position(|count| {
                passed += count;
                passed > rank
            });
            let threshold = bucket.map_or(u64::MAX, |bucket| bounds_of(bucket).1);
            running.threshold.store(threshold, Ordering::Relaxed);
            if forget {
                for (cell, count) in running.counts.iter().zip(counts) {
                    cell.fetch_sub(count - count / 2, Ordering::Relaxed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_hundredth_is_slow_once_enough_is_known() {
        let slow = Percentiles::new(0.99);
        let ask = |wall| slow.is_slow(Operation::Get, Lane::Sync, wall);
        assert!((0..1000).all(|number| !ask(1_000_000 + number)));
        assert!(!ask(80_000_000));
        slow.renew(true);
        assert!(ask(80_000_000));
        assert!(!ask(1_000_000));
        assert!(!slow.is_slow(Operation::Get, Lane::Asyncio, 80_000_000));
        // What is usual now is not slow for ever.
        for _ in 0..8 {
            for _ in 0..1000 {
                ask(80_000_000);
            }
            slow.renew(true);
        }
        assert!(!ask(80_000_000));
    }
}
