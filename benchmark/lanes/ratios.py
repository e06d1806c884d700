"""Statistics: figures of a round, ratios of rounds of two clients, and how sure a median of them is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.lanes.workloads import CPU, P50, P99, THROUGHPUT, Quantity

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median, and the samples between which the true one lies with at least this confidence."""

    median: float
    low: float
    high: float
    confidence: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def figure(result: dict[str, Any], quantity: Quantity) -> float:
    """A figure of one round, in the quantity's unit."""
    if quantity == THROUGHPUT:
        return float(result["operations"]) * 1e9 / float(result["wall_ns"])
    if quantity == CPU:
        return float(result["cpu_ns"]) / float(result["operations"]) / 1e3
    return float(result[{P50: "p50_ns", P99: "p99_ns"}[quantity]]) / 1e3


def ratios(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], quantity: Quantity) -> list[float]:
    """Ratios of figures that were measured in the same round."""
    pairs = zip(ours, theirs, strict=True)
    return [figure(our, quantity) / figure(their, quantity) for our, their in pairs]


def median_interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The median and the order statistics around it, which assume nothing about the distribution.

    With so few samples that even the extremes do not give the confidence, they are the interval, and its confidence
    says what they do give.
    """
    if not samples:
        raise ValueError("there is no median of nothing")
    ordered, count = sorted(samples), len(samples)
    left_out = 0
    while left_out + 1 <= (count - 1) // 2 and _coverage(count, left_out + 1) >= confidence:
        left_out += 1
    return Interval(
        statistics.median(ordered), ordered[left_out], ordered[count - 1 - left_out], _coverage(count, left_out)
    )


def _coverage(count: int, left_out: int) -> float:
    """How sure the median lies between the samples when this many are left out at either end."""
    outside: float = sum(math.comb(count, k) for k in range(left_out + 1)) / 2**count
    return max(0.0, 1 - 2 * outside)
