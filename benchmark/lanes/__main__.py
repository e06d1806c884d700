"""The command line of `make bench-lanes`: `python -m benchmark.lanes --list` says what there is."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from aerospike_py.testing import EmbeddedServer

from benchmark.lanes import counts, measuring, report
from benchmark.lanes.clients import Client, known_clients
from benchmark.lanes.workloads import WORKLOADS, Workload, targets_of, workload_named
from benchmark.processes import stamps
from benchmark.processes.places import PYTHONS


@contextlib.contextmanager
def server() -> Iterator[tuple[list[tuple[str, int]], bool]]:
    """Where the server is, and whether it is ours: the one that is named, or an embedded node in its own process."""
    host = os.environ.get("AEROSPIKE_HOST")
    if host:
        yield [(host, int(os.environ.get("AEROSPIKE_PORT", "3000")))], False
        return
    with EmbeddedServer(nodes=1, process=True) as embedded:
        yield embedded.hosts, True


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(prog="python -m benchmark.lanes", description=__doc__)
    add = described.add_argument
    add("--workload", action="append", metavar="NAME", help="only this one; may be repeated")
    add("--clients", metavar="NAME,...", help="only these, and ours (default: all that have something to be compared)")
    add("--python", choices=PYTHONS, help="only on this one (default: where each workload has targets)")
    add("--rounds", type=int, default=15)
    add("--seconds", type=float, default=0.5, help="how long each client runs in each round (default: 0.5)")
    add("--warm-up", type=float, default=0.5, metavar="SECONDS", help="how long each client runs before (default: 0.5)")
    add("--stages", choices=("off", "on"), default="off", help="whether our client records stages (default: off)")
    add("--seed", type=int, default=1, help="seed of the order of clients")
    add("--base", type=Path, metavar="CHECKOUT", help="another checkout of ours, built, to compare with as well")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured")
    add("--quick", action="store_true", help="three rounds of a fifth of a second: does it run?")
    add(
        "--counts",
        action="store_true",
        help="count instructions and system calls per operation instead, ours unless --clients says otherwise",
    )
    add("--list", action="store_true", help="list workloads, clients and targets")
    return described


def chosen_clients(known: Sequence[Client], names: str | None, workload: Workload, python: str) -> list[Client]:
    """The clients of a cell."""
    against = {target.against for target in targets_of(workload.name, python)}
    if names is None:
        core = any(name.startswith("rust-core") for name in against)
        return [client for client in known if not client.only_with_targets or core]
    wanted = {"ours", *names.split(",")}
    unknown = wanted - {client.name for client in known}
    if unknown:
        raise ValueError(f"no client is called {', '.join(sorted(unknown))}; --list names them")
    return [client for client in known if client.name in wanted]


def cells_of(workloads: Sequence[Workload], python: str | None) -> list[tuple[Workload, str]]:
    return [(workload, each) for workload in workloads for each in ([python] if python else workload.pythons)]


def show_list(known: Sequence[Client]) -> None:
    print("workloads:")
    for workload in WORKLOADS:
        print(f"  {workload.name:<20} {', '.join(workload.pythons):<14} {workload.what}")
        for python in workload.pythons:
            for target in targets_of(workload.name, python):
                print(f"      {python:<6} {target.subject} / {target.against}: {target.quantity.name} {target.text()}")
    print("clients:")
    for client in known:
        print(f"  {client.name:<24} {client.what}")


def rerun_command(workload: Workload, python: str, arguments: argparse.Namespace) -> str:
    """The command that measures one cell alone."""
    parts = [".venv/bin/python", "-m", "benchmark.lanes", "--workload", workload.name, "--python", python]
    parts += ["--rounds", str(arguments.rounds), "--seconds", str(arguments.seconds), "--stages", arguments.stages]
    parts += ["--warm-up", str(arguments.warm_up), "--seed", str(arguments.seed)]
    parts += ["--clients", arguments.clients] if arguments.clients else []
    parts += ["--base", str(arguments.base)] if arguments.base else []
    return shlex.join(parts)


def say(text: str) -> None:
    """Rounds are counted on one line where there is a terminal, and not at all elsewhere."""
    if sys.stdout.isatty():
        print(f"\r{text}\x1b[K", end="" if "round" in text else "\n", flush=True)
    elif not text.startswith("  round"):
        print(text, flush=True)


def run(arguments: argparse.Namespace) -> int:
    workloads = [workload_named(name) for name in arguments.workload] if arguments.workload else list(WORKLOADS)
    base = arguments.base.resolve() if arguments.base else None
    known = known_clients(stages=arguments.stages == "on", base=base)
    if arguments.list:
        show_list(known)
        return 0
    cells = []
    with server() as (hosts, embedded):
        if arguments.counts:
            wanted = arguments.clients.split(",") if arguments.clients else counts.COUNTED
            clients = [client for client in known if client.name in wanted]
            return counts.show(cells_of(workloads, arguments.python), clients, hosts)
        stamp = stamps.stamp(hosts, embedded)
        print(stamps.summary(stamp))
        measuring.load(hosts)
        plan = measuring.Plan(arguments.rounds, arguments.seconds, arguments.warm_up, arguments.seed)
        for workload, python in cells_of(workloads, arguments.python):
            print(f"\n{workload.name} on {python}: {workload.what}")
            print(f"  {rerun_command(workload, python, arguments)}")
            clients = chosen_clients(known, arguments.clients, workload, python)
            cell = measuring.measure(workload, python, clients, hosts, plan, say)
            cells.append(cell)
            say("  measured " + ", ".join(name for name, client in cell.clients.items() if client.rounds))
            for name, why in cell.left_out.items():
                print(f"  without {name}: {why}")
    rows = [row for cell in cells for row in report.rows_of(cell)]
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report.as_json(cells, rows, stamp), indent=1) + "\n")
    return show(cells, rows)


def show(cells: Sequence[measuring.Cell], rows: Sequence[report.Row]) -> int:
    """Print figures, comparisons and targets; the exit status says whether everything could be measured."""
    targeted = [row for row in rows if row.target is not None]
    print(f"\nMedians over rounds\n\n{report.figures_table(cells)}")
    print(f"\nMedians of the ratios of rounds\n\n{report.orientation_table(rows)}")
    if targeted:
        print(f"\nTargets: medians of the ratios of rounds, with their intervals\n\n{report.table(targeted)}")
        reached = sum(row.verdict().startswith("yes") for row in targeted)
        print(f"\n{reached} of {len(targeted)} targets reached")
    wrong = report.problems(cells, rows)
    for problem in wrong:
        print(f"{report.NOT_MEASURED}: {problem}", file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    described = parser()
    arguments = described.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.warm_up = 3, 0.2, 0.2
    try:
        return run(arguments)
    except ValueError as error:
        described.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
