"""Drives our client, and the package of the same import name from the package index; run by the Python of either.

A get is `client.get(key)[2]`, or the same awaited. A batch is `client.batch_read(keys).to_dict()`, `{user_key:
bins}`; of gathered batches the dictionaries are merged. Both packages are driven by the same lines: existing code
runs unchanged.
"""

import asyncio
import importlib.metadata
import itertools
from collections.abc import Iterator
from typing import Any

import aerospike_py

from benchmark.lanes import records
from benchmark.lanes.loops import AsyncCall, Call
from benchmark.lanes.serving import Job, serve


def config(job: Job) -> aerospike_py.ClientConfig:
    """The hosts, and defaults for the rest."""
    if job.tend_interval_ms is None:
        return {"hosts": job.hosts}
    return {"hosts": job.hosts, "tend_interval": job.tend_interval_ms}


def endless_batches(kind: str, slot: int) -> Iterator[list[records.Key]]:
    if kind == "batch":
        return itertools.cycle(records.batches(slot, 0))
    return itertools.cycle(records.joined_requests(slot))


class Connected:
    """The blocking client, with its default policies."""

    def __init__(self, job: Job) -> None:
        self._client = aerospike_py.client(config(job)).connect()

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
            next_batch = endless_batches(kind, slot).__next__
            return lambda: client.batch_read(next_batch()).to_dict()
        raise ValueError(f"aerospike_py is not driven for blocking {kind!r}")

    def close(self) -> None:
        self._client.close()


class AsyncConnected:
    """The asynchronous client, with its default policies."""

    def __init__(self, client: aerospike_py.AsyncClient) -> None:
        self._client = client

    def call(self, kind: str, slot: int) -> AsyncCall:
        client = self._client
        if kind == "get":
            next_key = itertools.cycle(records.read_keys(slot)).__next__

            async def get() -> Any:
                return (await client.get(next_key()))[2]

            return get
        if kind == "mixed":
            next_key = itertools.cycle(records.read_keys(slot)).__next__
            next_write = itertools.cycle(records.writes(slot)).__next__
            reading = itertools.cycle([True, False]).__next__

            async def mixed() -> Any:
                if reading():
                    return (await client.get(next_key()))[2]
                await client.put(*next_write())
                return None  # one of the two packages answers with an empty tuple

            return mixed
        if kind in ("batch", "single"):
            next_batch = endless_batches(kind, slot).__next__

            async def batch() -> Any:
                return (await client.batch_read(next_batch())).to_dict()

            return batch
        if kind == "gathered":
            next_request = itertools.cycle(records.requests(slot)).__next__

            async def gathered() -> dict[Any, Any]:
                answers = await asyncio.gather(*(client.batch_read(keys) for keys in next_request()))
                found: dict[Any, Any] = {}
                for answer in answers:
                    found.update(answer.to_dict())
                return found

            return gathered
        raise ValueError(f"aerospike_py is not driven for awaited {kind!r}")

    async def close(self) -> None:
        await self._client.close()


async def connect_async(job: Job) -> AsyncConnected:
    client = aerospike_py.AsyncClient(config(job))
    await client.connect()
    return AsyncConnected(client)


def version() -> str:
    # Ours is imported from the checkout, without the metadata of an installation.
    try:
        return importlib.metadata.version("aerospike-py")
    except importlib.metadata.PackageNotFoundError:
        return str(aerospike_py.__version__)


if __name__ == "__main__":
    serve("aerospike_py", version(), Connected, connect_async)
