"""An embedded server in a process of its own, controlled over its standard input and output.

Both ends are here. One line of JSON is a request, ``{"call": name, "arguments": {...}}``; one line is its reply,
``{"result": ...}`` or ``{"error": name of the exception, "message": ...}``. The first request is ``start``. The process
ends when its standard input does, so it never outlives the one that started it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import IO, Any

from aerospike_py import _aerospike

_REPLY_SECONDS = 60
_EXIT_SECONDS = 10
_EXCEPTIONS = {known.__name__: known for known in (IndexError, KeyError, OSError, OverflowError, TypeError, ValueError)}
_CALLS = frozenset(
    {
        "addresses",
        "clear_fault",
        "clear_faults",
        "move_partitions",
        "node_down",
        "node_names",
        "node_up",
        "record_count",
        "set_fault",
        "stats",
        "truncate",
    }
)


class ServerProcess:
    """The end that asks. Its methods are those of the native server."""

    def __init__(self, **arguments: Any) -> None:
        package_parent = str(Path(__file__).parents[2])
        search_path = os.environ.get("PYTHONPATH")
        environment = dict(os.environ)
        environment["PYTHONPATH"] = f"{search_path}{os.pathsep}{package_parent}" if search_path else package_parent
        # Recording belongs to the process under test; the server's has no client.
        environment.pop("AEROSPIKE_PY_INTERNAL_METRICS", None)
        environment.pop("AEROSPIKE_PY_METRICS_PORT", None)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aerospike_py.testing", "--control"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.pid = self._process.pid
        self._owner = os.getpid()
        self._finalizer = weakref.finalize(self, _end, self._process, self._owner)
        try:
            self._call("start", **arguments)
        except BaseException:
            self.stop()
            raise

    def addresses(self) -> list[tuple[str, int]]:
        """Return where the nodes listen."""
        return [(host, port) for host, port in self._call("addresses")]

    def node_names(self) -> list[str]:
        """Return the names of the nodes."""
        names: list[str] = self._call("node_names")
        return names

    def set_fault(self, fault: str, node: int | None, command: str) -> int:
        """Inject a fault, and return its number."""
        number: int = self._call("set_fault", fault=fault, node=node, command=command)
        return number

    def clear_fault(self, id: int) -> None:  # noqa: A002 - the native name
        """End a fault."""
        self._call("clear_fault", id=id)

    def clear_faults(self) -> None:
        """End all faults."""
        self._call("clear_faults")

    def node_down(self, node: int) -> None:
        """Take a node down."""
        self._call("node_down", node=node)

    def node_up(self, node: int) -> None:
        """Bring a node back."""
        self._call("node_up", node=node)

    def move_partitions(self) -> None:
        """Give every partition to another node."""
        self._call("move_partitions")

    def stats(self, node: int) -> dict[str, int | dict[str, int]]:
        """Return a node's counters."""
        counters: dict[str, int | dict[str, int]] = self._call("stats", node=node)
        return counters

    def record_count(self, namespace: str, set_name: str | None) -> int:
        """Return how many records there are."""
        count: int = self._call("record_count", namespace=namespace, set_name=set_name)
        return count

    def truncate(self, namespace: str, set_name: str | None) -> None:
        """Delete records."""
        self._call("truncate", namespace=namespace, set_name=set_name)

    def stop(self) -> None:
        """End the process. Stopping twice does nothing, nor does stopping in the child of a fork."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._finalizer()

    def _call(self, name: str, **arguments: Any) -> Any:
        if os.getpid() != self._owner:
            # The pipes and the lock are the parent's: two processes would take each other's replies.
            raise RuntimeError(
                "this embedded server was started before the process forked and is controlled by the parent: "
                "start another one here"
            )
        request = json.dumps({"call": name, "arguments": arguments}).encode() + b"\n"
        with self._lock:
            if not self._finalizer.alive:
                raise ValueError("the embedded server was stopped")
            reply = json.loads(_exchange(self._process, request))
        if "error" in reply:
            raise _EXCEPTIONS.get(reply["error"], RuntimeError)(reply["message"])
        return reply["result"]


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Be the end that answers, until the requests end."""
    server: _aerospike.EmbeddedServer | None = None
    try:
        for line in requests:
            try:
                request = json.loads(line)
                name, arguments = request["call"], request["arguments"]
                if server is None and name == "start":
                    arguments["namespaces"] = [tuple(entry) for entry in arguments["namespaces"]]
                    server = _aerospike.EmbeddedServer(**arguments)
                    reply: dict[str, Any] = {"result": None}
                elif server is not None and name in _CALLS:
                    reply = {"result": getattr(server, name)(**arguments)}
                else:
                    raise ValueError(f"{name!r} cannot be called now")
            except Exception as error:
                reply = {"error": _name_of(error), "message": str(error)}
            replies.write(json.dumps(reply).encode() + b"\n")
            replies.flush()
    finally:
        if server is not None:
            server.stop()


def _name_of(error: Exception) -> str:
    # ConnectionError and its like travel as the OSError that they are.
    return next((base.__name__ for base in type(error).__mro__ if base.__name__ in _EXCEPTIONS), type(error).__name__)


def _exchange(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Send one line and wait for the one that answers it."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the embedded server's process was started without pipes")
    line = b""
    try:
        process.stdin.write(request)
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _REPLY_SECONDS)
        if not ready:
            raise RuntimeError(f"the embedded server's process did not answer within {_REPLY_SECONDS} seconds")
        line = process.stdout.readline()
    except BrokenPipeError:
        pass
    if not line.endswith(b"\n"):
        raise RuntimeError("the embedded server's process ended; its standard error says why")
    return line


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """End the process by ending its input; by force if that is not enough."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                # A request was left unsent because the process had ended already.
                continue
    if os.getpid() != owner:
        # Not this process's child: asking is enough to find out that there is nothing to wait for.
        process.poll()
        return
    # Its input does not end as long as a child of a fork has it, too.
    process.terminate()
    try:
        process.wait(timeout=_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=_EXIT_SECONDS)
