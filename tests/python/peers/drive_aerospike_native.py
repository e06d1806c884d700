"""Drives aerospike-native, asynchronously and blocking; run by the Python of its environment."""

import asyncio
from typing import Any

from aerospike_native import ClientPolicy, Key, Operation, new_client, new_client_blocking
from aerospike_native.exceptions import RecordNotFound
from interchange import BATCH, BYTES_KEY, NAMESPACE, OURS, THEIRS, bins_of, hosts, report, user_key

SEEDS = ",".join(f"{host}:{port}" for host, port in hosts())
KEYS = [Key(NAMESPACE, OURS, user_key(number)) for number in [*range(BATCH), BATCH]]
STEPS = [
    Operation.add("n", 2),
    Operation.append("text", "b"),
    Operation.get_bin("n"),
    Operation.get_bin("text"),
]


async def on_a_loop() -> dict[str, Any]:
    """Write, read, operate and read a batch."""
    client = await new_client(ClientPolicy(), SEEDS)
    for number in range(BATCH):
        await client.put(Key(NAMESPACE, THEIRS, user_key(number)), bins_of(number))
    record = await client.get(KEYS[5])
    counter = Key(NAMESPACE, THEIRS, "counter")
    await client.put(counter, {"n": 40, "text": "a"})
    operated = await client.operate(counter, STEPS)
    rows = await client.batch_read(KEYS)
    try:
        await client.get(Key(NAMESPACE, OURS, "nobody"))
        missing = "found"
    except RecordNotFound:
        missing = 2
    findings = {
        "nodes": len(client.node_names()),
        "generation": record.generation,
        "got": record.bins,
        # It answers for every step, also for those that only write.
        "operated": {name: answers[-1] for name, answers in operated.bins.items()},
        "batch": [row.record.bins for row in rows if row.record is not None],
        "batch_codes": [int(row.result_code) for row in rows],
        "missing": missing,
        "by_blob": (await client.get(Key(NAMESPACE, OURS, BYTES_KEY))).bins,
    }
    await client.close()
    return findings


def batch_without_a_loop() -> list[dict[str, Any]]:
    """Read the batch with the blocking half of the client."""
    client = new_client_blocking(ClientPolicy(), SEEDS)
    rows = client.batch_read_blocking(KEYS)
    client.close_blocking()
    return [row.record.bins for row in rows if row.record is not None]


def main() -> None:
    """Do both, and report."""
    findings = asyncio.run(on_a_loop())
    report(**findings, other_half_is_equal=batch_without_a_loop() == findings["batch"])


if __name__ == "__main__":
    main()
