"""Fixtures of the life-cycle tests: a server, clients of both kinds, and scripts in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aerospike_py
import pytest
import pytest_asyncio
from aerospike_py.testing import EmbeddedServer
from scripted import ScriptRunner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from aerospike_py import AsyncClient, Client


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """One node, fresh for the test."""
    with EmbeddedServer() as fresh:
        yield fresh


@pytest.fixture
def apart() -> Iterator[EmbeddedServer]:
    """One node in a process of its own, so that its descriptors and threads are not taken for the client's."""
    with EmbeddedServer(process=True) as fresh:
        yield fresh


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[Client]:
    """A connected synchronous client."""
    with aerospike_py.client(server.config()).connect() as connected:
        yield connected


@pytest_asyncio.fixture
async def async_client(server: EmbeddedServer) -> AsyncIterator[AsyncClient]:
    """A connected asynchronous client."""
    connected = await aerospike_py.async_client(server.config()).connect()
    yield connected
    await connected.close()


@pytest.fixture
def script(server: EmbeddedServer, tmp_path: Path) -> Iterator[ScriptRunner]:
    """Run scripts that find the server's configuration in ``CONFIG``; none of them outlives the test."""
    runner = ScriptRunner(server, tmp_path)
    yield runner
    runner.end()
