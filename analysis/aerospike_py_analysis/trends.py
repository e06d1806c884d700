"""What changes over the time of a recording: slow starts, bursts of slow operations, throttled stretches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from aerospike_py_analysis import slices
from aerospike_py_analysis.model import Floats, Ints, Probes
from aerospike_py_analysis.profile import Group, Profile

# A slice counts as a burst if its p99 is this many times the median of all slices' p99.
BURST: Final = 3.0
FEWEST_SLICES: Final = 8
# Slices after a slow start that may be as slow, as a share.
AGAIN: Final = 0.05


@dataclass(frozen=True)
class Slice:
    """One stretch of time of one group."""

    start_ns: int
    count: int
    mean_ns: float
    p50_ns: float
    p99_ns: float


@dataclass(frozen=True)
class Throttled:
    """A stretch in which the control group stopped a process: when, within how long, for how long."""

    start_ns: int
    width_ns: int
    stopped_ns: float


@dataclass(frozen=True)
class Trend:
    """A group over time."""

    operation: str
    lane: str
    width_ns: int
    slices: list[Slice]
    bursts: list[int]
    # Mean wall time of the first operations over that of the rest, and how long they lasted; 1 if there was no slow
    # start.
    warm_up_factor: float
    warm_up_ns: int
    warm_up_stage: str


def trend(group: Group, begin_ns: int) -> Trend:
    """How a group went over time; starts are relative to the begin of the recording."""
    starts, sums, durations = group.slices.table()
    counts = durations.sum(axis=1)
    means = sums.sum(axis=1) / counts
    p99 = np.array([slices.quantile(row, 0.99) for row in durations])
    found = [
        Slice(int(start) - begin_ns, int(count), float(mean), slices.quantile(row, 0.5), float(high))
        for start, count, mean, row, high in zip(starts, counts, means, durations, p99, strict=True)
    ]
    many = len(found) >= FEWEST_SLICES
    typical = float(np.median(p99)) if many else 0.0
    bursts = [i for i in range(len(found)) if many and p99[i] > BURST * typical]
    factor, lasted, stage = warm_up(sums, counts, means) if many else (1.0, 0, 0)
    return Trend(
        group.operation,
        group.lane,
        group.slices.width_ns,
        found,
        bursts,
        factor,
        # Slices without operations are not in the table.
        int(starts[lasted - 1] - starts[0]) + group.slices.width_ns if lasted else 0,
        group.stages[stage],
    )


def warm_up(sums: Floats, counts: Ints, means: Floats) -> tuple[float, int, int]:
    """How much slower the first slices were, how many they are, and the stage that was slower."""
    half = len(means) // 2
    settled = float(np.median(means[half:]))
    length = 0
    while length < half and means[length] > 1.5 * settled:
        length += 1
    # A process that is as slow again and again later on did not merely start slowly.
    start = float(sums[:length].sum() / max(counts[:length].sum(), 1))
    again = float(np.mean(means[length:] > max(1.5 * settled, start / 2)))
    if not length or not settled or again > AGAIN:
        return 1.0, 0, 0
    early = sums[:length].sum(axis=0) / counts[:length].sum()
    late = sums[half:].sum(axis=0) / counts[half:].sum()
    return float(early.sum() / settled), length, int(np.argmax(early - late))


def increase(probes: Probes) -> float:
    """By how much a counter grew, all processes together."""
    total = 0.0
    for process in np.unique(probes.process).tolist():
        values = probes.value[(probes.process == process) & ~np.isnan(probes.value)]
        if values.size:
            total += float(values[-1] - values[0])
    return max(total, 0.0)


def throttled(profile: Profile) -> tuple[float, float]:
    """Seconds in which the control group stopped the processes, and seconds of the recording."""
    seconds = (profile.last_ns - profile.first_ns) / 1e9
    rows = profile.probes.get("cgroup_throttled_seconds")
    return (increase(rows) if rows is not None else 0.0, seconds)


def throttled_stretches(profile: Profile) -> list[Throttled]:
    """When the processes were stopped: looks at the counter between which it grew, those next to each other as one."""
    rows = profile.probes.get("cgroup_throttled_seconds")
    if rows is None:
        return []
    found: list[Throttled] = []
    for process in np.unique(rows.process).tolist():
        mine = rows.take((rows.process == process) & ~np.isnan(rows.value))
        grown = np.diff(mine.value) > 0
        for i in np.flatnonzero(grown).tolist():
            begin, end = int(mine.start_ns[i]) - profile.first_ns, int(mine.start_ns[i + 1]) - profile.first_ns
            stopped = float(mine.value[i + 1] - mine.value[i]) * 1e9
            if i and grown[i - 1]:
                last = found.pop()
                begin, stopped = last.start_ns, last.stopped_ns + stopped
            found.append(Throttled(begin, end - begin, stopped))
    return sorted(found, key=lambda one: one.start_ns)
