"""The difference of two readings: counters, histograms, and whether the process has restarted in between."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aerospike_py_analysis.top.scrape import Labels, Scrape

# Its series stay as long as the process does.
LASTING: Final = "db_client_operations_total"


@dataclass(frozen=True)
class Estimate:
    """A percentile read off a histogram, in seconds, and the borders of the bucket that it lies in."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """By what part of the estimate the true percentile can be away from it."""
        if not self.value or math.isinf(self.high):
            return math.inf
        return max(self.value - self.low, self.high - self.value) / self.value


@dataclass
class Histogram:
    """Counts by the upper limit of their bucket (not cumulative), and the sum."""

    counts: dict[float, float]
    total: float

    @property
    def count(self) -> float:
        """How many values there are."""
        return sum(self.counts.values())

    def quantile(self, q: float) -> Estimate | None:
        """A percentile, interpolated within its bucket; none without values."""
        rank = q * self.count
        if not self.count:
            return None
        seen, low = 0.0, 0.0
        last = max(limit for limit, count in self.counts.items() if count > 0)
        for limit in sorted(self.counts):
            count = self.counts[limit]
            if count > 0 and (seen + count >= rank or limit == last):
                if math.isinf(limit):
                    return Estimate(low, low, math.inf)
                part = min(max((rank - seen) / count, 0.0), 1.0)
                return Estimate(low + (limit - low) * part, low, limit)
            seen, low = seen + count, limit
        return None


class Interval:
    """What happened between two readings of one endpoint."""

    def __init__(self, before: Scrape, after: Scrape) -> None:
        self.seconds = max(after.at_s - before.at_s, 1e-9)
        self.restarted = has_restarted(before, after)
        self._after = after.values
        # What a new process has counted, it has counted since its start.
        self._before = {} if self.restarted else before.values
        self._names: dict[str, list[Labels]] = defaultdict(list)
        for name, labels in after.values:
            self._names[name].append(labels)

    def levels(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """A gauge now, by its labels."""
        for labels in self._names.get(name, ()):
            yield dict(labels), self._after[name, labels]

    def growth(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """By how much a counter has grown, by its labels."""
        for labels in self._names.get(name, ()):
            yield dict(labels), max(self._after[name, labels] - self._before.get((name, labels), 0.0), 0.0)

    def grown(self, name: str, *by: str) -> dict[tuple[str, ...], float]:
        """The same, summed over all labels but some."""
        found: dict[tuple[str, ...], float] = defaultdict(float)
        for labels, value in self.growth(name):
            found[tuple(labels.get(label, "") for label in by)] += value
        return found

    def has(self, name: str) -> bool:
        """Whether the process has such a metric."""
        return name in self._names

    def histograms(self, name: str, *by: str) -> dict[tuple[str, ...], Histogram]:
        """A histogram's growth, summed over all labels but some."""
        cumulative: dict[tuple[str, ...], dict[float, float]] = defaultdict(lambda: defaultdict(float))
        for labels, value in self.growth(f"{name}_bucket"):
            cumulative[tuple(labels.get(label, "") for label in by)][float(labels["le"])] += value
        sums = self.grown(f"{name}_sum", *by)
        found = {}
        for key, buckets in cumulative.items():
            counts, seen = {}, 0.0
            for limit in sorted(buckets):
                counts[limit] = max(buckets[limit] - seen, 0.0)
                seen = max(buckets[limit], seen)
            found[key] = Histogram(counts, sums.get(key, 0.0))
        return found


def has_restarted(before: Scrape, after: Scrape) -> bool:
    """Whether a counter went back, or one that never ends is gone: it is another process then."""
    for key, value in before.values.items():
        now = after.values.get(key)
        if now is None:
            if key[0] == LASTING:
                return True
        elif now < value and key[0] in after.growing:
            return True
    return False
