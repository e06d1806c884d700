"""Batches as structured NumPy arrays."""

import numpy as np
import pytest
from aerospike_py import NumpyBatchRecords
from expectations import raises_exactly

FLAT = np.dtype([("i", "i8"), ("f", "f8")])


@pytest.fixture
def handle(api, keys):
    """Twelve keys, every third of which was not found."""
    api.batch_write([(key, {"i": key[2], "f": key[2] / 2, "other": "text"}) for key in keys if key[2] % 3])
    return api.batch_read(keys)


def test_one_row_per_key_and_zeros_where_nothing_was_found(handle):
    arrays = handle.to_numpy(FLAT)
    assert type(arrays) is NumpyBatchRecords
    assert arrays.batch_records.dtype == FLAT
    assert arrays.batch_records["i"].tolist() == [n if n % 3 else 0 for n in range(12)]
    assert arrays.batch_records["f"].tolist() == [n / 2 if n % 3 else 0.0 for n in range(12)]
    assert arrays.result_codes.tolist() == [0 if n % 3 else 2 for n in range(12)]
    assert arrays.meta["gen"].tolist() == [1 if n % 3 else 0 for n in range(12)]
    assert arrays.meta.dtype.names == ("gen", "ttl")


def test_rows_are_found_by_user_key(handle):
    arrays = handle.to_numpy(FLAT)
    assert len(arrays) == 12
    assert 4 in arrays
    assert "4" not in arrays
    assert arrays.get(4)["f"] == 2.0
    with raises_exactly(KeyError, match="was not part of this batch"):
        arrays.get(99)


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_numbers_of_every_width(api, key, kind):
    api.put(key, {"n": 100})
    arrays = api.batch_read([key]).to_numpy(np.dtype([("n", kind)]))
    assert arrays.batch_records["n"].tolist() == [100]


def test_booleans_bytes_and_sub_arrays(api, key):
    api.put(key, {"flag": True, "blob": b"abc", "vector": [1.5, 2.5, 3.5]})
    dtype = np.dtype([("flag", "?"), ("blob", "S4"), ("vector", "f4", (3,))])
    row = api.batch_read([key]).to_numpy(dtype).batch_records[0]
    assert row["flag"].item() is True
    assert row["blob"] == b"abc"
    assert row["vector"].tolist() == [1.5, 2.5, 3.5]


def test_bins_that_are_missing_on_either_side(api, key):
    api.put(key, {"i": 5, "more": 1})
    arrays = api.batch_read([key]).to_numpy(np.dtype([("i", "i8"), ("absent", "f8")]))
    assert arrays.batch_records.tolist() == [(5, 0.0)]


def test_an_empty_batch_is_an_empty_array(api):
    arrays = api.batch_read([]).to_numpy(FLAT)
    assert (len(arrays), arrays.batch_records.shape, arrays.result_codes.shape) == (0, (0,), (0,))


def test_integers_beyond_their_field_are_refused(api, key):
    api.put(key, {"n": 300})
    with raises_exactly(OverflowError, match="n"):
        api.batch_read([key]).to_numpy(np.dtype([("n", "u1")]))


@pytest.mark.parametrize(
    "dtype", ["f8", [("n", "f8")], np.float64, np.dtype("f8"), np.dtype([("n", "O")]), np.dtype([("n", "U4")]), None]
)
def test_other_dtypes_are_refused(handle, dtype):
    with raises_exactly(TypeError, match="dtype"):
        handle.to_numpy(dtype)
