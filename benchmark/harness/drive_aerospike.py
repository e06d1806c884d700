"""Drives the official C client's binding; run by the Python of its environment.

A read is `client.get(key)[2]`. A batch is `client.batch_read(keys)`, whose records the driver puts into a dictionary
`{user_key: bins}`: the client has no call that returns one. It has no asynchronous half: awaited, its calls run in
threads (`run_in_executor`), as many as there are tasks, which is what applications do with it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aerospike  # type: ignore[import-not-found,unused-ignore]
from aerospike import exception  # type: ignore[import-not-found,unused-ignore]

from benchmark.harness.data import Bins
from benchmark.harness.jobs import Driver, Job
from benchmark.harness.operations import Work
from benchmark.harness.serving import serve
from benchmark.harness.sessions import AsyncSession, Session, only_dictionaries


class Connected(Session):
    """The client, connected with its default policies."""

    def __init__(self, job: Job) -> None:
        self._client = aerospike.client({"hosts": job.hosts}).connect()

    def get(self, key: Any) -> Bins | None:
        try:
            bins: Bins = self._client.get(key)[2]
        except exception.RecordNotFound:
            return None
        return bins

    def put(self, key: Any, bins: Bins) -> None:
        self._client.put(key, bins)

    def batch_as(self, work: Work) -> Callable[[Any], Any]:
        only_dictionaries(work, "the C client")
        client = self._client

        def batch(keys: Any) -> dict[str, Any]:
            return {row.key[2]: row.record[2] for row in client.batch_read(keys).batch_records}

        return batch

    def timed_out(self, error: Exception) -> bool:
        return isinstance(error, TimeoutError | exception.TimeoutError)

    def close(self) -> None:
        self._client.close()


class InExecutor(AsyncSession):
    """The same calls in threads, awaited."""

    def __init__(self, job: Job) -> None:
        self._session = Connected(job)
        self._batches = 9 if job.work.mode in ("gathered", "split") else 1
        self._executor = ThreadPoolExecutor(job.concurrency * self._batches)
        self._loop = asyncio.get_running_loop()

    async def get(self, key: Any) -> Bins | None:
        return await self._loop.run_in_executor(self._executor, self._session.get, key)

    async def put(self, key: Any, bins: Bins) -> None:
        await self._loop.run_in_executor(self._executor, self._session.put, key, bins)

    def batch_as(self, work: Work) -> Callable[[Any], Awaitable[Any]]:
        batch = self._session.batch_as(work)
        return lambda keys: self._loop.run_in_executor(self._executor, batch, keys)

    def timed_out(self, error: Exception) -> bool:
        return self._session.timed_out(error)

    async def close(self) -> None:
        self._executor.shutdown()
        self._session.close()


async def connect_async(job: Job) -> InExecutor:
    return InExecutor(job)


DRIVER = Driver("aerospike", importlib.metadata.version("aerospike"), Connected, connect_async)

if __name__ == "__main__":
    serve(DRIVER)
