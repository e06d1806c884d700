"""An Aerospike server for tests: in memory, any number of nodes in one process, faults on demand.

It is a test double. It speaks the wire protocol, answers with the real server's result codes and keeps nothing once it
is stopped. The server itself is native; here are its Python face (:class:`EmbeddedServer`), a command line
(``python -m aerospike_py.testing``) and pytest fixtures (:mod:`aerospike_py.testing.fixtures`).
"""

from aerospike_py.testing.server import EmbeddedServer, Fault, Namespace, NodeStatistics

__all__ = ["EmbeddedServer", "Fault", "Namespace", "NodeStatistics"]
