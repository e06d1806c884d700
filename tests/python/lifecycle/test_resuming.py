"""Tasks are resumed by the callback in which the loop takes their results: without callbacks of their own, whatever
one of them does to the loop, and as asyncio has it where the loop is being debugged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aerospike_py.testing import EmbeddedServer

COUNT = 20


class Counting(asyncio.SelectorEventLoop):
    """Counts the callbacks that are scheduled on it."""

    scheduled = 0

    def call_soon(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        self.scheduled += 1
        return super().call_soon(callback, *args, **kwargs)


@pytest.fixture
def loop() -> Iterator[Counting]:
    counting = Counting()
    asyncio.set_event_loop(counting)
    yield counting
    asyncio.set_event_loop(None)
    counting.close()


def key(number: int) -> tuple[str, str, int]:
    return ("test", "resuming", number)


async def filled(server: EmbeddedServer) -> aerospike_py.AsyncClient:
    client = await aerospike_py.async_client(server.config()).connect()
    for number in range(COUNT):
        await client.put(key(number), {"n": number})
    return client


async def numbers(client: aerospike_py.AsyncClient) -> list[Any]:
    return [(await client.get(key(number))).bins["n"] for number in range(COUNT)]


def test_one_operation_after_the_other_schedules_nothing(server: EmbeddedServer, loop: Counting) -> None:
    client = loop.run_until_complete(filled(server))

    async def counted() -> int:
        before = loop.scheduled
        assert await numbers(client) == list(range(COUNT))
        return loop.scheduled - before

    assert loop.run_until_complete(counted()) == 0
    loop.set_debug(True)
    # Then every callback is timed by itself.
    assert loop.run_until_complete(counted()) >= COUNT
    loop.set_debug(False)
    loop.run_until_complete(client.close())


def test_many_at_once_are_resumed_in_order(server: EmbeddedServer, loop: Counting) -> None:
    client = loop.run_until_complete(filled(server))
    resumed: list[int] = []

    async def one(number: int) -> None:
        await client.get(key(0))
        resumed.append(number)

    async def scenario() -> int:
        tasks = [asyncio.ensure_future(one(number)) for number in range(COUNT)]
        await asyncio.sleep(0)
        before = loop.scheduled
        await asyncio.gather(*tasks)
        return loop.scheduled - before

    scheduled = loop.run_until_complete(scenario())
    assert sorted(resumed) == list(range(COUNT))
    # What gather itself needs is one callback per task; before there was one more for each group of results.
    assert scheduled <= 2 * COUNT
    loop.run_until_complete(client.close())


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_task_that_ends_the_loop_leaves_the_others_to_its_next_run(
    server: EmbeddedServer, loop: Counting, error: type[BaseException]
) -> None:
    client = loop.run_until_complete(filled(server))

    async def one(number: int) -> int:
        record = await client.get(key(number))
        if number == 0:
            raise error
        return int(record.bins["n"])

    async def start() -> list[asyncio.Task[int]]:
        tasks = [asyncio.ensure_future(one(number)) for number in range(COUNT)]
        with server.fault("delay=30ms", command="read"):
            await asyncio.sleep(0.01)
        return tasks

    tasks = loop.run_until_complete(start())
    with pytest.raises(error):
        loop.run_until_complete(asyncio.sleep(10))
    results = loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    assert isinstance(results[0], error)
    assert results[1:] == list(range(1, COUNT))
    loop.run_until_complete(client.close())


def test_a_task_that_runs_the_loop_itself_is_not_in_the_way_of_the_others(
    server: EmbeddedServer, loop: Counting
) -> None:
    """As `nest_asyncio` does it: the task waits for others, on its own stack, that are to be resumed after it."""
    client = loop.run_until_complete(filled(server))

    async def nesting(others: list[asyncio.Task[Any]]) -> None:
        await client.get(key(0))
        task = asyncio.current_task()
        assert task is not None
        asyncio.tasks._leave_task(loop, task)
        try:
            while not all(other.done() for other in others):
                loop._run_once()  # type: ignore[attr-defined]
        finally:
            asyncio.tasks._enter_task(loop, task)

    async def scenario() -> None:
        others: list[asyncio.Task[Any]] = []
        with server.fault("delay=30ms", command="read"):
            first = asyncio.ensure_future(nesting(others))
            others += [asyncio.ensure_future(numbers(client)) for _ in range(3)]
            await asyncio.sleep(0.01)
        await asyncio.wait_for(first, 30)
        assert [other.result() for other in others] == [list(range(COUNT))] * 3

    loop.run_until_complete(scenario())
    loop.run_until_complete(client.close())
