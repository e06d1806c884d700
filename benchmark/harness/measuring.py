"""One cell: its clients are started, verified, warmed up, and measured in rounds, each in an order of its own."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmark.harness import verifying
from benchmark.harness.clients import Client
from benchmark.harness.jobs import Job
from benchmark.harness.operations import Work
from benchmark.harness.servers import Server
from benchmark.harness.workloads import DRAIN_SECONDS, Cell
from benchmark.processes.values import WrongResultError
from benchmark.processes.worker import CannotError, Worker, WorkerError
from benchmark.web import rounds as web_rounds
from benchmark.web import verifying as web_verifying

# Between two clients' rounds: what the last one still does in the background is not the next one's, and the next one
# has run for a moment when its clock starts.
SETTLE_SECONDS = 0.02
LEAD_IN_SECONDS = 0.03
INFERENCE_THREADS = 2
"""Of a web service, for inference off the event loop."""


class Progress:
    """Who wants to know how far it is; by default nobody does."""

    def cell(self, cell: Cell, commands: Sequence[str]) -> None:
        """A cell begins."""

    def tick(self, member: str, tick: dict[str, Any]) -> None:
        """A second of a round is over."""

    def round(self, number: int, of: int) -> None:
        """All clients have done a round."""

    def failed(self, member: str, why: str) -> None:
        """A client is left out from now on."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    warm_up_seconds: float
    seed: int


@dataclass
class Running:
    """A client that takes part."""

    worker: Worker
    entry: dict[str, Any]

    @property
    def name(self) -> str:
        return member_name(self.entry["client"], self.entry["python"])

    def address(self, work: Work) -> str:
        """What a web service is asked for."""
        return web_rounds.address(self.entry["hello"]["port"], self.entry["client"], work)


def member_name(client: str, python: str) -> str:
    return f"{client}@{python}"


def start(client: Client, cell: Cell, python: str, server: Server) -> Worker:
    """Start the process of a client."""
    work, threads = cell.workload.work, INFERENCE_THREADS if cell.lane == "http" else cell.threads
    name = client.name
    job = Job(server.hosts, work, cell.lane, cell.concurrency, threads, client.loop, client.slowdown, name)
    command, environment = client.command(python, cell.lane), client.environment(cell.lane)
    return Worker(command, asdict(job), environment, name=member_name(name, python))


def pairs_of(clients: Sequence[Client], pythons: Sequence[str]) -> Iterable[tuple[Client, str]]:
    """Every client on every Python that it has; one that has none once."""
    for client in clients:
        for python in client.pythons:
            if python in pythons or client.module is None:
                yield client, python


def measure(
    cell: Cell,
    clients: Sequence[Client],
    pythons: Sequence[str],
    server: Server,
    plan: Plan,
    command: Callable[[Cell, str], str],
    progress: Progress,
) -> dict[str, Any]:
    """Measure a cell. A client that fails is left out from then on, and its failure is part of the result.

    Returns:
        The cell as result files have it.
    """
    rng = random.Random(f"{plan.seed} {cell.name}")
    result: dict[str, Any] = {
        **described(cell),
        "command": command(cell, ""),
        "members": [],
        "left_out": [],
        "order": [],
    }
    progress.cell(cell, [result["command"]])
    with contextlib.ExitStack() as stack:
        running: list[Running] = []
        able: list[tuple[Client, str, Worker]] = []
        # All of them first: they import what they need at the same time.
        for client, python in pairs_of(clients, pythons):
            why = client.obstacle(cell, python)
            if why is None:
                able.append((client, python, stack.enter_context(start(client, cell, python, server))))
            else:
                result["left_out"].append({"client": client.name, "python": python, "why": why})
        for client, python, worker in able:
            try:
                started = _begin(client, cell, python, worker, server, plan, progress)
            except CannotError as error:
                result["left_out"].append({"client": client.name, "python": python, "why": str(error)})
                continue
            started.entry["command"] = command(cell, client.name)
            result["members"].append(started.entry)
            if started.entry["failure"] is None:
                running.append(started)
        for number in range(plan.rounds):
            order = rng.sample(running, k=len(running))
            result["order"].append([member.name for member in order])
            for member in order:
                try:
                    member.entry["rounds"].append({"number": number, **_round(member, cell, server, plan, number)})
                except WorkerError as error:
                    member.entry["failure"] = str(error)
                    progress.failed(member.name, str(error))
                    running.remove(member)
            progress.round(number + 1, plan.rounds)
    return result


def described(cell: Cell) -> dict[str, Any]:
    """A cell without what was measured in it."""
    return {
        "name": cell.name,
        "workload": asdict(cell.workload),
        "lane": cell.lane,
        "concurrency": cell.concurrency,
        "threads": cell.threads,
        "load": asdict(cell.load),
    }


def _begin(
    client: Client,
    cell: Cell,
    python: str,
    worker: Worker,
    server: Server,
    plan: Plan,
    progress: Progress,
) -> Running:
    entry: dict[str, Any] = {"client": client.name, "python": python, "what": client.what, "hello": {}}
    entry |= {"slowdown": client.slowdown, "verified_operations": 0, "rounds": [], "failure": None}
    worker.on_tick(lambda tick: progress.tick(worker.name, tick))
    running = Running(worker, entry)
    try:
        entry["hello"] = worker.ask("hello")
        entry["verified_operations"] = _verified(running, client, cell, server)
        _loop_for(running, cell, plan.warm_up_seconds)
    except CannotError:
        raise
    except (WorkerError, WrongResultError) as error:
        entry["failure"] = str(error)
        progress.failed(worker.name, str(error))
    return running


def _verified(running: Running, client: Client, cell: Cell, server: Server) -> int:
    work = cell.workload.work
    if cell.lane == "http":
        return web_verifying.verify(running.address(work), work, running.name)
    return verifying.verify(running.worker, work, cell.concurrency, server.hosts if client.stores else None)


def _loop_for(running: Running, cell: Cell, seconds: float) -> None:
    """A closed loop that nobody looks at: warm-up, and the moment before a round."""
    if cell.lane == "http":
        web_rounds.measured(running.worker, running.address(cell.workload.work), cell.concurrency, seconds, None)
    else:
        running.worker.ask("round", seconds=seconds, load={"kind": "closed"})


def _round(member: Running, cell: Cell, server: Server, plan: Plan, number: int) -> dict[str, Any]:
    time.sleep(SETTLE_SECONDS)
    _loop_for(member, cell, LEAD_IN_SECONDS)
    before = server.cpu_ns()
    if cell.lane == "http":
        url, rate = member.address(cell.workload.work), cell.load.rate
        result = web_rounds.measured(member.worker, url, cell.concurrency, plan.seconds, rate)
    else:
        # The same schedule for every client of a round.
        load = cell.load.request(plan.seed * 1_000 + number)
        result = member.worker.ask("round", seconds=plan.seconds, load=load, patience_seconds=DRAIN_SECONDS)
    after = server.cpu_ns()
    result["server_cpu_ns"] = None if before is None or after is None else after - before
    result["stages"] = _sums(result.get("stages"))
    if not result["operations"]:
        raise WorkerError(f"{member.name} did nothing in a round of {plan.seconds} s")
    return result


def _sums(operations: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Sums of stages, which can be added up over rounds; percentiles cannot."""
    if not operations:
        return None
    return [
        {
            "operation": entry["operation"],
            "count": entry["count"],
            "wall_ns": entry["wall"]["total_ns"],
            "stages": {name: stage["total_ns"] for name, stage in entry["stages"].items()},
            "deferred_ns": (entry.get("deferred") or {}).get("total_ns", 0),
        }
        for entry in operations
    ]
