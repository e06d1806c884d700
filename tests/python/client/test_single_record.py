"""The operations on one record: what they do, what they return, and what happens when there is no record."""

import aerospike_py
import pytest
from aerospike_py.types import AerospikeKey, ExistsResult, Record, RecordMetadata
from expectations import raises_exactly

NEVER = 4294967295

MISSING = {
    "get": (),
    "select": (["a"],),
    "remove": (),
    "touch": (),
    "remove_bin": (["a"],),
    "operate": ([{"op": aerospike_py.OPERATOR_READ, "bin": "a"}],),
    "operate_ordered": ([{"op": aerospike_py.OPERATOR_READ, "bin": "a"}],),
}


@pytest.mark.parametrize("name", MISSING)
def test_there_is_no_such_record(api, key, name):
    with raises_exactly(aerospike_py.RecordNotFound, match="record not found") as caught:
        getattr(api, name)(key, *MISSING[name])
    assert caught.value.result_code == aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND
    assert caught.value.in_doubt is False
    assert key[1] in str(caught.value)
    assert api.exists(key).meta is None


def test_get_returns_the_whole_record(api, key):
    assert api.put(key, {"name": "Alice", "age": 30}) is None
    record = api.get(key)
    assert type(record) is Record
    assert type(record.key) is AerospikeKey
    assert type(record.meta) is RecordMetadata
    assert record.key[:3] == key
    assert len(record.key.digest) == 20
    assert record.meta == (1, NEVER)
    assert record.bins == {"name": "Alice", "age": 30}
    assert record == (record.key, record.meta, record.bins)


def test_put_changes_only_the_bins_it_names(api, key):
    api.put(key, {"a": 1, "b": 2})
    api.put(key, {"b": 3, "c": 4})
    record = api.get(key)
    assert record.bins == {"a": 1, "b": 3, "c": 4}
    assert record.meta.gen == 2


def test_put_deletes_bins_that_are_none(api, key):
    api.put(key, {"a": 1, "b": 2})
    api.put(key, {"a": None, "c": 3})
    assert api.get(key).bins == {"b": 2, "c": 3}


def test_a_record_without_bins_is_gone(api, key):
    api.put(key, {"a": 1})
    api.put(key, {"a": None})
    assert api.exists(key).meta is None


def test_select_returns_the_bins_that_there_are(api, key):
    api.put(key, {"a": 1, "b": 2, "c": 3})
    record = api.select(key, ["c", "a", "none"])
    assert type(record) is Record
    assert record.bins == {"a": 1, "c": 3}
    assert record.meta == (1, NEVER)
    assert api.select(key, ("b",)).bins == {"b": 2}


def test_select_of_no_bins_returns_none_of_them(api, key):
    api.put(key, {"a": 1})
    assert api.select(key, []).bins == {}


def test_exists_tells_key_and_metadata(api, key):
    missing = api.exists(key)
    assert type(missing) is ExistsResult
    assert missing.key[:3] == key
    assert missing.meta is None
    api.put(key, {"a": 1})
    found = api.exists(key)
    assert type(found.meta) is RecordMetadata
    assert found.meta == (1, NEVER)
    assert found.key == missing.key


def test_remove_deletes_the_record(api, key):
    api.put(key, {"a": 1})
    assert api.remove(key) is None
    assert api.exists(key).meta is None


def test_touch_counts_as_a_write(api, key):
    api.put(key, {"a": 1}, {"ttl": 1000})
    assert api.touch(key, 300) is None
    meta = api.exists(key).meta
    assert meta.gen == 2
    assert 290 <= meta.ttl <= 300
    assert api.get(key).bins == {"a": 1}


@pytest.mark.parametrize(("first", "second"), [("héllo", "wörld"), (b"\x00\x01", b"\xff"), ("", "x"), (b"x", b"")])
def test_append_and_prepend_join_text_and_bytes(api, key, first, second):
    api.put(key, {"a": first})
    assert api.append(key, "a", second) is None
    assert api.prepend(key, "a", second) is None
    assert api.get(key).bins == {"a": second + first + second}


@pytest.mark.parametrize("name", ["append", "prepend"])
@pytest.mark.parametrize("value", ["text", b"bytes"])
def test_append_and_prepend_make_record_and_bin(api, key, name, value):
    getattr(api, name)(key, "a", value)
    assert api.get(key).bins == {"a": value}


@pytest.mark.parametrize(
    ("name", "stored", "argument"),
    [
        ("append", 1, "x"),
        ("append", "x", b"x"),
        ("prepend", b"x", "x"),
        ("prepend", [1], "x"),
        ("increment", "1", 1),
        ("increment", 1, 1.0),
        ("increment", 1.0, 1),
        ("increment", [1], 1),
    ],
)
def test_a_bin_of_another_type_is_left_alone(api, key, name, stored, argument):
    api.put(key, {"a": stored})
    with raises_exactly(aerospike_py.BinTypeError, match="holds a value of a type") as caught:
        getattr(api, name)(key, "a", argument)
    assert caught.value.result_code == aerospike_py.AEROSPIKE_ERR_BIN_TYPE
    assert api.get(key).bins == {"a": stored}


@pytest.mark.parametrize(("stored", "offset", "sum_"), [(40, 2, 42), (1, -3, -2), (0.5, 0.25, 0.75), (1.5, -2.5, -1.0)])
def test_increment_adds(api, key, stored, offset, sum_):
    api.put(key, {"a": stored})
    assert api.increment(key, "a", offset) is None
    found = api.get(key).bins["a"]
    assert found == sum_
    assert type(found) is type(sum_)


@pytest.mark.parametrize("offset", [7, -0.5])
def test_increment_makes_record_and_bin(api, key, offset):
    api.increment(key, "a", offset)
    assert api.get(key).bins == {"a": offset}


def test_increment_wraps_around_at_64_bits(api, key):
    api.put(key, {"a": 2**63 - 1})
    api.increment(key, "a", 1)
    assert api.get(key).bins == {"a": -(2**63)}


def test_remove_bin_deletes_bins(api, key):
    api.put(key, {"a": 1, "b": 2, "c": 3})
    assert api.remove_bin(key, ["a", "b", "none"]) is None
    assert api.get(key).bins == {"c": 3}
    api.remove_bin(key, ["c"])
    assert api.exists(key).meta is None


def test_arguments_may_be_named(api, key):
    api.put(key=key, bins={"a": 1, "s": "x"}, meta={"ttl": 500}, policy={"total_timeout": 5000})
    api.append(key=key, bin="s", val="y", meta=None, policy=None)
    api.prepend(key=key, bin="s", val="w", meta=None, policy=None)
    api.increment(key=key, bin="a", offset=1, meta=None, policy=None)
    api.touch(key=key, val=400, meta=None, policy=None)
    assert api.get(key=key, policy={"max_retries": 1}).bins == {"a": 2, "s": "wxy"}
    assert api.select(key=key, bins=["a"], policy=None).bins == {"a": 2}
    api.remove_bin(key=key, bin_names=["s"], meta=None, policy=None)
    assert api.exists(key=key, policy=None).meta.gen == 6
    api.remove(key=key, meta=None, policy=None)
    assert api.exists(key).meta is None
