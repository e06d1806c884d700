"""Servers, drivers and a clean slate for the tests of stages.

The servers run in a process of their own: their threads must not take this interpreter's GIL nor hide in its
scheduling. They are shared; whatever faults a test has left are ended before the next one.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from driving import LANES, drive
from workload import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driving import Driver


@pytest.fixture(scope="package")
def one_node() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(process=True) as server:
        fill(server)
        yield server


@pytest.fixture(scope="package")
def three_nodes() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(nodes=3, process=True) as server:
        fill(server)
        yield server


@pytest.fixture(scope="package")
def servers(one_node: EmbeddedServer, three_nodes: EmbeddedServer) -> dict[int, EmbeddedServer]:
    """Return the servers by their number of nodes."""
    return {1: one_node, 3: three_nodes}


@pytest.fixture(scope="package")
def drivers(servers: dict[int, EmbeddedServer]) -> Iterator[dict[tuple[str, int], Driver]]:
    """Yield connected drivers by lane and number of nodes."""
    connected = {(lane, nodes): drive(lane, server) for lane in LANES for nodes, server in servers.items()}
    yield connected
    for driver in connected.values():
        driver.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Driver]]:
    """Yield ``drive``; what it connects is closed after the test."""
    connected = []

    def connecting(lane: str, server: EmbeddedServer, **overrides: object) -> Driver:
        connected.append(drive(lane, server, **overrides))
        return connected[-1]

    yield connecting
    for driver in connected:
        driver.close()


@pytest.fixture(autouse=True)
def _clean_slate(servers: dict[int, EmbeddedServer]) -> Iterator[None]:
    """Record stages from zero, without faults; switch off and clear up afterwards."""
    # Results that nobody looked at are recorded when they are collected.
    gc.collect()
    aerospike_py.stage_snapshot(reset=True)
    with aerospike_py.internal_stage_profiling():
        yield
    for server in servers.values():
        server.clear_faults()
