"""Where the server is, the records in it, and the processor time that it takes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aerospike_py
from aerospike_py.testing import EmbeddedServer

from benchmark.harness.data import Key, Space

Hosts = list[tuple[str, int]]
LOAD_BATCH = 500


@dataclass(frozen=True)
class Server:
    """A running server."""

    hosts: Hosts
    pid: int | None
    """Its process, if it is ours."""

    def cpu_ns(self) -> int | None:
        """Processor time that its threads have taken so far, if it is ours."""
        if self.pid is None:
            return None
        total = 0
        for schedule in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            # Threads end; what they took is then missing, so a difference may be too small, never too large.
            with contextlib.suppress(OSError):
                total += int(schedule.read_text().split()[0])
        return total


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """The one that is named by `AEROSPIKE_HOST`, or an embedded node in its own process."""
    host = os.environ.get("AEROSPIKE_HOST")
    if host:
        yield Server([(host, int(os.environ.get("AEROSPIKE_PORT", "3000")))], None)
        return
    with EmbeddedServer(nodes=1, process=True) as embedded:
        yield Server(embedded.hosts, embedded.pid)


def load(hosts: Hosts, space: Space) -> None:
    """Write the records that everybody reads.

    Raises:
        RuntimeError: Some were not written.
    """
    with aerospike_py.client({"hosts": hosts}).connect() as client:
        for set_index in range(space.sets):
            for first in range(0, space.records, LOAD_BATCH):
                numbers = range(first, min(first + LOAD_BATCH, space.records))
                rows = [(space.key(set_index, number), space.bins(set_index, number)) for number in numbers]
                failed = [row for row in client.batch_write(rows).batch_records if row.result != 0]
                if failed:
                    raise RuntimeError(f"{len(failed)} of {len(rows)} records were not written: {failed[0]}")


def spoil(hosts: Hosts, keys: list[Key]) -> None:
    """Give records bins of another value, so that only a client that writes them makes them right again."""
    with aerospike_py.client({"hosts": hosts}).connect() as client:
        for key in keys:
            found = client.get(key)[2] or {}
            client.put(key, dict.fromkeys(found, "not yet written"))


def stored(hosts: Hosts, keys: list[Key]) -> list[dict[str, object] | None]:
    """The bins of records, in the order of the keys."""
    with aerospike_py.client({"hosts": hosts}).connect() as client:
        return [dict(bins) if bins is not None else None for bins in client.batch_read(keys).to_list()]
