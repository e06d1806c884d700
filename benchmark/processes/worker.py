"""The processes of clients, from the parent's side of the protocol in `answering`."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from benchmark.processes.places import ROOT

REPLY_SECONDS = 60.0
_END_SECONDS = 10.0


class WorkerError(RuntimeError):
    """A client failed, said so, or said nothing."""


class CannotError(WorkerError):
    """A client cannot do what it was started for, and said so."""


class Worker:
    """A running client."""

    def __init__(
        self,
        command: Sequence[str],
        job: Mapping[str, Any],
        environment: Mapping[str, str],
        *,
        name: str,
        patience: float = REPLY_SECONDS,
    ) -> None:
        self.name = name
        self._patience = patience
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._pending = b""
        self._show: Callable[[Any], None] = lambda tick: None
        self._process = subprocess.Popen(
            [*command, json.dumps(job)],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, call: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its reply.

        Raises:
            WorkerError: It answered with an error, with nonsense, too late or not at all.
        """
        self.send(call, **arguments)
        return self.reply(call, self._patience + float(arguments.get("seconds") or 0))

    def on_tick(self, show: Callable[[Any], None]) -> None:
        """Have what comes before a reply shown; otherwise it is passed over."""
        self._show = show

    def send(self, call: str, **arguments: Any) -> None:
        request = json.dumps({"call": call, **arguments}) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request.encode())
            self._process.stdin.flush()
        except OSError as error:
            self._wait()
            raise WorkerError(f"{self.name} is gone before {call}: {self._last_words()}") from error

    def reply(self, call: str, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            answer = self._answer(call, deadline)
            if "tick" not in answer:
                return answer
            self._show(answer["tick"])

    def _answer(self, call: str, deadline: float) -> dict[str, Any]:
        line = self._line(call, deadline)
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise WorkerError(f"{self.name} answered {call} with {line[:200]!r}") from error
        if not isinstance(answer, dict):
            raise WorkerError(f"{self.name} answered {call} with {line[:200]!r}")
        if "unsupported" in answer:
            raise CannotError(str(answer["unsupported"]))
        if "error" in answer:
            raise WorkerError(f"{self.name} failed at {call}: {answer['error']}")
        return answer

    def _line(self, call: str, deadline: float) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(left, 0))
            if not ready:
                raise WorkerError(f"{self.name} did not answer {call} in time: {self._last_words()}")
            part = os.read(self._process.stdout.fileno(), 1 << 20)
            if not part:
                self._wait()
                raise WorkerError(f"{self.name} ended instead of answering {call}: {self._last_words()}")
            self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _wait(self) -> None:
        # What it says last it may say after it has closed its standard output.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)

    def _last_words(self) -> str:
        self._said.seek(0)
        words = self._said.read().decode(errors="replace").strip()
        return words[-2000:] or "it said nothing on standard error"

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process, politely first."""
        with contextlib.suppress(WorkerError):
            if self._process.poll() is None:
                self.send("end")
                self.reply("end", _END_SECONDS)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process.stdout.close()
        self._said.close()
