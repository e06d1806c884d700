"""Configurations that cannot work, and ports where no Aerospike server answers."""

import socket
import threading

import aerospike_py
import pytest
from expectations import eventually, open_connections, raises_exactly

HOST = ("127.0.0.1", 1)

WRONG_TYPES = [
    (None, "config must be a dict"),
    ([("127.0.0.1", 3000)], "config must be a dict"),
    ({"hosts": 5}, "hosts must be a list"),
    ({"hosts": [5]}, "hosts must be a list"),
    ({"hosts": [(b"h", 3000)]}, "name of a host must be a str"),
    ({"hosts": [("h", "3000")]}, "port of host .* must be an int"),
    ({"hosts": [("h", True)]}, "port of host .* must be an int, not bool"),
    ({"hosts": [HOST], "timeout": "1s"}, r'config\["timeout"\] must be an int, not str'),
    ({"hosts": [HOST], "timeout": 1.5}, r'config\["timeout"\] must be an int, not float'),
    ({"hosts": [HOST], "max_conns_per_node": True}, r'config\["max_conns_per_node"\] must be an int, not bool'),
    ({"hosts": [HOST], "use_services_alternate": 1}, r'config\["use_services_alternate"\] must be a bool'),
    ({"hosts": [HOST], "cluster_name": 7}, r'config\["cluster_name"\] must be a str'),
    ({"hosts": [HOST], "user": 7, "password": "p"}, r'config\["user"\] must be a str'),
]

OUT_OF_RANGE = [
    ({}, "hosts"),
    ({"hosts": []}, "at least one node"),
    ({"hosts": None}, "hosts"),
    ({"hosts": [()]}, "hosts must be a list"),
    ({"hosts": [("h", 1, "tls", 4)]}, "hosts must be a list"),
    ({"hosts": [("", 3000)]}, "name of a host must not be empty"),
    ({"hosts": [("h", 0)]}, "from 1 to 65535, not 0"),
    ({"hosts": [("h", -1)]}, "from 1 to 65535, not -1"),
    ({"hosts": [("h", 65536)]}, "from 1 to 65535, not 65536"),
    ({"hosts": ["h:port"]}, "h:port"),
    ({"hosts": [HOST], "timeout": -1}, r'config\["timeout"\] must be from 0'),
    ({"hosts": [HOST], "max_conns_per_node": 1, "min_conns_per_node": 2}, "must not exceed max_conns_per_node"),
    ({"hosts": [HOST], "conn_pools_per_node": 0}, r'config\["conn_pools_per_node"\] must be from 1'),
    ({"hosts": [HOST], "tend_interval": 1}, r'config\["tend_interval"\] must be from'),
    ({"hosts": [HOST], "auth_mode": 3}, r'config\["auth_mode"\] must be from 0 to 2'),
    ({"hosts": [HOST], "max_concurrent_operations": -1}, r'config\["max_concurrent_operations"\] must be from 0'),
    ({"hosts": [HOST], "operation_queue_timeout_ms": -1}, r'config\["operation_queue_timeout_ms"\] must be from 0'),
    ({"hosts": [HOST], "password": "p"}, "no user to go with it"),
]


class Listener:
    """A port where something answers that is no Aerospike server."""

    def __init__(self, greeting, *, hang_up):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._greeting = greeting
        self._hang_up = hang_up
        self._accepted = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def address(self):
        return self._socket.getsockname()

    def stop(self):
        # Closing alone does not wake a thread that is in accept().
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in [self._socket, *self._accepted]:
            connection.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if self._greeting:
                connection.sendall(self._greeting)
            if self._hang_up:
                connection.close()
            else:
                self._accepted.append(connection)


@pytest.mark.parametrize(("config", "message"), WRONG_TYPES, ids=[str(case[0]) for case in WRONG_TYPES])
def test_entries_of_a_wrong_type_are_type_errors(connect, config, message):
    with raises_exactly(TypeError, match=message):
        connect(config)


@pytest.mark.parametrize(("config", "message"), OUT_OF_RANGE, ids=[str(case[0]) for case in OUT_OF_RANGE])
def test_entries_out_of_range_are_invalid_arguments(connect, config, message):
    with raises_exactly(aerospike_py.InvalidArgError, match=message) as caught:
        connect(config)
    assert isinstance(caught.value, ValueError)
    assert caught.value.result_code == -1


def test_a_port_where_nothing_listens(connect):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with raises_exactly(aerospike_py.ClusterError, match=rf"127\.0\.0\.1:{port}: .*refused") as caught:
        connect({"hosts": [("127.0.0.1", port)], "timeout": 2000})
    assert "check host and port" in str(caught.value)
    assert caught.value.result_code == -1


def test_a_host_that_has_no_address(connect):
    with raises_exactly(aerospike_py.ClusterError, match=r"no-such-host\.invalid:3000") as caught:
        connect({"hosts": [("no-such-host.invalid", 3000)], "timeout": 2000})
    assert "check its spelling" in str(caught.value)


def test_every_host_that_failed_is_named(connect):
    with raises_exactly(aerospike_py.ClusterError, match="cannot connect to the cluster") as caught:
        connect({"hosts": [("127.0.0.1", 1), ("127.0.0.1", 2)], "timeout": 2000})
    assert "127.0.0.1:1: " in str(caught.value)
    assert "127.0.0.1:2: " in str(caught.value)


@pytest.mark.parametrize(
    ("greeting", "hang_up", "advice"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 4, False, "Aerospike service port"),
        (b"220 mail ready\r\n", True, "Aerospike service port"),
        (bytes(64), False, "Aerospike"),
        (b"", False, "that it is an Aerospike port"),
        (b"", True, "Aerospike service port"),
    ],
    ids=["web", "mail", "zeros", "silent", "hangs-up"],
)
def test_a_port_that_is_not_aerospike(connect, greeting, hang_up, advice):
    listener = Listener(greeting, hang_up=hang_up)
    try:
        with raises_exactly(aerospike_py.ClusterError, match=f":{listener.address[1]}: ") as caught:
            connect({"hosts": [listener.address], "timeout": 500})
    finally:
        listener.stop()
    assert advice in str(caught.value)


@pytest.mark.embedded
def test_a_client_that_failed_to_connect_can_try_again(unconnected, one_node, key):
    one_node.node_down(0)
    api = unconnected(one_node.config(timeout=1000))
    with raises_exactly(aerospike_py.ClusterError, match="cannot connect to the cluster"):
        api.connect()
    assert not api.is_connected()
    one_node.node_up(0)
    api.connect()
    assert api.put(key, {"n": 1}) is None


@pytest.mark.embedded
def test_a_cluster_of_another_name_is_refused(one_node, connect):
    with raises_exactly(aerospike_py.ClusterError, match="check cluster_name in the configuration"):
        connect(one_node.config(cluster_name="another"))
    eventually(lambda: open_connections(one_node) == 0, "the end of all connections")


@pytest.mark.embedded
@pytest.mark.parametrize("fault", ["stall", "refuse", "reset", "reset-mid-reply"])
def test_a_server_that_fails_while_a_client_connects(one_node, unconnected, fault):
    api = unconnected(one_node.config(timeout=300))
    with (
        one_node.fault(fault),
        raises_exactly(aerospike_py.ClusterError, match=f":{one_node.hosts[0][1]}: ") as caught,
    ):
        api.connect()
    assert "check" in str(caught.value).lower()
    assert not api.is_connected()
    eventually(lambda: open_connections(one_node) == 0, "the end of all connections")
    api.connect()
    assert api.ping()


def test_hosts_may_be_text_or_lists(connect, server_config):
    host, port = server_config["hosts"][0]
    for hosts in ([f"{host}:{port}"], [[host, port]], ((host, port),)):
        assert connect({"hosts": hosts}).ping()


def test_entries_that_nobody_knows_are_ignored(connect, server_config):
    assert connect({**server_config, "shm_key": 5, "timeout": None}).ping()
