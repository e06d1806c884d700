"""A request of environments B and C: which records it asks for, in which batches, and the features made of them.

Imported by the Python of every client, and by the parent, which makes the same features of what is stored. A request
has as many candidates as a batch has records; each has a record in every set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.harness.data import NAMESPACE, Bins, Key
from benchmark.harness.operations import Work, numbers_at

AT_ONCE = ("gathered", "split")
"""Modes whose batches are under way at the same time."""
DENSE, SPARSE = 4, 2
"""Numbers and categories of each record."""

Found = dict[str, Bins]
Batch = Callable[[Any], Awaitable[Found]]


class Sample:
    """The candidates of a request."""

    def __init__(self, work: Work, step: int) -> None:
        self._work = work
        self._numbers = [numbers_at(work, 0, step % work.steps(1), index) for index in range(work.space.sets)]

    def keys(self) -> list[list[Key]]:
        """The keys of every set."""
        space, found = self._work.space, []
        for index, numbers in enumerate(self._numbers):
            name = space.set_name(index)
            found.append([(NAMESPACE, name, space.user_key(index, number)) for number in numbers])
        return found

    def stored(self) -> Found:
        """The records as they are stored, for those who know without asking."""
        space = self._work.space
        pairs = [(index, number) for index, numbers in enumerate(self._numbers) for number in numbers]
        return {space.user_key(*pair): space.bins(*pair) for pair in pairs}


def batches_of(keys: list[list[Key]], mode: str) -> list[list[Key]]:
    """The batches that read the keys of all sets.

    Args:
        keys: The keys of every set.
        mode: `merged`, one batch; `gathered` and `sequential`, one of each set; `split`, as many as there are sets,
            each with keys of all of them.
    """
    if mode in ("gathered", "sequential"):
        return keys
    merged = [key for of_set in keys for key in of_set]
    return [merged] if mode == "merged" else [merged[place :: len(keys)] for place in range(len(keys))]


async def fetched(batch: Batch, prepared: list[Any], mode: str) -> Found:
    """The records of all batches, at once or in turn."""
    if len(prepared) == 1:
        return await batch(prepared[0])
    if mode in AT_ONCE:
        found = await asyncio.gather(*(batch(keys) for keys in prepared))
    else:
        found = [await batch(keys) for keys in prepared]
    together: Found = {}
    for each in found:
        together.update(each)
    return together


def features_of(found: Found, keys: list[list[Key]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The numbers and the categories of every candidate, as the model takes them.

    Raises:
        KeyError: A record is missing.
    """
    candidates, sets = len(keys[0]), len(keys)
    dense = np.empty((candidates, sets * DENSE), np.float32)
    sparse = np.empty((candidates, sets * SPARSE), np.int64)
    for index, of_set in enumerate(keys):
        records = [found[key[2]] for key in of_set]
        column = index * DENSE
        dense[:, column] = [bins["age"] / 90 for bins in records]
        dense[:, column + 1] = np.log1p([-bins["balance"] for bins in records])
        dense[:, column + 2] = np.log1p([bins["score"] for bins in records])
        dense[:, column + 3] = [bins["ctr"] for bins in records]
        column = index * SPARSE
        sparse[:, column] = [int(bins["country"].rpartition("-")[2]) for bins in records]
        sparse[:, column + 1] = [int(bins["segment"].rpartition("-")[2]) for bins in records]
    return dense, sparse


def digest_of(dense: npt.NDArray[np.float32], sparse: npt.NDArray[np.int64]) -> dict[str, float]:
    """What tells features apart: of environment B, it is the answer."""
    return {"dense": float(dense.sum(dtype=np.float64)), "sparse": int(sparse.sum())}
