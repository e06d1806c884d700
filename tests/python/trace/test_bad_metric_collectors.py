"""Collectors of metrics that are down, hang, refuse or are slow; forks and the end of the interpreter."""

import os
import subprocess
import sys
import textwrap
import time

import aerospike_py
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as messages
from receivers import Hole, nobody

pytestmark = pytest.mark.embedded

SHUTDOWN_SECONDS = 1.0
"""What is promised."""


@pytest.fixture
def hole():
    hole = Hole()
    yield hole
    hole.stop()


@pytest.fixture(params=["gone", "hangs", "refuses", "slow"])
def bad_endpoint(request, hole, http_collector):
    if request.param == "gone":
        return nobody()
    if request.param == "hangs":
        return hole.endpoint
    http_collector.behaviour = "refuse" if request.param == "refuses" else "slow"
    return http_collector.endpoint


def eventually(reached):
    deadline = time.monotonic() + 30
    while not reached(aerospike_py.metrics_export_stats()):
        assert time.monotonic() < deadline, aerospike_py.metrics_export_stats()
        time.sleep(0.01)
    return aerospike_py.metrics_export_stats()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_shutting_down_takes_no_more_than_a_second(bad_endpoint, protocol, client, key):
    aerospike_py.init_metrics_export(endpoint=bad_endpoint, protocol=protocol, interval_ms=20)
    for _ in range(100):
        client.exists(key)
    time.sleep(0.1)
    began = time.monotonic()
    aerospike_py.shutdown_metrics_export()
    took = time.monotonic() - began
    assert took <= SHUTDOWN_SECONDS, took
    assert aerospike_py.metrics_export_stats() is None
    client.exists(key)


def test_failures_are_counted_said_once_and_nothing_is_missing_afterwards(http_collector, client, key, caplog):
    http_collector.behaviour = "refuse"
    caplog.set_level("WARNING", "aerospike_py")
    aerospike_py.init_metrics_export(endpoint=http_collector.endpoint, protocol="http/protobuf", interval_ms=20)
    client.put(key, {"n": 1})
    stats = eventually(lambda stats: stats["failures"] >= 3)
    assert stats["exports"] == stats["exported_points"] == 0
    assert stats["dropped_export_failed"] > 30
    assert "503" in stats["last_error"]
    assert http_collector.endpoint in stats["last_error"]
    http_collector.behaviour = "take"
    stats = eventually(lambda stats: stats["exports"])
    assert stats["exported_points"] > 10
    (point,) = http_collector.points("db.client.operation.duration", db_operation_name="put", db_collection_name=key[1])
    assert point.point.count == 1
    said = [record.getMessage() for record in caplog.records if "cannot send metrics" in record.getMessage()]
    assert len(said) == 1
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in said[0]


def test_what_a_collector_does_not_take_is_counted(http_collector, client):
    partial = messages.ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too old")
    http_collector.answer = messages.ExportMetricsServiceResponse(partial_success=partial)
    aerospike_py.init_metrics_export(endpoint=http_collector.endpoint, protocol="http/protobuf", interval_ms=20)
    client.ping()
    stats = eventually(lambda stats: stats["exports"] >= 2)
    assert stats["dropped_rejected"] == 3 * stats["exports"]
    assert "too old" in stats["last_error"]


PROGRAM = """
    import os
    import sys
    import aerospike_py

    hosts = [("127.0.0.1", {port})]
    aerospike_py.init_metrics_export(endpoint="{endpoint}", protocol="http/protobuf", interval_ms=600_000)
    {act}
"""


def run(server, collector, act):
    program = textwrap.dedent(PROGRAM).format(
        port=server.hosts[0][1], endpoint=collector.endpoint, act=textwrap.dedent(act).strip()
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_last_metrics_are_sent_when_the_interpreter_exits(http_collector, server):
    act = """
with aerospike_py.client({"hosts": hosts}).connect() as client:
    client.exists(("test", "atexit", 1))
"""
    run(server, http_collector, act)
    (report,) = http_collector.reports
    (point,) = http_collector.points("db.client.operation.duration", db_collection_name="atexit")
    assert point.point.count == 1
    assert point.resource["process.pid"] != os.getpid()
    assert len(report) > 10


def test_a_forked_child_exports_once_it_connects(http_collector, server):
    act = """
with aerospike_py.client({"hosts": hosts}).connect() as client:
    client.exists(("test", "parent", 1))
child = os.fork()
if child == 0:
    with aerospike_py.client({"hosts": hosts}).connect() as client:
        client.exists(("test", "child", 1))
    aerospike_py.shutdown_metrics_export()
    os._exit(0)
quiet = os.fork()
if quiet == 0:
    # Nothing to export, and nothing that hangs.
    aerospike_py.shutdown_metrics_export()
    os._exit(0)
for pid in (child, quiet):
    assert os.waitpid(pid, 0)[1] == 0
"""
    run(server, http_collector, act)
    of_child, of_parent = http_collector.reports
    assert len({report[0].resource["process.pid"] for report in (of_child, of_parent)}) == 2
    assert len({report[0].resource["service.instance.id"] for report in (of_child, of_parent)}) == 2
    sets = [{point.attributes.get("db.collection.name") for point in report} for report in (of_child, of_parent)]
    assert "child" in sets[0]
    assert "child" not in sets[1]
