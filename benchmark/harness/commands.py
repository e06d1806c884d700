"""The commands `run`, `list`, `report`, `compare` and `self-check`, for `python -m benchmark` and whoever delegates."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.harness import comparing, report, results, selfcheck
from benchmark.harness.clients import known_clients
from benchmark.harness.running import Request, plan_text, run
from benchmark.harness.workloads import SUITES, WORKLOADS
from benchmark.processes.places import PYTHONS

DEFAULT_SUITE = "standard"


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(prog="python -m benchmark", description="Benchmarks that can be rerun.")
    commands = described.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="measure cells and write a result file"))
    commands.add_parser("list", help="list suites, workloads and clients")
    add = commands.add_parser("report", help="make Markdown and HTML of a result file").add_argument
    add("file", type=Path, nargs="+", help="result files; cells of later ones are added to those of the first")
    add("--markdown", type=Path, metavar="FILE", help="write Markdown there (default: standard output)")
    add("--html", type=Path, metavar="FILE", help="write one HTML page with charts there")
    add = commands.add_parser("compare", help="look for regressions; exit status 1 if there are any").add_argument
    add("old", type=Path)
    add("new", type=Path, nargs="?", help="another result file; without one, clients of the first are compared")
    add("--between", metavar="OLD,NEW", help="two clients of one file, for instance base,ours")
    add("--threshold", type=float, default=comparing.THRESHOLD, help="changes smaller than this part are none")
    add = commands.add_parser("self-check", help="measure the harness: null client, planted changes").add_argument
    add("--rounds", type=int, default=20)
    add("--seconds", type=float, default=0.3, help="length of a round")
    add("--seed", type=int, default=1)
    add("--cell", default=selfcheck.CELL, help="where changes are planted")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured")
    return described


def _add_run(into: argparse.ArgumentParser) -> None:
    add = into.add_argument
    add("--suite", action="append", choices=tuple(SUITES), help=f"may be repeated (default: {DEFAULT_SUITE})")
    add("--cell", action="append", metavar="NAME", help="only this one; may be repeated")
    add("--clients", metavar="NAME,...", help="only these (default: all but those that must be asked for)")
    add("--python", action="append", choices=PYTHONS, help="only on this one; may be repeated (default: all)")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=0.4, help="how long each client runs in each round (default: 0.4)")
    add("--minutes", type=float, help="how long everything may take, instead of --seconds")
    add("--warm-up", type=float, default=0.3, metavar="SECONDS", help="how long each client runs before (default: 0.3)")
    add("--seed", type=int, default=1, help="of the order of clients and of arrivals")
    add("--base", type=Path, metavar="CHECKOUT", help="another checkout of ours, built, to compare with as well")
    add("--json", type=Path, metavar="FILE", help="the result file; compressed if it ends with .gz")
    add("--plan", action="store_true", help="print what would be measured, and for how long, and measure nothing")
    add("--quick", action="store_true", help="three rounds of a tenth of a second: does it run?")


def request_of(arguments: argparse.Namespace) -> Request:
    """What is to be measured."""
    cells = list(arguments.cell or [])
    for suite in arguments.suite or ([] if cells else [DEFAULT_SUITE]):
        cells += [cell for cell in SUITES[suite] if cell not in cells]
    return Request(
        cells=cells,
        clients=arguments.clients.split(",") if arguments.clients else None,
        pythons=tuple(arguments.python or PYTHONS),
        rounds=3 if arguments.quick else arguments.rounds,
        seconds=0.1 if arguments.quick else arguments.seconds,
        warm_up_seconds=0.1 if arguments.quick else arguments.warm_up,
        minutes=arguments.minutes,
        seed=arguments.seed,
        base=arguments.base.resolve() if arguments.base else None,
    )


def show_list() -> int:
    print("suites:")
    for name, cells in SUITES.items():
        print(f"  {name:<16} {len(cells)} cells, {cells[0]} ... {cells[-1]}")
    print("workloads:")
    for workload in WORKLOADS.values():
        print(f"  {workload.name:<30} {workload.what}")
    print("clients:")
    for client in known_clients():
        asked = " (must be asked for)" if client.extra else ""
        print(f"  {client.name:<20} {', '.join(client.pythons):<13} {', '.join(client.lanes):<17} {client.what}{asked}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    if arguments.plan:
        print(plan_text(request_of(arguments)))
        return 0
    document = run(request_of(arguments))
    if arguments.json:
        results.write(arguments.json, document)
        print(f"\nwritten to {arguments.json}; a report: python -m benchmark report {arguments.json}")
    failed = [
        f"{cell['name']}: {member['failure']}"
        for cell in document["cells"]
        for member in cell["members"]
        if member["failure"] is not None
    ]
    for problem in failed:
        print(f"NOT MEASURED: {problem}", file=sys.stderr)
    return 1 if failed else 0


def _report(arguments: argparse.Namespace) -> int:
    documents = [results.read(path) for path in arguments.file]
    found = report.of_documents(documents, [path.name for path in arguments.file])
    if arguments.html:
        arguments.html.write_text(found.html())
    if arguments.markdown:
        arguments.markdown.write_text(found.markdown())
    elif not arguments.html:
        print(found.markdown())
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    old = results.read(arguments.old)
    if (arguments.new is None) == (arguments.between is None):
        raise ValueError("compare two files, or two clients of one file with --between OLD,NEW")
    if arguments.new is None:
        before, _, after = arguments.between.partition(",")
        found = comparing.clients(old, before, after, arguments.threshold)
    else:
        found = comparing.files(old, results.read(arguments.new), arguments.threshold)
    if not found:
        print("nothing can be compared: no client was measured often enough in the same cell", file=sys.stderr)
        return 2
    print(comparing.text(found))
    return 1 if comparing.regressions(found) else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 well, 1 something was found or failed, 2 it could not be done."""
    described = parser()
    arguments = described.parse_args(argv)
    try:
        if arguments.command == "run":
            return _run(arguments)
        if arguments.command == "list":
            return show_list()
        if arguments.command == "report":
            return _report(arguments)
        if arguments.command == "compare":
            return _compare(arguments)
        return selfcheck.check(arguments)
    except (ValueError, OSError) as error:
        described.error(str(error))
