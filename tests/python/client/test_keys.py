"""Keys: by user key of every type, by digest, and those that are none."""

import aerospike_py
import numpy as np
import pytest
from aerospike_py.types import AerospikeKey
from expectations import raises_exactly

USER_KEYS = [
    "alice",
    "",
    "k" * 1000,
    "ключ-🔑",
    "nul\0inside",
    0,
    1,
    -1,
    2**63 - 1,
    -(2**63),
    b"\x00\xff",
    b"",
    bytes(300),
]

WRONG_TYPES = [
    "test/demo/k",
    {"namespace": "test"},
    None,
    5,
    (1, "demo", "k"),
    (None, "demo", "k"),
    ("test", 5, "k"),
    ("test", "demo", 1.5),
    ("test", "demo", True),
    ("test", "demo", ["k"]),
    ("test", "demo", None, "d" * 20),
    ("test", "demo", "k", 20),
]

UNUSABLE = [
    (),
    ("test", "demo"),
    ("test", "demo", "k", bytes(20), 1),
    ("test", "demo", None),
    ("test", "demo", None, None),
    ("test", "demo", None, bytes(19)),
    ("test", "demo", None, bytes(21)),
    ("", "demo", "k"),
    ("n" * 32, "demo", "k"),
    ("test", "s" * 64, "k"),
    ("test", "ä" * 32, "k"),
    ("test", "demo", "\ud800"),
    ("test", "\ud800", "k"),
    ("\ud800", "demo", "k"),
]


@pytest.mark.parametrize("user_key", USER_KEYS, ids=lambda user_key: repr(user_key)[:24])
def test_user_keys_of_every_type(api, fresh_set, user_key):
    key = ("test", fresh_set, user_key)
    api.put(key, {"n": 1})
    record = api.get(key)
    assert record.bins == {"n": 1}
    assert record.key[:3] == key
    assert type(record.key.user_key) is type(user_key)
    assert api.batch_read([key]).to_dict() == {user_key: {"n": 1}}


def test_equal_looking_user_keys_are_different_records(api, fresh_set):
    keys = [("test", fresh_set, user_key) for user_key in ("1", 1)]
    for number, key in enumerate(keys):
        api.put(key, {"n": number})
    assert [api.get(key).bins["n"] for key in keys] == [0, 1]


def test_the_set_is_part_of_the_key(api, fresh_set):
    keys = [("test", name, "k") for name in (f"{fresh_set}a", f"{fresh_set}b")]
    for number, key in enumerate(keys):
        api.put(key, {"n": number})
    assert [api.get(key).bins["n"] for key in keys] == [0, 1]


@pytest.mark.parametrize("name", ["", None])
def test_records_without_a_set(api, fresh_set, name):
    key = ("test", name, f"{fresh_set}-{name}")
    api.put(key, {"n": 1})
    assert api.get(key).key[:3] == ("test", "", key[2])
    api.remove(key)


def test_the_longest_names_that_fit(api, fresh_set):
    key = ("test", fresh_set.ljust(63, "s"), "k")
    api.put(key, {"b" * 15: 1})
    assert api.get(key).bins == {"b" * 15: 1}


def test_the_digest_alone_finds_the_record(api, key):
    api.put(key, {"n": 1})
    digest = api.get(key).key.digest
    by_digest = ("test", key[1], None, digest)
    record = api.get(by_digest)
    assert record.key == AerospikeKey("test", key[1], None, digest)
    assert record.bins == {"n": 1}
    assert api.exists(by_digest).meta.gen == 1
    api.put(by_digest, {"n": 2})
    api.increment(by_digest, "n", 1)
    assert api.get(key).bins == {"n": 3}
    api.remove(by_digest)
    assert api.exists(key).meta is None


def test_the_key_of_a_result_is_a_key(api, key):
    api.put(key, {"n": 1})
    found = api.get(key).key
    assert api.get(found) == api.get(key)
    assert api.batch_read([found]).to_dict() == {"k": {"n": 1}}


def test_digests_may_be_any_bytes(api, key):
    api.put(key, {"n": 1})
    digest = api.get(key).key.digest
    for form in (bytearray(digest), memoryview(digest)):
        assert api.get(("test", key[1], None, form)).bins == {"n": 1}


def test_a_key_may_be_a_list(api, key):
    api.put(list(key), {"n": 1})
    assert api.get(list(key)).bins == {"n": 1}


def test_digests_are_those_of_other_clients(api):
    """The expected digests were computed by the official Python client."""
    known = {
        ("test", "demo", "abc"): "5bb7c351d00567dcdabd54658e1f98e5e964b744",
        ("test", "demo", -1): "e9d49a24c3debdc5a6d551d3e7087999a263bb97",
        ("test", "demo", b"abc"): "5bb7c351d00567dcdabd54658e1f98e5e964b744",
    }
    assert {key: api.exists(key).key.digest.hex() for key in known} == known


@pytest.mark.parametrize("key", WRONG_TYPES, ids=repr)
def test_keys_of_wrong_types(api, key):
    with raises_exactly(TypeError, match="key"):
        api.get(key)
    with raises_exactly(TypeError, match=r"keys\[1\]: .*key"):
        api.batch_read([("test", "demo", "k"), key])


@pytest.mark.parametrize("key", UNUSABLE, ids=lambda key: ascii(key)[:40])
def test_keys_that_cannot_be_sent(api, key):
    with raises_exactly(aerospike_py.InvalidArgError, match=r"key|namespace|set"):
        api.get(key)
    with raises_exactly(aerospike_py.InvalidArgError, match=r"records\[0\]: "):
        api.batch_write([(key, {"n": 1})])


@pytest.mark.parametrize("user_key", [2**63, -(2**63) - 1, 2**200])
def test_integer_keys_beyond_64_bits(api, fresh_set, user_key):
    with raises_exactly(OverflowError, match=r"user key: .*integer.* 2\*\*63 - 1"):
        api.get(("test", fresh_set, user_key))


def test_an_unknown_namespace_is_named_together_with_those_that_exist(api, key):
    unknown = ("nowhere", "demo", "k")
    rows = np.zeros(1, np.dtype([("_key", "i4"), ("n", "i4")]))
    calls = {
        "get": (unknown,),
        "exists": (unknown,),
        "put": (unknown, {"n": 1}),
        "remove": (unknown,),
        "operate": (unknown, [{"op": aerospike_py.OPERATOR_READ, "bin": "n"}]),
        "batch_read": ([unknown],),
        "batch_write": ([(unknown, {"n": 1})],),
        "batch_write_numpy": (rows, "nowhere", "demo", rows.dtype),
        "batch_remove": ([unknown],),
        "truncate": ("nowhere", "demo"),
    }
    for name, arguments in calls.items():
        with raises_exactly(
            aerospike_py.ServerError, match=r'no namespace "nowhere".* has: .*test.*check the name'
        ) as e:
            getattr(api, name)(*arguments)
        assert e.value.result_code == aerospike_py.AEROSPIKE_ERR_INVALID_NAMESPACE
    api.put(key, {"n": 1})
    mixed = api.batch_read([key, unknown])
    assert [record.result for record in mixed.batch_records] == [0, aerospike_py.AEROSPIKE_ERR_INVALID_NAMESPACE]
