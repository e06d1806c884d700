"""Fixtures of the tests of the Python face."""

from aerospike_py.testing.fixtures import embedded_server, server_config

__all__ = ["embedded_server", "server_config"]
