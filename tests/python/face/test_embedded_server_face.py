"""The embedded server as tests see it, in this process and in one of its own."""

import gc
import os

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer, Namespace
from aerospike_py.testing.server import NodeStatistics

KEY = ("test", "demo", "k")


@pytest.fixture(params=[False, True], ids=["in-process", "own-process"])
def server(request):
    with EmbeddedServer(nodes=2, process=request.param) as running:
        yield running


@pytest.fixture
def client(server):
    with aerospike_py.client(server.config()).connect() as connected:
        yield connected


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_hosts_and_names_belong_together(server, client):
    assert len(server.hosts) == 2
    assert all(host == "127.0.0.1" and port > 0 for host, port in server.hosts)
    assert sorted(client.get_node_names()) == sorted(server.node_names())


def test_the_configuration_takes_overrides(server):
    assert server.config() == {"hosts": server.hosts}
    assert server.config(timeout=50, hosts=[("h", 1)]) == {"hosts": [("h", 1)], "timeout": 50}


def test_a_fault_ends_with_its_block(server, client):
    client.put(KEY, {"n": 1})
    with server.fault("error=22", command="read"), pytest.raises(aerospike_py.AerospikeError) as caught:
        client.get(KEY)
    assert caught.value.result_code == aerospike_py.AEROSPIKE_ERR_FAIL_FORBIDDEN
    assert client.get(KEY).bins == {"n": 1}


def test_a_fault_can_be_ended_by_hand_and_twice(server, client):
    client.put(KEY, {"n": 1})
    fault = server.fault("error=22", command="read")
    fault.clear()
    fault.clear()
    server.fault("error=22", command="read")
    server.clear_faults()
    assert client.get(KEY).bins == {"n": 1}


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [("delay", {}), ("stall", {"node": 9}), ("stall", {"command": "reed"}), ("stall@2", {})],
)
def test_a_fault_that_makes_no_sense_is_a_value_error(server, fault, arguments):
    with pytest.raises(ValueError, match=r"\w"):
        server.fault(fault, **arguments)


def test_statistics_count_requests_by_kind(server, client):
    client.put(KEY, {"n": 1})
    for _ in range(3):
        client.get(KEY)
    statistics = [server.stats(node) for node in range(2)]
    assert all(isinstance(node, NodeStatistics) for node in statistics)
    assert sum(node.commands.get("read", 0) for node in statistics) == 3
    assert sum(node.commands.get("write", 0) for node in statistics) == 1
    assert all(node.connections_open >= 1 and node.bytes_in > 0 for node in statistics)
    assert all(node.connections_accepted >= node.connections_closed for node in statistics)


def test_records_are_counted_and_truncated(server, client):
    for n in range(20):
        client.put(("test", "a", n), {"n": n})
    client.put(("test", "b", 1), {"n": 1})
    assert (server.record_count("test", "a"), server.record_count("test")) == (20, 21)
    server.truncate("test", "a")
    assert (server.record_count("test", "a"), server.record_count("test")) == (0, 1)


def test_a_node_that_is_down_refuses_and_comes_back(server):
    server.node_down(1)
    down = aerospike_py.client({"hosts": server.hosts[1:], "timeout": 1000})
    with pytest.raises(aerospike_py.ClusterError):
        down.connect()
    server.node_up(1)
    with aerospike_py.client({"hosts": server.hosts[1:]}).connect() as connected:
        assert connected.ping()


def test_records_are_reachable_after_partitions_moved(server, client):
    client.put(KEY, {"n": 1})
    server.move_partitions()
    assert client.get(KEY).bins == {"n": 1}


def test_namespaces_can_be_named_and_described():
    with (
        EmbeddedServer(namespaces=["cache", Namespace("small", max_record_size=2000)]) as server,
        aerospike_py.client(server.config()).connect() as client,
    ):
        client.put(("cache", "s", 1), {"n": 1})
        with pytest.raises(aerospike_py.RecordTooBig):
            client.put(("small", "s", 1), {"blob": bytes(4000)})


@pytest.mark.parametrize("process", [False, True])
@pytest.mark.parametrize("arguments", [{"nodes": 0}, {"namespaces": []}, {"worker_threads": 0}])
def test_arguments_out_of_range_are_value_errors(arguments, process):
    with pytest.raises(ValueError, match=r"\w"):
        EmbeddedServer(process=process, **arguments)


@pytest.mark.parametrize("process", [False, True])
def test_a_port_that_is_taken_is_an_os_error(process):
    with EmbeddedServer() as first, pytest.raises(OSError, match=r"\w"):
        EmbeddedServer(port=first.hosts[0][1], process=process)


def test_a_process_of_its_own_ends_when_it_is_stopped():
    server = EmbeddedServer(process=True)
    pid = server.pid
    assert pid != os.getpid()
    assert is_alive(pid)
    server.stop()
    server.stop()
    assert not is_alive(pid)
    with pytest.raises(ValueError, match="stopped"):
        server.node_names()


def test_a_server_in_this_process_has_its_number():
    with EmbeddedServer() as server:
        assert server.pid == os.getpid()


def test_a_process_of_its_own_ends_when_nobody_holds_it():
    server = EmbeddedServer(process=True)
    pid = server.pid
    del server
    gc.collect()
    assert not is_alive(pid)


def test_a_process_that_dies_is_reported():
    with EmbeddedServer(process=True) as server:
        os.kill(server.pid, 9)
        with pytest.raises(RuntimeError, match="ended"):
            server.node_names()
