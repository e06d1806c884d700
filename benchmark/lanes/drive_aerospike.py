"""Drives the official C client's binding; run by the Python of its environment.

A get is `client.get(key)[2]`. A batch is `client.batch_read(keys)`, whose records the driver puts into a dictionary
`{user_key: bins}`: the client has no call that returns one. It has no asynchronous half.
"""

import importlib.metadata
import itertools
from typing import Any

import aerospike  # type: ignore[import-not-found,unused-ignore]

from benchmark.lanes import records
from benchmark.lanes.loops import Call
from benchmark.lanes.serving import Job, serve


class Connected:
    """The client, connected with its default policies."""

    def __init__(self, job: Job) -> None:
        self._client = aerospike.client({"hosts": job.hosts}).connect()

    def call(self, kind: str, slot: int) -> Call:
        client = self._client
        if kind == "get":
            next_key = itertools.cycle(records.read_keys(slot)).__next__
            return lambda: client.get(next_key())[2]
        if kind == "put":
            next_write = itertools.cycle(records.writes(slot)).__next__

            def put() -> None:
                client.put(*next_write())

            return put
        if kind in ("batch", "single"):
            batches = records.batches(slot, 0) if kind == "batch" else records.joined_requests(slot)
            next_batch = itertools.cycle(batches).__next__

            def batch() -> dict[str, Any]:
                rows = client.batch_read(next_batch()).batch_records
                return {row.key[2]: row.record[2] for row in rows}

            return batch
        raise ValueError(f"the C client is not driven for {kind!r}")

    def close(self) -> None:
        self._client.close()


if __name__ == "__main__":
    serve("aerospike", importlib.metadata.version("aerospike"), Connected)
