"""Truncation of sets and namespaces."""

import time

import aerospike_py
import pytest
from expectations import eventually, raises_exactly


def found(api, keys):
    return api.batch_read(keys).found_count()


def test_only_the_named_set_is_emptied(api, keys, fresh_set):
    other = ("test", f"{fresh_set}x", "k")
    api.batch_write([(key, {"n": 1}) for key in [*keys, other]])
    assert api.truncate("test", fresh_set) is None
    eventually(lambda: found(api, keys) == 0, "the truncation")
    assert found(api, [other]) == 1


def test_records_written_since_a_moment_stay(api, keys, fresh_set):
    older, newer = keys[:6], keys[6:]
    api.batch_write([(key, {"n": 1}) for key in older])
    # Servers know the time of a write in milliseconds.
    time.sleep(0.02)
    moment = time.time_ns()
    time.sleep(0.02)
    api.batch_write([(key, {"n": 1}) for key in newer])
    api.truncate(namespace="test", set_name=fresh_set, nanos=moment, policy={"timeout": 5000})
    eventually(lambda: found(api, older) == 0, "the truncation")
    assert found(api, newer) == len(newer)


@pytest.mark.embedded
def test_no_set_means_all_sets(three_nodes, connect, keys):
    api = connect(three_nodes.config())
    api.batch_write([(key, {"n": 1}) for key in [*keys, ("test", "other", "k"), ("test", "", "k")]])
    api.truncate("test", "")
    eventually(lambda: three_nodes.record_count("test") == 0, "the truncation")


def test_a_set_that_never_was_is_empty_already(api, fresh_set):
    assert api.truncate("test", fresh_set) is None


@pytest.mark.parametrize(
    ("arguments", "expected", "message"),
    [
        (("test", "demo", -1), aerospike_py.InvalidArgError, "nanos must not be negative"),
        (("", "demo"), aerospike_py.InvalidArgError, "namespace .*must not be empty"),
        (("n" * 32, "demo"), aerospike_py.InvalidArgError, "namespace has at most 31 bytes"),
        (("test", "s" * 64), aerospike_py.InvalidArgError, "set has at most 63 bytes"),
        ((5, "demo"), TypeError, "str"),
        (("test", "demo", "now"), TypeError, "int"),
        (("test", "demo", 0, []), TypeError, "policy must be a dict"),
        (("test", "demo", 2**63), OverflowError, "int"),
    ],
)
def test_arguments_that_cannot_be_sent(api, arguments, expected, message):
    with raises_exactly(expected, match=message):
        api.truncate(*arguments)


def test_a_moment_in_the_future_is_refused_by_the_server(api, fresh_set):
    with raises_exactly(aerospike_py.ServerError, match="future") as caught:
        api.truncate("test", fresh_set, time.time_ns() + 3600 * 10**9)
    assert caught.value.result_code == aerospike_py.AEROSPIKE_ERR_PARAM
