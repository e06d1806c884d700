"""What is measured: operations on a connected client of either lane, in blocks. What is on is said elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aerospike_py import AsyncClient, Client
from aerospike_py.types import BatchPolicy, ReadPolicy

from benchmark.overhead import threads

KEYS = 200
CONCURRENCY = 10

Key = tuple[str, str, int]
# A machine that is busy, or callgrind, makes operations late; they are to be measured and not to fail.
PATIENT: ReadPolicy = {"total_timeout": 60_000, "socket_timeout": 60_000}
PATIENT_BATCH: BatchPolicy = {"total_timeout": 60_000, "socket_timeout": 60_000}
KEY_LIST: list[Key] = [("test", "overhead", n) for n in range(KEYS)]


def records() -> list[tuple[Key, dict[str, object]]]:
    """The records that all workloads read: ten bins of four kinds."""
    return [
        (key, {f"bin{i}": (key[2] + i, key[2] * 0.5, f"value-{key[2]}-{i}", bytes(16))[i % 4] for i in range(10)})
        for key in KEY_LIST
    ]


@dataclass(frozen=True)
class Case:
    """One operation on one lane; so many make a block, or a short one, unless a block is to last for some time."""

    name: str
    operation: str
    lane: str
    what: str
    concurrency: int = 1
    operations: int = 0
    """In a block. Switching everything on takes a millisecond, which is to vanish among them."""
    few: int = 0
    """In a short block."""
    seconds: float = 0.0


CASES = (
    Case("get-sync", "get", "sync", "get, one caller", operations=4_000, few=100),
    Case("batch-sync", "batch_read", "sync", f"batch read of {KEYS} keys, one caller", operations=500, few=5),
    Case("get-async", "get", "async", "get, one task", operations=4_000, few=100),
    Case("batch-async", "batch_read", "async", f"batch read of {KEYS} keys, one task", operations=500, few=5),
    Case(
        "throughput-async",
        "batch_read",
        "async",
        f"batch reads of {KEYS} keys, {CONCURRENCY} tasks at once",
        concurrency=CONCURRENCY,
        seconds=0.4,
    ),
)


@dataclass(frozen=True)
class Taken:
    """What a block took: wall time, and processor time of the whole process and of its threads."""

    wall_ns: float
    cpu_ns: float
    threads: threads.Times

    def per(self, operations: int) -> Taken:
        by_thread = {name: nanos / operations for name, nanos in self.threads.items()}
        return Taken(self.wall_ns / operations, self.cpu_ns / operations, by_thread)


class Stopwatch:
    """Runs from its creation on; the wall clock can be stopped before the processor's.

    Args:
        by_thread: Also look at every thread, which takes a millisecond and is for long blocks.
    """

    def __init__(self, by_thread: bool) -> None:
        self._by_thread = by_thread
        self._threads = threads.times() if by_thread else {}
        self._wall, self._cpu = time.perf_counter_ns(), time.process_time_ns()
        self._stopped: int | None = None

    def stop_wall(self) -> None:
        self._stopped = time.perf_counter_ns()

    def taken(self) -> Taken:
        wall = time.perf_counter_ns() if self._stopped is None else self._stopped
        cpu = time.process_time_ns() - self._cpu
        by_thread = threads.between(self._threads, threads.times()) if self._by_thread else {}
        return Taken(wall - self._wall, cpu, by_thread)


Block = Callable[[int], None]
"""Carries out so many operations."""


def sync_block(client: Client, case: Case) -> Block:
    def get(count: int) -> None:
        for n in range(count):
            client.get(KEY_LIST[n % KEYS], PATIENT)

    def batch(count: int) -> None:
        for _ in range(count):
            client.batch_read(KEY_LIST, None, PATIENT_BATCH).to_dict()

    return get if case.operation == "get" else batch


def async_block(client: AsyncClient, loop: asyncio.AbstractEventLoop, case: Case) -> Block:
    async def get(turns: Iterator[int]) -> None:
        for n in turns:
            await client.get(KEY_LIST[n % KEYS], PATIENT)

    async def batch(turns: Iterator[int]) -> None:
        for _ in turns:
            (await client.batch_read(KEY_LIST, None, PATIENT_BATCH)).to_dict()

    work = get if case.operation == "get" else batch

    async def together(count: int) -> None:
        turns = iter(range(count))
        await asyncio.gather(*(work(turns) for _ in range(case.concurrency)))

    def run(count: int) -> None:
        if case.concurrency == 1:
            loop.run_until_complete(work(iter(range(count))))
        else:
            loop.run_until_complete(together(count))

    return run


def check(client: Client) -> None:
    """The workloads read what was written, or nothing is measured.

    Raises:
        SystemExit: They do not.
    """
    expected = dict(records())
    read = {row.key[2]: row.record.bins for row in client.batch_read(KEY_LIST).batch_records if row.record and row.key}
    single = client.get(KEY_LIST[0]).bins
    if read != {key[2]: bins for key, bins in expected.items()} or single != expected[KEY_LIST[0]]:
        raise SystemExit("the client does not read what was written: nothing was measured")
