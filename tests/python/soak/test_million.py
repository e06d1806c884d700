"""Mixed operations from 16 threads and 64 tasks at once on a cluster in trouble, every value that is read checked.

``make test`` runs some tens of thousands, ``make soak`` a million; ``SOAK_OPERATIONS`` sets another number for both.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from chaos import Chaos
from mixed import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aerospike_py import AsyncClient

NODES = 3
MAX_CONNECTIONS = 32
SEED = 20

# Generous: 64 tasks with batches in flight and an allocator that keeps some of what it had.
MAX_GROWTH_BYTES = 64_000_000
WARM_UP = 0.3
# Two clients with a pool and a connection for tending on each node, and as many whose end the server has yet to see.
MOST_CONNECTIONS = 2 * 2 * NODES * (MAX_CONNECTIONS + 1)
MAX_FAILED_SHARE = 0.1


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


class Watch:
    """A thread that samples memory and the server's connections while the work goes on."""

    def __init__(self, cluster: EmbeddedServer, workload: Workload, operations: int) -> None:
        self._cluster = cluster
        self._workload = workload
        self._warm = int(operations * WARM_UP)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self.most_connections = 0
        self.warm_memory = 0
        self.last_memory = 0

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ending.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        while not self._ending.wait(0.25):
            self.most_connections = max(self.most_connections, connections(self._cluster))
            self.last_memory = resident()
            if not self.warm_memory and sum(self._workload.completed) >= self._warm:
                self.warm_memory = self.last_memory


def connections(cluster: EmbeddedServer) -> int:
    return sum(cluster.stats(node).connections_open for node in range(NODES))


@pytest.fixture
def cluster() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(nodes=NODES, process=True) as cluster:
        yield cluster


def soak(cluster: EmbeddedServer, operations: int) -> None:
    config = cluster.config(max_conns_per_node=MAX_CONNECTIONS)
    workload = Workload(operations, SEED)
    chaos = Chaos(cluster, NODES, SEED)
    watch = Watch(cluster, workload, operations)
    loop = asyncio.new_event_loop()

    async def connect() -> AsyncClient:
        return await aerospike_py.async_client(config).connect()

    client = aerospike_py.client(config).connect()
    async_client = loop.run_until_complete(connect())
    before_threads = threads()
    began = time.monotonic()
    try:
        chaos.start()
        watch.start()
        workload.run(client, async_client, loop)
    finally:
        workload.stopping.set()
        took = time.monotonic() - began
        watch.end()
        chaos.end()
    gc.collect()
    after_memory = resident()
    # The driver looks for nodes once a second; those that were away must be known again before nothing may fail.
    assert eventually(lambda: len(client.get_node_names()) == NODES)
    workload.check_everything(client)

    tallies = [writer.tally for writer in workload.writers]
    issued, completed = sum(workload.issued), sum(workload.completed)
    failed = sum(tally.failed for tally in tallies)
    verified = sum(tally.verified for tally in tallies)
    in_doubt = sum(tally.in_doubt for tally in tallies)
    abandoned = sum(tally.abandoned for tally in tallies)
    failures: dict[str, int] = {}
    for tally in tallies:
        for name, count in tally.failures.items():
            failures[name] = failures.get(name, 0) + count
    faults = sum(cluster.stats(node).faults_fired for node in range(NODES))
    memory = [watch.warm_memory, watch.last_memory, after_memory]
    print(
        f"{completed} of {issued} operations ended in {took:.1f} s ({completed / took:.0f}/s): "
        f"{verified} values verified, {failed} failed {failures}, {abandoned} cancelled, {in_doubt} writes in doubt; "
        f"{faults} faults, {chaos.outages} outages, {chaos.moves} moves; "
        f"MB warm, last, after: {[size // 1_000_000 for size in memory]}; at most {watch.most_connections} connections"
    )
    assert issued == completed
    assert issued >= operations * 0.99
    assert verified > issued * 0.4
    assert faults > 0
    assert 0 < failed < issued * MAX_FAILED_SHARE
    assert abandoned > 0
    assert in_doubt > 0
    assert memory[0] > 0
    assert max(memory) - memory[0] < MAX_GROWTH_BYTES
    assert watch.most_connections <= MOST_CONNECTIONS
    assert threads() <= before_threads + 4

    async def close() -> None:
        await async_client.close()

    client.close()
    loop.run_until_complete(close())
    loop.close()
    assert eventually(lambda: connections(cluster) == 0)


def eventually(condition: object, seconds: float = 20) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


@pytest.mark.timeout(300)
def test_tens_of_thousands(cluster: EmbeddedServer) -> None:
    soak(cluster, int(os.environ.get("SOAK_OPERATIONS", "60000")))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_million(cluster: EmbeddedServer) -> None:
    soak(cluster, int(os.environ.get("SOAK_OPERATIONS", "1000000")))
