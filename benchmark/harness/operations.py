"""What an operation is: which records it asks for, in which order, and what it has to return.

Standard library only: it is imported by the Python of every client. `benchmark/rust-core` does the same operations.
An operation returns its outcome, a number that says where its latency is counted. All keys are prepared before
anything is timed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmark.harness.data import Bins, Key, Space, mix

OUTCOMES = ("read", "update", "not_found", "error", "timeout", "unfinished")
READ, UPDATE, NOT_FOUND, ERROR, TIMEOUT, UNFINISHED = range(len(OUTCOMES))

# Keys that are prepared, of all threads or tasks together, and the most and the fewest operations that they may make.
_KEYS = 200_000
_MOST_STEPS, _LEAST_STEPS = 4_096, 4
_STRIDE = 7_919
_PARTS = 10_000
_OPERATION_SALT, _MISSING_SALT = 0xA5A5_0001, 0xA5A5_0002

Prepare = Callable[[Key], Any]
NOTHING_FOUND = "nothing found"
"""What a read of a record that does not exist returns, as the protocol carries it."""


class IncompleteError(RuntimeError):
    """A batch did not return all of its records."""


@dataclass(frozen=True)
class Work:
    """What every operation of a workload does.

    `kind` is `single` (one record at a time), `batch` (several of one set), `request` (several of every set, in the
    `mode` `gathered`, `sequential` or `merged`), `predict` (the same behind a web service, also `split`), `cold`
    (connect, read one record, close) or `nothing`.
    """

    kind: str
    space: Space
    batch: int = 0
    mode: str = ""
    reads: float = 1.0
    missing: float = 0.0
    result: str = "dict"
    model: str = ""
    """Of a web service: `numpy`, `torch`, or none."""
    inference: str = ""
    """Where the model runs: on the event `loop`, or in a `thread`."""

    def keys_per_step(self) -> int:
        if self.kind in ("request", "predict"):
            return self.space.sets * self.batch
        return self.batch if self.kind == "batch" else 1

    def steps(self, slots: int) -> int:
        """How many different operations each thread or task has before it starts over."""
        return min(max(_KEYS // (self.keys_per_step() * slots), _LEAST_STEPS), _MOST_STEPS)


@dataclass(frozen=True)
class Single:
    """One operation on one record."""

    outcome: int
    number: int


def single_at(work: Work, slot: int, step: int) -> Single:
    """What a thread or task does at a step, if it works on one record at a time."""
    place = (slot << 32) + step
    number = mix(place) % work.space.records
    if mix(place ^ _OPERATION_SALT) % _PARTS >= work.reads * _PARTS:
        return Single(UPDATE, number)
    if mix(place ^ _MISSING_SALT) % _PARTS < work.missing * _PARTS:
        return Single(NOT_FOUND, number)
    return Single(READ, number)


def numbers_at(work: Work, slot: int, step: int, set_index: int) -> list[int]:
    """The records of a batch: no two the same, as long as the stride shares no factor with the number of records."""
    first = mix((slot << 32) + (step << 8) + set_index)
    return [(first + place * _STRIDE) % work.space.records for place in range(work.batch)]


def singles(work: Work, slot: int, slots: int, prepare: Prepare) -> list[tuple[int, Any, Bins | None]]:
    """Outcome, prepared key, and bins to write, of all operations of a thread or task."""
    space, found = work.space, []
    for step in range(work.steps(slots)):
        single = single_at(work, slot, step)
        missing = single.outcome == NOT_FOUND
        key = space.missing_key(single.number) if missing else space.key(0, single.number)
        bins = space.bins(0, single.number) if single.outcome == UPDATE else None
        found.append((single.outcome, prepare(key), bins))
    return found


def batches(work: Work, slot: int, slots: int) -> list[list[list[Key]]]:
    """The keys of all operations of a thread or task, batch by batch."""
    sets = range(work.space.sets if work.kind == "request" else 1)
    requests = []
    for step in range(work.steps(slots)):
        of_sets = [[work.space.key(index, number) for number in numbers_at(work, slot, step, index)] for index in sets]
        requests.append([list(itertools.chain.from_iterable(of_sets))] if work.mode == "merged" else of_sets)
    return requests


def endless(items: list[Any]) -> Callable[[], Any]:
    return itertools.cycle(items).__next__


def check_size(found: Any, wanted: int) -> int:
    """A batch that has not found all of its records is no measurement."""
    if len(found) != wanted:
        raise IncompleteError(f"{len(found)} records instead of {wanted}")
    return READ


def expected(work: Work, slots: int, operations: int) -> Iterator[Any]:
    """What the first operations of the first thread or task return."""
    space = work.space
    for step in range(operations):
        step %= work.steps(slots)
        if work.kind in ("single", "cold"):
            single = single_at(work, 0, step)
            if single.outcome == READ:
                yield space.bins(0, single.number)
            else:
                yield NOTHING_FOUND if single.outcome == NOT_FOUND else None
        elif work.kind in ("batch", "request"):
            sets = range(space.sets if work.kind == "request" else 1)
            pairs = [(index, number) for index in sets for number in numbers_at(work, 0, step, index)]
            yield {space.user_key(*pair): space.bins(*pair) for pair in pairs}
        else:
            yield None
