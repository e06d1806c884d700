"""Batch reads that leave bins in the bytes of the reply: the same results as with bins decoded at once."""

import random
import sys

import aerospike_py
import numpy as np
import pytest
from expectations import raises_exactly

from lanes import make_api, open_api

VARIABLE = "AEROSPIKE_PY_RAW_REPLIES"

NAMES = ["n", "s", "größe", "x" * 15, "a b", "\N{SNOWMAN}", "1", "list", "map", "z"]


def scalar(numbers):
    """A value without parts; sizes and numbers lie around the boundaries of their encodings."""
    size = numbers.choice(
        [0, 1, 14, 15, 30, 31, 32, 254, 255, 256, 65_534, 65_535] if numbers.random() < 0.1 else [3, 20]
    )
    number = numbers.choice([-1, 1]) * 2 ** numbers.choice([0, 3, 5, 7, 8, 15, 16, 31, 32, 62]) - numbers.randrange(3)
    return numbers.choice(
        [
            number,
            number / 7,
            float("nan"),
            float("-inf"),
            -0.0,
            "y" * size,
            "ß\N{SNOWMAN}\U0001f40d",
            bytes(size),
            True,
            False,
        ]
    )


def value(numbers, depth):
    """A value that may have parts."""
    kind = numbers.random()
    if depth == 0 or kind < 0.6:
        return scalar(numbers)
    count = numbers.choice([0, 1, 3, 15, 16, 17])
    if kind < 0.8:
        return [value(numbers, depth - 1) if numbers.random() < 0.9 else None for _ in range(count)]
    keys = (scalar(numbers) for _ in range(count))
    return {key: value(numbers, depth - 1) for key in keys if type(key) in (int, str, bytes)}


DTYPES = [
    np.dtype([("n", "i8"), ("f", "f8"), ("s", "S6"), ("b", "V4"), ("flag", "?"), ("absent", "i2")]),
    np.dtype([("list", "i4", (4,)), ("n", "f4"), ("flag", "u1")]),
    np.dtype([("b", "u1", (4,)), ("f", "i4")]),
    np.dtype([("n", "i1")]),
    np.dtype([("s", "f8")]),
    np.dtype([("map", "i8", (2,))]),
    np.dtype([("map", "S9")]),
    np.dtype([("list", "S9")]),
    np.dtype([("list", "i4", (2,))]),
    np.dtype([("mixed", "f8", (4,))]),
    np.dtype([("flag", "S1")]),
]


def views(handle):
    """Everything that a handle shows of its records, in a form that shows types, order and numbers that are none."""
    shown = {
        "dict": handle.to_dict(),
        "list": handle.to_list(),
        "sets": handle.by_set(),
        "records": handle.batch_records,
        "iterated": list(handle.iter_records()),
        "merged": type(handle).merge_to_dict([handle, handle]),
        "keys": handle.all_user_keys(),
        "found": handle.found_count(),
        "length": len(handle),
        "items": list(handle.items()),
        "handle": handle,
    }
    return {name: repr(view) for name, view in shown.items()}


def array_or_error(handle, dtype):
    """The arrays of a batch as bytes, or why there are none."""
    try:
        arrays = handle.to_numpy(dtype)
    except (TypeError, OverflowError) as error:
        return type(error), str(error)
    return arrays.batch_records.tobytes(), arrays.meta.tobytes(), arrays.result_codes.tolist()


@pytest.fixture(scope="module")
def both(lane, any_config, loop_thread):
    """Two clients on one cluster: bins stay in the reply, and bins are decoded at once."""
    clients = [open_api(lane, {**any_config, "raw_replies": raw}, loop_thread) for raw in (True, False)]
    yield clients
    for client in clients:
        client.end()


def same(both, *arguments):
    """Read a batch in both ways, and return what the handles show after checking that it is the same."""
    raw, decoded = (views(client.batch_read(*arguments)) for client in both)
    assert raw == decoded
    return raw


@pytest.mark.parametrize("seed", range(12))
def test_any_records_are_the_same(both, fresh_set, seed):
    numbers = random.Random(seed)
    keys = [("test", fresh_set, number) for number in range(numbers.choice([2, 7, 40]))]
    shapes = [numbers.sample(NAMES, numbers.randrange(1, len(NAMES))) for _ in range(3)]
    records = [{name: value(numbers, 3) for name in numbers.choice(shapes)} for _ in keys]
    written = both[1].batch_write(list(zip(keys, records, strict=True)))
    assert {row.result for row in written.batch_records} == {0}
    asked = numbers.sample([*keys, ("test", fresh_set, "missing"), keys[0], keys[1]], k=len(keys) + 3)
    shown = same(both, asked)
    assert repr(records[1]) in shown["list"]
    same(both, asked, numbers.sample(NAMES, 4))


@pytest.mark.parametrize("seed", range(12))
def test_any_single_record_is_the_same(both, fresh_set, seed):
    numbers = random.Random(seed)
    for number in range(8):
        key = ("test", fresh_set, number)
        record = {name: value(numbers, 3) for name in numbers.sample(NAMES, numbers.randrange(1, len(NAMES)))}
        both[1].put(key, record)
        some = numbers.sample(NAMES, 4)
        raw, decoded = ([repr(client.get(key)), repr(client.select(key, some))] for client in both)
        assert raw == decoded
        assert repr(record) in raw[0]


def test_generations_and_missing_records_of_single_reads_are_the_same(both, fresh_set):
    key = ("test", fresh_set, "counted")
    for generation in (1, 2, 3):
        both[1].put(key, {"n": generation})
        for client in both:
            _, meta, bins = client.get(key)
            assert (meta.gen, bins) == (generation, {"n": generation})
            assert client.select(key, ["absent"]).bins == {}
    both[1].remove(key)
    messages = []
    for client in both:
        with pytest.raises(aerospike_py.RecordNotFound) as raised:
            client.get(key)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_records_too_large_to_be_read_ahead_are_the_same(both, fresh_set):
    for size in (7_900, 8_100, 8_192, 9_000, 70_000):
        key = ("test", fresh_set, size)
        both[1].put(key, {"text": "x" * size, "n": size})
        assert both[0].get(key) == both[1].get(key)


@pytest.fixture
def various(both, fresh_set):
    """Keys of records of several shapes, in two sets, some of which are missing."""
    shapes = [
        {"n": 5, "f": 2.5, "s": "text", "b": b"\x01\x02", "flag": True},
        {"s": "much longer than six bytes", "n": -7, "flag": False, "b": b"\0" * 9, "f": 1e300},
        {"list": [1, 2, 3], "map": {"a": 1}, "n": 300, "mixed": [1, 2.5, True, None]},
        {"list": [1, [2]], "map": {}, "mixed": ["x"]},
        {"list": [1, {"a": 2}], "s": "\N{SNOWMAN}"},
        {"n": 2**40},
    ]
    keys = [("test", fresh_set + "ab"[number % 2], number) for number in range(24)]
    both[1].batch_write([(key, shapes[key[2] % 6]) for key in keys if key[2] % 7])
    return keys


def test_records_of_several_shapes_and_sets(both, various):
    shown = same(both, various)
    assert "much longer" in shown["dict"]
    same(both, various, ["n", "map"])
    same(both, various, [])
    same(both, [*various, *various[:5], various[1]])
    same(both, various[1:2])
    same(both, [])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_and_their_errors(both, various, dtype):
    for keys in [various, various[1:3], *([key] * 2 for key in various[1:7])]:
        raw, decoded = (array_or_error(client.batch_read(keys), dtype) for client in both)
        assert raw == decoded


def test_keys_without_a_user_key_and_namespaces_that_do_not_exist(both, various):
    digests = [
        ("test", key[1], None, record.key.digest)
        for key, record in zip(various, both[1].batch_read(various).batch_records, strict=True)
    ]
    same(both, digests)
    same(both, [*various, ("nowhere", "set", 1), ("nowhere", "set", 2)])


def test_more_records_than_one_frame_holds(both, fresh_set):
    keys = [("test", fresh_set, number) for number in range(64)]
    both[1].batch_write([(key, {"blob": bytes([key[2]]) * (9_000 + key[2]), "n": key[2]}) for key in keys])
    same(both, keys)


def test_policies_that_change_the_answer(both, various):
    for policy in [{"respond_all_keys": False}, {"total_timeout": 0}, {"max_retries": 0, "socket_timeout": 500}]:
        same(both, various, None, policy)


def test_views_share_nothing_with_each_other(both, various):
    handle = both[0].batch_read(various)
    handle.to_list()[1]["n"] = "changed"
    handle.to_dict()[2]["n"] = "changed"
    handle.release_cache()
    assert "changed" not in repr(handle.to_dict()) + repr(handle.to_list()) + repr(handle.batch_records)


def test_a_result_takes_about_the_memory_that_was_received(both, fresh_set):
    keys = [("test", fresh_set, number) for number in range(40)]
    both[1].batch_write([(key, {"blob": bytes(2_000)}) for key in keys])
    raw, decoded = (sys.getsizeof(client.batch_read(keys)) for client in both)
    assert 40 * 2_000 < raw - decoded < 2 * 40 * 2_100
    both[0].batch_read(keys)
    small = sys.getsizeof(both[0].batch_read(keys[:2], []))
    assert small < 4_000


def kept_bytes(client, keys):
    return sys.getsizeof(client.batch_read(keys))


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ("0", False),
        ("false", False),
        (" No ", False),
        ("OFF", False),
        ("1", True),
        ("yes", True),
        ("on", True),
        ("", True),
    ],
)
def test_the_environment_decides_for_configurations_that_do_not(
    both, connect, any_config, various, monkeypatch, value, raw
):
    sizes = [kept_bytes(client, various) for client in both]
    monkeypatch.setenv(VARIABLE, value)
    assert kept_bytes(connect(any_config), various) == sizes[0 if raw else 1]
    assert kept_bytes(connect({**any_config, "raw_replies": not raw}), various) == sizes[1 if raw else 0]


@pytest.mark.parametrize("value", ["2", "maybe", "of"])
def test_other_values_of_the_variable_are_errors(lane, loop_thread, any_config, monkeypatch, value):
    monkeypatch.setenv(VARIABLE, value)
    with raises_exactly(aerospike_py.InvalidArgError, match=f"{VARIABLE} must be 1, true.*{value}"):
        make_api(lane, any_config, loop_thread)
    make_api(lane, {**any_config, "raw_replies": True}, loop_thread).end()


def test_the_configuration_takes_a_flag(lane, loop_thread, any_config):
    with raises_exactly(TypeError, match="raw_replies.* must be a bool"):
        make_api(lane, {**any_config, "raw_replies": 1}, loop_thread)
