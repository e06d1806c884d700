"""What scenarios run on: a server in a process of its own, clients, a recorder, and loops of threads and coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aerospike_py
from aerospike_py.testing import EmbeddedServer

RECORDS = 200
SECONDS = 2.0
WARM_UP_CALLS = 40
# A crowded machine makes few calls in the time meant for them: a scenario goes on until there are enough to judge by.
FEWEST_CALLS = 200
FEWEST_ROUNDS = 20
LONGEST_S = 40.0
Key = tuple[str, str, str]


def key(number: int) -> Key:
    """The key of a record."""
    return ("test", "records", f"key-{number % RECORDS}")


class Stage:
    """One scenario's server and recording."""

    def __init__(self, folder: Path, server: EmbeddedServer) -> None:
        self.folder = folder
        self.server = server

    @contextlib.contextmanager
    def recording(self, **limits: Any) -> Iterator[None]:
        """Stages, recorder and probes are on within this block."""
        aerospike_py.start_probes(interval_ms=20)
        with aerospike_py.trace_recorder(self.folder, **limits):
            yield
        aerospike_py.stop_probes()

    @contextlib.contextmanager
    def client(self, *, warm: bool = True, size: int = 40, **config: Any) -> Iterator[aerospike_py.Client]:
        """A connected client, the records that it finds, and connections that are open already."""
        with aerospike_py.client(self.server.config(**config)).connect() as client:
            self.load(client, size)
            if warm:
                self.threads(lambda number: client.get(key(number)), 12, calls=WARM_UP_CALLS)
            yield client

    @contextlib.asynccontextmanager
    async def async_client(self, *, size: int = 40, **config: Any) -> AsyncIterator[aerospike_py.AsyncClient]:
        """The same for asyncio, with the loop observed."""
        with aerospike_py.client(self.server.config()).connect() as loader:
            self.load(loader, size)
        async with aerospike_py.async_client(self.server.config(**config)) as client:
            await client.connect()
            for number in range(WARM_UP_CALLS):
                await asyncio.gather(*(client.get(key(number + i)) for i in range(12)))
            with aerospike_py.observe_loop(slow_callback_ms=1):
                yield client

    @staticmethod
    def load(client: aerospike_py.Client, size: int) -> None:
        """Writes all records, each with `size` bytes."""
        for number in range(RECORDS):
            client.put(key(number), {"number": number, "payload": bytes(size)})

    @staticmethod
    def threads(
        call: Callable[[int], Any],
        number: int = 4,
        *,
        seconds: float = SECONDS,
        calls: int = 0,
        pause: float = 0.0,
        fewest: int = FEWEST_CALLS,
        enough: Callable[[], bool] = lambda: True,
    ) -> None:
        """Threads that make one call after the other: a number of times each, or for some seconds.

        Seconds are prolonged until ``fewest`` calls were made in all and there is ``enough`` of what runs beside them.
        """
        begin = time.monotonic()
        made = [0] * number

        def goes_on(thread: int) -> bool:
            if calls:
                return made[thread] < calls
            passed = time.monotonic() - begin
            return passed < seconds or (passed < LONGEST_S and (sum(made) < fewest or not enough()))

        def work(thread: int) -> None:
            rng = random.Random(thread)
            while goes_on(thread):
                with contextlib.suppress(aerospike_py.AerospikeError):
                    call(rng.randrange(RECORDS))
                made[thread] += 1
                if pause:
                    time.sleep(rng.uniform(0, 2 * pause))

        with ThreadPoolExecutor(number) as pool:
            list(pool.map(work, range(number)))

    @staticmethod
    async def tasks(
        call: Callable[[int], Awaitable[Any]], number: int = 4, *, seconds: float = SECONDS, pause: float = 0.004
    ) -> None:
        """Coroutines that make one call after the other, with pauses so that they do not start together.

        Seconds are prolonged until there are calls enough.
        """
        begin = time.monotonic()
        made = [0] * number

        def goes_on() -> bool:
            passed = time.monotonic() - begin
            return passed < seconds or (passed < LONGEST_S and sum(made) < FEWEST_CALLS)

        async def work(task: int) -> None:
            rng = random.Random(task)
            while goes_on():
                await asyncio.sleep(rng.uniform(0, 2 * pause))
                with contextlib.suppress(aerospike_py.AerospikeError):
                    await call(rng.randrange(RECORDS))
                made[task] += 1

        await asyncio.gather(*(work(task) for task in range(number)))

    @staticmethod
    def rounds() -> Iterator[int]:
        """Numbers for some seconds, and for longer if they were too few."""
        begin = time.monotonic()
        for number in itertools.count():
            passed = time.monotonic() - begin
            if passed >= SECONDS and (number >= FEWEST_ROUNDS or passed >= LONGEST_S):
                return
            yield number


class Background:
    """Work that is repeated beside the calls, and how often it was done."""

    def __init__(self, threads: int) -> None:
        self.ended = threading.Event()
        self.done = [0] * threads

    def often(self) -> bool:
        """Whether there is enough of it to judge by."""
        return sum(self.done) >= FEWEST_CALLS


@contextlib.contextmanager
def background(work: Callable[[], None], threads: int = 1) -> Iterator[Background]:
    """Repeats some work in threads of its own for as long as the block lasts."""
    beside = Background(threads)

    def repeat(thread: int) -> None:
        while not beside.ended.is_set():
            work()
            beside.done[thread] += 1

    running = [threading.Thread(target=repeat, args=(i,), name="background") for i in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield beside
    finally:
        beside.ended.set()
        for thread in running:
            thread.join()


def spin(seconds: float) -> None:
    """Python code that holds the GIL, by the clock."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
