"""Several operations on one record: order, answers, and all or none."""

import aerospike_py as asp
import pytest
from aerospike_py.types import AerospikeKey, BinTuple, OperateOrderedResult, Record, RecordMetadata
from expectations import raises_exactly


def read(name=None):
    return {"op": asp.OPERATOR_READ, "bin": name, "val": None}


def write(name, value):
    return {"op": asp.OPERATOR_WRITE, "bin": name, "val": value}


def increment(name, value):
    return {"op": asp.OPERATOR_INCR, "bin": name, "val": value}


def test_every_operation_does_what_its_method_does(api, key):
    api.put(key, {"n": 1, "f": 0.5, "s": "b", "x": b"b", "gone": 1})
    record = api.operate(
        key,
        [
            increment("n", 41),
            increment("f", 0.25),
            {"op": asp.OPERATOR_APPEND, "bin": "s", "val": "c"},
            {"op": asp.OPERATOR_PREPEND, "bin": "s", "val": "a"},
            {"op": asp.OPERATOR_APPEND, "bin": "x", "val": b"c"},
            write("new", [1, {"a": 2}]),
            write("gone", None),
            read(),
        ],
    )
    assert type(record) is Record
    assert type(record.key) is AerospikeKey
    assert type(record.meta) is RecordMetadata
    assert record.key[:3] == key
    assert record.meta.gen == 2
    assert record.bins == {"n": 42, "f": 0.75, "s": "abc", "x": b"bc", "new": [1, {"a": 2}]}
    assert api.get(key).bins == record.bins


def test_operations_that_only_write_answer_with_no_bins(api, key):
    record = api.operate(key, [write("n", 1), increment("n", 1)])
    assert record.bins == {}
    assert record.meta.gen == 1
    assert api.get(key).bins == {"n": 2}


def test_reads_see_the_writes_before_them(api, key):
    api.put(key, {"n": 1})
    record = api.operate(key, [read("n"), write("n", 5), read("n"), increment("n", 2), read("n")])
    assert record.bins == {"n": [1, 5, 7]}


def test_bins_that_the_record_lacks_are_left_out(api, key):
    api.put(key, {"n": 1})
    assert api.operate(key, [read("none"), read("n")]).bins == {"n": 1}
    assert api.operate_ordered(key, [read("none"), read("n")]).ordered_bins == [("n", 1)]


def test_ordered_answers_keep_the_order_of_the_operations(api, key):
    api.put(key, {"a": 1, "b": 2})
    result = api.operate_ordered(key, [read("b"), increment("a", 10), read("a"), read("b"), write("b", 3), read("b")])
    assert type(result) is OperateOrderedResult
    assert type(result.key) is AerospikeKey
    assert type(result.meta) is RecordMetadata
    assert all(type(entry) is BinTuple for entry in result.ordered_bins)
    assert result.ordered_bins == [("b", 2), ("a", 11), ("b", 2), ("b", 3)]
    assert result.meta.gen == 2
    assert result.key[:3] == key


def test_ordered_answers_of_a_read_of_all_bins(api, key):
    api.put(key, {"a": 1, "b": 2})
    assert sorted(api.operate_ordered(key, [read()]).ordered_bins) == [("a", 1), ("b", 2)]


def test_touching_takes_a_time_to_live(api, key):
    api.put(key, {"n": 1}, {"ttl": 1000})
    record = api.operate(key, [{"op": asp.OPERATOR_TOUCH, "val": 300}, read("n")])
    assert record.bins == {"n": 1}
    assert 290 <= api.exists(key).meta.ttl <= 300


def test_deleting_the_record(api, key):
    api.put(key, {"n": 1})
    record = api.operate(key, [read("n"), {"op": asp.OPERATOR_DELETE}])
    assert record.bins == {"n": 1}
    assert api.exists(key).meta is None


@pytest.mark.parametrize("name", ["operate", "operate_ordered"])
def test_all_or_none(api, key, name):
    api.put(key, {"n": 1, "s": "x"})
    with raises_exactly(asp.BinTypeError, match="holds a value of a type"):
        getattr(api, name)(key, [increment("n", 1), increment("s", 1)])
    record = api.get(key)
    assert record.bins == {"n": 1, "s": "x"}
    assert record.meta.gen == 1


def test_rules_of_writes_apply(api, key):
    api.operate(key, [write("n", 1)], policy={"exists": asp.POLICY_EXISTS_CREATE_ONLY})
    with raises_exactly(asp.RecordExistsError, match="already exists"):
        api.operate(key, [write("n", 2)], policy={"exists": asp.POLICY_EXISTS_CREATE_ONLY})
    with raises_exactly(asp.RecordGenerationError, match="Generation"):
        api.operate_ordered(key, [write("n", 2)], meta={"gen": 5}, policy={"gen": asp.POLICY_GEN_EQ})
    assert api.get(key).bins == {"n": 1}


def test_arguments_may_be_tuples_and_named(api, key):
    api.operate(key=key, ops=(write("n", 1),), meta={"ttl": 500}, policy={"total_timeout": 5000})
    assert api.operate_ordered(key=key, ops=(read("n"),), meta=None, policy=None).ordered_bins == [("n", 1)]


@pytest.mark.parametrize("name", ["operate", "operate_ordered"])
@pytest.mark.parametrize(
    ("operations", "expected", "message"),
    [
        ([], asp.InvalidArgError, "at least one operation"),
        ([{"op": 99, "bin": "n"}], asp.InvalidArgError, "unknown operation code 99: use OPERATOR_READ"),
        ([{"op": -1, "bin": "n"}], asp.InvalidArgError, "unknown operation code -1"),
        ([{"op": 1001, "bin": "n"}], asp.InvalidArgError, "1001 .*does not support"),
        ([{"op": 2**40, "bin": "n"}], asp.InvalidArgError, "OPERATOR_"),
        ([{"bin": "n"}], asp.InvalidArgError, 'needs an entry "op"'),
        ([{"op": asp.OPERATOR_WRITE, "val": 1}], asp.InvalidArgError, 'needs an entry "bin"'),
        ([write("b" * 16, 1)], asp.BinNameError, "at most 15 bytes"),
        ([{"op": asp.OPERATOR_TOUCH, "val": -9}], asp.InvalidArgError, "number of seconds"),
        (None, TypeError, "must be a list of operations"),
        ({"op": asp.OPERATOR_READ}, TypeError, "must be a list of operations"),
        (["read"], TypeError, "an operation is a dict"),
        ([{"op": "read", "bin": "n"}], TypeError, "must be one of OPERATOR_"),
        ([{"op": True, "bin": "n"}], TypeError, "must be one of OPERATOR_"),
        ([{"op": asp.OPERATOR_READ, "bin": 5}], TypeError, "name of a bin must be a str"),
        ([increment("n", "1")], TypeError, "must be an int or a float"),
        ([increment("n", None)], TypeError, "must be an int or a float"),
        ([increment("n", True)], TypeError, "must be an int or a float"),
        ([{"op": asp.OPERATOR_APPEND, "bin": "n", "val": 5}], TypeError, "must be str or bytes"),
        ([{"op": asp.OPERATOR_TOUCH, "val": "1h"}], TypeError, "number of seconds"),
        ([write("n", {1, 2})], TypeError, "cannot hold a value of type set"),
        ([increment("n", 2**63)], OverflowError, r"2\*\*63 - 1"),
    ],
    ids=str,
)
def test_operations_that_make_no_sense(api, key, name, operations, expected, message):
    api.put(key, {"n": 1})
    with raises_exactly(expected, match=message):
        getattr(api, name)(key, operations)
    with raises_exactly(expected, match=message):
        api.batch_operate([key], operations)
    assert api.get(key).bins == {"n": 1}
