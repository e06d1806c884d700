"""The records of all clients, the order in which they are asked for, and the JSON that carries results back.

Standard library only: it is imported by the Python of every client. `benchmark/rust-core` follows the same order.
"""

from __future__ import annotations

import itertools
from typing import Any

NAMESPACE = "test"
SETS = 9
RECORDS_PER_SET = 1_000
KEYS_PER_BATCH = 200
WRITTEN = "lanes_written"
"""The set that writes go to; reads never look there."""

# Coprime to the number of records, so that consecutive steps visit every record of a set once, in no order that a cache
# would like.
_STRIDE = 389
_SLOT_STRIDE = 97

Key = tuple[str, str, str]
Bins = dict[str, Any]


def set_name(set_index: int) -> str:
    return f"lanes_{set_index}"


def user_key(set_index: int, number: int) -> str:
    """A user key that no other set has, so that one dictionary holds the records of all of them."""
    return f"user-{set_index}-{number:04d}"


def bins_of(set_index: int, number: int) -> Bins:
    """Ten bins: three integers, two floats, three strings, bytes and a truth value."""
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


def number_at(slot: int, step: int) -> int:
    """The record that a thread or task asks for at a step."""
    return (step * _STRIDE + slot * _SLOT_STRIDE) % RECORDS_PER_SET


def key(set_index: int, number: int) -> Key:
    # Made anew by every call: threads without a GIL would contend for the reference counts of shared strings.
    return (NAMESPACE, set_name(set_index), user_key(set_index, number))


def read_keys(slot: int) -> list[Key]:
    """The keys that one thread or task reads one by one, in order; it starts over at the end."""
    return [key(0, number_at(slot, step)) for step in range(RECORDS_PER_SET)]


def writes(slot: int) -> list[tuple[Key, Bins]]:
    """The records that one thread or task writes, in order; it starts over at the end."""
    numbers = [number_at(slot, step) for step in range(RECORDS_PER_SET)]
    return [((NAMESPACE, WRITTEN, user_key(0, number)), bins_of(0, number)) for number in numbers]


def batches(slot: int, set_index: int) -> list[list[Key]]:
    """The batches that one thread or task reads from a set, in order; it starts over at the end."""
    numbers = [number_at(slot, step) for step in range(RECORDS_PER_SET)]
    return [
        [key(set_index, number) for number in numbers[first : first + KEYS_PER_BATCH]]
        for first in range(0, RECORDS_PER_SET, KEYS_PER_BATCH)
    ]


def requests(slot: int) -> list[list[list[Key]]]:
    """Requests of one batch per set, in order; the client starts over at the end."""
    return [list(of_sets) for of_sets in zip(*(batches(slot, set_index) for set_index in range(SETS)), strict=True)]


def joined_requests(slot: int) -> list[list[Key]]:
    """The same requests, each as one batch over all sets."""
    return [list(itertools.chain.from_iterable(of_sets)) for of_sets in requests(slot)]
