"""Collectors, servers in a process of their own, and a clean slate for the tests of traces."""

import os
import sys

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from receivers import GrpcCollector, HttpCollector


@pytest.fixture(autouse=True)
def clean_slate(monkeypatch):
    """No variables from outside, nothing switched on before or after."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "AEROSPIKE_PY_TRACE")):
            monkeypatch.delenv(name)
    assert aerospike_py.tracing_stats() is None
    assert aerospike_py.metrics_export_stats() is None
    yield
    aerospike_py.shutdown_tracing()
    aerospike_py.shutdown_metrics_export()
    aerospike_py.set_internal_stage_metrics_enabled(False)


@pytest.fixture
def http_collector():
    collector = HttpCollector()
    yield collector
    collector.stop()


@pytest.fixture(params=["grpc", "http/protobuf"])
def collector(request):
    """A collector for each transport in turn."""
    if request.param == "grpc":
        if sys.version_info >= (3, 14):
            pytest.skip("grpcio has no wheel for this Python: gRPC is checked with Python 3.11 to 3.13")
        collector = GrpcCollector()
    else:
        collector = HttpCollector()
    yield collector
    collector.stop()


@pytest.fixture(scope="package")
def server():
    """Three nodes in a process of their own, so that they do not wait for this interpreter."""
    with EmbeddedServer(nodes=3, process=True) as server:
        yield server


@pytest.fixture
def faults(server):
    """The server, without the faults of other tests."""
    server.clear_faults()
    yield server
    server.clear_faults()


@pytest.fixture
def client(server):
    with aerospike_py.client(server.config()).connect() as client:
        yield client


@pytest.fixture
def one(lane, server, loop_thread, connect):
    """A client of each lane."""
    return connect(server.config())
