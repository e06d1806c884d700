"""The records of all clients, and the random numbers that say which of them is asked for, the same everywhere.

Standard library only: it is imported by the Python of every client. `benchmark/rust-core` draws the same numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

NAMESPACE = "test"
FEATURES = "features"
_MASK = (1 << 64) - 1
_SHAPE = re.compile(r"(\d+)x(int|float|str|bytes)(\d*)")

Key = tuple[str, str, str]
Bins = dict[str, Any]


def mix(number: int) -> int:
    """SplitMix64: a number that looks random, from one that need not."""
    z = (number + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


@dataclass(frozen=True)
class Space:
    """Which records exist: `sets` sets of `records` records, all bins of one shape.

    A shape is `features`, ten bins of the types that feature stores hold, or `<count>x<type><size>`: `1xint`,
    `10xfloat`, `1xstr100`, `1xbytes1000`; sizes are characters and bytes.
    """

    sets: int
    records: int
    shape: str

    def __post_init__(self) -> None:
        if self.shape != FEATURES and not _SHAPE.fullmatch(self.shape):
            raise ValueError(f"{self.shape!r} is no shape of records")

    def set_name(self, set_index: int) -> str:
        return f"bench_{self.shape}_{self.records}_{set_index}"

    def key(self, set_index: int, number: int) -> Key:
        # Made anew by every call: threads without a GIL would contend for the reference counts of shared strings.
        return (NAMESPACE, self.set_name(set_index), self.user_key(set_index, number))

    def user_key(self, set_index: int, number: int) -> str:
        """A user key that no other set has, so that one dictionary holds the records of all of them."""
        return f"key-{set_index}-{number:07d}"

    def missing_key(self, number: int) -> Key:
        """The key of a record that does not exist."""
        return self.key(0, self.records + number)

    def bins(self, set_index: int, number: int) -> Bins:
        if self.shape == FEATURES:
            return _features(set_index, number)
        match = _SHAPE.fullmatch(self.shape)
        assert match is not None
        count, kind, size = int(match[1]), match[2], int(match[3] or 8)
        return {f"b{bin_index}": _value(kind, size, mix(number * 1_000 + bin_index)) for bin_index in range(count)}

    def numeric(self) -> bool:
        """Whether every bin is a number, which is what arrays are made of."""
        return "int" in self.shape or "float" in self.shape


def _features(set_index: int, number: int) -> Bins:
    return {
        "user_id": 10_000_000_000 + set_index * 1_000_000 + number,
        "age": number % 90,
        "balance": -number * 37,
        "score": number * 0.37 + set_index,
        "ctr": 1.0 / (number + 3),
        "country": f"country-{number % 40}",
        "segment": f"segment-{set_index}-{number % 17}",
        "name": f"Zoë № {number}",
        "embedding": bytes((number + i) % 256 for i in range(64)),
        "active": number % 2 == 0,
    }


def _value(kind: str, size: int, random: int) -> Any:
    if kind == "int":
        return random >> 1
    if kind == "float":
        return random / 2**64
    pattern = f"{random:016x}"
    text = (pattern * (size // len(pattern) + 1))[:size]
    return text if kind == "str" else text.encode()
