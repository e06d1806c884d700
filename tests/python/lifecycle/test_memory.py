"""Doing the same thing again and again does not use up memory, descriptors, threads or connections."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest
from aerospike_py.exception import AerospikeError, RecordNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from aerospike_py import AsyncClient, Client
    from aerospike_py.testing import EmbeddedServer

KEY = ("test", "memory", "k")
KEYS = [("test", "memory", number) for number in range(100)]
HASTY = {"total_timeout": 1, "socket_timeout": 1, "max_retries": 0}
PATIENT = {"total_timeout": 20_000, "socket_timeout": 20_000, "max_retries": 0}
MAX_CONNECTIONS = 8

# Generous against an allocator's habits: what batches need comes and goes by ten million. A leak of one reply or one
# awaitable per repetition is more than this after all attempts.
MAX_GROWTH_BYTES = 16_000_000
MAX_NEW_THREADS = 4
ATTEMPTS = 3


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def entries(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def measure() -> tuple[int, int, int]:
    gc.collect()
    return resident(), entries("/proc/self/fd"), entries("/proc/self/task")


def assert_steady(repeat: Callable[[int], None], count: int) -> None:
    """Measure after one round that has warmed everything up, and again after another.

    An allocator may happen to hold more than it did; a leak grows with every attempt.
    """
    repeat(count)
    before = measure()
    for _ in range(ATTEMPTS):
        repeat(count)
        grown = [now - then for now, then in zip(measure(), before, strict=True)]
        if grown[0] < MAX_GROWTH_BYTES and grown[1] <= MAX_CONNECTIONS and grown[2] <= MAX_NEW_THREADS:
            return
    raise AssertionError(f"grown by {grown[0]} bytes, {grown[1]} descriptors and {grown[2]} threads")


@pytest.fixture
def steady_client(apart: EmbeddedServer) -> Any:
    with aerospike_py.client(apart.config(max_conns_per_node=MAX_CONNECTIONS)).connect() as client:
        client.put(KEY, {"a": 1, "blob": b"x" * 1000})
        client.batch_write([(key, {"n": key[2], "s": "y" * 200}) for key in KEYS])
        yield client


def refused(call: Callable[[], object], error: type[BaseException]) -> None:
    try:
        call()
    except error:
        return
    raise AssertionError("no error")


SYNC: dict[str, tuple[int, Callable[[Client], object]]] = {
    "get": (20_000, lambda client: client.get(KEY)),
    "put": (20_000, lambda client: client.put(KEY, {"a": [1, "two", {"three": 3.0}], "blob": b"x" * 1000})),
    "operate": (
        10_000,
        lambda client: client.operate(KEY, [{"op": aerospike_py.OPERATOR_READ, "bin": "blob"}]),
    ),
    "batch_read": (1_000, lambda client: client.batch_read(KEYS).to_dict()),
    "batch_read in every view": (
        400,
        lambda client: [
            (batch.batch_records, batch.to_list(), batch.to_dict(), list(batch.iter_records()))
            for batch in [client.batch_read(KEYS)]
        ],
    ),
    "batch_write": (400, lambda client: client.batch_write([(key, {"n": 1}) for key in KEYS])),
    "missing records": (
        10_000,
        lambda client: refused(lambda: client.get(("test", "memory", "absent")), RecordNotFound),
    ),
    "refused arguments": (20_000, lambda client: refused(lambda: client.put(KEY, {"x" * 20: 1}), AerospikeError)),
    "values that cannot be written": (
        20_000,
        lambda client: refused(lambda: client.put(KEY, {"a": object()}), Exception),
    ),
}


@pytest.mark.parametrize("name", SYNC)
def test_repeating_an_operation(steady_client: Client, name: str) -> None:
    count, operation = SYNC[name]

    def repeat(times: int) -> None:
        for _ in range(times):
            operation(steady_client)

    assert_steady(repeat, count)


def test_repeating_time_outs(steady_client: Client, apart: EmbeddedServer) -> None:
    def repeat(times: int) -> None:
        for _ in range(times):
            refused(lambda: steady_client.get(KEY, HASTY), AerospikeError)

    with apart.fault("stall", command="read"):
        assert_steady(repeat, 1_000)


async def in_turns(client: AsyncClient, times: int, operation: Callable[[AsyncClient], Any]) -> None:
    for _ in range(times // MAX_CONNECTIONS):
        await asyncio.gather(*(operation(client) for _ in range(MAX_CONNECTIONS)), return_exceptions=True)


async def cancelled_read(client: AsyncClient) -> None:
    task = asyncio.create_task(client.get(KEY, PATIENT))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def failing_read(client: AsyncClient) -> None:
    operation = client.get(("test", "memory", "absent"))
    try:
        await operation
    except RecordNotFound:
        return
    raise AssertionError("no error")


async def callback_read(client: AsyncClient) -> None:
    operation = client.get(KEY)
    operation.add_done_callback(lambda done: done.result())
    await operation


async def unawaited_read(client: AsyncClient) -> None:
    client.get(KEY)
    await client.get(KEY)


ASYNC: dict[str, tuple[int, Callable[[AsyncClient], Any]]] = {
    "get": (20_000, lambda client: client.get(KEY)),
    "batch_read": (600, lambda client: client.batch_read(KEYS)),
    "failures": (10_000, failing_read),
    "cancellations": (8_000, cancelled_read),
    "callbacks": (10_000, callback_read),
    "operations that nobody awaits": (5_000, unawaited_read),
}


@pytest.mark.parametrize("name", ASYNC)
def test_repeating_an_operation_on_asyncio(apart: EmbeddedServer, name: str) -> None:
    count, operation = ASYNC[name]
    with asyncio.Runner() as runner:

        async def connect() -> AsyncClient:
            client = aerospike_py.async_client(apart.config(max_conns_per_node=MAX_CONNECTIONS))
            await client.connect()
            await client.put(KEY, {"a": 1, "blob": b"x" * 1000})
            await asyncio.gather(*(client.put(key, {"n": key[2], "s": "y" * 200}) for key in KEYS))
            return client

        client = runner.run(connect())
        assert_steady(lambda times: runner.run(in_turns(client, times, operation)), count)

        async def close() -> None:
            await client.close()

        runner.run(close())


def test_repeating_connect_and_close(apart: EmbeddedServer) -> None:
    def repeat(times: int) -> None:
        for _ in range(times):
            with aerospike_py.client(apart.config()).connect() as client:
                client.put(KEY, {"a": 1})

    assert_steady(repeat, 100)


def test_repeating_connect_and_drop(apart: EmbeddedServer) -> None:
    def repeat(times: int) -> None:
        for _ in range(times):
            aerospike_py.client(apart.config()).connect().put(KEY, {"a": 1})

    assert_steady(repeat, 100)


def test_repeating_loops(apart: EmbeddedServer) -> None:
    async def scenario() -> None:
        async with await aerospike_py.async_client(apart.config()).connect() as client:
            await asyncio.gather(*(client.put(KEY, {"a": 1}) for _ in range(5)))
            client.get(KEY)

    def repeat(times: int) -> None:
        for _ in range(times):
            asyncio.run(scenario())

    assert_steady(repeat, 100)


def test_repeating_failed_connects(apart: EmbeddedServer) -> None:
    apart.node_down(0)

    def repeat(times: int) -> None:
        for _ in range(times):
            refused(lambda: aerospike_py.client(apart.config(timeout=100)).connect(), AerospikeError)

    assert_steady(repeat, 50)
