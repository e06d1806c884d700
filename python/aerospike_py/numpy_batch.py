"""The NumPy view of a batch read.

``LazyBatchRecords.to_numpy`` fills the arrays natively; this module holds only the object that carries them. NumPy is
not imported here, so that the package works without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from aerospike_py.types import UserKey

__all__ = ["NumpyBatchRecords"]


class NumpyBatchRecords:
    """A batch as three arrays of equal length, in request order.

    Rows of keys that were not found or failed are zero, which a record full of zeros is too: mask with
    ``result_codes == 0`` before computing with the values.
    """

    __slots__ = ("_map", "batch_records", "meta", "result_codes")

    batch_records: np.ndarray[Any, np.dtype[np.void]]
    """Structured array, one row per key, one field per bin of the dtype."""
    meta: np.ndarray[Any, np.dtype[np.void]]
    """Structured array with the ``uint32`` fields ``gen`` and ``ttl``."""
    result_codes: np.ndarray[Any, np.dtype[np.int32]]
    """``int32`` array: 0 for success, otherwise one of the ``AEROSPIKE_ERR_*`` codes."""

    def __init__(
        self,
        batch_records: np.ndarray[Any, np.dtype[np.void]],
        meta: np.ndarray[Any, np.dtype[np.void]],
        result_codes: np.ndarray[Any, np.dtype[np.int32]],
        _map: dict[UserKey, int],
    ) -> None:
        self.batch_records = batch_records
        self.meta = meta
        self.result_codes = result_codes
        self._map = _map

    def get(self, key: UserKey) -> np.void:
        """Return the row of the record with this user key.

        Raises:
            KeyError: The batch did not ask for this key. (A key that was asked for but not found has a zero row.)
        """
        try:
            row = self._map[key]
        except KeyError:
            raise KeyError(f"user key {key!r} was not part of this batch of {len(self)} records") from None
        found: np.void = self.batch_records[row]
        return found

    def __len__(self) -> int:
        return len(self.batch_records)

    def __iter__(self) -> Iterator[np.void]:
        return iter(self.batch_records)

    def __contains__(self, key: UserKey) -> bool:
        return key in self._map

    def __repr__(self) -> str:
        succeeded = int((self.result_codes == 0).sum())
        fields = list(self.batch_records.dtype.names or ())
        return f"NumpyBatchRecords(count={len(self)}, ok={succeeded}, fields={fields})"
