"""Several event loops, one after another and at once, and many threads on one client."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest
from scripted import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from aerospike_py import AsyncClient, Client
    from aerospike_py.testing import EmbeddedServer
    from scripted import ScriptRunner

PATIENT = {"total_timeout": 20_000, "socket_timeout": 20_000, "max_retries": 0}


def key(number: object) -> tuple[str, str, str]:
    return ("test", "loops", str(number))


async def connected(server: EmbeddedServer) -> AsyncClient:
    return await aerospike_py.async_client(server.config()).connect()


async def write_and_read(client: AsyncClient, prefix: object, count: int = 30) -> None:
    await asyncio.gather(*(client.put(key(f"{prefix}-{n}"), {"n": n}) for n in range(count)))
    records = await asyncio.gather(*(client.get(key(f"{prefix}-{n}")) for n in range(count)))
    assert [record.bins["n"] for record in records] == list(range(count))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def are_freed(client: AsyncClient, known: list[weakref.ref[Any]]) -> bool:
    # What runtime threads let go of is freed by the next thread that enters the extension.
    client.is_connected()
    gc.collect()
    return all(reference() is None for reference in known)


def in_threads(functions: list[Callable[[], object]]) -> list[object]:
    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(function) for function in functions]]


def test_one_loop_after_another_with_a_client_each(server: EmbeddedServer) -> None:
    async def scenario(number: int) -> None:
        async with await connected(server) as client:
            await write_and_read(client, number)

    for number in range(10):
        asyncio.run(scenario(number))


def test_one_client_on_one_loop_after_another(server: EmbeddedServer) -> None:
    client = asyncio.run(connected(server))
    for number in range(10):
        asyncio.run(write_and_read(client, number))

    async def close() -> None:
        await client.close()

    asyncio.run(close())
    assert not client.is_connected()


def test_loops_in_threads_with_a_client_each(server: EmbeddedServer) -> None:
    async def scenario(number: int) -> None:
        async with await connected(server) as client:
            await write_and_read(client, number, 100)

    in_threads([lambda number=number: asyncio.run(scenario(number)) for number in range(6)])


def test_loops_in_threads_with_one_client(server: EmbeddedServer) -> None:
    client = asyncio.run(connected(server))
    in_threads([lambda number=number: asyncio.run(write_and_read(client, number, 100)) for number in range(6)])

    async def close() -> None:
        await client.close()

    asyncio.run(close())


def test_an_operation_of_another_loop_is_refused(server: EmbeddedServer) -> None:
    client = asyncio.run(connected(server))
    with server.fault("stall", command="read"):
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

        async def begin() -> list[Any]:
            return [client.get(key(0), PATIENT)]

        async def steal(operation: Any) -> None:
            await operation

        (operation,) = first.run_until_complete(begin())
        with pytest.raises(RuntimeError, match="different loop"):
            second.run_until_complete(steal(operation))
        operation.cancel()
        first.close()
        second.close()


def test_loops_that_are_closed_with_operations_in_flight(apart: EmbeddedServer) -> None:
    """Their operations end unnoticed; loops, wake-up descriptors and callbacks are freed."""
    client = aerospike_py.async_client(apart.config(max_conns_per_node=4))

    async def connect() -> None:
        await client.connect()

    asyncio.run(connect())

    async def begin() -> list[Any]:
        operations = [client.put(key(number), {"n": number}) for number in range(4)]
        for operation in operations:
            operation.add_done_callback(lambda _: None)
        return operations

    def one_round() -> list[weakref.ref[Any]]:
        loop = asyncio.new_event_loop()
        operations = loop.run_until_complete(begin())
        loop.close()
        return [weakref.ref(loop), *(weakref.ref(operation) for operation in operations)]

    with apart.fault("delay=20ms", command="write"):
        one_round()
        asyncio.run(write_and_read(client, "before"))
        before = descriptors()
        known = [reference for _ in range(20) for reference in one_round()]
    assert eventually(lambda: are_freed(client, known))
    asyncio.run(write_and_read(client, "afterwards"))
    # One descriptor for each loop would be twenty; connections of the pool may come and go.
    assert descriptors() <= before + 6


def test_operations_that_are_kept_after_their_loop_was_closed(server: EmbeddedServer) -> None:
    client = asyncio.run(connected(server))
    loop = asyncio.new_event_loop()

    async def begin() -> list[Any]:
        return [client.get(key(0), PATIENT) for _ in range(5)]

    with server.fault("stall", command="read"):
        operations = loop.run_until_complete(begin())
        loop.close()
        assert operations[0].cancel() is True
        assert operations[0].cancelled()
    for operation in operations[1:]:
        assert operation.get_loop() is loop
    asyncio.run(write_and_read(client, "afterwards"))


def test_a_closed_loop_is_freed(server: EmbeddedServer) -> None:
    client = asyncio.run(connected(server))

    def one_round() -> weakref.ref[Any]:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(write_and_read(client, "closed", 3))
        loop.close()
        return weakref.ref(loop)

    known = one_round()
    assert eventually(lambda: are_freed(client, [known]))


def test_a_loop_that_was_left_open_is_freed(server: EmbeddedServer) -> None:
    client = asyncio.run(connected(server))

    def one_round() -> weakref.ref[Any]:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(write_and_read(client, "open", 3))
        return weakref.ref(loop)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        known = one_round()
        assert eventually(lambda: are_freed(client, [known]))


def test_many_threads_share_one_synchronous_client(client: Client) -> None:
    def work(thread: int) -> None:
        for number in range(100):
            name = f"{thread}-{number % 10}"
            client.put(key(name), {"n": number, "thread": thread})
            assert client.get(key(name)).bins == {"n": number, "thread": thread}

    in_threads([lambda thread=thread: work(thread) for thread in range(16)])


def test_threads_that_come_and_go(client: Client) -> None:
    client.put(key(0), {"n": 0})
    failures: list[BaseException] = []

    def work() -> None:
        try:
            assert client.get(key(0)).bins == {"n": 0}
        except BaseException as error:
            failures.append(error)

    for _ in range(20):
        threads = [threading.Thread(target=work) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    assert failures == []


def test_a_synchronous_client_inside_a_running_loop(client: Client, server: EmbeddedServer) -> None:
    async def scenario() -> None:
        client.put(key(0), {"n": 0})
        async with await connected(server) as other:
            assert (await other.get(key(0))).bins == client.get(key(0)).bins == {"n": 0}
            assert (await asyncio.to_thread(client.get, key(0))).bins == {"n": 0}

    asyncio.run(scenario())


def test_asynchronous_generators_and_callbacks_of_the_loop(server: EmbeddedServer) -> None:
    async def scenario() -> None:
        async with await connected(server) as client:
            await write_and_read(client, "generator", 10)

            async def records() -> Any:
                for number in range(10):
                    yield await client.get(key(f"generator-{number}"))

            assert [record.bins["n"] async for record in records()] == list(range(10))
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

            def start() -> None:
                client.get(key("generator-3")).add_done_callback(lambda read: done.set_result(read.result()))

            asyncio.get_running_loop().call_soon(start)
            assert (await asyncio.wait_for(done, 10)).bins == {"n": 3}

    asyncio.run(scenario())


def test_running_an_operation_directly(server: EmbeddedServer) -> None:
    client = asyncio.run(connected(server))
    assert asyncio.run(client.put(key(0), {"n": 0})) is None
    assert asyncio.run(client.get(key(0))).bins == {"n": 0}
    with pytest.raises(aerospike_py.RecordNotFound):
        asyncio.run(client.get(key("absent")))
    asyncio.run(client.close())
    assert not client.is_connected()


class WithoutReaders(asyncio.SelectorEventLoop):
    """A loop that watches its own descriptors and nobody else's, as the proactor loop of Windows does."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        raise NotImplementedError

    scheduled = 0

    def call_soon_threadsafe(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        self.scheduled += 1
        return super().call_soon_threadsafe(callback, *args, **kwargs)


def test_a_loop_with_readers_is_told_by_them(server: EmbeddedServer) -> None:
    async def scenario() -> str:
        async with await connected(server) as client:
            await write_and_read(client, "readers")
        return aerospike_py.event_loop_wakeup()

    assert asyncio.run(scenario()) == "add_reader"
    with pytest.raises(RuntimeError, match="no running event loop"):
        aerospike_py.event_loop_wakeup()


def test_loops_without_readers_are_woken_once_for_many_results(server: EmbeddedServer) -> None:
    count = 200

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, WithoutReaders)
        assert aerospike_py.event_loop_wakeup() == "call_soon_threadsafe"
        async with await connected(server) as client:
            await write_and_read(client, "without readers")
            with pytest.raises(aerospike_py.RecordNotFound):
                await client.get(key("nobody"))
            with server.fault("stall", command="read"), pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.get(key("without readers-0"), PATIENT), 0.05)
            before = loop.scheduled
            operations = [client.exists(key(number)) for number in range(count)]
            time.sleep(0.5)  # noqa: ASYNC251 - all of them have ended when the loop looks
            await asyncio.gather(*operations)
            assert 1 <= loop.scheduled - before < count / 10

    with asyncio.Runner(loop_factory=WithoutReaders) as runner:
        runner.run(scenario())


def test_loops_without_readers_one_after_another_and_at_once(server: EmbeddedServer) -> None:
    async def scenario(number: int) -> None:
        async with await connected(server) as client:
            await write_and_read(client, number)

    def run(number: int) -> None:
        with asyncio.Runner(loop_factory=WithoutReaders) as runner:
            runner.run(scenario(number))

    for number in range(3):
        run(number)
    in_threads([lambda number=number: run(number) for number in range(4)])


def test_a_loop_without_readers_that_is_closed_with_operations_in_flight(server: EmbeddedServer) -> None:
    client = asyncio.run(connected(server))

    async def begin() -> list[Any]:
        return [client.put(key(f"left {number}"), {"n": number}) for number in range(4)]

    def one_round() -> list[weakref.ref[Any]]:
        loop = WithoutReaders()
        operations = loop.run_until_complete(begin())
        loop.close()
        return [weakref.ref(loop), *(weakref.ref(operation) for operation in operations)]

    with server.fault("delay=20ms", command="write"):
        known = one_round()
    assert eventually(lambda: are_freed(client, known))
    assert eventually(lambda: server.record_count("test", "loops") == 4)


def test_what_a_loop_without_readers_costs_is_said_once(script: ScriptRunner) -> None:
    finished = script.run("""
        import logging

        class WithoutReaders(asyncio.SelectorEventLoop):
            def add_reader(self, fd, callback, *args):
                raise NotImplementedError

        async def main():
            async with await aerospike_py.async_client(CONFIG).connect() as client:
                await client.put(KEY, {"n": 1})

        logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        logging.getLogger("aerospike_py.aerospike_core").setLevel(logging.ERROR)
        for _ in range(2):
            loop = WithoutReaders()
            loop.run_until_complete(main())
            loop.close()
        """)
    (line,) = finished.lines()
    assert line.startswith("aerospike_py INFO WithoutReaders has no add_reader(): ")
    assert "call_soon_threadsafe" in line


def test_operations_of_a_loop_that_is_closed_are_carried_out(server: EmbeddedServer) -> None:
    client = asyncio.run(connected(server))

    async def begin() -> None:
        for number in range(300):
            client.put(key(f"in flight {number}"), {"n": number})

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    assert eventually(lambda: server.record_count("test", "loops") == 300)


def test_a_deadline_passes_while_nothing_else_wakes_the_loop(server: EmbeddedServer) -> None:
    hurried = {"total_timeout": 80, "socket_timeout": 80, "max_retries": 0}

    async def scenario() -> None:
        async with await connected(server) as client:
            await client.put(key(0), {"n": 0})
            with server.fault("stall", command="read"):
                began = time.monotonic()
                patient = client.get(key(0), PATIENT)
                outcomes = await asyncio.gather(
                    *(client.get(key(0), hurried) for _ in range(5)), return_exceptions=True
                )
                assert [type(outcome) for outcome in outcomes] == 5 * [aerospike_py.AerospikeTimeoutError]
                assert time.monotonic() - began >= 0.08
                assert not patient.done()
            assert (await patient).bins == {"n": 0}

    asyncio.run(scenario())
