"""A client that needs no server, for the tests of the protocol: it answers from the records, right or wrong.

Run as ``python -m`` from the checkout, or with the path of this file; the first option says what it does wrong, if
anything.
"""

import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark.lanes import records
from benchmark.lanes.serving import serve

FAULT = sys.argv.pop(1)


class Connected:
    """Looks at the data that everybody shares instead of asking a server."""

    def __init__(self, job):
        if FAULT == "cannot connect":
            raise ConnectionError("nobody is there")
        self._stored = {records.key(0, n): records.bins_of(0, n) for n in range(records.RECORDS_PER_SET)}
        if FAULT == "wrong kind":
            self._stored[records.key(0, 389)]["active"] = 0

    def call(self, kind, slot):
        next_key = itertools.cycle(records.read_keys(slot)).__next__
        if FAULT == "prints":
            print("a library says something")
        if FAULT == "dies":
            sys.exit("killed by its library")

        def get():
            if FAULT == "raises":
                raise TimeoutError("too late")
            return self._stored[next_key()]

        return get

    def close(self):
        pass


class AsyncConnected(Connected):
    """The same, awaited."""

    def call(self, kind, slot):
        get = super().call(kind, slot)

        async def awaited():
            return get()

        return awaited

    async def close(self):
        pass


async def connect_async(job):
    return AsyncConnected(job)


serve("fake", "1.0", Connected, connect_async)
