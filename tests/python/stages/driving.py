"""One face for both lanes, so that a test is written once: call an operation and have its result.

A driver makes calls and nothing else; measuring them is in ``measuring``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import aerospike_py

if TYPE_CHECKING:
    from collections.abc import Callable

    from aerospike_py.testing import EmbeddedServer
    from aerospike_py.types import ClientConfig

LANES = ("sync", "asyncio")

HEAD_START = 0.012
"""Seconds that the call which occupies something is ahead of the one that must wait for it."""


class SyncDriver:
    """Calls on the calling thread."""

    lane = "sync"

    def __init__(self, config: ClientConfig) -> None:
        self.client = aerospike_py.client(config).connect()

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        """Call an operation and return its result."""
        return getattr(self.client, operation)(*arguments, **keywords)

    def timed(self, operation: str, *arguments: Any, **keywords: Any) -> int:
        """Call an operation and return how many nanoseconds it took to its caller."""
        method = getattr(self.client, operation)
        started = time.perf_counter_ns()
        # Kept for so long: freeing the result is not a part of the call.
        result = method(*arguments, **keywords)
        ended = time.perf_counter_ns()
        del result
        return ended - started

    def behind(self, first: Callable[[], tuple[Any, ...]], second: Callable[[], tuple[Any, ...]]) -> Any:
        """Start the first call, then the second while the first is under way; return the second's result."""
        occupying = threading.Thread(target=lambda: self.call(*first()))
        occupying.start()
        try:
            time.sleep(HEAD_START)
            return self.call(*second())
        finally:
            occupying.join()

    def close(self) -> None:
        """Close the client."""
        self.client.close()


class AsyncDriver:
    """Calls on an event loop of its own."""

    lane = "asyncio"

    def __init__(self, config: ClientConfig) -> None:
        self.runner = asyncio.Runner()

        async def connect() -> aerospike_py.AsyncClient:
            return await aerospike_py.async_client(config).connect()

        try:
            self.client = self.runner.run(connect())
        except BaseException:
            self.runner.close()
            raise

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        """Call an operation and return its result."""

        async def calling() -> Any:
            return await getattr(self.client, operation)(*arguments, **keywords)

        return self.runner.run(calling())

    def timed(self, operation: str, *arguments: Any, **keywords: Any) -> int:
        """Call an operation and return how many nanoseconds it took to the awaiting coroutine."""

        async def timing() -> int:
            method = getattr(self.client, operation)
            started = time.perf_counter_ns()
            result = await method(*arguments, **keywords)
            ended = time.perf_counter_ns()
            del result
            return ended - started

        return self.runner.run(timing())

    def behind(self, first: Callable[[], tuple[Any, ...]], second: Callable[[], tuple[Any, ...]]) -> Any:
        """Start the first call, then the second while the first is under way; return the second's result."""

        async def both() -> Any:
            name, *arguments = first()
            occupying = asyncio.ensure_future(getattr(self.client, name)(*arguments))
            await asyncio.sleep(HEAD_START)
            try:
                name, *arguments = second()
                return await getattr(self.client, name)(*arguments)
            finally:
                await occupying

        return self.runner.run(both())

    def close(self) -> None:
        """Close the client and its loop."""

        async def closing() -> None:
            await self.client.close()

        try:
            self.runner.run(closing())
        finally:
            self.runner.close()


Driver = SyncDriver | AsyncDriver


def drive(lane: str, server: EmbeddedServer, **overrides: Any) -> Driver:
    """Connect a client of one lane."""
    return (SyncDriver if lane == "sync" else AsyncDriver)(server.config(**overrides))
