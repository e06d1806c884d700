"""Servers, clients and what the tests of metrics compare."""

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from scraping import Metrics


@pytest.fixture(scope="package")
def shared_node():
    """An embedded server of one node, in a process of its own."""
    with EmbeddedServer(process=True) as server:
        yield server


@pytest.fixture
def metrics_server():
    """Serve metrics at a free port, and return the address as ``(host, port)``."""
    yield aerospike_py.start_metrics_server(port=0)
    aerospike_py.stop_metrics_server()


@pytest.fixture
def growth():
    """Return what metrics have grown by since the test began."""
    before = Metrics.read()
    return lambda: Metrics.read() - before
