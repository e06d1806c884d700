"""What goes into the client and what comes out of it: keys, results, policies, configuration.

Results are named tuples: they unpack like plain tuples and read by field name. Policies and the configuration are
plain dictionaries; their ``TypedDict`` classes exist for type checkers and for the reader. The classes of the client
itself live in the extension, exceptions in :mod:`aerospike_py.exception`, operation dictionaries in ``_types``.
"""

from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict

__all__ = [
    "TTL",
    "AdminPolicy",
    "AerospikeKey",
    "AerospikeRecord",
    "AuthMode",
    "BatchDeleteMeta",
    "BatchDeletePolicy",
    "BatchPolicy",
    "BatchReadPolicy",
    "BatchRecord",
    "BatchRecords",
    "BatchRetryInfo",
    "BatchWriteResult",
    "BinTuple",
    "Bins",
    "ClientConfig",
    "ExistsResult",
    "InfoNodeResult",
    "Key",
    "OperateOrderedResult",
    "PolicyCommitLevel",
    "PolicyExists",
    "PolicyGen",
    "PolicyKey",
    "PolicyReadModeAP",
    "PolicyReplica",
    "ReadPolicy",
    "Record",
    "RecordMetadata",
    "UserKey",
    "WriteMeta",
    "WritePolicy",
]

# --- results -----------------------------------------------------------------------------------------------------


class AerospikeKey(NamedTuple):
    """The identity of a record as results carry it."""

    namespace: str
    """Namespace the record lives in."""
    set_name: str
    """Set the record lives in; empty for records without a set."""
    user_key: str | int | bytes | None
    """The key the caller used, or ``None`` when only the digest is known."""
    digest: bytes
    """The 20 bytes that the server identifies the record by."""


class RecordMetadata(NamedTuple):
    """What the server keeps about a record beside its bins."""

    gen: int
    """Generation: how often the record has been written."""
    ttl: int
    """Seconds until the record expires; 4294967295 when it never does."""


Bins: TypeAlias = dict[str, Any]
"""Bins by name, as written by ``put`` and returned in ``Record.bins``."""


class Record(NamedTuple):
    """A record that was read: ``key, meta, bins = client.get(key)``."""

    key: AerospikeKey | None
    meta: RecordMetadata | None
    bins: Bins | None


class ExistsResult(NamedTuple):
    """The answer of ``exists``: ``meta`` is ``None`` when there is no such record."""

    key: AerospikeKey | None
    meta: RecordMetadata | None


class InfoNodeResult(NamedTuple):
    """One node's answer to an info command."""

    node_name: str
    error_code: int
    """0, or a result code when the node could not be asked."""
    response: str


class BinTuple(NamedTuple):
    """One bin in the order in which the operations produced it."""

    name: str
    value: Any


class OperateOrderedResult(NamedTuple):
    """The answer of ``operate_ordered``: one entry per operation that returns a value."""

    key: AerospikeKey | None
    meta: RecordMetadata | None
    ordered_bins: list[BinTuple]


class BatchRecord(NamedTuple):
    """What became of one key of a batch."""

    key: AerospikeKey | None
    result: int
    """0 for success, otherwise one of the ``AEROSPIKE_ERR_*`` codes."""
    record: Record | None
    """The record, when the key succeeded and there is something to return."""
    in_doubt: bool = False
    """Whether a write may have been applied although no success was reported."""


class BatchRetryInfo(NamedTuple):
    """How the retry loop of ``batch_write`` went.

    A batch that was sent once has the default values. The loop ends when no record failed in a way worth another
    attempt, when ``1 + retry`` attempts were made, or when the next pause would overrun ``total_timeout``. If every
    attempt fails before any record has a result, the call raises and there is no such object to look at.
    """

    attempts: int = 1
    """Batches that were sent, the first one included."""
    max_attempts: int = 1
    """Batches that were allowed: ``1 + retry``."""
    truncated_by_timeout: bool = False
    """Whether ``total_timeout`` ended the loop before ``max_attempts`` were made."""
    unresolved: int = 0
    """Records that still had a retryable failure at the end."""


class BatchWriteResult(NamedTuple):
    """The answer of ``batch_write``, ``batch_write_numpy``, ``batch_operate`` and ``batch_remove``, in their order."""

    batch_records: list[BatchRecord]
    retry: BatchRetryInfo = BatchRetryInfo()
    """How retries went; the default for the calls that never retry."""


# --- keys and values ---------------------------------------------------------------------------------------------

UserKey: TypeAlias = str | int | bytes
"""The caller's own key of a record."""

Key: TypeAlias = tuple[str, str, UserKey] | tuple[str, str, UserKey | None, bytes] | AerospikeKey
"""``(namespace, set, user_key)``, or ``(namespace, set, None, digest)`` when only the 20-byte digest is known."""

AerospikeRecord: TypeAlias = dict[str, Any]
"""The bins of one record of a batch: ``{bin: value}``."""

BatchRecords: TypeAlias = dict[UserKey, AerospikeRecord]
"""The dictionary view of a batch: ``{user_key: {bin: value}}``."""

# --- closed sets of numbers --------------------------------------------------------------------------------------

PolicyKey: TypeAlias = Literal[0, 1]
"""``POLICY_KEY_DIGEST`` or ``POLICY_KEY_SEND``."""
PolicyExists: TypeAlias = Literal[0, 1, 2, 3, 4]
"""One of ``POLICY_EXISTS_*``."""
PolicyGen: TypeAlias = Literal[0, 1, 2]
"""One of ``POLICY_GEN_*``."""
PolicyReplica: TypeAlias = Literal[0, 1, 2]
"""One of ``POLICY_REPLICA_*``."""
PolicyCommitLevel: TypeAlias = Literal[0, 1]
"""``POLICY_COMMIT_LEVEL_ALL`` or ``POLICY_COMMIT_LEVEL_MASTER``."""
PolicyReadModeAP: TypeAlias = Literal[0, 1]
"""``POLICY_READ_MODE_AP_ONE`` or ``POLICY_READ_MODE_AP_ALL``."""
TTL: TypeAlias = Literal[0, -1, -2, -3]
"""The special times to live ``TTL_*``; any positive number of seconds is accepted as well."""
AuthMode: TypeAlias = Literal[0, 1, 2]
"""One of ``AUTH_*``."""

# --- policies ----------------------------------------------------------------------------------------------------


class ReadPolicy(TypedDict, total=False):
    """How ``get``, ``select`` and ``exists`` behave. Times are milliseconds; 0 means no limit."""

    socket_timeout: int
    """Longest silence on the connection before the attempt counts as failed."""
    total_timeout: int
    """Longest time for the whole call, retries included."""
    max_retries: int
    """Attempts after the first one."""
    sleep_between_retries: int
    """Pause before another attempt."""
    timeout_delay: int
    """How long a connection whose read timed out may be drained before it is closed."""
    filter_expression: Any
    """Server-side filter: records that it excludes raise :exc:`FilteredOut`."""
    replica: int
    """``POLICY_REPLICA_*``: which copy of the partition to ask."""
    read_mode_ap: int
    """``POLICY_READ_MODE_AP_*``: how many copies to consult in available mode."""
    read_touch_ttl_percent: int
    """1 to 100: reset the time to live when it is below that share; or ``READ_TOUCH_TTL_PERCENT_*``."""


class WritePolicy(TypedDict, total=False):
    """How the writes of one record behave. Times are milliseconds, ``ttl`` is seconds."""

    socket_timeout: int
    total_timeout: int
    max_retries: int
    sleep_between_retries: int
    timeout_delay: int
    durable_delete: bool
    """Leave a tombstone when the write deletes the record (Enterprise Edition)."""
    key: int
    """``POLICY_KEY_*``: whether the user key is stored with the record."""
    exists: int
    """``POLICY_EXISTS_*``: what to do when the record exists, or does not."""
    gen: int
    """``POLICY_GEN_*``: how ``WriteMeta['gen']`` is compared with the record's generation."""
    commit_level: int
    """``POLICY_COMMIT_LEVEL_*``: which copies must have the write before it is acknowledged."""
    ttl: int
    """Seconds to live, or one of ``TTL_*``."""
    filter_expression: Any
    read_mode_ap: int
    read_touch_ttl_percent: int


class BatchPolicy(TypedDict, total=False):
    """How a batch behaves. Times are milliseconds.

    The write fields at the end are defaults for the records of ``batch_write``; a record's own meta goes before them.
    """

    socket_timeout: int
    total_timeout: int
    max_retries: int
    sleep_between_retries: int
    timeout_delay: int
    filter_expression: Any
    allow_inline: bool
    """Let the server answer from memory on the thread that received the batch."""
    allow_inline_ssd: bool
    """The same for data on flash devices."""
    respond_all_keys: bool
    """Go on after a record failed, so that every key has a result."""
    replica: int
    read_mode_ap: int
    read_touch_ttl_percent: int
    concurrency: int
    """``BATCH_CONCURRENCY_*``: all nodes at once (default) or one after the other."""
    key: int
    exists: int
    gen: int
    commit_level: int
    durable_delete: bool
    ttl: int


class BatchReadPolicy(TypedDict, total=False):
    """The fields of a batch policy that apply to each record read."""

    read_touch_ttl_percent: int
    filter_expression: Any


class BatchDeletePolicy(TypedDict, total=False):
    """The fields of a batch policy that apply to each record of ``batch_remove``."""

    gen: int
    key: int
    commit_level: int
    durable_delete: bool
    filter_expression: Any


class BatchDeleteMeta(TypedDict, total=False):
    """What one key of ``batch_remove`` asks for itself."""

    gen: int
    """Delete only if the record has this generation."""
    key: int
    commit_level: int
    durable_delete: bool


class AdminPolicy(TypedDict, total=False):
    """How info commands and ``truncate`` behave."""

    timeout: int
    """Longest time for the command, in milliseconds."""


class WriteMeta(TypedDict, total=False):
    """What one write asks for itself.

    On the single-record calls an explicit ``policy`` goes before ``meta``; in ``batch_write`` a record's ``meta`` goes
    before the batch policy.
    """

    gen: int
    """Generation that the record is expected to have."""
    ttl: int
    """Seconds to live, or one of ``TTL_*``."""
    key: int
    exists: int
    commit_level: int
    durable_delete: bool


class ClientConfig(TypedDict, total=False):
    """What ``client()`` and ``async_client()`` are built from. Only ``hosts`` is needed."""

    hosts: list[tuple[str, int]]
    """Seed nodes; one that answers is enough to find the others."""
    cluster_name: str | None
    """Refuse nodes that report another cluster name."""
    auth_mode: int
    """``AUTH_INTERNAL``; the other modes need TLS, which this version does not have, and are refused."""
    user: str
    """User to authenticate as; a cluster with security wants one."""
    password: str
    timeout: int
    """Milliseconds for connecting and for info commands."""
    idle_timeout: int
    """Milliseconds after which an unused connection is dropped; 0 keeps it."""
    max_conns_per_node: int
    """Most connections open to one node."""
    min_conns_per_node: int
    """Connections kept open to each node."""
    conn_pools_per_node: int
    """Connection pools per node; more of them spread the locking."""
    tend_interval: int
    """Milliseconds between looks at the state of the cluster."""
    use_services_alternate: bool
    """Connect to the addresses that the nodes advertise for clients outside of their network."""
    max_concurrent_operations: int
    """Most operations in flight at once; 0 (default) sets no limit."""
    operation_queue_timeout_ms: int
    """Longest wait for a free slot before :exc:`BackpressureError`; 0 (default) waits for as long as it takes."""
    raw_replies: bool
    """Whether reads are decoded from the bytes of their replies (default) or by the driver. ``batch_read`` then leaves
    bins in those bytes until a view asks for them, which takes about as much memory as was received for as long as the
    result lives. Results are the same. Without this entry the environment decides: ``AEROSPIKE_PY_RAW_REPLIES`` set to
    ``0``, ``false``, ``no`` or ``off`` switches it off, ``1``, ``true``, ``yes`` or ``on`` on; any other value is an
    error."""
