"""Results before times: what a client returns, and what it writes, is looked at before it is measured."""

from __future__ import annotations

from benchmark.harness.operations import READ, UPDATE, Work, expected, single_at
from benchmark.harness.servers import Hosts, spoil, stored
from benchmark.processes.values import WrongResultError, difference, plain
from benchmark.processes.worker import Worker

# Operations whose results are looked at; those that return many records are looked at less often.
_SINGLES, _COLD, _BATCHES, _REQUESTS = 200, 2, 4, 2


def operations_of(work: Work) -> int:
    return {"single": _SINGLES, "cold": _COLD, "batch": _BATCHES, "request": _REQUESTS}.get(work.kind, 1)


def written_first(work: Work, slots: int, operations: int) -> list[int]:
    """The records that the first operations write before they read them, if they read them at all."""
    seen: dict[int, int] = {}
    if work.kind == "single":
        for step in range(min(operations, work.steps(slots))):
            single = single_at(work, 0, step)
            if single.outcome in (READ, UPDATE):
                seen.setdefault(single.number, single.outcome)
    return [number for number, outcome in seen.items() if outcome == UPDATE]


def verify(worker: Worker, work: Work, slots: int, hosts: Hosts | None) -> int:
    """Look at the results of a client's first operations, and at what it has written; returns how many operations.

    Args:
        worker: The client.
        work: What its operations do.
        slots: Threads or tasks that the operations are spread over.
        hosts: The server that it writes to; nothing if it writes nowhere.

    Raises:
        WrongResultError: A value is not what it should be.
        WorkerError: The client failed.
    """
    operations = operations_of(work)
    numbers = written_first(work, slots, operations)
    keys = [work.space.key(0, number) for number in numbers]
    if keys and hosts:
        # What another client has written must not pass for this one's.
        spoil(hosts, keys)
    results = worker.ask("verify", operations=operations)["results"]
    if len(results) != operations:
        raise WrongResultError(f"{worker.name}: {len(results)} results instead of {operations}")
    for step, (got, want) in enumerate(zip(results, expected(work, slots, operations), strict=True)):
        where = difference(got, plain(want))
        if where is not None:
            raise WrongResultError(f"{worker.name}: result {step} of {work.kind} is wrong: {where}")
    found = stored(hosts, keys) if keys and hosts else []
    for number, bins in zip(numbers, found, strict=False):
        where = difference(plain(bins), plain(work.space.bins(0, number)), f"what it has written to record {number}")
        if where is not None:
            raise WrongResultError(f"{worker.name}: {where}")
    return operations
