"""Results before times: what every client has to return for a workload, and where it returns something else."""

from __future__ import annotations

from typing import Any

from benchmark.lanes import records

# Operations whose results are looked at: all records of a set, or all batches of a slot and one more to start over.
OPERATIONS = {"get": 1_001, "put": 1_001, "mixed": 2_002, "batch": 6, "gathered": 6, "single": 6}


class WrongResultError(RuntimeError):
    """A client returned something else than what is stored."""


def expected(kind: str, operations: int) -> list[Any]:
    """The results of the first operations of the first thread or task, as the protocol carries them."""
    return [records.plain(_expected(kind, step)) for step in range(operations)]


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


def difference(got: Any, want: Any, path: str = "it") -> str | None:
    """Say where two values of the protocol's JSON differ, or nothing if they do not."""
    # True equals 1 and 1 equals 1.0, but no client may return one for the other.
    if type(got) is not type(want):
        return f"{path} is {got!r:.200} instead of {want!r:.200}"
    if isinstance(want, dict):
        if got.keys() != want.keys():
            return f"{path} is {sorted(got)!r:.200} instead of {sorted(want)!r:.200}"
        if "map" in want:
            return _difference_of_maps(dict(_pairs(got)), dict(_pairs(want)), path)
    return None if got == want else f"{path} is {got!r:.200} instead of {want!r:.200}"


def _pairs(value: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(str(name), entry) for name, entry in value["map"]]


def _difference_of_maps(got: dict[str, Any], want: dict[str, Any], path: str) -> str | None:
    if got.keys() != want.keys():
        return f"{path} lacks {sorted(want.keys() - got.keys())[:5]} and has {sorted(got.keys() - want.keys())[:5]}"
    for name, entry in want.items():
        where = difference(got[name], entry, f"{path}[{name!r}]")
        if where is not None:
            return where
    return None


def written(kind: str) -> list[tuple[records.Key, records.Bins]]:
    """The records that are stored after a client's operations have been looked at."""
    return records.writes(0) if kind in ("put", "mixed") else []
