"""Scenarios whose cause is the program around the client: the GIL, the event loop, many calls instead of one."""

from __future__ import annotations

import asyncio
import time

from scenarios.scenario import Scenario
from scenarios.stage import Stage, background, key, spin

LOOP = frozenset({"busy_loop", "slow_callback"})


def gil_hog(stage: Stage) -> None:
    """Threads that read, beside threads that compute in Python."""
    with stage.client() as client, background(lambda: spin(0.05), threads=3), stage.recording():
        stage.threads(lambda number: client.get(key(number)), 2)


def rebuild_model() -> None:
    """A callback that blocks the loop; the scenario must name it."""
    time.sleep(0.06)


def slow_callback(stage: Stage) -> None:
    """A callback of 60 ms, every 120 ms."""

    async def play() -> None:
        loop = asyncio.get_running_loop()
        async with stage.async_client() as client:

            async def now_and_then() -> None:
                while True:
                    loop.call_soon(rebuild_model)
                    await asyncio.sleep(0.12)

            with stage.recording():
                task = asyncio.create_task(now_and_then())
                await stage.tasks(lambda number: client.get(key(number)))
                task.cancel()

    asyncio.run(play())


def work_on_the_loop(stage: Stage) -> None:
    """Coroutines that compute for little more than 1 ms at a time, together more than the loop can do.

    Longer ones would be slow by themselves where the machine takes the processor away in the middle of them.
    """

    async def play() -> None:
        async with stage.async_client() as client:

            async def score() -> None:
                while True:
                    spin(0.0012)
                    await asyncio.sleep(0)

            with stage.recording():
                tasks = [asyncio.create_task(score()) for _ in range(20)]
                await stage.tasks(lambda number: client.get(key(number)))
                for task in tasks:
                    task.cancel()

    asyncio.run(play())


def gather(stage: Stage) -> None:
    """Sixty single reads gathered."""

    async def play() -> None:
        async with stage.async_client() as client:
            with stage.recording():
                for _ in stage.rounds():
                    await asyncio.gather(*(client.get(key(number)) for number in range(60)))
                    await asyncio.sleep(0.005)

    asyncio.run(play())


def small_batches(stage: Stage) -> None:
    """Thirty batches of four keys gathered."""

    async def play() -> None:
        async with stage.async_client() as client:
            batches = [[key(4 * number + i) for i in range(4)] for number in range(30)]
            await asyncio.gather(*map(client.batch_read, batches))
            with stage.recording():
                for _ in stage.rounds():
                    await asyncio.gather(*map(client.batch_read, batches))
                    await asyncio.sleep(0.005)

    asyncio.run(play())


def healthy_loop(stage: Stage) -> None:
    """One coroutine that reads, with pauses."""

    async def play() -> None:
        async with stage.async_client() as client:
            with stage.recording():
                await stage.tasks(lambda number: client.get(key(number)), 1)

    asyncio.run(play())


SCENARIOS = (
    Scenario("GIL hog", "three threads that compute", gil_hog, ("gil",), gil=True),
    Scenario("slow callback", "60 ms in rebuild_model, every 120 ms", slow_callback, ("slow_callback",),
             never=frozenset({"busy_loop"}), says="rebuild_model", quick=True),
    Scenario("CPU work on the loop", "twenty coroutines that compute, 1.2 ms at a time", work_on_the_loop,
             ("busy_loop",)),
    Scenario("gather against single", "sixty single reads gathered", gather, ("gather",), never=LOOP, quick=True),
    Scenario("many small batches", "thirty batches of four keys gathered", small_batches, ("small_batches",),
             never=LOOP),
    Scenario("healthy, one coroutine", "nothing", healthy_loop, healthy=True),
)  # fmt: skip
