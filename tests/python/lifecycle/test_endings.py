"""Whatever ends a process while operations are in flight that never end by themselves: it ends at once, as it should.

How an interpreter ends that has nothing more to do is in ``test_exit.py``.
"""

from __future__ import annotations

import signal
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from scripted import finish

if TYPE_CHECKING:
    from aerospike_py.testing import EmbeddedServer
    from scripted import ScriptRunner

# The calls below have no time-out and the server never answers: what has not ended by then never will.
HANGS_SECONDS = 30
RECORDED = {"AEROSPIKE_PY_INTERNAL_METRICS": "1"}


@dataclass(frozen=True)
class Ending:
    """What ends the process, and how that looks from outside."""

    source: str
    returncode: int
    last_line: str = ""


def by_signal(name: str) -> str:
    return f"threading.Timer(0.3, os.kill, (os.getpid(), signal.{name})).start()"


ENDINGS = {
    "os._exit": Ending("os._exit(3)", 3),
    "sys.exit": Ending("sys.exit(3)", 3),
    "an exception": Ending("raise ValueError('for no reason')", 1, "ValueError: for no reason"),
    "SIGTERM": Ending(by_signal("SIGTERM"), -signal.SIGTERM),
    "SIGTERM with a handler that exits": Ending(
        f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); {by_signal('SIGTERM')}", 3
    ),
    "SIGINT": Ending(by_signal("SIGINT"), -signal.SIGINT, "KeyboardInterrupt"),
    "SIGKILL": Ending(by_signal("SIGKILL"), -signal.SIGKILL),
}

# ENDING is where the process ends, or learns that it will.
IN_FLIGHT = {
    "calls of the main thread": """
        client = aerospike_py.client(CONFIG).connect()
        ENDING
        client.get(KEY, FOR_EVER)
    """,
    "a batch of the main thread": """
        client = aerospike_py.client(CONFIG).connect()
        ENDING
        client.batch_read([KEY] * 50, policy=FOR_EVER)
    """,
    "calls of daemon threads": """
        client = aerospike_py.client(CONFIG).connect()
        for _ in range(4):
            threading.Thread(target=client.get, args=(KEY, FOR_EVER), daemon=True).start()
            threading.Thread(target=client.batch_read, args=([KEY] * 50, None, FOR_EVER), daemon=True).start()
        time.sleep(0.2)
        ENDING
        time.sleep(60)
    """,
    "tasks of a running loop": """
        async def main():
            client = await aerospike_py.async_client(CONFIG).connect()
            tasks = [asyncio.ensure_future(client.get(KEY, FOR_EVER)) for _ in range(5)]
            tasks += [asyncio.ensure_future(client.batch_read([KEY] * 50, policy=FOR_EVER)) for _ in range(5)]
            await asyncio.sleep(0.1)
            ENDING
            await client.get(KEY, FOR_EVER)

        asyncio.run(main())
    """,
    "operations of a loop that is never finished": """
        async def begin():
            client = await aerospike_py.async_client(CONFIG).connect()
            kept.extend(client.get(KEY, FOR_EVER) for _ in range(5))
            kept.extend(client.batch_read([KEY] * 50, policy=FOR_EVER) for _ in range(5))

        kept = []
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        ENDING
        time.sleep(60)
    """,
    "tasks of a loop in a daemon thread": """
        async def main():
            client = await aerospike_py.async_client(CONFIG).connect()
            await asyncio.gather(*(client.get(KEY, FOR_EVER) for _ in range(5)))

        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        time.sleep(0.5)
        ENDING
        time.sleep(60)
    """,
    "operations of a pool of loops": """
        async def main():
            async with aerospike_py.AsyncPool(CONFIG, threads=2) as pool:
                tasks = [asyncio.ensure_future(pool.get(KEY, FOR_EVER)) for _ in range(5)]
                await asyncio.sleep(0.1)
                ENDING
                await asyncio.gather(*tasks)

        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("in_flight", IN_FLIGHT)
def test_the_process_ends_at_once(script: ScriptRunner, server: EmbeddedServer, in_flight: str) -> None:
    source = textwrap.dedent(IN_FLIGHT[in_flight])
    with server.fault("stall", command="read"), server.fault("stall", command="batch_read"):
        running = {
            name: script.start("import signal\n" + source.replace("ENDING", ending.source), **RECORDED)
            for name, ending in ENDINGS.items()
        }
        for name, process in running.items():
            finished, expected = finish(process, HANGS_SECONDS), ENDINGS[name]
            assert (finished.returncode, finished.stdout) == (expected.returncode, ""), (name, finished)
            assert finished.stderr.rstrip().rpartition("\n")[2] == expected.last_line, (name, finished)


def test_a_second_interrupt_ends_the_wait_for_threads(script: ScriptRunner, server: EmbeddedServer) -> None:
    """Python waits for threads that are no daemons, here for ever; Ctrl-C ends that wait, too."""
    with server.fault("stall", command="read"):
        finished = script.run(
            """
            import signal

            def interrupt():
                for _ in range(40):
                    time.sleep(0.25)
                    os.kill(os.getpid(), signal.SIGINT)

            client = aerospike_py.client(CONFIG).connect()
            threading.Thread(target=interrupt, daemon=True).start()
            threading.Thread(target=client.get, args=(KEY, FOR_EVER)).start()
            client.get(KEY, FOR_EVER)
            """,
            timeout=HANGS_SECONDS,
            **RECORDED,
        )
    assert finished.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in finished.stderr
