"""Random histories of an awaitable: whatever is done to it in whatever order, it ends once and tells everybody once."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest
from aerospike_py.exception import RecordNotFound
from aerospike_py.testing import EmbeddedServer
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aerospike_py import AsyncClient

PRESENT = ("test", "histories", "present")
ABSENT = ("test", "histories", "absent")

STEPS = st.sampled_from(
    [
        "add a callback",
        "add a callback that cancels",
        "add a callback that asks for the result",
        "remove a callback",
        "cancel",
        "close",
        "ask for the result",
        "ask for the exception",
        "await in a task",
        "await in a task and cancel it",
        "shield in a task and cancel it",
        "a turn of the loop",
        "some turns of the loop",
        "block the loop",
        "collect",
    ]
)


class History:
    """One operation and what has been done to it."""

    def __init__(self, operation: Any) -> None:
        self.operation = operation
        self.expected = 0
        self.called: list[int] = []
        self.removable: list[Any] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.states: list[bool] = []

    def add(self, also: Any = None) -> None:
        number = self.expected
        self.expected += 1

        def callback(operation: Any) -> None:
            assert operation is self.operation
            self.called.append(number)
            if also is not None:
                also()

        self.operation.add_done_callback(callback)
        if not self.operation.done():
            self.removable.append(callback)

    def ask(self, method: str) -> None:
        done = self.operation.done()
        try:
            getattr(self.operation, method)()
        except asyncio.InvalidStateError:
            assert not done
        except (RecordNotFound, asyncio.CancelledError):
            assert done
        else:
            assert done

    async def take(self, step: str) -> None:
        match step:
            case "add a callback":
                self.add()
            case "add a callback that cancels":
                self.add(lambda: self.operation.cancel())
            case "add a callback that asks for the result":
                self.add(lambda: self.ask("result"))
            case "remove a callback":
                if self.removable and not self.operation.done():
                    assert self.operation.remove_done_callback(self.removable.pop()) == 1
                    self.expected -= 1
            case "cancel":
                done = self.operation.done()
                assert self.operation.cancel() is not done
            case "close":
                self.operation.close()
                assert self.operation.done()
            case "ask for the result":
                self.ask("result")
            case "ask for the exception":
                self.ask("exception")
            case "await in a task" | "await in a task and cancel it" | "shield in a task and cancel it":
                awaited = asyncio.shield(self.operation) if "shield" in step else self.operation

                async def wait() -> Any:
                    return await awaited

                self.tasks.append(asyncio.create_task(wait()))
                if "cancel" in step:
                    await asyncio.sleep(0)
                    self.tasks[-1].cancel()
            case "a turn of the loop":
                await asyncio.sleep(0)
            case "some turns of the loop":
                await asyncio.sleep(0.001)
            case "block the loop":
                time.sleep(0.002)  # noqa: ASYNC251 - the reply must arrive unnoticed
            case "collect":
                gc.collect(0)
        self.states.append(self.operation.done())

    async def end(self) -> None:
        outcomes = await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), 20)
        gathered = asyncio.gather(self.operation, return_exceptions=True)
        # A gather that misses the end of its operations cannot be cancelled either.
        done, _ = await asyncio.wait([gathered], timeout=5)
        assert done
        final = gathered.result()[0]
        await asyncio.sleep(0)
        assert self.operation.done()
        # Once done, for ever done.
        assert self.states == sorted(self.states)
        assert len(self.called) == self.expected == len(set(self.called))
        for outcome in outcomes:
            assert outcome is final or isinstance(outcome, asyncio.CancelledError)
        if self.operation.cancelled():
            assert isinstance(final, asyncio.CancelledError)
        else:
            assert isinstance(final, RecordNotFound) or final.bins == {"a": 1}


@pytest.fixture(scope="module")
def playground() -> Iterator[tuple[asyncio.Runner, AsyncClient]]:
    with EmbeddedServer() as server, asyncio.Runner() as runner:

        async def connect() -> AsyncClient:
            client = await aerospike_py.async_client(server.config()).connect()
            await client.put(PRESENT, {"a": 1})
            return client

        async def close() -> None:
            await client.close()

        client = runner.run(connect())
        yield runner, client
        runner.run(close())


@settings(deadline=None, max_examples=300)
@given(steps=st.lists(STEPS, max_size=12), present=st.booleans())
def test_any_history_ends_well(playground: tuple[asyncio.Runner, AsyncClient], steps: list[str], present: bool) -> None:
    runner, client = playground

    async def live() -> None:
        history = History(client.get(PRESENT if present else ABSENT))
        for step in steps:
            await history.take(step)
        await history.end()

    runner.run(live())
