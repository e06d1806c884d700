"""The native module: clients, results, exceptions, constants, recording, and the embedded server.

This stub is the reference of the API; everything public in it is also a name of :mod:`aerospike_py`. Its examples are
executed by the tests, with ``client`` (a connected :class:`Client`), ``async_client`` (a connected
:class:`AsyncClient`), ``hosts`` (the seed nodes) and ``aerospike_py`` at hand.

What holds for every operation:

* A *key* is ``(namespace, set, user_key)`` with a ``str``, ``int`` or ``bytes`` user key, or
  ``(namespace, set, None, digest)`` with the 20-byte digest.
* *Bins* hold ``int`` (64 bits), ``float``, ``str``, ``bytes``, ``bool``, ``list``, ``dict`` and ``None``, which deletes
  the bin. Names have at most 15 bytes.
* *Policies* and *metas* are dictionaries, described by the ``TypedDict`` classes of :mod:`aerospike_py.types`.
  Time-outs are milliseconds, times to live seconds.
* Arguments of a wrong type raise ``TypeError``, values that cannot be sent :class:`InvalidArgError` or
  :class:`BinNameError` (each a ``ValueError`` too), integers beyond 64 bits ``OverflowError``; all of them before
  anything is sent. Everything else raises another :class:`AerospikeError`:
  :class:`ClientError` when the client is not connected or closed, :class:`AerospikeTimeoutError` when a deadline
  passes, :class:`ClusterError` when no node can be reached, :class:`BackpressureError` when no slot became free in
  time. The methods list only what they raise beyond these.
"""

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    ItemsView,
    Iterator,
    KeysView,
    Sequence,
    ValuesView,
)
from contextvars import Context, ContextVar
from types import TracebackType
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypeVar, final, overload

import numpy as np
from typing_extensions import disjoint_base

from aerospike_py._types import Operation as OperationDict
from aerospike_py.metrics import MetricsExportStatistics
from aerospike_py.numpy_batch import NumpyBatchRecords
from aerospike_py.tracing import RecorderStatistics, TracingStatistics
from aerospike_py.types import (
    AdminPolicy,
    AerospikeRecord,
    BatchDeleteMeta,
    BatchPolicy,
    BatchRecord,
    BatchRecords,
    BatchWriteResult,
    Bins,
    ClientConfig,
    ExistsResult,
    InfoNodeResult,
    Key,
    OperateOrderedResult,
    ReadPolicy,
    Record,
    UserKey,
    WriteMeta,
    WritePolicy,
)

__version__: Final[str]

_T = TypeVar("_T")
_D = TypeVar("_D")

# --- clients -----------------------------------------------------------------------------------------------------

@disjoint_base
class Client:
    """A client for synchronous code.

    One client serves any number of threads: calls run with the GIL released. It keeps its own connections and knows
    the cluster's nodes and partitions, so make one per process and keep it.

    A process made by ``fork`` has none of its parent's connections: there the operations of a client that was connected
    before the fork raise :class:`ClientError`, until it is connected again; closing it there does nothing. A server
    that forks workers connects in each worker.

    Ctrl-C ends a call of the main thread with ``KeyboardInterrupt``; a write that it interrupts may or may not have
    been applied.

    Args:
        config: What to connect to and how; it is checked at once, and ``hosts`` is needed.

    Raises:
        TypeError: The configuration is no dictionary, or one of its entries has the wrong type.
        InvalidArgError: ``hosts`` is missing or empty, or an entry is out of range.

    Example:
        ```python
        with aerospike_py.client({"hosts": hosts}).connect() as connected:
            connected.put(("test", "demo", "alice"), {"name": "Alice"})
            assert connected.get(("test", "demo", "alice")).bins == {"name": "Alice"}
        ```
    """

    def __new__(cls, config: ClientConfig) -> Self: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> Literal[False]: ...
    def connect(self, username: str | None = None, password: str | None = None) -> Self:
        """Connect to the cluster, and return the client.

        Args:
            username: User to authenticate as; goes before ``config["user"]``.
            password: The user's password; goes before ``config["password"]``.

        Raises:
            InvalidArgError: There is a password, but no user.
            AdminError: The cluster refused user and password.
            ClusterError: None of the hosts answered as an Aerospike node.

        Example:
            ```python
            connected = aerospike_py.client({"hosts": hosts}).connect()
            assert connected.is_connected()
            connected.close()
            ```
        """

    def is_connected(self) -> bool:
        """Whether the client knows a node that is up. Nothing is sent.

        Example:
            ```python
            assert client.is_connected()
            ```
        """

    def ping(self) -> bool:
        """Ask a node for its build, and return whether it answered. Never raises for lack of a connection.

        Example:
            ```python
            assert client.ping()
            ```
        """

    def close(self) -> None:
        """Close all connections; closing twice does nothing.

        Operations in flight that have a ``total_timeout`` still end by themselves, with their result or with
        :class:`ClientError`; those without one end at once with :class:`ClientError`, and so does every later call.

        Example:
            ```python
            connected = aerospike_py.client({"hosts": hosts}).connect()
            connected.close()
            assert not connected.is_connected()
            ```
        """

    def get_node_names(self) -> list[str]:
        """Return the names of the cluster's nodes.

        Example:
            ```python
            assert len(client.get_node_names()) >= 1
            ```
        """

    def info_all(self, command: str, policy: AdminPolicy | None = None) -> list[InfoNodeResult]:
        """Send an info command to every node.

        Args:
            command: The command, such as ``"namespaces"`` or ``"sets/test"``.
            policy: ``timeout`` in milliseconds, for each node.

        Returns:
            One answer per node. A node that cannot be asked has an ``error_code`` other than 0.

        Example:
            ```python
            for node, error_code, response in client.info_all("namespaces"):
                assert error_code == 0
                assert "test" in response
            ```
        """

    def info_random_node(self, command: str, policy: AdminPolicy | None = None) -> str:
        """Send an info command to one node, and return its answer.

        Args:
            command: The command, such as ``"build"``.
            policy: ``timeout`` in milliseconds.

        Example:
            ```python
            assert client.info_random_node("build")
            ```
        """

    def put(self, key: Key, bins: Bins, meta: WriteMeta | None = None, policy: WritePolicy | None = None) -> None:
        """Write bins of a record; bins that are not named stay as they are.

        Args:
            key: The record's key.
            bins: Values by bin name; ``None`` deletes a bin.
            meta: What this write asks for, such as ``{"ttl": 300}`` in seconds.
            policy: How the write behaves, such as ``{"exists": POLICY_EXISTS_CREATE_ONLY}``.

        Raises:
            RecordExistsError: ``POLICY_EXISTS_CREATE_ONLY``, and there is such a record.
            RecordNotFound: ``POLICY_EXISTS_UPDATE_ONLY`` or ``_REPLACE_ONLY``, and there is none.
            RecordGenerationError: The generation is not the expected one.
            RecordTooBig: The record would exceed the server's limit.

        Example:
            ```python
            key = ("test", "demo", "put")
            client.put(key, {"name": "Alice", "age": 30}, meta={"ttl": 300})
            client.put(key, {"age": None}, policy={"exists": aerospike_py.POLICY_EXISTS_UPDATE_ONLY})
            assert client.get(key).bins == {"name": "Alice"}
            ```
        """

    def get(self, key: Key, policy: ReadPolicy | None = None) -> Record:
        """Read a record with all of its bins.

        Args:
            key: The record's key.
            policy: How the read behaves.

        Raises:
            RecordNotFound: There is no such record.
            FilteredOut: The policy's filter excludes it.

        Example:
            ```python
            client.put(("test", "demo", "get"), {"name": "Alice"})
            key, meta, bins = client.get(("test", "demo", "get"))
            assert key.user_key == "get"
            assert meta.gen >= 1
            assert bins == {"name": "Alice"}
            ```
        """

    def select(self, key: Key, bins: list[str], policy: ReadPolicy | None = None) -> Record:
        """Read some bins of a record.

        Args:
            key: The record's key.
            bins: Names of the bins; those that the record lacks are left out of the result.
            policy: How the read behaves.

        Raises:
            RecordNotFound: There is no such record.
            FilteredOut: The policy's filter excludes it.

        Example:
            ```python
            client.put(("test", "demo", "select"), {"name": "Alice", "age": 30})
            assert client.select(("test", "demo", "select"), ["age"]).bins == {"age": 30}
            ```
        """

    def exists(self, key: Key, policy: ReadPolicy | None = None) -> ExistsResult:
        """Ask whether a record exists, without reading its bins.

        Args:
            key: The record's key.
            policy: How the read behaves.

        Returns:
            The key and the metadata; ``meta`` is ``None`` when there is no such record.

        Example:
            ```python
            key, meta = client.exists(("test", "demo", "nobody"))
            assert meta is None
            ```
        """

    def remove(self, key: Key, meta: WriteMeta | None = None, policy: WritePolicy | None = None) -> None:
        """Delete a record.

        Args:
            key: The record's key.
            meta: What this delete asks for: ``gen`` together with ``POLICY_GEN_EQ`` deletes only that generation.
            policy: How the write behaves.

        Raises:
            RecordNotFound: There is no such record.
            RecordGenerationError: The generation is not the expected one.

        Example:
            ```python
            key = ("test", "demo", "remove")
            client.put(key, {"n": 1})
            generation = client.exists(key).meta.gen
            client.remove(key, meta={"gen": generation}, policy={"gen": aerospike_py.POLICY_GEN_EQ})
            assert client.exists(key).meta is None
            ```
        """

    def touch(self, key: Key, val: int = 0, meta: WriteMeta | None = None, policy: WritePolicy | None = None) -> None:
        """Give a record a new time to live; its generation grows by one.

        Args:
            key: The record's key.
            val: Seconds to live, or one of ``TTL_*``; 0 takes the namespace's default.
            meta: What this write asks for.
            policy: How the write behaves.

        Raises:
            RecordNotFound: There is no such record.

        Example:
            ```python
            key = ("test", "demo", "touch")
            client.put(key, {"n": 1})
            client.touch(key, val=300)
            assert 0 < client.exists(key).meta.ttl <= 300
            ```
        """

    def append(
        self, key: Key, bin: str, val: Any, meta: WriteMeta | None = None, policy: WritePolicy | None = None
    ) -> None:
        """Add text or bytes at the end of a bin; record and bin are made when they do not exist.

        Args:
            key: The record's key.
            bin: Name of the bin.
            val: ``str`` or ``bytes``, as the bin has.
            meta: What this write asks for.
            policy: How the write behaves.

        Raises:
            BinTypeError: The bin holds something else.

        Example:
            ```python
            key = ("test", "demo", "append")
            client.put(key, {"name": "Al"})
            client.append(key, "name", "ice")
            assert client.get(key).bins == {"name": "Alice"}
            ```
        """

    def prepend(
        self, key: Key, bin: str, val: Any, meta: WriteMeta | None = None, policy: WritePolicy | None = None
    ) -> None:
        """Add text or bytes at the beginning of a bin; record and bin are made when they do not exist.

        Args:
            key: The record's key.
            bin: Name of the bin.
            val: ``str`` or ``bytes``, as the bin has.
            meta: What this write asks for.
            policy: How the write behaves.

        Raises:
            BinTypeError: The bin holds something else.

        Example:
            ```python
            key = ("test", "demo", "prepend")
            client.put(key, {"name": "ice"})
            client.prepend(key, "name", "Al")
            assert client.get(key).bins == {"name": "Alice"}
            ```
        """

    def increment(
        self,
        key: Key,
        bin: str,
        offset: int | float,
        meta: WriteMeta | None = None,
        policy: WritePolicy | None = None,
    ) -> None:
        """Add to a number; record and bin are made, from zero, when they do not exist.

        Args:
            key: The record's key.
            bin: Name of the bin.
            offset: What to add, of the type that the bin has; negative to subtract.
            meta: What this write asks for.
            policy: How the write behaves.

        Raises:
            BinTypeError: The bin holds something else.

        Example:
            ```python
            key = ("test", "demo", "increment")
            client.put(key, {"views": 1, "score": 0.5})
            client.increment(key, "views", 2)
            client.increment(key, "score", -0.25)
            assert client.get(key).bins == {"views": 3, "score": 0.25}
            ```
        """

    def remove_bin(
        self, key: Key, bin_names: list[str], meta: WriteMeta | None = None, policy: WritePolicy | None = None
    ) -> None:
        """Delete bins of a record; a record without bins is gone.

        Args:
            key: The record's key.
            bin_names: Names of the bins.
            meta: What this write asks for.
            policy: How the write behaves.

        Example:
            ```python
            key = ("test", "demo", "remove_bin")
            client.put(key, {"name": "Alice", "draft": 1})
            client.remove_bin(key, ["draft"])
            assert client.get(key).bins == {"name": "Alice"}
            ```
        """

    def operate(
        self,
        key: Key,
        ops: list[OperationDict],
        meta: WriteMeta | None = None,
        policy: WritePolicy | None = None,
    ) -> Record:
        """Apply several operations to one record, all or none.

        Args:
            key: The record's key.
            ops: Operations with ``op`` (one of ``OPERATOR_*``), ``bin`` and ``val``, applied in order.
            meta: What this call asks for.
            policy: How the write behaves.

        Returns:
            The record with the bins that the operations read.

        Raises:
            RecordNotFound: The operations only read, and there is no such record.
            BinTypeError: An operation does not suit the type of its bin.

        Example:
            ```python
            key = ("test", "demo", "operate")
            client.put(key, {"views": 1})
            record = client.operate(
                key,
                [
                    {"op": aerospike_py.OPERATOR_INCR, "bin": "views", "val": 1},
                    {"op": aerospike_py.OPERATOR_READ, "bin": "views", "val": None},
                ],
            )
            assert record.bins == {"views": 2}
            ```
        """

    def operate_ordered(
        self,
        key: Key,
        ops: list[OperationDict],
        meta: WriteMeta | None = None,
        policy: WritePolicy | None = None,
    ) -> OperateOrderedResult:
        """Apply several operations to one record, and get what they return in their order.

        Args:
            key: The record's key.
            ops: Operations as for :meth:`operate`.
            meta: What this call asks for.
            policy: How the write behaves.

        Returns:
            Key, metadata and ``ordered_bins``: a list of ``(name, value)`` in the order of the operations.

        Raises:
            RecordNotFound: The operations only read, and there is no such record.
            BinTypeError: An operation does not suit the type of its bin.

        Example:
            ```python
            key = ("test", "demo", "ordered")
            client.put(key, {"a": 1, "b": 2})
            read = [{"op": aerospike_py.OPERATOR_READ, "bin": name, "val": None} for name in ("b", "a")]
            result = client.operate_ordered(key, read)
            assert result.ordered_bins == [("b", 2), ("a", 1)]
            ```
        """

    def batch_read(
        self, keys: Sequence[Key], bins: list[str] | None = None, policy: BatchPolicy | None = None
    ) -> LazyBatchRecords:
        """Read many records in one call: one request per node, whatever sets the keys are of.

        Args:
            keys: Keys of the records; an empty list gives an empty result.
            bins: Names of the bins; ``None`` reads all, an empty list only asks which records exist.
            policy: How the batch behaves.

        Returns:
            A handle on the records, which become Python objects when they are asked for. Records that were not found
            or failed do not raise: look at ``batch_records[i].result``.

        Example:
            ```python
            for n in range(3):
                client.put(("test", "demo", f"user_{n}"), {"age": 30 + n, "name": "?"})
            keys = [("test", "demo", f"user_{n}") for n in range(3)]
            records = client.batch_read(keys, bins=["age"])
            assert records.to_dict()["user_1"] == {"age": 31}
            ```
        """

    def batch_write(
        self,
        records: Sequence[tuple[Key, Bins] | tuple[Key, Bins, WriteMeta]],
        policy: BatchPolicy | None = None,
        retry: int = 0,
    ) -> BatchWriteResult:
        """Write many records in one call, each with bins of its own.

        Args:
            records: ``(key, bins)`` or ``(key, bins, meta)``. A record's meta goes before the policy; a ``gen`` in it
                makes the write depend on that generation.
            policy: How the batch behaves, with defaults for all writes: ``ttl``, ``key``, ``exists``, ``gen``,
                ``commit_level``, ``durable_delete``.
            retry: How often to send records again that failed for a passing reason (time-out, overload, busy key).
                Pauses between attempts grow and are random; the whole call stays within ``total_timeout``.

        Returns:
            One result per record, in order, and how the retries went. Failed records do not raise: look at ``result``
            and ``in_doubt`` of each.

        Example:
            ```python
            result = client.batch_write(
                [
                    (("test", "demo", "w1"), {"name": "Alice"}),
                    (("test", "demo", "w2"), {"name": "Bob"}, {"ttl": 3600}),
                ],
                policy={"ttl": 86400},
                retry=2,
            )
            assert [record.result for record in result.batch_records] == [aerospike_py.AEROSPIKE_OK] * 2
            assert result.retry.max_attempts == 3
            ```
        """

    def batch_write_numpy(
        self,
        data: np.ndarray[Any, Any],
        namespace: str,
        set_name: str,
        _dtype: np.dtype[Any],
        key_field: str = "_key",
        policy: BatchPolicy | None = None,
        retry: int = 0,
    ) -> BatchWriteResult:
        """Write the rows of a structured NumPy array, a record each, in one call.

        One field of the row is the user key: an integer, or bytes of fixed length, whose zeros at the end are left out.
        The other fields are bins of the same name, except those whose names start with an underscore. Integers, floats
        and booleans become ``int``, ``float`` and ``bool``; bytes of fixed length (``S``, ``V``) and sub-arrays become
        ``bytes``, as they lie in memory. :meth:`LazyBatchRecords.to_numpy` reads all of them back.

        The array is copied before anything else happens, so it may be changed as soon as the call has begun; large ones
        are converted without the GIL.

        Args:
            data: A structured array of one dimension. It need not be contiguous.
            namespace: Namespace of all records.
            set_name: Set of all records.
            _dtype: How the rows are laid out, usually ``data.dtype``. Fields that it does not name are not written.
            key_field: The field with the user keys.
            policy: How the batch behaves, with defaults for all writes, as for :meth:`batch_write`.
            retry: How often to send records again that failed for a passing reason, as for :meth:`batch_write`.

        Returns:
            One result per row, in order, and how the retries went. Failed records do not raise.

        Raises:
            TypeError: ``data`` or ``_dtype`` is something else, or a field is of a kind that is not supported.
            InvalidArgError: There is no key field or no bin, the array has another number of dimensions, ``_dtype``
                describes rows of another size, or a field has a foreign byte order.
            OverflowError: An unsigned integer is beyond 63 bits.

        Example:
            ```python
            import numpy as np

            dtype = np.dtype([("_key", "i4"), ("score", "f8"), ("views", "u2")])
            rows = np.array([(1, 0.5, 3), (2, 0.25, 7)], dtype)
            result = client.batch_write_numpy(rows, "test", "numpy", dtype)
            assert [record.result for record in result.batch_records] == [aerospike_py.AEROSPIKE_OK] * 2
            assert client.get(("test", "numpy", 2)).bins == {"score": 0.25, "views": 7}
            ```
        """

    def batch_operate(
        self, keys: Sequence[Key], ops: list[OperationDict], policy: BatchPolicy | None = None
    ) -> BatchWriteResult:
        """Apply the same operations to many records in one call.

        Args:
            keys: Keys of the records.
            ops: Operations as for :meth:`operate`.
            policy: How the batch behaves.

        Returns:
            One result per key, in order; ``record`` has the bins that the operations read.

        Example:
            ```python
            keys = [("test", "demo", f"counter_{n}") for n in range(3)]
            ops = [{"op": aerospike_py.OPERATOR_INCR, "bin": "views", "val": 1}]
            result = client.batch_operate(keys, ops)
            assert all(record.result == 0 for record in result.batch_records)
            ```
        """

    def batch_remove(
        self, keys: Sequence[Key | tuple[Key, BatchDeleteMeta]], policy: BatchPolicy | None = None
    ) -> BatchWriteResult:
        """Delete many records in one call.

        Args:
            keys: Keys, or ``(key, meta)`` pairs; a ``gen`` in the meta deletes only that generation.
            policy: How the batch behaves, with ``gen``, ``key``, ``commit_level`` and ``durable_delete`` as defaults.

        Returns:
            One result per key, in order; ``AEROSPIKE_ERR_RECORD_NOT_FOUND`` where there was nothing to delete.

        Example:
            ```python
            client.put(("test", "demo", "r1"), {"n": 1})
            generation = client.exists(("test", "demo", "r1")).meta.gen
            keys = [(("test", "demo", "r1"), {"gen": generation}), ("test", "demo", "r2")]
            removed, missing = client.batch_remove(keys).batch_records
            assert removed.result == aerospike_py.AEROSPIKE_OK
            assert missing.result == aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND
            ```
        """

    def truncate(self, namespace: str, set_name: str, nanos: int = 0, policy: AdminPolicy | None = None) -> None:
        """Delete all records of a set.

        Args:
            namespace: The namespace.
            set_name: The set; empty for all sets of the namespace.
            nanos: Keep records written since this moment, in nanoseconds since 1970; 0 deletes all.
            policy: ``timeout`` in milliseconds.

        Raises:
            ServerError: The server refused, for instance because there is no such namespace.

        Example:
            ```python
            client.put(("test", "short_lived", "k"), {"n": 1})
            client.truncate("test", "short_lived")
            ```
        """

@disjoint_base
class AsyncClient:
    """A client for asyncio.

    The methods are those of :class:`Client` and do the same, but return an :class:`Operation` to await. Arguments are
    looked at when the method is called, so what is wrong with them is raised there and not by ``await``.

    One client serves any number of event loops and threads; each operation belongs to the loop that was running when
    its method was called. Configuration and ``fork`` are as for :class:`Client`.

    Cancelling the awaiting task, or a time-out of ``asyncio.wait_for``, ends the operation; a cancelled write may or
    may not have been applied.

    Methods are native and therefore no coroutine functions: ``unittest.mock.create_autospec`` makes plain mocks of
    them, so name ``AsyncMock`` for those that a test awaits.

    Example:
        ```python
        async with await aerospike_py.async_client({"hosts": hosts}).connect() as connected:
            await connected.put(("test", "demo", "alice"), {"name": "Alice"})
            assert (await connected.get(("test", "demo", "alice"))).bins == {"name": "Alice"}
        ```
    """

    def __new__(cls, config: ClientConfig) -> Self: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> Operation[None]: ...
    def connect(self, username: str | None = None, password: str | None = None) -> Operation[Self]:
        """Connect to the cluster, and return the client.

        Everything else is as for :meth:`Client.connect`.

        Example:
            ```python
            connected = await aerospike_py.async_client({"hosts": hosts}).connect()
            assert connected.is_connected()
            await connected.close()
            ```
        """

    def is_connected(self) -> bool:
        """Whether the client knows a node that is up. Nothing is sent.

        Everything else is as for :meth:`Client.is_connected`.

        Example:
            ```python
            assert async_client.is_connected()
            ```
        """

    def ping(self) -> Operation[bool]:
        """Ask a node for its build, and return whether it answered. Never raises for lack of a connection.

        Everything else is as for :meth:`Client.ping`.

        Example:
            ```python
            assert await async_client.ping()
            ```
        """

    def close(self) -> Operation[None]:
        """Close all connections; closing twice does nothing.

        Everything else is as for :meth:`Client.close`.

        Example:
            ```python
            connected = await aerospike_py.async_client({"hosts": hosts}).connect()
            await connected.close()
            assert not connected.is_connected()
            ```
        """

    def get_node_names(self) -> list[str]:
        """Return the names of the cluster's nodes.

        Everything else is as for :meth:`Client.get_node_names`.

        Example:
            ```python
            assert len(async_client.get_node_names()) >= 1
            ```
        """

    def info_all(self, command: str, policy: AdminPolicy | None = None) -> Operation[list[InfoNodeResult]]:
        """Send an info command to every node.

        Everything else is as for :meth:`Client.info_all`.

        Example:
            ```python
            for node, error_code, response in await async_client.info_all("namespaces"):
                assert error_code == 0
                assert "test" in response
            ```
        """

    def info_random_node(self, command: str, policy: AdminPolicy | None = None) -> Operation[str]:
        """Send an info command to one node, and return its answer.

        Everything else is as for :meth:`Client.info_random_node`.

        Example:
            ```python
            assert await async_client.info_random_node("build")
            ```
        """

    def put(
        self, key: Key, bins: Bins, meta: WriteMeta | None = None, policy: WritePolicy | None = None
    ) -> Operation[None]:
        """Write bins of a record; bins that are not named stay as they are.

        Everything else is as for :meth:`Client.put`.

        Example:
            ```python
            key = ("test", "demo", "put")
            await async_client.put(key, {"name": "Alice", "age": 30}, meta={"ttl": 300})
            await async_client.put(key, {"age": None}, policy={"exists": aerospike_py.POLICY_EXISTS_UPDATE_ONLY})
            assert (await async_client.get(key)).bins == {"name": "Alice"}
            ```
        """

    def get(self, key: Key, policy: ReadPolicy | None = None) -> Operation[Record]:
        """Read a record with all of its bins.

        Everything else is as for :meth:`Client.get`.

        Example:
            ```python
            await async_client.put(("test", "demo", "get"), {"name": "Alice"})
            key, meta, bins = await async_client.get(("test", "demo", "get"))
            assert key.user_key == "get"
            assert meta.gen >= 1
            assert bins == {"name": "Alice"}
            ```
        """

    def select(self, key: Key, bins: list[str], policy: ReadPolicy | None = None) -> Operation[Record]:
        """Read some bins of a record.

        Everything else is as for :meth:`Client.select`.

        Example:
            ```python
            await async_client.put(("test", "demo", "select"), {"name": "Alice", "age": 30})
            assert (await async_client.select(("test", "demo", "select"), ["age"])).bins == {"age": 30}
            ```
        """

    def exists(self, key: Key, policy: ReadPolicy | None = None) -> Operation[ExistsResult]:
        """Ask whether a record exists, without reading its bins.

        Everything else is as for :meth:`Client.exists`.

        Example:
            ```python
            key, meta = await async_client.exists(("test", "demo", "nobody"))
            assert meta is None
            ```
        """

    def remove(self, key: Key, meta: WriteMeta | None = None, policy: WritePolicy | None = None) -> Operation[None]:
        """Delete a record.

        Everything else is as for :meth:`Client.remove`.

        Example:
            ```python
            key = ("test", "demo", "remove")
            await async_client.put(key, {"n": 1})
            generation = (await async_client.exists(key)).meta.gen
            await async_client.remove(key, meta={"gen": generation}, policy={"gen": aerospike_py.POLICY_GEN_EQ})
            assert (await async_client.exists(key)).meta is None
            ```
        """

    def touch(
        self, key: Key, val: int = 0, meta: WriteMeta | None = None, policy: WritePolicy | None = None
    ) -> Operation[None]:
        """Give a record a new time to live; its generation grows by one.

        Everything else is as for :meth:`Client.touch`.

        Example:
            ```python
            key = ("test", "demo", "touch")
            await async_client.put(key, {"n": 1})
            await async_client.touch(key, val=300)
            assert 0 < (await async_client.exists(key)).meta.ttl <= 300
            ```
        """

    def append(
        self, key: Key, bin: str, val: Any, meta: WriteMeta | None = None, policy: WritePolicy | None = None
    ) -> Operation[None]:
        """Add text or bytes at the end of a bin; record and bin are made when they do not exist.

        Everything else is as for :meth:`Client.append`.

        Example:
            ```python
            key = ("test", "demo", "append")
            await async_client.put(key, {"name": "Al"})
            await async_client.append(key, "name", "ice")
            assert (await async_client.get(key)).bins == {"name": "Alice"}
            ```
        """

    def prepend(
        self, key: Key, bin: str, val: Any, meta: WriteMeta | None = None, policy: WritePolicy | None = None
    ) -> Operation[None]:
        """Add text or bytes at the beginning of a bin; record and bin are made when they do not exist.

        Everything else is as for :meth:`Client.prepend`.

        Example:
            ```python
            key = ("test", "demo", "prepend")
            await async_client.put(key, {"name": "ice"})
            await async_client.prepend(key, "name", "Al")
            assert (await async_client.get(key)).bins == {"name": "Alice"}
            ```
        """

    def increment(
        self,
        key: Key,
        bin: str,
        offset: int | float,
        meta: WriteMeta | None = None,
        policy: WritePolicy | None = None,
    ) -> Operation[None]:
        """Add to a number; record and bin are made, from zero, when they do not exist.

        Everything else is as for :meth:`Client.increment`.

        Example:
            ```python
            key = ("test", "demo", "increment")
            await async_client.put(key, {"views": 1, "score": 0.5})
            await async_client.increment(key, "views", 2)
            await async_client.increment(key, "score", -0.25)
            assert (await async_client.get(key)).bins == {"views": 3, "score": 0.25}
            ```
        """

    def remove_bin(
        self, key: Key, bin_names: list[str], meta: WriteMeta | None = None, policy: WritePolicy | None = None
    ) -> Operation[None]:
        """Delete bins of a record; a record without bins is gone.

        Everything else is as for :meth:`Client.remove_bin`.

        Example:
            ```python
            key = ("test", "demo", "remove_bin")
            await async_client.put(key, {"name": "Alice", "draft": 1})
            await async_client.remove_bin(key, ["draft"])
            assert (await async_client.get(key)).bins == {"name": "Alice"}
            ```
        """

    def operate(
        self,
        key: Key,
        ops: list[OperationDict],
        meta: WriteMeta | None = None,
        policy: WritePolicy | None = None,
    ) -> Operation[Record]:
        """Apply several operations to one record, all or none.

        Everything else is as for :meth:`Client.operate`.

        Example:
            ```python
            key = ("test", "demo", "operate")
            await async_client.put(key, {"views": 1})
            record = await async_client.operate(
                key,
                [
                    {"op": aerospike_py.OPERATOR_INCR, "bin": "views", "val": 1},
                    {"op": aerospike_py.OPERATOR_READ, "bin": "views", "val": None},
                ],
            )
            assert record.bins == {"views": 2}
            ```
        """

    def operate_ordered(
        self,
        key: Key,
        ops: list[OperationDict],
        meta: WriteMeta | None = None,
        policy: WritePolicy | None = None,
    ) -> Operation[OperateOrderedResult]:
        """Apply several operations to one record, and get what they return in their order.

        Everything else is as for :meth:`Client.operate_ordered`.

        Example:
            ```python
            key = ("test", "demo", "ordered")
            await async_client.put(key, {"a": 1, "b": 2})
            read = [{"op": aerospike_py.OPERATOR_READ, "bin": name, "val": None} for name in ("b", "a")]
            result = await async_client.operate_ordered(key, read)
            assert result.ordered_bins == [("b", 2), ("a", 1)]
            ```
        """

    def batch_read(
        self, keys: Sequence[Key], bins: list[str] | None = None, policy: BatchPolicy | None = None
    ) -> Operation[LazyBatchRecords]:
        """Read many records in one call: one request per node, whatever sets the keys are of.

        Everything else is as for :meth:`Client.batch_read`.

        Example:
            ```python
            for n in range(3):
                await async_client.put(("test", "demo", f"user_{n}"), {"age": 30 + n, "name": "?"})
            keys = [("test", "demo", f"user_{n}") for n in range(3)]
            records = await async_client.batch_read(keys, bins=["age"])
            assert records.to_dict()["user_1"] == {"age": 31}
            ```
        """

    def batch_write(
        self,
        records: Sequence[tuple[Key, Bins] | tuple[Key, Bins, WriteMeta]],
        policy: BatchPolicy | None = None,
        retry: int = 0,
    ) -> Operation[BatchWriteResult]:
        """Write many records in one call, each with bins of its own.

        Everything else is as for :meth:`Client.batch_write`.

        Example:
            ```python
            result = await async_client.batch_write(
                [
                    (("test", "demo", "w1"), {"name": "Alice"}),
                    (("test", "demo", "w2"), {"name": "Bob"}, {"ttl": 3600}),
                ],
                policy={"ttl": 86400},
                retry=2,
            )
            assert [record.result for record in result.batch_records] == [aerospike_py.AEROSPIKE_OK] * 2
            assert result.retry.max_attempts == 3
            ```
        """

    def batch_write_numpy(
        self,
        data: np.ndarray[Any, Any],
        namespace: str,
        set_name: str,
        _dtype: np.dtype[Any],
        key_field: str = "_key",
        policy: BatchPolicy | None = None,
        retry: int = 0,
    ) -> Operation[BatchWriteResult]:
        """Write the rows of a structured NumPy array, a record each, in one call.

        The array is copied and converted when the method is called, not when its result is awaited. Everything else is
        as for :meth:`Client.batch_write_numpy`.

        Example:
            ```python
            import numpy as np

            dtype = np.dtype([("_key", "i4"), ("score", "f8"), ("views", "u2")])
            rows = np.array([(1, 0.5, 3), (2, 0.25, 7)], dtype)
            result = await async_client.batch_write_numpy(rows, "test", "numpy", dtype)
            assert [record.result for record in result.batch_records] == [aerospike_py.AEROSPIKE_OK] * 2
            ```
        """

    def batch_operate(
        self, keys: Sequence[Key], ops: list[OperationDict], policy: BatchPolicy | None = None
    ) -> Operation[BatchWriteResult]:
        """Apply the same operations to many records in one call.

        Everything else is as for :meth:`Client.batch_operate`.

        Example:
            ```python
            keys = [("test", "demo", f"counter_{n}") for n in range(3)]
            ops = [{"op": aerospike_py.OPERATOR_INCR, "bin": "views", "val": 1}]
            result = await async_client.batch_operate(keys, ops)
            assert all(record.result == 0 for record in result.batch_records)
            ```
        """

    def batch_remove(
        self, keys: Sequence[Key | tuple[Key, BatchDeleteMeta]], policy: BatchPolicy | None = None
    ) -> Operation[BatchWriteResult]:
        """Delete many records in one call.

        Everything else is as for :meth:`Client.batch_remove`.

        Example:
            ```python
            await async_client.put(("test", "demo", "r1"), {"n": 1})
            generation = (await async_client.exists(("test", "demo", "r1"))).meta.gen
            keys = [(("test", "demo", "r1"), {"gen": generation}), ("test", "demo", "r2")]
            removed, missing = (await async_client.batch_remove(keys)).batch_records
            assert removed.result == aerospike_py.AEROSPIKE_OK
            assert missing.result == aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND
            ```
        """

    def truncate(
        self, namespace: str, set_name: str, nanos: int = 0, policy: AdminPolicy | None = None
    ) -> Operation[None]:
        """Delete all records of a set.

        Everything else is as for :meth:`Client.truncate`.

        Example:
            ```python
            await async_client.put(("test", "short_lived", "k"), {"n": 1})
            await async_client.truncate("test", "short_lived")
            ```
        """

@final
class Operation(Coroutine[Any, Any, _T], Generic[_T]):
    """A call of an :class:`AsyncClient` on its way.

    A method that is called while an event loop runs starts its operation at once, and the request is sent whether or
    not anybody awaits it. The operation can be awaited as it is, given to ``asyncio.gather``, ``asyncio.wait_for``,
    ``asyncio.shield`` or ``asyncio.create_task``, or used like an ``asyncio.Future`` of that loop: its methods are to
    be called on the loop's thread. ``asyncio.wait`` refuses whatever is a coroutine, and task groups refuse whatever is
    none; an operation is one. Give ``asyncio.wait`` tasks made of operations, or ``asyncio.shield(operation)``.

    A method that is called while no event loop runs, as in ``asyncio.run(async_client.get(key))``, returns an operation
    that starts when it is first awaited, on the loop that runs then. Until then it can only be awaited, cancelled and
    closed; callbacks, :meth:`result` and :meth:`get_loop` raise ``asyncio.InvalidStateError``.

    Example:
        ```python
        import asyncio

        operation = async_client.put(("test", "demo", "operation"), {"n": 1})
        await asyncio.wait_for(operation, timeout=5)
        assert operation.done() and operation.result() is None

        keys = [("test", "demo", "operation"), ("test", "demo", "nobody")]
        tasks = [asyncio.create_task(async_client.exists(key)) for key in keys]
        done, pending = await asyncio.wait(tasks, timeout=5)
        assert done == set(tasks) and not pending
        ```
    """

    __name__: str
    __qualname__: str

    def add_done_callback(self, callback: Callable[[Operation[_T]], object], *, context: Context | None = None) -> None:
        """Have ``callback`` called with the operation, by the event loop, once it is done."""

    def remove_done_callback(self, callback: Callable[[Operation[_T]], object]) -> int:
        """Forget a callback, and return how often it had been added."""

    def cancel(self, msg: object = None) -> bool:
        """End the operation: awaiting it raises ``CancelledError``. ``False`` when it was done already.

        What has been sent cannot be taken back: a cancelled write may or may not have been applied. An operation that
        has not started never will.
        """

    def cancelled(self) -> bool:
        """Whether it was cancelled."""

    def done(self) -> bool:
        """Whether it has a result or an exception, or was cancelled."""

    def result(self) -> _T:
        """Return the result, or raise what awaiting it would raise.

        Raises:
            asyncio.InvalidStateError: It is not done.
        """

    def exception(self) -> BaseException | None:
        """Return the exception that awaiting it would raise, or ``None`` if it has a result.

        Raises:
            asyncio.InvalidStateError: It is not done.
            asyncio.CancelledError: It was cancelled.
        """

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop it belongs to."""

    def send(self, _value: Any) -> Any: ...
    @overload
    def throw(
        self, typ: type[BaseException], val: BaseException | object = None, _tb: TracebackType | None = None
    ) -> Any: ...
    @overload
    def throw(self, typ: BaseException, val: None = None, _tb: TracebackType | None = None) -> Any: ...
    def close(self) -> None:
        """Cancel the operation unless it is done; what asyncio does to coroutines that it lets go of."""

    def __await__(self) -> Generator[Any, None, _T]: ...
    def __iter__(self) -> Generator[Any, None, _T]: ...
    def __next__(self) -> Any: ...
    def __class_getitem__(cls, _item: Any) -> type[Operation[Any]]: ...

# --- results -----------------------------------------------------------------------------------------------------

@final
class LazyBatchRecords:
    """The records of a batch read, kept as they came from the wire until they are asked for.

    Pick the view that suits, because building it is what costs: :meth:`to_dict` by user key, :meth:`by_set` when the
    keys come from several sets, :meth:`to_list` in request order, :meth:`to_numpy` for numbers. The handle also reads
    like a dictionary: the first such access builds :meth:`to_dict` once and keeps it.

    Dictionary views have the records that were found and whose user key is known. ``len`` counts those without
    building anything; ``len(records.batch_records)`` counts all keys of the request.

    Bins stay in the bytes of the reply: until a view decodes them they cost nothing, and the handle holds about as
    much memory as was received (``sys.getsizeof`` tells), at most twice that, for as long as it lives. ``raw_replies``
    in :class:`~aerospike_py.types.ClientConfig`, or ``AEROSPIKE_PY_RAW_REPLIES=0`` in the environment, has them decoded
    at once instead, as happens by itself with compressed replies, over TLS, and with types that this client does not
    know.

    Example:
        ```python
        client.put(("test", "demo", "lazy"), {"n": 1})
        records = client.batch_read([("test", "demo", "lazy"), ("test", "demo", "nobody")])
        assert len(records) == 1
        assert records["lazy"] == {"n": 1}
        assert "nobody" not in records
        ```
    """

    @property
    def operation_id(self) -> int:
        """The number of this batch in recordings; 0 if it was not recorded."""

    @property
    def batch_records(self) -> list[BatchRecord]:
        """All records in request order with their result codes, those that were not found or failed included.

        Built once and kept: the same list every time.

        Example:
            ```python
            records = client.batch_read([("test", "demo", "nobody")])
            assert records.batch_records[0].result == aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND
            ```
        """

    def to_dict(self) -> BatchRecords:
        """Return ``{user_key: bins}``, built once and kept: the same dictionary every time.

        Records of different sets that have the same user key collide: the last one in request order stays. Use
        :meth:`by_set` for those.

        Example:
            ```python
            client.put(("test", "demo", "to_dict"), {"n": 1})
            assert client.batch_read([("test", "demo", "to_dict")]).to_dict() == {"to_dict": {"n": 1}}
            ```
        """

    def by_set(self) -> dict[tuple[str, str], BatchRecords]:
        """Return ``{(namespace, set): {user_key: bins}}``: a mixed batch without collisions.

        Every namespace and set of the request is there, with an empty dictionary if none of its records was found.
        Built anew by each call.

        Example:
            ```python
            client.put(("test", "users", 7), {"name": "Alice"})
            client.put(("test", "carts", 7), {"items": 3})
            records = client.batch_read([("test", "users", 7), ("test", "carts", 7)])
            assert records.by_set() == {
                ("test", "users"): {7: {"name": "Alice"}},
                ("test", "carts"): {7: {"items": 3}},
            }
            ```
        """

    def to_list(self) -> list[AerospikeRecord | None]:
        """Return the bins of every key in request order, ``None`` where a record was not found or failed.

        Compare with ``is None``: a record of which no bins were read is an empty dictionary. Built anew by each call.

        Example:
            ```python
            client.put(("test", "demo", "to_list"), {"n": 1})
            records = client.batch_read([("test", "demo", "nobody"), ("test", "demo", "to_list")])
            assert records.to_list() == [None, {"n": 1}]
            ```
        """

    def to_numpy(self, dtype: np.dtype[Any]) -> NumpyBatchRecords:
        """Return the bins as a structured array with one row per key; filled with the GIL released.

        Rows that were not found or failed, and bins that a record lacks, are zero. Bins that the dtype does not name
        are left out.

        Args:
            dtype: A structured dtype of integers, floats and fixed-length bytes (``S``, ``V``), sub-arrays included.

        Raises:
            TypeError: ``dtype`` is not a structured ``numpy.dtype`` or has a field of another kind, or a bin holds
                something that its field cannot take.
            OverflowError: An integer is out of the range of its field, or a list or a packed array longer than its
                sub-array. (Byte strings are cut to the length of their field, as NumPy does.)

        Example:
            ```python
            import numpy as np

            client.put(("test", "demo", "to_numpy"), {"score": 0.5, "views": 3})
            records = client.batch_read([("test", "demo", "to_numpy"), ("test", "demo", "nobody")])
            arrays = records.to_numpy(np.dtype([("score", "f8"), ("views", "i4")]))
            found = arrays.batch_records[arrays.result_codes == 0]
            assert found["score"].tolist() == [0.5]
            ```
        """

    @staticmethod
    def merge_to_dict(handles: list[LazyBatchRecords]) -> list[BatchRecords]:
        """Return the :meth:`to_dict` of several handles, built in one go.

        Example:
            ```python
            import asyncio

            await async_client.put(("test", "demo", "merge"), {"n": 1})
            keys = [("test", "demo", "merge")]
            handles = await asyncio.gather(async_client.batch_read(keys), async_client.batch_read(keys))
            assert aerospike_py.LazyBatchRecords.merge_to_dict(handles) == [{"merge": {"n": 1}}] * 2
            ```
        """

    def iter_records(self) -> BatchRecordIterator:
        """Iterate over what :attr:`batch_records` has, building one record at a time.

        Example:
            ```python
            records = client.batch_read([("test", "demo", "nobody")])
            assert [record.result for record in records.iter_records()] == [2]
            ```
        """

    def all_user_keys(self) -> list[UserKey | None]:
        """Return the user key of every key of the request, in order; ``None`` for those given by digest only.

        Example:
            ```python
            records = client.batch_read([("test", "demo", "a"), ("test", "demo", None, b"\\x00" * 20)])
            assert records.all_user_keys() == ["a", None]
            ```
        """

    def found_count(self) -> int:
        """Return how many records were found. Builds nothing.

        Example:
            ```python
            assert client.batch_read([("test", "demo", "nobody")]).found_count() == 0
            ```
        """

    def release_cache(self) -> None:
        """Let go of what :meth:`to_dict` and :attr:`batch_records` keep; it is built again when it is needed.

        Example:
            ```python
            records = client.batch_read([("test", "demo", "nobody")])
            view = records.to_dict()
            records.release_cache()
            assert records.to_dict() is not view
            ```
        """

    def keys(self) -> KeysView[UserKey]:
        """Return the user keys of the dictionary view."""

    def values(self) -> ValuesView[AerospikeRecord]:
        """Return the bins of the dictionary view."""

    def items(self) -> ItemsView[UserKey, AerospikeRecord]:
        """Return pairs of user key and bins of the dictionary view."""

    @overload
    def get(self, key: UserKey, default: None = None) -> AerospikeRecord | None:
        """Return the bins of a user key, or ``default`` if the dictionary view does not have it."""

    @overload
    def get(self, key: UserKey, default: _D) -> AerospikeRecord | _D: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[UserKey]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, key: UserKey, /) -> AerospikeRecord: ...

@final
class BatchRecordIterator(Iterator[BatchRecord]):
    """The records of :meth:`LazyBatchRecords.iter_records`, one at a time."""

    def __next__(self) -> BatchRecord: ...
    def __iter__(self) -> Self: ...
    def __length_hint__(self) -> int: ...

# --- exceptions --------------------------------------------------------------------------------------------------

class AerospikeError(Exception):
    """The base of all exceptions of this package.

    Example:
        ```python
        try:
            client.get(("test", "demo", "nobody"))
        except aerospike_py.AerospikeError as error:
            assert error.result_code == aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND
            assert not error.in_doubt
        ```
    """

    result_code: int
    """The server's code, one of ``AEROSPIKE_ERR_*``; -1 when no server answered."""
    in_doubt: bool
    """Whether a write may have been applied although the call failed."""

class ClientError(AerospikeError):
    """The client cannot do it: wrong configuration, not connected, closed."""

class BackpressureError(ClientError):
    """``max_concurrent_operations`` were in flight, and none ended within ``operation_queue_timeout_ms``."""

class RustPanicError(ClientError):
    """Native code hit a bug. The operation did not complete; the process and other operations go on."""

class ClusterError(AerospikeError):
    """The cluster, or the node that has the data, cannot be reached."""

class AerospikeTimeoutError(AerospikeError):
    """A deadline passed, in the client or on the server."""

class InvalidArgError(AerospikeError, ValueError):
    """An argument was refused as invalid."""

class RecordError(AerospikeError):
    """Something about one record: the base of the classes below."""

class RecordNotFound(RecordError):
    """There is no such record (code 2)."""

class RecordGenerationError(RecordError):
    """The record's generation is not the expected one (code 3)."""

class RecordExistsError(RecordError):
    """There is such a record already (code 5)."""

class BinExistsError(RecordError):
    """There is such a bin already (code 6)."""

class BinTypeError(RecordError):
    """The bin's type does not suit the operation (code 12)."""

class RecordTooBig(RecordError):
    """The record would exceed the server's limit (code 13)."""

class BinNotFound(RecordError):
    """There is no such bin (code 17)."""

class BinNameError(RecordError, ValueError):
    """The name of a bin is too long (code 21)."""

class FilteredOut(RecordError):
    """The filter expression excludes the record (code 27)."""

class ServerError(AerospikeError):
    """The server refused for another reason; ``result_code`` tells which."""

class AerospikeIndexError(ServerError):
    """Something about a secondary index."""

class IndexFoundError(AerospikeIndexError):
    """There is such an index already (code 200)."""

class IndexNotFound(AerospikeIndexError):
    """There is no such index (code 201)."""

class QueryError(ServerError):
    """A query failed."""

class QueryAbortedError(QueryError):
    """The server ended a query before it was complete (code 210)."""

class AdminError(ServerError):
    """Authentication failed, or the user may not do this."""

class UDFError(ServerError):
    """A user-defined function failed."""

TimeoutError = AerospikeTimeoutError
IndexError = AerospikeIndexError

# --- recording ---------------------------------------------------------------------------------------------------

def set_metrics_enabled(enabled: bool) -> None:
    """Switch the durations and counts of operations on (the default) or off.

    Example:
        ```python
        aerospike_py.set_metrics_enabled(True)
        assert aerospike_py.is_metrics_enabled()
        ```
    """

def is_metrics_enabled() -> bool:
    """Whether durations and counts of operations are collected.

    Example:
        ```python
        assert aerospike_py.is_metrics_enabled() in (True, False)
        ```
    """

def set_internal_stage_metrics_enabled(enabled: bool) -> None:
    """Switch the recording of stages on or off, for operations that start from now on.

    ``AEROSPIKE_PY_INTERNAL_METRICS`` set to ``1``, ``true``, ``yes`` or ``on`` switches it on when the package is
    imported.

    Example:
        ```python
        aerospike_py.set_internal_stage_metrics_enabled(True)
        client.exists(("test", "demo", "k"))
        aerospike_py.set_internal_stage_metrics_enabled(False)
        assert aerospike_py.stage_snapshot().operation("exists", "sync").count >= 1
        ```
    """

def is_internal_stage_metrics_enabled() -> bool:
    """Whether stages are recorded.

    Example:
        ```python
        assert aerospike_py.is_internal_stage_metrics_enabled() in (True, False)
        ```
    """

def get_metrics() -> str:
    """Return what was collected in the text format of Prometheus, version 0.0.4.

    The histograms are ``db_client_operation_duration_seconds`` by operation, set, node and error, and
    ``db_client_internal_stage_seconds`` by operation and stage; durations are in seconds. Counters and gauges tell of
    connections, batches, bytes and limits; ``docs/production/metrics.md`` lists them all.

    Example:
        ```python
        client.exists(("test", "demo", "k"))
        assert "db_client_operation_duration_seconds" in aerospike_py.get_metrics()
        ```
    """

def start_metrics_server(port: int = 9464, host: str = "127.0.0.1") -> tuple[str, int]:
    """Serve the metrics over HTTP at ``/metrics``, for Prometheus to scrape, and return the address.

    A native thread serves; it never waits for the interpreter. Scrapers that ask for OpenMetrics get it, with
    exemplars. A server that runs at another address is stopped once the new one has started; starting it again where
    it already is does nothing. The child of a fork does not serve: start a server there, at another port.

    ``AEROSPIKE_PY_METRICS_PORT``, and ``AEROSPIKE_PY_METRICS_HOST`` for another host, start it when the package is
    imported; if that is not possible, a ``RuntimeWarning`` says why.

    Args:
        port: The TCP port; 0 for any that is free.
        host: The address to listen at. The default is reached from this machine only; there is no authentication.

    Returns:
        The address and the port it listens at.

    Raises:
        OSError: It cannot listen there, for instance because another process has the port.
        InvalidArgError: The port is no number from 0 to 65535.

    Example:
        ```python
        host, port = aerospike_py.start_metrics_server(port=0)
        print(f"http://{host}:{port}/metrics")
        aerospike_py.stop_metrics_server()
        ```
    """

def stop_metrics_server() -> None:
    """Stop serving metrics, and free the port; without a server nothing happens.

    Example:
        ```python
        aerospike_py.stop_metrics_server()
        ```
    """

def event_loop_wakeup() -> Literal["add_reader", "call_soon_threadsafe"]:
    """Return how the event loop that runs on this thread learns that operations have ended.

    With ``add_reader`` the loop's own thread sends requests and reads replies, and nothing crosses threads. A loop that
    has no ``add_reader()``, such as the proactor loop of Windows, is woken by ``call_soon_threadsafe``, once for
    however many operations have ended; the logger ``aerospike_py`` says so once, at level ``INFO``.

    Raises:
        RuntimeError: No event loop runs on this thread.

    Example:
        ```python
        assert aerospike_py.event_loop_wakeup() == "add_reader"
        ```
    """

def stop_probes() -> None:
    """Stop the probes; what they have measured stays readable. Nothing happens if none run.

    Example:
        ```python
        aerospike_py.start_probes(process=False)
        aerospike_py.stop_probes()
        assert not aerospike_py.probe_snapshot().running
        ```
    """

def flamegraph_svg(folded: str, title: str, subtitle: str | None = None, *, before: str | None = None) -> str:
    """Draw folded stacks, such as those of ``stage_snapshot().folded()``, as an SVG flamegraph.

    Args:
        folded: Lines of ``frame;frame;frame weight``.
        title: Heading of the picture.
        subtitle: A smaller line below it.
        before: Folded stacks of an earlier time: widths are those of ``folded``; red boxes have grown and blue ones
            have shrunk.

    Raises:
        InvalidArgError: A line has another form, or there is none.

    Example:
        ```python
        svg = aerospike_py.flamegraph_svg("get;sync;network_wait 80\\nget;sync;decode 20", "One get")
        assert "network_wait" in svg
        aerospike_py.flamegraph_svg("get;sync;decode 30", "What changed", before="get;sync;decode 20")
        ```
    """

_StageFigures: TypeAlias = tuple[int, int, int, int, int, int, int]
"""Count, total, p50, p90, p99, p99.9, max; nanoseconds."""

_StageRow: TypeAlias = tuple[
    str,
    str,
    list[tuple[str, int]],
    list[tuple[str, int]],
    _StageFigures,
    list[tuple[str, _StageFigures]],
    _StageFigures,
    list[tuple[str, str, int]],
]
"""Operation, lane, outcomes, stages of failures, wall time, stages, deferred conversions, totals by stage and node."""

def _stage_snapshot(reset: bool = False) -> list[_StageRow]: ...
def _records_dropped() -> int: ...
def _stage_table() -> list[tuple[str, str, str, str, str, str, str, str]]: ...
def _self_check() -> None: ...
def _describe_interpreter() -> None: ...
def _init_tracing(arguments: dict[str, str]) -> str | None: ...
def _shutdown_tracing() -> bool: ...
def _tracing_stats() -> TracingStatistics | None: ...
def _init_metrics_export(arguments: dict[str, str]) -> str | None: ...
def _shutdown_metrics_export() -> bool: ...
def _metrics_export_stats() -> MetricsExportStatistics | None: ...
def _name_trace_parents(variable: ContextVar[_TraceParent]) -> None: ...

@final
class _TraceParent:
    def __new__(cls, traceparent: str | None) -> _TraceParent: ...

@final
class _Recording:
    def __new__(
        cls,
        folder: str,
        prefix: str,
        limits: tuple[int, int],
        per_second: int | None,
        sample: float,
        form: tuple[bool, bool],
    ) -> _Recording: ...
    def flush(self) -> bool: ...
    def close(self) -> bool: ...
    def stats(self) -> RecorderStatistics: ...

# --- the embedded server -----------------------------------------------------------------------------------------

@final
class EmbeddedServer:
    """The native side of :class:`aerospike_py.testing.EmbeddedServer`, which is what tests should use.

    Args:
        nodes: How many nodes, at least 1.
        port: Port of the first node, the others follow; 0 picks free ports.
        host: Address that all nodes listen on.
        namespaces: ``(name, default time to live in seconds, largest record in bytes)``; ``None`` makes ``test``.
        replication_factor: Copies of each partition in the map.
        worker_threads: Threads that serve connections.
        seed: Seed of the random decisions of faults.

    Raises:
        ValueError: An argument is out of range.
        OSError: A node cannot listen on its port.
    """

    def __new__(
        cls,
        nodes: int = 1,
        port: int = 0,
        host: str = "127.0.0.1",
        namespaces: list[tuple[str, int, int]] | None = None,
        replication_factor: int = 2,
        worker_threads: int = 2,
        seed: int = 0,
    ) -> Self: ...
    def addresses(self) -> list[tuple[str, int]]:
        """Return where the nodes listen."""

    def node_names(self) -> list[str]:
        """Return the names of the nodes, in the same order."""

    def set_fault(self, fault: str, node: int | None, command: str) -> int:
        """Inject a fault into one node, or all, for one kind of command, or ``"any"``; return its number.

        Raises:
            ValueError: The specification, the node or the command is unknown.
        """

    def clear_fault(self, id: int) -> None:
        """End a fault."""

    def clear_faults(self) -> None:
        """End all faults."""

    def node_down(self, node: int) -> None:
        """Make a node refuse connections and drop those it has."""

    def node_up(self, node: int) -> None:
        """Bring a node back."""

    def move_partitions(self) -> None:
        """Give every partition to another node; clients learn of it when they next look."""

    def stats(self, node: int) -> dict[str, int | dict[str, int]]:
        """Return a node's counters."""

    def record_count(self, namespace: str, set_name: str | None) -> int:
        """Return how many records a set has, or all sets of a namespace."""

    def truncate(self, namespace: str, set_name: str | None) -> None:
        """Delete the records of a set, or of all sets of a namespace."""

    def stop(self) -> None:
        """Close all connections and stop listening. Stopping twice does nothing."""

# --- constants ---------------------------------------------------------------------------------------------------

POLICY_KEY_DIGEST: Final[Literal[0]]
POLICY_KEY_SEND: Final[Literal[1]]

POLICY_EXISTS_IGNORE: Final[Literal[0]]
POLICY_EXISTS_UPDATE: Final[Literal[1]]
POLICY_EXISTS_UPDATE_ONLY: Final[Literal[1]]
POLICY_EXISTS_REPLACE: Final[Literal[2]]
POLICY_EXISTS_REPLACE_ONLY: Final[Literal[3]]
POLICY_EXISTS_CREATE_ONLY: Final[Literal[4]]

POLICY_GEN_IGNORE: Final[Literal[0]]
POLICY_GEN_EQ: Final[Literal[1]]
POLICY_GEN_GT: Final[Literal[2]]

POLICY_REPLICA_MASTER: Final[Literal[0]]
POLICY_REPLICA_SEQUENCE: Final[Literal[1]]
POLICY_REPLICA_PREFER_RACK: Final[Literal[2]]

POLICY_COMMIT_LEVEL_ALL: Final[Literal[0]]
POLICY_COMMIT_LEVEL_MASTER: Final[Literal[1]]

POLICY_READ_MODE_AP_ONE: Final[Literal[0]]
POLICY_READ_MODE_AP_ALL: Final[Literal[1]]

BATCH_CONCURRENCY_SEQUENTIAL: Final[Literal[0]]
BATCH_CONCURRENCY_PARALLEL: Final[Literal[1]]

READ_TOUCH_TTL_PERCENT_SERVER_DEFAULT: Final[Literal[0]]
READ_TOUCH_TTL_PERCENT_DONT_RESET: Final[Literal[-1]]

QUERY_DURATION_LONG: Final[Literal[0]]
QUERY_DURATION_SHORT: Final[Literal[1]]
QUERY_DURATION_LONG_RELAX_AP: Final[Literal[2]]

TTL_NAMESPACE_DEFAULT: Final[Literal[0]]
TTL_NEVER_EXPIRE: Final[Literal[-1]]
TTL_DONT_UPDATE: Final[Literal[-2]]
TTL_CLIENT_DEFAULT: Final[Literal[-3]]

AUTH_INTERNAL: Final[Literal[0]]
AUTH_EXTERNAL: Final[Literal[1]]
AUTH_PKI: Final[Literal[2]]

OPERATOR_READ: Final[Literal[1]]
OPERATOR_WRITE: Final[Literal[2]]
OPERATOR_INCR: Final[Literal[5]]
OPERATOR_APPEND: Final[Literal[9]]
OPERATOR_PREPEND: Final[Literal[10]]
OPERATOR_TOUCH: Final[Literal[11]]
OPERATOR_DELETE: Final[Literal[12]]

INDEX_NUMERIC: Final[Literal[0]]
INDEX_STRING: Final[Literal[1]]
INDEX_BLOB: Final[Literal[2]]
INDEX_GEO2DSPHERE: Final[Literal[3]]

INDEX_TYPE_DEFAULT: Final[Literal[0]]
INDEX_TYPE_LIST: Final[Literal[1]]
INDEX_TYPE_MAPKEYS: Final[Literal[2]]
INDEX_TYPE_MAPVALUES: Final[Literal[3]]

LOG_LEVEL_OFF: Final[Literal[-1]]
LOG_LEVEL_ERROR: Final[Literal[0]]
LOG_LEVEL_WARN: Final[Literal[1]]
LOG_LEVEL_INFO: Final[Literal[2]]
LOG_LEVEL_DEBUG: Final[Literal[3]]
LOG_LEVEL_TRACE: Final[Literal[4]]

SERIALIZER_NONE: Final[Literal[0]]
SERIALIZER_PYTHON: Final[Literal[1]]
SERIALIZER_USER: Final[Literal[2]]

LIST_RETURN_NONE: Final[Literal[0]]
LIST_RETURN_INDEX: Final[Literal[1]]
LIST_RETURN_REVERSE_INDEX: Final[Literal[2]]
LIST_RETURN_RANK: Final[Literal[3]]
LIST_RETURN_REVERSE_RANK: Final[Literal[4]]
LIST_RETURN_COUNT: Final[Literal[5]]
LIST_RETURN_VALUE: Final[Literal[7]]
LIST_RETURN_EXISTS: Final[Literal[13]]

LIST_UNORDERED: Final[Literal[0]]
LIST_ORDERED: Final[Literal[1]]

LIST_SORT_DEFAULT: Final[Literal[0]]
LIST_SORT_DROP_DUPLICATES: Final[Literal[2]]

LIST_WRITE_DEFAULT: Final[Literal[0]]
LIST_WRITE_ADD_UNIQUE: Final[Literal[1]]
LIST_WRITE_INSERT_BOUNDED: Final[Literal[2]]
LIST_WRITE_NO_FAIL: Final[Literal[4]]
LIST_WRITE_PARTIAL: Final[Literal[8]]

MAP_RETURN_NONE: Final[Literal[0]]
MAP_RETURN_INDEX: Final[Literal[1]]
MAP_RETURN_REVERSE_INDEX: Final[Literal[2]]
MAP_RETURN_RANK: Final[Literal[3]]
MAP_RETURN_REVERSE_RANK: Final[Literal[4]]
MAP_RETURN_COUNT: Final[Literal[5]]
MAP_RETURN_KEY: Final[Literal[6]]
MAP_RETURN_VALUE: Final[Literal[7]]
MAP_RETURN_KEY_VALUE: Final[Literal[8]]
MAP_RETURN_EXISTS: Final[Literal[13]]

MAP_UNORDERED: Final[Literal[0]]
MAP_KEY_ORDERED: Final[Literal[1]]
MAP_KEY_VALUE_ORDERED: Final[Literal[3]]

MAP_WRITE_FLAGS_DEFAULT: Final[Literal[0]]
MAP_WRITE_FLAGS_CREATE_ONLY: Final[Literal[1]]
MAP_WRITE_FLAGS_UPDATE_ONLY: Final[Literal[2]]
MAP_WRITE_FLAGS_NO_FAIL: Final[Literal[4]]
MAP_WRITE_FLAGS_PARTIAL: Final[Literal[8]]
MAP_UPDATE: Final[Literal[0]]
MAP_UPDATE_ONLY: Final[Literal[2]]
MAP_CREATE_ONLY: Final[Literal[1]]

BIT_WRITE_DEFAULT: Final[Literal[0]]
BIT_WRITE_CREATE_ONLY: Final[Literal[1]]
BIT_WRITE_UPDATE_ONLY: Final[Literal[2]]
BIT_WRITE_NO_FAIL: Final[Literal[4]]
BIT_WRITE_PARTIAL: Final[Literal[8]]

BIT_RESIZE_DEFAULT: Final[Literal[0]]
BIT_RESIZE_FROM_FRONT: Final[Literal[1]]
BIT_RESIZE_GROW_ONLY: Final[Literal[2]]
BIT_RESIZE_SHRINK_ONLY: Final[Literal[4]]

BIT_OVERFLOW_FAIL: Final[Literal[0]]
BIT_OVERFLOW_SATURATE: Final[Literal[2]]
BIT_OVERFLOW_WRAP: Final[Literal[4]]

HLL_WRITE_DEFAULT: Final[Literal[0]]
HLL_WRITE_CREATE_ONLY: Final[Literal[1]]
HLL_WRITE_UPDATE_ONLY: Final[Literal[2]]
HLL_WRITE_NO_FAIL: Final[Literal[4]]
HLL_WRITE_ALLOW_FOLD: Final[Literal[8]]

REGEX_NONE: Final[Literal[0]]
REGEX_EXTENDED: Final[Literal[1]]
REGEX_ICASE: Final[Literal[2]]
REGEX_NOSUB: Final[Literal[4]]
REGEX_NEWLINE: Final[Literal[8]]

PRIV_READ: Final[Literal[10]]
PRIV_WRITE: Final[Literal[13]]
PRIV_READ_WRITE: Final[Literal[11]]
PRIV_READ_WRITE_UDF: Final[Literal[12]]
PRIV_USER_ADMIN: Final[Literal[0]]
PRIV_SYS_ADMIN: Final[Literal[1]]
PRIV_DATA_ADMIN: Final[Literal[2]]
PRIV_UDF_ADMIN: Final[Literal[3]]
PRIV_SINDEX_ADMIN: Final[Literal[4]]
PRIV_TRUNCATE: Final[Literal[14]]

AEROSPIKE_OK: Final[Literal[0]]
AEROSPIKE_ERR_SERVER: Final[Literal[1]]
AEROSPIKE_ERR_RECORD_NOT_FOUND: Final[Literal[2]]
AEROSPIKE_ERR_RECORD_GENERATION: Final[Literal[3]]
AEROSPIKE_ERR_PARAM: Final[Literal[4]]
AEROSPIKE_ERR_RECORD_EXISTS: Final[Literal[5]]
AEROSPIKE_ERR_BIN_EXISTS: Final[Literal[6]]
AEROSPIKE_ERR_CLUSTER_KEY_MISMATCH: Final[Literal[7]]
AEROSPIKE_ERR_SERVER_MEM: Final[Literal[8]]
AEROSPIKE_ERR_TIMEOUT: Final[Literal[9]]
AEROSPIKE_ERR_ALWAYS_FORBIDDEN: Final[Literal[10]]
AEROSPIKE_ERR_PARTITION_UNAVAILABLE: Final[Literal[11]]
AEROSPIKE_ERR_BIN_TYPE: Final[Literal[12]]
AEROSPIKE_ERR_RECORD_TOO_BIG: Final[Literal[13]]
AEROSPIKE_ERR_KEY_BUSY: Final[Literal[14]]
AEROSPIKE_ERR_SCAN_ABORT: Final[Literal[15]]
AEROSPIKE_ERR_UNSUPPORTED_FEATURE: Final[Literal[16]]
AEROSPIKE_ERR_BIN_NOT_FOUND: Final[Literal[17]]
AEROSPIKE_ERR_DEVICE_OVERLOAD: Final[Literal[18]]
AEROSPIKE_ERR_KEY_MISMATCH: Final[Literal[19]]
AEROSPIKE_ERR_INVALID_NAMESPACE: Final[Literal[20]]
AEROSPIKE_ERR_BIN_NAME: Final[Literal[21]]
AEROSPIKE_ERR_FAIL_FORBIDDEN: Final[Literal[22]]
AEROSPIKE_ERR_ELEMENT_NOT_FOUND: Final[Literal[23]]
AEROSPIKE_ERR_ELEMENT_EXISTS: Final[Literal[24]]
AEROSPIKE_ERR_ENTERPRISE_ONLY: Final[Literal[25]]
AEROSPIKE_ERR_OP_NOT_APPLICABLE: Final[Literal[26]]
AEROSPIKE_ERR_FILTERED_OUT: Final[Literal[27]]
AEROSPIKE_ERR_LOST_CONFLICT: Final[Literal[28]]
AEROSPIKE_QUERY_END: Final[Literal[50]]
AEROSPIKE_SECURITY_NOT_SUPPORTED: Final[Literal[51]]
AEROSPIKE_SECURITY_NOT_ENABLED: Final[Literal[52]]
AEROSPIKE_ERR_INVALID_USER: Final[Literal[60]]
AEROSPIKE_ERR_NOT_AUTHENTICATED: Final[Literal[80]]
AEROSPIKE_ERR_ROLE_VIOLATION: Final[Literal[81]]
AEROSPIKE_ERR_UDF: Final[Literal[100]]
AEROSPIKE_ERR_BATCH_DISABLED: Final[Literal[150]]
AEROSPIKE_ERR_INDEX_FOUND: Final[Literal[200]]
AEROSPIKE_ERR_INDEX_NOT_FOUND: Final[Literal[201]]
AEROSPIKE_ERR_QUERY_ABORTED: Final[Literal[210]]

AEROSPIKE_ERR_CLIENT: Final[Literal[-1]]
AEROSPIKE_ERR_CONNECTION: Final[Literal[-10]]
AEROSPIKE_ERR_CLUSTER: Final[Literal[-11]]
AEROSPIKE_ERR_INVALID_HOST: Final[Literal[-4]]
AEROSPIKE_ERR_NO_MORE_CONNECTIONS: Final[Literal[-7]]

_ProbeRow: TypeAlias = tuple[
    str,
    str,
    str,
    int | None,
    tuple[int, float, float, float, float],
    tuple[float | None, float | None],
]
_SlowRow: TypeAlias = tuple[str, int, int, int, str | None, int, int]

def _start_probes(interval: float, gil: bool, loops: bool, runtime: bool, process: bool) -> None: ...
def _probe_rows() -> tuple[bool, int, list[_ProbeRow]]: ...
def _slow_callback_rows() -> list[tuple[int, list[_SlowRow]]]: ...
def _take_probe_samples(
    subscribe: bool,
) -> list[tuple[str, int | None, str | None, int, int | None, float | None]]: ...
def _cpu_quota_cores() -> float | None: ...
def _observe_running_loop(slow: float) -> _LoopObservation: ...
def _refresh_log_levels() -> None: ...

@final
class _LoopObservation:
    @property
    def loop_id(self) -> int: ...
    @property
    def exact(self) -> bool: ...
    def close(self) -> None: ...
    def by_name(self) -> list[_SlowRow]: ...
    def recent(self) -> list[tuple[str, str | None, int, int, bool]]: ...
