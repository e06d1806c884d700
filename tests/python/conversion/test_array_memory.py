"""Arrays of a batch: every layout that NumPy can describe, in memory that belongs to nobody else."""

import copy
import gc
import pickle

import aerospike_py
import numpy as np
import pytest
from expectations import raises_exactly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROWS = [{"a": -7, "b": 0.5, "c": b"xyz", "d": [1, 2, 3]}, None, {"a": 9, "b": -2.0, "c": b"", "d": [4]}]
PLAIN = [("a", "i8"), ("b", "f4"), ("c", "S5"), ("d", "u2", (3,))]

LAYOUTS = {
    "packed": np.dtype(PLAIN),
    "aligned": np.dtype([("flag", "?"), *PLAIN], align=True),
    "other-order": np.dtype(PLAIN[::-1]),
    "gaps": np.dtype(
        {"names": ["a", "b"], "formats": ["i8", "f4"], "offsets": [3, 20], "itemsize": 64},
    ),
    "backwards": np.dtype({"names": ["a", "b"], "formats": ["i8", "f4"], "offsets": [8, 1], "itemsize": 17}),
    "one-field": np.dtype([("b", "f2")]),
    "titles": np.dtype([(("the title", "a"), "i4"), ("b", "f8")]),
    "nothing-there": np.dtype([("x", "i8"), ("y", "f8", (2, 2))]),
}


@pytest.fixture
def batch(client, fresh_set):
    """Three keys, of which the second was not found."""
    keys = [("test", fresh_set, place) for place in range(len(ROWS))]
    client.batch_write([(key, bins) for key, bins in zip(keys, ROWS, strict=True) if bins])
    return client.batch_read(keys)


def as_numpy_would(dtype, rows):
    """Fill an array with NumPy's own means."""
    expected = np.zeros(len(rows), dtype)
    for place, bins in enumerate(rows):
        for name in dtype.names:
            value = (bins or {}).get(name)
            if isinstance(value, list):
                expected[name][place, : len(value)] = value
            elif value is not None:
                expected[name][place] = value
    return expected


@pytest.mark.parametrize("dtype", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_filled_as_numpy_would(batch, dtype):
    array = batch.to_numpy(dtype).batch_records
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    expected = as_numpy_would(dtype, ROWS)
    for name in dtype.names:
        assert array[name].tolist() == expected[name].tolist()


def test_a_layout_with_padding_is_aligned_and_its_padding_zero(batch):
    dtype = LAYOUTS["aligned"]
    array = batch.to_numpy(dtype).batch_records
    assert array.flags.aligned
    assert array["a"].flags.aligned
    assert array.tobytes() == as_numpy_would(dtype, ROWS).tobytes()


def test_fields_that_overlap_are_written_one_over_the_other(client, key):
    client.put(key, {"whole": 0x0102030405060708})
    dtype = np.dtype({"names": ["whole", "low"], "formats": ["<i8", "u1"], "offsets": [0, 0]})
    array = client.batch_read([key]).to_numpy(dtype).batch_records
    assert array["low"].tolist() == [array["whole"].item() & 0xFF] == [8]


def test_the_arrays_can_be_written_and_share_nothing(batch):
    first, second = batch.to_numpy(LAYOUTS["packed"]), batch.to_numpy(LAYOUTS["packed"])
    for name in ("batch_records", "meta", "result_codes"):
        mine, other = getattr(first, name), getattr(second, name)
        assert mine.flags.writeable
        assert not np.shares_memory(mine, other)
    first.batch_records["a"] += 100
    first.meta["gen"] = 77
    first.result_codes[:] = 5
    assert second.batch_records["a"].tolist() == [-7, 0, 9]
    assert second.result_codes.tolist() == [0, 2, 0]
    assert batch.to_numpy(LAYOUTS["packed"]).batch_records.tobytes() == second.batch_records.tobytes()


def test_the_arrays_outlive_everything_they_came_from(server_config, fresh_set):
    keys = [("test", fresh_set, place) for place in range(1000)]
    with aerospike_py.client(server_config).connect() as connected:
        connected.batch_write([(key, {"n": key[2]}) for key in keys])
        handle = connected.batch_read(keys)
        arrays = handle.to_numpy(np.dtype([("n", "i8")]))
    column = arrays.batch_records["n"][::2]
    del handle, arrays
    gc.collect()
    assert column.tolist() == list(range(0, 1000, 2))


def test_the_arrays_can_be_pickled_and_copied(batch):
    array = batch.to_numpy(LAYOUTS["aligned"]).batch_records
    for twin in (pickle.loads(pickle.dumps(array)), copy.deepcopy(array), array.copy()):
        assert twin.dtype == array.dtype
        assert [twin[name].tolist() for name in twin.dtype.names] == [
            array[name].tolist() for name in array.dtype.names
        ]
    assert np.sort(array, order="a")["a"].tolist() == [-7, 0, 9]


def test_packed_bytes_fill_a_sub_array(client, key):
    vector = np.array([0.5, -1.0, 3.25], "f4")
    client.put(key, {"vector": vector.tobytes(), "flags": bytes([0, 1, 255])})
    array = client.batch_read([key]).to_numpy(np.dtype([("vector", "f4", (4,)), ("flags", "?", (3,))])).batch_records
    assert array["vector"].tolist() == [[0.5, -1.0, 3.25, 0.0]]
    assert array["flags"].tolist() == [[False, True, True]]
    assert array["flags"].view("u1").tolist() == [[0, 1, 1]]


def test_a_sub_array_of_one_element_takes_a_list(client, key):
    client.put(key, {"one": [5], "packed": np.int32(7).tobytes()})
    array = client.batch_read([key]).to_numpy(np.dtype([("one", "f8", (1,)), ("packed", "i4", (1, 1))])).batch_records
    assert array["one"].tolist() == [[5.0]]
    assert array["packed"].tolist() == [[[7]]]


@pytest.mark.parametrize("dtype", [[("d", "u2", (2,))], [("vector", "f8", (1,))]])
def test_what_is_longer_than_its_sub_array_is_refused(client, key, dtype):
    client.put(key, {"d": [1, 2, 3], "vector": bytes(16)})
    with raises_exactly(OverflowError, match="record 0: .* not fit"):
        client.batch_read([key]).to_numpy(np.dtype(dtype))


@pytest.mark.parametrize("kind", [">i8", ">f4", "c16", "M8[s]", "m8[ns]", "U3", "O", "g", [("inner", "i8")]])
def test_elements_that_cannot_be_filled_are_refused_by_name(batch, kind):
    with raises_exactly(TypeError, match='dtype field "a"'):
        batch.to_numpy(np.dtype([("a", kind)]))


def test_a_bin_that_does_not_suit_its_field_is_named_with_its_record(client, key):
    client.put(key, {"n": "text"})
    with raises_exactly(TypeError, match='record 0: field "n" takes a number, but the bin holds a str'):
        client.batch_read([key]).to_numpy(np.dtype([("n", "i8")]))


def test_a_failed_conversion_leaves_the_handle_usable(client, key):
    client.put(key, {"n": 300})
    handle = client.batch_read([key])
    with raises_exactly(OverflowError, match="300"):
        handle.to_numpy(np.dtype([("n", "i1")]))
    assert handle.to_numpy(np.dtype([("n", "i2")])).batch_records["n"].tolist() == [300]


def test_fields_without_room_stay_empty(client, key):
    client.put(key, {"none": [], "text": "abc", "n": 1})
    dtype = np.dtype([("none", "f8", (0,)), ("text", "S0"), ("n", "i8")])
    array = client.batch_read([key]).to_numpy(dtype).batch_records
    assert array["none"].shape == (1, 0)
    assert array["n"].tolist() == [1]


@st.composite
def columns(draw):
    """A structured dtype, and a value for each of its fields."""
    fields, values = [], {}
    for place in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?", "S7"]))
        if kind[0] in "iu":
            limits = np.iinfo(kind)
            value = draw(st.integers(int(limits.min), min(int(limits.max), 2**63 - 1)))
        elif kind[0] == "f":
            value = draw(st.floats(width=int(kind[1]) * 8, allow_nan=False))
        elif kind == "?":
            value = draw(st.booleans())
        else:
            value = draw(st.binary(max_size=9))
        fields.append((f"b{place}", kind))
        values[f"b{place}"] = value
    return np.dtype(fields, align=draw(st.booleans())), values


@given(column=columns())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_row_is_what_numpy_makes_of_the_same_values(client, column):
    dtype, values = column
    key = ("test", "any_row", "k")
    client.put(key, values, policy={"exists": aerospike_py.POLICY_EXISTS_REPLACE})
    array = client.batch_read([key]).to_numpy(dtype).batch_records
    assert array.tobytes() == as_numpy_would(dtype, [values]).tobytes()
