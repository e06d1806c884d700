"""Ctrl-C: a waiting call ends at once with KeyboardInterrupt, and the client goes on."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from scripted import finish, wait_for_line

if TYPE_CHECKING:
    from aerospike_py.testing import EmbeddedServer
    from scripted import ScriptRunner

# Generous for a busy machine; far below the time-outs of the calls that are interrupted.
PROMPT_SECONDS = 5

CALLS = {
    "get": "client.get(KEY, PATIENT)",
    "get without a time-out": "client.get(KEY, FOR_EVER)",
    "put": "client.put(KEY, {'a': 2}, policy=PATIENT)",
    "batch_read": "client.batch_read([KEY] * 100, policy=PATIENT)",
    "batch_read without a time-out": "client.batch_read([KEY] * 100, policy=FOR_EVER)",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_waiting_call_is_interrupted(script: ScriptRunner, server: EmbeddedServer, name: str) -> None:
    process = script.start(
        f"""
        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {{"a": 1}})
        print("connected")
        time.sleep(0.5)
        print("calling")
        try:
            {CALLS[name]}
        except KeyboardInterrupt:
            print("interrupted")
        assert client.get(KEY).bins["a"] in (1, 2)
        client.close()
        print("closed")
        """
    )
    wait_for_line(process, "connected")
    with server.fault("stall"):
        wait_for_line(process, "calling")
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        wait_for_line(process, "interrupted")
        assert time.monotonic() - began < PROMPT_SECONDS
    assert finish(process).lines() == ["closed"]


def test_an_uncaught_interrupt_ends_the_process(script: ScriptRunner, server: EmbeddedServer) -> None:
    process = script.start(
        """
        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})
        print("connected")
        time.sleep(0.5)
        client.get(KEY, FOR_EVER)
        """
    )
    wait_for_line(process, "connected")
    with server.fault("stall", command="read"):
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        finished = finish(process)
    assert finished.returncode == -signal.SIGINT
    assert finished.stderr.rstrip().endswith("KeyboardInterrupt")


def test_connecting_is_interrupted(script: ScriptRunner, server: EmbeddedServer) -> None:
    with server.fault("stall", command="info"):
        process = script.start(
            """
            client = aerospike_py.client({**CONFIG, "timeout": 60_000})
            print("connecting")
            try:
                client.connect()
            except KeyboardInterrupt:
                print("interrupted")
            """
        )
        wait_for_line(process, "connecting")
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        wait_for_line(process, "interrupted")
        assert time.monotonic() - began < PROMPT_SECONDS
        assert finish(process).lines() == []


def test_a_signal_handler_may_use_the_client(script: ScriptRunner, server: EmbeddedServer) -> None:
    """The handler runs inside the waiting call; neither call may take the other's wake-up."""
    process = script.start(
        """
        import signal

        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})

        def handler(signum, frame):
            for _ in range(40):
                client.put(("test", "scripts", "handler"), {"a": 2})
                time.sleep(0.01)

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        print("calling")
        assert client.get(KEY, FOR_EVER).bins == {"a": 1}
        client.close()
        print("closed")
        """
    )
    with server.fault("delay=300ms", command="read"):
        wait_for_line(process, "calling")
        assert finish(process, timeout=20).lines() == ["closed"]


def test_an_exception_of_a_signal_handler_ends_the_call(script: ScriptRunner, server: EmbeddedServer) -> None:
    with server.fault("stall", command="read"):
        finished = script.run(
            """
            import signal

            class Alarm(Exception):
                pass

            def handler(signum, frame):
                raise Alarm

            client = aerospike_py.client(CONFIG).connect()
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                client.get(KEY, FOR_EVER)
            except Alarm:
                print("alarm")
            client.put(KEY, {"a": 1})
            client.close()
            """
        )
    assert finished.lines() == ["alarm"]


def test_interrupting_asyncio(script: ScriptRunner, server: EmbeddedServer) -> None:
    process = script.start(
        """
        async def main():
            async with await aerospike_py.async_client(CONFIG).connect() as client:
                await client.put(KEY, {"a": 1})
                print("waiting")
                try:
                    await client.get(KEY, FOR_EVER)
                except asyncio.CancelledError:
                    await client.put(KEY, {"a": 2})
                    print("cancelled")
                    raise

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    with server.fault("stall", command="read"):
        wait_for_line(process, "waiting")
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        wait_for_line(process, "cancelled")
        assert time.monotonic() - began < PROMPT_SECONDS
        assert finish(process).lines() == ["interrupted"]


def test_interrupts_do_not_lose_operations_of_other_threads(script: ScriptRunner, server: EmbeddedServer) -> None:
    process = script.start(
        """
        import signal

        # A handler that does not raise: where the main thread is when a signal comes is not what this is about.
        interrupts = []
        signal.signal(signal.SIGINT, lambda *_: interrupts.append(1))
        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})
        done = []

        def work():
            for _ in range(5):
                done.append(client.get(KEY, PATIENT).bins["a"])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        print("waiting")
        deadline = time.monotonic() + 20
        while len(done) < 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        print(sum(done), len(interrupts) > 0)
        client.close()
        """
    )
    with server.fault("delay=100ms", command="read"):
        wait_for_line(process, "waiting")
        for _ in range(5):
            time.sleep(0.05)
            process.send_signal(signal.SIGINT)
        assert finish(process).lines() == ["20 True"]
