"""``python -m benchmark.overhead``: measure what recording costs, print it, and write a result file.

Blocks of one workload in every configuration alternate on one connected client, in random order within a round. A
figure is the median over rounds of the paired difference or ratio, and of that the mean over several processes, with
a 95 % interval by bootstrap; off is measured twice, which shows what the machine's noise alone looks like.
Instructions are counted in a run of their own. The exit status says only whether it was measured; the verdict lines
say what came out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import aerospike_py
from aerospike_py.testing import EmbeddedServer

from benchmark.overhead import collector, counting, report, results
from benchmark.overhead.workloads import CASES, records
from benchmark.processes.places import RELEASED, ROOT, missing, variables
from benchmark.processes.stamps import stamp, summary

MINUTES = 10.0
PROCESSES = 5
"""Of each Python, one after the other."""
_PATIENCE_SECONDS = 600


def measure_all(python: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Measure with one Python, in several processes that share the time."""
    share = {**job, "seconds": job["seconds"] / PROCESSES}
    return results.together([measure(python, {**share, "seed": job["seed"] + place}) for place in range(PROCESSES)])


def measure(python: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Measure with one process of one Python."""
    command = [str(python), "-m", "benchmark.overhead.measuring", json.dumps(job)]
    patience = _PATIENCE_SECONDS + 3 * job["seconds"]
    finished = subprocess.run(
        command, cwd=ROOT, env=as_released(), stdout=subprocess.PIPE, text=True, check=True, timeout=patience
    )
    measured: dict[str, Any] = json.loads(finished.stdout)
    return measured


def as_released() -> dict[str, str]:
    """The variables of a process that has our package as its wheels have it."""
    return variables({"PYTHONPATH": str(ROOT / RELEASED)})


def present(pythons: list[Path]) -> list[Path]:
    """This Python and those of the others that are there."""
    absent = [python for python in pythons if not python.exists()]
    for python in absent:
        print(f"{python} is not there: nothing is measured with it", file=sys.stderr)
    return [Path(sys.executable), *(python for python in pythons if python not in absent)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmark.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--also", type=Path, action="append", default=[], help="another Python to measure with")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all Pythons together")
    parser.add_argument(
        "--case",
        dest="cases",
        action="append",
        choices=[case.name for case in CASES],
        help="a workload to measure, all of them by default",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="the result file, below build/benchmark by default")
    parser.add_argument(
        "--instructions", action="store_true", help="count instructions with callgrind, measure no time"
    )
    arguments = parser.parse_args()
    if arguments.instructions and shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed (Debian: apt-get install valgrind)")
    if arguments.instructions and arguments.cases:
        raise SystemExit("--case is about times: instructions are counted for all workloads")
    if absent := missing(ROOT / RELEASED / "aerospike_py"):
        raise SystemExit(f"{absent}: `make bench-overhead` builds what is measured")
    name = "overhead-instructions.json" if arguments.instructions else "overhead.json"
    path = arguments.json or ROOT / "build" / "benchmark" / name
    pythons = present(arguments.also)
    measured, counted = [], []
    with EmbeddedServer(nodes=1, process=True) as server, collector.running() as endpoint:
        hosts = [(str(host), int(port)) for host, port in server.hosts]
        where = stamp(hosts, True)
        with aerospike_py.client(server.config()).connect() as client:
            client.batch_write(records())
        for python in pythons:
            if arguments.instructions:
                counted.append(counting.count(python, hosts, endpoint, as_released()))
                continue
            seconds = arguments.minutes * 60 / len(pythons)
            job = {
                "hosts": hosts,
                "endpoint": endpoint,
                "cases": arguments.cases or [case.name for case in CASES],
                "seconds": seconds,
                "seed": arguments.seed,
            }
            measured.append(measure_all(python, job))
    found = results.of(where, measured, counted)
    results.write(found, path)
    print(summary(found["stamp"]))
    for line in report.lines(found):
        print(line)
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
