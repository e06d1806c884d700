"""Collector and scraper in trouble: processes that are killed, stopped in the middle of everything, and started again.

A stopped process (``SIGSTOP``) is one that hangs: the kernel goes on accepting connections for it, nobody answers.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from outlets import Account

PATIENCE_SECONDS = 60
IDLE_VISITORS = 6
"""Connections to the metrics server that half ask, or ask and never read the answer."""


class Visitor:
    """A program that can be gone, hang, and come back. Whatever it did is in its ledger.

    Args:
        program: File beside this one.
        port: What it listens at, or asks at.
        ledger: File that it adds a line to for everything it has done.
    """

    def __init__(self, program: str, port: int, ledger: Path) -> None:
        self.port = port
        self.ledger = ledger
        self._program = Path(__file__).with_name(program)
        self._process: subprocess.Popen[bytes] | None = None
        self.states = {"gone": 0, "hangs": 0, "up": 0}

    def up(self) -> None:
        """Come back, whatever it was."""
        self.gone()
        command = [sys.executable, str(self._program), str(self.port), str(self.ledger)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.states["up"] += 1

    def gone(self) -> None:
        """Die at once."""
        if self._process is not None:
            assert self._process.poll() is None, f"{self._program.name} has ended: {self._process.returncode}"
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)
            self._process = None
            self.states["gone"] += 1

    def hangs(self) -> None:
        """Do nothing more, without anybody noticing."""
        if self._process is None:
            self.up()
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        self.states["hangs"] += 1

    def lines(self) -> list[list[str]]:
        """What it has written into its ledger, over all its lives."""
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return [line.split() for line in text.splitlines()]


class IdleVisitors:
    """Connections to the metrics server from which nothing more will come."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[socket.socket] = []

    def come(self) -> None:
        """Half of them ask half a question, half of them do not read the answer."""
        for number in range(IDLE_VISITORS):
            visitor = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_SECONDS)
            visitor.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + (b"\r\n" if number % 2 else b""))
            self._open.append(visitor)

    def leave(self) -> None:
        """Close the connections."""
        while self._open:
            self._open.pop().close()


class Trouble:
    """A thread that changes the state of both visitors at random, and sees that it hurts and that everything recovers.

    Args:
        collector: Receives spans.
        scraper: Reads metrics.
        spans: What has become of spans so far.
        dwell: Shortest and longest time in seconds that a state lasts.
        seed: Of the random numbers.
    """

    def __init__(
        self,
        collector: Visitor,
        scraper: Visitor,
        spans: Callable[[], Account],
        dwell: tuple[float, float],
        seed: int,
    ) -> None:
        self._collector, self._scraper, self._spans = collector, scraper, spans
        self._idle = IdleVisitors(scraper.port)
        self._dwell = dwell
        self._rng = random.Random(seed)
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.recoveries = 0
        self.slowest_recovery = 0.0

    def start(self, seconds: float, done: Callable[[], None]) -> None:
        """Begin; after so many seconds and every kind of trouble, leave both at work and call ``done``."""
        self._thread = threading.Thread(target=self._run, args=(time.monotonic() + seconds, done), name="trouble")
        self._thread.start()

    def end(self) -> None:
        """Stop if it has not ended by itself."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(2 * PATIENCE_SECONDS)
            assert not self._thread.is_alive(), "the trouble does not end"
        if self._failure is not None:
            raise self._failure

    def _run(self, deadline: float, done: Callable[[], None]) -> None:
        try:
            states = ("gone", "hangs")
            rounds = [(collector, scraper) for collector in states for scraper in states]
            self._rng.shuffle(rounds)
            while (rounds or time.monotonic() < deadline) and not self._ending.is_set():
                self._one_round(*(rounds.pop() if rounds else self._rng.choices(states, k=2)))
        except BaseException as failure:
            self._failure = failure
        finally:
            self._idle.leave()
            done()

    def _one_round(self, collector: str, scraper: str) -> None:
        before = self._spans()
        getattr(self._collector, collector)()
        getattr(self._scraper, scraper)()
        if scraper == "hangs":
            self._idle.come()
        self._pause()
        # A request that hangs keeps the queue from being emptied.
        if collector == "hangs":
            self._wait_until(lambda: self._spans().dropped > before.dropped, "the queue is full")
        self._wait_until(lambda: self._spans().lost > before.lost, "a request has failed")
        self._recover()
        self._idle.leave()
        self._pause()

    def _recover(self) -> None:
        self._collector.up()
        self._scraper.up()
        began = time.monotonic()
        sent, scraped = self._spans().sent, len(self._scraper.lines())
        self._wait_until(lambda: self._spans().sent > sent, "spans get through again")
        self._wait_until(lambda: len(self._scraper.lines()) > scraped, "metrics are answered again")
        self.recoveries += 1
        self.slowest_recovery = max(self.slowest_recovery, time.monotonic() - began)

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition() and not self._ending.is_set():
            assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s until {what}"
            time.sleep(0.02)

    def _pause(self) -> None:
        self._ending.wait(self._rng.uniform(*self._dwell))
