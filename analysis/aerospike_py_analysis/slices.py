"""Operations over time: sums of stages and counts of durations per slice of wall time.

The slices become twice as long whenever there are too many, so that memory does not depend on the length of a
recording.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aerospike_py_analysis import histogram
from aerospike_py_analysis.model import Chunk, Floats, Ints

MOST: Final = 120
SHORTEST_NS: Final = 1 << 20
# Eight bins to a power of two are enough to look at.
_COARSER: Final = 3
BINS: Final = (histogram.BINS >> _COARSER) + 2


class Slices:
    """Sums per slice of time, for one group of operations."""

    def __init__(self, stages: int) -> None:
        self.stages = stages
        self.width_ns = SHORTEST_NS
        self._sums: dict[int, Floats] = {}
        self._durations: dict[int, Ints] = {}

    def add(self, chunk: Chunk) -> None:
        """Counts each operation in the slice in which it started."""
        number = chunk["start_ns"] // self.width_ns
        while int(number.max() - number.min()) >= 4 * MOST:
            self._widen()
            number = chunk["start_ns"] // self.width_ns
        present, place = np.unique(number, return_inverse=True)
        sums: Floats = np.stack([np.bincount(place, weights=stage, minlength=present.size) for stage in chunk.stages])
        coarse = (histogram.bins(chunk["duration_ns"]) + (1 << _COARSER) - 1) >> _COARSER
        durations: Ints = np.bincount(place * BINS + coarse, minlength=present.size * BINS).reshape(-1, BINS)
        for i, key in enumerate(present.tolist()):
            self._put(key, sums[:, i], durations[i])
        while len(self._sums) > MOST:
            self._widen()

    def _put(self, key: int, sums: Floats, durations: Ints) -> None:
        if key in self._sums:
            self._sums[key] = self._sums[key] + sums
            self._durations[key] = self._durations[key] + durations
        else:
            self._sums[key], self._durations[key] = sums.copy(), durations.copy()

    def _widen(self) -> None:
        self.width_ns *= 2
        old = [(key, self._sums[key], self._durations[key]) for key in self._sums]
        self._sums, self._durations = {}, {}
        for key, sums, durations in old:
            self._put(key // 2, sums, durations)

    def widen_to(self, width_ns: int) -> None:
        """Makes the slices as long as those of another group."""
        while self.width_ns < width_ns:
            self._widen()

    def table(self) -> tuple[Ints, Floats, Ints]:
        """Start of each slice that has operations, sums (slice by stage) and counts of durations (slice by bin)."""
        keys = sorted(self._sums)
        starts = np.array(keys, dtype=np.int64) * self.width_ns
        return starts, np.stack([self._sums[k] for k in keys]), np.stack([self._durations[k] for k in keys])


def edge_ns(number: int) -> float:
    """Where a coarse bin of durations begins."""
    return 0.0 if number <= 0 else float(2 ** ((number - 1) / (1 << (histogram.BITS - _COARSER))))


def quantile(durations: Ints, q: float) -> float:
    """A percentile of a slice, within the width of its coarse bins."""
    total = int(durations.sum())
    if not total:
        return 0.0
    rank = max(int(np.ceil(q * total)), 1)
    number = int(np.searchsorted(np.cumsum(durations), rank))
    return (edge_ns(number) + edge_ns(number + 1)) / 2
