"""Structured NumPy arrays as batch writes: what becomes of each kind of field, and what is refused."""

import inspect
import sys
import threading

import aerospike_py
import numpy as np
import pytest
from expectations import raises_exactly
from hypothesis import given, settings
from hypothesis import strategies as st

OK = aerospike_py.AEROSPIKE_OK
FLAT = np.dtype([("_key", "i4"), ("score", "f8"), ("count", "i4")])

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4"]
FIELDS = st.sampled_from([*INTEGERS, "f2", "f4", "f8", "?", "S7", "V5", ("i2", (3,)), ("f4", (2, 2)), ("?", (2,))])


def write(api, rows, set_name, dtype=None, **options):
    """Write all rows, and return what was written for each."""
    result = api.batch_write_numpy(rows, "test", set_name, rows.dtype if dtype is None else dtype, **options)
    assert {record.result for record in result.batch_records} <= {OK}
    keys = [record.key for record in result.batch_records]
    return [record.bins for record in map(api.get, keys)]


def rows_of(*rows, dtype=FLAT):
    return np.array([*rows], dtype=dtype)


@pytest.mark.parametrize("name", ["Client", "AsyncClient"])
def test_the_signature_is_the_known_one(name):
    signature = inspect.signature(getattr(aerospike_py, name).batch_write_numpy)
    expected = {"data": ..., "namespace": ..., "set_name": ..., "_dtype": ..., "key_field": "_key", "policy": None}
    expected["retry"] = 0
    defaults = {
        parameter.name: ... if parameter.default is parameter.empty else parameter.default
        for parameter in signature.parameters.values()
    }
    defaults.pop("self", None)
    assert defaults == expected


def test_every_row_becomes_a_record(api, fresh_set):
    rows = rows_of((1, 0.95, 10), (2, 0.87, 20))
    result = api.batch_write_numpy(rows, "test", fresh_set, FLAT)
    assert type(result) is aerospike_py.types.BatchWriteResult
    assert [(record.key.user_key, record.result, record.in_doubt) for record in result.batch_records] == [
        (1, OK, False),
        (2, OK, False),
    ]
    assert result.retry == (1, 1, False, 0)
    assert api.get(("test", fresh_set, 1)).bins == {"score": 0.95, "count": 10}
    assert api.get(("test", fresh_set, 2)).bins == {"score": 0.87, "count": 20}


def test_no_rows(api, fresh_set):
    result = api.batch_write_numpy(np.zeros(0, FLAT), "test", fresh_set, FLAT)
    assert result.batch_records == []


@pytest.mark.parametrize("kind", [*INTEGERS, "u8"])
def test_integers_at_their_limits(api, fresh_set, kind):
    info = np.iinfo(kind)
    limits = [int(info.min), 0, min(int(info.max), 2**63 - 1)]
    dtype = np.dtype([("_key", "i4"), ("n", kind)])
    rows = rows_of(*enumerate(limits), dtype=dtype)
    assert write(api, rows, fresh_set) == [{"n": limit} for limit in limits]


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_floats_of_every_width(api, fresh_set, kind):
    info = np.finfo(kind)
    numbers = [0.0, -1.5, 0.1, float(info.max), float(info.smallest_subnormal), float("inf"), -float("inf")]
    dtype = np.dtype([("_key", "i4"), ("n", kind)])
    rows = rows_of(*enumerate(numbers), dtype=dtype)
    written = [bins["n"] for bins in write(api, rows, fresh_set)]
    assert written == rows["n"].tolist()
    [nan] = write(api, rows_of((1, float("nan")), dtype=dtype), fresh_set)
    assert np.isnan(nan["n"])


def test_booleans_bytes_and_sub_arrays(api, fresh_set):
    dtype = np.dtype([("_key", "i4"), ("flag", "?"), ("s", "S4"), ("v", "V3"), ("list", "i2", (2,))])
    rows = np.zeros(1, dtype)
    rows[0] = (1, True, b"ab", b"cde", [1, -1])
    assert write(api, rows, fresh_set) == [
        {"flag": True, "s": b"ab\0\0", "v": b"cde", "list": np.array([1, -1], "i2").tobytes()}
    ]


@pytest.mark.parametrize("kind", ["S8", "V8"])
def test_keys_of_bytes_end_with_their_last_byte(api, fresh_set, kind):
    rows = np.zeros(3, np.dtype([("_key", kind), ("n", "i4")]))
    rows["_key"] = [np.void(text.ljust(8, b"\0")) if kind == "V8" else text for text in (b"ab", b"a\0b", b"12345678")]
    rows["n"] = [1, 2, 3]
    assert write(api, rows, fresh_set) == [{"n": 1}, {"n": 2}, {"n": 3}]
    for user_key, n in ((b"ab", 1), (b"a\0b", 2), (b"12345678", 3)):
        assert api.get(("test", fresh_set, user_key)).bins == {"n": n}


@pytest.mark.parametrize("kind", [*INTEGERS, "u8"])
def test_keys_are_integers_of_every_width(api, fresh_set, kind):
    rows = rows_of((100, 1), dtype=np.dtype([("_key", kind), ("n", "i4")]))
    assert write(api, rows, fresh_set) == [{"n": 1}]
    assert api.get(("test", fresh_set, 100)).bins == {"n": 1}


def test_another_field_can_be_the_key(api, fresh_set):
    rows = rows_of((1, 2, 3), dtype=np.dtype([("id", "i4"), ("_key", "i4"), ("n", "i4")]))
    assert write(api, rows, fresh_set, key_field="id") == [{"n": 3}]
    assert api.get(("test", fresh_set, 1)).bins == {"n": 3}


def test_fields_with_an_underscore_are_left_out_whatever_they_are(api, fresh_set):
    dtype = np.dtype([("_key", "i4"), ("_when", "M8[s]"), ("_name", "U5"), ("n", "i4")])
    rows = np.zeros(1, dtype)
    rows["n"] = 5
    assert write(api, rows, fresh_set) == [{"n": 5}]


def test_rows_need_not_be_contiguous(api, fresh_set):
    rows = rows_of(*((n, n / 2, n * 10) for n in range(6)))
    everything = [{"score": n / 2, "count": n * 10} for n in range(6)]
    assert write(api, rows[::2], fresh_set) == everything[::2]
    assert write(api, rows[::-1], fresh_set) == everything[::-1]
    assert write(api, np.broadcast_to(rows[3:4], (2,)), fresh_set) == [everything[3]] * 2
    assert write(api, np.repeat(rows, 2).reshape(6, 2)[:, 1], fresh_set) == everything


def test_layouts_with_gaps_and_views(api, fresh_set):
    aligned = np.dtype([("_key", "i1"), ("n", "f8")], align=True)
    assert write(api, rows_of((1, 2.5), dtype=aligned), fresh_set) == [{"n": 2.5}]
    assert write(api, rows_of((3, 0.5, 7))[["_key", "count"]], fresh_set) == [{"count": 7}]
    some = np.dtype({"names": ["_key", "count"], "formats": ["i4", "i4"], "offsets": [0, 12], "itemsize": 16})
    assert write(api, rows_of((4, 0.5, 8)), fresh_set, some) == [{"count": 8}]


def test_arrays_that_are_read_only_or_of_a_subclass(api, fresh_set):
    rows = rows_of((1, 0.5, 2))
    rows.flags.writeable = False
    assert write(api, rows, fresh_set) == [{"score": 0.5, "count": 2}]
    assert write(api, rows.view(np.recarray), fresh_set, FLAT) == [{"score": 0.5, "count": 2}]


def test_the_policy_applies_to_every_row(api, fresh_set):
    rows = rows_of((1, 0.5, 2), (2, 0.5, 2))
    api.batch_write_numpy(rows, "test", fresh_set, FLAT, policy={"ttl": 1000})
    assert 0 < api.get(("test", fresh_set, 1)).meta.ttl <= 1000
    again = api.batch_write_numpy(
        rows, "test", fresh_set, FLAT, policy={"exists": aerospike_py.POLICY_EXISTS_CREATE_ONLY}, retry=2
    )
    assert {record.result for record in again.batch_records} == {aerospike_py.AEROSPIKE_ERR_RECORD_EXISTS}
    assert again.retry.max_attempts == 3


@given(data=st.data(), kinds=st.lists(FIELDS, min_size=1, max_size=6), count=st.integers(0, 12))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_what_is_written_is_read_back_by_to_numpy(api, data, kinds, count):
    bins = np.dtype([(f"b{place}", *((kind,) if isinstance(kind, str) else kind)) for place, kind in enumerate(kinds)])
    rows = np.zeros(count, np.dtype([("_key", "i8"), *((name, bins[name]) for name in bins.names)]))
    rows["_key"] = np.arange(count)
    for name in bins.names:
        raw = data.draw(st.binary(min_size=count * bins[name].itemsize, max_size=count * bins[name].itemsize))
        if bins[name].base.kind == "b":
            raw = bytes(byte % 2 for byte in raw)
        rows[name] = np.frombuffer(raw, bins[name], count)
    policy = {"exists": aerospike_py.POLICY_EXISTS_REPLACE}
    written = api.batch_write_numpy(rows, "test", "numpy-round-trip", rows.dtype, policy=policy)
    assert {record.result for record in written.batch_records} <= {OK}
    keys = [("test", "numpy-round-trip", n) for n in range(count)]
    found = api.batch_read(keys).to_numpy(bins).batch_records
    for name in bins.names:
        expected = rows[name]
        if expected.dtype.kind == "f":
            assert np.array_equal(found[name], expected, equal_nan=True)
        else:
            assert found[name].tobytes() == expected.tobytes()


def test_a_large_array_is_converted_while_others_run_and_write_to_it(api, fresh_set):
    rows = np.zeros(3_000, FLAT)
    rows["_key"] = np.arange(len(rows))
    stop = threading.Event()

    def scribble():
        number = 0
        while not stop.is_set():
            number += 1
            rows["count"] = number

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        patient = {"total_timeout": 60_000, "socket_timeout": 60_000}
        results = [api.batch_write_numpy(rows, "test", fresh_set, FLAT, policy=patient) for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    for result in results:
        assert len(result.batch_records) == len(rows)
        assert {record.result for record in result.batch_records} == {OK}
    assert type(api.get(("test", fresh_set, 2_999)).bins["count"]) is int


def test_the_array_is_let_go(api, fresh_set):
    rows = np.zeros(2_000, FLAT)
    rows["_key"] = np.arange(len(rows))
    before = sys.getrefcount(rows)
    api.batch_write_numpy(rows, "test", fresh_set, FLAT, policy={"total_timeout": 60_000, "socket_timeout": 60_000})
    assert sys.getrefcount(rows) == before
    rows.resize(10, refcheck=sys.version_info < (3, 14))


@pytest.mark.parametrize("kind", ["U4", "c8", "M8[s]", "m8[s]", "O", [("x", "i4")]], ids=str)
def test_kinds_of_fields_that_are_refused(api, fresh_set, kind):
    for fields in ([("_key", "i4"), ("n", kind)], [("_key", kind), ("n", "i4")]):
        rows = np.zeros(1, np.dtype(fields))
        with raises_exactly(TypeError, match="dtype field .* are supported"):
            api.batch_write_numpy(rows, "test", fresh_set, rows.dtype)


@pytest.mark.parametrize("kind", ["f8", "?", ("i4", (1,))], ids=str)
def test_fields_that_cannot_be_keys(api, fresh_set, kind):
    rows = np.zeros(1, np.dtype([("_key", *((kind,) if isinstance(kind, str) else kind)), ("n", "i4")]))
    with raises_exactly(TypeError, match="'?\"?_key.* user key and must be one integer or bytes"):
        api.batch_write_numpy(rows, "test", fresh_set, rows.dtype)


def test_objects_are_never_read_as_memory(api, fresh_set):
    hidden = np.zeros(1, np.dtype([("_key", "i8"), ("n", "i8"), ("_o", "O")]))
    with raises_exactly(TypeError, match="arrays of Python objects"):
        api.batch_write_numpy(hidden, "test", fresh_set, hidden.dtype)
    pointers = np.zeros(1, np.dtype([("_key", "i8"), ("n", "O")]))
    with raises_exactly(TypeError, match="arrays of Python objects"):
        api.batch_write_numpy(pointers, "test", fresh_set, np.dtype([("_key", "i8"), ("n", "i8")]))


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ([("k", "i4"), ("n", "i4")], 'must have a field "_key"'),
        ([("_key", "i4")], "field per bin"),
        ([("_key", "i4"), ("_n", "i4")], "field per bin"),
        ([("_key", ">i4"), ("n", "i4")], "foreign byte order"),
        ([("_key", "i4"), ("n", ">f8")], "foreign byte order"),
        ([("_key", "i4"), ("n", ">i2", (2,))], "foreign byte order"),
    ],
    ids=str,
)
def test_layouts_that_are_refused(api, fresh_set, dtype, message):
    rows = np.zeros(1, np.dtype(dtype))
    with raises_exactly(aerospike_py.InvalidArgError, match=message) as caught:
        api.batch_write_numpy(rows, "test", fresh_set, rows.dtype)
    assert isinstance(caught.value, ValueError)


def test_names_of_bins_are_checked(api, fresh_set):
    rows = np.zeros(1, np.dtype([("_key", "i4"), ("n" * 16, "i4")]))
    with raises_exactly(aerospike_py.BinNameError, match="at most 15 bytes"):
        api.batch_write_numpy(rows, "test", fresh_set, rows.dtype)


@pytest.mark.parametrize(
    ("rows", "expected", "message"),
    [
        (np.zeros((2, 2), FLAT), aerospike_py.InvalidArgError, "one dimension, not 2"),
        (np.zeros((), FLAT), aerospike_py.InvalidArgError, "one dimension, not 0"),
        (np.zeros(2, "i8"), aerospike_py.InvalidArgError, "must describe the rows"),
        ([(1, 0.5, 2)], TypeError, "data must be a structured numpy.ndarray, not list"),
        (None, TypeError, "data must be"),
    ],
    ids=["two-dimensional", "scalar", "plain", "list", "none"],
)
def test_data_that_is_refused(api, fresh_set, rows, expected, message):
    with raises_exactly(expected, match=message):
        api.batch_write_numpy(rows, "test", fresh_set, FLAT)


def test_other_arguments_that_are_refused(api, fresh_set):
    rows = rows_of((1, 0.5, 2))
    with raises_exactly(TypeError, match=r"_dtype must be a structured numpy\.dtype, not str"):
        api.batch_write_numpy(rows, "test", fresh_set, "i4")
    with raises_exactly(TypeError, match="_dtype must have fields"):
        api.batch_write_numpy(rows, "test", fresh_set, np.dtype("V16"))
    with raises_exactly(TypeError, match="namespace of a key must be a str, not int"):
        api.batch_write_numpy(rows, 5, fresh_set, FLAT)
    with raises_exactly(aerospike_py.InvalidArgError, match="namespace must not be empty"):
        api.batch_write_numpy(rows, "", fresh_set, FLAT)
    with raises_exactly(aerospike_py.InvalidArgError, match="retry must be"):
        api.batch_write_numpy(rows, "test", fresh_set, FLAT, retry=-1)
    with raises_exactly(TypeError, match="policy must be a dict"):
        api.batch_write_numpy(rows, "test", fresh_set, FLAT, policy=5)


def test_unsigned_integers_beyond_63_bits_are_refused_with_their_row(api, fresh_set):
    dtype = np.dtype([("_key", "u8"), ("n", "u8")])
    with raises_exactly(OverflowError, match=r'record 1: 9223372036854775808 in field "n"'):
        api.batch_write_numpy(rows_of((1, 1), (2, 2**63), dtype=dtype), "test", fresh_set, dtype)
    with raises_exactly(OverflowError, match='record 0: .* in field "_key"'):
        api.batch_write_numpy(rows_of((2**63, 1), dtype=dtype), "test", fresh_set, dtype)
    assert api.exists(("test", fresh_set, 1)).meta is None
