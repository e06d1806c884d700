"""Closed and open loops, on threads and on an event loop.

Standard library only: it is imported by the Python of every client. In a closed loop each thread or task starts its
next operation when it has the result of the last; latency is the time from one result to the next. In an open loop
operations arrive when a schedule says so, whatever has become of those before, and latency runs from the intended
start: an operation that had to wait for a free thread, or for the loop, has waited. Errors and time-outs have
latencies like everything else; what has not ended when the round does is counted as `unfinished`, with the time that it
has taken so far.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence

from benchmark.harness.operations import UNFINISHED
from benchmark.harness.pacing import Alarm
from benchmark.harness.usage import Tally

Step = Callable[[], int]
AsyncStep = Callable[[], Awaitable[int]]
TimedOut = Callable[[Exception], bool]

FOREVER = 2**63
# Operations that are in flight at once in an open loop of tasks; those beyond wait, and their latency runs.
MOST_IN_FLIGHT = 4_096
LEAD_NS = 5_000_000


def call_until(step: Step, tally: Tally, deadline: int, most: int, timed_out: TimedOut) -> None:
    """A closed loop on this thread, until a time or a number of operations."""
    clock, appends = time.perf_counter_ns, tally.appends
    before, left = clock(), most
    while left > 0:
        left -= 1
        try:
            outcome = step()
        except Exception as error:  # whatever the client raises is a result of the measurement
            outcome = tally.failed(error, timed_out(error))
        now = clock()
        appends[outcome](now - before)
        before = now
        # Looked at last: on a busy machine a thread may begin when the round is over, and does one operation even so.
        if now >= deadline:
            break
    tally.ended_ns = before


async def await_until(step: AsyncStep, tally: Tally, deadline: int, most: int, timed_out: TimedOut) -> None:
    """A closed loop in this task, until a time or a number of operations."""
    clock, appends = time.perf_counter_ns, tally.appends
    before, left = clock(), most
    while left > 0:
        left -= 1
        try:
            outcome = await step()
        except Exception as error:  # whatever the client raises is a result of the measurement
            outcome = tally.failed(error, timed_out(error))
        now = clock()
        appends[outcome](now - before)
        before = now
        # Looked at last: on a busy machine a thread may begin when the round is over, and does one operation even so.
        if now >= deadline:
            break
    tally.ended_ns = before


def on_threads(count: int, run: Callable[[int], None], start: Callable[[], None]) -> None:
    """Run something on threads that begin together; `start` is called when all of them are there."""
    if count == 1:
        start()
        run(0)
        return
    gate = threading.Barrier(count + 1)
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        # Twice: the first says that all threads run, the second that the clock does.
        gate.wait()
        gate.wait()
        try:
            run(number)
        except BaseException as error:  # it is raised again where somebody sees it
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    gate.wait()
    start()
    gate.wait()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class Arrivals:
    """The operations of an open loop that threads take from, in the order of the schedule."""

    def __init__(self, offsets: array[int], drain_ns: int) -> None:
        self._offsets, self._drain_ns = offsets, drain_ns
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._start = 0

    def start(self) -> None:
        self._start = time.perf_counter_ns() + LEAD_NS

    def _take(self) -> int:
        with self._lock:
            return next(self._numbers)

    def serve(self, step: Step, tally: Tally, timed_out: TimedOut) -> None:
        """Take operations until none is left, or the time to finish them is over."""
        clock, appends, served = time.perf_counter_ns, tally.appends, tally.service.append
        offsets, start = self._offsets, self._start
        end = start + (offsets[-1] if offsets else 0) + self._drain_ns
        while (number := self._take()) < len(offsets):
            intended = start + offsets[number]
            wait = intended - clock()
            if wait > 0:
                time.sleep(wait / 1e9)
            began = clock()
            if began >= end:
                appends[UNFINISHED](began - intended)
                continue
            try:
                outcome = step()
            except Exception as error:  # whatever the client raises is a result of the measurement
                outcome = tally.failed(error, timed_out(error))
            now = clock()
            appends[outcome](now - intended)
            served(now - began)
        tally.ended_ns = clock()


async def await_arrivals(
    steps: Sequence[AsyncStep], tally: Tally, offsets: array[int], drain_ns: int, timed_out: TimedOut
) -> None:
    """An open loop of tasks on the running loop; returns when all have ended, or the time to finish them is over."""
    loop, clock = asyncio.get_running_loop(), time.perf_counter_ns
    start, taken = clock() + LEAD_NS, 0
    running: dict[asyncio.Task[None], int] = {}
    all_done: asyncio.Future[None] = loop.create_future()

    async def one(step: AsyncStep, intended: int) -> None:
        began = clock()
        try:
            outcome = await step()
        except Exception as error:  # whatever the client raises is a result of the measurement
            outcome = tally.failed(error, timed_out(error))
        now = clock()
        tally.appends[outcome](now - intended)
        tally.service.append(now - began)

    def ended(task: asyncio.Task[None]) -> None:
        del running[task]
        if taken < len(offsets):
            if len(running) == MOST_IN_FLIGHT - 1:
                take()
        elif not running and not all_done.done():
            all_done.set_result(None)

    def take() -> None:
        nonlocal taken
        now = clock()
        while taken < len(offsets) and len(running) < MOST_IN_FLIGHT:
            intended = start + offsets[taken]
            if intended > now:
                alarm.set_ns(intended)
                return
            task = loop.create_task(one(steps[taken % len(steps)], intended))
            taken += 1
            running[task] = intended
            task.add_done_callback(ended)

    alarm = Alarm(loop, take)
    try:
        if offsets:
            take()
            last_ns = start + offsets[-1] - clock()
            await asyncio.wait([all_done], timeout=(last_ns + drain_ns) / 1e9)
    finally:
        alarm.close()
    over = clock()
    left = [intended for task, intended in running.items() if not task.done()]
    left += [start + offset for offset in offsets[taken:]]
    taken = len(offsets)
    for task in list(running):
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for intended in left:
        tally.appends[UNFINISHED](max(over - intended, 0))
    tally.ended_ns = over
