"""Paired figures: within a round, a configuration against off; over the rounds of a process, the median; over
processes, the mean, with an interval by bootstrap.

Where a process has its memory makes the same code a little faster or slower for as long as it runs, with something on
as with nothing, and not by the same. Rounds of one process cannot show that, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.overhead.configurations import EVERYTHING, MEASURED, OFF, OFF_AGAIN

DRAWS = 2_000
CONFIDENCE = 0.95
_SEED = 1

Figures = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A median, or a mean of several processes' medians, and where it lies with 95 % confidence."""

    median: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def interval(samples: Sequence[float] | Figures, processes: Sequence[int] = ()) -> Interval:
    """The median of samples, of which processes, and rounds of each, are drawn anew to see how much it moves.

    Args:
        samples: One process after the other.
        processes: How many are of each; all are of one by default.

    Raises:
        ValueError: There are no samples, or not as many as the processes have.
    """
    values = np.asarray(samples, dtype=np.float64)
    if not len(values):
        raise ValueError("there is no median of nothing")
    sizes = list(processes) or [len(values)]
    if sum(sizes) != len(values) or 0 in sizes:
        raise ValueError(f"{len(values)} samples cannot be those of processes with {sizes}")
    rng = np.random.default_rng(_SEED)
    parts = np.split(values, np.cumsum(sizes)[:-1])
    medians = np.stack([np.median(rng.choice(part, size=(DRAWS, len(part))), axis=1) for part in parts])
    drawn = rng.integers(len(parts), size=(len(parts), DRAWS))
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians[drawn, np.arange(DRAWS)].mean(axis=0), [outside, 1 - outside])
    return Interval(float(np.mean([np.median(part) for part in parts])), float(low), float(high))


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


def compare(rounds: dict[str, list[list[float]]], processes: Sequence[int] = ()) -> list[Compared]:
    """Compare every configuration with the mean of both offs of its round, and these with each other.

    Args:
        rounds: By configuration and round, what an operation took: wall time and processor time in nanoseconds.
        processes: How many rounds each process has made.
    """

    def of(samples: Figures) -> Interval:
        return interval(samples, processes)

    taken = {name: np.asarray(blocks, dtype=np.float64) for name, blocks in rounds.items()}
    off = (taken[OFF.name] + taken[OFF_AGAIN.name]) / 2
    compared = []
    for name in (configuration.name for configuration in MEASURED if configuration.name in taken):
        base = {OFF.name: off, OFF_AGAIN.name: taken[OFF.name]}.get(name, off)
        own = off if name == OFF.name else taken[name]
        compared.append(
            Compared(
                name,
                wall_ns=of(own[:, 0]),
                difference_ns=of(own[:, 0] - base[:, 0]),
                ratio=of(own[:, 0] / base[:, 0]),
                cpu_difference_ns=of(own[:, 1] - base[:, 1]),
                cpu_ratio=of(own[:, 1] / base[:, 1]),
            )
        )
    return compared


def of_cell(cell: dict[str, Any]) -> list[Compared]:
    """Compare every configuration of a workload, by the short rounds where those had it."""
    compared = compare(cell["rounds"], cell.get("processes", ()))
    if "short_rounds" not in cell:
        return compared
    rounds = cell["short_rounds"]
    if "background" in cell:
        rounds = with_background(rounds, sum(cell["background"].values()), cell["processors"])
    short = {one.configuration: one for one in compare(rounds, cell.get("short_processes", ()))}
    return [short.get(one.configuration, one) for one in compared]


def with_background(
    rounds: dict[str, list[list[float]]], nanos: float, processors: int
) -> dict[str, list[list[float]]]:
    """Rounds in which everything on pays for what other threads do for it.

    Args:
        rounds: As `compare` takes them; the processor time is that of the threads that carry out operations.
        nanos: Processor time that the others take for an operation.
        processors: How many there are. Where all are busy, operations come so much later as others take from each;
            where one is idle, they do not come later at all.
    """
    paid = [[wall + nanos / processors, cpu + nanos] for wall, cpu in rounds[EVERYTHING.name]]
    return {**rounds, EVERYTHING.name: paid}


def rounds_of(cell: dict[str, Any], configuration: str) -> int:
    """How many rounds the figures of a configuration come from."""
    return len(cell.get("short_rounds", {}).get(configuration) or cell["rounds"][configuration])


def as_json(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    return [asdict(one) for one in compared]
