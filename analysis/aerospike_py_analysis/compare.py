"""Compares two recordings, or the processes with the GIL and those without it in one: from one percentile to the
other's, stage by stage, and whether the difference is more than chance.

The split is that of ``tail``: the stages of the operations around the percentile of each recording, scaled to it, so
that
their difference adds up. Both recordings are resampled independently for the intervals and for the probability that
operations of
the same kind would show such a difference.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from aerospike_py_analysis.model import Bools, Floats, Frame
from aerospike_py_analysis.profile import Group, Profile
from aerospike_py_analysis.tail import Ordered, Part, repeated

SIGNIFICANT: Final = 0.05
# What the GIL is compared at, and how many operations either configuration must have.
PERCENTILE: Final = 0.95
FEWEST: Final = 30


@dataclass(frozen=True)
class Change:
    """One operation and lane in both recordings."""

    operation: str
    lane: str
    q: float
    counts: tuple[int, int]
    from_ns: float
    to_ns: float
    low_ns: float
    high_ns: float
    probability: float
    parts: list[Part]

    @property
    def name(self) -> str:
        """How it is called in reports."""
        return f"{self.operation} ({self.lane})"

    @property
    def difference_ns(self) -> float:
        """What the parts add up to."""
        return self.to_ns - self.from_ns

    @property
    def relative(self) -> float:
        """The change as a share of the value before."""
        return self.difference_ns / self.from_ns if self.from_ns else 0.0

    @property
    def significant(self) -> bool:
        """Whether it is more than chance."""
        return self.probability < SIGNIFICANT

    def exceeds(self, threshold: float) -> bool:
        """Whether it became slower by more than a share, and not by chance."""
        return self.significant and self.relative > threshold


@dataclass(frozen=True)
class Comparison:
    """All operations that both recordings have, and those that only one has."""

    q: float
    frames: tuple[list[Frame], list[Frame]]
    changes: list[Change]
    only_before: list[str]
    only_after: list[str]

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        value = dataclasses.asdict(self)
        for change, plain in zip(self.changes, value["changes"], strict=True):
            plain.update(difference_ns=change.difference_ns, relative=change.relative, significant=change.significant)
        value["format"] = 1
        return value


def compare(before: Profile, after: Profile, q: float = 0.95) -> Comparison:
    """Compares operation by operation, those with the most time first."""
    olds = {(group.operation, group.lane): group for group in before.groups}
    news = {(group.operation, group.lane): group for group in after.groups}
    names = sorted({*before.stages, *after.stages}, key=lambda name: (before.stages + after.stages).index(name))
    changes = [change(group, news[key], names, q) for key, group in olds.items() if key in news]
    return Comparison(
        q,
        (before.recording.frames, after.recording.frames),
        changes,
        [group.name for key, group in olds.items() if key not in news],
        [group.name for key, group in news.items() if key not in olds],
    )


def with_and_without_gil(summed: Profile, q: float = PERCENTILE) -> list[Change]:
    """Each operation from its processes with the GIL to those without it, where a recording has both."""
    on = np.array([frame.gil_enabled is True for frame in summed.recording.frames])
    off = np.array([frame.gil_enabled is False for frame in summed.recording.frames])
    if not on.any() or not off.any():
        return []
    found = []
    for group in summed.groups:
        process = group.rows["process"]
        if min(on[process].sum(), off[process].sum()) >= FEWEST:
            sides = [side_of_rows(group, rows, q) for rows in (on[process], off[process])]
            found.append(between(group.operation, group.lane, group.stages, q, sides[0], sides[1]))
    return found


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: its operations, how many they stand for, and the percentile."""

    rows: Ordered
    count: int
    value: float


def side_of_rows(group: Group, rows: Bools, q: float) -> Side:
    """Some operations of a group."""
    ordered = Ordered(group.rows["duration_ns"][rows], group.rows.stages[:, rows], group.weights[rows])
    return Side(ordered, round(float(group.weights[rows].sum())), ordered.quantile(q))


def side(group: Group, names: list[str], q: float) -> Side:
    """All operations of a group, with the stages of both recordings."""
    return Side(ordered(group, names), group.count, group.quantile(q))


def change(old: Group, new: Group, names: list[str], q: float) -> Change:
    """The waterfall of one operation and lane."""
    return between(old.operation, old.lane, names, q, side(old, names, q), side(new, names, q))


def between(operation: str, lane: str, names: list[str], q: float, old: Side, new: Side) -> Change:
    """The waterfall from one side to the other."""
    rows, values = (old.rows, new.rows), (old.value, new.value)
    befores, afters = rows[0].at(q, values[0]), rows[1].at(q, values[1])
    parts = afters - befores
    parts[int(np.argmax(np.abs(parts)))] += values[1] - values[0] - parts.sum()
    # Different seeds: the same draws in both recordings would hide their noise.
    repetitions = repeated(rows[0], [q], 1).get(q), repeated(rows[1], [q], 2).get(q)
    low, high, probability = -np.inf, np.inf, 1.0
    lows, highs = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    if repetitions[0] is not None and repetitions[1] is not None:
        size = min(len(repetitions[0]), len(repetitions[1]))
        differences: Floats = repetitions[1][:size] - repetitions[0][:size]
        lows, highs = np.quantile(differences, [0.025, 0.975], axis=0)
        totals = differences.sum(axis=1)
        low, high = np.quantile(totals, [0.025, 0.975]).tolist()
        ties = float(np.mean(totals == 0)) / 2
        probability = min(1.0, 2 * min(float(np.mean(totals < 0)) + ties, float(np.mean(totals > 0)) + ties) + 1 / size)
    difference = values[1] - values[0]
    whole = [
        Part(
            name,
            float(parts[i]),
            float(min(lows[i], parts[i])),
            float(max(highs[i], parts[i])),
            float(parts[i] / difference) if difference else 0.0,
            float(befores[i]),
            float(afters[i]),
        )
        for i, name in enumerate(names)
    ]
    kept = [part for part in whole if part.from_ns or part.to_ns or part.ns]
    return Change(
        operation,
        lane,
        q,
        (old.count, new.count),
        *values,
        low,
        high,
        probability,
        sorted(kept, key=lambda part: -abs(part.ns)),
    )


def ordered(group: Group, names: list[str]) -> Ordered:
    """A group's sample with the stages of both recordings."""
    stages = np.zeros((len(names), len(group.rows)), dtype=np.int64)
    for position, name in enumerate(names):
        if name in group.stages:
            stages[position] = group.rows.stages[group.stages.index(name)]
    return Ordered(group.rows["duration_ns"], stages, group.weights)
