"""What an operation waited for while it waited for its loop: the interpreter, or something else that the loop ran."""

import asyncio
import time

import aerospike_py
import pytest
from awaiting import FREE_THREADED

CALLS = [pytest.param("get", id="get"), pytest.param("batch_read", id="batch_read")]
KEY = ("test", "split", "k")
ROUNDS = 5
MS = 1e6


async def measured(server, name, *, observe, fault=None):
    """Mean nanoseconds by stage of an operation whose reply comes late, so that the loop is idle when it comes."""
    argument = KEY if name == "get" else [("test", "split", number) for number in range(20)]
    async with await aerospike_py.async_client(server.config()).connect() as client:
        await client.put(KEY, {"n": 1})
        await getattr(client, name)(argument)
        observer = aerospike_py.observe_loop() if observe else None
        with server.fault("delay=30ms", command="batch_read" if name == "batch_read" else "read"):
            aerospike_py.stage_snapshot(reset=True)
            for _ in range(ROUNDS):
                operation = getattr(client, name)(argument)
                if fault:
                    asyncio.get_running_loop().call_later(0.01, fault)
                await operation
            breakdown = aerospike_py.stage_snapshot().operation(name)
        if observer:
            observer.close()
    assert sum(stage.total_ns for stage in breakdown.stages.values()) == breakdown.wall.total_ns
    return {stage: figures.total_ns / ROUNDS for stage, figures in breakdown.stages.items()}


@pytest.mark.parametrize("name", CALLS)
def test_a_kept_gil_is_told_apart_while_the_loop_is_observed(name, one_node, recording, spinning):
    with spinning(0.05):
        unobserved = asyncio.run(measured(one_node, name, observe=False))
    with spinning(0.05):
        split = asyncio.run(measured(one_node, name, observe=True))
    assert unobserved["loop_wait"] > 20 * MS
    assert unobserved.get("gil_reacquire", 0) < 1 * MS
    assert split["gil_reacquire"] > 20 * MS
    assert split["loop_wait"] < split["gil_reacquire"] / 2


@pytest.mark.parametrize("name", CALLS)
def test_something_else_that_ran_is_loop_wait_all_the_same(name, one_node, recording):
    """The reply comes while the loop is blocked, for another 30 ms."""
    split = asyncio.run(measured(one_node, name, observe=True, fault=lambda: time.sleep(0.05)))
    assert split["loop_wait"] > 15 * MS
    assert split.get("gil_reacquire", 0) < 5 * MS


@pytest.mark.skipif(not FREE_THREADED, reason="with a GIL there is always some waiting for it")
def test_without_a_gil_there_is_next_to_nothing_to_wait_for(one_node, recording):
    split = asyncio.run(measured(one_node, "get", observe=True))
    assert split.get("gil_reacquire", 0) < 5 * MS
