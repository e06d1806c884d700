"""Time-outs and closing: with operations in flight, twice, by dropping the client, and while connecting."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest
from aerospike_py.exception import AerospikeError, AerospikeTimeoutError, ClientError
from scripted import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from aerospike_py import AsyncClient, Client
    from aerospike_py.testing import EmbeddedServer

KEY = ("test", "closing", "k")
PATIENT = {"total_timeout": 3000, "socket_timeout": 3000, "max_retries": 0}
FOR_EVER = {"total_timeout": 0, "socket_timeout": 0, "max_retries": 0}
HASTY = {"total_timeout": 200, "socket_timeout": 200, "max_retries": 0}

CALLS: dict[str, Callable[[Any, dict[str, int]], Any]] = {
    "get": lambda client, policy: client.get(KEY, policy),
    "select": lambda client, policy: client.select(KEY, ["a"], policy),
    "exists": lambda client, policy: client.exists(KEY, policy),
    "put": lambda client, policy: client.put(KEY, {"a": 1}, policy=policy),
    "remove": lambda client, policy: client.remove(KEY, policy=policy),
    "touch": lambda client, policy: client.touch(KEY, policy=policy),
    "append": lambda client, policy: client.append(KEY, "s", "x", policy=policy),
    "increment": lambda client, policy: client.increment(KEY, "a", 1, policy=policy),
    "operate": lambda client, policy: client.operate(
        KEY, [{"op": aerospike_py.OPERATOR_READ, "bin": "a"}], policy=policy
    ),
    "batch_read": lambda client, policy: client.batch_read([KEY], policy=policy),
    "batch_remove": lambda client, policy: client.batch_remove([KEY], policy),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_silent_server_times_out(client: Client, server: EmbeddedServer, name: str) -> None:
    client.put(KEY, {"a": 1, "s": "s"})
    with server.fault("stall"):
        began = time.monotonic()
        with pytest.raises(AerospikeTimeoutError):
            CALLS[name](client, HASTY)
        took = time.monotonic() - began
    assert 0.15 < took < 5
    assert client.put(KEY, {"a": 2}) is None
    assert client.get(KEY).bins["a"] == 2


@pytest.mark.parametrize("name", CALLS)
async def test_a_silent_server_times_out_on_asyncio(
    async_client: AsyncClient, server: EmbeddedServer, name: str
) -> None:
    await async_client.put(KEY, {"a": 1, "s": "s"})
    with server.fault("stall"):
        began = time.monotonic()
        with pytest.raises(AerospikeTimeoutError):
            await CALLS[name](async_client, HASTY)
        took = time.monotonic() - began
    assert 0.15 < took < 5
    await async_client.put(KEY, {"a": 2})
    assert (await async_client.get(KEY)).bins["a"] == 2


@pytest.mark.parametrize("policy", [PATIENT, FOR_EVER], ids=["with a time-out", "without"])
@pytest.mark.parametrize("name", ["get", "put", "batch_read"])
def test_closing_ends_calls_of_other_threads(server: EmbeddedServer, name: str, policy: dict[str, int]) -> None:
    client = aerospike_py.client(server.config()).connect()
    client.put(KEY, {"a": 1})
    outcomes: list[object] = []

    def call() -> None:
        try:
            outcomes.append(CALLS[name](client, policy))
        except Exception as error:
            outcomes.append(error)

    with server.fault("stall"):
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        began = time.monotonic()
        client.close()
        assert time.monotonic() - began < 10
        for thread in threads:
            thread.join(timeout=15)
        assert not any(thread.is_alive() for thread in threads)
    assert [type(outcome) for outcome in outcomes] == [ClientError] * 4
    assert all("closed" in str(outcome) for outcome in outcomes)
    client.close()


@pytest.mark.parametrize("policy", [PATIENT, FOR_EVER], ids=["with a time-out", "without"])
@pytest.mark.parametrize("name", ["get", "put", "batch_read"])
async def test_closing_ends_operations_of_other_tasks(
    server: EmbeddedServer, name: str, policy: dict[str, int]
) -> None:
    client = await aerospike_py.async_client(server.config()).connect()
    await client.put(KEY, {"a": 1})
    with server.fault("stall"):
        tasks = [asyncio.create_task(CALLS[name](client, policy)) for _ in range(4)]
        await asyncio.sleep(0.2)
        await asyncio.wait_for(client.close(), 10)
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 15)
    assert [type(outcome) for outcome in outcomes] == [ClientError] * 4
    assert all("closed" in str(outcome) for outcome in outcomes)
    await client.close()


def test_operations_that_get_their_reply_while_closing_have_a_result_or_say_closed(server: EmbeddedServer) -> None:
    client = aerospike_py.client(server.config()).connect()
    client.put(KEY, {"a": 1})
    outcomes: list[object] = []

    def call() -> None:
        try:
            while True:
                assert client.get(KEY).bins == {"a": 1}
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    client.close()
    for thread in threads:
        thread.join(timeout=15)
    assert [type(outcome) for outcome in outcomes] == [ClientError] * 8


def test_a_closed_client_says_so(server: EmbeddedServer) -> None:
    client = aerospike_py.client(server.config()).connect()
    client.put(KEY, {"a": 1})
    client.close()
    client.close()
    assert not client.is_connected()
    assert client.ping() is False
    for call in CALLS.values():
        with pytest.raises(ClientError, match="closed"):
            call(client, HASTY)
    with pytest.raises(ClientError):
        client.get_node_names()
    client.connect()
    assert client.get(KEY).bins == {"a": 1}
    client.close()


async def test_a_closed_asynchronous_client_says_so(server: EmbeddedServer) -> None:
    client = await aerospike_py.async_client(server.config()).connect()
    await client.put(KEY, {"a": 1})
    await asyncio.gather(client.close(), client.close())
    await client.close()
    assert not client.is_connected()
    assert await client.ping() is False
    for call in CALLS.values():
        with pytest.raises(ClientError, match="closed"):
            await call(client, HASTY)
    await client.connect()
    assert (await client.get(KEY)).bins == {"a": 1}
    await client.close()


def test_a_client_that_never_connected_says_so(server: EmbeddedServer) -> None:
    client = aerospike_py.client(server.config())
    for call in CALLS.values():
        with pytest.raises(ClientError, match="connect"):
            call(client, HASTY)
    client.close()


def test_closing_from_many_threads_at_once(server: EmbeddedServer) -> None:
    client = aerospike_py.client(server.config()).connect()
    threads = [threading.Thread(target=client.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=15)
    assert not any(thread.is_alive() for thread in threads)
    assert not client.is_connected()


def no_connections(server: EmbeddedServer) -> bool:
    return server.stats().connections_open == 0


def test_closing_leaves_no_connection(server: EmbeddedServer) -> None:
    assert eventually(lambda: no_connections(server))
    with aerospike_py.client(server.config(min_conns_per_node=4)).connect() as client:
        client.put(KEY, {"a": 1})
        assert server.stats().connections_open >= 2
    assert eventually(lambda: no_connections(server))


async def test_closing_that_is_cancelled_leaves_no_connection(server: EmbeddedServer) -> None:
    for _ in range(10):
        client = await aerospike_py.async_client(server.config()).connect()
        await client.put(KEY, {"a": 1})
        client.close().cancel()
        await client.close()
    assert await asyncio.to_thread(eventually, lambda: no_connections(server))


def test_a_dropped_client_leaves_no_connection(server: EmbeddedServer) -> None:
    for _ in range(5):
        client = aerospike_py.client(server.config()).connect()
        client.put(KEY, {"a": 1})
        del client
    gc.collect()
    assert eventually(lambda: no_connections(server))


async def test_a_dropped_client_finishes_what_is_in_flight(server: EmbeddedServer) -> None:
    client = await aerospike_py.async_client(server.config()).connect()
    await client.put(KEY, {"a": 1})
    with server.fault("delay=100ms", command="read"):
        operations = [client.get(KEY) for _ in range(10)]
        del client
        gc.collect()
        records = await asyncio.gather(*operations)
    assert [record.bins for record in records] == [{"a": 1}] * 10
    del operations, records
    assert await asyncio.to_thread(eventually, lambda: no_connections(server))


def test_connecting_twice_closes_the_first_session(server: EmbeddedServer) -> None:
    client = aerospike_py.client(server.config()).connect()
    client.put(KEY, {"a": 1})
    open_once = server.stats().connections_open
    for _ in range(5):
        assert client.connect() is client
        assert client.get(KEY).bins == {"a": 1}
    assert eventually(lambda: server.stats().connections_open <= open_once)
    client.close()
    assert eventually(lambda: no_connections(server))


async def test_connecting_several_times_at_once(server: EmbeddedServer) -> None:
    client = aerospike_py.async_client(server.config())
    assert await asyncio.gather(*(client.connect() for _ in range(5))) == [client] * 5
    await client.put(KEY, {"a": 1})
    await client.close()
    assert await asyncio.to_thread(eventually, lambda: no_connections(server))


async def test_connecting_again_after_cancelling(server: EmbeddedServer) -> None:
    client = aerospike_py.async_client(server.config())
    with server.fault("delay=50ms", command="info"):
        for pause in (0, 0.02, 0.1, 0.2):
            task = asyncio.create_task(client.connect())
            await asyncio.sleep(pause)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await client.connect()
    await client.put(KEY, {"a": 1})
    assert (await client.get(KEY)).bins == {"a": 1}
    await client.close()
    assert await asyncio.to_thread(eventually, lambda: no_connections(server))


def test_connecting_that_fails_leaves_the_client_usable(server: EmbeddedServer) -> None:
    client = aerospike_py.client(server.config(timeout=500))
    server.node_down(0)
    try:
        with pytest.raises(AerospikeError):
            client.connect()
    finally:
        server.node_up(0)
    client.connect()
    client.put(KEY, {"a": 1})
    client.close()


def test_the_context_managers_close(server: EmbeddedServer) -> None:
    with pytest.raises(ZeroDivisionError), aerospike_py.client(server.config()).connect() as client:
        raise ZeroDivisionError
    assert not client.is_connected()

    async def scenario() -> None:
        with pytest.raises(ZeroDivisionError):
            async with await aerospike_py.async_client(server.config()).connect() as client:
                raise ZeroDivisionError
        assert not client.is_connected()

    asyncio.run(scenario())
    assert eventually(lambda: no_connections(server))
