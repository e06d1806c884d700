"""What the soak's receiver counts without decoding is what protobuf finds."""

from __future__ import annotations

import random

import pytest
import wire
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

KINDS = (Span.SPAN_KIND_UNSPECIFIED, Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT)


@pytest.mark.parametrize("seed", range(20))
def test_spans(seed: int) -> None:
    rng = random.Random(seed)
    request = ExportTraceServiceRequest()
    operations = spans = 0
    for _ in range(rng.randrange(3)):
        of_resource = request.resource_spans.add(schema_url="https://example.org")
        of_resource.resource.attributes.add(key="service.name").value.string_value = "s" * rng.randrange(200)
        for _ in range(rng.randrange(3)):
            scope = of_resource.scope_spans.add()
            scope.scope.name = "scope"
            for _ in range(rng.randrange(5)):
                kind = rng.choice(KINDS)
                span = scope.spans.add(
                    trace_id=rng.randbytes(16),
                    span_id=rng.randbytes(8),
                    name="get",
                    kind=kind,
                    start_time_unix_nano=rng.randrange(1 << 64),
                    flags=rng.randrange(1 << 32),
                )
                span.attributes.add(key="db.response.status_code").value.int_value = rng.randrange(1 << 40)
                span.status.message = "m" * rng.randrange(300)
                deferred = kind != Span.SPAN_KIND_CLIENT and rng.random() < 0.5
                if deferred:
                    span.attributes.add(key="aerospike.deferred").value.bool_value = True
                operations += deferred or kind == Span.SPAN_KIND_CLIENT
                spans += 1
    assert wire.count_traces(request.SerializeToString()) == (operations, spans)


@pytest.mark.parametrize("seed", range(20))
def test_points(seed: int) -> None:
    rng = random.Random(seed)
    request = ExportMetricsServiceRequest()
    operations = points = 0
    for _ in range(rng.randrange(1, 3)):
        scope = request.resource_metrics.add().scope_metrics.add()
        for name in ("db.client.operation.duration", "db.client.connection.count", "db.client.operation.duration.sum"):
            metric = scope.metrics.add(name=name, unit="s", description="d" * rng.randrange(300))
            for _ in range(rng.randrange(4)):
                points += 1
                count = rng.randrange(1 << 40)
                if name == "db.client.connection.count":
                    metric.gauge.data_points.add(as_int=count)
                elif seed % 2:
                    metric.histogram.data_points.add(count=count, bucket_counts=[count], sum=0.5)
                else:
                    metric.exponential_histogram.data_points.add(count=count, scale=-3, zero_count=rng.randrange(9))
                operations += count if name == "db.client.operation.duration" else 0
    assert wire.count_metrics(request.SerializeToString()) == (operations, points)


def test_a_body_that_is_cut_off_is_noticed() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="a name that is long enough")
    with pytest.raises(AssertionError, match="cut off"):
        wire.count_traces(request.SerializeToString()[:-3])
