"""The shape of the operations that ``operate``, ``operate_ordered`` and ``batch_operate`` take."""

from typing import Any, TypeAlias

__all__ = ["Operation"]

Operation: TypeAlias = dict[str, Any]
"""One operation on one record.

``op`` is one of ``OPERATOR_*``; ``bin`` names the bin (absent for touching and deleting the record, and for reading
all bins); ``val`` is the value to write, add, append or prepend, or the seconds to live for touching.
"""
