"""A bounded sample of whole operations that thins out where operations are many and keeps the tail.

Operations are put into strata by their duration, sixteen to a power of two. While the sample is over its budget, the
most
populated strata are halved. A kept operation stands for as many as its stratum had per operation kept: its weight.
Which ones are
kept follows from their ids alone, so that the same recording gives the same sample.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aerospike_py_analysis import histogram
from aerospike_py_analysis.model import Chunk, Floats, Ints

BUDGET: Final = 40_000
_COARSER: Final = 2
STRATA: Final = (histogram.BINS >> _COARSER) + 1


class Sample:
    """Operations of one group, all of them up to a budget."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.seen = np.zeros(STRATA, dtype=np.int64)
        self._chance = np.ones(STRATA)
        self._parts: list[tuple[Chunk, Floats, Ints]] = []
        self._kept = 0

    def add(self, chunk: Chunk) -> None:
        """Takes in a chunk, keeping some of it."""
        strata = histogram.bins(chunk["duration_ns"]) >> _COARSER
        self.seen += np.bincount(strata, minlength=STRATA)
        lot = lots(chunk)
        keep = lot < self._chance[strata]
        if not keep.all():
            chunk, lot, strata = chunk.take(keep), lot[keep], strata[keep]
        if len(chunk):
            self._parts.append((chunk, lot, strata))
            self._kept += len(chunk)
        if self._kept > self.budget + self.budget // 2:
            self._thin()

    def _thin(self) -> None:
        chunk, lot, strata = self._joined()
        counts = np.bincount(strata, minlength=STRATA)
        while counts.sum() > self.budget:
            full = counts > counts.max() / 2
            self._chance[full] /= 2
            counts = np.bincount(strata[lot < self._chance[strata]], minlength=STRATA)
        keep = lot < self._chance[strata]
        self._parts = [(chunk.take(keep), lot[keep], strata[keep])]
        self._kept = int(keep.sum())

    def _joined(self) -> tuple[Chunk, Floats, Ints]:
        chunks = [part[0] for part in self._parts]
        first = chunks[0]
        whole = Chunk(
            {name: np.concatenate([chunk[name] for chunk in chunks]) for name in first.columns},
            np.concatenate([chunk.stages for chunk in chunks], axis=1),
            np.concatenate([chunk.conversions for chunk in chunks]),
        )
        lot = np.concatenate([part[1] for part in self._parts])
        strata = np.concatenate([part[2] for part in self._parts])
        return whole, lot, strata

    def finish(self) -> tuple[Chunk, Floats]:
        """The operations in order of duration, and the weight of each; all weights are 1 if nothing was left out."""
        chunk, _, strata = self._joined()
        kept = np.bincount(strata, minlength=STRATA)
        weights = (self.seen / np.maximum(kept, 1))[strata]
        order = np.argsort(chunk["duration_ns"], kind="stable")
        return chunk.take(order), weights[order]


def lots(chunk: Chunk) -> Floats:
    """A number in [0, 1) for each operation that depends on nothing but its identity."""
    mixed = chunk["operation_id"].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= (chunk["process"] + 1).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= chunk["start_ns"].astype(np.uint64) * np.uint64(0x165667B19E3779F9)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)
