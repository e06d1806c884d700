"""What the process of a client is started for, and what a driver says of its client.

Standard library only: it is imported by the Python of every client.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from benchmark.harness.data import Space
from benchmark.harness.loops import FOREVER
from benchmark.harness.operations import Work
from benchmark.harness.sessions import AsyncSession, Session


@dataclass(frozen=True)
class Job:
    """What a client is started for: one workload on one server."""

    hosts: list[tuple[str, int]]
    work: Work
    lane: str
    """`sync`, `async`, `pool` or `http`."""
    concurrency: int
    """Threads or tasks, of all loops together."""
    threads: int = 0
    """Loops of the lane `pool`, threads for inference of the lane `http`."""
    loop: str = "default"
    """`default`, whatever the client installs, or `uvloop`."""
    slowdown: float = 0.0
    """By which part every operation is made to take longer."""
    client: str = ""
    """What the client is called in the addresses of a web service."""

    @classmethod
    def parse(cls, text: str) -> Job:
        fields = json.loads(text)
        work = fields["work"]
        fields["work"] = Work(**{**work, "space": Space(**work["space"])})
        return cls(**{**fields, "hosts": [(str(host), int(port)) for host, port in fields["hosts"]]})


class Pool(Protocol):
    """Several event loops, each with a session of its own."""

    async def run_on_all(self, run: Callable[[AsyncSession, int], Awaitable[None]], count: int) -> None:
        """Run `run(session, number)` for every number below `count`, spread evenly over the loops."""

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Driver:
    """A client, and how it connects: blocking, on an event loop, and on several."""

    client: str
    version: str
    connect: Callable[[Job], Session] | None = None
    connect_async: Callable[[Job], Awaitable[AsyncSession]] | None = None
    connect_pool: Callable[[Job], Awaitable[Pool]] | None = None
    finish: Callable[[], None] = lambda: None
    """What is left to do when the client has been closed for good."""


@dataclass(frozen=True)
class Limit:
    """When a round ends."""

    seconds: float | None
    operations: int | None
    workers: int

    def deadline(self, started_ns: int) -> int:
        return FOREVER if self.seconds is None else started_ns + int(self.seconds * 1e9)

    @property
    def share(self) -> int:
        return FOREVER if self.operations is None else max(1, self.operations // self.workers)
