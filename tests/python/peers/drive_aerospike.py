"""Drives the official C client's binding; run by the Python of its environment."""

import aerospike
from aerospike_helpers.operations import operations
from interchange import BATCH, BYTES_KEY, NAMESPACE, OURS, THEIRS, bins_of, hosts, report, user_key


def main() -> None:
    """Write, read, operate and read batches."""
    client = aerospike.client({"hosts": hosts()}).connect()
    for number in range(BATCH):
        client.put((NAMESPACE, THEIRS, user_key(number)), bins_of(number))
    _, meta, got = client.get((NAMESPACE, OURS, user_key(5)))
    counter = (NAMESPACE, THEIRS, "counter")
    client.put(counter, {"n": 40, "text": "a"})
    steps = [
        operations.increment("n", 2),
        operations.append("text", "b"),
        operations.read("n"),
        operations.read("text"),
    ]
    _, _, operated = client.operate(counter, steps)
    keys = [(NAMESPACE, OURS, user_key(number)) for number in [*range(BATCH), BATCH]]
    rows = client.batch_read(keys).batch_records
    try:
        client.get((NAMESPACE, OURS, "nobody"))
        missing = "found"
    except aerospike.exception.RecordNotFound as error:
        missing = error.code
    report(
        nodes=len(client.get_node_names()),
        generation=meta["gen"],
        got=got,
        operated=operated,
        batch=[row.record[2] for row in rows if row.result == 0],
        batch_codes=[row.result for row in rows],
        missing=missing,
        by_bytes=client.get((NAMESPACE, OURS, BYTES_KEY))[2],
        by_blob=client.get((NAMESPACE, OURS, bytearray(BYTES_KEY)))[2],
    )
    client.close()


if __name__ == "__main__":
    main()
