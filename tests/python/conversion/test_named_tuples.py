"""Results are made natively, past the constructors of their classes: they must be like any other named tuple."""

import copy
import gc
import pickle
import sys
import sysconfig
import threading
import weakref

import aerospike_py
import pytest
from aerospike_py import types

READ_N = [{"op": aerospike_py.OPERATOR_READ, "bin": "n", "val": None}]
MAKERS = {
    "AerospikeKey": lambda client, key: client.get(key).key,
    "RecordMetadata": lambda client, key: client.get(key).meta,
    "Record": lambda client, key: client.get(key),
    "ExistsResult": lambda client, key: client.exists(key),
    "InfoNodeResult": lambda client, _key: client.info_all("namespaces")[0],
    "BinTuple": lambda client, key: client.operate_ordered(key, READ_N).ordered_bins[0],
    "OperateOrderedResult": lambda client, key: client.operate_ordered(key, READ_N),
    "BatchRecord": lambda client, key: client.batch_read([key]).batch_records[0],
    "BatchRetryInfo": lambda client, key: client.batch_operate([key], READ_N).retry,
    "BatchWriteResult": lambda client, key: client.batch_operate([key], READ_N),
}
MANY = 500


@pytest.fixture
def key(client, fresh_set):
    """The key of a record that exists."""
    key = ("test", fresh_set, "alice")
    client.put(key, {"n": 1, "text": "ä", "list": [1, [2]], "map": {"k": b"v"}})
    return key


@pytest.fixture(params=MAKERS)
def made(request, client, key):
    """A result of each class in turn, and its class."""
    return MAKERS[request.param](client, key), getattr(types, request.param)


def test_it_is_an_instance_of_its_class_and_of_nothing_below(made):
    result, kind = made
    assert type(result) is kind
    assert len(result) == len(kind._fields)
    assert [getattr(result, name) for name in kind._fields] == list(result)


def test_it_equals_what_the_constructor_makes(made):
    result, kind = made
    by_hand = kind(*result)
    assert result == by_hand
    assert result == tuple(by_hand)
    assert repr(result) == repr(by_hand)
    assert result._asdict() == by_hand._asdict()
    assert sys.getsizeof(result) == sys.getsizeof(by_hand)


def test_its_hash_is_that_of_the_plain_tuple(client, key):
    for made in (client.get(key).key, client.get(key).meta, client.operate_ordered(key, READ_N).ordered_bins[0]):
        plain = tuple(made)
        assert hash(made) == hash(plain) == hash(made)
        assert {plain: "found"}[made] == "found"
        assert {made: "found"}[plain] == "found"
        assert len({made, plain, type(made)(*made)}) == 1


def test_a_result_with_bins_cannot_be_hashed(client, key):
    with pytest.raises(TypeError, match="unhashable"):
        hash(client.get(key))


def test_fields_can_be_replaced_in_a_copy(client, key):
    found = client.get(key).key
    moved = found._replace(set_name="elsewhere")
    assert type(moved) is types.AerospikeKey
    assert (moved.set_name, moved.digest, found.set_name) == ("elsewhere", found.digest, key[1])
    with pytest.raises(AttributeError):
        found.set_name = "elsewhere"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_survives_pickling(made, protocol):
    result, kind = made
    restored = pickle.loads(pickle.dumps(result, protocol))
    assert type(restored) is kind
    assert restored == result


def test_it_can_be_copied(made):
    result, kind = made
    assert copy.copy(result) == result
    deep = copy.deepcopy(result)
    assert type(deep) is kind
    assert deep == result


def test_it_is_unpacked_and_matched_by_position_and_name(client, key):
    (namespace, set_name, user_key, digest), (generation, _ttl), bins = client.get(key)
    assert (namespace, set_name, user_key, len(digest), generation, bins["n"]) == ("test", key[1], "alice", 20, 1, 1)
    match client.get(key):
        case types.Record(key=types.AerospikeKey(user_key="alice"), bins={"n": int(number)}):
            assert number == 1
        case other:
            pytest.fail(f"{other} does not match")


def test_a_cycle_through_a_result_is_collected(client, key):
    class Owner:
        """Something that a weak reference can watch."""

    record = client.get(key)
    owner = Owner()
    owner.record = record
    record.bins["owner"] = owner
    assert gc.is_tracked(record)
    watched = weakref.ref(owner)
    del owner, record
    gc.collect()
    assert watched() is None


@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="counts are spread over threads")
def test_results_give_back_every_reference(client, key):
    handle = client.batch_read([key] * 10)
    classes = [types.AerospikeKey, types.RecordMetadata, types.Record, types.BatchRecord]
    list(handle.iter_records())
    before = [sys.getrefcount(kind) for kind in classes]
    for _ in range(MANY):
        assert len(list(handle.iter_records())) == 10
    gc.collect()
    after = [sys.getrefcount(kind) for kind in classes]
    assert [late - early for early, late in zip(before, after, strict=True)] == [0] * len(classes)


def test_threads_make_results_side_by_side(client, fresh_set):
    keys = [("test", fresh_set, number) for number in range(50)]
    client.batch_write([(key, {"n": key[2], f"bin_{key[2]}": "x"}) for key in keys])
    handle = client.batch_read(keys)
    expected = list(handle.iter_records())
    seen = []

    def convert():
        seen.extend(list(handle.iter_records()) == expected for _ in range(20))

    threads = [threading.Thread(target=convert) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 80
