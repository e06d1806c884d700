"""Values: what is put is what is got, by every way there is to write and read; and what cannot be stored."""

import math
import struct

import aerospike_py
import pytest
from expectations import raises_exactly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MEGABYTE = 1_000_000
BORDERS = sorted(
    {sign * 2**bits + near for bits in (0, 7, 8, 15, 16, 31, 32, 62) for sign in (1, -1) for near in (-1, 0, 1)}
)

INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([*BORDERS, 2**63 - 1, -(2**63)])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SCALARS = INTEGERS | st.floats() | TEXT | st.binary(max_size=60) | st.booleans()
MAP_KEYS = INTEGERS | TEXT | st.binary(max_size=20)
NESTED = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(MAP_KEYS, inner, max_size=5),
    max_leaves=25,
)
VALUES = NESTED.filter(lambda value: value is not None)

# Always the same examples: a test that fails today fails tomorrow. The clients are shared by all examples on purpose.
exhaustive = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def same(left, right):
    """Whether two values are the same in type and in every bit; NaN is like NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or struct.pack("d", left) == struct.pack("d", right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        # Keys of different types are never equal here: booleans are not allowed as keys.
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return left == right


def nested(depth, leaf):
    """A list of dictionaries of lists, this deep."""
    value = leaf
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


@given(value=VALUES)
@exhaustive
def test_put_and_get(api, value):
    key = ("test", "values", "put")
    api.put(key, {"v": value})
    assert same(api.get(key).bins, {"v": value})
    assert same(api.select(key, ["v"]).bins, {"v": value})


@given(values=st.lists(VALUES, min_size=1, max_size=6))
@exhaustive
def test_batch_write_and_batch_read(api, values):
    keys = [("test", "values", number) for number in range(len(values))]
    written = api.batch_write([(key, {"v": value}) for key, value in zip(keys, values, strict=True)])
    assert {record.result for record in written.batch_records} == {aerospike_py.AEROSPIKE_OK}
    handle = api.batch_read(keys)
    expected = [{"v": value} for value in values]
    assert same(handle.to_list(), expected)
    assert same(handle.to_dict(), dict(enumerate(expected)))
    assert same([record.record.bins for record in handle.batch_records], expected)


@given(value=VALUES)
@exhaustive
def test_operations_write_and_read(api, value):
    key = ("test", "values", "operate")
    operations = [
        {"op": aerospike_py.OPERATOR_WRITE, "bin": "v", "val": value},
        {"op": aerospike_py.OPERATOR_READ, "bin": "v", "val": None},
    ]
    assert same(api.operate(key, operations).bins, {"v": value})
    [(name, found)] = api.operate_ordered(key, operations).ordered_bins
    assert name == "v"
    assert same(found, value)


@given(bins=st.dictionaries(TEXT.filter(lambda name: 1 <= len(name.encode()) <= 15), SCALARS, min_size=1, max_size=20))
@exhaustive
def test_bins_of_any_name(api, bins):
    key = ("test", "values", "names")
    api.put(key, bins, policy={"exists": aerospike_py.POLICY_EXISTS_REPLACE})
    assert same(api.get(key).bins, bins)


@pytest.mark.parametrize(
    "value",
    [
        b"\xab" * MEGABYTE,
        "x" * MEGABYTE,
        "ä" * (MEGABYTE // 2),
        list(range(100_000)),
        {f"key-{number}": number for number in range(30_000)},
        [bytes(1000)] * 900,
    ],
    ids=["bytes", "ascii", "text", "list", "dict", "list-of-bytes"],
)
def test_values_of_a_megabyte(api, keys, value):
    patient = {"total_timeout": 30_000, "socket_timeout": 30_000}
    api.put(keys[0], {"v": value}, policy=patient)
    assert api.get(keys[0], patient).bins == {"v": value}
    written = api.batch_write([(key, {"v": value}) for key in keys[1:4]], patient)
    assert {record.result for record in written.batch_records} == {aerospike_py.AEROSPIKE_OK}
    assert api.batch_read(keys[:4], policy=patient).to_list() == [{"v": value}] * 4


@pytest.mark.parametrize(
    ("given_", "got"),
    [
        ((1, ("a", None)), [1, ["a", None]]),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (type("Text", (str,), {})("s"), "s"),
        (type("Number", (int,), {})(5), 5),
    ],
    ids=["tuple", "bytearray", "memoryview", "str-subclass", "int-subclass"],
)
def test_kindred_types_come_back_as_the_plain_type(api, key, given_, got):
    api.put(key, {"v": given_})
    assert same(api.get(key).bins["v"], got)


def test_none_inside_of_containers_is_kept(api, key):
    api.put(key, {"v": [None, {"a": None}]})
    assert api.get(key).bins == {"v": [None, {"a": None}]}


@pytest.mark.parametrize("depth", [1, 10, 60])
def test_deep_nesting(api, key, depth):
    value = nested(depth, 7)
    api.put(key, {"v": value})
    assert api.get(key).bins == {"v": value}


def test_nesting_without_end_is_refused(api, key):
    endless = []
    endless.append(endless)
    for value in (endless, nested(200, 7)):
        with raises_exactly(aerospike_py.InvalidArgError, match='bin "v": .*nested more than 64 levels'):
            api.put(key, {"v": value})
    assert api.exists(key).meta is None


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**100])
def test_integers_beyond_64_bits_are_refused(api, key, value):
    for place in (value, [value], {"a": {"b": value}}, {value: 1}):
        with raises_exactly(OverflowError, match=r'bin "v": .*integer.* 2\*\*63 - 1'):
            api.put(key, {"v": place})
    with raises_exactly(OverflowError, match='bin "v"'):
        api.increment(key, "v", value)
    assert api.exists(key).meta is None


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, range(3), print, aerospike_py], ids=lambda v: type(v).__name__)
def test_values_of_other_types_are_refused(api, key, value):
    for place in (value, [value], {"a": value}):
        with raises_exactly(TypeError, match=f'bin "v" cannot hold a value of type .*{type(value).__name__}: use None'):
            api.put(key, {"v": place})
    assert api.exists(key).meta is None


@pytest.mark.parametrize("map_key", [1.5, None, True, (1, 2), frozenset()], ids=repr)
def test_dictionary_keys_of_other_types_are_refused(api, key, map_key):
    with raises_exactly(TypeError, match='bin "v"'):
        api.put(key, {"v": {map_key: 1}})


@pytest.mark.parametrize("value", ["\ud800", ["a\udfff"], {"k": "\ud800"}, {"\ud800": 1}], ids=ascii)
def test_lone_surrogates_are_refused(api, key, value):
    with raises_exactly(aerospike_py.InvalidArgError, match='bin "v".*surrogate'):
        api.put(key, {"v": value})
    assert api.exists(key).meta is None


def test_numpy_numbers_are_refused_with_a_hint(api, key):
    numpy = pytest.importorskip("numpy")
    with raises_exactly(TypeError, match=r"\.tolist\(\)"):
        api.put(key, {"v": numpy.int64(5)})
    api.put(key, {"v": numpy.float64(0.5)})
    assert same(api.get(key).bins["v"], 0.5)


@pytest.mark.parametrize(
    ("bins", "expected", "message"),
    [
        ({}, aerospike_py.InvalidArgError, "bins must not be empty"),
        ({"": 1}, aerospike_py.InvalidArgError, "name of a bin must not be empty"),
        ({"b" * 16: 1}, aerospike_py.BinNameError, "at most 15 bytes; .* has 16"),
        ({"ä" * 8: 1}, aerospike_py.BinNameError, "at most 15 bytes; .* has 16"),
        ({"\ud800": 1}, aerospike_py.InvalidArgError, "surrogate"),
        ({5: 1}, TypeError, "name of a bin must be a str, not int"),
        ([("a", 1)], TypeError, "bins must be a dict, not list"),
        (None, TypeError, "bins must be a dict"),
    ],
    ids=ascii,
)
def test_bins_that_cannot_be_sent(api, key, bins, expected, message):
    with raises_exactly(expected, match=message):
        api.put(key, bins)


def test_names_of_bins_are_checked_wherever_they_are_given(api, key):
    long = "b" * 16
    calls = {
        "select": (key, [long]),
        "append": (key, long, "x"),
        "prepend": (key, long, "x"),
        "increment": (key, long, 1),
        "remove_bin": (key, [long]),
        "batch_read": ([key], [long]),
    }
    for name, arguments in calls.items():
        with raises_exactly(aerospike_py.BinNameError, match="at most 15 bytes") as caught:
            getattr(api, name)(*arguments)
        assert isinstance(caught.value, ValueError)
        assert caught.value.result_code == aerospike_py.AEROSPIKE_ERR_BIN_NAME


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 8 * 1024 * 1024])
def test_records_too_big_for_the_server(api, key, size):
    patient = {"total_timeout": 30_000, "socket_timeout": 30_000}
    with raises_exactly(aerospike_py.RecordTooBig, match="max-record-size") as caught:
        api.put(key, {"v": bytes(size)}, policy=patient)
    assert caught.value.result_code == aerospike_py.AEROSPIKE_ERR_RECORD_TOO_BIG
    api.put(key, {"v": 1})
    assert api.get(key).bins == {"v": 1}


def test_records_too_big_for_the_protocol(api, key):
    with raises_exactly(aerospike_py.InvalidArgError, match="128 MiB"):
        api.put(key, {"v": bytes(140 * 1024 * 1024)})
    api.put(key, {"v": 1})
    assert api.get(key).bins == {"v": 1}
