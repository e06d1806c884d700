"""Collectors that are down, hang, refuse or are slow: calls go on, drops are counted, shutting down is quick."""

import subprocess
import sys
import textwrap
import time

import aerospike_py
import pytest
from receivers import Hole, HttpCollector, nobody

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


def quick_shutdown():
    began = time.monotonic()
    aerospike_py.shutdown_tracing()
    took = time.monotonic() - began
    assert took <= SHUTDOWN_SECONDS, took


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_shutting_down_takes_no_more_than_a_second(bad_endpoint, protocol, client, key):
    aerospike_py.init_tracing(endpoint=bad_endpoint, protocol=protocol, schedule_delay_ms=20)
    for _ in range(300):
        client.exists(key)
    time.sleep(0.1)
    quick_shutdown()
    assert aerospike_py.tracing_stats() is None
    client.exists(key)


def test_what_does_not_fit_is_counted_while_calls_go_on(hole, client, key):
    aerospike_py.init_tracing(endpoint=hole.endpoint, protocol="http/protobuf", queue_size=50, schedule_delay_ms=10)
    for _ in range(500):
        client.exists(key)
    stats = aerospike_py.tracing_stats()
    assert stats["waiting"] <= 50
    # Up to one queue's worth was taken out for the request that hangs.
    assert stats["dropped_queue_full"] >= 500 - 50 - 2 * 50
    assert stats["exported_operations"] == 0
    quick_shutdown()


def test_failed_requests_are_counted_and_the_exporter_recovers(http_collector, client, key):
    http_collector.behaviour = "refuse"
    aerospike_py.init_tracing(
        endpoint=http_collector.endpoint, protocol="http/protobuf", schedule_delay_ms=20, export_timeout_ms=100
    )
    client.exists(key)
    deadline = time.monotonic() + 20
    while not aerospike_py.tracing_stats()["failures"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stats = aerospike_py.tracing_stats()
    assert stats["dropped_export_failed"] == 1
    assert http_collector.endpoint in stats["last_error"]
    http_collector.behaviour = "take"
    client.exists(key)
    http_collector.wait_for(lambda: len(http_collector.roots()) == 1)
    quick_shutdown()


def test_a_full_queue_does_not_wait_for_the_schedule(http_collector, client, key):
    aerospike_py.init_tracing(
        endpoint=http_collector.endpoint,
        protocol="http/protobuf",
        queue_size=64,
        schedule_delay_ms=600_000,
        stage_spans=False,
    )
    for _ in range(32):
        client.exists(key)
    http_collector.wait_for(lambda: len(http_collector.roots()) >= 32)


def test_what_waits_is_sent_when_the_interpreter_exits(http_collector, server):
    program = """
        import sys
        import aerospike_py
        aerospike_py.init_tracing(endpoint=sys.argv[1], protocol="http/protobuf")
        with aerospike_py.client({"hosts": [("127.0.0.1", int(sys.argv[2]))]}).connect() as client:
            client.exists(("test", "exit", "k"))
    """
    port = server.config()["hosts"][0][1]
    run = [sys.executable, "-c", textwrap.dedent(program), http_collector.endpoint, str(port)]
    subprocess.run(run, check=True, timeout=60)
    assert [span.name for span in http_collector.roots()] == ["exists exit"]


@pytest.mark.parametrize("variable", ["OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"])
def test_tracing_can_be_switched_off_from_outside(variable, monkeypatch, http_collector, client, key):
    monkeypatch.setenv(*variable.split("="))
    aerospike_py.init_tracing(endpoint=http_collector.endpoint, protocol="http/protobuf")
    assert aerospike_py.tracing_stats() is None
    assert not aerospike_py.is_internal_stage_metrics_enabled()
    client.exists(key)
    aerospike_py.shutdown_tracing()
    assert http_collector.requests == 0


def test_settings_that_make_no_sense_are_refused(monkeypatch, tmp_path):
    for arguments, message in [
        ({"endpoint": "collector:4317"}, "`endpoint` must be a URL"),
        ({"protocol": "http/json"}, "`protocol` must be"),
        ({"slow_percentile": 100}, "`slow_percentile` must be a percentile"),
        ({"sampler": "sometimes"}, "`sampler` must be one of"),
        ({"queue_size": 0}, "`queue_size` must be a whole number above zero"),
        ({"headers": {"bad name": "x"}}, "cannot be the name of a header"),
        ({"endpoint": "https://127.0.0.1:1", "certificate": tmp_path / "none.pem"}, "cannot read the certificates"),
    ]:
        with pytest.raises(aerospike_py.InvalidArgError, match=message):
            aerospike_py.init_tracing(**arguments)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift")
    with pytest.raises(aerospike_py.InvalidArgError, match="OTEL_EXPORTER_OTLP_PROTOCOL must be"):
        aerospike_py.init_tracing()
    assert aerospike_py.tracing_stats() is None


def test_calling_again_replaces_the_settings(client, key):
    first, second = HttpCollector(), HttpCollector()
    try:
        for collector in (first, second):
            aerospike_py.init_tracing(endpoint=collector.endpoint, protocol="http/protobuf")
            client.exists(key)
        aerospike_py.shutdown_tracing()
        aerospike_py.shutdown_tracing()
        assert (len(first.roots()), len(second.roots())) == (1, 1)
    finally:
        first.stop()
        second.stop()


@pytest.mark.parametrize("before", [False, True])
def test_stages_are_as_they_were_before(before, http_collector, client):
    aerospike_py.set_internal_stage_metrics_enabled(before)
    aerospike_py.init_tracing(endpoint=http_collector.endpoint, protocol="http/protobuf")
    assert aerospike_py.is_internal_stage_metrics_enabled()
    aerospike_py.shutdown_tracing()
    assert aerospike_py.is_internal_stage_metrics_enabled() is before


def test_the_conversion_of_an_operation_that_found_no_room_is_not_offered(hole, client, key):
    """Its span would lie below one that nobody has."""
    aerospike_py.init_tracing(endpoint=hole.endpoint, protocol="http/protobuf", queue_size=1, schedule_delay_ms=10)
    client.exists(key)
    hole.wait_for_visitor()
    # The exporter waits for the answer to its request, which took what was in the queue.
    for _ in range(2):
        client.exists(key)
    before = aerospike_py.tracing_stats()
    assert before["waiting"] == 1
    keys = [key, (*key[:2], "other")]
    for _ in range(10):
        client.batch_read(keys).to_dict()
    after = aerospike_py.tracing_stats()
    assert after["waiting"] == 1
    assert after["dropped_queue_full"] - before["dropped_queue_full"] == 10
    quick_shutdown()
