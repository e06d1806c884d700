"""Metrics of connections, clients and limits against what is known from elsewhere: the server's counters, faults."""

import time

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from scraping import Metrics

pytestmark = pytest.mark.embedded

QUIET = {"tend_interval": 600_000}
PATIENT = {"total_timeout": 20_000}


@pytest.fixture
def node():
    """A server of its own, so that its counters are of this test only."""
    with EmbeddedServer(process=True) as server:
        yield server


def of(server, place=0):
    host, port = server.hosts[place]
    return {"server_address": host, "server_port": str(port)}


def eventually(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def io(metrics, server, direction):
    return metrics.of("db_client_network_io_bytes_total", network_io_direction=direction, **of(server))


def test_bytes_are_those_that_the_server_counts(node, connect, key):
    client = connect(node.config(**QUIET))
    client.put(key, {"blob": bytes(50_000)})
    for _ in range(5):
        client.get(key)
    client.batch_read([key] * 3)

    def equal():
        metrics, stats = Metrics.read(), node.stats()
        return (io(metrics, node, "transmit"), io(metrics, node, "receive")) == (stats.bytes_in, stats.bytes_out)

    eventually(equal)
    assert io(Metrics.read(), node, "receive") > 5 * 50_000


def test_connections_are_counted_by_state(node, connect, key):
    client = connect(node.config(max_conns_per_node=4, **QUIET))
    client.put(key, {"n": 1})

    def connections(state):
        return Metrics.read().of("db_client_connection_count", db_client_connection_state=state, **of(node))

    assert Metrics.read().of("db_client_connection_max", **of(node)) == 4
    eventually(lambda: connections("idle") >= 1)
    assert connections("used") == 0
    pending = "db_client_connection_pending_requests"
    with node.fault("stall", command="read"):
        reads = [client.start("get", key, PATIENT) for _ in range(8)]
        eventually(lambda: connections("used") == 4)
        eventually(lambda: Metrics.read().of(pending) == 4)
        assert Metrics.read().of("db_client_operations_in_flight") == 8
    assert [read.result(30).bins for read in reads] == [{"n": 1}] * 8
    eventually(lambda: connections("idle") == 4)
    eventually(lambda: Metrics.read().of("db_client_operations_in_flight") == 0)
    assert Metrics.read().of(pending) == 0


def test_waiting_for_a_connection_is_measured(node, connect, key):
    client = connect(node.config(max_conns_per_node=1, **QUIET))
    client.put(key, {"n": 1})
    before = Metrics.read()
    with node.fault("delay=300ms", command="read"):
        reads = [client.start("get", key, PATIENT) for _ in range(2)]
        assert [read.result(30).bins for read in reads] == [{"n": 1}] * 2
    wait = "db_client_connection_wait_time_seconds"
    grown = Metrics.read() - before
    assert grown.of(f"{wait}_count") == grown.of("db_client_attempts_total")
    assert grown.of("db_client_attempts_total", **of(node)) == 2
    assert grown.of(f"{wait}_sum") >= 0.2
    assert grown.of(f"{wait}_count") - grown.of(f"{wait}_bucket", le="0.15") == 1


def test_no_connection_in_time_is_a_timeout(node, connect, growth, key):
    client = connect(node.config(max_conns_per_node=1, **QUIET))
    client.put(key, {"n": 1})
    with node.fault("stall", command="read"):
        slow = client.start("get", key, PATIENT)
        eventually(
            lambda: Metrics.read().of("db_client_connection_count", db_client_connection_state="used", **of(node)) == 1
        )
        with pytest.raises(aerospike_py.AerospikeTimeoutError):
            client.exists(key, {"total_timeout": 100})
    slow.result(30)
    assert growth().of("db_client_connection_timeouts_total") == 1


def test_retries_are_counted_where_they_go(node, connect, key):
    client = connect(node.config(**QUIET))
    client.put(key, {"n": 1})
    before = Metrics.read()
    with node.fault("resetx2", command="read"):
        assert client.get(key, {"max_retries": 4, "total_timeout": 20_000}).bins == {"n": 1}
    grown = Metrics.read() - before
    assert grown.of("db_client_retries_total", **of(node)) == 2
    assert grown.of("db_client_attempts_total", **of(node)) == 3
    assert grown.of("db_client_connection_failures_total", **of(node)) >= 2
    closed = grown.of("db_client_connection_closed_total", **of(node))
    assert closed >= 2


def test_opening_connections_is_measured(node, connect, growth, key):
    client = connect(node.config(**QUIET))
    client.put(key, {"n": 1})
    grown = growth()
    opened = grown.of("db_client_connection_opened_total", **of(node))
    assert opened == node.stats().connections_accepted
    assert grown.of("db_client_connection_create_time_seconds_count") >= opened
    with pytest.raises(aerospike_py.ClusterError):
        connect({"hosts": [("127.0.0.1", 1)], "timeout": 300})
    assert growth().of("db_client_connection_create_failures_total") >= 1


def test_the_limiters_queue_is_visible(node, connect, growth, key):
    limit = "db_client_limiter_max"
    # Clients of other tests may not be gone yet.
    others = {own["client_id"] for own in Metrics.read().label_sets(limit)}
    client = connect(node.config(max_concurrent_operations=2, operation_queue_timeout_ms=20_000, **QUIET))
    client.put(key, {"n": 1})
    metrics = Metrics.read()
    (own,) = {own["client_id"] for own in metrics.label_sets(limit)} - others
    assert metrics.of(limit, client_id=own) == 2
    with node.fault("stall", command="read"):
        reads = [client.start("get", key, PATIENT) for _ in range(5)]
        eventually(lambda: Metrics.read().of("db_client_limiter_pending") == 3)
        time.sleep(0.2)
    assert [read.result(30).bins for read in reads] == [{"n": 1}] * 5
    wait = "db_client_limiter_wait_time_seconds"
    assert growth().of(f"{wait}_count") == 3
    assert growth().of(f"{wait}_sum") >= 0.5
    assert Metrics.read().of("db_client_limiter_pending") == 0


def test_closed_clients_leave_no_gauges(node, connect):
    client = connect(node.config(**QUIET))
    assert Metrics.read().label_sets("db_client_connection_max", **of(node))
    client.close()
    del client
    other = aerospike_py.client(node.config(**QUIET)).connect()
    ids = {own["client_id"] for own in Metrics.read().label_sets("db_client_operations_in_flight")}
    other.close()
    del other
    eventually(lambda: len(Metrics.read().label_sets("db_client_operations_in_flight")) < len(ids) or not ids)
