"""Closed loops on threads and on an event loop, and what a round of them took.

Standard library only: it is imported by the Python of every client. Latency is the time from one result to the next
as the caller sees it, the loop's own work included, which is the same for all clients.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Call = Callable[[], Any]
AsyncCall = Callable[[], Awaitable[Any]]

# Errors may stop a loop from waiting for anything; this many are enough to know.
_MOST_ERRORS = 1_000


class Tally:
    """What one thread or task did."""

    def __init__(self) -> None:
        self.samples_ns: list[int] = []
        self.errors = 0
        self.first_error = ""
        self.ended_ns = 0

    def failed(self, error: Exception) -> None:
        self.errors += 1
        self.first_error = self.first_error or f"{type(error).__name__}: {error}"


class Limit:
    """When a round ends: after some seconds, or after each thread or task has done its share of the operations."""

    def __init__(self, seconds: float | None, operations: int | None, workers: int) -> None:
        if (seconds is None) == (operations is None):
            raise ValueError("a round has a number of seconds or a number of operations")
        self._seconds = seconds
        self._share = None if operations is None else max(1, operations // workers)

    def deadline_ns(self) -> int:
        return 2**63 if self._seconds is None else time.perf_counter_ns() + int(self._seconds * 1e9)

    @property
    def most(self) -> int:
        return 2**63 if self._share is None else self._share


def _call_until(call: Call, tally: Tally, deadline: int, most: int) -> None:
    clock, append = time.perf_counter_ns, tally.samples_ns.append
    before, left = clock(), most
    while before < deadline and left > 0:
        left -= 1
        try:
            call()
        except Exception as error:  # whatever the client raises is a result of the measurement
            tally.failed(error)
            if tally.errors >= _MOST_ERRORS:
                break
            before = clock()
            continue
        now = clock()
        append(now - before)
        before = now
    tally.ended_ns = clock()


async def _await_until(call: AsyncCall, tally: Tally, deadline: int, most: int) -> None:
    clock, append = time.perf_counter_ns, tally.samples_ns.append
    before, left = clock(), most
    while before < deadline and left > 0:
        left -= 1
        try:
            await call()
        except Exception as error:  # whatever the client raises is a result of the measurement
            tally.failed(error)
            if tally.errors >= _MOST_ERRORS:
                break
            before = clock()
            continue
        now = clock()
        append(now - before)
        before = now
    tally.ended_ns = clock()


class _Meter:
    """Wall time, processor time and context switches of the process, from its creation on."""

    def __init__(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._switches = (usage.ru_nvcsw, usage.ru_nivcsw)
        self._cpu_ns = time.process_time_ns()
        self.started_ns = time.perf_counter_ns()

    def round_of(self, tallies: Sequence[Tally]) -> dict[str, Any]:
        cpu_ns = time.process_time_ns() - self._cpu_ns
        usage = resource.getrusage(resource.RUSAGE_SELF)
        samples = sorted(sample for tally in tallies for sample in tally.samples_ns)
        return {
            "operations": len(samples),
            "wall_ns": max(tally.ended_ns for tally in tallies) - self.started_ns,
            "cpu_ns": cpu_ns,
            "p50_ns": percentile(samples, 0.5),
            "p99_ns": percentile(samples, 0.99),
            "p999_ns": percentile(samples, 0.999),
            "max_ns": samples[-1] if samples else 0,
            "voluntary_switches": usage.ru_nvcsw - self._switches[0],
            "involuntary_switches": usage.ru_nivcsw - self._switches[1],
            "errors": sum(tally.errors for tally in tallies),
            "first_error": next((tally.first_error for tally in tallies if tally.errors), ""),
        }


def percentile(ordered: Sequence[int], quantile: float) -> int:
    """The smallest sample that at least this part of all samples does not exceed."""
    if not ordered:
        return 0
    rank = -int(-quantile * len(ordered) // 1)
    return ordered[min(len(ordered), max(rank, 1)) - 1]


def run_threads(calls: Sequence[Call], limit: Limit) -> dict[str, Any]:
    """One thread per call; a single call runs on this one."""
    tallies = [Tally() for _ in calls]
    gc.collect()
    gc.disable()
    try:
        if len(calls) == 1:
            meter = _Meter()
            _call_until(calls[0], tallies[0], limit.deadline_ns(), limit.most)
            return meter.round_of(tallies)
        gate = threading.Barrier(len(calls) + 1)
        deadline = [0]

        def run(call: Call, tally: Tally) -> None:
            gate.wait()
            gate.wait()
            _call_until(call, tally, deadline[0], limit.most)

        threads = [threading.Thread(target=run, args=pair) for pair in zip(calls, tallies, strict=True)]
        for thread in threads:
            thread.start()
        # Twice: the first says that all threads run, the second that the clock does.
        gate.wait()
        meter = _Meter()
        deadline[0] = limit.deadline_ns()
        gate.wait()
        for thread in threads:
            thread.join()
        return meter.round_of(tallies)
    finally:
        gc.enable()


def run_tasks(loop: asyncio.AbstractEventLoop, calls: Sequence[AsyncCall], limit: Limit) -> dict[str, Any]:
    """One task per call, on a loop that runs for as long as the round does."""
    tallies = [Tally() for _ in calls]

    async def run() -> dict[str, Any]:
        meter, deadline = _Meter(), limit.deadline_ns()
        await asyncio.gather(
            *(_await_until(call, tally, deadline, limit.most) for call, tally in zip(calls, tallies, strict=True))
        )
        return meter.round_of(tallies)

    gc.collect()
    gc.disable()
    try:
        return loop.run_until_complete(run())
    finally:
        gc.enable()
