"""The awaitable in the hands of asyncio: whatever takes a future or a coroutine takes it."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import time
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest
from aerospike_py.exception import RecordNotFound

if TYPE_CHECKING:
    from aerospike_py import AsyncClient
    from aerospike_py.testing import EmbeddedServer

ABSENT = ("test", "asyncio", "absent")
PATIENT = {"total_timeout": 20_000, "socket_timeout": 20_000, "max_retries": 0}


def key(number: int) -> tuple[str, str, int]:
    return ("test", "asyncio", number)


async def fill(client: AsyncClient, count: int) -> None:
    await asyncio.gather(*(client.put(key(number), {"n": number}) for number in range(count)))


async def test_gather_keeps_the_order(async_client: AsyncClient) -> None:
    await fill(async_client, 100)
    records = await asyncio.gather(*(async_client.get(key(number)) for number in range(100)))
    assert [record.bins["n"] for record in records] == list(range(100))


async def test_gather_raises_the_first_failure_or_returns_all(async_client: AsyncClient) -> None:
    await fill(async_client, 1)
    with pytest.raises(RecordNotFound):
        await asyncio.gather(async_client.get(key(0)), async_client.get(ABSENT))
    results = await asyncio.gather(async_client.get(key(0)), async_client.get(ABSENT), return_exceptions=True)
    assert results[0].bins == {"n": 0}
    assert isinstance(results[1], RecordNotFound)


async def test_cancelling_a_gather_cancels_its_operations(async_client: AsyncClient, server: EmbeddedServer) -> None:
    with server.fault("stall", command="read"):
        operations = [async_client.get(key(number), PATIENT) for number in range(5)]
        gathered = asyncio.gather(*operations)
        await asyncio.sleep(0.05)
        gathered.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathered
        assert all(operation.cancelled() for operation in operations)


async def test_gather_returns_cancellations(async_client: AsyncClient, server: EmbeddedServer) -> None:
    await fill(async_client, 1)
    with server.fault("stall", command="write"):
        doomed = async_client.put(key(1), {"n": 7}, policy=PATIENT)
        gathered = asyncio.gather(doomed, async_client.get(key(0)), return_exceptions=True)
        doomed.cancel(msg="enough")
        done, _ = await asyncio.wait([gathered], timeout=10)
    # A gather that misses the end of its operations cannot be cancelled either.
    assert done
    results = gathered.result()
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[0].args == ("enough",)
    assert results[1].bins == {"n": 0}


async def test_wait_takes_tasks_made_of_operations(async_client: AsyncClient, server: EmbeddedServer) -> None:
    await fill(async_client, 2)
    with server.fault("stall", command="write"):
        slow = asyncio.create_task(async_client.put(key(0), {"n": 7}, policy=PATIENT))
        quick = asyncio.create_task(async_client.get(key(1)))
        done, pending = await asyncio.wait([slow, quick], timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert (done, pending) == ({quick}, {slow})
        assert quick.result().bins == {"n": 1}
        done, pending = await asyncio.wait([slow], timeout=0.05)
        assert (done, pending) == (set(), {slow})
    done, pending = await asyncio.wait([slow], timeout=10)
    assert slow.result() is None
    assert (await async_client.get(key(0))).bins == {"n": 7}


async def test_wait_refuses_a_bare_operation_as_it_refuses_any_coroutine(async_client: AsyncClient) -> None:
    operation = async_client.exists(key(0))
    with pytest.raises(TypeError, match="coroutines is forbidden"):
        await asyncio.wait([operation])
    await operation


async def test_wait_for_gives_the_result_or_cancels(async_client: AsyncClient, server: EmbeddedServer) -> None:
    await fill(async_client, 1)
    assert (await asyncio.wait_for(async_client.get(key(0)), 10)).bins == {"n": 0}
    with pytest.raises(RecordNotFound):
        await asyncio.wait_for(async_client.get(ABSENT), 10)
    with server.fault("stall", command="read"):
        operation = async_client.get(key(0), PATIENT)
        began = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(operation, 0.1)
        assert time.monotonic() - began < 5
        assert operation.cancelled()
    assert (await async_client.get(key(0))).bins == {"n": 0}


async def test_timeout_blocks_end_the_wait(async_client: AsyncClient, server: EmbeddedServer) -> None:
    await fill(async_client, 1)
    async with asyncio.timeout(10):
        assert (await async_client.get(key(0))).bins == {"n": 0}
    with server.fault("stall", command="read"), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await async_client.get(key(0), PATIENT)
    assert (await async_client.get(key(0))).bins == {"n": 0}


async def test_a_shielded_operation_goes_on(async_client: AsyncClient, server: EmbeddedServer) -> None:
    await fill(async_client, 1)
    with server.fault("stall", command="read"):
        operation = async_client.get(key(0), PATIENT)

        async def protected() -> Any:
            return await asyncio.shield(operation)

        task = asyncio.create_task(protected())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not operation.done()
    assert (await operation).bins == {"n": 0}


async def test_task_groups_take_operations(async_client: AsyncClient, server: EmbeddedServer) -> None:
    await fill(async_client, 10)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(async_client.get(key(number))) for number in range(10)]
    assert [task.result().bins["n"] for task in tasks] == list(range(10))

    waiting: list[asyncio.Task[Any]] = []

    async def one_fails() -> None:
        async with asyncio.TaskGroup() as group:
            waiting.append(group.create_task(async_client.put(key(0), {"n": 7}, policy=PATIENT)))
            group.create_task(async_client.get(ABSENT))

    with server.fault("stall", command="write"):
        with pytest.raises(ExceptionGroup) as failed:
            await one_fails()
        assert [type(error) for error in failed.value.exceptions] == [RecordNotFound]
        assert waiting[0].cancelled()


async def test_create_task_and_ensure_future(async_client: AsyncClient) -> None:
    await fill(async_client, 1)
    task = asyncio.create_task(async_client.get(key(0)), name="read")
    assert (await task).bins == {"n": 0}
    operation = async_client.get(key(0))
    assert asyncio.ensure_future(operation) is operation
    assert (await operation).bins == {"n": 0}
    with pytest.raises(RecordNotFound):
        await asyncio.create_task(async_client.get(ABSENT))
    finished = async_client.get(key(0))
    await asyncio.wait_for(asyncio.shield(finished), 10)
    assert (await asyncio.create_task(finished)).bins == {"n": 0}


async def test_as_completed_gives_every_result(async_client: AsyncClient) -> None:
    await fill(async_client, 30)
    seen = set()
    for finished in asyncio.as_completed([async_client.get(key(number)) for number in range(30)], timeout=20):
        seen.add((await finished).bins["n"])
    assert seen == set(range(30))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks_take_operations(async_client: AsyncClient) -> None:
    await fill(async_client, 20)
    loop = asyncio.get_running_loop()

    async def read(number: int) -> int:
        return int((await async_client.get(key(number))).bins["n"])

    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        assert await asyncio.gather(*(asyncio.create_task(read(number)) for number in range(20))) == list(range(20))
        assert (await asyncio.create_task(async_client.get(key(3)))).bins == {"n": 3}
        finished = async_client.get(key(4))
        await asyncio.shield(finished)
        assert (await asyncio.create_task(finished)).bins == {"n": 4}
    finally:
        loop.set_task_factory(None)


async def test_the_awaiting_coroutine_keeps_its_context(async_client: AsyncClient) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    await fill(async_client, 20)

    async def read(number: int) -> tuple[int, int]:
        variable.set(number)
        record = await async_client.get(key(number))
        return variable.get(), record.bins["n"]

    results = await asyncio.gather(*(read(number) for number in range(20)))
    assert results == [(number, number) for number in range(20)]


async def test_other_threads_reach_operations_through_the_loop(async_client: AsyncClient) -> None:
    await fill(async_client, 1)
    loop = asyncio.get_running_loop()

    async def read() -> Any:
        return await async_client.get(key(0))

    def elsewhere() -> Any:
        return asyncio.run_coroutine_threadsafe(read(), loop).result(timeout=10)

    assert (await asyncio.to_thread(elsewhere)).bins == {"n": 0}


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


@pytest.mark.parametrize("kind", ["asyncio", "asyncio in debug mode", "uvloop"])
def test_every_kind_of_loop(server: EmbeddedServer, kind: str) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        reported: list[object] = []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        async with await aerospike_py.async_client(server.config()).connect() as client:
            await fill(client, 50)
            records = await asyncio.gather(*(client.get(key(number)) for number in range(50)))
            assert [record.bins["n"] for record in records] == list(range(50))
            with pytest.raises(RecordNotFound):
                await client.get(ABSENT)
            with server.fault("stall", command="read"):
                task = asyncio.create_task(client.get(key(0), PATIENT))
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.get(key(0), PATIENT), 0.05)
            called: list[object] = []
            operation = client.exists(key(0))
            operation.add_done_callback(called.append)
            await operation
            await asyncio.sleep(0)
            assert called == [operation]
            batch = await client.batch_read([key(number) for number in range(50)])
            assert batch.found_count() == 50
        assert reported == []

    with asyncio.Runner(debug="debug" in kind, loop_factory=lambda: new_loop(kind)) as runner:
        runner.run(scenario())


def test_run_until_complete_takes_an_operation(server: EmbeddedServer) -> None:
    loop = asyncio.new_event_loop()
    try:
        client = loop.run_until_complete(connected(server))

        async def begin() -> Any:
            operation = client.exists(key(0))
            return [operation]

        (operation,) = loop.run_until_complete(begin())
        assert loop.run_until_complete(operation).meta is None
        loop.run_until_complete(closed(client))
    finally:
        loop.close()


async def connected(server: EmbeddedServer) -> AsyncClient:
    return await aerospike_py.async_client(server.config()).connect()


async def closed(client: AsyncClient) -> None:
    await client.close()
