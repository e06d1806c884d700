"""The same operations told apart by node, set, batch size, thread, loop, process or concurrency: who makes the tail?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from aerospike_py_analysis.model import NONE, Ints
from aerospike_py_analysis.profile import Group
from aerospike_py_analysis.recording import Recording
from aerospike_py_analysis.tail import Ordered

FEWEST: Final = 30
MOST_VALUES: Final = 16
TAIL: Final = 0.99


@dataclass(frozen=True)
class Value:
    """The operations with one value of a dimension, beside the others of their group."""

    value: str
    count: int
    share: float
    tail_share: float
    mean_ns: float
    p50_ns: float
    p99_ns: float
    # The stage that its tail (p50 -> p99) grows by most, and by how much.
    tail_stage: str
    tail_stage_ns: float
    # The stage in which its mean is most above that of the others.
    excess_stage: str
    excess_ns: float

    @property
    def lift(self) -> float:
        """How many times more often than chance it is in the tail."""
        return self.tail_share / self.share if self.share else 0.0


@dataclass(frozen=True)
class Dimension:
    """One way of telling operations apart, with its values by share of the tail."""

    name: str
    values: list[Value]


def dimensions(group: Group, recording: Recording) -> list[Dimension]:
    """All dimensions in which a group has at least two values."""
    words = recording.vocabulary
    process = group.rows["process"]
    single = np.all(process == process[0])

    def word(code: int) -> str:
        return words.word(code) or "several or none"

    def numbered(column: str) -> tuple[Ints, dict[int, str]]:
        pairs = np.stack([process, group.rows[column]])
        present, codes = np.unique(pairs, axis=1, return_inverse=True)
        names = {}
        for i, (owner, number) in enumerate(present.T.tolist()):
            frame = recording.frames[owner]
            place = "" if single else f" of {frame.host}:{frame.pid}"
            names[i] = f"{number if number != NONE else 'none'}{place}"
        return codes.reshape(-1), names

    found = []
    for name, column in (("node", "node"), ("set", "set"), ("outcome", "outcome")):
        codes = group.rows[column]
        found.append(dimension(name, group, codes, {code: word(code) for code in np.unique(codes).tolist()}))
    for name, column in (("keys", "keys"), ("in flight", "in_flight")):
        codes = buckets(group.rows[column])
        found.append(dimension(name, group, codes, {code: bucket_name(code) for code in np.unique(codes).tolist()}))
    for name, column in (("thread", "thread_id"), ("loop", "loop_id")):
        codes, names = numbered(column)
        found.append(dimension(name, group, codes, names))
    hosts = {i: f"{frame.host}:{frame.pid}" for i, frame in enumerate(recording.frames)}
    found.append(dimension("process", group, process, hosts))
    return [one for one in found if len(one.values) > 1]


def buckets(values: Ints) -> Ints:
    """The power of two at or below each value; -1 for none."""
    return np.where(values > 0, np.floor(np.log2(np.maximum(values, 1))), -1).astype(np.int64)


def bucket_name(number: int) -> str:
    """Which values a bucket holds."""
    low, high = 2**number, 2 ** (number + 1) - 1
    if number < 0:
        return "none"
    return str(low) if low == high else f"{low}-{high}"


def dimension(name: str, group: Group, codes: Ints, names: dict[int, str]) -> Dimension:
    """The values of one dimension, those in the tail first."""
    weights, durations = group.weights, group.rows["duration_ns"]
    total = float(weights.sum())
    tail = durations >= group.quantile(TAIL)
    tail_total = float(weights[tail].sum()) or 1.0
    all_sums = group.rows.stages @ weights
    values = []
    for code in np.unique(codes).tolist():
        own = codes == code
        if int(own.sum()) < FEWEST:
            continue
        mine = weights[own]
        count = float(mine.sum())
        rows = Ordered(durations[own], group.rows.stages[:, own], mine)
        p50, p99 = rows.quantile(0.5), rows.quantile(TAIL)
        growth = rows.at(TAIL) - rows.at(0.5)
        sums = group.rows.stages[:, own] @ mine
        others = (all_sums - sums) / max(total - count, 1.0)
        excess = sums / count - others
        values.append(
            Value(
                names[code],
                round(count),
                count / total,
                float(weights[own & tail].sum()) / tail_total,
                float(sums.sum()) / count,
                p50,
                p99,
                group.stages[int(np.argmax(growth))],
                float(growth.max()),
                group.stages[int(np.argmax(excess))],
                float(excess.max()),
            )
        )
    values.sort(key=lambda value: value.tail_share, reverse=True)
    return Dimension(name, values[:MOST_VALUES])
