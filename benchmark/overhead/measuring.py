"""The process that is measured: rounds of blocks in every configuration, on one connected client of each lane.

``python -m benchmark.overhead.measuring JOB``: the job is a JSON object with ``hosts``, ``endpoint``, ``cases``,
``seconds`` and ``seed``; what the blocks took is printed as one. Imported by every Python that is measured: standard
library only.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import sys
import sysconfig
import time
from collections.abc import Sequence
from typing import Any

import aerospike_py

from benchmark.overhead import threads
from benchmark.overhead.configurations import (
    ALL_OR_NOTHING,
    EVERYTHING,
    MEASURED,
    OFF,
    QUICK,
    Configuration,
    resident,
    switched,
)
from benchmark.overhead.workloads import CASES, Block, Case, Stopwatch, Taken, async_block, check, records, sync_block

# The other blocks are short, and many of them tell more than a few long ones.
THROUGHPUT_SHARE = 0.5
LEAST_ROUNDS = 5
WARM_UP = 0.2
"""What is done unmeasured after a switch, as a part of a block: background threads are then at work as they will be."""
SHORT_SECONDS = 0.05
"""How long a short block lasts where the others last for some time, not counting a quarter as much that comes first:
what recording needs has then been fetched from memory."""
RESIDENT_WARM_UP = 10
"""So many of these blocks come first, with everything on: a recording has then filled its buffers once."""
LONG_WARM_UP = 0.5
"""The same as `WARM_UP` where blocks last for some time: by then, a recording has filled its buffers once and uses them
again, and spans have been sent once over a new connection."""


class Measuring:
    """Blocks of one client in every configuration."""

    def __init__(self, endpoint: str, loop: asyncio.AbstractEventLoop | None, rng: random.Random) -> None:
        self._endpoint, self._loop, self._rng = endpoint, loop, rng

    def block(
        self,
        configuration: Configuration,
        work: Block,
        count: int,
        warm_up: float = WARM_UP,
        by_thread: bool = False,
    ) -> Taken:
        """What one block takes per operation; the processor's time includes what is left for background threads."""
        with switched(configuration, self._endpoint, self._loop) as on:
            work(max(1, int(count * warm_up)))
            watch = Stopwatch(by_thread)
            work(count)
            watch.stop_wall()
            on.finish()
            return watch.taken().per(count)

    def cell(self, case: Case, work: Block, seconds: float) -> dict[str, Any]:
        """Rounds of one workload for so long.

        Half of that or more is for short rounds: of shorter blocks of what switches at once, because the machine
        changes less meanwhile.
        """
        count = case.operations or self._operations_in(case.seconds, work)
        for configuration in MEASURED:
            self.block(configuration, work, max(1, count // 4))
        if case.operations:
            rounds, by_thread = self._rounds(MEASURED, work, count, seconds / 2)
            short_rounds, _ = self._rounds(QUICK, work, case.few, seconds / 2)
            short = {"short_operations": case.few, "short_rounds": short_rounds}
        else:
            rounds, by_thread = self._rounds(MEASURED, work, count, seconds / 3, LONG_WARM_UP)
            few = max(2 * case.concurrency, round(count * SHORT_SECONDS / case.seconds))
            short_rounds, background = self._resident_rounds(work, few, seconds * 2 / 3)
            background |= threads.by_the_clock(by_thread[OFF.name], by_thread[EVERYTHING.name])
            processors = len(os.sched_getaffinity(0))
            short = {
                "short_operations": few,
                "short_rounds": short_rounds,
                "background": background,
                "processors": processors,
            }
        return {"operations": count, "rounds": rounds, "threads": by_thread, **short}

    def _rounds(
        self,
        configurations: tuple[Configuration, ...],
        work: Block,
        count: int,
        seconds: float,
        warm_up: float = WARM_UP,
    ) -> tuple[dict[str, list[list[int]]], dict[str, threads.Times]]:
        """Rounds for so long, at least a few, and what threads have run on average, where everything is compared."""
        taken: dict[str, list[list[int]]] = {configuration.name: [] for configuration in configurations}
        by_thread: dict[str, list[threads.Times]] = {configuration.name: [] for configuration in configurations}
        deadline = time.monotonic() + seconds
        done = 0
        while done < LEAST_ROUNDS or time.monotonic() < deadline:
            for configuration in self._rng.sample(configurations, k=len(configurations)):
                block = self.block(configuration, work, count, warm_up, configurations is MEASURED)
                taken[configuration.name].append([round(block.wall_ns), round(block.cpu_ns)])
                by_thread[configuration.name].append(block.threads)
            done += 1
        return taken, {name: threads.mean(blocks) for name, blocks in by_thread.items()}

    def _resident_rounds(
        self, work: Block, few: int, seconds: float
    ) -> tuple[dict[str, list[list[int]]], threads.Times]:
        """Rounds of short blocks with everything there all the time and recording on or off.

        A block tells the processor time of the threads that carry out operations.

        Returns:
            The rounds, and what threads that work for recorded operations have run for each of them.
        """
        taken: dict[str, list[list[int]]] = {configuration.name: [] for configuration in ALL_OR_NOTHING}
        recorded, warm_up = 0, max(1, few // 4)
        with resident(self._endpoint, self._loop) as there:
            with there.used(EVERYTHING):
                work(RESIDENT_WARM_UP * few)
            rows, before = there.rows(), threads.times()
            deadline = time.monotonic() + seconds
            with threads.Clock() as clock:
                while len(taken[OFF.name]) < LEAST_ROUNDS or time.monotonic() < deadline:
                    for configuration in self._rng.sample(ALL_OR_NOTHING, k=len(ALL_OR_NOTHING)):
                        with there.used(configuration):
                            work(warm_up)
                            ran, began = clock.nanos(), time.perf_counter_ns()
                            work(few)
                            wall, ran = time.perf_counter_ns() - began, clock.nanos() - ran
                        taken[configuration.name].append([round(wall / few), round(ran / few)])
                        recorded += (few + warm_up) * configuration.stages
            if there.rows() - rows < recorded:
                raise SystemExit("not all operations are in the trace files: nothing of this can be used")
            others = threads.for_recorded(threads.between(before, threads.times()))
        return taken, {name: round(nanos / recorded) for name, nanos in others.items()}

    def _operations_in(self, seconds: float, work: Block) -> int:
        """How many operations take so long when nothing is on."""
        count, taken = 20, 0.0
        while taken < seconds / 4:
            count *= 2
            taken = self.block(OFF, work, count).wall_ns * count / 1e9
        return max(1, int(count * seconds / taken))


def share_of(case: Case, cases: Sequence[Case], seconds: float) -> float:
    """What one workload has of the time."""
    short = [other for other in cases if other.concurrency == 1]
    if len(short) in (0, len(cases)):
        return seconds / len(cases)
    if case in short:
        return seconds * (1 - THROUGHPUT_SHARE) / len(short)
    return seconds * THROUGHPUT_SHARE / (len(cases) - len(short))


def measure(job: dict[str, Any]) -> dict[str, Any]:
    config: aerospike_py.ClientConfig = {"hosts": [(str(host), int(port)) for host, port in job["hosts"]]}
    rng = random.Random(job["seed"])
    cases = [case for case in CASES if case.name in job["cases"]]
    cells: dict[str, Any] = {}
    with aerospike_py.client(config).connect() as client:
        client.batch_write(records())
        check(client)
        measuring = Measuring(job["endpoint"], None, rng)
        for case in cases:
            if case.lane == "sync":
                work = sync_block(client, case)
                cells[case.name] = measuring.cell(case, work, share_of(case, cases, job["seconds"]))
    loop = asyncio.new_event_loop()
    async_client = aerospike_py.async_client(config)
    loop.run_until_complete(async_client.connect())
    measuring = Measuring(job["endpoint"], loop, rng)
    for case in cases:
        if case.lane == "async":
            work = async_block(async_client, loop, case)
            cells[case.name] = measuring.cell(case, work, share_of(case, cases, job["seconds"]))
    loop.run_until_complete(async_client.close())
    loop.close()
    return cells


def interpreter() -> dict[str, Any]:
    return {
        "python": platform.python_version() + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""),
        "build": " ".join(platform.python_build()),
        "compiler": platform.python_compiler(),
        "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        "client": aerospike_py.__version__,
        "load_average": list(os.getloadavg()),
    }


def main() -> None:
    before = interpreter()
    cells = measure(json.loads(sys.argv[1]))
    if interpreter()["gil"] != before["gil"]:
        raise SystemExit("the GIL was switched on meanwhile: the figures are of neither kind")
    print(json.dumps({**before, "load_average_after": list(os.getloadavg()), "cells": cells}))


if __name__ == "__main__":
    main()
