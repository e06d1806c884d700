"""The limit of operations in flight: who waits, who is refused, and that every slot comes back."""

import time

import aerospike_py as asp
import pytest
from expectations import eventually, raises_exactly

pytestmark = pytest.mark.embedded

PATIENT = {"total_timeout": 20_000, "socket_timeout": 20_000}


def in_flight(server, client, key, count):
    """Start reads that stay in flight until the fault ends."""
    reads = [client.start("get", key, PATIENT) for _ in range(count)]
    eventually(lambda: server.stats().faults_fired >= count, "the reads that hold the slots")
    return reads


def test_a_call_without_a_slot_is_refused_after_a_while(one_node, connect, key):
    client = connect(one_node.config(max_concurrent_operations=2, operation_queue_timeout_ms=150))
    client.put(key, {"n": 1})
    with one_node.fault("stall", command="read"):
        reads = in_flight(one_node, client, key, 2)
        started = time.monotonic()
        with raises_exactly(asp.BackpressureError, match=r"no slot became free within \d+ ms: 2 operations") as caught:
            client.get(key)
        assert 0.14 <= time.monotonic() - started <= 5.0
        assert "max_concurrent_operations" in str(caught.value)
        assert "operation_queue_timeout_ms" in str(caught.value)
        assert isinstance(caught.value, asp.ClientError)
        assert caught.value.result_code == -1
        with raises_exactly(asp.BackpressureError, match="no slot"):
            client.batch_read([key])
        with raises_exactly(asp.BackpressureError, match="no slot"):
            client.put(key, {"n": 2})
    assert [read.result(30).bins for read in reads] == [{"n": 1}] * 2
    assert client.get(key).bins == {"n": 1}


def test_a_call_waits_for_a_slot(one_node, connect, key):
    client = connect(one_node.config(max_concurrent_operations=1, operation_queue_timeout_ms=20_000))
    client.put(key, {"n": 1})
    with one_node.fault("stall", command="read"):
        reads = in_flight(one_node, client, key, 1)
        waiting = client.start("put", key, {"n": 2})
        time.sleep(0.1)
        assert not waiting.done()
        assert one_node.stats().commands["write"] == 1
    assert reads[0].result(30).bins == {"n": 1}
    assert waiting.result(30) is None
    assert client.get(key).bins == {"n": 2}


def test_without_a_queue_timeout_calls_wait_for_as_long_as_it_takes(one_node, connect, key):
    client = connect(one_node.config(max_concurrent_operations=1))
    client.put(key, {"n": 1})
    with one_node.fault("delay=50ms", command="read"):
        reads = [client.start("get", key, PATIENT) for _ in range(8)]
        assert [read.result(30).bins for read in reads] == [{"n": 1}] * 8


def test_slots_come_back_after_failures(one_node, connect, key):
    client = connect(one_node.config(max_concurrent_operations=1, operation_queue_timeout_ms=2000))
    client.put(key, {"n": 1})
    for _ in range(5):
        with pytest.raises(asp.RecordNotFound):
            client.get(("test", key[1], "nobody"))
        with one_node.fault("stall", command="read"), pytest.raises(asp.AerospikeTimeoutError):
            client.get(key, {"total_timeout": 30})
        with one_node.fault("reset", command="read"), pytest.raises(asp.ClusterError):
            client.get(key)
        with pytest.raises(TypeError):
            client.get("no key")
    assert client.get(key).bins == {"n": 1}


def test_no_more_than_the_limit_are_sent_at_once(one_node, connect, key):
    client = connect(one_node.config(max_concurrent_operations=3, operation_queue_timeout_ms=20_000))
    client.put(key, {"n": 1})
    with one_node.fault("stall", command="read"):
        reads = [client.start("get", key, PATIENT) for _ in range(10)]
        eventually(lambda: one_node.stats().faults_fired == 3, "the reads that hold the slots")
        time.sleep(0.1)
        assert one_node.stats().commands["read"] == 3
    assert [read.result(30).bins for read in reads] == [{"n": 1}] * 10
    assert one_node.stats().commands["read"] == 10


def test_more_calls_than_connections_wait_for_one(one_node, connect, key):
    client = connect(one_node.config(max_conns_per_node=2))
    client.put(key, {"n": 1})
    with one_node.fault("delay=20ms", command="read"):
        reads = [client.start("get", key, PATIENT) for _ in range(10)]
        assert [read.result(30).bins for read in reads] == [{"n": 1}] * 10
    # Looking at the cluster has a connection of its own.
    assert one_node.stats().connections_open <= 3


def test_a_call_that_never_gets_a_connection_says_so(one_node, connect, key):
    client = connect(one_node.config(max_conns_per_node=1))
    client.put(key, {"n": 1})
    with one_node.fault("stall", command="read"):
        reads = in_flight(one_node, client, key, 1)
        with raises_exactly(asp.AerospikeTimeoutError, match="max_conns_per_node"):
            client.get(key, {"total_timeout": 200})
    assert reads[0].result(30).bins == {"n": 1}
