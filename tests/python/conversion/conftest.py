"""Fixtures of the tests of conversion: one client, because both clients convert with the same code."""

import aerospike_py
import pytest


@pytest.fixture(scope="session")
def client(server_config):
    """A connected client, for the whole session."""
    with aerospike_py.client(server_config).connect() as connected:
        yield connected
