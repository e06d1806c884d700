"""Metrics for a collector over OTLP: the functions that switch it on and off, and the orderly end at exit.

The extension does the work, on a thread of its own. Reading metrics as text and serving them to Prometheus is the
extension's, too: :func:`aerospike_py.get_metrics`, :func:`aerospike_py.start_metrics_server`.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from typing import Literal, TypedDict

from aerospike_py import _aerospike
from aerospike_py._otlp import texts

__all__ = [
    "MetricsExportStatistics",
    "init_metrics_export",
    "metrics_export_stats",
    "shutdown_metrics_export",
]


class MetricsExportStatistics(TypedDict):
    """What has become of metrics since their export was switched on. Points are numbers or distributions."""

    endpoint: str
    """Where metrics go."""
    protocol: str
    """``grpc`` or ``http/protobuf``."""
    exports: int
    """Requests that the collector took."""
    exported_points: int
    dropped_export_failed: int
    """Points in requests that failed. The next request has what they said and more."""
    dropped_rejected: int
    """Points that the collector did not take from requests that it took."""
    failures: int
    """Requests that failed, or of which not everything was taken."""
    last_error: str | None
    """What the last of them said."""


def init_metrics_export(
    *,
    endpoint: str | None = None,
    protocol: Literal["grpc", "http/protobuf"] | None = None,
    headers: Mapping[str, str] | None = None,
    compression: Literal["gzip", "none"] | None = None,
    timeout_ms: int | None = None,
    certificate: str | os.PathLike[str] | None = None,
    service_name: str | None = None,
    resource_attributes: Mapping[str, str] | None = None,
    histograms: Literal["base2_exponential_bucket_histogram", "explicit_bucket_histogram"] | None = None,
    interval_ms: int | None = None,
    export_timeout_ms: int | None = None,
) -> None:
    """Export all metrics over OTLP, again and again: those of :func:`get_metrics`, with finer distributions.

    Without arguments, the standard ``OTEL_*`` variables say where and how. Called again, it replaces the settings,
    after the metrics have been sent once more with the old ones. ``OTEL_SDK_DISABLED=true`` and
    ``OTEL_METRICS_EXPORTER=none`` make it switch the export off. Stages are among the metrics while they are recorded
    (:func:`set_internal_stage_metrics_enabled`).

    Numbers are sums since the process began, so that a request that is lost loses nothing but its moment. In the child
    of a fork, exporting goes on by itself once a client connects there.

    Args:
        endpoint: URL of the collector (``OTEL_EXPORTER_OTLP_ENDPOINT``). Over HTTP, ``/v1/metrics`` is added to a URL
            without a path.
        protocol: Transport (``OTEL_EXPORTER_OTLP_PROTOCOL``), ``grpc`` by default.
        headers: Sent with every request (``OTEL_EXPORTER_OTLP_HEADERS``).
        compression: Of requests (``OTEL_EXPORTER_OTLP_COMPRESSION``), none by default.
        timeout_ms: For one request, in milliseconds (``OTEL_EXPORTER_OTLP_TIMEOUT``), 10000 by default.
        certificate: PEM file to trust instead of the system's (``OTEL_EXPORTER_OTLP_CERTIFICATE``).
        service_name: What the service is called (``OTEL_SERVICE_NAME``), ``aerospike-py`` by default.
        resource_attributes: More about the service (``OTEL_RESOURCE_ATTRIBUTES``).
        histograms: What distributions are sent as
            (``OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION``): exponential histograms by default, in which
            a quantile is off by at most 2.8 %, or the buckets of Prometheus' text.
        interval_ms: Time between two exports, in milliseconds (``OTEL_METRIC_EXPORT_INTERVAL``), 60000 by default.
        export_timeout_ms: For one export (``OTEL_METRIC_EXPORT_TIMEOUT``), 30000 by default.

    Raises:
        InvalidArgError: An argument or a variable makes no sense; the message says which and what is expected.

    Example:
        ```python
        aerospike_py.init_metrics_export(endpoint="http://localhost:4317", interval_ms=10_000)
        client.exists(("test", "users", "ada"))
        aerospike_py.shutdown_metrics_export()
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
        "histograms": histograms,
        "interval_ms": interval_ms,
        "export_timeout_ms": export_timeout_ms,
    }
    _aerospike._describe_interpreter()
    _aerospike._init_metrics_export(texts(given))


def shutdown_metrics_export() -> None:
    """Send the metrics once more and stop exporting, within a second whatever the collector does.

    Does nothing while metrics are not exported. Happens by itself when the interpreter exits.

    Example:
        ```python
        aerospike_py.shutdown_metrics_export()
        ```
    """
    _aerospike._shutdown_metrics_export()


def metrics_export_stats() -> MetricsExportStatistics | None:
    """What has become of metrics: sent, dropped for which reason, and the last error.

    Returns:
        Counts since :func:`init_metrics_export`, or ``None`` while metrics are not exported.

    Example:
        ```python
        aerospike_py.init_metrics_export()
        assert aerospike_py.metrics_export_stats()["dropped_rejected"] == 0
        aerospike_py.shutdown_metrics_export()
        ```
    """
    return _aerospike._metrics_export_stats()


atexit.register(shutdown_metrics_export)
