"""Drives aerospike-sdk, by its builder or by its fast path; run by the Python of its environment.

With the builder a read is `session.query(key).execute()` and the first row of its stream, a write
`session.upsert(key).put(bins).execute()`; with `--fast` they are `session.get(key)` and `session.put(key, bins)`. A
batch is `session.query(keys).execute()` either way, whose rows the driver puts into a dictionary `{user_key: bins}`.
`Key` objects are made beforehand. Its `AsyncPool` runs several loops.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aerospike_sdk  # type: ignore[import-not-found,unused-ignore]
from aerospike_sdk import Behavior, DataSet
from aerospike_sdk import sync as blocking

from benchmark.harness.data import Bins
from benchmark.harness.data import Key as Named
from benchmark.harness.jobs import Driver, Job
from benchmark.harness.operations import Work
from benchmark.harness.serving import serve
from benchmark.harness.sessions import AsyncSession, Session, only_dictionaries

FAST = "--fast" in sys.argv
if FAST:
    sys.argv.remove("--fast")


class Prepared:
    """Keys as the client takes them, and its exceptions."""

    def prepare(self, key: Named) -> Any:
        namespace, set_name, user_key = key
        return DataSet.of(namespace, set_name).id(user_key)

    def prepare_batch(self, keys: list[Named]) -> Any:
        return [self.prepare(key) for key in keys]

    def timed_out(self, error: Exception) -> bool:
        return isinstance(error, TimeoutError | aerospike_sdk.TimeoutError)


def plain_dict(rows: list[Any]) -> dict[str, Any]:
    return {row.key.value: row.record_or_raise().bins for row in rows}


class Connected(Prepared, Session):
    """The synchronous half, with its default behaviour."""

    def __init__(self, job: Job) -> None:
        host, port = job.hosts[0]
        self._cluster = blocking.ClusterDefinition(host, port).connect()
        self._session = self._cluster.create_session(Behavior.DEFAULT)

    def get(self, key: Any) -> Bins | None:
        try:
            if FAST:
                bins: Bins = self._session.get(key).bins
                return bins
            row = self._session.query(key).execute().first()
            return None if row is None else row.record_or_raise().bins
        except aerospike_sdk.RecordNotFoundError:
            return None

    def put(self, key: Any, bins: Bins) -> None:
        if FAST:
            self._session.put(key, bins)
        else:
            self._session.upsert(key).put(bins).execute().first_or_raise()

    def batch_as(self, work: Work) -> Callable[[Any], Any]:
        only_dictionaries(work, "aerospike-sdk")
        session = self._session
        return lambda keys: plain_dict(session.query(keys).execute().collect())

    def close(self) -> None:
        self._cluster.close()


class AsyncConnected(Prepared, AsyncSession):
    """The asynchronous half, with its default behaviour."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._session = cluster.create_session(Behavior.DEFAULT)

    async def get(self, key: Any) -> Bins | None:
        try:
            if FAST:
                bins: Bins = (await self._session.get(key)).bins
                return bins
            row = await (await self._session.query(key).execute()).first()
            return None if row is None else row.record_or_raise().bins
        except aerospike_sdk.RecordNotFoundError:
            return None

    async def put(self, key: Any, bins: Bins) -> None:
        if FAST:
            await self._session.put(key, bins)
        else:
            await (await self._session.upsert(key).put(bins).execute()).first_or_raise()

    def batch_as(self, work: Work) -> Callable[[Any], Awaitable[Any]]:
        only_dictionaries(work, "aerospike-sdk")
        session = self._session

        async def batch(keys: Any) -> dict[str, Any]:
            return plain_dict(await (await session.query(keys).execute()).collect())

        return batch

    async def close(self) -> None:
        await self._cluster.close()


async def connect_async(job: Job) -> AsyncConnected:
    host, port = job.hosts[0]
    return AsyncConnected(await aerospike_sdk.ClusterDefinition(host, port).connect())


class PoolOfLoops:
    """The SDK's `AsyncPool`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._sessions: dict[int, AsyncConnected] = {}

    async def run_on_all(self, run: Callable[[AsyncSession, int], Awaitable[None]], count: int) -> None:
        async def one(cluster: Any, number: int) -> None:
            await run(self._sessions.setdefault(id(cluster), AsyncConnected(cluster)), number)

        def on(number: int) -> Callable[[Any], Awaitable[None]]:
            return lambda cluster: one(cluster, number)

        await asyncio.gather(*(self._pool.run(on(number), pick=number) for number in range(count)))

    async def close(self) -> None:
        await self._pool.aclose()


async def connect_pool(job: Job) -> PoolOfLoops:
    host, port = job.hosts[0]
    pool = aerospike_sdk.AsyncPool(aerospike_sdk.ClusterDefinition(host, port), loop_count=job.threads)
    await pool.start()
    return PoolOfLoops(pool)


if __name__ == "__main__":
    serve(Driver("aerospike-sdk", importlib.metadata.version("aerospike-sdk"), Connected, connect_async, connect_pool))
