"""Recognises calls that were gathered: operations of one event loop that started together and overlapped.

Works on chunks as they are read; what crosses the end of a chunk counts as two. What a burst would have cost as one
batch is estimated here from its stages, because the operations are gone afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from aerospike_py_analysis.model import NONE, Chunk, Ints

# Creating one operation on a loop takes tens of microseconds; whoever starts later was not gathered with the one
# before.
GAP_NS: Final = 250_000
FEWEST: Final = 3
MOST_KEPT: Final = 5_000

# How the stages of single operations combine in one batch of the same keys.
EVERY: Final = ("key_parse", "encode", "decode", "to_dict")  # work on each key: stays
SLOWEST: Final = (
    "network_wait",
    "network_read",
    "network_write",
)  # the slowest node stays, at a low quartile
# Every other stage is paid once, at the price of that operation of the burst which had the shortest queue of its
# siblings before it.


@dataclass(frozen=True)
class Burst:
    """One set of gathered calls, with the time it took and the estimate for one batch."""

    process: int
    loop: int
    operation: int
    start_ns: int
    calls: int
    keys: int
    took_ns: int
    batch_ns: int


class Bursts:
    """Collects bursts of a whole recording."""

    def __init__(self, stages: list[str]) -> None:
        self.stages = stages
        self.kept: list[Burst] = []
        self.count = 0
        self.calls = 0
        self.operations = 0
        self.stride = 1  # every how many bursts one is kept
        self._every = [stages.index(name) for name in EVERY if name in stages]
        self._slowest = [stages.index(name) for name in SLOWEST if name in stages]
        self._once = [i for i in range(len(stages)) if i not in self._every and i not in self._slowest]

    def add(self, chunk: Chunk) -> None:
        """Finds the bursts of a chunk."""
        rows = np.flatnonzero(chunk["loop_id"] != NONE)
        if rows.size < FEWEST:
            return
        self.operations += int(rows.size)
        order = rows[np.lexsort((chunk["start_ns"][rows], chunk["loop_id"][rows], chunk["process"][rows]))]
        begins = beginnings(chunk, order)
        for begin, end in zip(begins, [*begins[1:], order.size], strict=True):
            if end - begin < FEWEST:
                continue
            self.count += 1
            self.calls += end - begin
            if self.count % self.stride == 0:
                self._keep(chunk, order[begin:end])

    def _keep(self, chunk: Chunk, rows: Ints) -> None:
        start = chunk["start_ns"][rows]
        end = start + chunk["duration_ns"][rows]
        stages = chunk.stages[:, rows]
        batch = (
            stages[self._every].sum()
            + slowest_node(chunk["node"][rows], stages[self._slowest].sum(axis=0))
            + stages[self._once].min(axis=1).sum()
        )
        took = int(end.max() - start.min())
        self.kept.append(
            Burst(
                int(chunk["process"][rows[0]]),
                int(chunk["loop_id"][rows[0]]),
                int(chunk["operation"][rows[0]]),
                int(start.min()),
                int(rows.size),
                int(np.maximum(chunk["keys"][rows], 1).sum()),
                took,
                min(int(batch), took),
            )
        )
        if len(self.kept) > MOST_KEPT:
            self.kept = self.kept[1::2]
            self.stride *= 2


def slowest_node(nodes: Ints, network: Ints) -> int:
    """What the slowest node takes for one request.

    The later ones of its calls have waited for the earlier ones, on the server and for the loop: the low quartile is
    nearer to what a single request takes than the median is.
    """
    return max(low_quartile(np.sort(network[nodes == node])) for node in np.unique(nodes))


def low_quartile(ordered: Ints) -> int:
    """The low quartile of sorted values, between two of them in proportion; ``np.quantile`` is slow for few values."""
    place, rest = divmod(ordered.size - 1, 4)
    low = int(ordered[place])
    return low + (int(ordered[place + 1]) - low) * rest // 4 if rest else low


def beginnings(chunk: Chunk, order: Ints) -> list[int]:
    """Positions in ``order`` where a burst begins: after a gap, on another loop, or when an earlier call has ended."""
    start = chunk["start_ns"][order]
    fresh = np.ones(order.size, dtype=np.bool_)
    fresh[1:] = (
        (start[1:] - start[:-1] > GAP_NS)
        | (chunk["loop_id"][order[1:]] != chunk["loop_id"][order[:-1]])
        | (chunk["process"][order[1:]] != chunk["process"][order[:-1]])
    )
    ends = (start + chunk["duration_ns"][order]).tolist()
    found: list[int] = []
    earliest = 0
    for i, (begin, end, new) in enumerate(zip(start.tolist(), ends, fresh.tolist(), strict=True)):
        if new or begin >= earliest:
            found.append(i)
            earliest = end
        elif end < earliest:
            earliest = end
    return found
