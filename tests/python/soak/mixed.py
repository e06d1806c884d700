"""Writers at work: threads on a synchronous client and tasks on an asynchronous one, until enough calls are made."""

from __future__ import annotations

import asyncio
import faulthandler
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from aerospike_py.exception import AerospikeError
from ledger import AbandonedError, Call, Writer

if TYPE_CHECKING:
    from collections.abc import Generator

    from aerospike_py import AsyncClient, Client

THREADS = 16
TASKS = 64
CANCELLED_SHARE = 0.005
PATIENCE_SECONDS = 60


class Workload:
    """All writers, and how many calls they have begun and ended.

    Args:
        operations: How many calls to make, unless ``stopping`` is set before.
        seed: Of the random numbers.
        threads: Writers on the synchronous client.
        tasks: Writers on the asynchronous client.
    """

    def __init__(self, operations: int, seed: int, threads: int = THREADS, tasks: int = TASKS) -> None:
        self.writers: list[Writer] = []
        self._threads = threads
        for number in range(threads + tasks):
            self.writers.append(Writer(number, random.Random(f"{seed}-{number}"), self.writers))
        self.stopping = threading.Event()
        self.problems: list[BaseException] = []
        self.issued = [0] * len(self.writers)
        self.completed = [0] * len(self.writers)
        # Half of the calls are made by threads, half by tasks.
        self._budgets = [operations // 2 // threads] * threads + [operations // 2 // tasks] * tasks
        self._rng = random.Random(seed)

    def run(self, client: Client, async_client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        """Work until every writer has made its calls or something is wrong."""
        workers = [threading.Thread(target=self._run_thread, args=(client, number)) for number in range(self._threads)]
        workers.append(threading.Thread(target=self._run_loop, args=(async_client, loop)))
        for worker in workers:
            # A worker that hangs must not keep the process from ending.
            worker.daemon = True
            worker.start()
        self._watch(workers)
        if self.problems:
            raise self.problems[0]

    def _watch(self, workers: list[threading.Thread]) -> None:
        """Wait for the workers; a call that does not end is a failure at once, whatever the others do."""
        completed, since = list(self.completed), [time.monotonic()] * len(self.writers)
        while any(worker.is_alive() for worker in workers):
            time.sleep(0.05)
            now = time.monotonic()
            for number in range(len(self.writers)):
                if self.completed[number] != completed[number] or self.issued[number] == self.completed[number]:
                    completed[number], since[number] = self.completed[number], now
            lost = [number for number, last in enumerate(since) if now - last > PATIENCE_SECONDS]
            if lost:
                faulthandler.dump_traceback(file=sys.__stderr__, all_threads=True)
                raise AssertionError(f"none has ended for {PATIENCE_SECONDS} s: {', '.join(map(self._name, lost))}")

    def _name(self, number: int) -> str:
        """Who has made a call that has not ended, and how many of its calls have."""
        kind = "thread" if number < self._threads else "task"
        return f"{kind} {number} after {self.completed[number]} operations"

    def check_everything(self, client: Client) -> None:
        """Read all keys of all writers once more."""
        for number, writer in enumerate(self.writers):
            self._drive(client, number, writer.final_steps())

    def _goes_on(self, number: int) -> bool:
        return self.issued[number] < self._budgets[number] and not self.stopping.is_set()

    def _fail(self, problem: BaseException) -> None:
        self.problems.append(problem)
        self.stopping.set()

    def _run_thread(self, client: Client, number: int) -> None:
        try:
            self._drive(client, number, self.writers[number].steps(), lambda: self._goes_on(number))
        except BaseException as problem:
            self._fail(problem)

    def _drive(self, client: Client, number: int, steps: Generator[Call, Any, None], goes_on: Any = None) -> None:
        tally = self.writers[number].tally
        call = next(steps, None)
        while call is not None and (goes_on is None or goes_on()):
            self.issued[number] += 1
            try:
                answer = getattr(client, call.method)(*call.arguments)
            except AerospikeError as error:
                self.completed[number] += 1
                tally.count_failure(error)
                call = advance(steps, error)
            else:
                self.completed[number] += 1
                tally.succeeded += 1
                call = advance(steps, answer)

    def _run_loop(self, client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self._run_tasks(client))

    async def _run_tasks(self, client: AsyncClient) -> None:
        tasks = range(self._threads, len(self.writers))
        await asyncio.gather(*(self._run_task(client, number) for number in tasks))
        # The callbacks of the last operations are scheduled behind the tasks that awaited them.
        await asyncio.sleep(0)

    async def _run_task(self, client: AsyncClient, number: int) -> None:
        writer = self.writers[number]
        steps = writer.steps()
        try:
            call = next(steps)
            while self._goes_on(number):
                call = advance(steps, await self._make(client, number, call))
        except BaseException as problem:
            self._fail(problem)

    async def _make(self, client: AsyncClient, number: int, call: Call) -> Any:
        """Make one call; return its answer, or its error."""
        tally = self.writers[number].tally
        operation = getattr(client, call.method)(*call.arguments)
        self.issued[number] += 1
        operation.add_done_callback(lambda _: self._count(number))
        if self._rng.random() < CANCELLED_SHARE:
            # A crowded loop comes to a timer only after the replies that have arrived: half do not wait.
            if self._rng.random() < 0.5:
                await asyncio.sleep(self._rng.random() * 0.002)
            operation.cancel()
        try:
            answer = await operation
        except AerospikeError as error:
            tally.count_failure(error)
            return error
        except asyncio.CancelledError:
            tally.abandoned += 1
            return AbandonedError()
        tally.succeeded += 1
        return answer

    def _count(self, number: int) -> None:
        self.completed[number] += 1


def advance(steps: Generator[Call, Any, None], outcome: Any) -> Any:
    """Give a writer its answer or its error; return the next call it wants, or ``None`` if that was all."""
    try:
        return steps.throw(outcome) if isinstance(outcome, Exception) else steps.send(outcome)
    except StopIteration:
        return None
