"""How an interpreter ends while clients are open and operations in flight: with its own code, silently, at once."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest
from scripted import finish

if TYPE_CHECKING:
    from aerospike_py.testing import EmbeddedServer
    from scripted import ScriptRunner

SCRIPTS = {
    "a client that was never closed": """
        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})
    """,
    "a client in a reference cycle": """
        class Holder:
            pass

        holder = Holder()
        holder.own = holder
        holder.client = aerospike_py.client(CONFIG).connect()
        holder.client.put(KEY, {"a": 1})
    """,
    "an asynchronous client that was never closed": """
        async def main():
            global client
            client = await aerospike_py.async_client(CONFIG).connect()
            await client.put(KEY, {"a": 1})

        asyncio.run(main())
    """,
    "operations in flight that nobody awaits": """
        async def main():
            client = await aerospike_py.async_client(CONFIG).connect()
            for _ in range(20):
                client.get(KEY, PATIENT)
                client.put(KEY, {"a": 1})

        asyncio.run(main())
    """,
    "operations in flight that are kept": """
        kept = []

        async def main():
            client = await aerospike_py.async_client(CONFIG).connect()
            for _ in range(20):
                kept.append(client.get(KEY, PATIENT))
                kept[-1].add_done_callback(print)

        asyncio.run(main())
    """,
    "tasks that wait": """
        async def read(client):
            await client.get(KEY, PATIENT)

        async def main():
            client = await aerospike_py.async_client(CONFIG).connect()
            tasks = [asyncio.create_task(read(client)) for _ in range(20)]
            await asyncio.sleep(0.1)

        asyncio.run(main())
    """,
    "a daemon thread inside a call": """
        client = aerospike_py.client(CONFIG).connect()

        def work():
            client.get(KEY, FOR_EVER)

        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.2)
    """,
    "daemon threads whose calls end while the interpreter does": """
        client = aerospike_py.client(CONFIG).connect()

        def work():
            while True:
                client.put(KEY, {"a": 1})

        for _ in range(8):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.2)
    """,
    "a daemon thread with a loop": """
        async def main():
            client = await aerospike_py.async_client(CONFIG).connect()
            while True:
                await asyncio.gather(*(client.put(("test", "exit", n), {"n": n}) for n in range(20)))

        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        time.sleep(0.5)
    """,
    "a client that is closed at exit": """
        import atexit

        client = aerospike_py.client(CONFIG).connect()
        atexit.register(client.close)
        atexit.register(client.put, KEY, {"a": 1})
    """,
    "a client that connects at exit": """
        import atexit

        def late():
            with aerospike_py.client(CONFIG).connect() as client:
                client.put(KEY, {"a": 1})

        atexit.register(late)
    """,
    "a client in a finalizer of a module's end": """
        class Last:
            def __init__(self):
                self.client = aerospike_py.client(CONFIG).connect()

            def __del__(self):
                self.client.put(KEY, {"a": 1})
                self.client.close()

        last = Last()
    """,
    "threads that are joined at exit": """
        client = aerospike_py.client(CONFIG).connect()

        def work():
            for _ in range(50):
                client.put(KEY, {"a": 1})

        for _ in range(4):
            threading.Thread(target=work).start()
    """,
    "a client that module globals, a cycle and a thread share": """
        class Holder:
            def __init__(self, client):
                self.client, self.own = client, self

            def __del__(self):
                self.client.put(KEY, {"a": 1})
                self.client.batch_write([(KEY, {"a": 1})])

        client = aerospike_py.client(CONFIG).connect()
        holders = [Holder(client) for _ in range(3)]
        local = threading.local()
        local.client = client
        threading.Thread(target=lambda kept: time.sleep(60), args=(Holder(client),), daemon=True).start()
        sys.modules["kept"] = client
    """,
    "an asynchronous client in a finalizer of a module's end": """
        class Last:
            def __init__(self):
                self.client = asyncio.run(self.connected())

            async def connected(self):
                return await aerospike_py.async_client(CONFIG).connect()

            async def use(self):
                await self.client.put(KEY, {"a": 1})
                await self.client.close()

            def __del__(self, run=asyncio.run):
                run(self.use())

        last = Last()
    """,
    "a loop that is used at exit": """
        import atexit

        async def use():
            async with await aerospike_py.async_client(CONFIG).connect() as client:
                await client.put(KEY, {"a": 1})
                await client.batch_write([(KEY, {"a": 1})])

        atexit.register(lambda: asyncio.run(use()))
    """,
    "clients of pools of threads": """
        from concurrent.futures import ThreadPoolExecutor

        client = aerospike_py.client(CONFIG).connect()
        executor = ThreadPoolExecutor(4)
        for number in range(100):
            executor.submit(client.put, ("test", "exit", number), {"n": number})
    """,
    "stages that are recorded": """
        aerospike_py.set_internal_stage_metrics_enabled(True)
        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})
        aerospike_py.get_metrics()
    """,
}


# Development mode checks memory and shows what was left open; a warning then is a line that fails the test.
DEVELOPMENT = ("-X", "dev", "-W", "error")
RECORDED = {"AEROSPIKE_PY_INTERNAL_METRICS": "1"}
# In that mode asyncio warns of steps that take a tenth of a second, which a busy machine is enough for.
PATIENT_LOOPS = 'import logging\nlogging.getLogger("asyncio").setLevel(logging.ERROR)\n'


@pytest.mark.parametrize("name", SCRIPTS)
def test_exit_is_clean(script: ScriptRunner, server: EmbeddedServer, name: str) -> None:
    with server.fault("stall", command="read"):
        usual = script.start(SCRIPTS[name])
        recorded = script.start(PATIENT_LOOPS + textwrap.dedent(SCRIPTS[name]), options=DEVELOPMENT, **RECORDED)
        assert finish(usual, timeout=20).lines() == []
        assert finish(recorded, timeout=20).lines() == []


@pytest.mark.parametrize("call", ["client.get(KEY)", "client.batch_read([KEY] * 20)", "client.put(KEY, {'a': 1})"])
def test_results_arrive_while_the_interpreter_ends(script: ScriptRunner, server: EmbeddedServer, call: str) -> None:
    """Replies come in at every moment of the end: from before it begins until the process is gone."""
    source = f"""
        async def begin():
            client = await aerospike_py.async_client(CONFIG).connect()
            for _ in range(200):
                kept.append({call})
                kept[-1].add_done_callback(kept.append)

        kept = []
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
    """
    with server.fault("delay=0ms..150ms"):
        running = [script.start(source, options=("-X", "faulthandler"), **RECORDED) for _ in range(6)]
        for process in running:
            assert finish(process, timeout=20).lines() == []


def test_sys_exit_in_a_callback(script: ScriptRunner) -> None:
    finished = script.run(
        """
        async def main():
            client = await aerospike_py.async_client(CONFIG).connect()
            client.exists(KEY).add_done_callback(lambda _: sys.exit(3))
            await asyncio.sleep(20)

        asyncio.run(main())
        """,
        timeout=15,
    )
    assert (finished.returncode, finished.stderr) == (3, "")


def test_sys_exit_in_a_thread_that_calls(script: ScriptRunner, server: EmbeddedServer) -> None:
    finished = script.run(
        """
        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})

        def work():
            client.get(KEY)
            sys.exit(5)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        sys.exit(4)
        """
    )
    assert (finished.returncode, finished.stderr) == (4, "")


def test_an_embedded_server_that_was_never_stopped(script: ScriptRunner) -> None:
    finished = script.run(
        """
        from aerospike_py.testing import EmbeddedServer

        server = EmbeddedServer(nodes=3)
        client = aerospike_py.client(server.config()).connect()
        client.put(KEY, {"a": 1})
        apart = EmbeddedServer(process=True)
        other = aerospike_py.client(apart.config()).connect()
        other.put(KEY, {"a": 1})
        """
    )
    assert finished.lines() == []


def test_a_server_that_disappears_does_not_hold_up_the_exit(script: ScriptRunner) -> None:
    finished = script.run(
        """
        from aerospike_py.testing import EmbeddedServer

        server = EmbeddedServer()
        client = aerospike_py.client(server.config()).connect()
        client.put(KEY, {"a": 1})
        server.stop()
        try:
            client.get(KEY, {"total_timeout": 300, "max_retries": 0})
        except aerospike_py.AerospikeError:
            print("failed")
        client.close()
        """
    )
    assert finished.lines() == ["failed"]
