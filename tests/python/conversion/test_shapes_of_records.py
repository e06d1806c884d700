"""Records that are read one at a time: those that look alike share the making of their dictionaries, and nothing else.

A shape is remembered when it has been seen twice, so every record is read several times, among others that look
almost like it.
"""

import gc
import itertools

import pytest

ROUNDS = 6

# The same first name and the same number of bins; a part of another; the same names in another order; one name apart.
ALMOST_ALIKE = [
    {"a": 1, "b": 2, "c": 3},
    {"a": 1, "b": 2, "d": 3},
    {"a": 1, "c": 2, "b": 3},
    {"a": 1, "b": 2},
    {"a": 1, "b": 2, "c": 3, "d": 4},
    {"b": 1, "c": 2, "a": 3},
    {"a": "text", "b": [1, {"k": b"bytes"}], "c": 0.5},
]


def stored(client, records, of_set):
    """Put records and return them by key."""
    by_key = {("test", of_set, number): bins for number, bins in enumerate(records)}
    for key, bins in by_key.items():
        client.put(key, bins)
    return by_key


def check(found, bins):
    assert found == bins
    assert list(found) == list(bins)
    assert [type(value) for value in found.values()] == [type(value) for value in bins.values()]


def test_records_that_are_almost_alike_stay_apart(client, fresh_set):
    by_key = stored(client, ALMOST_ALIKE, fresh_set)
    for key, bins in by_key.items():
        for _ in range(ROUNDS):
            check(client.get(key).bins, bins)
    for (key, bins), (other, other_bins) in itertools.permutations(by_key.items(), 2):
        for _ in range(3):
            check(client.get(key).bins, bins)
            check(client.get(other).bins, other_bins)


def test_records_that_all_differ(client, fresh_set):
    records = [{"first": number, f"n{number}": number, f"m{number % 7}": "text"} for number in range(100)]
    by_key = stored(client, records, fresh_set)
    for _ in range(3):
        for key, bins in by_key.items():
            check(client.get(key).bins, bins)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 300])
def test_records_with_many_bins(client, fresh_set, count):
    bins = {f"bin{number}": number for number in range(count)}
    key = ("test", fresh_set, count)
    client.put(key, bins)
    for _ in range(ROUNDS):
        check(client.get(key).bins, bins)


def test_dictionaries_are_the_callers_own(client, fresh_set):
    key = ("test", fresh_set, 0)
    client.put(key, {"a": 1, "b": [2]})
    for _ in range(ROUNDS):
        bins = client.get(key).bins
        check(bins, {"a": 1, "b": [2]})
        bins["a"] = "changed"
        bins["b"].append(3)
        bins["c"] = "new"
        del bins["b"]


def test_a_select_has_the_shape_of_what_it_asks_for(client, fresh_set):
    key = ("test", fresh_set, 0)
    client.put(key, {"a": 1, "b": 2, "c": 3})
    for _ in range(ROUNDS):
        check(client.get(key).bins, {"a": 1, "b": 2, "c": 3})
        check(client.select(key, ["a", "c"]).bins, {"a": 1, "c": 3})
        check(client.select(key, ["a", "b"]).bins, {"a": 1, "b": 2})


class ReadsWhenCollected:
    """Garbage that reads records when it is collected, which may be while a record is converted."""

    def __init__(self, read):
        self.read = read
        self.itself = self

    def __del__(self):
        self.read()


def test_a_record_is_read_while_another_is_converted(client, fresh_set):
    outer = {f"outer{number}": [number] for number in range(40)}
    inner = {f"outer{number}": {"n": number} for number in range(40)}
    outer_key, inner_key = ("test", fresh_set, "outer"), ("test", fresh_set, "inner")
    client.put(outer_key, outer)
    client.put(inner_key, inner)
    wrong = []

    def read_inner():
        found = client.get(inner_key).bins
        if found != inner:
            wrong.append(found)

    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for _ in range(100):
            ReadsWhenCollected(read_inner)
            check(client.get(outer_key).bins, outer)
    finally:
        gc.set_threshold(*before)
        gc.collect()
    assert not wrong
