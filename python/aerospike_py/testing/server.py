"""The embedded server as tests use it, whether it runs in this process or in one of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from aerospike_py import _aerospike
from aerospike_py.testing.control import ServerProcess

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, Unpack

    from aerospike_py.types import ClientConfig

__all__ = ["EmbeddedServer", "Fault", "Namespace", "NodeStatistics"]


class Namespace(NamedTuple):
    """A namespace of the embedded server."""

    name: str
    default_ttl: int = 0
    """Seconds to live of records that ask for the namespace's default; 0 keeps them."""
    max_record_size: int = 1024 * 1024
    """Largest record that is accepted, in bytes."""


@dataclass(frozen=True)
class NodeStatistics:
    """What one node has seen since it was started."""

    connections_open: int
    connections_accepted: int
    connections_closed: int
    bytes_in: int
    bytes_out: int
    faults_fired: int
    """Faults that took effect; one request may meet several."""
    malformed_frames: int
    """Requests that made no sense; each closed its connection."""
    commands: Mapping[str, int]
    """Requests by kind: ``read``, ``write``, ``batch-read`` and so on. Kinds that never came are absent."""


class Backend(Protocol):
    """What :class:`EmbeddedServer` drives: the native server, or a process that has one."""

    def addresses(self) -> list[tuple[str, int]]: ...
    def node_names(self) -> list[str]: ...
    def set_fault(self, fault: str, node: int | None, command: str) -> int: ...
    def clear_fault(self, id: int) -> None: ...  # noqa: A002 - the native name
    def clear_faults(self) -> None: ...
    def node_down(self, node: int) -> None: ...
    def node_up(self, node: int) -> None: ...
    def move_partitions(self) -> None: ...
    def stats(self, node: int) -> dict[str, int | dict[str, int]]: ...
    def record_count(self, namespace: str, set_name: str | None) -> int: ...
    def truncate(self, namespace: str, set_name: str | None) -> None: ...
    def stop(self) -> None: ...


class Fault:
    """A fault that is in effect; it ends with the ``with`` block, or when :meth:`clear` is called."""

    def __init__(self, backend: Backend, number: int) -> None:
        self._backend = backend
        self._number: int | None = number

    def clear(self) -> None:
        """End the fault. Ending it twice does nothing."""
        number, self._number = self._number, None
        if number is not None:
            self._backend.clear_fault(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.clear()


class EmbeddedServer:
    """A cluster of test doubles, listening from the moment it is made until :meth:`stop`.

    Args:
        nodes: How many nodes, at least 1.
        port: Port of the first node, the others follow; 0 picks free ports.
        host: Address that all nodes listen on.
        namespaces: Names, or :class:`Namespace` tuples; ``test`` unless told otherwise.
        replication_factor: Copies of each partition in the map; never more than there are nodes.
        worker_threads: Threads that serve connections.
        seed: Seed of the random decisions of faults.
        process: Run in a process of its own, so that the server takes no CPU time and no GIL of this one.

    Raises:
        ValueError: An argument is out of range.
        OSError: A node cannot listen on its port.

    Example:
        ```python
        from aerospike_py.testing import EmbeddedServer

        with EmbeddedServer(nodes=3) as server, aerospike_py.client(server.config()).connect() as connected:
            with server.fault("delay=5ms", command="read"):
                assert connected.exists(("test", "demo", "k")).meta is None
            assert server.record_count("test") == 0
        ```
    """

    def __init__(
        self,
        nodes: int = 1,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        namespaces: Sequence[str | tuple[str, int, int]] | None = None,
        replication_factor: int = 2,
        worker_threads: int = 2,
        seed: int = 0,
        process: bool = False,
    ) -> None:
        wanted = ("test",) if namespaces is None else namespaces
        start = ServerProcess if process else _aerospike.EmbeddedServer
        self._backend: Backend = start(
            nodes=nodes,
            port=port,
            host=host,
            namespaces=[Namespace(entry) if isinstance(entry, str) else Namespace(*entry) for entry in wanted],
            replication_factor=replication_factor,
            worker_threads=worker_threads,
            seed=seed,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close all connections and stop listening. Stopping twice does nothing."""
        self._backend.stop()

    @property
    def pid(self) -> int:
        """The process that the server runs in."""
        return self._backend.pid if isinstance(self._backend, ServerProcess) else os.getpid()

    @property
    def hosts(self) -> list[tuple[str, int]]:
        """Where the nodes listen, in order: the ``hosts`` of a client's configuration."""
        return self._backend.addresses()

    def config(self, **overrides: Unpack[ClientConfig]) -> ClientConfig:
        """Return a client configuration with this server's hosts and the given entries."""
        config: ClientConfig = {"hosts": self.hosts}
        config.update(overrides)
        return config

    def node_names(self) -> list[str]:
        """Return the names that the nodes report, in the order of :attr:`hosts`."""
        return self._backend.node_names()

    def fault(self, fault: str, *, node: int | None = None, command: str = "any") -> Fault:
        """Make requests meet a fault from now on.

        Args:
            fault: What happens, optionally followed by ``@probability`` and ``xtimes``:

                - ``delay=5ms``, ``delay=1ms..10ms`` (uniform), ``delay=heavy:1ms,50ms`` (log-normal with this median
                  and 99th percentile): reply late;
                - ``dribble=16,1ms``: send the reply 16 bytes at a time, with a pause after each;
                - ``stall``: do not reply until the fault ends;
                - ``reset``, ``reset-mid-reply``: reset the connection instead of replying, or half-way through;
                - ``refuse``: close the connection without running the command; with the command ``any``, close new
                  connections too;
                - ``error=9``: do not run the command and reply with this result code.

                ``delay=5ms@0.5x3`` delays a request with probability one half, and three requests in all.
            node: Position of the node in :attr:`hosts`; ``None`` is every node.
            command: Kind of requests: ``any``, ``info``, ``read``, ``exists``, ``write``, ``operate``, ``delete``,
                ``touch``, ``batch_read``, ``batch_write``, ``scan``, ``udf`` or ``admin``.

        Raises:
            ValueError: The fault, the node or the command is unknown.
        """
        return Fault(self._backend, self._backend.set_fault(fault, node, command))

    def clear_faults(self) -> None:
        """End all faults."""
        self._backend.clear_faults()

    def node_down(self, node: int) -> None:
        """Make a node refuse connections and drop those it has."""
        self._backend.node_down(node)

    def node_up(self, node: int) -> None:
        """Bring a node back, with its records."""
        self._backend.node_up(node)

    def move_partitions(self) -> None:
        """Give every partition to another node; clients learn of it when they next look."""
        self._backend.move_partitions()

    def stats(self, node: int = 0) -> NodeStatistics:
        """Return what a node has seen since it was started."""
        return NodeStatistics(**cast("dict[str, Any]", self._backend.stats(node)))

    def record_count(self, namespace: str, set_name: str | None = None) -> int:
        """Return how many records a set has; all sets of the namespace when none is named."""
        return self._backend.record_count(namespace, set_name)

    def truncate(self, namespace: str, set_name: str | None = None) -> None:
        """Delete the records of a set; of all sets of the namespace when none is named."""
        self._backend.truncate(namespace, set_name)
