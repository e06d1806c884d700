"""Drives aerospike-native, asynchronously and blocking; run by the Python of its environment.

A get is `(await client.get(key)).bins`, or `client.get_blocking(key).bins`: `bins` is a plain dictionary. A batch is
`batch_read(keys)` or `batch_read_blocking(keys)`, a list of rows whose `record.bins` the driver puts into a dictionary
`{user_key: bins}`, in the order of the keys: the client has no call that returns one. `Key` objects are made
beforehand, digests included. Importing the client makes uvloop the default event loop unless `AEROSPIKE_NO_UVLOOP` is
set.
"""

import asyncio
import importlib.metadata
import itertools
from collections.abc import Iterator
from typing import Any

from aerospike_native import (  # type: ignore[import-not-found,unused-ignore]
    ClientPolicy,
    Key,
    new_client,
    new_client_blocking,
)

from benchmark.lanes import records
from benchmark.lanes.loops import AsyncCall, Call
from benchmark.lanes.serving import Job, serve

Named = tuple[list[str], list[Any]]
"""The user keys of a batch, and its keys."""


def seeds(hosts: list[tuple[str, int]]) -> str:
    return ",".join(f"{host}:{port}" for host, port in hosts)


def policy(job: Job) -> Any:
    """The defaults of the client."""
    default = ClientPolicy()
    if job.tend_interval_ms is not None:
        default.tend_interval = job.tend_interval_ms
    return default


def named(batch: list[records.Key]) -> Named:
    return [user_key for _, _, user_key in batch], [Key(*key) for key in batch]


def endless_batches(kind: str, slot: int) -> Iterator[Named]:
    if kind == "batch":
        return itertools.cycle([named(batch) for batch in records.batches(slot, 0)])
    return itertools.cycle([named(batch) for batch in records.joined_requests(slot)])


def endless_keys(slot: int) -> Iterator[Any]:
    return itertools.cycle([Key(*key) for key in records.read_keys(slot)])


def endless_writes(slot: int) -> Iterator[tuple[Any, records.Bins]]:
    return itertools.cycle([(Key(*key), bins) for key, bins in records.writes(slot)])


def plain_dict(names: list[str], rows: list[Any]) -> dict[str, Any]:
    return {name: row.record.bins for name, row in zip(names, rows, strict=True)}


class Connected:
    """The blocking half, with its default policies."""

    def __init__(self, job: Job) -> None:
        self._client = new_client_blocking(policy(job), seeds(job.hosts))

    def call(self, kind: str, slot: int) -> Call:
        client = self._client
        if kind == "get":
            next_key = endless_keys(slot).__next__
            return lambda: client.get_blocking(next_key()).bins
        if kind == "put":
            next_write = endless_writes(slot).__next__

            def put() -> None:
                client.put_blocking(*next_write())

            return put
        if kind in ("batch", "single"):
            next_batch = endless_batches(kind, slot).__next__

            def batch() -> dict[str, Any]:
                names, keys = next_batch()
                return plain_dict(names, client.batch_read_blocking(keys))

            return batch
        raise ValueError(f"aerospike-native is not driven for blocking {kind!r}")

    def close(self) -> None:
        self._client.close_blocking()


class AsyncConnected:
    """The asynchronous half, with its default policies."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def call(self, kind: str, slot: int) -> AsyncCall:
        client = self._client
        if kind == "get":
            next_key = endless_keys(slot).__next__

            async def get() -> Any:
                return (await client.get(next_key())).bins

            return get
        if kind == "mixed":
            next_key, next_write = endless_keys(slot).__next__, endless_writes(slot).__next__
            reading = itertools.cycle([True, False]).__next__

            async def mixed() -> Any:
                if reading():
                    return (await client.get(next_key())).bins
                await client.put(*next_write())
                return None

            return mixed
        if kind in ("batch", "single"):
            next_batch = endless_batches(kind, slot).__next__

            async def batch() -> dict[str, Any]:
                names, keys = next_batch()
                return plain_dict(names, await client.batch_read(keys))

            return batch
        if kind == "gathered":
            requests = [[named(batch) for batch in of_sets] for of_sets in records.requests(slot)]
            next_request = itertools.cycle(requests).__next__

            async def gathered() -> dict[str, Any]:
                request = next_request()
                answers = await asyncio.gather(*(client.batch_read(keys) for _, keys in request))
                found: dict[str, Any] = {}
                for (names, _), rows in zip(request, answers, strict=True):
                    found.update(plain_dict(names, rows))
                return found

            return gathered
        raise ValueError(f"aerospike-native is not driven for awaited {kind!r}")

    async def close(self) -> None:
        await self._client.close()


async def connect_async(job: Job) -> AsyncConnected:
    return AsyncConnected(await new_client(policy(job), seeds(job.hosts)))


if __name__ == "__main__":
    serve("aerospike-native", importlib.metadata.version("aerospike-native"), Connected, connect_async)
