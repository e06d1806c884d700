"""A client that needs no server, for the tests of the harness: it answers from memory, right or wrong.

Run with the path of this file; the first option says what it does wrong, if anything.
"""

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark.harness.drive_null import AsyncConnected, Connected
from benchmark.harness.jobs import Driver
from benchmark.harness.serving import serve

FAULT = sys.argv.pop(1)
STALL_SECONDS = 0.3


class Fault:
    """What goes wrong, operation by operation."""

    def __init__(self):
        self._done = 0

    def next(self, bins):
        """The bins to answer with, after what goes wrong has done so."""
        self._done += 1
        if FAULT == "connection":
            raise ConnectionError("nobody is there")
        if FAULT == "every third too late" and self._done % 3 == 0:
            raise TimeoutError("too late")
        if FAULT == "wrong" and bins is not None:
            return {**bins, "b0": -1}
        return bins

    def stalls(self):
        """Whether this is the one operation that takes long."""
        return FAULT == "stalls once" and self._done == 5


class Faulty(Connected):
    """The blocking half."""

    def __init__(self, job):
        super().__init__(job)
        self._fault = Fault()
        if FAULT == "prints":
            print("a library says something")

    def get(self, key):
        bins = self._fault.next(super().get(key))
        if self._fault.stalls():
            time.sleep(STALL_SECONDS)
        return bins


class AsyncFaulty(AsyncConnected):
    """The asynchronous half."""

    def __init__(self, job):
        super().__init__(job)
        self._fault = Fault()

    async def get(self, key):
        bins = self._fault.next(await super().get(key))
        if self._fault.stalls():
            time.sleep(STALL_SECONDS)  # noqa: ASYNC251 - the loop is what is to stall
        if FAULT == "never ends":
            await asyncio.Event().wait()
        return bins


async def connect_async(job):
    return AsyncFaulty(job)


serve(Driver("fake", "1.0", Faulty, connect_async))
