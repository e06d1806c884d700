"""Paired figures: within a round, a configuration against off; over rounds, the median and an interval by bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.overhead.configurations import MEASURED, OFF, OFF_AGAIN

DRAWS = 2_000
CONFIDENCE = 0.95
_SEED = 1

Figures = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A median, and where it lies with 95 % confidence."""

    median: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def interval(samples: Sequence[float] | Figures) -> Interval:
    """The median of samples; rounds are drawn anew with replacement to see how much it moves.

    Raises:
        ValueError: There are no samples.
    """
    values = np.asarray(samples, dtype=np.float64)
    if not len(values):
        raise ValueError("there is no median of nothing")
    drawn = np.random.default_rng(_SEED).choice(values, size=(DRAWS, len(values)))
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.median(drawn, axis=1), [outside, 1 - outside])
    return Interval(float(np.median(values)), float(low), float(high))


@dataclass(frozen=True)
class Compared:
    """A configuration against off, per operation."""

    configuration: str
    wall_ns: Interval
    """Itself, not a difference."""
    difference_ns: Interval
    ratio: Interval
    cpu_difference_ns: Interval
    cpu_ratio: Interval


def compare(rounds: dict[str, list[list[int]]]) -> list[Compared]:
    """Compare every configuration with the mean of both offs of its round, and these with each other.

    Args:
        rounds: By configuration and round, what an operation took: wall time and processor time in nanoseconds.
    """
    taken = {name: np.asarray(blocks, dtype=np.float64) for name, blocks in rounds.items()}
    off = (taken[OFF.name] + taken[OFF_AGAIN.name]) / 2
    compared = []
    for name in (configuration.name for configuration in MEASURED if configuration.name in taken):
        base = {OFF.name: off, OFF_AGAIN.name: taken[OFF.name]}.get(name, off)
        own = off if name == OFF.name else taken[name]
        compared.append(
            Compared(
                name,
                wall_ns=interval(own[:, 0]),
                difference_ns=interval(own[:, 0] - base[:, 0]),
                ratio=interval(own[:, 0] / base[:, 0]),
                cpu_difference_ns=interval(own[:, 1] - base[:, 1]),
                cpu_ratio=interval(own[:, 1] / base[:, 1]),
            )
        )
    return compared


def of_cell(cell: dict[str, Any]) -> list[Compared]:
    """Compare every configuration of a workload, by the short rounds where those had it."""
    short = {one.configuration: one for one in compare(cell["short_rounds"])} if "short_rounds" in cell else {}
    return [short.get(one.configuration, one) for one in compare(cell["rounds"])]


def rounds_of(cell: dict[str, Any], configuration: str) -> int:
    """How many rounds the figures of a configuration come from."""
    return len(cell.get("short_rounds", {}).get(configuration) or cell["rounds"][configuration])


def as_json(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    return [asdict(one) for one in compared]
