"""Several loops behind one face: results, failures, cancellation and closing across threads."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest
from aerospike_py import AsyncPool
from aerospike_py.exception import AerospikeError, ClientError, RecordNotFound
from scripted import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aerospike_py import AsyncClient
    from aerospike_py.testing import EmbeddedServer
    from scripted import ScriptRunner

ABSENT = ("test", "pool", "absent")
PATIENT = {"total_timeout": 20_000, "socket_timeout": 20_000, "max_retries": 0}
THREADS = 3


def key(number: object) -> tuple[str, str, str]:
    return ("test", "pool", str(number))


def pool_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("aerospike-py-pool")]


@pytest.fixture
async def pool(server: EmbeddedServer) -> AsyncIterator[AsyncPool]:
    async with AsyncPool(server.config(), threads=THREADS) as opened:
        yield opened
    assert pool_threads() == []


class Gate:
    """Functions wait in it, on any loop, until the test opens it."""

    def __init__(self, expected: int) -> None:
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()
        self.expected = expected

    async def pass_through(self, _client: AsyncClient | None = None) -> str:
        self.arrived.release()
        while not self.open.is_set():  # noqa: ASYNC110 - it is opened by another thread
            await asyncio.sleep(0.001)
        return threading.current_thread().name

    async def wait_until_all_have_arrived(self) -> None:
        for _ in range(self.expected):
            assert await asyncio.to_thread(self.arrived.acquire, timeout=20)


async def test_the_methods_are_those_of_the_client(pool: AsyncPool) -> None:
    await pool.put(key(1), {"n": 1})
    await pool.increment(key(1), "n", 2)
    assert (await pool.get(key(1))).bins == {"n": 3}
    assert (await pool.select(key(1), bins=["n"])).bins == {"n": 3}
    assert (await pool.batch_read([key(1), ABSENT])).to_dict() == {"1": {"n": 3}}
    assert await pool.ping()
    await pool.remove(key=key(1))
    with pytest.raises(RecordNotFound):
        await pool.get(key(1))
    with pytest.raises(TypeError, match="bins must be a dict"):
        await pool.put(key(1), 5)  # type: ignore[arg-type]


def test_every_operation_of_the_client_is_a_method_of_the_pool() -> None:
    public = {name for name in vars(aerospike_py.AsyncClient) if not name.startswith("_")}
    elsewhere = {"connect", "is_connected", "get_node_names"}
    assert public - elsewhere <= set(vars(AsyncPool))
    for name in sorted(public - elsewhere - {"close"}):
        method = getattr(AsyncPool, name)
        assert inspect.iscoroutinefunction(method)
        assert str(inspect.signature(method)) == str(inspect.signature(getattr(aerospike_py.AsyncClient, name)))
        assert f"AsyncClient.{name}" in (method.__doc__ or "")


async def test_functions_run_on_different_loops_at_the_same_time(pool: AsyncPool) -> None:
    gate = Gate(2 * THREADS)
    running = [asyncio.create_task(pool.run(gate.pass_through)) for _ in range(2 * THREADS)]
    await gate.wait_until_all_have_arrived()
    gate.open.set()
    names = await asyncio.gather(*running)
    # Spread by least in flight: each loop has two.
    assert sorted(names) == sorted(2 * [f"aerospike-py-pool-{number}" for number in range(THREADS)])


async def test_results_arguments_and_exceptions_come_across(pool: AsyncPool) -> None:
    async def echo(client: AsyncClient, *args: object, **kwargs: object) -> object:
        assert client.is_connected()
        assert asyncio.get_running_loop() is not home
        return args, kwargs

    async def fail(_client: AsyncClient, error: BaseException) -> None:
        raise error

    home = asyncio.get_running_loop()
    assert await pool.run(echo, 1, "b", named=3) == ((1, "b"), {"named": 3})
    for error in (KeyError("k"), SystemExit(3), KeyboardInterrupt(), ExceptionGroup("several", [ValueError()])):
        with pytest.raises(type(error)) as caught:
            await pool.run(fail, error)
        assert caught.value is error
    with pytest.raises(TypeError):
        await pool.run(lambda: None)  # type: ignore[call-arg, arg-type, return-value]
    # The loops have survived all of that.
    gate = Gate(THREADS)
    running = [asyncio.create_task(pool.run(gate.pass_through)) for _ in range(THREADS)]
    await gate.wait_until_all_have_arrived()
    gate.open.set()
    assert len(set(await asyncio.gather(*running))) == THREADS


async def test_context_variables_are_carried_and_not_brought_back(pool: AsyncPool) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def read_and_set(_client: AsyncClient) -> str:
        seen = variable.get()
        await asyncio.sleep(0)
        variable.set("changed over there")
        return seen

    for value in ("first", "second"):
        variable.set(value)
        assert await pool.run(read_and_set) == value
        assert variable.get() == value


async def test_cancelling_reaches_the_function_and_waits_for_its_end(pool: AsyncPool) -> None:
    gate = Gate(1)
    cleaned_up = threading.Event()

    async def work(client: AsyncClient) -> None:
        try:
            await gate.pass_through(client)
        finally:
            await asyncio.sleep(0.01)
            cleaned_up.set()

    task = asyncio.create_task(pool.run(work))
    await gate.wait_until_all_have_arrived()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned_up.is_set()


async def test_a_function_may_refuse_to_be_cancelled(pool: AsyncPool) -> None:
    gate = Gate(1)

    async def stubborn(client: AsyncClient) -> str:
        try:
            return await gate.pass_through(client)
        except asyncio.CancelledError:
            return "went on"

    task = asyncio.create_task(pool.run(stubborn))
    await gate.wait_until_all_have_arrived()
    task.cancel()
    assert await task == "went on"


async def test_timeouts_work_across_threads(pool: AsyncPool, server: EmbeddedServer) -> None:
    await pool.put(key(0), {"n": 0})
    with server.fault("stall", command="read"):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(pool.get(key(0), PATIENT), 0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await pool.get(key(0), PATIENT)
    assert (await pool.get(key(0))).bins == {"n": 0}


async def test_cancelling_before_the_function_has_begun(pool: AsyncPool) -> None:
    begun: list[int] = []

    async def work(_client: AsyncClient) -> None:
        begun.append(1)
        await asyncio.sleep(20)

    tasks = [asyncio.create_task(pool.run(work)) for _ in range(100)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def test_map_keeps_the_order_and_uses_all_loops(pool: AsyncPool) -> None:
    threads = set()
    gate = Gate(THREADS)

    async def work(client: AsyncClient, number: int) -> int:
        threads.add(threading.current_thread().name)
        if number < THREADS:
            await gate.pass_through()
        await client.put(key(number), {"n": number})
        return number * 2

    mapping = asyncio.create_task(pool.map(work, range(500), concurrency=1))
    await gate.wait_until_all_have_arrived()
    gate.open.set()
    assert await mapping == [number * 2 for number in range(500)]
    assert len(threads) == THREADS
    assert await pool.map(work, []) == []


async def test_map_stops_at_the_first_failure(pool: AsyncPool) -> None:
    cancelled: list[int] = []
    waiting = threading.Semaphore(0)

    async def work(_client: AsyncClient, number: int) -> None:
        if number == 5:
            assert await asyncio.to_thread(waiting.acquire, timeout=20)
            raise ZeroDivisionError
        waiting.release()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(pool.map(work, range(10_000), concurrency=4), 30)
    assert cancelled
    assert await pool.ping()

    def items() -> Any:
        yield 5
        raise LookupError("no more")

    async def nothing(_client: AsyncClient, number: int) -> int:
        return number

    with pytest.raises(LookupError, match="no more"):
        await pool.map(nothing, items())
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        await pool.map(nothing, [1], concurrency=0)


async def test_functions_may_use_the_pool_themselves(pool: AsyncPool) -> None:
    async def inner(_client: AsyncClient, depth: int) -> int:
        return depth if depth == 0 else 1 + await pool.run(inner, depth - 1)

    assert await pool.run(inner, 7) == 7


def test_several_loops_use_one_pool(server: EmbeddedServer) -> None:
    async def scenario() -> None:
        async with AsyncPool(server.config(), threads=2) as pool:
            await pool.put(key(0), {"n": 0})

            def elsewhere() -> list[Any]:
                async def reads() -> list[Any]:
                    return await asyncio.gather(*(pool.get(key(0)) for _ in range(200)))

                return asyncio.run(reads())

            results = await asyncio.gather(*(asyncio.to_thread(elsewhere) for _ in range(3)))
            assert [record.bins for records in results for record in records] == 600 * [{"n": 0}]

    asyncio.run(scenario())


async def test_leaving_waits_for_work_in_flight(server: EmbeddedServer) -> None:
    gate = Gate(THREADS)
    async with AsyncPool(server.config(), threads=THREADS) as pool:
        running = [asyncio.create_task(pool.run(gate.pass_through)) for _ in range(THREADS)]
        await gate.wait_until_all_have_arrived()
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0.02)
        assert not closing.done()
        with pytest.raises(ClientError, match="this pool is closed"):
            await pool.ping()
        gate.open.set()
        await closing
    assert len(await asyncio.gather(*running)) == THREADS
    assert pool_threads() == []
    await pool.close()


async def test_leaving_by_an_exception_cancels_work_in_flight(server: EmbeddedServer) -> None:
    gate = Gate(1)
    running: list[asyncio.Task[str]] = []

    async def fail() -> None:
        async with AsyncPool(server.config(), threads=2) as pool:
            running.append(asyncio.create_task(pool.run(gate.pass_through)))
            await gate.wait_until_all_have_arrived()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    with pytest.raises(asyncio.CancelledError):
        await running[0]
    assert pool_threads() == []


async def test_cancelling_close_cancels_work_in_flight(server: EmbeddedServer) -> None:
    gate = Gate(1)
    pool = await AsyncPool(server.config(), threads=2).open()
    running = asyncio.create_task(pool.run(gate.pass_through))
    await gate.wait_until_all_have_arrived()
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0.02)
    closing.cancel()
    await asyncio.wait([closing, running], timeout=20)
    assert running.cancelled()
    assert closing.done()
    assert eventually(lambda: pool_threads() == [])


async def test_a_client_that_cannot_connect_is_reported(server: EmbeddedServer) -> None:
    nobody = {"hosts": [("127.0.0.1", 1)], "timeout": 500}
    with pytest.raises(AerospikeError):
        async with AsyncPool(nobody, threads=3):
            pytest.fail("it cannot be opened")
    assert pool_threads() == []
    with pytest.raises(TypeError):
        await AsyncPool({"hosts": 5}, threads=2).open()  # type: ignore[typeddict-item]
    assert pool_threads() == []

    turns = iter([True, False, False])

    def failing_factory() -> asyncio.AbstractEventLoop:
        if next(turns):
            raise OSError("no more descriptors")
        return asyncio.new_event_loop()

    with pytest.raises(OSError, match="no more descriptors"):
        await AsyncPool(server.config(), threads=3, loop_factory=failing_factory).open()
    assert eventually(lambda: pool_threads() == [])


async def test_wrong_use_is_refused(server: EmbeddedServer) -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        AsyncPool(server.config(), threads=0)
    pool = AsyncPool(server.config(), threads=1)
    with pytest.raises(ClientError, match="this pool is new, not open"):
        await pool.get(ABSENT)
    async with pool:
        with pytest.raises(ClientError, match="opened before"):
            await pool.open()
    assert AsyncPool(server.config()).threads == os.cpu_count()


async def test_cancelling_while_the_pool_opens(apart: EmbeddedServer) -> None:
    with apart.fault("delay=400ms", command="info"):
        opening = asyncio.create_task(AsyncPool(apart.config(), threads=2).open())
        await asyncio.sleep(0.05)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(opening, 20)
    assert eventually(lambda: pool_threads() == [])


async def test_a_pool_that_is_left_alone_ends_its_threads(server: EmbeddedServer) -> None:
    pool = await AsyncPool(server.config(), threads=2).open()
    await pool.put(key(0), {"n": 0})
    known = weakref.ref(pool)
    del pool
    await asyncio.sleep(0)
    gc.collect()
    assert known() is None
    assert eventually(lambda: pool_threads() == [])


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
async def test_other_kinds_of_loops(server: EmbeddedServer) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop

    async def kind(client: AsyncClient) -> str:
        await client.put(key(0), {"n": 0})
        return type(asyncio.get_running_loop()).__module__

    async with AsyncPool(server.config(), threads=2, loop_factory=factory) as pool:
        assert await pool.run(kind) == "uvloop"
        assert len(await asyncio.gather(*(pool.get(key(0)) for _ in range(300)))) == 300


def test_the_gil_stays_off(script: ScriptRunner) -> None:
    finished = script.run("""
        async def work(client, number):
            await client.put(("test", "scripts", number), {"n": number})
            return (await client.get(("test", "scripts", number))).bins["n"]

        async def main():
            async with aerospike_py.AsyncPool(CONFIG, threads=4) as pool:
                assert await pool.map(work, range(400)) == list(range(400))
                assert await pool.run(work, 7) == 7

        before = getattr(sys, "_is_gil_enabled", lambda: True)()
        asyncio.run(main())
        print(before == getattr(sys, "_is_gil_enabled", lambda: True)())
        """)
    assert finished.lines() == ["True"]


@pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)", "pass"])
def test_an_open_pool_does_not_keep_the_interpreter(script: ScriptRunner, ending: str) -> None:
    finished = script.run(f"""
        async def busy(client):
            while True:
                await client.put(KEY, {{"n": 1}})

        async def main():
            global pool, task
            pool = await aerospike_py.AsyncPool(CONFIG, threads=2).open()
            task = asyncio.create_task(pool.run(busy))
            await asyncio.sleep(0.05)
            print("open", flush=True)
            {ending if ending == "os._exit(0)" else "pass"}

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        task.cancel()
        task._log_destroy_pending = False
        {ending}
        """)
    assert (finished.returncode, finished.stdout) == (0, "open\n"), finished


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_child_of_a_fork_is_refused_and_ends(script: ScriptRunner) -> None:
    finished = script.run(
        """
        import warnings
        warnings.simplefilter("ignore")

        async def main():
            async with aerospike_py.AsyncPool(CONFIG, threads=2) as pool:
                await pool.put(KEY, {"n": 1})
                child = os.fork()
                if child == 0:
                    try:
                        asyncio.events._set_running_loop(None)
                        asyncio.run(in_child(pool))
                    finally:
                        os._exit(1)
                _, status = os.waitpid(child, 0)
                assert os.waitstatus_to_exitcode(status) == 7, status
                assert (await pool.get(KEY)).bins == {"n": 1}

        async def in_child(pool):
            try:
                await pool.get(KEY)
            except aerospike_py.ClientError as error:
                assert "forked" in str(error)
            await pool.close()
            async with aerospike_py.AsyncPool(CONFIG, threads=2) as own:
                assert (await own.get(KEY)).bins == {"n": 1}
            os._exit(7)

        asyncio.run(main())
        print("well")
        """
    )
    assert finished.lines() == ["well"]
