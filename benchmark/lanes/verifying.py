"""Results before times: what every client has to return for a workload, and where it returns something else."""

from __future__ import annotations

from typing import Any

from benchmark.lanes import records
from benchmark.processes.values import WrongResultError, difference, plain

# Operations whose results are looked at: all records of a set, or all batches of a slot and one more to start over.
OPERATIONS = {"get": 1_001, "put": 1_001, "mixed": 2_002, "batch": 6, "gathered": 6, "single": 6}


def expected(kind: str, operations: int) -> list[Any]:
    """The results of the first operations of the first thread or task, as the protocol carries them."""
    return [plain(_expected(kind, step)) for step in range(operations)]


def _expected(kind: str, step: int) -> Any:
    if kind == "get":
        return records.bins_of(0, records.number_at(0, step))
    if kind == "put":
        return None
    if kind == "mixed":
        return None if step % 2 else records.bins_of(0, records.number_at(0, step // 2))
    sets = 1 if kind == "batch" else records.SETS
    first = step * records.KEYS_PER_BATCH
    numbers = [records.number_at(0, n) for n in range(first, first + records.KEYS_PER_BATCH)]
    return {
        records.user_key(set_index, number): records.bins_of(set_index, number)
        for set_index in range(sets)
        for number in numbers
    }


def check_results(client: str, kind: str, results: list[Any], operations: int) -> None:
    """Compare results, value by value and kind by kind.

    Raises:
        WrongResultError: The first difference, and where it is.
    """
    wanted = expected(kind, operations)
    if len(results) != len(wanted):
        raise WrongResultError(f"{client}: {len(results)} results of {kind} instead of {len(wanted)}")
    for step, (got, want) in enumerate(zip(results, wanted, strict=True)):
        where = difference(got, want)
        if where is not None:
            raise WrongResultError(f"{client}: result {step} of {kind} is wrong: {where}")


def written(kind: str) -> list[tuple[records.Key, records.Bins]]:
    """The records that are stored after a client's operations have been looked at."""
    return records.writes(0) if kind in ("put", "mixed") else []
