"""Drives our client, and the package of the same import name from the package index; run by the Python of either.

A read is `client.get(key)[2]`, a batch `client.batch_read(keys).to_dict()` (or `to_list()`, or `to_numpy(dtype)`), each
also awaited, with default policies: both packages are driven by the same lines. `AsyncPool` is ours only. With the
option `--trace` operations are written to trace files in a folder that is removed afterwards.
"""

from __future__ import annotations

import importlib.metadata
import sys
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

import aerospike_py

from benchmark.harness.data import Bins, Key
from benchmark.harness.jobs import Driver, Job
from benchmark.harness.operations import Work
from benchmark.harness.serving import serve
from benchmark.harness.sessions import AsyncSession, Found, Session
from benchmark.processes.answering import UnsupportedError

TRACED = "--trace" in sys.argv
if TRACED:
    sys.argv.remove("--trace")
_kept: list[Any] = []


def config(job: Job) -> aerospike_py.ClientConfig:
    """The hosts, and defaults for the rest."""
    return {"hosts": job.hosts}


def reader(work: Work) -> Callable[[Any], Any]:
    """What makes the wanted result of a batch."""
    if work.result == "dict":
        return lambda handle: handle.to_dict()
    if work.result == "list":
        return lambda handle: handle.to_list()
    if work.result != "numpy":
        raise ValueError(f"aerospike_py returns no batch as {work.result}")
    dtype = dtype_of(work)
    return lambda handle: handle.to_numpy(dtype).batch_records


def dtype_of(work: Work) -> Any:
    """The columns of an array: a number per bin."""
    import numpy as np

    return np.dtype([(name, "i8" if isinstance(value, int) else "f8") for name, value in work.space.bins(0, 0).items()])


def plain_result(found: Any, keys: list[Key], work: Work) -> Found:
    if work.result == "list":
        return {key[2]: bins for key, bins in zip(keys, found, strict=True)}
    if work.result == "numpy":
        names = found.dtype.names
        return {key[2]: {name: row[name].item() for name in names} for key, row in zip(keys, found, strict=True)}
    result: Found = found
    return result


class Recorded:
    """Stages of what a session has done, if they are recorded."""

    def plain(self, found: Any, keys: list[Key], work: Work) -> Found:
        return plain_result(found, keys, work)

    def timed_out(self, error: Exception) -> bool:
        return isinstance(error, TimeoutError | aerospike_py.AerospikeTimeoutError)

    def stages(self) -> list[dict[str, Any]] | None:
        snapshot = getattr(aerospike_py, "stage_snapshot", None)
        if snapshot is None or not aerospike_py.is_internal_stage_metrics_enabled():
            return None
        operations: list[dict[str, Any]] = snapshot(reset=True).to_dict()["operations"]
        return operations


class Connected(Recorded, Session):
    """The blocking client."""

    def __init__(self, job: Job) -> None:
        begin_tracing()
        self._client = aerospike_py.client(config(job)).connect()

    def get(self, key: Any) -> Bins | None:
        try:
            return self._client.get(key)[2]
        except aerospike_py.RecordNotFound:
            return None

    def put(self, key: Any, bins: Bins) -> None:
        self._client.put(key, bins)

    def batch_as(self, work: Work) -> Callable[[Any], Any]:
        client, read = self._client, reader(work)
        return lambda keys: read(client.batch_read(keys))

    def close(self) -> None:
        self._client.close()


class AsyncConnected(Recorded, AsyncSession):
    """The asynchronous client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def get(self, key: Any) -> Bins | None:
        try:
            bins: Bins = (await self._client.get(key))[2]
        except aerospike_py.RecordNotFound:
            return None
        return bins

    async def put(self, key: Any, bins: Bins) -> None:
        await self._client.put(key, bins)

    def batch_as(self, work: Work) -> Callable[[Any], Awaitable[Any]]:
        client, read = self._client, reader(work)

        async def batch(keys: Any) -> Any:
            return read(await client.batch_read(keys))

        return batch

    async def close(self) -> None:
        await self._client.close()


async def connect_async(job: Job) -> AsyncConnected:
    begin_tracing()
    client = aerospike_py.AsyncClient(config(job))
    await client.connect()
    return AsyncConnected(client)


class PoolOfLoops:
    """Our `AsyncPool`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._sessions: dict[int, AsyncConnected] = {}

    async def run_on_all(self, run: Callable[[AsyncSession, int], Awaitable[None]], count: int) -> None:
        async def one(client: Any, number: int) -> None:
            await run(self._sessions.setdefault(id(client), AsyncConnected(client)), number)

        await self._pool.map(one, range(count), concurrency=max(1, count // self._pool.threads))

    async def close(self) -> None:
        await self._pool.close()


async def connect_pool(job: Job) -> PoolOfLoops:
    begin_tracing()
    return PoolOfLoops(await aerospike_py.AsyncPool(config(job), job.threads).open())


def version() -> str:
    # Ours is imported from the checkout, without the metadata of an installation.
    try:
        return importlib.metadata.version("aerospike-py")
    except importlib.metadata.PackageNotFoundError:
        return str(aerospike_py.__version__)


def begin_tracing() -> None:
    """Have operations written to trace files, if that was asked for.

    Raises:
        UnsupportedError: The package cannot do it.
    """
    if not TRACED or _kept:
        return
    recorder = getattr(aerospike_py, "trace_recorder", None)
    if recorder is None:
        raise UnsupportedError("this build of aerospike_py writes no trace files")
    folder = tempfile.TemporaryDirectory(prefix="bench-traces-")
    _kept.extend([folder, recorder(folder.name)])


def end_tracing() -> None:
    """Stop writing; the files go with their folder, which the process would otherwise leave behind."""
    if _kept:
        folder, recorder = _kept
        recorder.close()
        folder.cleanup()


def metrics() -> str:
    """What the client says of itself in the format of Prometheus; nothing where it has no metrics."""
    try:
        return str(aerospike_py.get_metrics())
    except AttributeError:
        return ""


_POOLED = connect_pool if hasattr(aerospike_py, "AsyncPool") else None
DRIVER = Driver("aerospike_py", version(), Connected, connect_async, _POOLED, end_tracing)

if __name__ == "__main__":
    serve(DRIVER)
