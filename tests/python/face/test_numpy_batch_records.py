"""The NumPy view of a batch: rows by key, by position and by name."""

import sys

import aerospike_py
import pytest

np = pytest.importorskip("numpy")


@pytest.fixture
def batch():
    """Three keys, of which the second was not found."""
    rows = np.array([(0.5, 3), (0.0, 0), (1.5, 7)], dtype=[("score", "f8"), ("views", "i4")])
    meta = np.array([(2, 300), (0, 0), (1, 0)], dtype=[("gen", "u4"), ("ttl", "u4")])
    codes = np.array([0, 2, 0], dtype=np.int32)
    return aerospike_py.NumpyBatchRecords(rows, meta, codes, {"a": 0, 7: 1, b"c": 2})


def test_a_row_is_found_by_any_type_of_user_key(batch):
    assert batch.get("a")["score"] == 0.5
    assert batch.get(7)["views"] == 0
    assert batch.get(b"c")["views"] == 7


def test_a_key_that_was_not_asked_for_is_a_key_error_that_names_it(batch):
    with pytest.raises(KeyError, match=r"'nobody'.*3 records"):
        batch.get("nobody")
    assert "nobody" not in batch
    assert 7 in batch


def test_it_iterates_and_counts_in_request_order(batch):
    assert len(batch) == 3
    assert [int(row["views"]) for row in batch] == [3, 0, 7]


def test_the_arrays_are_the_ones_given(batch):
    assert batch.meta["gen"].tolist() == [2, 0, 1]
    assert batch.batch_records[batch.result_codes == 0]["score"].tolist() == [0.5, 1.5]


def test_the_text_form_says_how_many_succeeded(batch):
    assert repr(batch) == "NumpyBatchRecords(count=3, ok=2, fields=['score', 'views'])"


def test_an_empty_batch_has_no_rows():
    nothing = np.zeros(0, dtype=[("n", "i8")])
    batch = aerospike_py.NumpyBatchRecords(nothing, nothing, np.zeros(0, dtype=np.int32), {})
    assert list(batch) == []
    assert repr(batch) == "NumpyBatchRecords(count=0, ok=0, fields=['n'])"


def test_the_fields_are_fixed(batch):
    with pytest.raises(AttributeError):
        batch.other = 1


def test_the_module_does_not_import_numpy():
    source = sys.modules["aerospike_py.numpy_batch"]
    assert not hasattr(source, "np")
