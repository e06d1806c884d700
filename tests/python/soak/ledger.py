"""Who wrote what: every key has one writer, which knows what a read of it may return.

A writer is a generator. It yields the calls it wants made, and is sent their results or thrown their errors; who makes
the calls, a thread or a task, is none of its business. A write that fails in doubt makes its key's state unknown: the
key is read once more, must have the old or the new state, and is given up for a fresh one.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aerospike_py
from aerospike_py.exception import AerospikeError, RecordNotFound

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Generator, Sequence

READS = {"total_timeout": 1500, "socket_timeout": 500, "max_retries": 2}
# A repeated increment or removal could be applied twice.
WRITES = {"total_timeout": 1500, "socket_timeout": 1000, "max_retries": 0}
SLOTS = 12
NOT_FOUND = aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND

Bins = dict[str, Any]


class WrongValueError(AssertionError):
    """A read returned what nobody wrote, or an operation answered for another one."""


class AbandonedError(Exception):
    """The call was cancelled: a write may or may not have been applied."""


@dataclass(frozen=True)
class Call:
    """A method and its arguments."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Version:
    """What a record holds."""

    number: int
    count: int

    def bins(self, name: str) -> Bins:
        """Return the bins: everything follows from the name, the number and the count."""
        blob = f"{name}/{self.number};".encode() * (1 + self.number % 23)
        return {
            "name": name,
            "number": self.number,
            "count": self.count,
            "blob": blob,
            "sum": zlib.crc32(blob),
            "list": [self.number, name, float(self.number)],
        }


@dataclass
class Slot:
    """A key, and the version it has; ``None`` is no record."""

    base: str
    epoch: int = 0
    version: Version | None = None

    @property
    def name(self) -> str:
        return f"{self.base}.{self.epoch}"

    def give_up(self) -> None:
        self.epoch += 1
        self.version = None


@dataclass(frozen=True)
class Doubt:
    """A key that was written in doubt, and what it may hold."""

    name: str
    states: tuple[Version | None, Version | None]


def key_of(name: str) -> tuple[str, str, str]:
    return ("test", "soak", name)


def check(condition: bool, *what: object) -> None:
    if not condition:
        raise WrongValueError(*what)


def check_foreign(name: str, bins: Bins) -> None:
    """Whatever the version, all bins must belong to the same one, and to this key."""
    version = Version(bins["number"], bins["count"])
    check(bins == version.bins(name), "torn or foreign record", name, bins)


@dataclass
class Tally:
    """What became of calls."""

    succeeded: int = 0
    absent: int = 0
    failed: int = 0
    abandoned: int = 0
    in_doubt: int = 0
    verified: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    def count_failure(self, error: BaseException) -> None:
        if isinstance(error, RecordNotFound):
            self.absent += 1
            return
        self.failed += 1
        name = type(error).__name__
        self.failures[name] = self.failures.get(name, 0) + 1


class Writer:
    """The only writer of its slots."""

    def __init__(self, number: int, rng: random.Random, everyone: Sequence[Writer]) -> None:
        self.slots = [Slot(f"{number}-{slot}") for slot in range(SLOTS)]
        self.tally = Tally()
        self._rng = rng
        self._everyone = everyone
        self._versions = 0
        self._choices: list[Callable[[], Generator[Call, Any, None]]] = [self._get] * 30
        self._choices += [self._foreign] * 12 + [self._put] * 22 + [self._operate] * 10 + [self._exists] * 6
        self._choices += [self._remove] * 6 + [self._batch_read] * 10 + [self._batch_write] * 4

    def steps(self) -> Generator[Call, Any, None]:
        """Want calls for ever."""
        while True:
            yield from self._rng.choice(self._choices)()

    def final_steps(self) -> Generator[Call, Any, None]:
        """Read every slot once; nothing may fail any more."""
        for slot in self.slots:
            try:
                record = yield Call("get", (key_of(slot.name), READS))
            except RecordNotFound:
                check(slot.version is None, "lost record", slot)
            else:
                self._check_own(slot, record.bins)

    def _slot(self) -> Slot:
        return self._rng.choice(self.slots)

    def _next_version(self) -> Version:
        self._versions += 1
        return Version(self._versions, 0)

    def _check_own(self, slot: Slot, bins: Bins) -> None:
        check(slot.version is not None, "record that was removed", slot, bins)
        if slot.version is not None:
            check(bins == slot.version.bins(slot.name), "wrong value", slot, bins)
        self.tally.verified += 1

    def _doubt(self, slot: Slot, possible: Version | None) -> Doubt:
        """A write may have been applied: nobody knows what the key holds, and the slot gets a fresh one."""
        self.tally.in_doubt += 1
        doubt = Doubt(slot.name, (slot.version, possible))
        slot.give_up()
        return doubt

    def _settle(self, doubts: Sequence[Doubt]) -> Generator[Call, Any, None]:
        """Each record is as it was, or as the write would have left it."""
        for doubt in doubts:
            try:
                record = yield Call("get", (key_of(doubt.name), READS))
            except RecordNotFound:
                check(None in doubt.states, "lost record after a write in doubt", doubt)
            except (AerospikeError, AbandonedError):
                continue
            else:
                known = [state.bins(doubt.name) for state in doubt.states if state is not None]
                check(record.bins in known, "wrong value after a write in doubt", doubt, record.bins)
                self.tally.verified += 1

    def _write(self, call: Call, slot: Slot, becomes: Version | None) -> Generator[Call, Any, Any]:
        """Carry out a write, and return its answer; ``None`` if there is none."""
        try:
            answer = yield call
        except AbandonedError:
            yield from self._settle([self._doubt(slot, becomes)])
        except RecordNotFound:
            check(slot.version is None, "lost record", slot)
        except AerospikeError as error:
            if error.in_doubt:
                yield from self._settle([self._doubt(slot, becomes)])
        else:
            slot.version = becomes
            return answer
        return None

    def _get(self) -> Generator[Call, Any, None]:
        slot = self._slot()
        try:
            record = yield Call("get", (key_of(slot.name), READS))
        except RecordNotFound:
            check(slot.version is None, "lost record", slot)
        except (AerospikeError, AbandonedError):
            return
        else:
            self._check_own(slot, record.bins)

    def _foreign(self) -> Generator[Call, Any, None]:
        name = self._rng.choice(self._everyone)._slot().name
        try:
            record = yield Call("get", (key_of(name), READS))
        except (AerospikeError, AbandonedError):
            return
        check_foreign(name, record.bins)
        self.tally.verified += 1

    def _put(self) -> Generator[Call, Any, None]:
        slot, version = self._slot(), self._next_version()
        yield from self._write(Call("put", (key_of(slot.name), version.bins(slot.name), None, WRITES)), slot, version)

    def _remove(self) -> Generator[Call, Any, None]:
        slot = self._slot()
        yield from self._write(Call("remove", (key_of(slot.name), None, WRITES)), slot, None)

    def _operate(self) -> Generator[Call, Any, None]:
        slot = self._slot()
        if slot.version is None:
            return
        after = Version(slot.version.number, slot.version.count + 1)
        name = slot.name
        steps = [
            {"op": aerospike_py.OPERATOR_INCR, "bin": "count", "val": 1},
            {"op": aerospike_py.OPERATOR_READ, "bin": "count", "val": None},
        ]
        record = yield from self._write(Call("operate", (key_of(name), steps, None, WRITES)), slot, after)
        if record is not None:
            check(record.bins["count"] == after.count, "wrong count", name, after, record.bins)
            self.tally.verified += 1

    def _exists(self) -> Generator[Call, Any, None]:
        slot = self._slot()
        try:
            result = yield Call("exists", (key_of(slot.name), READS))
        except (AerospikeError, AbandonedError):
            return
        check((result.meta is not None) is (slot.version is not None), "wrong existence", slot, result)
        self.tally.verified += 1

    def _batch_read(self) -> Generator[Call, Any, None]:
        slots = self._rng.sample(self.slots, self._rng.randint(1, SLOTS))
        try:
            batch = yield Call("batch_read", ([key_of(slot.name) for slot in slots], None, READS))
        except (AerospikeError, AbandonedError):
            return
        rows = batch.batch_records
        check(len(rows) == len(slots), "wrong number of rows", slots, rows)
        for slot, row in zip(slots, rows, strict=True):
            if row.result == NOT_FOUND:
                check(slot.version is None, "lost record", slot)
            elif row.result == aerospike_py.AEROSPIKE_OK:
                self._check_own(slot, row.record.bins)

    def _batch_write(self) -> Generator[Call, Any, None]:
        slots = self._rng.sample(self.slots, self._rng.randint(1, SLOTS))
        versions = [self._next_version() for _ in slots]
        records = [(key_of(slot.name), version.bins(slot.name)) for slot, version in zip(slots, versions, strict=True)]
        try:
            result = yield Call("batch_write", (records, WRITES))
        except (AerospikeError, AbandonedError) as error:
            if isinstance(error, AbandonedError) or error.in_doubt:
                pairs = zip(slots, versions, strict=True)
                yield from self._settle([self._doubt(slot, version) for slot, version in pairs])
            return
        # Whoever drives the writer may stop at any call: all slots are up to date before the next one.
        doubts = []
        for slot, version, row in zip(slots, versions, result.batch_records, strict=True):
            if row.result == aerospike_py.AEROSPIKE_OK:
                slot.version = version
            elif row.in_doubt:
                doubts.append(self._doubt(slot, version))
        yield from self._settle(doubts)
