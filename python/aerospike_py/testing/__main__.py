"""The command line of the embedded server: ``python -m aerospike_py.testing --nodes 3 --port 3000``."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple

from aerospike_py.testing.control import serve
from aerospike_py.testing.server import EmbeddedServer, Namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENDING = {signal.SIGINT, signal.SIGTERM}


class FaultOption(NamedTuple):
    """A ``--fault`` as it was typed."""

    fault: str
    node: int | None = None
    command: str = "any"


def fault_option(text: str) -> FaultOption:
    """Parse ``[node=N][,command=KIND]:FAULT``; without a colon after such entries, all of it is the fault."""
    head, colon, fault = text.partition(":")
    entries = [entry.strip().partition("=") for entry in head.split(",")]
    if not colon or any(name not in ("node", "command") for name, _, _ in entries):
        # A colon of the fault itself, as in delay=heavy:1ms,50ms.
        return FaultOption(text)
    target = {name: value for name, _, value in entries}
    if len(target) < len(entries):
        raise argparse.ArgumentTypeError(f"{head!r} says the same thing twice")
    if not all(target.values()) or not fault:
        raise argparse.ArgumentTypeError(f"{text!r} is not [node=N][,command=KIND]:FAULT")
    node = target.get("node")
    if node is not None and not node.isascii():
        raise argparse.ArgumentTypeError(f"{node!r} is not the position of a node")
    if node is not None and not node.isdigit():
        raise argparse.ArgumentTypeError(f"{node!r} is not the position of a node: use 0 for the first one")
    return FaultOption(fault, None if node is None else int(node), target.get("command", "any"))


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    described = argparse.ArgumentParser(
        prog="python -m aerospike_py.testing",
        description="Run an Aerospike server for tests: in memory, without persistence, with faults on demand. "
        "It is a test double, no database.",
        epilog="Example: --nodes 3 --fault 'node=1,command=read:delay=5ms' --fault 'command=write:error=9@0.1'",
    )
    add = described.add_argument
    add("--nodes", type=int, default=1, metavar="N", help="how many nodes (default: 1)")
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    add("--port", type=int, default=3000, help="port of the first node, others follow; 0: any free (default: 3000)")
    add("--namespace", action="append", metavar="NAME", help="a namespace; may be repeated (default: test)")
    add("--default-ttl", type=int, default=0, metavar="SECONDS", help="default time to live; 0: for ever (default)")
    add("--max-record-size", type=int, default=1024 * 1024, metavar="BYTES", help="largest record (default: 1 MiB)")
    add("--replication-factor", type=int, default=2, metavar="N", help="copies of each partition (default: 2)")
    add("--worker-threads", type=int, default=2, metavar="N", help="threads that serve connections (default: 2)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the faults' random decisions (default: 0)")
    add(
        "--fault",
        action="append",
        default=[],
        type=fault_option,
        metavar="[node=N][,command=KIND]:FAULT",
        help="a fault from the start, such as command=batch_read:delay=1ms..10ms; may be repeated",
    )
    add("--control", action="store_true", help=argparse.SUPPRESS)
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until the process is told to end."""
    described = parser()
    options = described.parse_args(arguments)
    if options.control:
        # An interrupt from the terminal reaches every process of the group; the one that controls decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        serve(sys.stdin.buffer, sys.stdout.buffer)
        return 0
    names = options.namespace or ["test"]
    # Blocked before the server starts its threads, so that the signals wait for sigwait below.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        with EmbeddedServer(
            options.nodes,
            options.port,
            host=options.host,
            namespaces=[Namespace(name, options.default_ttl, options.max_record_size) for name in names],
            replication_factor=options.replication_factor,
            worker_threads=options.worker_threads,
            seed=options.seed,
        ) as server:
            for option in options.fault:
                server.fault(option.fault, node=option.node, command=option.command)
            print(_greeting(server, names, options.fault), flush=True)
            signal.sigwait(_ENDING)
    except (OSError, OverflowError, ValueError) as error:
        described.error(str(error))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    return 0


def _greeting(server: EmbeddedServer, namespaces: Sequence[str], faults: Sequence[FaultOption]) -> str:
    nodes = [f"  {host}:{port}  {name}" for (host, port), name in zip(server.hosts, server.node_names(), strict=True)]
    return "\n".join(
        [
            "Aerospike test double: in memory, without persistence. Everything is gone when it stops.",
            f"Namespaces: {', '.join(namespaces)}. Nodes:",
            *nodes,
            *(f"Fault on {_target(fault)}: {fault.fault}" for fault in faults),
            f'Connect with {{"hosts": {server.hosts[:1]}}}. Stop with Ctrl-C.',
        ]
    )


def _target(fault: FaultOption) -> str:
    nodes = "every node" if fault.node is None else f"node {fault.node}"
    return nodes if fault.command == "any" else f"{nodes}, {fault.command}"


if __name__ == "__main__":
    sys.exit(main())
