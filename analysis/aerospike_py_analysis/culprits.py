"""Whose fault a wait was: waits for the loop and for the GIL joined with what the probes saw at the same time.

A wait and a callback of the same loop that overlap share that time: the callback took it from the operation. Waits
for the GIL are
joined with the probe of the GIL of the same process. What no probe explains is said as well.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np

from aerospike_py_analysis.model import NONE, Details, Floats, Ints, Probes
from aerospike_py_analysis.profile import Group, Profile
from aerospike_py_analysis.recording import Place
from aerospike_py_analysis.stages import GIL_WAITS, LOOP_WAITS

# Waits below this are the price of a hand-over, nobody's fault.
SHORTEST_NS: Final = 50_000
MOST_ROWS: Final = 8_000
# The probes of the interpreter see that somebody kept it, not who.
UNNAMED: Final = {
    "loop_callback": "a callback without a name",
    "gil_delay": "another thread that kept the GIL",
    "attach_delay": "a pause of the interpreter",
    "stop_the_world": "garbage collection",
}
LOOP_PROBES: Final = ("loop_callback",)
GIL_PROBES: Final = ("gil_delay", "attach_delay", "stop_the_world")


@dataclass(frozen=True)
class Culprit:
    """Something that ran while operations waited."""

    name: str
    probe: str
    took_ns: float
    operations: int
    share: float
    longest_ns: int
    # Median length of the runs that operations waited for: a busy machine makes some runs of anything long.
    typical_ns: float


@dataclass(frozen=True)
class Blame:
    """All waits of one kind and who is to blame, by the time taken from operations."""

    waits: tuple[str, ...]
    waited_ns: float
    examined_ns: float
    explained_ns: float
    culprits: list[Culprit]


@dataclass
class Waits:
    """Stretches of waiting: when, on which loop, for how many operations each stands."""

    process: Ints
    subject: Ints
    start: Ints
    end: Ints
    weight: Floats


def blame(profile: Profile) -> list[Blame]:
    """The waits for the loop and those for the GIL."""
    found = []
    for stages, probes in ((LOOP_WAITS, LOOP_PROBES), (GIL_WAITS, GIL_PROBES)):
        positions = [i for i, name in enumerate(profile.stages) if name in stages]
        waited = float(sum(group.sums[positions].sum() for group in profile.groups))
        if not waited:
            continue
        waits = stretches(profile, stages, positions)
        found.append(judge(profile, waits, stages, probes, waited))
    return found


def stretches(profile: Profile, stages: tuple[str, ...], positions: list[int]) -> Waits:
    """The waits of the operations in the sample that waited longest."""
    chosen: list[tuple[Group, int, int]] = []
    for group in profile.groups:
        waits = group.rows.stages[positions].sum(axis=0)
        chosen += [(group, row, int(waits[row])) for row in np.flatnonzero(waits >= SHORTEST_NS).tolist()]
    chosen.sort(key=lambda choice: -choice[2] * float(choice[0].weights[choice[1]]))
    del chosen[MOST_ROWS:]
    places = [place_of(group, row) for group, row, _ in chosen]
    details = profile.recording.details(places)
    rows: list[tuple[int, int, int, int, float]] = []
    for (group, row, waited), place in zip(chosen, places, strict=True):
        process = int(group.rows["process"][row])
        loop = int(group.rows["loop_id"][row])
        start = int(group.rows["start_ns"][row])
        weight = float(group.weights[row])
        segments = [one for one in details.get(place, Details()).segments if one.stage in stages]
        if segments:
            rows += [
                (process, loop, start + one.start_ns, start + one.start_ns + one.duration_ns, weight)
                for one in segments
            ]
        else:
            # Without segments: these waits end the operation, but for the conversion in between.
            end = start + int(group.rows["duration_ns"][row])
            rows.append((process, loop, end - waited, end, weight))
    whole = np.array([row[:4] for row in rows], dtype=np.int64).reshape(-1, 4)
    return Waits(
        whole[:, 0], whole[:, 1], whole[:, 2], whole[:, 3], np.array([row[4] for row in rows], dtype=np.float64)
    )


def place_of(group: Group, row: int) -> Place:
    """Where the details of a row of the sample are."""
    return (int(group.rows["file"][row]), int(group.rows["batch"][row]), int(group.rows["row"][row]))


def judge(profile: Profile, waits: Waits, stages: tuple[str, ...], probes: tuple[str, ...], waited: float) -> Blame:
    """Adds up overlaps by name."""
    took: dict[tuple[str, str], float] = defaultdict(float)
    hit: dict[tuple[str, str], float] = defaultdict(float)
    longest: dict[tuple[str, str], int] = defaultdict(int)
    runs: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    covered = np.zeros(waits.start.size)
    for probe in probes:
        rows = profile.probes.get(probe, Probes.empty())
        for process, subject in {(int(p), int(s)) for p, s in zip(waits.process, waits.subject, strict=True)}:
            of_process = rows.process == process
            mine = of_process & (rows.subject == subject) if probe in LOOP_PROBES and subject != NONE else of_process
            chosen = rows.take(np.flatnonzero(mine))
            indices = np.flatnonzero((waits.process == process) & (waits.subject == subject))
            for wait, row, overlap in overlaps(waits, indices, chosen):
                name = (probe, profile.recording.vocabulary.word(int(chosen.name[row])) or UNNAMED[probe])
                took[name] += overlap * waits.weight[wait]
                hit[name] += waits.weight[wait]
                longest[name] = max(longest[name], int(chosen.duration_ns[row]))
                runs[name][int(chosen.start_ns[row])] = int(chosen.duration_ns[row])
                covered[wait] += overlap
    lengths = (waits.end - waits.start).astype(np.float64)
    examined = float(lengths @ waits.weight)
    explained = float(np.minimum(covered, lengths) @ waits.weight)
    culprits = [
        Culprit(
            name[1],
            name[0],
            value,
            round(hit[name]),
            value / examined if examined else 0.0,
            longest[name],
            float(np.median(list(runs[name].values()))),
        )
        for name, value in took.items()
    ]
    culprits.sort(key=lambda culprit: -culprit.took_ns)
    return Blame(stages, waited, examined, explained, culprits[:20])


def overlaps(waits: Waits, indices: Ints, rows: Probes) -> list[tuple[int, int, int]]:
    """Pairs of a wait and a probe's row that share time, and how much."""
    if not len(rows):
        return []
    begins = rows.start_ns
    ends = np.maximum.accumulate(begins + rows.duration_ns)
    first = np.searchsorted(ends, waits.start[indices], side="right")
    last = np.searchsorted(begins, waits.end[indices], side="left")
    found = []
    for wait, low, high in zip(indices.tolist(), first.tolist(), last.tolist(), strict=True):
        start, end = int(waits.start[wait]), int(waits.end[wait])
        for row in range(low, high):
            begin = int(begins[row])
            shared = min(end, begin + int(rows.duration_ns[row])) - max(start, begin)
            if shared > 0:
                found.append((wait, row, shared))
    return found
