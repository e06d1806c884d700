//! The log-linear histogram of `benchmark/harness/histogram.py`, bucket for bucket.

use std::collections::BTreeMap;

use serde_json::{json, Value as Json};

const SUB_BITS: u32 = 7;
const LINEAR: u64 = 1 << SUB_BITS;

/// Counts by bucket, with exact count, sum, smallest and largest.
#[derive(Default)]
pub struct Histogram {
    counts: BTreeMap<u64, u64>,
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

/// The bucket of a value.
fn index_of(value: u64) -> u64 {
    if value < LINEAR {
        return value;
    }
    let shift = 63 - value.leading_zeros() - SUB_BITS;
    (u64::from(shift + 1) << SUB_BITS) + (value >> shift) - LINEAR
}

impl Histogram {
    pub fn record(&mut self, value: u64) {
        *self.counts.entry(index_of(value)).or_default() += 1;
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum += value;
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn json(&self) -> Json {
        json!({
            "sub_bits": SUB_BITS,
            "count": self.count,
            "sum": self.sum,
            "min": self.min,
            "max": self.max,
            "counts": self.counts.iter().collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::index_of;

    #[test]
    fn buckets_are_those_of_the_python_file() {
        let expected = [
            (0, 0),
            (127, 127),
            (128, 128),
            (255, 255),
            (256, 256),
            (258, 257),
            (1_000, 506),
            (1_000_000, 1780),
        ];
        for (value, index) in expected {
            assert_eq!(index_of(value), index, "{value}");
        }
    }
}
