"""Cancelling at every phase of an operation: nothing is lost, nothing leaks, and the client goes on."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest
from aerospike_py.exception import BackpressureError
from aerospike_py.testing import EmbeddedServer
from scripted import eventually

if TYPE_CHECKING:
    from aerospike_py import AsyncClient

PATIENT = {"total_timeout": 20_000, "socket_timeout": 20_000, "max_retries": 0}
MAX_CONNECTIONS = 16


def key(number: int) -> tuple[str, str, int]:
    return ("test", "cancel", number)


async def cancelled_promptly(task: asyncio.Future[Any]) -> None:
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 5


async def test_before_the_task_has_started(async_client: AsyncClient, server: EmbeddedServer) -> None:
    async def write() -> None:
        await async_client.put(key(0), {"n": 0})

    task = asyncio.create_task(write())
    await cancelled_promptly(task)
    await async_client.put(key(1), {"n": 1})
    assert server.record_count("test", "cancel") == 1


async def test_right_after_the_call(async_client: AsyncClient) -> None:
    operations = [async_client.put(key(number), {"n": number}) for number in range(50)]
    for operation in operations:
        assert operation.cancel()
    assert all(operation.cancelled() for operation in operations)
    await async_client.put(key(0), {"n": -1})
    assert (await async_client.get(key(0))).bins == {"n": -1}


async def test_while_the_server_is_silent(async_client: AsyncClient, server: EmbeddedServer) -> None:
    await async_client.put(key(0), {"n": 0})

    async def read() -> Any:
        return await async_client.get(key(0), PATIENT)

    with server.fault("stall", command="read"):
        task = asyncio.create_task(read())
        await asyncio.sleep(0.1)
        await cancelled_promptly(task)
    assert (await async_client.get(key(0))).bins == {"n": 0}


async def test_while_a_batch_waits_for_its_nodes() -> None:
    keys = [key(number) for number in range(60)]
    with EmbeddedServer(nodes=3) as cluster:
        async with await aerospike_py.async_client(cluster.config()).connect() as client:
            await asyncio.gather(*(client.put(each, {"n": each[2]}) for each in keys))
            with cluster.fault("stall", node=1, command="batch_read"):
                task = asyncio.create_task(client.batch_read(keys, policy=PATIENT))
                await asyncio.sleep(0.1)
                await cancelled_promptly(task)
            batch = await client.batch_read(keys)
            assert batch.to_dict() == {number: {"n": number} for number in range(60)}


async def test_after_the_reply_came_but_before_the_loop_noticed(async_client: AsyncClient) -> None:
    await async_client.put(key(0), {"n": 0})
    operation = async_client.get(key(0))
    time.sleep(0.2)  # noqa: ASYNC251 - the loop must be blocked while the reply arrives
    assert operation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await operation

    async def read() -> Any:
        return await async_client.get(key(0))

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251 - as above
    await cancelled_promptly(task)
    assert (await async_client.get(key(0))).bins == {"n": 0}


async def test_after_the_loop_noticed_but_before_the_coroutine_ran(async_client: AsyncClient) -> None:
    """A task that is cancelled while its wake-up is already scheduled ends cancelled, as with asyncio's own futures."""
    await async_client.put(key(0), {"n": 0})

    async def read() -> Any:
        return await async_client.get(key(0))

    operation = async_client.get(key(0))

    async def await_it() -> Any:
        return await operation

    task = asyncio.create_task(await_it())
    await asyncio.sleep(0)
    # Runs in the same turn of the loop as the task's wake-up, and was registered after it.
    operation.add_done_callback(lambda _: task.cancel())
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    assert isinstance(outcome, asyncio.CancelledError) or outcome.bins == {"n": 0}
    assert operation.done()
    assert not operation.cancelled()
    assert (await asyncio.create_task(read())).bins == {"n": 0}


async def test_while_waiting_for_a_permit(server: EmbeddedServer) -> None:
    config = server.config(max_concurrent_operations=2, operation_queue_timeout_ms=10_000)
    async with await aerospike_py.async_client(config).connect() as client:
        await client.put(key(0), {"n": 0})
        with server.fault("stall", command="read"):
            running = [asyncio.create_task(client.get(key(0), PATIENT)) for _ in range(2)]
            await asyncio.sleep(0.1)
            queued = [asyncio.create_task(client.get(key(0), PATIENT)) for _ in range(5)]
            await asyncio.sleep(0.05)
            for task in [*queued, *running]:
                await cancelled_promptly(task)
        for _ in range(20):
            assert (await client.get(key(0))).bins == {"n": 0}


async def test_permits_come_back_from_cancelled_operations(server: EmbeddedServer) -> None:
    config = server.config(max_concurrent_operations=1, operation_queue_timeout_ms=300)
    async with await aerospike_py.async_client(config).connect() as client:
        await client.put(key(0), {"n": 0})
        with server.fault("stall", command="read"):
            holder = asyncio.create_task(client.get(key(0), PATIENT))
            await asyncio.sleep(0.1)
            with pytest.raises(BackpressureError):
                await client.get(key(0))
            await cancelled_promptly(holder)
        assert (await client.get(key(0))).bins == {"n": 0}


async def test_many_cancellations_among_successes(server: EmbeddedServer) -> None:
    """Every operation ends, with its own value or cancelled, and no more connections are open than the pool has."""
    rng = random.Random(7)
    config = server.config(max_conns_per_node=MAX_CONNECTIONS)
    async with await aerospike_py.async_client(config).connect() as client:
        for number in range(100):
            await client.put(key(number), {"n": number})
        results: list[Any] = []
        most_open = 0
        with server.fault("delay=0ms..4ms", command="read"):
            for _ in range(20):
                tasks = [asyncio.create_task(client.get(key(number), PATIENT)) for number in range(40)]
                doomed = rng.sample(tasks, 20)
                for task in doomed:
                    await asyncio.sleep(rng.random() * 0.002)
                    task.cancel()
                outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
                most_open = max(most_open, server.stats().connections_open)
                for number, (task, outcome) in enumerate(zip(tasks, outcomes, strict=True)):
                    if isinstance(outcome, asyncio.CancelledError):
                        assert task in doomed
                    else:
                        assert outcome.bins == {"n": number}
                    results.append(outcome)
        cancelled = sum(isinstance(outcome, asyncio.CancelledError) for outcome in results)
        assert len(results) == 800
        assert 0 < cancelled <= 400
        # The pool, the connection that tends, and those whose end the server has not seen yet.
        assert most_open <= 2 * MAX_CONNECTIONS + 4
        records = await asyncio.gather(*(client.get(key(number)) for number in range(100)))
        assert [record.bins["n"] for record in records] == list(range(100))
        await asyncio.sleep(0.2)
        assert server.stats().connections_open <= MAX_CONNECTIONS + 2


def recorded() -> int:
    return sum(entry.count for entry in aerospike_py.stage_snapshot().operations)


async def test_what_is_given_up_as_it_ends_is_recorded_all_the_same(async_client: AsyncClient) -> None:
    """Batches end on threads of the runtime, whatever the loop's thread does at that moment."""
    rng, keys, rounds = random.Random(3), [key(number) for number in range(20)], 3000
    began = time.perf_counter()
    for _ in range(20):
        await async_client.batch_read(keys)
    each = (time.perf_counter() - began) / 20
    with aerospike_py.internal_stage_profiling():
        before = recorded()
        for _ in range(rounds):
            operation = async_client.batch_read(keys)
            until = time.perf_counter() + rng.random() * each * 1.5
            while time.perf_counter() < until:
                pass
            operation.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await operation
        assert eventually(lambda: recorded() - before == rounds), recorded() - before
