"""Folded stacks of a recording: operation, lane, stage and node, weighted by nanoseconds. Drawing is the client's."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from aerospike_py_analysis.model import NONE
from aerospike_py_analysis.profile import Profile

LEVELS: Final = ("operation", "lane", "stage", "node")


def folded(summed: Profile, by: tuple[str, ...] = LEVELS, tail: float | None = None, each: bool = False) -> list[str]:
    """Lines of ``frame;frame nanoseconds``, sorted.

    ``tail`` leaves only operations at or above this quantile of their group's wall time. ``each`` divides by the number
    of operations, so that recordings of different lengths can be compared. Time in no stage is a box of its own: boxes
    add up to the wall time.
    """
    stacks: Counter[str] = Counter()
    operations = 0.0
    for group in summed.groups:
        slow = np.ones(len(group.rows), dtype=bool)
        if tail is not None:
            slow = group.rows["duration_ns"] >= group.quantile(tail)
        operations += float(group.weights[slow].sum())
        for code in np.unique(group.rows["node"][slow]).tolist():
            chosen = slow & (group.rows["node"] == code)
            node = "" if code == NONE else summed.recording.vocabulary.words[code]
            sums = group.rows.stages[:, chosen] @ group.weights[chosen]
            for stage, total in zip(group.stages, sums.tolist(), strict=True):
                names = {"operation": group.operation, "lane": group.lane, "stage": stage, "node": node}
                stack = ";".join(frame for frame in (names[level] for level in by) if frame)
                stacks[stack] += total
    part = 1 / operations if each and operations else 1.0
    weights = {stack: round(total * part) for stack, total in stacks.items() if stack}
    return [f"{stack} {weight}" for stack, weight in sorted(weights.items()) if weight > 0]
