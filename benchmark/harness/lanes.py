"""The ways of calling: threads that block, tasks on one event loop, tasks on several. Rounds of each.

Standard library only: it is imported by the Python of every client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from benchmark.harness import sessions
from benchmark.harness.jobs import Driver, Job, Limit, Pool
from benchmark.harness.loops import Arrivals, AsyncStep, await_arrivals, await_until, call_until, on_threads
from benchmark.harness.sessions import AsyncSession, Session
from benchmark.harness.usage import Meter, ShowTick, Tally, Ticker

# Tasks of several loops wait for each other before a round in steps of this; the first may start that much later.
GATE_SECONDS = 0.001


class Lane(Protocol):
    """A connected client, in one of its ways to be called."""

    loop_name: str

    def verify(self, operations: int) -> list[Any]: ...

    def closed(self, limit: Limit, tick: ShowTick) -> dict[str, Any]: ...

    def open(self, offsets: Any, drain_ns: int, tick: ShowTick) -> dict[str, Any]: ...

    def stages(self) -> list[dict[str, Any]] | None: ...

    def close(self) -> None: ...


class OnThreads:
    """Blocking calls, a thread for each of `concurrency`."""

    loop_name = ""

    def __init__(self, job: Job, connect: Callable[[Job], Session]) -> None:
        self._job, work, slots = job, job.work, job.concurrency
        self._session = connect(job)
        if work.kind == "cold":
            self._steps = [sessions.cold_step(lambda: connect(job), work, slot, slots) for slot in range(slots)]
        else:
            self._steps = [sessions.step_of(self._session, work, slot, slots) for slot in range(slots)]
        if job.slowdown:
            self._steps = [sessions.slowed(step, job.slowdown) for step in self._steps]

    def verify(self, operations: int) -> list[Any]:
        return sessions.results_of(self._session, self._job.work, self._job.concurrency, operations)

    def closed(self, limit: Limit, tick: ShowTick) -> dict[str, Any]:
        timed_out = self._session.timed_out

        def run(number: int, tally: Tally, started_ns: int) -> None:
            call_until(self._steps[number], tally, limit.deadline(started_ns), limit.share, timed_out)

        return self._measured(run, lambda: None, tick)

    def open(self, offsets: Any, drain_ns: int, tick: ShowTick) -> dict[str, Any]:
        arrivals = Arrivals(offsets, drain_ns)

        def run(number: int, tally: Tally, _: int) -> None:
            arrivals.serve(self._steps[number], tally, self._session.timed_out)

        return self._measured(run, arrivals.start, tick)

    def _measured(
        self, run: Callable[[int, Tally, int], None], start: Callable[[], None], tick: ShowTick
    ) -> dict[str, Any]:
        tallies = [Tally() for _ in self._steps]
        meters: list[Meter] = []

        def begin() -> None:
            meters.append(Meter())
            start()

        with Ticker(tallies, tick) as ticker:
            on_threads(len(tallies), lambda number: run(number, tallies[number], meters[0].started_ns), begin)
        return meters[0].result(tallies, ticker.ticks)

    def stages(self) -> list[dict[str, Any]] | None:
        return self._session.stages()

    def close(self) -> None:
        self._session.close()


class OnALoop:
    """Awaited calls, a task for each of `concurrency`, on a loop that runs while there is something to do."""

    def __init__(self, job: Job, connect: Callable[[Job], Awaitable[AsyncSession]]) -> None:
        self._job, work, slots = job, job.work, job.concurrency
        self._loop = new_loop(job.loop)
        asyncio.set_event_loop(self._loop)
        self.loop_name = name_of(self._loop)
        self._session: AsyncSession = self._loop.run_until_complete(_awaited(connect(job)))
        self._steps: list[AsyncStep]
        if work.kind == "cold":
            self._steps = [sessions.async_cold_step(lambda: connect(job), work, slot, slots) for slot in range(slots)]
        else:
            self._steps = [sessions.async_step_of(self._session, work, slot, slots) for slot in range(slots)]
        if job.slowdown:
            self._steps = [sessions.async_slowed(step, job.slowdown) for step in self._steps]

    def verify(self, operations: int) -> list[Any]:
        results = sessions.async_results_of(self._session, self._job.work, self._job.concurrency, operations)
        return self._loop.run_until_complete(results)

    def closed(self, limit: Limit, tick: ShowTick) -> dict[str, Any]:
        tallies, timed_out = [Tally() for _ in self._steps], self._session.timed_out

        async def run() -> dict[str, Any]:
            with Ticker(tallies, tick) as ticker:
                meter = Meter()
                deadline = limit.deadline(meter.started_ns)
                await asyncio.gather(
                    *(
                        await_until(step, tally, deadline, limit.share, timed_out)
                        for step, tally in zip(self._steps, tallies, strict=True)
                    )
                )
            return meter.result(tallies, ticker.ticks)

        return self._loop.run_until_complete(run())

    def open(self, offsets: Any, drain_ns: int, tick: ShowTick) -> dict[str, Any]:
        tally = Tally()

        async def run() -> dict[str, Any]:
            with Ticker([tally], tick) as ticker:
                meter = Meter()
                await await_arrivals(self._steps, tally, offsets, drain_ns, self._session.timed_out)
            return meter.result([tally], ticker.ticks)

        return self._loop.run_until_complete(run())

    def stages(self) -> list[dict[str, Any]] | None:
        return self._session.stages()

    def close(self) -> None:
        self._loop.run_until_complete(self._session.close())


class OnAPool:
    """Awaited calls on several loops, the tasks spread evenly over them."""

    def __init__(self, job: Job, connect: Callable[[Job], Awaitable[Pool]]) -> None:
        if job.concurrency % job.threads:
            raise ValueError(f"{job.concurrency} tasks are not the same number on each of {job.threads} loops")
        self._job = job
        self._steps: dict[tuple[int, int], AsyncStep] = {}
        self._loop = new_loop("default")
        asyncio.set_event_loop(self._loop)
        self.loop_name = f"{job.threads} loops"
        self._pool: Pool = self._loop.run_until_complete(_awaited(connect(job)))

    def verify(self, operations: int) -> list[Any]:
        found: list[Any] = []

        async def look(session: AsyncSession, number: int) -> None:
            found.extend(await sessions.async_results_of(session, self._job.work, self._job.concurrency, operations))

        self._loop.run_until_complete(self._pool.run_on_all(look, 1))
        return found

    def closed(self, limit: Limit, tick: ShowTick) -> dict[str, Any]:
        count = self._job.concurrency
        tallies = [Tally() for _ in range(count)]
        ready: list[int] = []
        started: list[Meter] = []

        async def work_off(session: AsyncSession, number: int) -> None:
            step = self._step(session, number)
            ready.append(number)
            while not started:  # noqa: ASYNC110 - an event belongs to one loop
                await asyncio.sleep(GATE_SECONDS)
            deadline = limit.deadline(started[0].started_ns)
            await await_until(step, tallies[number], deadline, limit.share, session.timed_out)

        async def run() -> dict[str, Any]:
            with Ticker(tallies, tick) as ticker:
                working = asyncio.ensure_future(self._pool.run_on_all(work_off, count))
                while len(ready) < count and not working.done():  # noqa: ASYNC110
                    await asyncio.sleep(GATE_SECONDS)
                started.append(Meter())
                await working
            return started[0].result(tallies, ticker.ticks)

        return self._loop.run_until_complete(run())

    def _step(self, session: AsyncSession, number: int) -> AsyncStep:
        """The operations of a task on the loop that it happens to be on; keys are prepared once for each."""
        known = (id(session), number)
        if known not in self._steps:
            step = sessions.async_step_of(session, self._job.work, number, self._job.concurrency)
            slowdown = self._job.slowdown
            self._steps[known] = sessions.async_slowed(step, slowdown) if slowdown else step
        return self._steps[known]

    def open(self, offsets: Any, drain_ns: int, tick: ShowTick) -> dict[str, Any]:
        raise ValueError("a pool of loops has no open loop here")

    def stages(self) -> list[dict[str, Any]] | None:
        return None

    def close(self) -> None:
        self._loop.run_until_complete(self._pool.close())


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        import uvloop  # type: ignore[import-not-found,unused-ignore]

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


def name_of(loop: asyncio.AbstractEventLoop) -> str:
    return f"{type(loop).__module__}.{type(loop).__qualname__}"


def lane_of(driver: Driver, job: Job) -> Lane:
    """Connect a client for a job.

    Raises:
        ValueError: The client has no such lane.
    """
    if job.lane == "sync" and driver.connect is not None:
        return OnThreads(job, driver.connect)
    if job.lane == "async" and driver.connect_async is not None:
        return OnALoop(job, driver.connect_async)
    if job.lane == "pool" and driver.connect_pool is not None:
        return OnAPool(job, driver.connect_pool)
    raise ValueError(f"{driver.client} has no lane {job.lane}")
