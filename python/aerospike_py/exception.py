"""The exceptions of the client, as a module of their own.

They are created by the extension; the tree is::

    AerospikeError
    +-- ClientError                 the client itself: configuration, not connected, closed
    |   +-- BackpressureError       no free slot within operation_queue_timeout_ms
    |   +-- RustPanicError          a bug in native code, caught; the process lives on
    +-- ClusterError                no connection to the cluster or one of its nodes
    +-- AerospikeTimeoutError       a deadline passed
    +-- InvalidArgError             an argument was refused (a ValueError too)
    +-- RecordError                 one record
    |   +-- RecordNotFound, RecordExistsError, RecordGenerationError, RecordTooBig, FilteredOut
    |   +-- BinNameError            (a ValueError too)
    |   +-- BinExistsError, BinNotFound, BinTypeError
    +-- ServerError                 anything else that the server refused
        +-- AerospikeIndexError     (IndexNotFound, IndexFoundError)
        +-- QueryError              (QueryAbortedError)
        +-- AdminError
        +-- UDFError

Each carries ``result_code``, the server's number (``AEROSPIKE_ERR_*``) or -1 when no server answered, and ``in_doubt``:
whether a write may have been applied although the call failed.

``TimeoutError`` and ``IndexError`` are old names of ``AerospikeTimeoutError`` and ``AerospikeIndexError``. They hide
builtins, so using them warns.
"""

import warnings

from aerospike_py._aerospike import (
    AdminError,
    AerospikeError,
    AerospikeIndexError,
    AerospikeTimeoutError,
    BackpressureError,
    BinExistsError,
    BinNameError,
    BinNotFound,
    BinTypeError,
    ClientError,
    ClusterError,
    FilteredOut,
    IndexFoundError,
    IndexNotFound,
    InvalidArgError,
    QueryAbortedError,
    QueryError,
    RecordError,
    RecordExistsError,
    RecordGenerationError,
    RecordNotFound,
    RecordTooBig,
    RustPanicError,
    ServerError,
    UDFError,
)

__all__ = [
    "AdminError",
    "AerospikeError",
    "AerospikeIndexError",
    "AerospikeTimeoutError",
    "BackpressureError",
    "BinExistsError",
    "BinNameError",
    "BinNotFound",
    "BinTypeError",
    "ClientError",
    "ClusterError",
    "FilteredOut",
    "IndexFoundError",
    "IndexNotFound",
    "InvalidArgError",
    "QueryAbortedError",
    "QueryError",
    "RecordError",
    "RecordExistsError",
    "RecordGenerationError",
    "RecordNotFound",
    "RecordTooBig",
    "RustPanicError",
    "ServerError",
    "UDFError",
]

_RENAMED: dict[str, type[AerospikeError]] = {
    "TimeoutError": AerospikeTimeoutError,
    "IndexError": AerospikeIndexError,
}


def renamed_exception(module: str, name: str, *, stacklevel: int) -> type[AerospikeError]:
    """Return the exception that has the old name ``name``, and warn; ``AttributeError`` if it is no old name."""
    try:
        renamed = _RENAMED[name]
    except KeyError:
        raise AttributeError(f"module {module!r} has no attribute {name!r}") from None
    warnings.warn(
        f"{module}.{name} hides a builtin and will go away in version 1.0: use {renamed.__name__}",
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )
    return renamed


def __getattr__(name: str) -> type[AerospikeError]:
    return renamed_exception(__name__, name, stacklevel=2)
