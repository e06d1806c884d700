"""Both clients behind one face, so that one test body serves the synchronous lane and the asyncio lane.

``open_api`` connects a client of the lane that is asked for. Its methods are those of ``Client`` and return results,
not awaitables, in either lane; ``start`` returns a future instead, for tests that need several calls at once. Fixtures
that use this are in ``conftest.py``.
"""

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import aerospike_py

LANES = ("sync", "asyncio")
PATIENCE_SECONDS = 60
"""Longest time that any call of a test may take."""
_THREADS = 16


class LoopThread:
    """An event loop that runs in a thread of its own until it is stopped."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event loop of the tests")
        self._thread.start()

    def submit(self, coroutine):
        """Run a coroutine on the loop, and return a ``concurrent.futures.Future``."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self):
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()


class SyncApi:
    """The synchronous client."""

    lane = "sync"

    def __init__(self, config):
        self.client = aerospike_py.client(config)
        self._threads = ThreadPoolExecutor(_THREADS)

    def __getattr__(self, name):
        return getattr(self.client, name)

    def start(self, name, *arguments, **named):
        """Call a method in a thread, and return a future."""
        return self._threads.submit(getattr(self.client, name), *arguments, **named)

    def end(self):
        """Close the client and end the threads."""
        self.client.close()
        self._threads.shutdown()


class AsyncApi:
    """The asynchronous client, driven on a loop that others may share."""

    lane = "asyncio"

    def __init__(self, config, loop_thread):
        self.client = aerospike_py.async_client(config)
        self._loop_thread = loop_thread

    def __getattr__(self, name):
        getattr(self.client, name)
        return lambda *arguments, **named: self.start(name, *arguments, **named).result(PATIENCE_SECONDS)

    def start(self, name, *arguments, **named):
        """Call a method on the loop, and return a future."""
        return self._loop_thread.submit(self._call(getattr(self.client, name), arguments, named))

    def end(self):
        """Close the client."""
        self.close()

    @staticmethod
    async def _call(method, arguments, named):
        outcome = method(*arguments, **named)
        return await outcome if inspect.isawaitable(outcome) else outcome


def make_api(lane, config, loop_thread):
    """Return a client of a lane that is not connected yet."""
    return SyncApi(config) if lane == "sync" else AsyncApi(config, loop_thread)


def open_api(lane, config, loop_thread):
    """Return a connected client of a lane."""
    api = make_api(lane, config, loop_thread)
    try:
        api.connect()
    except BaseException:
        api.end()
        raise
    return api
