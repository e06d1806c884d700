"""Figures of rounds: what each round says, and what all of them say together, with intervals by bootstrap.

The rounds of a member are drawn anew with replacement, a thousand times, and their histograms are merged each time: the
spread of a percentile between draws is that between rounds, whatever its distribution. Few rounds spread too little, so
the interval is taken between wider percentiles of the draws, as Student's distribution asks for (the expanded
percentile interval).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.harness.histogram import Histogram, merged, middle_of
from benchmark.harness.significance import CONFIDENCE, student_quantile

DRAWS = 1_000
FAILED = ("error", "timeout", "unfinished")


@dataclass(frozen=True)
class Quantity:
    """A figure of a round."""

    name: str
    unit: str
    larger_is_better: bool
    of: Callable[[dict[str, Any]], float | None]
    """Its value in one round; nothing where the round does not say."""


@dataclass(frozen=True)
class Interval:
    """An estimate, and between what the true value lies with `significance.CONFIDENCE`."""

    estimate: float
    low: float
    high: float


def latencies(result: dict[str, Any], outcomes: Sequence[str] | None = None) -> Histogram:
    """The latencies of a round, failures included, or those of some outcomes."""
    histograms: dict[str, Any] = result["histograms"]
    return merged(Histogram.parse(found) for name, found in histograms.items() if outcomes is None or name in outcomes)


def failures(result: dict[str, Any]) -> int:
    return sum(int(result["histograms"][name]["count"]) for name in FAILED if name in result["histograms"])


def _throughput(result: dict[str, Any]) -> float:
    return float(result["operations"] - failures(result)) * 1e9 / float(result["wall_ns"])


def _percentile(part: float) -> Callable[[dict[str, Any]], float]:
    return lambda result: latencies(result).quantile(part) / 1e3


def _per_operation(field: str, divisor: float) -> Callable[[dict[str, Any]], float | None]:
    def of(result: dict[str, Any]) -> float | None:
        value = result.get(field)
        return None if value is None else float(value) / float(result["operations"]) / divisor

    return of


THROUGHPUT = Quantity("throughput", "op/s", True, _throughput)
P50, P90, P99, P999 = (
    Quantity(name, "us", False, _percentile(part))
    for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
)
MEAN = Quantity("mean", "us", False, lambda result: latencies(result).mean / 1e3)
CPU = Quantity("CPU per op", "us", False, _per_operation("cpu_ns", 1e3))
SERVER_CPU = Quantity("server CPU per op", "us", False, _per_operation("server_cpu_ns", 1e3))
RETAINED = Quantity(
    "memory kept per op",
    "bytes",
    False,
    lambda result: (
        (result["resident_after_bytes"] - result["resident_before_bytes"] - result["samples_bytes"])
        / result["operations"]
    ),
)
FAILURES = Quantity("failed", "", False, lambda result: failures(result) / result["operations"])
PERCENTILES = {P50: 0.5, P90: 0.9, P99: 0.99, P999: 0.999}
SUMS = (THROUGHPUT, MEAN, CPU, SERVER_CPU, RETAINED, FAILURES)
QUANTITIES = (THROUGHPUT, P50, P90, P99, P999, MEAN, CPU, SERVER_CPU, RETAINED, FAILURES)


def of_rounds(rounds: Sequence[dict[str, Any]], seed: int = 1) -> dict[str, Interval]:
    """All figures of a member over its rounds, by name; those that the rounds do not have are left out.

    Raises:
        ValueError: There are no rounds.
    """
    if not rounds:
        raise ValueError("there are no figures of no rounds")
    weights = _draws(len(rounds), seed)
    found = _percentiles([latencies(result) for result in rounds], weights)
    for quantity in SUMS:
        values = [quantity.of(result) for result in rounds]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            found[quantity.name] = _weighted(known, [_weight(quantity, result) for result in rounds], weights)
    return found


def interval_of(values: Sequence[float], sizes: Sequence[float]) -> Interval:
    """The mean of a figure of rounds, each as important as its size, with its interval."""
    return _weighted(values, sizes, _draws(len(values), 1))


def _draws(rounds: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each round is drawn: first all rounds once, which gives the estimate, then the draws."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(rounds, [1 / rounds] * rounds, size=DRAWS)
    return np.vstack([np.ones((1, rounds)), drawn])


def _weight(quantity: Quantity, result: dict[str, Any]) -> float:
    # Throughput is per time, everything else per operation: so rounds of different lengths are put together right.
    return float(result["wall_ns"] if quantity == THROUGHPUT else result["operations"])


def _weighted(values: Sequence[float], sizes: Sequence[float], weights: npt.NDArray[np.float64]) -> Interval:
    size = np.asarray(sizes)
    drawn = weights @ (np.asarray(values) * size) / (weights @ size)
    return _interval(drawn, len(values))


def _percentiles(histograms: Sequence[Histogram], weights: npt.NDArray[np.float64]) -> dict[str, Interval]:
    buckets = sorted(set().union(*(histogram.counts for histogram in histograms)))
    if not buckets:
        return {}
    counts = np.array([[histogram.counts.get(index, 0) for index in buckets] for histogram in histograms], dtype=float)
    below = np.cumsum(weights @ counts, axis=1)
    middles = np.array([middle_of(index) for index in buckets])
    lowest, highest = (
        min(histogram.min for histogram in histograms if histogram.count),
        max(histogram.max for histogram in histograms),
    )
    middles = np.clip(middles, lowest, highest) / 1e3
    found = {}
    for quantity, part in PERCENTILES.items():
        wanted = np.maximum(np.ceil(below[:, -1:] * part - 1e-9), 1)
        found[quantity.name] = _interval(middles[(below >= wanted).argmax(axis=1)], len(histograms))
    return found


def _interval(drawn: npt.NDArray[np.float64], rounds: int) -> Interval:
    estimate = float(drawn[0])
    if rounds == 1:
        return Interval(estimate, -math.inf, math.inf)
    reach = math.sqrt(rounds / (rounds - 1)) * student_quantile(1 - (1 - CONFIDENCE) / 2, rounds - 1)
    tail = statistics.NormalDist().cdf(-reach)
    low, high = np.quantile(drawn[1:], [tail, 1 - tail])
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate))
