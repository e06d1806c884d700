"""Fixtures for pytest: ``pytest_plugins = ["aerospike_py.testing.fixtures"]`` in a ``conftest.py`` makes them known.

``server_config`` is what most tests want: the configuration of a server to connect to, which is an embedded one unless
``AEROSPIKE_HOST`` (and ``AEROSPIKE_PORT``, 3000 by default) name a real cluster.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aerospike_py.testing.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aerospike_py.types import ClientConfig

__all__ = ["embedded_cluster", "embedded_server", "server_config"]


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[EmbeddedServer]:
    """One node with the namespace ``test``, for the whole session: end the faults that a test sets."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def embedded_cluster() -> Iterator[EmbeddedServer]:
    """Three nodes with the namespace ``test``, fresh for each test."""
    with EmbeddedServer(nodes=3) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def server_config(request: pytest.FixtureRequest) -> ClientConfig:
    """Return the configuration of the cluster that ``AEROSPIKE_HOST`` names, or of :func:`embedded_server`."""
    host = os.environ.get("AEROSPIKE_HOST")
    if host:
        return {"hosts": [(host, int(os.environ.get("AEROSPIKE_PORT", "3000")))]}
    server: EmbeddedServer = request.getfixturevalue("embedded_server")
    return server.config()
