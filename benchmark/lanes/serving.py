"""The protocol between the parent and the process of a client, from the client's side.

Standard library only: it is imported by the Python of every client. The job is one JSON object on the command line.
Then one line of JSON on standard input is a request and one line on standard output its reply:

- `{"call": "hello"}`: who answers (versions, interpreter, GIL, event loop);
- `{"call": "verify", "operations": N}`: the results of the first N operations of the first thread or task, as `plain`
  JSON;
- `{"call": "round", "seconds": S}` or `{"call": "round", "operations": N}`: what a round took;
- `{"call": "end"}`: closes the client and leaves.

An exception is answered with `{"error": ...}`. `benchmark/rust-core` speaks the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import IO, Any, Protocol

from benchmark.lanes import loops, records


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


def _hello(client: str, version: str, lane: Lane) -> dict[str, Any]:
    gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    return {
        "client": client,
        "version": version,
        "python": platform.python_version(),
        "build": " ".join(platform.python_build()),
        "compiler": platform.python_compiler(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil": gil_enabled,
        "loop": lane.loop_name,
        "pid": os.getpid(),
    }


def connected(job: Job, connect: Connect, connect_async: ConnectAsync | None) -> Lane:
    """Connect a client for a job."""
    if job.lane == "sync":
        return OnThreads(job, connect)
    if connect_async is None:
        raise ValueError("this client has no asynchronous half")
    return OnALoop(job, connect_async)


def serve(client: str, version: str, connect: Connect, connect_async: ConnectAsync | None = None) -> None:
    """Answer the parent until it says that this is the end. Does not return."""
    # Standard output belongs to the protocol: what a client's library prints goes to standard error.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    try:
        lane = connected(Job.parse(sys.argv[1]), connect, connect_async)
    except Exception as error:  # whatever it is, the parent is to know
        _reply(replies, {"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            _reply(replies, _answer(request, lane, client, version))
        except Exception as error:  # whatever it is, the parent is to know
            _reply(replies, {"error": f"{type(error).__name__}: {error}"})
        if request["call"] == "end":
            break
    # One of the clients aborts while its interpreter exits, when everything that it was asked for has succeeded.
    os._exit(0)


def _reply(replies: IO[str], reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def _answer(request: dict[str, Any], lane: Lane, client: str, version: str) -> dict[str, Any]:
    if request["call"] == "hello":
        return _hello(client, version, lane)
    if request["call"] == "verify":
        return {"results": [records.plain(result) for result in lane.verify(request["operations"])]}
    if request["call"] == "round":
        limit = loops.Limit(request.get("seconds"), request.get("operations"), lane.workers)
        return lane.round(limit)
    if request["call"] == "end":
        lane.close()
        return {"ended": True}
    raise ValueError(f"{request['call']!r} is no call of this protocol")
