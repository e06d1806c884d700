"""Fixtures that all Python tests share: servers to run against, and clients of both lanes.

Tests run against embedded servers unless ``AEROSPIKE_HOST`` (and ``AEROSPIKE_PORT``) name a real cluster with a
namespace ``test``. Tests marked ``embedded`` need faults, several nodes or the server's statistics: they always make
servers of their own.
"""

import os
import signal
import uuid

import pytest
from aerospike_py.testing import EmbeddedServer
from aerospike_py.testing.fixtures import embedded_cluster, embedded_server, server_config

from lanes import LANES, LoopThread, make_api, open_api

__all__ = ["embedded_cluster", "embedded_server", "server_config"]


def pytest_configure(config):
    # A shell has what it runs in the background ignore this signal, and so would every program that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "embedded: runs on embedded servers even if AEROSPIKE_HOST names a cluster")


# Modules that hold times against each other. Another program on the machine can spoil a measurement, so they take up
# to three; what is wrong with the client is wrong in all of them.
BY_THE_CLOCK = {
    "test_ground_truth_network.py",
    "test_ground_truth_python.py",
    "test_probes.py",
    "test_scenarios.py",
    "test_split.py",
}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in BY_THE_CLOCK:
            item.add_marker(pytest.mark.flaky(reruns=2))
    # A process tells so many sets and nodes apart and no more: the tests that look for theirs come before those that
    # fill them up. First come those that read all of the metrics' text again and again, while it is short.
    readers = {"test_metrics.py", "test_metrics_export.py", "test_top.py", "test_formats.py", "test_prometheus.py"}

    def place(item):
        return item.path.name not in readers, {"export", "trace"}.isdisjoint(item.path.parts)

    items.sort(key=place)


@pytest.fixture(scope="session")
def loop_thread():
    """An event loop in a thread of its own, for the whole session."""
    thread = LoopThread()
    yield thread
    thread.stop()


@pytest.fixture(scope="session", params=LANES)
def lane(request):
    """Each lane in turn."""
    return request.param


@pytest.fixture(scope="session", params=[1, 3], ids=["one-node", "three-nodes"])
def any_config(request):
    """The configuration of clusters of one and of three nodes in turn, or of the one that the environment names."""
    host = os.environ.get("AEROSPIKE_HOST")
    if host:
        if request.param > 1:
            pytest.skip("the cluster that AEROSPIKE_HOST names has the size it has")
        yield {"hosts": [(host, int(os.environ.get("AEROSPIKE_PORT", "3000")))]}
        return
    with EmbeddedServer(nodes=request.param) as server:
        yield server.config()


@pytest.fixture(scope="session")
def api(lane, any_config, loop_thread):
    """A connected client of each lane on clusters of each size; tests share it and must not close it."""
    shared = open_api(lane, any_config, loop_thread)
    yield shared
    shared.end()


@pytest.fixture
def connect(lane, loop_thread):
    """Return a function that connects a client of each lane; what it connects is closed after the test."""
    opened = []

    def open_one(config):
        opened.append(open_api(lane, config, loop_thread))
        return opened[-1]

    yield open_one
    for one in opened:
        one.end()


@pytest.fixture
def unconnected(lane, loop_thread):
    """Return a function that makes a client of each lane without connecting it."""
    made = []

    def make_one(config):
        made.append(make_api(lane, config, loop_thread))
        return made[-1]

    yield make_one
    for one in made:
        one.end()


@pytest.fixture
def one_node():
    """An embedded server of one node, fresh for the test."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def three_nodes():
    """An embedded server of three nodes, fresh for the test."""
    with EmbeddedServer(nodes=3) as server:
        yield server


@pytest.fixture
def fresh_set():
    """A set that no other test uses."""
    return f"t{uuid.uuid4().hex}"


@pytest.fixture
def key(fresh_set):
    """A key that no other test uses."""
    return ("test", fresh_set, "k")


@pytest.fixture
def keys(fresh_set):
    """Twelve keys that no other test uses."""
    return [("test", fresh_set, number) for number in range(12)]


@pytest.fixture
def many(fresh_set):
    """Keys that no other test uses, enough for each of three nodes to have a good part of them."""
    return [("test", fresh_set, number) for number in range(90)]
