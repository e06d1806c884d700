"""Traces: spans for a collector over OTLP, and operations in Arrow files.

The extension does the work, on threads of its own; here are the functions that switch it on, what the environment asks
for at import, and the orderly end at exit. What becomes of the time inside an operation is :mod:`aerospike_py.stages`'.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, TypedDict, cast

from aerospike_py import _aerospike
from aerospike_py._otlp import texts
from aerospike_py.exception import InvalidArgError

__all__ = [
    "RecorderStatistics",
    "TraceRecorder",
    "TracingStatistics",
    "init_tracing",
    "shutdown_tracing",
    "trace_context",
    "trace_recorder",
    "tracing_stats",
]

MIB = 1 << 20
DEFAULT_FILE_BYTES = 64 * MIB
DEFAULT_TOTAL_BYTES = 1024 * MIB


class TracingStatistics(TypedDict):
    """What has become of spans since tracing was switched on. All counts but ``exported_spans`` are operations."""

    endpoint: str
    """Where spans go."""
    protocol: str
    """``grpc`` or ``http/protobuf``."""
    exported_operations: int
    exported_spans: int
    waiting: int
    """In the queue right now."""
    dropped_queue_full: int
    """They found the queue full: the collector is too slow, or there are too many of them."""
    dropped_export_failed: int
    """They were in requests that failed."""
    dropped_shutdown: int
    """They were waiting when the time for shutting down was over."""
    dropped_late_conversions: int
    """Conversions of lazy results so long after their operation that its span is no longer known."""
    dropped_rate_limit: int
    """Failures and slow operations beyond ``per_second``."""
    failures: int
    """Requests to the collector that failed."""
    last_error: str | None
    """What the last of them said."""


class RecorderStatistics(TypedDict):
    """What has become of operations since a recording began."""

    folder: str | os.PathLike[str]
    rows: int
    """Operations and conversions in files."""
    samples: int
    """Samples of probes in files."""
    bytes: int
    """Written, files that have been removed included."""
    files_removed: int
    waiting: int
    """In the queue right now."""
    dropped_queue_full: int
    dropped_rate_limit: int
    """Beyond ``max_operations_per_second``."""
    dropped_write_failed: int
    error: str | None
    """Why the recording has ended by itself."""


def init_tracing(
    *,
    endpoint: str | None = None,
    protocol: Literal["grpc", "http/protobuf"] | None = None,
    headers: Mapping[str, str] | None = None,
    compression: Literal["gzip", "none"] | None = None,
    timeout_ms: int | None = None,
    certificate: str | os.PathLike[str] | None = None,
    service_name: str | None = None,
    resource_attributes: Mapping[str, str] | None = None,
    sampler: str | None = None,
    sampler_arg: float | None = None,
    failures: bool = False,
    slow_ms: float | None = None,
    slow_percentile: float | None = None,
    per_second: int | None = None,
    override_parent: bool = False,
    stage_spans: bool = True,
    queue_size: int | None = None,
    batch_size: int | None = None,
    schedule_delay_ms: int | None = None,
    export_timeout_ms: int | None = None,
) -> None:
    """Export a span for every operation, with its stages and nodes as spans below it, over OTLP.

    Without arguments, the standard ``OTEL_*`` variables say where and how. Stages are switched on as well. Called
    again, it replaces the settings, after what is waiting has been sent with the old ones. ``OTEL_SDK_DISABLED=true``
    and ``OTEL_TRACES_EXPORTER=none`` make it switch tracing off.

    An operation belongs to the application's current OpenTelemetry span if there is one, and is exported if that span
    is sampled; otherwise the sampler decides. ``failures``, ``slow_ms``, ``slow_percentile`` and ``per_second`` keep
    what the sampler left out: every failure, and what was slow. If one of them is given and no sampler is named,
    nothing else is exported. In the child of a fork, exporting goes on by itself with its first operation.

    Args:
        endpoint: URL of the collector (``OTEL_EXPORTER_OTLP_ENDPOINT``). Over HTTP, ``/v1/traces`` is added to a URL
            without a path.
        protocol: Transport (``OTEL_EXPORTER_OTLP_PROTOCOL``), ``grpc`` by default.
        headers: Sent with every request (``OTEL_EXPORTER_OTLP_HEADERS``).
        compression: Of requests (``OTEL_EXPORTER_OTLP_COMPRESSION``), none by default.
        timeout_ms: For one request, in milliseconds (``OTEL_EXPORTER_OTLP_TIMEOUT``), 10000 by default.
        certificate: PEM file to trust instead of the system's (``OTEL_EXPORTER_OTLP_CERTIFICATE``).
        service_name: What Jaeger lists (``OTEL_SERVICE_NAME``), ``aerospike-py`` by default.
        resource_attributes: More about the service (``OTEL_RESOURCE_ATTRIBUTES``).
        sampler: For operations without a parent: ``always_on``, ``always_off`` or ``traceidratio``, with or without
            ``parentbased_`` before it (``OTEL_TRACES_SAMPLER``). A parent's decision always stands.
        sampler_arg: Share that ``traceidratio`` samples, 0 to 1 (``OTEL_TRACES_SAMPLER_ARG``).
        failures: Keep operations that fail. Implied by the next three. A missing record is no failure.
        slow_ms: Keep operations slower than this, in milliseconds (``AEROSPIKE_PY_TRACE_SLOW_MS``).
        slow_percentile: Keep operations slower than this percentile of the last minute's, by operation and lane, 50 to
            below 100 (``AEROSPIKE_PY_TRACE_SLOW_PERCENTILE``).
        per_second: Keep at most so many of those in a second (``AEROSPIKE_PY_TRACE_PER_SECOND``), 100 by default.
        override_parent: Keep them even if the application decided against the trace.
        stage_spans: Export spans for stages and nodes, too.
        queue_size: Operations that may wait (``OTEL_BSP_MAX_QUEUE_SIZE``), 2048 by default.
        batch_size: Spans in a request, about (``OTEL_BSP_MAX_EXPORT_BATCH_SIZE``), 512 by default.
        schedule_delay_ms: Time between requests, in milliseconds (``OTEL_BSP_SCHEDULE_DELAY``), 5000 by default.
        export_timeout_ms: For sending one batch, attempts included (``OTEL_BSP_EXPORT_TIMEOUT``), 30000 by default.

    Raises:
        InvalidArgError: An argument or a variable makes no sense; the message says which and what is expected.

    Example:
        ```python
        aerospike_py.init_tracing(endpoint="http://localhost:4317", slow_ms=20, per_second=50)
        client.exists(("test", "users", "ada"))
        aerospike_py.shutdown_tracing()
        ```
    """
    given = {
        "endpoint": endpoint,
        "protocol": protocol,
        "headers": headers,
        "compression": compression,
        "timeout_ms": timeout_ms,
        "certificate": certificate,
        "service_name": service_name,
        "resource_attributes": resource_attributes,
        "sampler": sampler,
        "sampler_arg": sampler_arg,
        "slow_ms": slow_ms,
        "slow_percentile": slow_percentile,
        "per_second": per_second,
        "queue_size": queue_size,
        "batch_size": batch_size,
        "schedule_delay_ms": schedule_delay_ms,
        "export_timeout_ms": export_timeout_ms,
        "failures": failures,
        "override_parent": override_parent,
        "stage_spans": stage_spans,
    }
    _aerospike._describe_interpreter()
    _aerospike._init_tracing(texts(given))


def shutdown_tracing() -> None:
    """Send the spans that are waiting and stop exporting, within a second whatever the collector does.

    What could not be sent in that time is dropped. Does nothing while tracing is off. Happens by itself when the
    interpreter exits.

    Example:
        ```python
        aerospike_py.shutdown_tracing()
        ```
    """
    _aerospike._shutdown_tracing()


def tracing_stats() -> TracingStatistics | None:
    """What has become of spans: sent, waiting, dropped for which reason, and the last error.

    Returns:
        Counts since :func:`init_tracing`, or ``None`` while tracing is off.

    Example:
        ```python
        aerospike_py.init_tracing()
        assert aerospike_py.tracing_stats()["dropped_queue_full"] == 0
        aerospike_py.shutdown_tracing()
        ```
    """
    return _aerospike._tracing_stats()


_TRACE_PARENT: contextvars.ContextVar[_aerospike._TraceParent] = contextvars.ContextVar("aerospike_py.trace_parent")


@contextlib.contextmanager
def trace_context(traceparent: str | None) -> Iterator[None]:
    """Have the operations of a block belong to a trace, in applications without the OpenTelemetry package.

    Holds for the current thread or asyncio task, and comes before OpenTelemetry's own context.

    Args:
        traceparent: As in the header of the same name (W3C Trace Context), or ``None`` for no parent at all.

    Raises:
        ValueError: That is no ``traceparent``.

    Example:
        ```python
        with aerospike_py.trace_context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
            client.exists(("test", "users", "ada"))
        ```
    """
    parent = _aerospike._TraceParent(traceparent)
    _aerospike._name_trace_parents(_TRACE_PARENT)
    token = _TRACE_PARENT.set(parent)
    try:
        yield
    finally:
        _TRACE_PARENT.reset(token)


class TraceRecorder:
    """A recording of operations in Arrow files, made by :func:`trace_recorder`.

    It is a context manager that closes itself.
    """

    __slots__ = ("_recording",)

    def __init__(self, recording: _aerospike._Recording) -> None:
        self._recording = recording

    def flush(self) -> bool:
        """Wait until every operation that has ended is in a file, for at most five seconds.

        Returns:
            Whether they are.

        Example:
            ```python
            import tempfile
            with aerospike_py.trace_recorder(tempfile.mkdtemp()) as recorder:
                client.exists(("test", "users", "ada"))
                assert recorder.flush()
            ```
        """
        return self._recording.flush()

    def close(self) -> None:
        """Write what is waiting and finish the files, within five seconds. Closing again does nothing.

        Example:
            ```python
            import tempfile
            recorder = aerospike_py.trace_recorder(tempfile.mkdtemp())
            recorder.close()
            ```
        """
        self._recording.close()
        _OPEN.discard(self)

    def stats(self) -> RecorderStatistics:
        """What has become of operations: written, waiting, dropped for which reason.

        Example:
            ```python
            import tempfile
            with aerospike_py.trace_recorder(tempfile.mkdtemp()) as recorder:
                assert recorder.stats()["dropped_queue_full"] == 0
            ```
        """
        return self._recording.stats()

    def __enter__(self) -> TraceRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


_OPEN: set[TraceRecorder] = set()


def trace_recorder(
    path: str | os.PathLike[str],
    *,
    prefix: str = "aerospike",
    max_file_bytes: int | None = None,
    max_total_bytes: int | None = None,
    max_operations_per_second: int | None = None,
    sample: float = 1.0,
    segments: bool = True,
    compression: Literal["lz4", "none"] = "none",
) -> TraceRecorder:
    """Record operations in Arrow IPC files, until the recorder is closed or the interpreter exits.

    Stages are switched on as well. Operations are in the file a second after they have ended at the latest; they never
    wait for the disk. A disk that is full ends the recording, which its statistics and one line in the log then say.
    After a fork the child records into files of its own. The format is described in ``docs/trace-format.md``.

    Args:
        path: Folder for the files; it is made if it is missing.
        prefix: What the names of all files start with.
        max_file_bytes: A new file is begun after so many bytes, 64 MiB by default (a quarter of the total, if that is
            less).
        max_total_bytes: The oldest files of this recording are removed beyond that, 1 GiB by default.
        max_operations_per_second: Record at most so many in a second.
        sample: Share of operations to record, 0 to 1.
        segments: Record the order of stages and the nodes of a batch, not only sums by stage.
        compression: Of what is in the files. With ``"lz4"`` they have about a third of the size, and writing them
            takes about twice the processor time.

    Returns:
        The recorder, to be closed; it can be used as a context manager.

    Raises:
        InvalidArgError: A limit is not above zero, ``sample`` not between 0 and 1, or ``compression`` unknown.
        OSError: The folder cannot be made or written to.

    Example:
        ```python
        import tempfile
        with aerospike_py.trace_recorder(tempfile.mkdtemp(), prefix="checkout", sample=0.5):
            client.exists(("test", "users", "ada"))
        ```
    """
    total = DEFAULT_TOTAL_BYTES if max_total_bytes is None else _positive("max_total_bytes", max_total_bytes)
    size = (
        min(DEFAULT_FILE_BYTES, total // 4) if max_file_bytes is None else _positive("max_file_bytes", max_file_bytes)
    )
    if size > total:
        raise InvalidArgError(f"max_file_bytes ({size}) must not be more than max_total_bytes ({total})")
    if max_operations_per_second is not None:
        _positive("max_operations_per_second", max_operations_per_second)
    if not 0 <= sample <= 1:
        raise InvalidArgError(f"sample must be between 0 and 1, not {sample}")
    if compression not in ("lz4", "none"):
        raise InvalidArgError(f"compression must be 'lz4' or 'none', not {compression!r}")
    if not prefix or "/" in prefix or "\0" in prefix:
        raise InvalidArgError(f"prefix must be part of a file's name, not {prefix!r}")
    _aerospike._describe_interpreter()
    folder = str(Path(path).absolute())
    recording = _aerospike._Recording(
        folder,
        prefix,
        (max(size, 1), total),
        max_operations_per_second,
        float(sample),
        (segments, compression == "lz4"),
    )
    recorder = TraceRecorder(recording)
    _OPEN.add(recorder)
    return recorder


def _positive(name: str, value: int) -> int:
    if value <= 0 or value >= 1 << 62:
        raise InvalidArgError(f"{name} must be a whole number above zero, not {value}")
    return int(value)


def _number(variable: str) -> int | None:
    value = os.environ.get(variable, "").strip()
    if not value:
        return None
    if not value.isdecimal() or int(value) == 0:
        raise InvalidArgError(f"{variable} must be a whole number above zero, not {value!r}")
    return int(value)


def _start_from_environment() -> None:
    """Begin the recording that ``AEROSPIKE_PY_TRACE`` asks for."""
    path = os.environ.get("AEROSPIKE_PY_TRACE", "").strip()
    if not path:
        return
    share = os.environ.get("AEROSPIKE_PY_TRACE_SAMPLE", "").strip() or "1"
    compression = os.environ.get("AEROSPIKE_PY_TRACE_COMPRESSION", "").strip() or "none"
    try:
        sample = float(share)
    except ValueError:
        raise InvalidArgError(f"AEROSPIKE_PY_TRACE_SAMPLE must be a number from 0 to 1, not {share!r}") from None
    trace_recorder(
        path,
        prefix=os.environ.get("AEROSPIKE_PY_TRACE_PREFIX", "").strip() or "aerospike",
        max_file_bytes=_number("AEROSPIKE_PY_TRACE_MAX_FILE_BYTES"),
        max_total_bytes=_number("AEROSPIKE_PY_TRACE_MAX_BYTES"),
        max_operations_per_second=_number("AEROSPIKE_PY_TRACE_MAX_OPERATIONS_PER_SECOND"),
        sample=sample,
        compression=cast(Literal["lz4", "none"], compression),
    )


@atexit.register
def _finish() -> None:
    for recorder in tuple(_OPEN):
        recorder.close()
    shutdown_tracing()


_start_from_environment()
