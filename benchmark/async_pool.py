"""`make bench-async-pool`: several event loops against one, with the GIL and without it.

Two workloads, each on one loop with one client and on an `AsyncPool` of several threads: reads of single records with
some Python work on each result, and batch reads turned into dictionaries. The server is a process of its own. Blocks
of both kinds alternate in random order; a figure is the median over rounds, and the ratio the median of the rounds'
ratios. Processor time is that of this process, per operation. What was read is checked before anything is timed.

A pool pays where Python itself is the bottleneck and several threads can run it: without the GIL, with processors to
spare beside the server's, and with work that moves to a loop as a whole (`run`, `map`). With the GIL it only adds
threads that wait for each other, and single operations that are handed to another thread one by one (`pool.get`) cost
more than they gain on any build. `docs/async-pool.md` has figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aerospike_py
from aerospike_py import AsyncClient, AsyncPool
from aerospike_py.testing import EmbeddedServer

KEYS = 200
BATCH = 100
CONCURRENCY = 32
WORK_ROUNDS = 40
"""Passes over a record's bins; some tens of microseconds of Python."""
OPERATIONS = {"get and compute": 4000, "batch_read to dict": 400, "get, one by one": 4000}

Key = tuple[str, str, int]
Run = Callable[[int], Awaitable[list[Any]]]


def key(number: int) -> Key:
    return ("test", "async-pool", number % KEYS)


def bins(number: int) -> dict[str, Any]:
    return {f"f{i}": (number % KEYS) * i for i in range(10)}


def score(values: dict[str, Any]) -> int:
    """Stand in for a model: pure Python on a record's bins."""
    total = 0
    for turn in range(WORK_ROUNDS):
        for value in values.values():
            total += (value * turn) & 0xFF
    return total


async def get_and_compute(client: AsyncClient, number: int) -> int:
    return score((await client.get(key(number))).bins or {})


async def batch_to_dict(client: AsyncClient, number: int) -> int:
    records = await client.batch_read([key(number + offset) for offset in range(BATCH)])
    return len(records.to_dict())


async def on_one_loop(function: Callable[[Any, int], Awaitable[Any]], client: Any, count: int) -> list[Any]:
    """What `AsyncPool.map` does, on the loop that runs."""
    numbers, results = iter(range(count)), [None] * count

    async def worker() -> None:
        for number in numbers:
            results[number] = await function(client, number)

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return results


async def only_get(client: Any, number: int) -> int:
    return int(((await client.get(key(number))).bins or {})["f1"])


def contestants(client: AsyncClient, pool: AsyncPool) -> dict[str, tuple[Run, Run]]:
    """For each workload, how one loop and how the pool does it."""

    def mapped(function: Callable[[AsyncClient, int], Awaitable[Any]]) -> tuple[Run, Run]:
        per_loop = max(1, CONCURRENCY // pool.threads)
        return (
            lambda count: on_one_loop(function, client, count),
            lambda count: pool.map(function, range(count), concurrency=per_loop),
        )

    return {
        "get and compute": mapped(get_and_compute),
        "batch_read to dict": mapped(batch_to_dict),
        "get, one by one": (
            lambda count: on_one_loop(only_get, client, count),
            lambda count: on_one_loop(only_get, pool, count),
        ),
    }


async def measure(threads: int, rounds: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    with EmbeddedServer(process=True) as server:
        client = await aerospike_py.async_client(server.config()).connect()
        async with AsyncPool(server.config(), threads) as pool:
            await asyncio.gather(*(client.put(key(number), bins(number)) for number in range(KEYS)))
            for workload, both in contestants(client, pool).items():
                found[workload] = await compare(both, OPERATIONS[workload], rounds)
        await client.close()
    return found


async def compare(both: tuple[Run, Run], count: int, rounds: int) -> dict[str, float]:
    expected, pooled = [await run(KEYS) for run in both]
    if expected != pooled:
        raise SystemExit("the pool's results differ from those of one loop")
    rates: tuple[list[float], list[float]] = ([], [])
    busy: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for which in random.sample((0, 1), 2):
            began, busy_before = time.perf_counter(), time.process_time()
            await both[which](count)
            busy[which].append((time.process_time() - busy_before) / count * 1e6)
            rates[which].append(count / (time.perf_counter() - began))
    ratios = [pool / one for one, pool in zip(*rates, strict=True)]
    return {
        "one_loop_per_second": statistics.median(rates[0]),
        "pool_per_second": statistics.median(rates[1]),
        "ratio": statistics.median(ratios),
        "one_loop_cpu_us": statistics.median(busy[0]),
        "pool_cpu_us": statistics.median(busy[1]),
    }


def has_gil() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def report(threads: int, rounds: int) -> dict[str, Any]:
    before = has_gil()
    measured = asyncio.run(measure(threads, rounds))
    if has_gil() != before:
        raise SystemExit("the GIL was switched on meanwhile")
    return {"python": platform.python_version(), "gil": before, "threads": threads, "workloads": measured}


def print_table(result: dict[str, Any]) -> None:
    gil = "with the GIL" if result["gil"] else "without the GIL"
    print(f"Python {result['python']} {gil}, {result['threads']} threads, {os.cpu_count()} processors")
    for workload, figures in result["workloads"].items():
        one, pool, ratio, one_cpu, pool_cpu = figures.values()
        rates = f"one loop {one:8.0f}/s   pool {pool:8.0f}/s   {ratio:5.2f}x"
        print(f"  {workload:20} {rates}   processor time {one_cpu:6.1f} and {pool_cpu:6.1f} us each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="loops in the pool")
    parser.add_argument("--rounds", type=int, default=7, help="blocks of each kind")
    parser.add_argument("--also", type=Path, action="append", default=[], help="another Python to measure with")
    parser.add_argument("--json", action="store_true", help="print figures for programs")
    options = parser.parse_args()
    result = report(options.threads, options.rounds)
    print(json.dumps(result)) if options.json else print_table(result)
    arguments = [__file__, f"--threads={options.threads}", f"--rounds={options.rounds}"]
    for python in options.also:
        if python.exists():
            subprocess.run([python, *arguments, *(["--json"] if options.json else [])], check=True)
        else:
            print(f"{python} is not there: nothing was measured with it", file=sys.stderr)


if __name__ == "__main__":
    main()
