"""Scenarios with more than one cause: what matters more must come first."""

from __future__ import annotations

import asyncio

from scenarios.python_side import rebuild_model
from scenarios.scenario import Scenario
from scenarios.server_side import SINGLE_ATTEMPT
from scenarios.stage import Stage, background, key


def errors_and_slow_node(stage: Stage) -> None:
    """Every third read fails, and one node of three is 25 ms late."""
    with stage.client() as client, stage.recording():
        stage.server.fault("delay=25ms", node=0, command="read")
        stage.server.fault("error=18@0.3", command="read")
        stage.threads(lambda number: client.get(key(number), SINGLE_ATTEMPT), 4)


def late_reads_and_dribbled_batches(stage: Stage) -> None:
    """Reads are 40 ms late; beside them batches, which come in pieces."""
    keys = [key(number) for number in range(30)]
    with stage.client() as client:
        client.batch_read(keys)
        with (
            stage.server.fault("delay=40ms", command="read"),
            stage.server.fault("dribble=32,1ms", command="batch_read"),
            stage.recording(),
            background(lambda: client.batch_read(keys) and None, threads=3) as batches,
        ):
            stage.threads(lambda number: client.get(key(number)), 8, enough=batches.often)


def callback_and_heavy_tail(stage: Stage) -> None:
    """A loop that is blocked for half of the time; a server with a tail that is short against that."""

    async def play() -> None:
        loop = asyncio.get_running_loop()
        async with stage.async_client() as client:

            async def now_and_then() -> None:
                while True:
                    loop.call_soon(rebuild_model)
                    await asyncio.sleep(0.12)

            with stage.server.fault("delay=30ms@0.2", command="read"), stage.recording():
                task = asyncio.create_task(now_and_then())
                await stage.tasks(lambda number: client.get(key(number)), 6)
                task.cancel()

    asyncio.run(play())


def limiter_and_timeouts(stage: Stage) -> None:
    """Two permits for twelve threads, and one of four replies never comes."""
    policy = {"max_retries": 0, "socket_timeout": 60, "total_timeout": 60}
    limits = {"max_concurrent_operations": 2, "operation_queue_timeout_ms": 10_000}
    with stage.client(**limits) as client, stage.server.fault("stall@0.25", command="read"), stage.recording():
        stage.threads(lambda number: client.get(key(number), policy), 12)


SCENARIOS = (
    Scenario("errors, then a slow node", "every third read fails; one node is 25 ms late", errors_and_slow_node,
             ("failures", "slow_node")),
    Scenario("late reads, then dribbled batches", "eight threads are 40 ms late; three get batches in pieces",
             late_reads_and_dribbled_batches, ("slow_server", "slow_replies")),
    Scenario("slow callback, then a heavy tail", "60 ms in rebuild_model; a fifth of the replies 30 ms late",
             callback_and_heavy_tail, ("slow_callback",), never=frozenset({"busy_loop"}), says="rebuild_model"),
    Scenario("time-outs, then a low limit", "one of four replies never comes; twelve threads, two permits",
             limiter_and_timeouts, ("timeouts", "limiter")),
)  # fmt: skip
