"""The same operations told apart by node, set, batch size, thread, loop, process, concurrency or time: who makes the
tail, and of what is it made there?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from aerospike_py_analysis.model import NONE, Ints
from aerospike_py_analysis.profile import Group, Profile
from aerospike_py_analysis.tail import FEWER_REPETITIONS, Ordered, TailSplit, splits
from aerospike_py_analysis.wording import time

FEWEST: Final = 30
MOST_VALUES: Final = 16
# Values whose tail is split among the stages, with intervals: those that reports show.
MOST_SPLIT: Final = 8
PARTS_OF_TIME: Final = 8
TAIL: Final = 0.99
TAILS: Final = ((0.5, TAIL),)


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
    # Its own way from p50 to p99, none for values beyond the first few.
    tail: TailSplit | None
    # The stage in which its mean is most above that of the others.
    excess_stage: str
    excess_ns: float

    @property
    def lift(self) -> float:
        """How many times more often than chance it is in the tail."""
        return self.tail_share / self.share if self.share else 0.0


@dataclass(frozen=True)
class Dimension:
    """One way of telling operations apart, with its values by share of the tail, those of time in their order."""

    name: str
    values: list[Value]


def dimensions(group: Group, summed: Profile) -> list[Dimension]:
    """All dimensions in which a group has at least two values."""
    recording = summed.recording
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
        if np.all(group.rows[column] == NONE):
            continue
        codes, names = numbered(column)
        found.append(dimension(name, group, codes, names))
    hosts = {i: f"{frame.host}:{frame.pid}" for i, frame in enumerate(recording.frames)}
    found.append(dimension("process", group, process, hosts))
    found.append(over_time(group, summed))
    return [one for one in found if len(one.values) > 1]


def over_time(group: Group, summed: Profile) -> Dimension:
    """The recording in parts of equal length, by when operations started."""
    length = max((summed.last_ns - summed.first_ns) / PARTS_OF_TIME, 1.0)
    codes = np.minimum((group.rows["start_ns"] - summed.first_ns) / length, PARTS_OF_TIME - 1).astype(np.int64)
    names = {code: f"{time(code * length)} to {time((code + 1) * length)}" for code in range(PARTS_OF_TIME)}
    return dimension("time", group, codes, names, in_order=True)


def buckets(values: Ints) -> Ints:
    """The power of two at or below each value; -1 for none."""
    return np.where(values > 0, np.floor(np.log2(np.maximum(values, 1))), -1).astype(np.int64)


def bucket_name(number: int) -> str:
    """Which values a bucket holds."""
    low, high = 2**number, 2 ** (number + 1) - 1
    if number < 0:
        return "none"
    return str(low) if low == high else f"{low}-{high}"


def dimension(name: str, group: Group, codes: Ints, names: dict[int, str], in_order: bool = False) -> Dimension:
    """The values of one dimension, those in the tail first unless they have an order of their own."""
    weights, durations = group.weights, group.rows["duration_ns"]
    total = float(weights.sum())
    tail = durations >= group.quantile(TAIL)
    tail_total = float(weights[tail].sum()) or 1.0
    all_sums = group.rows.stages @ weights
    present, counts = np.unique(codes, return_counts=True)
    present = present[counts >= FEWEST]
    shares = {code: float(weights[tail & (codes == code)].sum()) / tail_total for code in present.tolist()}
    ranked = list(shares) if in_order else sorted(shares, key=lambda code: -shares[code])
    values = []
    for position, code in enumerate(ranked[:MOST_VALUES]):
        own = codes == code
        mine = weights[own]
        count = float(mine.sum())
        rows = Ordered(durations[own], group.rows.stages[:, own], mine)
        sums = group.rows.stages[:, own] @ mine
        others = (all_sums - sums) / max(total - count, 1.0)
        excess = sums / count - others
        split = len(ranked) > 1 and position < MOST_SPLIT
        values.append(
            Value(
                names[code],
                round(count),
                count / total,
                shares[code],
                float(sums.sum()) / count,
                rows.quantile(0.5),
                rows.quantile(TAIL),
                splits(group.stages, rows, TAILS, most_repetitions=FEWER_REPETITIONS)[0] if split else None,
                group.stages[int(np.argmax(excess))],
                float(excess.max()),
            )
        )
    return Dimension(name, values)
