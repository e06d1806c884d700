"""`make bench-overhead`: what recording stages costs, per operation.

Blocks with stages off and on alternate on one connected client, in random order within a round; a figure
is the median over rounds of the paired difference (nanoseconds per operation) or ratio. An off/off
comparison of the same kind shows what the machine's noise alone looks like. Instruction counts come from
callgrind, as the difference between two runs that differ only in how many operations they do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass

import aerospike_py
from aerospike_py import AsyncClient, Client
from aerospike_py.testing import EmbeddedServer

KEYS = 200
SINGLE_LIMIT_NS = 600
BATCH_LIMIT_PERCENT = 1.0

Key = tuple[str, str, int]
Block = Callable[[int], "Taken"]


@dataclass(frozen=True)
class Taken:
    """What a block took: wall time, and processor time of the whole process."""

    wall_ns: float
    cpu_ns: float

    def per(self, operations: int) -> Taken:
        return Taken(self.wall_ns / operations, self.cpu_ns / operations)


class Stopwatch:
    """Runs from its creation on."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter_ns(), time.process_time_ns()

    def taken(self) -> Taken:
        return Taken(time.perf_counter_ns() - self._wall, time.process_time_ns() - self._cpu)


def records() -> list[tuple[Key, dict[str, object]]]:
    return [
        (("test", "overhead", n), {f"bin{i}": (n + i, n * 0.5, f"value-{n}-{i}", bytes(16))[i % 4] for i in range(10)})
        for n in range(KEYS)
    ]


KEY_LIST: list[Key] = [("test", "overhead", n) for n in range(KEYS)]


@dataclass(frozen=True)
class Case:
    """One operation on one lane, and how many of them make a block."""

    name: str
    lane: str
    operations: int


CASES = (
    Case("get", "sync", 1_000),
    Case("batch_read", "sync", 50),
    Case("get", "async", 1_000),
    Case("batch_read", "async", 50),
)


def sync_block(client: Client, name: str) -> Block:
    """A block of operations, one after the other; returns what it took."""

    def get(count: int) -> Taken:
        watch = Stopwatch()
        for n in range(count):
            client.get(KEY_LIST[n % KEYS])
        return watch.taken()

    def batch(count: int) -> Taken:
        watch = Stopwatch()
        for _ in range(count):
            client.batch_read(KEY_LIST).to_dict()
        return watch.taken()

    return get if name == "get" else batch


def async_block(client: AsyncClient, loop: asyncio.AbstractEventLoop, name: str) -> Block:
    async def get(count: int) -> Taken:
        watch = Stopwatch()
        for n in range(count):
            await client.get(KEY_LIST[n % KEYS])
        return watch.taken()

    async def batch(count: int) -> Taken:
        watch = Stopwatch()
        for _ in range(count):
            (await client.batch_read(KEY_LIST)).to_dict()
        return watch.taken()

    coroutine: Callable[[int], Coroutine[object, object, Taken]] = get if name == "get" else batch

    def run(count: int) -> Taken:
        return loop.run_until_complete(coroutine(count))

    return run


@dataclass
class Cost:
    """What stages cost in one case, per operation: medians over rounds."""

    name: str
    lane: str
    off_ns: float
    on_minus_off_ns: float
    on_over_off: float
    off_over_off: float
    cpu_on_minus_off_ns: float
    cpu_on_over_off: float


def measure(case: Case, block: Block, rounds: int, rng: random.Random) -> Cost:
    def timed(stages: bool) -> Taken:
        aerospike_py.set_internal_stage_metrics_enabled(stages)
        return block(case.operations).per(case.operations)

    timed(False), timed(True)
    taken: dict[str, list[Taken]] = {"off": [], "on": [], "off again": []}
    for _ in range(rounds):
        for which in rng.sample(list(taken), k=len(taken)):
            taken[which].append(timed(which == "on"))
    aerospike_py.set_internal_stage_metrics_enabled(False)
    together = list(zip(taken["off"], taken["on"], taken["off again"], strict=True))
    median = statistics.median
    return Cost(
        case.name,
        case.lane,
        off_ns=median((off.wall_ns + again.wall_ns) / 2 for off, _, again in together),
        on_minus_off_ns=median(on.wall_ns - (off.wall_ns + again.wall_ns) / 2 for off, on, again in together),
        on_over_off=median(2 * on.wall_ns / (off.wall_ns + again.wall_ns) for off, on, again in together),
        off_over_off=median(off.wall_ns / again.wall_ns for off, _, again in together),
        cpu_on_minus_off_ns=median(on.cpu_ns - (off.cpu_ns + again.cpu_ns) / 2 for off, on, again in together),
        cpu_on_over_off=median(2 * on.cpu_ns / (off.cpu_ns + again.cpu_ns) for off, on, again in together),
    )


def run_all(config: aerospike_py.ClientConfig, rounds: int, seed: int) -> list[Cost]:
    rng = random.Random(seed)
    costs = []
    with aerospike_py.client(config).connect() as client:
        client.batch_write(records())
        for case in CASES:
            if case.lane == "sync":
                costs.append(measure(case, sync_block(client, case.name), rounds, rng))
    loop = asyncio.new_event_loop()
    try:
        async_client = aerospike_py.async_client(config)
        loop.run_until_complete(async_client.connect())
        for case in CASES:
            if case.lane == "async":
                costs.append(measure(case, async_block(async_client, loop, case.name), rounds, rng))
        loop.run_until_complete(async_client.close())
    finally:
        loop.close()
    return costs


def run_counted(config: aerospike_py.ClientConfig, case: Case, operations: int, stages: bool) -> None:
    """What the process under callgrind does: connect, do some operations, leave."""
    aerospike_py.set_internal_stage_metrics_enabled(stages)
    if case.lane == "sync":
        with aerospike_py.client(config).connect() as client:
            sync_block(client, case.name)(operations)
        return
    loop = asyncio.new_event_loop()
    async_client = aerospike_py.async_client(config)
    loop.run_until_complete(async_client.connect())
    async_block(async_client, loop, case.name)(operations)
    loop.run_until_complete(async_client.close())
    loop.close()


def count_instructions(case: Case, stages: bool, hosts: list[tuple[str, int]]) -> float:
    """Instructions per operation, by callgrind, all threads of the process together."""
    few, many = (50, 250) if case.name == "get" else (4, 20)

    def total(operations: int) -> int:
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, __file__]
        counted = json.dumps({"case": asdict(case), "operations": operations, "stages": stages, "hosts": hosts})
        finished = subprocess.run([*command, "--counted", counted], capture_output=True, text=True, timeout=600)
        match = re.search(r"Collected : (\d+)", finished.stderr)
        if finished.returncode != 0 or match is None:
            raise RuntimeError(f"callgrind failed:\n{finished.stderr[-2000:]}")
        return int(match.group(1))

    return (total(many) - total(few)) / (many - few)


def show(costs: list[Cost]) -> None:
    print(
        f"{'operation':<12} {'lane':<6} {'off':>11} {'on - off':>11} {'on / off':>9} {'off / off':>9} "
        f"{'CPU on - off':>13} {'CPU on / off':>12}"
    )
    for cost in costs:
        print(
            f"{cost.name:<12} {cost.lane:<6} {cost.off_ns / 1e3:>8.1f} us {cost.on_minus_off_ns:>8.0f} ns "
            f"{cost.on_over_off:>9.4f} {cost.off_over_off:>9.4f} {cost.cpu_on_minus_off_ns:>10.0f} ns "
            f"{cost.cpu_on_over_off:>12.4f}"
        )


def show_limits(costs: list[Cost]) -> None:
    for cost in costs:
        if cost.name == "get":
            within = cost.on_minus_off_ns <= SINGLE_LIMIT_NS
            figure = f"{cost.on_minus_off_ns:.0f} ns (limit {SINGLE_LIMIT_NS} ns)"
        else:
            percent = (cost.on_over_off - 1) * 100
            within = percent <= BATCH_LIMIT_PERCENT
            figure = f"{percent:+.2f} % (limit {BATCH_LIMIT_PERCENT:.0f} %)"
        print(f"{cost.name} {cost.lane}: {figure}: {'within' if within else 'OVER'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-instructions", action="store_true", help="leave callgrind out")
    parser.add_argument("--counted", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.counted:
        job = json.loads(arguments.counted)
        hosts = [(str(host), int(port)) for host, port in job["hosts"]]
        run_counted({"hosts": hosts, "tend_interval": 600_000}, Case(**job["case"]), job["operations"], job["stages"])
        return
    with EmbeddedServer(nodes=1, process=True) as server:
        costs = run_all(server.config(), arguments.rounds, arguments.seed)
        show(costs)
        show_limits(costs)
        if arguments.no_instructions:
            return
        if shutil.which("valgrind") is None:
            print("instruction counts: valgrind is not installed (Debian: apt-get install valgrind)")
            return
        print(f"\n{'instructions per operation':<32} {'off':>12} {'on':>12} {'on - off':>10}")
        for case in CASES:
            off, on = (count_instructions(case, stages, server.hosts) for stages in (False, True))
            print(f"{case.name + ' ' + case.lane:<32} {off:>12,.0f} {on:>12,.0f} {on - off:>10,.0f}")


if __name__ == "__main__":
    main()
