"""Metrics as a collector receives them over either transport, field by field, and equal to the text."""

import math
import os

import aerospike_py
import pytest

pytestmark = pytest.mark.embedded

CUMULATIVE = 2
OFTEN = {"interval_ms": 20}
"""An interval that passes many times in a test."""

MOST_ERROR = 0.028
"""How far a value can be from the middle of its bucket."""


def export(collector, **settings):
    aerospike_py.init_metrics_export(endpoint=collector.endpoint, protocol=collector.protocol, **settings)


def work(api, key, times=7):
    api.put(key, {"n": 1})
    for _ in range(times):
        api.get(key)
    with pytest.raises(aerospike_py.RecordNotFound):
        api.get((*key[:2], "missing"))


def last_report(collector):
    """What is sent last, when nothing is measured any more."""
    aerospike_py.shutdown_metrics_export()
    return collector.reports[-1]


def samples(name, text=None):
    """The samples of a family in the text, as ``{labels: value}``."""
    found = {}
    for line in (aerospike_py.get_metrics() if text is None else text).splitlines():
        if line.startswith((f"{name}{{", f"{name} ")):
            series, _, value = line.rpartition(" ")
            found[series.partition("{")[2].rstrip("}")] = float(value)
    return found


def labels_in_text(attributes):
    words = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in attributes.items()}
    # Other tests have sets whose names the text has to escape.
    for before, after in (("\\", r"\\"), ('"', r"\""), ("\n", r"\n")):
        words = {name: value.replace(before, after) for name, value in words.items()}
    return ",".join(f'{name.replace(".", "_")}="{value}"' for name, value in words.items())


def test_a_distribution_field_by_field(collector, client, key, server):
    export(collector, service_name="shop", resource_attributes={"team": "a,b"}, headers={"x-who": "me"}, **OFTEN)
    with aerospike_py.internal_stage_profiling():
        work(client, key)
    last_report(collector)
    where = {"db_namespace": "test", "db_collection_name": key[1], "db_operation_name": "get"}
    hits, misses = sorted(
        collector.points("db.client.operation.duration", **where),
        key=lambda point: "db.response.status_code" in point.attributes,
    )
    assert (hits.kind, hits.unit) == ("exponential_histogram", "s")
    assert hits.data.aggregation_temporality == CUMULATIVE
    assert hits.attributes.pop("server.address") == "127.0.0.1"
    assert hits.attributes.pop("server.port") in {port for _, port in server.hosts}
    assert hits.attributes == {
        "db.system.name": "aerospike",
        "db.operation.name": "get",
        "lane": "sync",
        "db.namespace": "test",
        "db.collection.name": key[1],
    }
    assert misses.attributes["db.response.status_code"] == "2"
    assert "error.type" not in misses.attributes
    point = hits.point
    assert (point.count, point.scale, point.zero_count) == (7, 5, 0)
    assert sum(point.positive.bucket_counts) == 7
    assert 0 < point.start_time_unix_nano < point.time_unix_nano
    highest = point.positive.offset + len(point.positive.bucket_counts)
    assert 2 ** ((highest - 1) / 32) * (1 - MOST_ERROR) <= point.max <= 2 ** (highest / 32) * (1 + MOST_ERROR)
    assert point.max <= point.sum <= 7 * point.max
    resource = hits.resource
    assert {name: resource[name] for name in ("service.name", "team", "process.pid")} == {
        "service.name": "shop",
        "team": "a,b",
        "process.pid": os.getpid(),
    }
    assert len(resource["service.instance.id"]) == 36
    assert (hits.scope.name, hits.scope.version) == ("aerospike-py", aerospike_py.__version__)
    headers = collector.headers[-1]
    assert headers["x-who"] == "me"
    assert collector.protocol == "grpc" or headers[":path"] == "/v1/metrics"
    stages = {point.attributes["stage"] for point in collector.points("db.client.internal.stage", lane="sync")}
    assert {"key_parse", "network_wait", "to_dict"} <= stages


def test_everything_in_the_text_is_exported_with_the_same_counts(collector, client, key, many):
    export(collector, interval_ms=600_000)
    with aerospike_py.internal_stage_profiling():
        work(client, key)
        client.batch_read(many).to_dict()
    report = last_report(collector)
    assert len(report) > 100
    kinds = {"sum": "_total", "gauge": "", "exponential_histogram": "_count"}
    suffixes = {"s": "_seconds", "By": "_bytes"}
    compared = set()
    whole = aerospike_py.get_metrics()
    texts = {}
    for point in report:
        if "probe" in point.name:
            continue
        monotonic = point.kind != "sum" or point.data.is_monotonic
        name = point.name.replace(".", "_") + suffixes.get(point.unit, "")
        name += kinds[point.kind] if monotonic else ""
        if name not in texts:
            texts[name] = samples(name, whole)
        text = texts[name]
        value = point.point.count if point.kind == "exponential_histogram" else point.number
        if name.startswith(("db_client_network_io", "db_client_connection_", "db_client_attempts")):
            # The driver looks after its nodes meanwhile.
            assert labels_in_text(point.attributes) in text, name
        else:
            assert text[labels_in_text(point.attributes)] == pytest.approx(value, rel=1e-9), (name, point.attributes)
        compared.add(point.name)
    assert compared >= {
        "db.client.operation.duration",
        "db.client.operations",
        "db.client.operation.batch.size",
        "db.client.internal.stage",
        "db.client.batch.node.duration",
        "db.client.connection.count",
        "db.client.connection.max",
        "db.client.connection.wait_time",
        "db.client.connection.create_time",
        "db.client.connection.pending_requests",
        "db.client.connection.timeouts",
        "db.client.network.io",
        "db.client.retries",
        "db.client.operations.in_flight",
    }


def test_kinds_and_units_are_those_of_the_conventions(collector, client, key):
    export(collector, **OFTEN)
    client.put(key, {"n": 1})
    last_report(collector)
    for name, unit, kind, monotonic in [
        ("db.client.connection.count", "{connection}", "sum", False),
        ("db.client.connection.max", "{connection}", "sum", False),
        ("db.client.connection.pending_requests", "{request}", "sum", False),
        ("db.client.connection.timeouts", "{timeout}", "sum", True),
        ("db.client.connection.create_time", "s", "exponential_histogram", None),
        ("db.client.connection.wait_time", "s", "exponential_histogram", None),
        ("db.client.operation.duration", "s", "exponential_histogram", None),
    ]:
        first = collector.points(name)[0]
        assert (first.unit, first.kind) == (unit, kind), name
        assert kind != "sum" or first.data.is_monotonic is monotonic, name
        assert first.attributes["db.system.name"] == "aerospike"
    for point in collector.points("db.client.connection.count"):
        assert point.attributes["db.client.connection.state"] in {"idle", "used"}
        own = point.attributes
        pool = f"{own['client.id']}/{own['server.address']}:{own['server.port']}"
        assert own["db.client.connection.pool.name"] == pool


def test_explicit_buckets_are_those_of_the_text(http_collector, client, key):
    export(http_collector, histograms="explicit_bucket_histogram", compression="gzip", **OFTEN)
    work(client, key)
    last_report(http_collector)
    (point,) = http_collector.points("db.client.operation.duration", db_operation_name="put", db_collection_name=key[1])
    assert point.kind == "histogram"
    assert len(point.point.bucket_counts) == len(point.point.explicit_bounds) + 1
    assert sum(point.point.bucket_counts) == point.point.count == 1
    assert http_collector.headers[-1]["content-encoding"] == "gzip"
    in_text = samples("db_client_operation_duration_seconds_bucket")
    limits = {labels.rpartition('le="')[2].rstrip('"') for labels in in_text if f'"{key[1]}"' in labels}
    assert {float(limit) for limit in limits} == {*point.point.explicit_bounds, math.inf}


def test_the_environment_says_where_and_how_often(http_collector, client, key, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", http_collector.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
    aerospike_py.init_metrics_export()
    client.put(key, {"n": 1})
    http_collector.wait_for(lambda: len(http_collector.reports) >= 3)
    stats = aerospike_py.metrics_export_stats()
    assert (stats["endpoint"], stats["protocol"]) == (f"{http_collector.endpoint}/v1/metrics", "http/protobuf")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    aerospike_py.init_metrics_export()
    assert aerospike_py.metrics_export_stats() is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"interval_ms": 0}, "`interval_ms`"),
        ({"endpoint": "collector:4317"}, "`endpoint`"),
        ({"histograms": "summary"}, "`histograms`"),
        ({"headers": {"bad name": "x"}}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({"endpoint": "https://localhost:1", "certificate": "/nowhere.pem"}, "nowhere.pem"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, named):
    with pytest.raises(aerospike_py.InvalidArgError, match=named):
        aerospike_py.init_metrics_export(**arguments)
    assert aerospike_py.metrics_export_stats() is None


def test_traced_operations_are_exemplars(http_collector, client, key):
    aerospike_py.init_tracing(endpoint=http_collector.endpoint, protocol="http/protobuf", sampler="always_on")
    client.put(key, {"n": 1})
    client.exists(key)
    aerospike_py.shutdown_tracing()
    export(http_collector, interval_ms=600_000)
    last_report(http_collector)
    (point,) = http_collector.points("db.client.operation.duration", db_operation_name="put", db_collection_name=key[1])
    (exemplar,) = point.point.exemplars
    (span,) = [span for span in http_collector.roots() if span.attributes["db.operation.name"] == "put"]
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == (span.trace_id, span.span_id)
    assert exemplar.as_double == pytest.approx(span.duration / 1e9, abs=1e-9)
