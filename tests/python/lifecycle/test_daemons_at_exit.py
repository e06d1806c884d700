"""Daemon threads that are in the middle of something, below frames of ours, when their interpreter is finalised.

Before 3.14 the interpreter ends such a thread as soon as it wants the GIL back. Each script but the busy one sees to
it that this happens at a place of its own: the thread gives the GIL away there, and the interpreter takes long to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scripted import finish

if TYPE_CHECKING:
    from aerospike_py.testing import EmbeddedServer
    from scripted import ScriptRunner

# The module's attribute is freed while the interpreter is finalised, long after the daemon has come back.
LONG_END = """
class Last:
    def __del__(self, sleep=time.sleep):
        sleep(0.6)

sys.last = Last()
inside = threading.Event()

def go_on():
    inside.set()
    time.sleep(0.3)

def run(main, loop=asyncio.SelectorEventLoop):
    threading.Thread(target=lambda: loop().run_until_complete(main()), daemon=True).start()
    assert inside.wait(20)
"""

PLACES = {
    "a step of a task": """
async def main():
    client = await aerospike_py.async_client(CONFIG).connect()
    await client.put(KEY, {"a": 1})
    go_on()

run(main)
""",
    "a loop's own call_soon": """
class Loop(asyncio.SelectorEventLoop):
    armed = False

    def call_soon(self, callback, *arguments, **keywords):
        if self.armed and callback is told:
            go_on()
        return super().call_soon(callback, *arguments, **keywords)

def told(_):
    pass

async def main():
    client = await aerospike_py.async_client(CONFIG).connect()
    client.put(KEY, {"a": 1}).add_done_callback(told)
    Loop.armed = True
    await asyncio.sleep(60)

run(main, Loop)
""",
    "the end of a task": """
import weakref

async def put(client):
    await client.put(KEY, {"a": 1})

async def main():
    global watched
    client = await aerospike_py.async_client(CONFIG).connect()
    task = asyncio.create_task(put(client))
    watched = weakref.ref(task, lambda _: go_on())
    del task
    await asyncio.sleep(60)

run(main)
""",
    "a call that waits for the server": """
client = aerospike_py.client(CONFIG).connect()

def work():
    inside.set()
    client.get(KEY, {"total_timeout": 300, "socket_timeout": 300, "max_retries": 0})

threading.Thread(target=work, daemon=True).start()
inside.wait()
""",
}

BUSY = """
    async def work(client, number):
        while True:
            await client.put(("test", "exit", number), {"n": number})
            [n for n in range(300)]
            busy.set()

    async def main():
        client = await aerospike_py.async_client(CONFIG).connect()
        await asyncio.gather(*(work(client, number) for number in range(20)))

    busy = threading.Event()
    sys.setswitchinterval(1e-5)
    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
    busy.wait()
    time.sleep(0.05)
"""


@pytest.mark.parametrize("place", PLACES)
def test_a_daemon_comes_back_while_the_interpreter_ends(
    script: ScriptRunner, server: EmbeddedServer, place: str
) -> None:
    with server.fault("stall", command="read"):
        usual = script.start(LONG_END + PLACES[place])
        recorded = script.start(LONG_END + PLACES[place], AEROSPIKE_PY_INTERNAL_METRICS="1")
        assert finish(usual, timeout=20).lines() == []
        assert finish(recorded, timeout=20).lines() == []


def test_daemons_that_are_busy(script: ScriptRunner) -> None:
    """Tasks are resumed all the time, so that nearly every second end falls into one of their steps."""
    for _ in range(3):
        running = [script.start(BUSY) for _ in range(4)]
        for process in running:
            assert finish(process, timeout=20).lines() == []
