"""Drives the package of the same name as ours from the package index; run by the Python of its environment."""

import asyncio
import os

import aerospike_py
from interchange import BATCH, BYTES_KEY, NAMESPACE, OURS, THEIRS, bins_of, hosts, report, user_key

STEPS = [
    {"op": aerospike_py.OPERATOR_INCR, "bin": "n", "val": 2},
    {"op": aerospike_py.OPERATOR_APPEND, "bin": "text", "val": "b"},
    {"op": aerospike_py.OPERATOR_READ, "bin": "n", "val": None},
    {"op": aerospike_py.OPERATOR_READ, "bin": "text", "val": None},
]
KEYS = [(NAMESPACE, OURS, user_key(number)) for number in [*range(BATCH), BATCH]]


def bins_of_row(row: aerospike_py.BatchRecord) -> dict:
    """Return the bins of a row, whose record is a plain tuple."""
    return row.record[2]


async def batch_on_a_loop() -> list:
    """Read the batch with the asynchronous client."""
    client = aerospike_py.AsyncClient({"hosts": hosts()})
    await client.connect()
    rows = (await client.batch_read(KEYS)).batch_records
    await client.close()
    return [bins_of_row(row) for row in rows if row.result == 0]


def main() -> None:
    """Write, read, operate and read batches."""
    client = aerospike_py.client({"hosts": hosts()}).connect()
    for number in range(BATCH):
        client.put((NAMESPACE, THEIRS, user_key(number)), bins_of(number))
    record = client.get((NAMESPACE, OURS, user_key(5)))
    counter = (NAMESPACE, THEIRS, "counter")
    client.put(counter, {"n": 40, "text": "a"})
    operated = client.operate(counter, STEPS)
    rows = client.batch_read(KEYS).batch_records
    batch = [bins_of_row(row) for row in rows if row.result == 0]
    try:
        client.get((NAMESPACE, OURS, "nobody"))
        missing = "found"
    except aerospike_py.RecordNotFound:
        missing = 2
    report(
        nodes=len(client.get_node_names()),
        generation=record.meta.gen,
        got=record.bins,
        operated=operated.bins,
        batch=batch,
        batch_codes=[row.result for row in rows],
        missing=missing,
        by_bytes=client.get((NAMESPACE, OURS, BYTES_KEY))[2],
        other_half_is_equal=asyncio.run(batch_on_a_loop()) == batch,
    )
    client.close()
    # Its runtime can abort the process while the interpreter shuts down, long after everything has succeeded.
    os._exit(0)


if __name__ == "__main__":
    main()
