"""A whole run: cells one after the other, on one server, into one document; and what people see of it meanwhile."""

from __future__ import annotations

import datetime
import math
import shlex
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.harness import figures, measuring
from benchmark.harness.clients import Client, chosen, known_clients
from benchmark.harness.data import Space
from benchmark.harness.results import FORMAT, VERSION
from benchmark.harness.servers import load, server
from benchmark.harness.workloads import KEYS, Cell, cell_named
from benchmark.processes import stamps
from benchmark.processes.places import PYTHONS
from benchmark.web import load as load_generator

# What a client costs besides its warm-up and its rounds (starting, verifying), and each round besides its seconds: of
# the harness itself, and of web services, which import more, and whose last requests are waited for. For `minutes`.
_MEMBER_SECONDS, _ROUND_SECONDS = 0.7, 0.06
_WEB_MEMBER_SECONDS, _WEB_ROUND_SECONDS = 1.0, 0.4
# What a set of a hundred thousand records costs.
_LOADING_SECONDS = 3.0
_LEAST_SECONDS = 0.05


@dataclass(frozen=True)
class Request:
    """What is to be measured."""

    cells: list[str]
    clients: list[str] | None = None
    pythons: tuple[str, ...] = PYTHONS
    rounds: int = 5
    seconds: float = 0.4
    warm_up_seconds: float = 0.3
    minutes: float | None = None
    seed: int = 1
    base: Path | None = None

    def command(self, cell: Cell, client: str) -> str:
        """The command that measures one cell alone, or one client in it."""
        parts = [".venv/bin/python", "-m", "benchmark", "run", "--cell", cell.name]
        clients = [client] if client else self.clients
        parts += ["--clients", ",".join(clients)] if clients else []
        for python in self.pythons if self.pythons != PYTHONS else ():
            parts += ["--python", python]
        parts += ["--rounds", str(self.rounds), "--seconds", f"{self.seconds:g}"]
        parts += ["--warm-up", f"{self.warm_up_seconds:g}", "--seed", str(self.seed)]
        parts += ["--base", str(self.base)] if self.base else []
        return shlex.join(parts)


class Shown(measuring.Progress):
    """Progress for people: a line per cell and failure; ticks and rounds only where there is a terminal."""

    def cell(self, cell: Cell, commands: Sequence[str]) -> None:
        print(f"\n{cell.name}: {cell.workload.what}")
        for command in commands:
            print(f"  {command}", flush=True)

    def tick(self, member: str, tick: dict[str, Any]) -> None:
        done, errors = tick["operations"], tick["errors"]
        self._fleeting(f"  {member}: {done:,} operations in the last second, {errors} errors")

    def round(self, number: int, of: int) -> None:
        self._fleeting(f"  round {number} of {of}")

    def failed(self, member: str, why: str) -> None:
        print(f"  WITHOUT {member}: {why[-300:]}", flush=True)

    def _fleeting(self, text: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{text}\x1b[K", end="", flush=True)


def run(request: Request, progress: measuring.Progress | None = None) -> dict[str, Any]:
    """Measure; returns the document of a result file.

    Raises:
        ValueError: A cell or a client is not known.
    """
    cells = [cell_named(name) for name in request.cells]
    clients = chosen(known_clients(request.base), request.clients)
    request = within(request, cells, clients)
    progress = progress or Shown()
    plan = measuring.Plan(request.rounds, request.seconds, request.warm_up_seconds, request.seed)
    loaded: set[Space] = set()
    with server() as running:
        stamp = stamps.stamp(running.hosts, running.pid is not None)
        if any(cell.lane == "http" for cell in cells):
            stamp["load_generator"] = load_generator.version()
        print(stamps.summary(stamp))
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "run": {"id": str(uuid.uuid4()), "started": _now(), "arguments": sys.argv[1:], "plan": asdict(plan)},
            "stamp": stamp,
            "cells": [],
        }
        for cell in cells:
            space = cell.workload.work.space
            if cell.workload.work.kind != "nothing" and space not in loaded:
                load(running.hosts, space)
                loaded.add(space)
            found = measuring.measure(cell, clients, request.pythons, running, plan, request.command, progress)
            document["cells"].append(found)
            if isinstance(progress, Shown):
                print(("\r\x1b[K" if sys.stdout.isatty() else "") + table(found), flush=True)
        document["run"]["ended"] = _now()
    return document


def within(request: Request, cells: Sequence[Cell], clients: Sequence[Client]) -> Request:
    """Shorten or lengthen the rounds so that everything takes the minutes that are given.

    Raises:
        ValueError: They are too few.
    """
    if request.minutes is None:
        return request
    members = sum(len(members_of(cell, clients, request.pythons)) for cell in cells)
    fixed = sum(seconds_of(replace(request, seconds=0), cells, clients))
    seconds = (request.minutes * 60 - fixed) / max(1, members * request.rounds)
    if seconds < _LEAST_SECONDS:
        least = (fixed + members * request.rounds * _LEAST_SECONDS) / 60
        raise ValueError(
            f"{request.minutes:g} minutes are too few for {members} clients in cells: {least:.0f} at least"
        )
    return replace(request, seconds=math.floor(seconds * 100) / 100, minutes=None)


def members_of(cell: Cell, clients: Sequence[Client], pythons: Sequence[str]) -> list[str]:
    """Who is measured in a cell."""
    pairs = measuring.pairs_of(clients, pythons)
    return [measuring.member_name(client.name, python) for client, python in pairs if not client.obstacle(cell, python)]


def seconds_of(request: Request, cells: Sequence[Cell], clients: Sequence[Client]) -> list[float]:
    """How long each cell takes, roughly; the first of a set of records has to load them."""
    found, loaded = [], set[Space]()
    for cell in cells:
        space, web = cell.workload.work.space, cell.lane == "http"
        one, each = (_WEB_MEMBER_SECONDS, _WEB_ROUND_SECONDS) if web else (_MEMBER_SECONDS, _ROUND_SECONDS)
        member = one + request.warm_up_seconds + request.rounds * (request.seconds + each)
        loading = 0.0 if space in loaded else _LOADING_SECONDS * space.sets * space.records / KEYS
        loaded.add(space)
        found.append(loading + member * len(members_of(cell, clients, request.pythons)))
    return found


def plan_text(request: Request) -> str:
    """What a run would measure, and how long that takes, cell by cell.

    Raises:
        ValueError: A cell or a client is not known, or the minutes are too few.
    """
    cells = [cell_named(name) for name in request.cells]
    clients = chosen(known_clients(request.base), request.clients)
    request = within(request, cells, clients)
    seconds = seconds_of(request, cells, clients)
    lines = [
        f"{each:>6.0f} s  {cell.name:<44} {len(found):>2}: {', '.join(found)}"
        for cell, each in zip(cells, seconds, strict=True)
        for found in [members_of(cell, clients, request.pythons)]
    ]
    lines.append(f"{request.rounds} rounds of {request.seconds:g} s per client; {sum(seconds) / 60:.1f} minutes in all")
    return "\n".join(lines)


def table(cell: dict[str, Any]) -> str:
    """The figures of a cell for people."""
    names = ("throughput", "p50", "p99", "CPU per op", "server CPU per op", "failed")
    lines = [f"  {'client':<26} {'op/s':>21} {'p50 us':>19} {'p99 us':>19} {'CPU us':>8} {'server':>7} {'failed':>8}"]
    for member in cell["members"]:
        if not member["rounds"]:
            continue
        found = figures.of_rounds(member["rounds"])
        throughput, p50, p99, cpu, of_server, failed = (found.get(name) for name in names)
        name = measuring.member_name(member["client"], member["python"])
        lines.append(
            f"  {name:<26} {_text(throughput, 0):>21} {_text(p50, 1):>19} {_text(p99, 1):>19} "
            f"{_estimate(cpu):>8} {_estimate(of_server):>7} {failed.estimate if failed else 0:>8.2%}"
        )
    return "\n".join(lines)


def _text(interval: figures.Interval | None, digits: int) -> str:
    if interval is None:
        return "-"
    value, reach = interval.estimate, max(interval.high - interval.estimate, interval.estimate - interval.low)
    return f"{value:,.{digits}f} ±{reach / value:.1%}" if value and math.isfinite(reach) else f"{value:,.{digits}f}"


def _estimate(interval: figures.Interval | None) -> str:
    return "-" if interval is None else f"{interval.estimate:,.1f}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
