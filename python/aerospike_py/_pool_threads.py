"""The threads behind :class:`aerospike_py.AsyncPool`: each runs an event loop with a client of its own.

What crosses threads goes through an :class:`Inbox`, which wakes its loop once for however much is in it. Which thread
gets what, and what users see of it, is in ``async_pool``.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aerospike_py import _aerospike
from aerospike_py.types import ClientConfig

_T = TypeVar("_T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Work = Callable[[_aerospike.AsyncClient], Awaitable[Any]]


JOIN_SECONDS = 2.0
"""Longest wait for a thread that has been told to end."""


class Inbox:
    """Where other threads leave what a loop has to do."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._signalled = False

    def post(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Have a function called by the loop; ``False`` if the loop has been closed. The function must not raise."""
        # First the call, then a look at the flag: a drain clears the flag before it looks for calls.
        self._calls.append((function, arguments))
        if not self._signalled:
            self._signalled = True
            try:
                self.loop.call_soon_threadsafe(self._drain)
            except RuntimeError:
                return False
        return True

    def _drain(self) -> None:
        self._signalled = False
        while True:
            try:
                function, arguments = self._calls.popleft()
            except IndexError:
                return
            function(*arguments)


class _Here(threading.local):
    inbox: Inbox | None = None


_here = _Here()


def inbox_here() -> Inbox:
    """Return the inbox of the loop that runs on this thread."""
    loop = asyncio.get_running_loop()
    inbox = _here.inbox
    if inbox is None or inbox.loop is not loop:
        inbox = _here.inbox = Inbox(loop)
    return inbox


class Reply(asyncio.Future[_T]):
    """The result of work on another thread's loop, for the loop that asked for it.

    Cancelling it asks for the work to be cancelled; like a task, it is over when the work is.
    """

    def __init__(self, on_cancel: Callable[[Any], object]) -> None:
        self._inbox = inbox_here()
        super().__init__(loop=self._inbox.loop)
        self._on_cancel = on_cancel

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask for the work to be cancelled; ``False`` if it is over."""
        if self.done():
            return False
        self._on_cancel(msg)
        return True

    def give(self, value: _T) -> None:
        """End it with a result, from any thread."""
        self._inbox.post(self._settle, value, None)

    def fail(self, error: BaseException) -> None:
        """End it with an exception, from any thread."""
        self._inbox.post(self._settle, None, error)

    def _settle(self, value: _T, error: BaseException | None) -> None:
        if self.done():
            return
        if isinstance(error, asyncio.CancelledError):
            super().cancel(*error.args[:1])
        elif error is not None:
            self.set_exception(error)
        else:
            self.set_result(value)


class Job:
    """One piece of work and who waits for it."""

    def __init__(self, member: Member, work: Work) -> None:
        self._member = member
        self._work = work
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[tuple[Any, BaseException | None]] | None = None
        self._given_up: tuple[Any, ...] | None = None
        self.reply: Reply[Any] = Reply(self._give_up)

    def begin(self) -> None:
        """Start, on the member's loop."""
        if self._given_up is not None:
            self.end(None, asyncio.CancelledError(*self._given_up))
            return
        # The task takes a copy of the context that it is made in: that of whoever waits.
        self._task = self._context.run(asyncio.create_task, self._carry_out())
        self._task.add_done_callback(self._task_has_ended)

    def cancel(self, *message: Any) -> None:
        """Cancel the work, on the member's loop."""
        self._given_up = message
        if self._task is not None:
            self._task.cancel(*message)

    def end(self, value: Any, error: BaseException | None) -> None:
        """Say what the work came to, on the member's loop."""
        self._member.forget(self)
        if error is None:
            self.reply.give(value)
        else:
            self.reply.fail(error)

    def _give_up(self, message: Any) -> None:
        arguments = () if message is None else (message,)
        self._member.post(self.cancel, *arguments)

    async def _carry_out(self) -> tuple[Any, BaseException | None]:
        # Whatever it is, it is for whoever waits: not even SystemExit may end this thread's loop.
        try:
            return await self._work(self._member.client), None
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return None, error

    def _task_has_ended(self, task: asyncio.Task[tuple[Any, BaseException | None]]) -> None:
        # A task that is cancelled before its first step never gets to say anything itself.
        if task.cancelled():
            self.end(None, asyncio.CancelledError(*(self._given_up or ())))
        else:
            self.end(*task.result())


class Member:
    """One thread with an event loop and a connected client."""

    client: _aerospike.AsyncClient

    def __init__(self, name: str, config: ClientConfig, loop_factory: LoopFactory) -> None:
        self.jobs: set[Job] = set()
        """What has been given to it and has not ended."""
        self.inbox: Inbox | None = None
        self.started: Reply[None] = Reply(lambda _: self.abandon())
        self._config = config
        self._loop_factory = loop_factory
        self._main: asyncio.Task[None] | None = None
        self._stopping = False
        self._attention: asyncio.Event | None = None
        self._abandoned = False
        self._lock = threading.Lock()
        self._ended = False
        self._stopped: list[Reply[None]] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; ``started`` ends when the client is connected or could not be."""
        try:
            self._thread.start()
        except BaseException:
            self._ended = True
            raise
        _running.add(self)

    def give(self, work: Work) -> Reply[Any]:
        """Have work carried out, from any loop."""
        job = Job(self, work)
        with self._lock:
            if self._ended:
                raise _gone()
            self.jobs.add(job)
        self.post(job.begin)
        return job.reply

    def forget(self, job: Job) -> None:
        """A job has ended, on this member's loop."""
        self.jobs.discard(job)
        if self._stopping:
            self._notice()

    def stop(self, *, cancel: bool) -> Reply[None]:
        """Stop once the jobs have ended, from any loop; cancelling the reply cancels the jobs."""
        reply: Reply[None] = Reply(lambda _: self.post(self._cancel_jobs))
        with self._lock:
            ended = self._ended
            if not ended:
                self._stopped.append(reply)
        if ended:
            reply.give(None)
        else:
            self.post(self._begin_to_stop, cancel)
        return reply

    def abandon(self) -> None:
        """Stop without waiting for anything, from any thread."""
        self._abandoned = True
        self.post(self._cancel_main)

    def join(self) -> None:
        """Wait a moment for a thread that has been told to end."""
        if self._thread.ident is not None:
            self._thread.join(JOIN_SECONDS)

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function called on this member's loop, if there still is one."""
        if self.inbox is not None:
            self.inbox.post(function, *arguments)

    def _begin_to_stop(self, cancel: bool) -> None:
        self._stopping = True
        if cancel:
            self._cancel_jobs()
        self._notice()

    def _notice(self) -> None:
        if self._attention is not None:
            self._attention.set()

    def _cancel_jobs(self) -> None:
        for job in list(self.jobs):
            job.cancel()

    def _cancel_main(self) -> None:
        if self._main is not None:
            self._main.cancel()

    def _run(self) -> None:
        try:
            loop = self._loop_factory()
            self.inbox = Inbox(loop)
            try:
                self._main = loop.create_task(self._serve())
                # Whoever abandons says so before it looks for the inbox.
                if self._abandoned:
                    self._main.cancel()
                loop.run_until_complete(self._main)
            finally:
                _wind_up(loop)
        except BaseException as error:
            self.started.fail(error)
        finally:
            self._end()

    async def _serve(self) -> None:
        self._attention = asyncio.Event()
        self.client = await _aerospike.AsyncClient(self._config).connect()
        try:
            self.started.give(None)
            while not self._stopping or self.jobs:
                await self._attention.wait()
                self._attention.clear()
        finally:
            await self.client.close()

    def _end(self) -> None:
        with self._lock:
            self._ended = True
        for job in list(self.jobs):
            job.end(None, _gone())
        for reply in self._stopped:
            reply.give(None)


def _gone() -> Exception:
    return _aerospike.ClientError("this thread of the pool has ended: make another pool")


async def _all_of(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    """Do for a loop what ``asyncio.run`` does when its coroutine has ended."""
    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(_all_of(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


_running: weakref.WeakSet[Member] = weakref.WeakSet()


def _end_all() -> None:
    """End the threads of pools that nobody has closed: the interpreter exits."""
    members = list(_running)
    for member in members:
        member.abandon()
    for member in members:
        member.join()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    # The child of a fork has none of these threads.
    os.register_at_fork(after_in_child=_running.clear)
