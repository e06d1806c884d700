"""Drives aerospike-native, asynchronously and blocking; run by the Python of its environment."""

import asyncio

from aerospike_native import ClientPolicy, Key, Operation, new_client, new_client_blocking
from aerospike_native.exceptions import RecordNotFound
from interchange import BATCH, NAMESPACE, OURS, THEIRS, bins_of, hosts, report, user_key

SEEDS = ",".join(f"{host}:{port}" for host, port in hosts())

STEPS = [
    Operation.add("n", 2),
    Operation.append("text", "b"),
    Operation.get_bin("n"),
    Operation.get_bin("text"),
]


def ours(number: int) -> Key:
    """Return the key of a record of ours."""
    return Key(NAMESPACE, OURS, user_key(number))


async def main() -> None:
    """Write, read and operate on the loop; read batches on the loop and blocking."""
    client = await new_client(ClientPolicy(), SEEDS)
    for number in range(BATCH):
        await client.put(Key(NAMESPACE, THEIRS, user_key(number)), bins_of(number))
    record = await client.get(ours(5))
    counter = Key(NAMESPACE, THEIRS, "counter")
    await client.put(counter, {"n": 40, "text": "a"})
    operated = await client.operate(counter, STEPS)
    keys = [ours(number) for number in [*range(BATCH), BATCH]]
    rows = await client.batch_read(keys)
    blocking = new_client_blocking(ClientPolicy(), SEEDS)
    again = blocking.batch_read_blocking(keys)
    try:
        await client.get(Key(NAMESPACE, OURS, "nobody"))
        missing = "found"
    except RecordNotFound:
        missing = 2
    batch = [row.record.bins for row in rows if row.record is not None]
    report(
        nodes=len(client.node_names()),
        generation=record.generation,
        got=record.bins,
        operated=operated.bins,
        batch=batch,
        batch_codes=[int(row.result_code) for row in rows],
        missing=missing,
        blocking_is_equal=[row.record.bins for row in again if row.record is not None] == batch,
    )
    blocking.close_blocking()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
