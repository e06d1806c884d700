"""Policies and metas that make no sense are refused by name before anything is sent."""

import aerospike_py as asp
import numpy as np
import pytest
from expectations import data_commands, raises_exactly

ROWS = np.zeros(1, np.dtype([("_key", "i4"), ("n", "i4")]))
READS = {"get": (), "select": (["n"],), "exists": ()}
WRITES = {
    "put": ({"n": 1},),
    "remove": (),
    "touch": (),
    "append": ("s", "x"),
    "prepend": ("s", "x"),
    "increment": ("n", 1),
    "remove_bin": (["n"],),
    "operate": ([{"op": asp.OPERATOR_READ, "bin": "n"}],),
    "operate_ordered": ([{"op": asp.OPERATOR_READ, "bin": "n"}],),
}
BATCHES = {
    "batch_read": ([("test", "s", 1)],),
    "batch_write": ([(("test", "s", 1), {"n": 1})],),
    "batch_write_numpy": (ROWS, "test", "s", ROWS.dtype),
    "batch_operate": ([("test", "s", 1)], [{"op": asp.OPERATOR_READ, "bin": "n"}]),
    "batch_remove": ([("test", "s", 1)],),
}
CALLS = {
    **{name: (("test", "s", 1), *arguments) for name, arguments in (READS | WRITES).items()},
    **BATCHES,
}

ANYWHERE = [
    ({"total_timeout": "1000"}, TypeError, r'policy\["total_timeout"\] must be an int, not str'),
    ({"total_timeout": 1.5}, TypeError, r'policy\["total_timeout"\] must be an int, not float'),
    ({"socket_timeout": True}, TypeError, r'policy\["socket_timeout"\] must be an int, not bool'),
    ({"total_timeout": -1}, asp.InvalidArgError, r'policy\["total_timeout"\] must be from 0 to'),
    ({"total_timeout": 2**32}, asp.InvalidArgError, r'policy\["total_timeout"\] must be from 0 to'),
    ({"total_timeout": 2**80}, OverflowError, r'policy\["total_timeout"\] does not fit'),
    ({"max_retries": -1}, asp.InvalidArgError, r'policy\["max_retries"\] must be from 0'),
    ({"sleep_between_retries": None, "replica": 3}, asp.InvalidArgError, r'policy\["replica"\] must be from 0 to 2'),
    ({"read_mode_ap": 2}, asp.InvalidArgError, r'policy\["read_mode_ap"\] must be from 0 to 1'),
    ({"read_touch_ttl_percent": 101}, asp.InvalidArgError, r'policy\["read_touch_ttl_percent"\] must be from -1'),
    ({"filter_expression": {"bin": "n"}}, asp.InvalidArgError, "filter_expression.* is not supported"),
    ([], TypeError, "policy must be a dict, not list"),
    ("fast", TypeError, "policy must be a dict, not str"),
]

OF_WRITES = [
    ({"key": 2}, asp.InvalidArgError, r'\["key"\] must be from 0 to 1'),
    ({"exists": 5}, asp.InvalidArgError, r'\["exists"\] must be from 0 to 4'),
    ({"commit_level": -1}, asp.InvalidArgError, r'\["commit_level"\] must be from 0 to 1'),
    ({"durable_delete": 1}, TypeError, r'\["durable_delete"\] must be a bool'),
    ({"ttl": -4}, asp.InvalidArgError, r'\["ttl"\] must be from -3'),
    ({"ttl": 2**32 - 1}, asp.InvalidArgError, r'\["ttl"\] must be from -3'),
    ({"ttl": "1h"}, TypeError, r'\["ttl"\] must be an int'),
    ({"gen": -1}, asp.InvalidArgError, r'\["gen"\] must be from 0'),
    ({"gen": "1"}, TypeError, r'\["gen"\] must be an int'),
]

OF_BATCHES = [
    ({"concurrency": 2}, asp.InvalidArgError, r'policy\["concurrency"\] must be from 0 to 1'),
    ({"allow_inline": 1}, TypeError, r'policy\["allow_inline"\] must be a bool'),
    ({"respond_all_keys": "yes"}, TypeError, r'policy\["respond_all_keys"\] must be a bool'),
]


@pytest.mark.parametrize("name", CALLS)
def test_no_call_takes_a_policy_that_makes_no_sense(api, name):
    for policy, expected, message in ANYWHERE:
        with raises_exactly(expected, match=message):
            getattr(api, name)(*CALLS[name], policy=policy)


@pytest.mark.parametrize("place", ["policy", "meta"])
@pytest.mark.parametrize("name", WRITES)
def test_no_write_takes_a_rule_that_makes_no_sense(api, name, place):
    for rules, expected, message in OF_WRITES:
        with raises_exactly(expected, match=place + message):
            getattr(api, name)(*CALLS[name], **{place: rules})
    with raises_exactly(TypeError, match="meta must be a dict"):
        getattr(api, name)(*CALLS[name], meta=5)


@pytest.mark.parametrize(("rules", "expected", "message"), OF_WRITES, ids=[str(case[0]) for case in OF_WRITES])
def test_no_row_takes_a_rule_that_makes_no_sense(api, key, rules, expected, message):
    with raises_exactly(expected, match=r"records\[1\]: meta" + message):
        api.batch_write([(key, {"n": 1}), (key, {"n": 1}, rules)])
    with raises_exactly(expected, match="policy" + message):
        api.batch_write([(key, {"n": 1})], rules)
    assert api.exists(key).meta is None


@pytest.mark.parametrize("name", BATCHES)
def test_no_batch_takes_a_policy_that_makes_no_sense(api, name):
    for policy, expected, message in OF_BATCHES:
        with raises_exactly(expected, match=message):
            getattr(api, name)(*BATCHES[name], policy=policy)


@pytest.mark.parametrize("name", ["info_all", "info_random_node"])
def test_info_commands_take_a_timeout(api, name):
    with raises_exactly(TypeError, match=r'policy\["timeout"\] must be an int'):
        getattr(api, name)("build", {"timeout": "1s"})
    with raises_exactly(TypeError, match="str"):
        getattr(api, name)(b"build")


def test_entries_that_are_unknown_or_none_are_ignored(api, key):
    api.put(key, {"n": 1}, {"ttl": None, "colour": "red"}, {"exists": None, "serializer": 1})
    assert api.get(key, {"replica": None, "deserialize": True}).bins == {"n": 1}


@pytest.mark.embedded
def test_nothing_was_sent_and_the_client_still_works(one_node, connect, key):
    api = connect(one_node.config())
    before = data_commands(one_node)
    for name, arguments in CALLS.items():
        for policy, expected, _ in ANYWHERE:
            with pytest.raises(expected):
                getattr(api, name)(*arguments, policy=policy)
    for wrong_key in [(), ("test", "s", None), ("test", "s", 1.5), ("n" * 40, "s", 1), ("test", "s", 2**64)]:
        with pytest.raises((TypeError, ValueError, OverflowError)):
            api.get(wrong_key)
    for wrong_bins in [{}, {"n": object()}, {"n": 2**64}, {"b" * 16: 1}]:
        with pytest.raises((TypeError, ValueError, OverflowError)):
            api.put(key, wrong_bins)
    assert data_commands(one_node) == before
    api.put(key, {"n": 1})
    assert api.get(key).bins == {"n": 1}
