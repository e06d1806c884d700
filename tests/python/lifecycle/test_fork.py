"""Forks after connecting: the child learns what to do, can make clients of its own, and neither side hangs."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest
from scripted import finish

if TYPE_CHECKING:
    from aerospike_py.testing import EmbeddedServer
    from scripted import ScriptRunner

# Python 3.12 and later warn about forks in a process with threads; these tests are about exactly that.
QUIET = ("-W", "ignore::DeprecationWarning")

HELPERS = """
def in_child(function):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return child

def wait(child):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert status == 0, status
            return
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the child hung")

def use_new_client():
    with aerospike_py.client(CONFIG).connect() as own:
        for number in range(20):
            own.put(("test", "fork", f"{os.getpid()}-{number}"), {"n": number})
            assert own.get(("test", "fork", f"{os.getpid()}-{number}")).bins == {"n": number}

async def use_new_async_client():
    async with await aerospike_py.async_client(CONFIG).connect() as own:
        await asyncio.gather(*(own.put(("test", "fork", f"a{os.getpid()}-{n}"), {"n": n}) for n in range(20)))
        records = await asyncio.gather(*(own.get(("test", "fork", f"a{os.getpid()}-{n}")) for n in range(20)))
        assert [record.bins["n"] for record in records] == list(range(20))
"""


def with_helpers(source: str) -> str:
    return HELPERS + textwrap.dedent(source)


def test_the_child_is_told_about_the_fork(script: ScriptRunner) -> None:
    finished = script.run(
        with_helpers(
            """
            client = aerospike_py.client(CONFIG).connect()
            client.put(KEY, {"a": 1})

            def child():
                for call in (lambda: client.get(KEY), lambda: client.put(KEY, {"a": 2}),
                             lambda: client.batch_read([KEY]), lambda: client.get_node_names()):
                    try:
                        call()
                    except ClientError as error:
                        assert "fork" in str(error), error
                    else:
                        raise AssertionError("no error")
                assert client.is_connected() is False
                assert client.ping() is False
                client.close()
                client.close()

            wait(in_child(child))
            assert client.get(KEY).bins == {"a": 1}
            wait(in_child(child))
            assert client.get(KEY).bins == {"a": 1}
            client.close()
            print("parent")
            """
        ),
        options=QUIET,
    )
    assert finished.lines() == ["parent"]


def test_the_child_of_an_asyncio_program_is_told_about_the_fork(script: ScriptRunner) -> None:
    finished = script.run(
        with_helpers(
            """
            client = aerospike_py.async_client(CONFIG)

            async def first():
                await client.connect()
                await client.put(KEY, {"a": 1})

            async def again():
                assert (await client.get(KEY)).bins == {"a": 1}
                await client.close()

            def child():
                async def use():
                    try:
                        await client.get(KEY)
                    except ClientError as error:
                        assert "fork" in str(error), error
                    else:
                        raise AssertionError("no error")
                    assert await client.ping() is False
                    await client.close()
                asyncio.run(use())
                asyncio.run(use_new_async_client())

            asyncio.run(first())
            wait(in_child(child))
            asyncio.run(again())
            print("parent")
            """
        ),
        options=QUIET,
    )
    assert finished.lines() == ["parent"]


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
def test_parent_and_children_work_side_by_side(script: ScriptRunner, kind: str) -> None:
    use = "use_new_client()" if kind == "sync" else "asyncio.run(use_new_async_client())"
    finished = script.run(
        with_helpers(
            f"""
            client = aerospike_py.client(CONFIG).connect()
            client.put(KEY, {{"a": 1}})
            children = [in_child(lambda: {use}) for _ in range(4)]
            for _ in range(50):
                assert client.get(KEY).bins == {{"a": 1}}
            {use}
            for child in children:
                wait(child)
            assert client.get(KEY).bins == {{"a": 1}}
            client.close()
            print("parent")
            """
        ),
        options=QUIET,
    )
    assert finished.lines() == ["parent"]


def test_the_same_client_object_connects_again_in_the_child(script: ScriptRunner) -> None:
    finished = script.run(
        with_helpers(
            """
            client = aerospike_py.client({**CONFIG, "max_concurrent_operations": 2}).connect()
            client.put(KEY, {"a": 1})

            def child():
                client.connect()
                for _ in range(10):
                    assert client.get(KEY).bins == {"a": 1}
                client.close()

            wait(in_child(child))
            assert client.get(KEY).bins == {"a": 1}
            client.close()
            print("parent")
            """
        ),
        options=QUIET,
    )
    assert finished.lines() == ["parent"]


def test_permits_of_threads_that_the_child_does_not_have(script: ScriptRunner) -> None:
    finished = script.run(
        with_helpers(
            """
            limited = {**CONFIG, "max_concurrent_operations": 1, "operation_queue_timeout_ms": 2000}
            client = aerospike_py.client(limited).connect()
            client.put(KEY, {"a": 1})
            stop = threading.Event()

            def work():
                while not stop.is_set():
                    client.get(KEY)

            thread = threading.Thread(target=work)
            thread.start()

            def child():
                client.connect()
                assert client.get(KEY).bins == {"a": 1}

            for _ in range(10):
                time.sleep(0.01)
                wait(in_child(child))
            stop.set()
            thread.join()
            client.close()
            print("parent")
            """
        ),
        options=QUIET,
    )
    assert finished.lines() == ["parent"]


def test_forks_while_threads_are_busy(script: ScriptRunner) -> None:
    """Threads connect, operate, end and read metrics: the child must not wait for a lock that one of them held."""
    finished = script.run(
        with_helpers(
            """
            aerospike_py.set_internal_stage_metrics_enabled(True)
            client = aerospike_py.client(CONFIG).connect()
            client.put(KEY, {"a": 1})
            stop = threading.Event()
            failures = []

            def repeat(function):
                def work():
                    try:
                        while not stop.is_set():
                            function()
                    except BaseException as error:
                        failures.append(repr(error))
                return threading.Thread(target=work)

            def short_lived():
                thread = threading.Thread(target=lambda: client.get(KEY))
                thread.start()
                thread.join()

            def connect():
                aerospike_py.client(CONFIG).connect().close()

            busy = [repeat(lambda: client.get(KEY)) for _ in range(3)]
            busy += [repeat(short_lived), repeat(connect), repeat(aerospike_py.get_metrics),
                     repeat(aerospike_py.stage_snapshot), repeat(lambda: asyncio.run(use_new_async_client()))]
            for thread in busy:
                thread.start()

            def child():
                use_new_client()
                aerospike_py.get_metrics()
                aerospike_py.stage_snapshot()
                short = threading.Thread(target=use_new_client)
                short.start()
                short.join()

            for _ in range(12):
                time.sleep(0.02)
                wait(in_child(child))
            stop.set()
            for thread in busy:
                thread.join()
            assert failures == [], failures
            assert client.get(KEY).bins == {"a": 1}
            client.close()
            print("parent")
            """
        ),
        options=QUIET,
        timeout=60,
    )
    assert finished.lines() == ["parent"]


def test_a_child_that_ends_the_ordinary_way(script: ScriptRunner) -> None:
    """The child runs its finalizers with the parent's clients, operations and servers in its memory."""
    finished = script.run(
        """
        from aerospike_py.testing import EmbeddedServer

        inner = EmbeddedServer()
        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})
        local = aerospike_py.client(inner.config()).connect()
        lazy = client.batch_read([KEY])
        loop = asyncio.new_event_loop()
        asynchronous = aerospike_py.async_client(CONFIG)

        async def begin():
            await asynchronous.connect()
            return [asynchronous.get(KEY) for _ in range(5)]

        operations = loop.run_until_complete(begin())
        child = os.fork()
        if child == 0:
            assert lazy.to_dict() == {"k": {"a": 1}}
            own = aerospike_py.client(CONFIG).connect()
            own.get(KEY)
            sys.exit(7)
        pid, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status
        assert client.get(KEY).bins == {"a": 1}

        async def end():
            for operation in operations:
                assert (await operation).bins == {"a": 1}
            await asynchronous.close()

        loop.run_until_complete(end())
        loop.close()
        local.put(KEY, {"a": 2})
        local.close()
        inner.stop()
        client.close()
        print("parent")
        """,
        options=QUIET,
    )
    assert finished.lines() == ["parent"]


@pytest.mark.parametrize("recorded", ["0", "1"])
def test_a_fork_inside_a_running_loop(script: ScriptRunner, server: EmbeddedServer, recorded: str) -> None:
    """The child gives up the parent's operations, which end well in the parent, and makes some of its own."""
    source = """
        import gc

        async def main():
            client = await aerospike_py.async_client(CONFIG).connect()
            await client.put(KEY, {"a": 1})
            operations = [client.get(KEY, PATIENT) for _ in range(5)]
            operations += [client.batch_read([KEY] * 20, policy=PATIENT) for _ in range(5)]
            operations += [client.put(KEY, {"a": 1}, policy=PATIENT)]
            await asyncio.sleep(0.1)
            for _ in range(3):
                child = os.fork()
                if child == 0:
                    code = 1
                    try:
                        given_up = [operation.cancel() for operation in operations[::2]]
                        operations.clear()
                        gc.collect()
                        own = threading.Thread(target=asyncio.run, args=(use_new_async_client(),))
                        own.start()
                        own.join()
                        code = 5 if all(given_up) else 6
                    finally:
                        os._exit(code)
                children.append(child)
            results = await asyncio.gather(*operations)
            assert results[0].bins == {"a": 1} and results[5].to_dict() == {"k": {"a": 1}}
            await client.close()

        children = []
        asyncio.run(main())
        for child in children:
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status))
    """
    with server.fault("delay=700ms"):
        finished = script.run(with_helpers(source), options=QUIET, AEROSPIKE_PY_INTERNAL_METRICS=recorded)
    assert finished.lines() == ["5"] * 3


def test_forks_while_the_first_client_connects(script: ScriptRunner) -> None:
    """Connecting for the first time chooses the clock and starts the runtime; a fork must not cut that in half."""
    source = with_helpers(
        """
        def child():
            use_new_client()

        connecting = threading.Thread(target=use_new_client)
        connecting.start()
        children = []
        while connecting.is_alive() and len(children) < 8:
            children.append(in_child(child))
        connecting.join()
        for each in children:
            wait(each)
        print("parent")
        """
    )
    running = [script.start(source, options=QUIET) for _ in range(3)]
    for process in running:
        assert finish(process).lines() == ["parent"]


def test_preloading_before_forking_workers(script: ScriptRunner) -> None:
    """What a preloading web server does: import and connect in the master, fork workers, replace those that end."""
    finished = script.run(
        with_helpers(
            """
            preloaded = aerospike_py.client(CONFIG).connect()
            preloaded.put(KEY, {"a": 1})

            def worker():
                try:
                    preloaded.get(KEY)
                except ClientError:
                    pass
                own = aerospike_py.client(CONFIG).connect()
                asyncio.run(use_new_async_client())
                for _ in range(20):
                    assert own.get(KEY).bins == {"a": 1}

            workers = [in_child(worker) for _ in range(3)]
            for _ in range(3):
                wait(workers.pop(0))
                workers.append(in_child(worker))
            for remaining in workers:
                wait(remaining)
            preloaded.close()
            print("master")
            """
        ),
        options=QUIET,
    )
    assert finished.lines() == ["master"]


@pytest.mark.parametrize("kind", ["fork", "spawn", "forkserver"])
def test_pools_of_processes(script: ScriptRunner, kind: str) -> None:
    finished = script.run(
        f"""
        import multiprocessing

        own = None

        def connect():
            global own
            own = aerospike_py.client(CONFIG).connect()

        def work(number):
            key = ("test", "pool", number)
            own.put(key, {{"n": number}})
            return own.get(key).bins["n"]

        if __name__ == "__main__":
            client = aerospike_py.client(CONFIG).connect()
            client.put(KEY, {{"a": 1}})
            context = multiprocessing.get_context("{kind}")
            with context.Pool(3, initializer=connect) as pool:
                assert pool.map(work, range(30)) == list(range(30))
                pool.close()
                pool.join()
            assert client.get(KEY).bins == {{"a": 1}}
            client.close()
            print("parent")
        """,
        options=QUIET,
        timeout=60,
    )
    assert finished.lines() == ["parent"]


def test_ctrl_c_reaches_a_child_that_another_thread_forked(script: ScriptRunner, server: EmbeddedServer) -> None:
    """The thread that forks is the main thread of the child, whatever it was in the parent."""
    source = """
        import signal

        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})

        def interrupted():
            own = aerospike_py.client(CONFIG).connect()
            timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            try:
                own.get(KEY, FOR_EVER)
            except KeyboardInterrupt:
                pass
            else:
                raise AssertionError("not interrupted")
            timer.join()

        def fork():
            client.put(KEY, {"a": 1})
            children.append(in_child(interrupted))

        children = []
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        wait(children[0])
        client.close()
        print("parent")
    """
    with server.fault("stall", command="read"):
        assert script.run(with_helpers(source), options=QUIET).lines() == ["parent"]


def test_subprocesses_are_no_forks(script: ScriptRunner) -> None:
    finished = script.run(
        """
        import subprocess

        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        subprocess.run([sys.executable, "-c", "pass"], check=True, preexec_fn=lambda: None)
        assert client.get(KEY).bins == {"a": 1}
        client.close()
        print("parent")
        """,
        options=QUIET,
    )
    assert finished.lines() == ["parent"]
