"""The feature-fetch workload of the field: one request reads 200 records from each of nine sets.

It can be run on threads (nine batch reads one after the other), on an event loop with the nine reads
gathered, and on an event loop with all keys in one mixed batch read. What is measured and how it is
shown is decided by the callers.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import aerospike_py
from aerospike_py import AsyncClient, Client
from aerospike_py.types import BatchPolicy

NAMESPACE = "test"
SETS = tuple(f"features_{number}" for number in range(9))
RECORDS_PER_SET = 2_000
KEYS_PER_SET = 200
LOAD_BATCH = 500

# A machine that does much besides makes operations late; they are to be shown, and not to fail.
PATIENT: BatchPolicy = {"total_timeout": 30_000, "socket_timeout": 30_000}

Key = tuple[str, str, str]
Progress = Callable[[int], None]


def bins_of(set_index: int, number: int) -> dict[str, object]:
    """Ten bins of the types that feature stores hold."""
    return {
        "user_id": number,
        "age": number % 90,
        "score": number * 0.37 + set_index,
        "ctr": 1.0 / (number + 1),
        "country": f"country-{number % 40}",
        "segment": f"segment-{set_index}-{number % 17}",
        "embedding": bytes((number + i) % 256 for i in range(64)),
        "clicks": [number, number + 1, number + 2],
        "weights": {"short": number % 7, "long": number % 11},
        "active": number % 2 == 0,
    }


def load(client: Client, progress: Progress = lambda records: None) -> int:
    """Writes every record of every set; returns how many there are."""
    total = 0
    for set_index, set_name in enumerate(SETS):
        for first in range(0, RECORDS_PER_SET, LOAD_BATCH):
            numbers = range(first, first + LOAD_BATCH)
            records = [((NAMESPACE, set_name, f"key-{n}"), bins_of(set_index, n)) for n in numbers]
            result = client.batch_write(records, PATIENT)
            failed = [record for record in result.batch_records if record.result != 0]
            if failed:
                raise RuntimeError(f"{len(failed)} of {len(records)} records were not written: {failed[0]}")
            total += len(records)
            progress(len(records))
    return total


def keys_of_request(rng: random.Random) -> list[list[Key]]:
    """The keys of one request: for each set, 200 different records."""
    return [[(NAMESPACE, name, f"key-{n}") for n in rng.sample(range(RECORDS_PER_SET), KEYS_PER_SET)] for name in SETS]


def requests(seed: int, count: int = 20) -> Iterator[list[list[Key]]]:
    """An endless round of prepared requests: making keys is the application's work, not the client's."""
    rng = random.Random(seed)
    return itertools.cycle([keys_of_request(rng) for _ in range(count)])


def check(found: int) -> None:
    """A request that did not find all of its records is not a measurement."""
    wanted = len(SETS) * KEYS_PER_SET
    if found != wanted:
        raise RuntimeError(f"a request found {found} records instead of {wanted}")


@dataclass
class Run:
    """What a closed loop of requests took."""

    seconds: float = 0.0
    latencies_ns: list[int] = field(default_factory=list)

    @property
    def requests_per_second(self) -> float:
        return len(self.latencies_ns) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, quantile: float) -> float:
        ordered = sorted(self.latencies_ns)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] / 1e6


def _deadline_loop(seconds: float) -> Iterator[None]:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield


def run_sync(client: Client, concurrency: int, seconds: float, progress: Progress = lambda done: None) -> Run:
    """`concurrency` threads, each reading set after set."""
    run = Run()
    lock = threading.Lock()

    def worker(seed: int) -> None:
        for _, keys in zip(_deadline_loop(seconds), requests(seed), strict=False):
            started = time.perf_counter_ns()
            found = sum(len(client.batch_read(of_set, None, PATIENT).to_dict()) for of_set in keys)
            elapsed = time.perf_counter_ns() - started
            check(found)
            with lock:
                run.latencies_ns.append(elapsed)
            progress(1)

    started = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        for future in [pool.submit(worker, seed) for seed in range(concurrency)]:
            future.result()
    run.seconds = time.perf_counter() - started
    return run


async def gathered(client: AsyncClient, keys: list[list[Key]]) -> int:
    """One request as nine gathered batch reads; returns how many records it found."""
    handles = await asyncio.gather(*(client.batch_read(of_set, None, PATIENT) for of_set in keys))
    return sum(len(handle.to_dict()) for handle in handles)


async def single(client: AsyncClient, keys: list[list[Key]]) -> int:
    """One request as one mixed batch read; returns how many records it found."""
    handle = await client.batch_read([key for of_set in keys for key in of_set], None, PATIENT)
    return sum(len(records) for records in handle.by_set().values())


async def run_async(
    client: AsyncClient,
    request: Callable[[AsyncClient, list[list[Key]]], Awaitable[int]],
    concurrency: int,
    seconds: float,
    progress: Progress = lambda done: None,
) -> Run:
    """`concurrency` tasks on the running loop."""
    run = Run()

    async def worker(seed: int) -> None:
        for _, keys in zip(_deadline_loop(seconds), requests(seed), strict=False):
            started = time.perf_counter_ns()
            found = await request(client, keys)
            run.latencies_ns.append(time.perf_counter_ns() - started)
            check(found)
            progress(1)

    started = time.perf_counter()
    await asyncio.gather(*(worker(seed) for seed in range(concurrency)))
    run.seconds = time.perf_counter() - started
    return run


def server_config(hosts: list[tuple[str, int]]) -> aerospike_py.ClientConfig:
    """A client configuration that leaves room for all requests at once."""
    return {"hosts": hosts, "max_conns_per_node": 300}
