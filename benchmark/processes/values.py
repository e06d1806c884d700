"""Results as JSON that keeps the kinds of values apart, and where two of them differ.

Standard library only: it is imported by the Python of every client.
"""

from __future__ import annotations

from typing import Any


class WrongResultError(RuntimeError):
    """A client returned something else than what is stored."""


def plain(value: Any) -> Any:
    """Turn a result into what JSON carries without losing the difference between kinds of values."""
    if isinstance(value, dict):
        return {
            "map": sorted(([plain(name), plain(entry)] for name, entry in value.items()), key=lambda pair: str(pair[0]))
        }
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": bytes(value).hex()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value)} is not what a client should return here: {value!r}")


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
