"""The awaitable of the asynchronous methods, on its own: a future, a coroutine, and an object that can be collected."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import time
import traceback
import weakref
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest
from aerospike_py.exception import RecordNotFound

if TYPE_CHECKING:
    from aerospike_py import AsyncClient
    from aerospike_py.testing import EmbeddedServer

KEY = ("test", "awaitable", "k")
ABSENT = ("test", "awaitable", "absent")
PATIENT = {"total_timeout": 20_000, "socket_timeout": 20_000, "max_retries": 0}


async def test_it_is_a_future_and_a_coroutine(async_client: AsyncClient) -> None:
    operation = async_client.exists(KEY)
    assert asyncio.isfuture(operation)
    assert asyncio.iscoroutine(operation)
    assert inspect.isawaitable(operation)
    assert isinstance(operation, Awaitable)
    assert isinstance(operation, Coroutine)
    assert operation.get_loop() is asyncio.get_running_loop()
    await operation


async def test_awaiting_twice_gives_the_same_object(async_client: AsyncClient) -> None:
    await async_client.put(KEY, {"a": 1})
    operation = async_client.get(KEY)
    first = await operation
    assert first.bins == {"a": 1}
    assert await operation is first
    assert operation.result() is first


async def test_two_coroutines_can_await_the_same_operation(async_client: AsyncClient) -> None:
    await async_client.put(KEY, {"a": 1})
    operation = async_client.get(KEY)

    async def bins() -> dict[str, Any]:
        return (await operation).bins

    assert await asyncio.gather(bins(), bins()) == [{"a": 1}, {"a": 1}]


async def test_the_states_of_an_operation(async_client: AsyncClient, server: EmbeddedServer) -> None:
    await async_client.put(KEY, {"a": 1})
    with server.fault("delay=50ms", command="read"):
        operation = async_client.get(KEY)
        assert not operation.done()
        assert not operation.cancelled()
        assert "pending" in repr(operation)
        with pytest.raises(asyncio.InvalidStateError):
            operation.result()
        with pytest.raises(asyncio.InvalidStateError):
            operation.exception()
        record = await operation
    assert operation.done()
    assert not operation.cancelled()
    assert operation.result() is record
    assert operation.exception() is None
    assert operation.cancel() is False
    assert "finished" in repr(operation)


async def test_it_is_not_done_before_the_loop_has_noticed(async_client: AsyncClient) -> None:
    operation = async_client.exists(KEY)
    time.sleep(0.2)  # noqa: ASYNC251 - the loop must be blocked while the reply arrives
    assert not operation.done()
    with pytest.raises(asyncio.InvalidStateError):
        operation.result()
    await operation
    assert operation.done()


async def test_a_tuple_is_one_result(async_client: AsyncClient) -> None:
    result = await async_client.exists(ABSENT)
    assert isinstance(result, tuple)
    assert len(result) == 2
    assert result.meta is None
    operation = async_client.exists(ABSENT)
    await asyncio.shield(operation)
    with pytest.raises(StopIteration) as stopped:
        operation.send(None)
    assert stopped.value.value.meta is None


async def test_callbacks_run_once_in_order_with_the_operation(async_client: AsyncClient) -> None:
    seen: list[tuple[str, object]] = []
    operation = async_client.exists(KEY)
    operation.add_done_callback(lambda done: seen.append(("first", done)))
    operation.add_done_callback(lambda done: seen.append(("second", done)))
    assert seen == []
    await operation
    await asyncio.sleep(0)
    assert seen == [("first", operation), ("second", operation)]
    operation.add_done_callback(lambda done: seen.append(("late", done)))
    assert len(seen) == 2
    await asyncio.sleep(0)
    assert seen[2:] == [("late", operation)]


async def test_callbacks_can_be_removed(async_client: AsyncClient) -> None:
    seen: list[str] = []

    def unwanted(_: object) -> None:
        seen.append("unwanted")

    operation = async_client.exists(KEY)
    operation.add_done_callback(unwanted)
    operation.add_done_callback(lambda _: seen.append("wanted"))
    operation.add_done_callback(unwanted)
    assert operation.remove_done_callback(unwanted) == 2
    assert operation.remove_done_callback(unwanted) == 0
    await operation
    await asyncio.sleep(0)
    assert seen == ["wanted"]


async def test_a_comparison_that_fails_loses_no_callback(async_client: AsyncClient) -> None:
    class Touchy:
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        __hash__ = None  # type: ignore[assignment]

        def __call__(self, _: object) -> None:
            seen.append("touchy")

    seen: list[str] = []
    operation = async_client.exists(KEY)
    operation.add_done_callback(lambda _: seen.append("first"))
    operation.add_done_callback(Touchy())
    with pytest.raises(ZeroDivisionError):
        operation.remove_done_callback(Touchy())
    await operation
    await asyncio.sleep(0)
    assert seen == ["first", "touchy"]


async def test_callbacks_see_the_context_they_were_added_in(async_client: AsyncClient) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []
    given = contextvars.copy_context()
    given.run(variable.set, "given")
    operation = async_client.exists(KEY)
    variable.set("current")
    operation.add_done_callback(lambda _: seen.append(variable.get()))
    operation.add_done_callback(lambda _: seen.append(variable.get()), context=given)
    variable.set("changed afterwards")
    await operation
    await asyncio.sleep(0)
    assert seen == ["current", "given"]
    assert variable.get() == "changed afterwards"


async def test_a_callback_that_fails_does_not_stop_the_others(async_client: AsyncClient) -> None:
    reported: list[dict[str, Any]] = []
    seen: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    operation = async_client.exists(KEY)
    operation.add_done_callback(lambda _: 1 // 0)
    operation.add_done_callback(lambda _: seen.append("second"))
    await operation
    await asyncio.sleep(0)
    assert seen == ["second"]
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]


async def test_a_callback_that_cannot_be_scheduled_does_not_hold_up_others(async_client: AsyncClient) -> None:
    loop = asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    loop.set_debug(True)

    async def not_a_callback(_: object) -> None:
        raise AssertionError("never runs")

    try:
        seen: list[str] = []
        operations = [async_client.exists(KEY) for _ in range(20)]
        operations[3].add_done_callback(not_a_callback)
        operations[3].add_done_callback(lambda _: seen.append("after the one that cannot be scheduled"))
        time.sleep(0.2)  # noqa: ASYNC251 - all of them arrive before the loop looks
        await asyncio.wait_for(asyncio.gather(*operations), 10)
        await asyncio.sleep(0)
    finally:
        loop.set_debug(False)
    assert seen == ["after the one that cannot be scheduled"]
    assert any(isinstance(context.get("exception"), TypeError) for context in reported)


async def test_cancelling_takes_effect_at_once(async_client: AsyncClient, server: EmbeddedServer) -> None:
    with server.fault("stall", command="read"):
        operation = async_client.get(KEY, PATIENT)
        seen: list[object] = []
        operation.add_done_callback(seen.append)
        assert operation.cancel(msg="enough") is True
        assert operation.cancel() is False
        assert operation.cancelled()
        assert operation.done()
        assert "cancelled" in repr(operation)
        with pytest.raises(asyncio.CancelledError, match="enough"):
            operation.result()
        with pytest.raises(asyncio.CancelledError, match="enough"):
            operation.exception()
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await operation
        await asyncio.sleep(0)
        assert seen == [operation]


async def test_a_failure_keeps_class_and_traceback(async_client: AsyncClient) -> None:
    operation = async_client.get(ABSENT)
    with pytest.raises(RecordNotFound) as first:
        await operation
    names = [frame.name for frame in traceback.extract_tb(first.value.__traceback__)]
    assert names == ["test_a_failure_keeps_class_and_traceback"]
    assert operation.exception() is first.value
    assert operation.exception() is first.value
    with pytest.raises(RecordNotFound) as again:
        await operation
    assert again.value is first.value
    with pytest.raises(RecordNotFound):
        operation.result()


async def test_asking_again_does_not_lengthen_the_traceback(async_client: AsyncClient) -> None:
    operation = async_client.get(ABSENT)
    with pytest.raises(RecordNotFound):
        await operation
    lengths = []
    for _ in range(5):
        with pytest.raises(RecordNotFound) as caught:
            operation.result()
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert lengths == [lengths[0]] * 5


async def test_an_operation_that_nobody_awaits_is_carried_out(
    async_client: AsyncClient, server: EmbeddedServer
) -> None:
    for number in range(50):
        async_client.put(("test", "unawaited", number), {"n": number})
    for _ in range(200):
        if server.record_count("test", "unawaited") == 50:
            break
        await asyncio.sleep(0.02)
    assert server.record_count("test", "unawaited") == 50


async def test_a_finished_operation_is_freed_without_the_collector(async_client: AsyncClient) -> None:
    await async_client.put(KEY, {"a": 1})
    operation = async_client.get(KEY)
    operation.add_done_callback(lambda _: None)
    await operation
    await asyncio.sleep(0)
    known = weakref.ref(operation)
    gc.disable()
    try:
        del operation
        assert known() is None
    finally:
        gc.enable()


async def test_a_cycle_through_a_callback_is_collected(async_client: AsyncClient) -> None:
    class Holder:
        operation: object

        def finished(self, _: object) -> None:
            pass

    holder = Holder()
    operation = async_client.exists(KEY)
    holder.operation = operation
    operation.add_done_callback(holder.finished)
    await operation
    known = weakref.ref(operation), weakref.ref(holder)
    del operation, holder
    await asyncio.sleep(0)
    gc.collect()
    assert [reference() for reference in known] == [None, None]


async def test_a_cycle_through_a_result_is_collected(async_client: AsyncClient) -> None:
    await async_client.put(KEY, {"a": 1})
    operation = async_client.get(KEY)
    record = await operation
    record.bins["operation"] = operation
    known = weakref.ref(operation)
    del operation, record
    await asyncio.sleep(0)
    gc.collect()
    assert known() is None


async def test_a_failed_operation_is_collected(async_client: AsyncClient) -> None:
    known: list[weakref.ref[object]] = []

    async def fail() -> None:
        operation = async_client.get(ABSENT)
        known.append(weakref.ref(operation))
        with pytest.raises(RecordNotFound):
            await operation

    await fail()
    await asyncio.sleep(0)
    gc.collect()
    assert known[0]() is None


async def test_a_cancelled_operation_is_collected(async_client: AsyncClient, server: EmbeddedServer) -> None:
    with server.fault("stall", command="read"):
        operation = async_client.get(KEY, PATIENT)
        operation.add_done_callback(lambda _, own=operation: own)
        operation.cancel()
        known = weakref.ref(operation)
        del operation
        await asyncio.sleep(0)
        gc.collect()
        assert known() is None


async def test_the_collector_spares_tasks_that_wait(async_client: AsyncClient, server: EmbeddedServer) -> None:
    """Only the operation in flight leads to the task: the loop keeps weak references to its tasks."""
    await async_client.put(KEY, {"a": 1})
    seen: list[dict[str, Any]] = []

    async def read() -> None:
        seen.append((await async_client.get(KEY, PATIENT)).bins)

    with server.fault("delay=200ms", command="read"):
        asyncio.get_running_loop().create_task(read())
        for _ in range(40):
            await asyncio.sleep(0.02)
            gc.collect()
    assert seen == [{"a": 1}]


async def test_closing_it_like_a_coroutine_cancels(async_client: AsyncClient, server: EmbeddedServer) -> None:
    with server.fault("stall", command="read"):
        operation = async_client.get(KEY, PATIENT)
        operation.close()
        assert operation.cancelled()


async def test_what_is_thrown_in_comes_out(async_client: AsyncClient) -> None:
    operation = async_client.exists(KEY)
    with pytest.raises(ZeroDivisionError, match="given"):
        operation.throw(ZeroDivisionError("given"))
    assert (await operation).meta is None


async def test_made_where_no_loop_runs_it_starts_when_it_is_awaited(
    async_client: AsyncClient, server: EmbeddedServer
) -> None:
    operation = await asyncio.to_thread(async_client.put, KEY, {"a": 1})
    unused = await asyncio.to_thread(async_client.put, ("test", "awaitable", "unused"), {"a": 1})
    assert not asyncio.isfuture(operation)
    assert asyncio.iscoroutine(operation)
    assert server.record_count("test", "awaitable") == 0
    assert await asyncio.wait_for(operation, 10) is None
    assert asyncio.isfuture(operation)
    assert server.record_count("test", "awaitable") == 1
    unused.close()
