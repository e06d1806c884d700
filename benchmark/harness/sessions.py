"""What a driver makes of its client, and the operations that are made of that, the same for every client.

Standard library only: it is imported by the Python of every client. A driver subclasses `Session`, `AsyncSession` or
both, and adds nothing but its client's own calls.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmark.harness.data import Bins, Key
from benchmark.harness.loops import AsyncStep, Step
from benchmark.harness.operations import (
    NOT_FOUND,
    NOTHING_FOUND,
    READ,
    UPDATE,
    Work,
    batches,
    check_size,
    endless,
    singles,
)

Found = dict[str, Bins]


class Preparing:
    """What both kinds of sessions have in common."""

    def prepare(self, key: Key) -> Any:
        """A key as the client takes it; made before anything is timed."""
        return key

    def prepare_batch(self, keys: list[Key]) -> Any:
        """The keys of a batch as the client takes them."""
        return keys

    def plain(self, found: Any, keys: list[Key], work: Work) -> Found:
        """The result of a batch as `{user_key: bins}`, for its verification."""
        result: Found = found
        return result

    def timed_out(self, error: Exception) -> bool:
        """Whether an exception says that there was not enough time."""
        return isinstance(error, TimeoutError)

    def stages(self) -> list[dict[str, Any]] | None:
        """Where the time of the operations since the last call went, if the client knows."""
        return None


class Session(Preparing):
    """A connected client for calls that block."""

    def get(self, key: Any) -> Bins | None:
        """The bins of a record, or nothing if it does not exist."""
        raise NotImplementedError

    def put(self, key: Any, bins: Bins) -> None:
        raise NotImplementedError

    def batch_as(self, work: Work) -> Callable[[Any], Any]:
        """What reads a batch into the wanted kind of result.

        Raises:
            ValueError: The client has no such result.
        """
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class AsyncSession(Preparing):
    """A connected client for calls that are awaited."""

    async def get(self, key: Any) -> Bins | None:
        """The bins of a record, or nothing if it does not exist."""
        raise NotImplementedError

    async def put(self, key: Any, bins: Bins) -> None:
        raise NotImplementedError

    def batch_as(self, work: Work) -> Callable[[Any], Awaitable[Any]]:
        """What reads a batch into the wanted kind of result.

        Raises:
            ValueError: The client has no such result.
        """
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def only_dictionaries(work: Work, client: str) -> None:
    """Refuse results that a client does not offer.

    Raises:
        ValueError: Another result than a dictionary is wanted.
    """
    if work.result != "dict":
        raise ValueError(f"{client} returns no batch as {work.result}")


def all_of(found: list[Any]) -> Any:
    """The results of several batches in one."""
    if len(found) == 1:
        return found[0]
    together: dict[Any, Any] = {}
    for each in found:
        together.update(each)
    return together


def request_of(session: Session, work: Work) -> Callable[[list[Any]], Any]:
    """What does the batches of an operation, one after the other."""
    batch = session.batch_as(work)
    if work.mode == "gathered":
        raise ValueError("blocking calls cannot be gathered")
    return lambda prepared: all_of([batch(keys) for keys in prepared])


def async_request_of(session: AsyncSession, work: Work) -> Callable[[list[Any]], Awaitable[Any]]:
    """What does the batches of an operation, one after the other or all at once."""
    batch = session.batch_as(work)

    async def gathered(prepared: list[Any]) -> Any:
        return all_of(await asyncio.gather(*(batch(keys) for keys in prepared)))

    async def in_turn(prepared: list[Any]) -> Any:
        return all_of([await batch(keys) for keys in prepared])

    return gathered if work.mode == "gathered" else in_turn


def prepared_batches(session: Preparing, work: Work, slot: int, slots: int) -> list[list[Any]]:
    return [[session.prepare_batch(keys) for keys in request] for request in batches(work, slot, slots)]


def step_of(session: Session, work: Work, slot: int, slots: int) -> Step:
    """The operations of a thread: each call does the next one."""
    if work.kind == "nothing":
        return lambda: READ
    if work.kind == "single":
        get, put = session.get, session.put
        following = endless(singles(work, slot, slots, session.prepare))

        def single() -> int:
            outcome, key, bins = following()
            if outcome == UPDATE:
                put(key, bins)
                return UPDATE
            return NOT_FOUND if get(key) is None else READ

        return single
    request, wanted = request_of(session, work), work.keys_per_step()
    next_batches = endless(prepared_batches(session, work, slot, slots))
    return lambda: check_size(request(next_batches()), wanted)


def async_step_of(session: AsyncSession, work: Work, slot: int, slots: int) -> AsyncStep:
    """The operations of a task: each call does the next one."""
    if work.kind == "nothing":

        async def nothing() -> int:
            return READ

        return nothing
    if work.kind == "single":
        get, put = session.get, session.put
        following = endless(singles(work, slot, slots, session.prepare))

        async def single() -> int:
            outcome, key, bins = following()
            if outcome == UPDATE:
                await put(key, bins)
                return UPDATE
            return NOT_FOUND if await get(key) is None else READ

        return single
    request, wanted = async_request_of(session, work), work.keys_per_step()
    next_batches = endless(prepared_batches(session, work, slot, slots))

    async def several() -> int:
        return check_size(await request(next_batches()), wanted)

    return several


def cold_step(connect: Callable[[], Session], work: Work, slot: int, slots: int) -> Step:
    """Connect, read one record, close."""
    keys = itertools.cycle(singles(work, slot, slots, lambda key: key))

    def cold() -> int:
        session = connect()
        try:
            return NOT_FOUND if session.get(session.prepare(next(keys)[1])) is None else READ
        finally:
            session.close()

    return cold


def async_cold_step(connect: Callable[[], Awaitable[AsyncSession]], work: Work, slot: int, slots: int) -> AsyncStep:
    """Connect, read one record, close."""
    keys = itertools.cycle(singles(work, slot, slots, lambda key: key))

    async def cold() -> int:
        session = await connect()
        try:
            return NOT_FOUND if await session.get(session.prepare(next(keys)[1])) is None else READ
        finally:
            await session.close()

    return cold


def slowed(step: Step, share: float) -> Step:
    """An operation that takes a part longer than it would: a planted regression."""

    def slow() -> int:
        began = time.perf_counter_ns()
        outcome = step()
        _burn(began, share)
        return outcome

    return slow


def async_slowed(step: AsyncStep, share: float) -> AsyncStep:
    """An operation that takes a part longer than it would: a planted regression."""

    async def slow() -> int:
        began = time.perf_counter_ns()
        outcome = await step()
        _burn(began, share)
        return outcome

    return slow


def _burn(began: int, share: float) -> None:
    now = time.perf_counter_ns()
    until = now + int((now - began) * share)
    while time.perf_counter_ns() < until:
        pass


def results_of(session: Session, work: Work, slots: int, operations: int) -> list[Any]:
    """The results of the first operations of the first thread."""
    if work.kind in ("single", "cold"):
        found: list[Any] = []
        for outcome, key, bins in itertools.islice(_again(singles(work, 0, slots, session.prepare)), operations):
            if outcome == UPDATE:
                session.put(key, bins or {})
            found.append(None if outcome == UPDATE else _read(session.get(key)))
        return found
    if work.kind == "nothing":
        return [None] * operations
    request, keys = request_of(session, work), batches(work, 0, slots)
    prepared = prepared_batches(session, work, 0, slots)
    return [
        session.plain(request(of_step), list(itertools.chain.from_iterable(named)), work)
        for named, of_step in itertools.islice(_again(list(zip(keys, prepared, strict=True))), operations)
    ]


async def async_results_of(session: AsyncSession, work: Work, slots: int, operations: int) -> list[Any]:
    """The results of the first operations of the first task."""
    if work.kind in ("single", "cold"):
        found: list[Any] = []
        for outcome, key, bins in itertools.islice(_again(singles(work, 0, slots, session.prepare)), operations):
            if outcome == UPDATE:
                await session.put(key, bins or {})
            found.append(None if outcome == UPDATE else _read(await session.get(key)))
        return found
    if work.kind == "nothing":
        return [None] * operations
    request, keys = async_request_of(session, work), batches(work, 0, slots)
    prepared = prepared_batches(session, work, 0, slots)
    return [
        session.plain(await request(of_step), list(itertools.chain.from_iterable(named)), work)
        for named, of_step in itertools.islice(_again(list(zip(keys, prepared, strict=True))), operations)
    ]


def _again(items: list[Any]) -> Any:
    return itertools.cycle(items)


def _read(bins: Bins | None) -> Any:
    return NOTHING_FOUND if bins is None else bins
