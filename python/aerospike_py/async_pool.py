"""One client on several event loops: :class:`AsyncPool`.

On a Python without the GIL an event loop keeps one processor busy, however many there are. A pool runs several, each in
a thread of its own with a client of its own, and behaves like one client. How the threads live is in ``_pool_threads``.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from aerospike_py import _aerospike
from aerospike_py._pool_threads import LoopFactory, Member, Reply
from aerospike_py.types import ClientConfig

__all__ = ["AsyncPool"]

_T = TypeVar("_T")
_Item = TypeVar("_Item")
_Arguments = ParamSpec("_Arguments")
_Client = _aerospike.AsyncClient


def _on_a_loop(
    method: Callable[Concatenate[_Client, _Arguments], _aerospike.Operation[_T]],
) -> Callable[Concatenate[AsyncPool, _Arguments], Coroutine[Any, Any, _T]]:
    """Make the pool's counterpart of a client's method."""

    async def on_a_loop(pool: AsyncPool, /, *arguments: _Arguments.args, **named: _Arguments.kwargs) -> _T:
        result: _T = await pool._give(lambda client: method(client, *arguments, **named))
        return result

    name: str = method.__name__
    on_a_loop.__name__ = name
    on_a_loop.__qualname__ = f"AsyncPool.{name}"
    on_a_loop.__doc__ = f"As :meth:`AsyncClient.{name}`, on the loop that has least to do."
    on_a_loop.__wrapped__ = method  # type: ignore[attr-defined] # for inspect.signature
    return on_a_loop


class AsyncPool:
    """Several event loops with a client each, used as if they were one client.

    Leaving the ``async with`` block waits for work in flight; leaving it by an exception cancels that work first. A
    pool that is not closed does not keep the interpreter from exiting. The child of a fork cannot use its parent's.

    The methods of :class:`AsyncClient` are there as well, as coroutines: each call goes to the loop with the least work
    in flight and costs two hand-overs between threads. :meth:`run` and :meth:`map` move whole functions to a loop and
    pay for that once, so they are what makes a pool worth while; see ``docs/async-pool.md``.

    Args:
        config: The configuration of every client: a :class:`ClientConfig` dictionary. Each client has a connection pool
            of its own.
        threads: How many loops; by default as many as there are processors.
        loop_factory: What makes the loops, such as ``uvloop.new_event_loop``.

    Raises:
        ValueError: ``threads`` is less than one.

    Example:
        ```python
        async def visits(client, user):
            record = await client.operate(
                ("test", "pool", user),
                [
                    {"op": aerospike_py.OPERATOR_INCR, "bin": "visits", "val": 1},
                    {"op": aerospike_py.OPERATOR_READ, "bin": "visits"},
                ],
            )
            return record.bins["visits"]

        async with aerospike_py.AsyncPool({"hosts": hosts}, threads=2) as pool:
            await pool.put(("test", "pool", "ann"), {"visits": 1})
            assert await pool.run(visits, "ann") == 2
            assert sorted(await pool.map(visits, ["ann", "ann"])) == [3, 4]
        ```
    """

    def __init__(
        self, config: ClientConfig, threads: int | None = None, *, loop_factory: LoopFactory | None = None
    ) -> None:
        count = (os.cpu_count() or 1) if threads is None else threads
        if count < 1:
            raise ValueError(f"threads must be at least 1, not {count}")
        self._config = config
        self._count = count
        self._loop_factory = loop_factory or asyncio.new_event_loop
        self._members: list[Member] = []
        self._turns = itertools.count()
        self._state = "new"
        self._pid = os.getpid()

    async def __aenter__(self) -> AsyncPool:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close(cancel=kind is not None)

    async def open(self) -> AsyncPool:
        """Start the threads and connect their clients; ``async with`` does it.

        Returns:
            The pool.

        Raises:
            ClientError: It has been opened before.
            AerospikeError: What connecting raises; all threads have ended then.

        Example:
            ```python
            pool = await aerospike_py.AsyncPool({"hosts": hosts}, threads=2).open()
            assert pool.threads == 2
            await pool.close()
            ```
        """
        if self._state != "new":
            raise _aerospike.ClientError("this pool has been opened before: make another one")
        self._state = "open"
        members = [
            Member(f"aerospike-py-pool-{number}", self._config, self._loop_factory) for number in range(self._count)
        ]
        self._members = members
        weakref.finalize(self, _abandon, members).atexit = False
        try:
            for member in members:
                member.start()
            await asyncio.gather(*(member.started for member in members))
        except BaseException:
            for member in members:
                member.abandon()
            await self.close(cancel=True)
            raise
        return self

    async def close(self, *, cancel: bool = False) -> None:
        """Take no more work, wait for the work in flight, close the clients and end the threads.

        Closing twice does nothing. Cancelling ``close`` cancels the work in flight; it ends when the threads have.

        Args:
            cancel: Cancel the work in flight instead of waiting for it.

        Example:
            ```python
            pool = await aerospike_py.AsyncPool({"hosts": hosts}, threads=1).open()
            await pool.close()
            await pool.close()
            ```
        """
        if self._state != "open" or os.getpid() != self._pid:
            return
        self._state = "closed"
        members = self._members
        await asyncio.gather(*(member.stop(cancel=cancel) for member in members))
        for member in members:
            # It has said its last word.
            member.join()

    @property
    def threads(self) -> int:
        """How many loops it has."""
        return self._count

    async def run(
        self,
        function: Callable[Concatenate[_Client, _Arguments], Awaitable[_T]],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _T:
        """Run an asynchronous function on the loop that has least to do.

        The function sees the caller's context variables; what it sets is not seen here. Cancelling the call cancels the
        function, and the call ends when the function has.

        Args:
            function: Called with that loop's :class:`AsyncClient`, then with the other arguments.
            *args: Its other arguments.
            **kwargs: Its named arguments.

        Returns:
            What the function returns.

        Raises:
            ClientError: The pool is not open, or belongs to the process that this one was forked from.
            BaseException: What the function raises.

        Example:
            ```python
            async def age_of(client, user):
                return (await client.get(("test", "pool", user))).bins["age"]

            async with aerospike_py.AsyncPool({"hosts": hosts}, threads=2) as pool:
                await pool.put(("test", "pool", "bob"), {"age": 41})
                assert await pool.run(age_of, "bob") == 41
            ```
        """
        result: _T = await self._give(lambda client: function(client, *args, **kwargs))
        return result

    async def map(
        self, function: Callable[[_Client, _Item], Awaitable[_T]], items: Iterable[_Item], *, concurrency: int = 32
    ) -> list[_T]:
        """Run an asynchronous function for every item, on all loops.

        The loops take the items as they get to them, so that a slow item holds up nobody, and nothing crosses threads
        for an item. The iterable is advanced by one thread at a time.

        Args:
            function: Called with a loop's :class:`AsyncClient` and an item.
            items: The items.
            concurrency: How many items each loop has in hand at once.

        Returns:
            What the function returned, in the order of the items.

        Raises:
            ClientError: As for :meth:`run`.
            ValueError: ``concurrency`` is less than one.
            BaseException: The first exception of the function, or of the iterable; the others are cancelled then.

        Example:
            ```python
            async def write(client, number):
                await client.put(("test", "pool", number), {"n": number})
                return number

            async with aerospike_py.AsyncPool({"hosts": hosts}, threads=2) as pool:
                assert await pool.map(write, range(100)) == list(range(100))
            ```
        """
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        hand_out = _HandOut(items)
        results: dict[int, _T] = {}

        async def one_after_another(client: _Client) -> None:
            for place, item in hand_out:
                results[place] = await function(client, item)

        async def on_one_loop(client: _Client) -> None:
            await _all_or_none(one_after_another(client) for _ in range(concurrency))

        self._check()
        try:
            await _all_or_none(self._give_to(member, on_one_loop) for member in self._members)
        finally:
            hand_out.stop()
        return [results[place] for place in range(len(results))]

    get = _on_a_loop(_Client.get)
    put = _on_a_loop(_Client.put)
    select = _on_a_loop(_Client.select)
    exists = _on_a_loop(_Client.exists)
    remove = _on_a_loop(_Client.remove)
    touch = _on_a_loop(_Client.touch)
    append = _on_a_loop(_Client.append)
    prepend = _on_a_loop(_Client.prepend)
    increment = _on_a_loop(_Client.increment)
    remove_bin = _on_a_loop(_Client.remove_bin)
    operate = _on_a_loop(_Client.operate)
    operate_ordered = _on_a_loop(_Client.operate_ordered)
    batch_read = _on_a_loop(_Client.batch_read)
    batch_write = _on_a_loop(_Client.batch_write)
    batch_write_numpy = _on_a_loop(_Client.batch_write_numpy)
    batch_operate = _on_a_loop(_Client.batch_operate)
    batch_remove = _on_a_loop(_Client.batch_remove)
    truncate = _on_a_loop(_Client.truncate)
    info_all = _on_a_loop(_Client.info_all)
    info_random_node = _on_a_loop(_Client.info_random_node)
    ping = _on_a_loop(_Client.ping)

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise _aerospike.ClientError(
                "this pool was made before the process forked and cannot be used in the child: make a pool in the child"
            )
        if self._state != "open":
            raise _aerospike.ClientError(f"this pool is {self._state}, not open: use it inside `async with`")

    def _give(self, work: Callable[[_Client], Awaitable[Any]]) -> Reply[Any]:
        self._check()
        members = self._members
        first = next(self._turns) % len(members)
        # Equally busy loops take turns.
        member = min(members[first:] + members[:first], key=lambda member: len(member.jobs))
        return member.give(work)

    async def _give_to(self, member: Member, work: Callable[[_Client], Awaitable[_T]]) -> _T:
        result: _T = await member.give(work)
        return result


class _HandOut(Generic[_Item]):
    """Numbers items and hands each to one of several threads."""

    def __init__(self, items: Iterable[_Item]) -> None:
        self._items = enumerate(items)
        self._lock = threading.Lock()
        self._stopped = False

    def __iter__(self) -> _HandOut[_Item]:
        return self

    def __next__(self) -> tuple[int, _Item]:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._items)

    def stop(self) -> None:
        """Have no more items."""
        self._stopped = True


async def _all_or_none(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all; when one fails, cancel the others, wait for their end, and raise what it raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    failures = [task.exception() for task in tasks if not task.cancelled()]
    for failure in failures:
        if failure is not None:
            raise failure


def _abandon(members: list[Member]) -> None:
    """End the threads of a pool that nobody has closed and nobody can use any more."""
    for member in members:
        member.abandon()
