"""Drives aerospike-native, asynchronously and blocking; run by the Python of its environment.

A read is `(await client.get(key)).bins`, or `client.get_blocking(key).bins`. A batch is `batch_read(keys)` or
`batch_read_blocking(keys)`, a list of rows whose `record.bins` the driver puts into a dictionary `{user_key: bins}`, in
the order of the keys: the client has no call that returns one. `Key` objects are made beforehand, digests included.
Importing the client makes uvloop the default event loop unless `AEROSPIKE_NO_UVLOOP` is set.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Awaitable, Callable
from typing import Any

from aerospike_native import (  # type: ignore[import-not-found,unused-ignore]
    ClientPolicy,
    Key,
    exceptions,
    new_client,
    new_client_blocking,
)

from benchmark.harness.data import Bins
from benchmark.harness.data import Key as Named
from benchmark.harness.jobs import Driver, Job
from benchmark.harness.operations import Work
from benchmark.harness.serving import serve
from benchmark.harness.sessions import AsyncSession, Session, only_dictionaries


def seeds(job: Job) -> str:
    return ",".join(f"{host}:{port}" for host, port in job.hosts)


class Prepared:
    """Keys as the client takes them, and its exceptions."""

    def prepare(self, key: Named) -> Any:
        return Key(*key)

    def prepare_batch(self, keys: list[Named]) -> Any:
        return [user_key for _, _, user_key in keys], [Key(*key) for key in keys]

    def timed_out(self, error: Exception) -> bool:
        return isinstance(error, TimeoutError | exceptions.TimeoutError)


def plain_dict(names: list[str], rows: list[Any]) -> dict[str, Any]:
    return {name: row.record.bins for name, row in zip(names, rows, strict=True)}


class Connected(Prepared, Session):
    """The blocking half, with its default policies."""

    def __init__(self, job: Job) -> None:
        self._client = new_client_blocking(ClientPolicy(), seeds(job))

    def get(self, key: Any) -> Bins | None:
        try:
            bins: Bins = self._client.get_blocking(key).bins
        except exceptions.RecordNotFound:
            return None
        return bins

    def put(self, key: Any, bins: Bins) -> None:
        self._client.put_blocking(key, bins)

    def batch_as(self, work: Work) -> Callable[[Any], Any]:
        only_dictionaries(work, "aerospike-native")
        client = self._client
        return lambda prepared: plain_dict(prepared[0], client.batch_read_blocking(prepared[1]))

    def close(self) -> None:
        self._client.close_blocking()


class AsyncConnected(Prepared, AsyncSession):
    """The asynchronous half, with its default policies."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def get(self, key: Any) -> Bins | None:
        try:
            bins: Bins = (await self._client.get(key)).bins
        except exceptions.RecordNotFound:
            return None
        return bins

    async def put(self, key: Any, bins: Bins) -> None:
        await self._client.put(key, bins)

    def batch_as(self, work: Work) -> Callable[[Any], Awaitable[Any]]:
        only_dictionaries(work, "aerospike-native")
        client = self._client

        async def batch(prepared: Any) -> dict[str, Any]:
            names, keys = prepared
            return plain_dict(names, await client.batch_read(keys))

        return batch

    async def close(self) -> None:
        await self._client.close()


async def connect_async(job: Job) -> AsyncConnected:
    return AsyncConnected(await new_client(ClientPolicy(), seeds(job)))


DRIVER = Driver("aerospike-native", importlib.metadata.version("aerospike-native"), Connected, connect_async)

if __name__ == "__main__":
    serve(DRIVER)
