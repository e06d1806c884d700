"""Instructions and system calls per operation of our client, which do not depend on who else works on the machine.

Each is the difference between two runs of a worker that differ only in how many operations they do, all threads of the
process together. Instructions are callgrind's, for workloads of the sync lane; system calls are those of `strace -c`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmark.lanes import measuring
from benchmark.lanes.clients import Client
from benchmark.lanes.report import aligned
from benchmark.lanes.serving import Job
from benchmark.lanes.workloads import Workload
from benchmark.processes.worker import Worker, WorkerError

# Operations of the two runs, of all threads or tasks together: enough for connections and caches to have settled.
_SINGLE, _BATCHES = (320, 3_520), (40, 120)
TEND_INTERVAL_MS = 600_000
PATIENCE_SECONDS = 600.0
COUNTED = ("ours", "ours-stages", "base")
_TOTALS = re.compile(r"^(?:summary|totals): *(\d+)", re.MULTILINE)

Hosts = list[tuple[str, int]]
Prefix = Callable[[Path], list[str]]
"""The program that counts, by the file that it writes to."""


def operations_of(workload: Workload) -> tuple[int, int]:
    return _SINGLE if workload.kind in ("get", "put", "mixed") else _BATCHES


def callgrind_total(text: str) -> int:
    """Instructions that callgrind has collected, from its output file."""
    totals = [int(found) for found in _TOTALS.findall(text)]
    if not totals:
        raise ValueError("callgrind has written no totals")
    return totals[-1]


def strace_calls(text: str) -> dict[str, int]:
    """Calls by name, from the table of `strace -c`."""
    calls = {}
    for line in text.splitlines():
        fields = line.split()
        # Time share, seconds, microseconds per call, calls, errors if there were any, name.
        if len(fields) in (5, 6) and fields[3].isdigit() and fields[-1] not in ("total", "syscall"):
            calls[fields[-1]] = int(fields[3])
    if not calls:
        raise ValueError("strace has counted nothing")
    return calls


def _run(client: Client, workload: Workload, python: str, hosts: Hosts, prefix: Sequence[str], operations: int) -> None:
    job = Job(hosts, workload.kind, workload.lane, workload.concurrency, client.loop, TEND_INTERVAL_MS)
    command = [*prefix, *client.command(python)]
    with Worker(command, asdict(job), client.environment(), name=client.name, patience=PATIENCE_SECONDS) as worker:
        worker.ask("hello")
        worker.ask("round", operations=operations_of(workload)[0])
        result = worker.ask("round", operations=operations)
        if result["errors"]:
            raise WorkerError(f"{result['errors']} errors, first {result['first_error']}")


def _outputs(client: Client, workload: Workload, python: str, hosts: Hosts, prefix: Prefix) -> tuple[str, str]:
    """What a tool has written about a run of few operations, and about one of many."""
    # Started once without the tool: modules that were not compiled yet would be counted in the first run only.
    _run(client, workload, python, hosts, [], operations_of(workload)[0])
    texts = []
    for operations in operations_of(workload):
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "counted"
            _run(client, workload, python, hosts, prefix(output), operations)
            texts.append(output.read_text())
    return texts[0], texts[1]


def _callgrind(output: Path) -> list[str]:
    return ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={output}"]


def _strace(output: Path) -> list[str]:
    return ["strace", "-f", "-c", "-o", str(output)]


def instructions(client: Client, workload: Workload, python: str, hosts: Hosts) -> float:
    few, many = operations_of(workload)
    before, after = (callgrind_total(text) for text in _outputs(client, workload, python, hosts, _callgrind))
    return (after - before) / (many - few)


def system_calls(client: Client, workload: Workload, python: str, hosts: Hosts) -> dict[str, float]:
    """Calls per operation by name, those that are not made per operation left out."""
    few, many = operations_of(workload)
    before, after = (strace_calls(text) for text in _outputs(client, workload, python, hosts, _strace))
    each = {name: (calls - before.get(name, 0)) / (many - few) for name, calls in after.items()}
    return {name: calls for name, calls in sorted(each.items(), key=lambda item: -item[1]) if calls >= 0.01}


def show(cells: Sequence[tuple[Workload, str]], clients: Sequence[Client], hosts: Hosts) -> int:
    """Count clients in every cell and print a table; the exit status says whether something failed."""
    tools = {"valgrind": "instructions", "strace": "system calls"}
    for tool, what in tools.items():
        if shutil.which(tool) is None:
            print(f"no {what}: {tool} is not installed (Debian: apt-get install {tool})")
    measuring.load(hosts)
    lines, failed = [["workload", "Python", "client", "instructions/op", "system calls/op"]], False
    for workload, python in cells:
        for client in (client for client in clients if workload.lane in client.lanes):
            print(f"counting {workload.name} on {python}, {client.name} ...", flush=True)
            obstacle = client.obstacle(workload, python)
            try:
                if obstacle is not None:
                    raise WorkerError(obstacle)
                lines.append([workload.name, python, client.name, *_counted(client, workload, python, hosts)])
            except (WorkerError, ValueError, OSError) as error:
                failed = True
                lines.append([workload.name, python, client.name, "NOT COUNTED", str(error).replace("\n", " ")[:200]])
    print("\n" + aligned(lines))
    return int(failed)


def _counted(client: Client, workload: Workload, python: str, hosts: Hosts) -> list[str]:
    counted, called = "-", "-"
    if shutil.which("valgrind") and workload.lane == "sync":
        counted = f"{instructions(client, workload, python, hosts):,.0f}"
    if shutil.which("strace"):
        calls = system_calls(client, workload, python, hosts)
        by_name = ", ".join(f"{name} {count:.2f}" for name, count in calls.items())
        called = f"{sum(calls.values()):.2f} ({by_name})"
    return [counted, called]
