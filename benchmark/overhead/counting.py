"""Instructions per operation and configuration, by callgrind, of the caller's thread.

What writes files and sends spans is another thread and works by the clock as well as by the operation; callgrind is
fifty times slower and would make more of its work than there is. Of an asynchronous batch, what the runtime's threads
do is not counted either.

One process under callgrind does everything of one workload: for each configuration a few operations and then many of
them, with a mark before and after; what a single one costs is the difference, divided by how many more there were. A
mark is a call of a function of the C library that nobody else calls, before which callgrind dumps what it has counted.

Run as a program, this is that process: ``python -m benchmark.overhead.counting JOB``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aerospike_py

from benchmark.overhead.configurations import COUNTED, OFF, Configuration, switched
from benchmark.overhead.measuring import interpreter
from benchmark.overhead.workloads import CASES, Block, Case, async_block, sync_block
from benchmark.processes.places import ROOT

MARK = "getppid"
NEVER = "never"
"""Off, in a process in which nothing has been on yet."""
SEQUENCE: tuple[tuple[str, Configuration], ...] = ((NEVER, OFF), *((one.name, one) for one in reversed(COUNTED)))
"""From never on, by way of everything, back to off."""
FEW_AND_MANY = {"get": (50, 250), "batch_read": (4, 20)}
COUNTED_CASES = tuple(case for case in CASES if case.concurrency == 1)
_SECONDS = 1200


def count(python: Path, hosts: list[tuple[str, int]], endpoint: str, environment: dict[str, str]) -> dict[str, Any]:
    """Count with one Python.

    Args:
        python: The interpreter.
        hosts: The server.
        endpoint: Of the receiver of spans.
        environment: The variables of the process that is counted.

    Raises:
        RuntimeError: callgrind fails, or does not dump what it should.
    """
    cells: dict[str, dict[str, float]] = {}
    for case in COUNTED_CASES:
        job = json.dumps({"case": case.name, "hosts": hosts, "endpoint": endpoint})
        with tempfile.TemporaryDirectory() as folder:
            finished = subprocess.run(
                [
                    *("valgrind", "--tool=callgrind", "--separate-threads=yes", f"--dump-before={MARK}"),
                    f"--callgrind-out-file={folder}/out",
                    *(str(python), "-m", "benchmark.overhead.counting", job),
                ],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
            if finished.returncode != 0:
                raise RuntimeError(f"callgrind failed:\n{finished.stderr[-2000:]}")
            cells[case.name] = per_operation(case, dumped(Path(folder)))
            about = json.loads(finished.stdout)
    return {**about, "cells": cells}


def dumped(folder: Path) -> list[int]:
    """Instructions of the first thread between marks, in their order."""
    counts: dict[int, int] = {}
    for path in folder.iterdir():
        text = path.read_text(errors="replace")
        found = [re.search(rf"^{name}: (\d+)$", text, re.M) for name in ("part", "thread", "totals")]
        part, thread, total = (int(one[1]) if one else 0 for one in found)
        if part and thread == 1:
            counts[part] = total
    return [counts[part] for part in sorted(counts)]


def per_operation(case: Case, counts: list[int]) -> dict[str, float]:
    """Instructions of an operation, by configuration.

    Args:
        case: The workload.
        counts: Between marks: what comes before the first, few operations, what lies between, many operations, ...

    Raises:
        RuntimeError: There are not as many as there were marks.
    """
    few, many = FEW_AND_MANY[case.operation]
    if len(counts) != 4 * len(SEQUENCE) + 1:
        raise RuntimeError(f"callgrind has dumped {len(counts)} times instead of {4 * len(SEQUENCE) + 1}")
    pairs = zip(counts[1::4], counts[3::4], strict=True)
    found = [(after - before) / (many - few) for before, after in pairs]
    by_name = dict(zip((name for name, _ in SEQUENCE), found, strict=True))
    return {name: by_name[name] for name in (NEVER, *(one.name for one in COUNTED))}


@contextlib.contextmanager
def marked() -> Iterator[None]:
    """Have what happens meanwhile counted by itself."""
    os.getppid()
    try:
        yield
    finally:
        os.getppid()


def _carry_out(case: Case, work: Block, endpoint: str, loop: asyncio.AbstractEventLoop | None) -> None:
    for _, configuration in SEQUENCE:
        with switched(configuration, endpoint, loop) as on:
            work(FEW_AND_MANY[case.operation][0])
            for operations in FEW_AND_MANY[case.operation]:
                on.finish()
                with marked():
                    work(operations)
                    on.finish()


def main() -> None:
    job = json.loads(sys.argv[1])
    case = next(case for case in CASES if case.name == job["case"])
    hosts = [(str(host), int(port)) for host, port in job["hosts"]]
    config: aerospike_py.ClientConfig = {"hosts": hosts, "tend_interval": 600_000}
    if case.lane == "sync":
        with aerospike_py.client(config).connect() as client:
            _carry_out(case, sync_block(client, case), job["endpoint"], None)
    else:
        loop = asyncio.new_event_loop()
        async_client = aerospike_py.async_client(config)
        loop.run_until_complete(async_client.connect())
        _carry_out(case, async_block(async_client, loop, case), job["endpoint"], loop)
        loop.run_until_complete(async_client.close())
        loop.close()
    print(json.dumps(interpreter()))


if __name__ == "__main__":
    main()
