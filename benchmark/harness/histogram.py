"""Log-linear histograms: at most 0.4 % error in any value, mergeable, small as JSON.

Standard library only and no import of this package: any interpreter can load this one file. `benchmark/rust-core` fills
the same buckets. Values are non-negative integers (nanoseconds). Below 128 each has a bucket of its own; above, every
power of two is divided into 128 equal buckets, so a bucket is at most 1/128 of its values wide, and its middle, which
stands for all of them, at most 1/256 away. Count, sum, smallest and largest are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SUB_BITS = 7
_LINEAR = 1 << SUB_BITS
RELATIVE_ERROR = 1 / (2 * _LINEAR)


def index_of(value: int) -> int:
    """The bucket of a value."""
    if value < _LINEAR:
        return max(value, 0)
    shift = value.bit_length() - SUB_BITS - 1
    return ((shift + 1) << SUB_BITS) + (value >> shift) - _LINEAR


def bounds_of(index: int) -> tuple[int, int]:
    """The smallest value of a bucket, and the smallest of the next one."""
    if index < _LINEAR:
        return index, index + 1
    shift = (index >> SUB_BITS) - 1
    low = (_LINEAR + (index & (_LINEAR - 1))) << shift
    return low, low + (1 << shift)


def middle_of(index: int) -> float:
    """What stands for the values of a bucket."""
    low, high = bounds_of(index)
    return float(low) if high - low == 1 else (low + high) / 2


class Histogram:
    """Counts by bucket, with exact count, sum, smallest and largest."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.count = 0
        self.sum = 0
        self.min = 0
        self.max = 0

    @classmethod
    def of(cls, values: Iterable[int]) -> Histogram:
        histogram = cls()
        histogram.record_all(values)
        return histogram

    def record_all(self, values: Iterable[int]) -> None:
        counts, count, total = self.counts, 0, 0
        smallest, largest = (self.min, self.max) if self.count else (2**63, -1)
        for given in values:
            value = max(given, 0)
            index = index_of(value)
            counts[index] = counts.get(index, 0) + 1
            count += 1
            total += value
            smallest = min(smallest, value)
            largest = max(largest, value)
        if count:
            self.count += count
            self.sum += total
            self.min, self.max = smallest, largest

    def add(self, other: Histogram) -> Histogram:
        """Take in what another one holds; returns this one."""
        if not other.count:
            return self
        for index, count in other.counts.items():
            self.counts[index] = self.counts.get(index, 0) + count
        self.min = min(self.min, other.min) if self.count else other.min
        self.max = max(self.max, other.max)
        self.count += other.count
        self.sum += other.sum
        return self

    def quantile(self, part: float) -> float:
        """The value that at least this part of all values does not exceed; 0 of nothing."""
        if not self.count:
            return 0.0
        wanted = min(max(-int(-part * self.count // 1), 1), self.count)
        seen = 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= wanted:
                # The ends are known exactly, and no value lies beyond them.
                return min(max(middle_of(index), float(self.min)), float(self.max))
        return float(self.max)

    @property
    def mean(self) -> float:
        return self.sum / self.count if self.count else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "sub_bits": SUB_BITS,
            "count": self.count,
            "sum": self.sum,
            "min": self.min,
            "max": self.max,
            "counts": [[index, self.counts[index]] for index in sorted(self.counts)],
        }

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Histogram:
        """Read what `as_json` wrote.

        Raises:
            ValueError: It has buckets of another kind, or its counts do not add up.
        """
        if fields["sub_bits"] != SUB_BITS:
            raise ValueError(f"a histogram of 2^{fields['sub_bits']} buckets per power of two is not understood")
        histogram = cls()
        histogram.counts = {int(index): int(count) for index, count in fields["counts"]}
        histogram.count, histogram.sum = int(fields["count"]), int(fields["sum"])
        histogram.min, histogram.max = int(fields["min"]), int(fields["max"])
        if sum(histogram.counts.values()) != histogram.count:
            raise ValueError("the counts of a histogram do not add up to its count")
        return histogram


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """All of them in one."""
    total = Histogram()
    for histogram in histograms:
        total.add(histogram)
    return total
