"""How an interpreter ends while clients are open and operations in flight: with its own code, silently, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
    "stages that are recorded": """
        aerospike_py.set_internal_stage_metrics_enabled(True)
        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})
        aerospike_py.get_metrics()
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_exit_is_clean(script: ScriptRunner, server: EmbeddedServer, name: str) -> None:
    with server.fault("stall", command="read"):
        assert script.run(SCRIPTS[name], timeout=20).lines() == []


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
