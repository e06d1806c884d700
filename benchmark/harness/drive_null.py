"""Drives nothing: what the harness itself costs. It answers from memory, or does nothing at all."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable
from typing import Any

from benchmark.harness.data import Bins, Key
from benchmark.harness.jobs import Driver, Job
from benchmark.harness.operations import Work
from benchmark.harness.serving import serve
from benchmark.harness.sessions import AsyncSession, Session, only_dictionaries


class Memory:
    """The records of a workload in a dictionary."""

    def __init__(self, work: Work) -> None:
        space = work.space
        self.records: dict[Key, Bins] = {}
        if work.kind != "nothing":
            pairs = [(index, number) for index in range(space.sets) for number in range(space.records)]
            self.records = {space.key(*pair): space.bins(*pair) for pair in pairs}

    def batch(self, keys: list[Key]) -> dict[str, Bins]:
        return {key[2]: self.records[key] for key in keys}


class Connected(Session):
    """Answers at once."""

    def __init__(self, job: Job) -> None:
        self._memory = Memory(job.work)

    def get(self, key: Any) -> Bins | None:
        return self._memory.records.get(key)

    def put(self, key: Any, bins: Bins) -> None:
        self._memory.records[key] = bins

    def batch_as(self, work: Work) -> Callable[[Any], Any]:
        only_dictionaries(work, "the null client")
        return self._memory.batch

    def close(self) -> None:
        pass


class AsyncConnected(AsyncSession):
    """The same, awaited; it never waits."""

    def __init__(self, job: Job) -> None:
        self._memory = Memory(job.work)

    async def get(self, key: Any) -> Bins | None:
        return self._memory.records.get(key)

    async def put(self, key: Any, bins: Bins) -> None:
        self._memory.records[key] = bins

    def batch_as(self, work: Work) -> Callable[[Any], Awaitable[Any]]:
        only_dictionaries(work, "the null client")

        async def batch(keys: list[Key]) -> dict[str, Bins]:
            return self._memory.batch(keys)

        return batch

    async def close(self) -> None:
        pass


async def connect_async(job: Job) -> AsyncConnected:
    return AsyncConnected(job)


DRIVER = Driver("null", platform.python_version(), Connected, connect_async)

if __name__ == "__main__":
    serve(DRIVER)
