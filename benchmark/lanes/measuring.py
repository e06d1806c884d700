"""One cell, a workload on a Python: clients are started, verified, warmed up and measured in alternating rounds."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import aerospike_py

from benchmark.lanes import records, verifying
from benchmark.lanes.clients import Client
from benchmark.lanes.serving import Job
from benchmark.lanes.workloads import Workload
from benchmark.processes.values import WrongResultError, difference, plain
from benchmark.processes.worker import Worker, WorkerError

Hosts = list[tuple[str, int]]
Say = Callable[[str], None]

LOAD_BATCH = 500


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    warm_up_seconds: float
    seed: int


@dataclass
class Measured:
    """What a client did in a cell: who it said it was, and its figures, one entry per round."""

    hello: dict[str, Any] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    failure: str | None = None


@dataclass
class Cell:
    """All clients on one workload and one Python."""

    workload: Workload
    python: str
    clients: dict[str, Measured] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Clients that cannot do this at all, and why."""


def load(hosts: Hosts) -> None:
    """Write the records that everybody reads."""
    with aerospike_py.client({"hosts": hosts}).connect() as client:
        for set_index in range(records.SETS):
            for first in range(0, records.RECORDS_PER_SET, LOAD_BATCH):
                numbers = range(first, first + LOAD_BATCH)
                rows = [(records.key(set_index, n), records.bins_of(set_index, n)) for n in numbers]
                failed = [row for row in client.batch_write(rows).batch_records if row.result != 0]
                if failed:
                    raise RuntimeError(f"{len(failed)} of {len(rows)} records were not written: {failed[0]}")


def verify(worker: Worker, kind: str, hosts: Hosts) -> None:
    """Look at the results of a client's first operations, and at what it has written.

    Raises:
        WrongResultError: A value is not what it should be.
    """
    operations = verifying.OPERATIONS[kind]
    stored = verifying.written(kind)
    with aerospike_py.client({"hosts": hosts}).connect() as client:
        # What another client has written must not pass for this one's.
        for key, _ in stored:
            with contextlib.suppress(aerospike_py.RecordNotFound):
                client.remove(key)
        results = worker.ask("verify", operations=operations)["results"]
        verifying.check_results(worker.name, kind, results, operations)
        found = client.batch_read([key for key, _ in stored]).to_dict() if stored else {}
    for (_, _, user_key), bins in stored:
        got = plain(found.get(user_key, {}))
        where = difference(got, plain(bins), f"what it has written to {user_key}")
        if where is not None:
            raise WrongResultError(f"{worker.name}: {where}")


def start(client: Client, workload: Workload, python: str, hosts: Hosts) -> Worker:
    """Start the process of a client."""
    job = Job(hosts, workload.kind, workload.lane, workload.concurrency, client.loop)
    return Worker(client.command(python), asdict(job), client.environment(), name=client.name)


def measure(workload: Workload, python: str, clients: Sequence[Client], hosts: Hosts, plan: Plan, say: Say) -> Cell:
    """Measure a cell. A client that fails is left out from then on, and its failure is part of the result."""
    cell = Cell(workload, python)
    rng = random.Random(f"{plan.seed} {workload.name} {python}")
    with contextlib.ExitStack() as stack:
        running: dict[str, Worker] = {}
        for client in clients:
            obstacle = client.obstacle(workload, python)
            if obstacle is not None:
                cell.left_out[client.name] = obstacle
                continue
            measured = cell.clients[client.name] = Measured()
            worker = stack.enter_context(start(client, workload, python, hosts))
            try:
                measured.hello = worker.ask("hello")
                verify(worker, workload.kind, hosts)
                worker.ask("round", seconds=plan.warm_up_seconds)
            except (WorkerError, WrongResultError) as error:
                measured.failure = str(error)
                say(f"  {client.name}: {error}")
                continue
            running[client.name] = worker
        for number in range(plan.rounds):
            for name in rng.sample(list(running), k=len(running)):
                try:
                    result = _round(running[name], plan.seconds)
                except WorkerError as error:
                    cell.clients[name].failure = str(error)
                    say(f"  {name}: {error}")
                    del running[name]
                    continue
                cell.clients[name].rounds.append(result)
            say(f"  round {number + 1} of {plan.rounds}")
    return cell


def _round(worker: Worker, seconds: float) -> dict[str, Any]:
    result = worker.ask("round", seconds=seconds)
    if result["errors"]:
        raise WorkerError(f"{worker.name} had {result['errors']} errors in a round, first {result['first_error']}")
    if not result["operations"]:
        raise WorkerError(f"{worker.name} did nothing in a round of {seconds} s")
    return result
