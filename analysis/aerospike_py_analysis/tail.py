"""Splits the distance between two percentiles of the wall time among the stages, so that the parts add up to it.

Percentiles of stages cannot be subtracted: the operation with the slowest network is seldom the one with the slowest
GIL.
Instead, the operations in a window of ranks around each percentile stand for "an operation that is this slow". The
mean of their
stages adds up to the mean of their wall times; scaled by the percentile over that mean it adds up to the percentile
itself.
The difference of two such vectors adds up to the difference of the percentiles, for every recording.

Intervals come from a Poisson bootstrap: every operation is counted once on average, anew in each repetition, and both
percentiles, both windows and the split are computed again. Operations of a thinned-out sample count with their weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aerospike_py_analysis.model import Floats, Ints

REPETITIONS: Final = 200
# Larger samples need fewer repetitions: their intervals are narrow.
FEWER_REPETITIONS: Final = 80
MANY_ROWS: Final = 20_000
FEWEST_ROWS: Final = 20
IN_WINDOW: Final = 8


@dataclass(frozen=True)
class Part:
    """What one stage adds between two percentiles, with a 95 % interval."""

    stage: str
    ns: float
    low_ns: float
    high_ns: float
    share: float
    from_ns: float
    to_ns: float


@dataclass(frozen=True)
class TailSplit:
    """The distance between two percentiles and its parts, largest first."""

    low: float
    high: float
    from_ns: float
    to_ns: float
    parts: list[Part]

    @property
    def difference_ns(self) -> float:
        """What the parts add up to."""
        return self.to_ns - self.from_ns


class Ordered:
    """Operations in order of duration with weights, and what an operation at a percentile is made of."""

    def __init__(self, durations: Ints, stages: Ints, weights: Floats) -> None:
        self.durations = durations.astype(np.float64)
        self.stages = stages.astype(np.float64)
        self.weights = weights

    def quantile(self, q: float, cumulative: Floats | None = None) -> float:
        """The duration at rank ``q``."""
        ranks = np.cumsum(self.weights) if cumulative is None else cumulative
        return float(self.durations[self._position(ranks, q)])

    @staticmethod
    def _position(ranks: Floats, q: float) -> int:
        # A rank that is whole up to rounding is meant to be whole.
        rank = q * ranks[-1]
        return min(int(np.searchsorted(ranks, rank - 1e-9 * ranks[-1])), ranks.size - 1)

    def at(self, q: float, value: float | None = None) -> Floats:
        """The stages of an operation at rank ``q``, adding up to ``value`` (by default the duration there)."""
        return self.among(self.weights, np.cumsum(self.weights), q, value)

    def among(self, weights: Floats, ranks: Floats, q: float, value: float | None = None) -> Floats:
        """The same with other weights, whose running sum is ``ranks``."""
        half = min(q, 1 - q) / 2 if q > 0.75 or q < 0.25 else 0.02
        first, last = self._position(ranks, q - half), self._position(ranks, q + half)
        middle = self._position(ranks, q)
        first = max(min(first, middle - IN_WINDOW // 2), 0)
        last = min(max(last, middle + IN_WINDOW // 2), ranks.size - 1)
        window = slice(first, last + 1)
        counted = weights[window]
        target = float(self.durations[middle]) if value is None else value
        total = float(self.durations[window] @ counted)
        if total <= 0:
            return np.zeros(self.stages.shape[0])
        return np.asarray(self.stages[:, window] @ counted) * (target / total)


def splits(
    names: list[str],
    rows: Ordered,
    tails: Sequence[tuple[float, float]],
    known: Callable[[float], float] | None = None,
    seed: int = 1,
    most_repetitions: int = REPETITIONS,
) -> list[TailSplit]:
    """Splits the distance between each pair of percentiles; ``known`` says their values where they are known better."""
    value = known or rows.quantile
    ranks = sorted({q for tail in tails for q in tail})
    at = {q: rows.at(q, value(q)) for q in ranks}
    again = repeated(rows, ranks, seed, most_repetitions)
    return [split(names, value, low, high, at, again) for low, high in tails]


def split(
    names: list[str],
    value: Callable[[float], float],
    low: float,
    high: float,
    at: dict[float, Floats],
    again: dict[float, Floats],
) -> TailSplit:
    """One of the splits, from the stages at both percentiles and their repetitions."""
    from_ns, to_ns = value(low), value(high)
    before, after = at[low], at[high]
    parts = after - before
    difference = to_ns - from_ns
    # Windows without time (all durations zero) leave nothing to split; rounding goes to the largest part.
    parts[int(np.argmax(np.abs(parts)))] += difference - parts.sum()
    if again:
        lows, highs = np.quantile(again[high] - again[low], [0.025, 0.975], axis=0)
    else:
        lows, highs = np.full_like(parts, -np.inf), np.full_like(parts, np.inf)
    whole = [
        Part(
            name,
            float(parts[i]),
            float(min(lows[i], parts[i])),
            float(max(highs[i], parts[i])),
            float(parts[i] / difference) if difference else 0.0,
            float(before[i]),
            float(after[i]),
        )
        for i, name in enumerate(names)
    ]
    kept = [part for part in whole if part.ns or part.from_ns or part.to_ns]
    return TailSplit(low, high, from_ns, to_ns, sorted(kept, key=lambda part: -part.ns))


def repeated(rows: Ordered, ranks: Sequence[float], seed: int, most: int = REPETITIONS) -> dict[float, Floats]:
    """The stages at each percentile in every repetition of the bootstrap; nothing for too few operations."""
    size = rows.durations.size
    if size < FEWEST_ROWS:
        return {}
    random = np.random.default_rng(seed)
    repetitions = min(REPETITIONS if size <= MANY_ROWS else FEWER_REPETITIONS, most)
    found = {q: np.empty((repetitions, rows.stages.shape[0])) for q in ranks}
    # How often each operation counts: cheaper to draw from a table of ready-made numbers than from the distribution.
    times = random.poisson(1.0, max(4 * size, 1 << 16)).astype(np.float64)
    for repetition in range(repetitions):
        first = int(random.integers(times.size - size))
        weights = rows.weights * times[first : first + size]
        cumulative = np.cumsum(weights)
        if cumulative[-1] <= 0:
            weights, cumulative = rows.weights, np.cumsum(rows.weights)
        for q in ranks:
            found[q][repetition] = rows.among(weights, cumulative, q)
    return found
