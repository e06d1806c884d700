"""Spans as collectors receive them, field by field, over both transports."""

import itertools
import os
import threading
import time

import aerospike_py
import pytest

pytestmark = pytest.mark.embedded

INTERNAL, CLIENT = 1, 3
UNSET, ERROR = 0, 2


def trace(collector, **arguments):
    aerospike_py.init_tracing(
        endpoint=collector.endpoint, protocol=collector.protocol, schedule_delay_ms=50, **arguments
    )


def only_root(collector):
    aerospike_py.shutdown_tracing()
    (root,) = collector.roots()
    return root


def check_tree(collector, root):
    """Spans below one another lie within one another; those of stages partition the operation."""
    stages = [span for span in collector.below(root) if "aerospike.stage" in span.attributes]
    assert stages[0].start == root.start
    assert stages[-1].end == root.end
    assert all(before.end == after.start for before, after in itertools.pairwise(stages))
    assert sum(span.duration for span in stages) == root.duration
    for span in stages:
        assert span.name == span.attributes["aerospike.stage"]
        assert (span.kind, span.trace_id, span.status.code) == (INTERNAL, root.trace_id, UNSET)
    return stages


def test_a_read_is_a_client_span_with_its_stages(collector, client, server, fresh_set):
    client.put(("test", fresh_set, "k"), {"a": 1})
    trace(
        collector,
        service_name="shop",
        resource_attributes={"team": "search, and more"},
        headers={"x-key": "secret"},
    )
    before = time.time_ns()
    client.get(("test", fresh_set, "k"))
    after = time.time_ns()
    root = only_root(collector)
    assert root.name == f"get {fresh_set}"
    assert (root.kind, root.status.code, root.parent_id) == (CLIENT, UNSET, "")
    assert before - 2_000_000 <= root.start <= root.end <= after + 2_000_000
    node = root.attributes["server.address"]
    assert (node, root.attributes["server.port"]) in [(host, port) for host, port in server.hosts]
    expected = {
        "db.system.name": "aerospike",
        "db.namespace": "test",
        "db.collection.name": fresh_set,
        "db.operation.name": "get",
        "network.peer.address": node,
        "network.peer.port": root.attributes["server.port"],
        "aerospike.lane": "sync",
        "aerospike.outcome": "ok",
        "aerospike.sampled_by": "head",
        "aerospike.attempts": 1,
        "aerospike.in_flight": 1,
        "aerospike.sets": 1,
        "thread.id": threading.get_native_id(),
        "thread.name": threading.current_thread().name,
    }
    assert {name: root.attributes.get(name) for name in expected} == expected
    for name in ("aerospike.operation_id", "aerospike.client_id", "aerospike.bytes_sent", "aerospike.bytes_received"):
        assert root.attributes[name] > 0
    for absent in ("error.type", "db.operation.batch.size", "db.response.status_code", "aerospike.task_id"):
        assert absent not in root.attributes
    assert (root.scope.name, root.scope.version) == ("aerospike-py", aerospike_py.__version__)
    assert root.resource["service.name"] == "shop"
    assert root.resource["team"] == "search, and more"
    assert root.resource["process.pid"] == os.getpid()
    assert root.resource["telemetry.sdk.name"] == "opentelemetry"
    assert collector.headers[0]["x-key"] == "secret"
    stages = [span.name for span in check_tree(collector, root)]
    assert stages[0] == "key_parse"
    assert stages[-1] == "to_dict"
    assert {"pool_acquire", "network_write", "network_wait", "decode"} <= set(stages)


def test_requests_can_be_compressed(collector, client, fresh_set):
    trace(collector, compression="gzip")
    client.exists(("test", fresh_set, "k"))
    assert only_root(collector).name == f"exists {fresh_set}"
    headers = collector.headers[0]
    assert "gzip" in (headers.get("content-encoding"), headers.get("grpc-encoding")) or collector.protocol == "grpc"


@pytest.mark.parametrize("lane", ["sync", "asyncio"])
def test_a_delay_is_in_the_span_of_its_stage(http_collector, connect, faults, lane, fresh_set):
    api = connect(faults.config())
    with faults.fault("delay=60ms", command="read"):
        trace(http_collector)
        with pytest.raises(aerospike_py.RecordNotFound):
            api.get(("test", fresh_set, "k"))
    root = only_root(http_collector)
    waits = [span for span in check_tree(http_collector, root) if span.name == "network_wait"]
    assert sum(span.duration for span in waits) >= 60_000_000
    assert all("aerospike.node" in span.attributes for span in waits)
    assert root.attributes["aerospike.lane"] == lane
    assert ("aerospike.task_id" in root.attributes) == (lane == "asyncio")
    assert ("aerospike.loop_id" in root.attributes) == (lane == "asyncio")


def test_a_missing_record_is_no_error(http_collector, client, fresh_set):
    trace(http_collector)
    with pytest.raises(aerospike_py.RecordNotFound):
        client.get(("test", fresh_set, "missing"))
    root = only_root(http_collector)
    assert root.status.code == UNSET
    assert root.attributes["db.response.status_code"] == "2"
    assert root.attributes["aerospike.outcome"] == "not_found"
    assert "error.type" not in root.attributes


def test_failures_have_a_type_a_code_and_a_stage(http_collector, client, faults, fresh_set):
    trace(http_collector)
    with faults.fault("delay=300ms", command="read"), pytest.raises(aerospike_py.AerospikeTimeoutError):
        client.get(("test", fresh_set, "k"), policy={"total_timeout": 60, "max_retries": 0})
    with pytest.raises(TypeError):
        client.get("no key")
    aerospike_py.shutdown_tracing()
    slow, refused = http_collector.roots()
    assert slow.status.code == ERROR
    assert slow.attributes["error.type"] == "AerospikeTimeoutError"
    assert slow.attributes["aerospike.outcome"] == "timeout"
    assert slow.attributes["aerospike.failed_in"] == "network_wait"
    assert "network_wait" in slow.status.message
    assert (refused.name, refused.status.code) == ("get", ERROR)
    assert refused.attributes["error.type"] == "TypeError"
    assert refused.attributes["aerospike.failed_in"] == "key_parse"


def test_a_batch_has_a_span_for_every_node(http_collector, client, faults, many):
    client.batch_write([(key, {"n": number}) for number, key in enumerate(many)])
    trace(http_collector)
    with faults.fault("delay=80ms", node=1, command="batch_read"):
        records = client.batch_read(many)
    records.to_dict()
    root = only_root(http_collector)
    assert root.name == f"batch_read {many[0][1]}"
    assert root.attributes["db.operation.batch.size"] == len(many)
    assert "server.address" not in root.attributes
    check_partition = [span for span in http_collector.below(root) if not span.attributes.get("aerospike.deferred")]
    nodes = [span for span in check_partition if span.name.startswith("node ")]
    addresses = [f"{host}:{port}" for host, port in faults.hosts]
    assert sorted(span.attributes["aerospike.node"] for span in nodes) == sorted(addresses)
    for node in nodes:
        assert node.name == f"node {node.attributes['aerospike.node']}"
        assert (
            f"{node.attributes['server.address']}:{node.attributes['server.port']}" == node.attributes["aerospike.node"]
        )
        assert root.start <= node.start <= node.end <= root.end
        below = http_collector.below(node)
        assert sum(span.duration for span in below) == node.duration
        waited = sum(span.duration for span in below if span.name == "network_wait")
        assert (waited >= 80_000_000) == (node.attributes["aerospike.node"] == addresses[1])
    assert sum(node.attributes["aerospike.bytes_sent"] for node in nodes) == root.attributes["aerospike.bytes_sent"]
    (conversion,) = [span for span in http_collector.below(root) if span.attributes.get("aerospike.deferred")]
    assert conversion.name == "to_dict"
    assert conversion.start >= root.end


def test_stages_can_be_left_out(http_collector, client, many):
    trace(http_collector, stage_spans=False)
    client.batch_read(many)
    root = only_root(http_collector)
    assert http_collector.spans == [root]


def test_variables_configure_as_the_specification_says(http_collector, client, fresh_set, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http_collector.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=from%20outside")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "by variable")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "zone=b")
    aerospike_py.init_tracing()
    client.exists(("test", fresh_set, "k"))
    root = only_root(http_collector)
    assert (root.resource["service.name"], root.resource["zone"]) == ("by variable", "b")
    assert http_collector.headers[0][":path"] == "/v1/traces"
    assert http_collector.headers[0]["x-key"] == "from outside"
