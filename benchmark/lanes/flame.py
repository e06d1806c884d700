"""`make flamegraphs-lanes`: where our client's processor time goes, a flamegraph per workload.

Stacks of our worker are sampled by perf while it runs a round, native frames and all, on the build of this checkout:
that of the measurements has no names in it. Where perf is not installed or not allowed, or with `--stages`, the picture
is that of recorded stages instead, which is wall time: the file's name says which.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aerospike_py

from benchmark.lanes import drive_aerospike_py, loops, measuring, stacks
from benchmark.lanes.__main__ import cells_of, server
from benchmark.lanes.clients import Client, known_clients
from benchmark.lanes.serving import Job, connected
from benchmark.lanes.workloads import WORKLOADS, Workload, workload_named
from benchmark.processes.places import GIL, PYTHONS, ROOT
from benchmark.processes.values import WrongResultError
from benchmark.processes.worker import WorkerError

FREQUENCY_HZ = 997
# Enough of each stack for the frames of an async operation inside an interpreter; more makes perf lose samples.
STACK_BYTES = 16_384
LEAD_SECONDS = 0.5
# About a pixel.
LEAST_SHARE = 0.001
Hosts = list[tuple[str, int]]


class PerfError(RuntimeError):
    """perf is not there, may not sample, or has sampled nothing."""


def named_functions(ours: Client) -> Client:
    """Our client as `make build` makes it, with the names of its functions."""
    return dataclasses.replace(ours, variables={**ours.variables, "PYTHONPATH": str(ROOT / "python")})


def perf_stacks(client: Client, workload: Workload, python: str, hosts: Hosts, seconds: float) -> str:
    """Folded stacks of our worker's processor time."""
    if shutil.which("perf") is None:
        raise PerfError("perf is not installed (Debian: apt-get install linux-perf)")
    with (
        tempfile.TemporaryDirectory() as folder,
        measuring.start(client, workload, python, hosts) as worker,
    ):
        worker.ask("hello")
        measuring.verify(worker, workload.kind, hosts)
        worker.ask("round", seconds=LEAD_SECONDS)
        data = Path(folder) / "perf.data"
        # The round outlasts the sampling at either end, so that nothing but operations is sampled.
        total = seconds + 2 * LEAD_SECONDS
        worker.send("round", seconds=total)
        time.sleep(LEAD_SECONDS)
        record = ["perf", "record", "--quiet", "--event", "cpu-clock", "--freq", str(FREQUENCY_HZ)]
        record += ["--call-graph", f"dwarf,{STACK_BYTES}", "--pid", str(worker.pid), "--output", str(data)]
        recorded = subprocess.run([*record, "--", "sleep", str(seconds)], capture_output=True, text=True, check=False)
        worker.reply("round", total + 60)
        if recorded.returncode or not data.exists():
            raise PerfError(f"perf record failed: {recorded.stderr.strip()[-1000:]}")
        script = ["perf", "script", "--no-inline", "--fields", "comm,tid,time,period,event,ip,sym,dso"]
        printed = subprocess.run([*script, "--input", str(data)], capture_output=True, text=True, check=False)
    folded = stacks.fold(printed.stdout)
    if not folded:
        raise PerfError(f"perf script printed no samples: {printed.stderr.strip()[-1000:]}")
    return stacks.folded_text(stacks.pruned(folded, LEAST_SHARE))


def stage_stacks(workload: Workload, hosts: Hosts, seconds: float) -> str:
    """Folded stages of the same operations, recorded in this process."""
    job = Job(hosts, workload.kind, workload.lane, workload.concurrency)
    lane = connected(job, drive_aerospike_py.Connected, drive_aerospike_py.connect_async)
    lane.round(loops.Limit(LEAD_SECONDS, None, workload.concurrency))
    aerospike_py.stage_snapshot(reset=True)
    with aerospike_py.internal_stage_profiling():
        lane.round(loops.Limit(seconds, None, workload.concurrency))
        snapshot = aerospike_py.stage_snapshot(reset=True)
    lane.close()
    return snapshot.folded()


def draw(workload: Workload, python: str, hosts: Hosts, arguments: argparse.Namespace) -> Path:
    """Write the SVG, and the folded stacks beside it."""
    client = named_functions(next(client for client in known_clients() if client.name == "ours"))
    title, kind = f"Our client's CPU time: {workload.what}", "cpu"
    subtitle = f"Python {python}; nanoseconds of CPU time sampled by perf, all threads of the process"
    try:
        if arguments.stages:
            raise PerfError("stages were asked for")
        folded = perf_stacks(client, workload, python, hosts, arguments.seconds)
    except PerfError as error:
        if python != GIL:
            raise
        print(f"  stages instead of CPU time: {error}")
        title, kind = f"Our client's stages: {workload.what}", "stages"
        subtitle = f"Python {python}; nanoseconds of wall time, added up over operations"
        folded = stage_stacks(workload, hosts, arguments.seconds)
    stem = f"{workload.name}-{python}-{kind}"
    (arguments.output / f"{stem}.folded").write_text(folded)
    picture: Path = arguments.output / f"{stem}.svg"
    picture.write_text(aerospike_py.flamegraph_svg(folded, title=title, subtitle=subtitle))
    return picture


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmark.lanes.flame", description=__doc__)
    parser.add_argument("--workload", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--python", choices=PYTHONS, help="only on this one")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long stacks are sampled")
    parser.add_argument("--output", type=Path, default=Path("build/flamegraphs"), help="folder of the pictures")
    parser.add_argument("--stages", action="store_true", help="draw recorded stages instead of CPU time")
    arguments = parser.parse_args()
    try:
        workloads = [workload_named(name) for name in arguments.workload] if arguments.workload else list(WORKLOADS)
    except ValueError as error:
        parser.error(str(error))
    arguments.output.mkdir(parents=True, exist_ok=True)
    failed = []
    with server() as (hosts, _):
        measuring.load(hosts)
        for workload, python in cells_of(workloads, arguments.python):
            print(f"{workload.name} on {python} ...", flush=True)
            try:
                print(f"  {draw(workload, python, hosts, arguments)}")
            except (PerfError, WorkerError, WrongResultError, OSError) as error:
                failed.append(f"{workload.name} on {python}: {error}")
    for problem in failed:
        print(f"NOT DRAWN: {problem}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
