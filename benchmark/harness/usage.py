"""What a round took: wall and processor time, context switches, memory; and a tick per second while it runs.

Standard library only: it is imported by the Python of every client.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmark.harness.histogram import Histogram
from benchmark.harness.operations import ERROR, OUTCOMES, TIMEOUT

TICK_SECONDS = 1.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MOST_KINDS_OF_ERRORS = 20

ShowTick = Callable[[dict[str, Any]], None]


class Tally:
    """What one thread or task did: latencies by outcome, one after the other."""

    def __init__(self) -> None:
        self.samples = [array("q") for _ in OUTCOMES]
        self.appends = [samples.append for samples in self.samples]
        self.service = array("q")
        """Open loops only: time from the actual start."""
        self.errors: dict[str, int] = {}
        self.ended_ns = 0

    def failed(self, error: Exception, timed_out: bool) -> int:
        """Count an error; returns the outcome that its latency belongs to."""
        text = f"{type(error).__name__}: {error}"[:200]
        if text not in self.errors and len(self.errors) >= _MOST_KINDS_OF_ERRORS:
            text = type(error).__name__
        self.errors[text] = self.errors.get(text, 0) + 1
        return TIMEOUT if timed_out else ERROR

    def done(self) -> int:
        return sum(map(len, self.samples))

    def bytes(self) -> int:
        return 8 * (self.done() + len(self.service))


def resident_bytes() -> int:
    """How much of the process is in memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Meter:
    """Wall time, processor time, context switches and memory of the process, from its creation on."""

    def __init__(self) -> None:
        _forget_peak()
        self._resident = resident_bytes()
        self._blocks = sys.getallocatedblocks()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._switches = (usage.ru_nvcsw, usage.ru_nivcsw)
        self._cpu_ns = time.process_time_ns()
        self.started_ns = time.perf_counter_ns()

    def result(self, tallies: Sequence[Tally], ticks: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The reply to the call `round`; `docs/benchmark-format.md` says what is in it."""
        cpu_ns = time.process_time_ns() - self._cpu_ns
        usage = resource.getrusage(resource.RUSAGE_SELF)
        blocks, resident, peak = sys.getallocatedblocks() - self._blocks, resident_bytes(), _peak_bytes()
        histograms = {}
        for outcome, name in enumerate(OUTCOMES):
            histogram = Histogram()
            for tally in tallies:
                histogram.record_all(tally.samples[outcome])
            if histogram.count:
                histograms[name] = histogram.as_json()
        service = Histogram()
        for tally in tallies:
            service.record_all(tally.service)
        errors: dict[str, int] = {}
        for tally in tallies:
            for text, count in tally.errors.items():
                errors[text] = errors.get(text, 0) + count
        return {
            "operations": sum(tally.done() for tally in tallies),
            "wall_ns": max(tally.ended_ns for tally in tallies) - self.started_ns,
            "cpu_ns": cpu_ns,
            "voluntary_switches": usage.ru_nvcsw - self._switches[0],
            "involuntary_switches": usage.ru_nivcsw - self._switches[1],
            "resident_before_bytes": self._resident,
            "resident_after_bytes": resident,
            "resident_peak_bytes": peak,
            "samples_bytes": sum(tally.bytes() for tally in tallies),
            "allocated_blocks": blocks,
            "histograms": histograms,
            "service": service.as_json() if service.count else None,
            "errors": errors,
            "ticks": list(ticks),
        }


class Ticker:
    """A tick per second from a thread of its own, which sleeps in between; rounds shorter than that have none."""

    def __init__(self, tallies: Sequence[Tally], show: ShowTick) -> None:
        self._tallies, self._show = tallies, show
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.ticks: list[dict[str, Any]] = []

    def _run(self) -> None:
        started, cpu, done = time.perf_counter_ns(), time.process_time_ns(), 0
        while not self._over.wait(TICK_SECONDS):
            now_cpu, now_done = time.process_time_ns(), sum(tally.done() for tally in self._tallies)
            tick = {
                "at_ns": time.perf_counter_ns() - started,
                "operations": now_done - done,
                "errors": sum(sum(list(tally.errors.values())) for tally in self._tallies),
                "cpu_ns": now_cpu - cpu,
            }
            cpu, done = now_cpu, now_done
            self.ticks.append(tick)
            self._show(tick)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
