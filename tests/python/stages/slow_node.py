"""A program for one test: what batches over three nodes, one of them slow, record by node; as JSON on its output."""

from __future__ import annotations

import json
import sys

import aerospike_py
from aerospike_py.testing import EmbeddedServer
from driving import drive
from measuring import MS, TIMES, measure
from partition import ORDER
from workload import KEYS, fill

SLOW = 1


def main(lane: str) -> None:
    """Measure batches without and with a slow node, and print the comparison."""
    aerospike_py.set_internal_stage_metrics_enabled(True)
    with EmbeddedServer(nodes=3, process=True) as server:
        fill(server)
        driver = drive(lane, server)
        clean = measure(lambda: driver.call("batch_read", KEYS), "batch_read", lane)
        with (
            server.fault("delay=60ms", node=SLOW, command="batch_read"),
            server.fault("delay=25ms", node=2, command="batch_read"),
        ):
            faulty = measure(lambda: driver.call("batch_read", KEYS), "batch_read", lane)
        driver.close()
        nodes = [f"{host}:{port}" for host, port in server.hosts]
    waits: dict[str, float] = {}
    for entry in faulty.operations:
        for node, total in entry.nodes["network_wait"].items():
            waits[node] = waits.get(node, 0.0) + total / MS
    growth = {name: faulty.ms(name) - clean.ms(name) for name in ORDER}
    report = {
        "nodes": nodes,
        "slow": nodes[SLOW],
        "operations": TIMES,
        "network_wait_grew_ms": growth.pop("network_wait"),
        "others_moved_ms": max(map(abs, growth.values())),
        "faulty_waits_ms": waits,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
