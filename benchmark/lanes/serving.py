"""What the process of a client is asked for, over the protocol of `benchmark.processes.answering`.

Standard library only: it is imported by the Python of every client. The calls:

- `{"call": "hello"}`: who answers (versions, interpreter, GIL, event loop);
- `{"call": "verify", "operations": N}`: the results of the first N operations of the first thread or task, as `plain`
  JSON;
- `{"call": "round", "seconds": S}` or `{"call": "round", "operations": N}`: what a round took;
- `{"call": "end"}`: closes the client and leaves.

`benchmark/rust-core` speaks the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from benchmark.lanes import loops
from benchmark.processes.answering import Answer, Replies, converse, hello
from benchmark.processes.values import plain


@dataclass(frozen=True)
class Job:
    """What a client is started for: one workload on one server."""

    hosts: list[tuple[str, int]]
    kind: str
    """What an operation is: `get`, `put`, `mixed`, `batch`, `gathered` or `single`."""
    lane: str
    """`sync` or `async`."""
    concurrency: int
    """Threads or tasks."""
    loop: str = "default"
    """`default`, whatever the client installs, or `uvloop`."""
    tend_interval_ms: int | None = None
    """How often the client looks after its cluster, if it can be told; nothing leaves the client's default.

    Only counted runs say so: what a slowed-down process does in the background would be counted as operations."""

    @classmethod
    def parse(cls, text: str) -> Job:
        fields = json.loads(text)
        return cls(**{**fields, "hosts": [(str(host), int(port)) for host, port in fields["hosts"]]})


class Session(Protocol):
    """A connected client for calls that block."""

    def call(self, kind: str, slot: int) -> loops.Call:
        """The operation of a thread: each call does the next one and returns its plain result."""

    def close(self) -> None: ...


class AsyncSession(Protocol):
    """A connected client for calls that are awaited."""

    def call(self, kind: str, slot: int) -> loops.AsyncCall:
        """The operation of a task: each call does the next one and returns its plain result."""

    async def close(self) -> None: ...


Connect = Callable[[Job], Session]
ConnectAsync = Callable[[Job], Awaitable[AsyncSession]]


class OnThreads:
    """The sync lane of a client: a thread per call."""

    loop_name = ""

    def __init__(self, job: Job, connect: Connect) -> None:
        self._session = connect(job)
        self._job = job
        self.workers = job.concurrency
        self._calls = [self._session.call(job.kind, slot) for slot in range(job.concurrency)]

    def verify(self, operations: int) -> list[Any]:
        call = self._session.call(self._job.kind, 0)
        return [call() for _ in range(operations)]

    def round(self, limit: loops.Limit) -> dict[str, Any]:
        return loops.run_threads(self._calls, limit)

    def close(self) -> None:
        self._session.close()


class OnALoop:
    """The async lane of a client: a task per call, on a loop that runs while there is something to do."""

    def __init__(self, job: Job, connect: ConnectAsync) -> None:
        self._loop = _new_loop(job.loop)
        asyncio.set_event_loop(self._loop)
        self.loop_name = f"{type(self._loop).__module__}.{type(self._loop).__qualname__}"
        self._session = self._loop.run_until_complete(_awaited(connect(job)))
        self._job = job
        self.workers = job.concurrency
        self._calls = [self._session.call(job.kind, slot) for slot in range(job.concurrency)]

    def verify(self, operations: int) -> list[Any]:
        call = self._session.call(self._job.kind, 0)

        async def one_by_one() -> list[Any]:
            return [await call() for _ in range(operations)]

        return self._loop.run_until_complete(one_by_one())

    def round(self, limit: loops.Limit) -> dict[str, Any]:
        return loops.run_tasks(self._loop, self._calls, limit)

    def close(self) -> None:
        self._loop.run_until_complete(self._session.close())


Lane = OnThreads | OnALoop


async def _awaited(awaitable: Awaitable[AsyncSession]) -> AsyncSession:
    return await awaitable


def _new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        import uvloop  # type: ignore[import-not-found,unused-ignore]

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


def connected(job: Job, connect: Connect, connect_async: ConnectAsync | None) -> Lane:
    """Connect a client for a job."""
    if job.lane == "sync":
        return OnThreads(job, connect)
    if connect_async is None:
        raise ValueError("this client has no asynchronous half")
    return OnALoop(job, connect_async)


def serve(client: str, version: str, connect: Connect, connect_async: ConnectAsync | None = None) -> None:
    """Answer the parent until it says that this is the end. Does not return."""

    def prepare(job: str, _: Replies) -> Answer:
        lane = connected(Job.parse(job), connect, connect_async)
        return lambda request: _answer(request, lane, client, version)

    converse(prepare)


def _answer(request: dict[str, Any], lane: Lane, client: str, version: str) -> dict[str, Any]:
    if request["call"] == "hello":
        return hello(client, version, lane.loop_name)
    if request["call"] == "verify":
        return {"results": [plain(result) for result in lane.verify(request["operations"])]}
    if request["call"] == "round":
        limit = loops.Limit(request.get("seconds"), request.get("operations"), lane.workers)
        return lane.round(limit)
    if request["call"] == "end":
        lane.close()
        return {"ended": True}
    raise ValueError(f"{request['call']!r} is no call of this protocol")
