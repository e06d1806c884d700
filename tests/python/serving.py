"""Web servers in processes of their own, for tests of services that use the client. The services are elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PATIENCE_SECONDS = 60
"""Longest time that anything may take here; what takes longer hangs."""
_ADDRESS = re.compile(r"(?:running on|Listening at:) (http://127\.0\.0\.1:\d+)")


class Serving:
    """A web server, with all processes that it starts; leaving it kills what is left of them.

    Args:
        command: Arguments of the interpreter, which must make the server listen on a free port of 127.0.0.1.
        environment: Variables beside those of the tests.
        folder: Where it runs.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._lines: list[str] = []
        self._printed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            cwd=folder,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._printed:
                    self._lines.append(line.rstrip("\n"))
                    self._printed.notify_all()

    @property
    def output(self) -> str:
        """What all processes have printed so far."""
        with self._printed:
            return "\n".join(self._lines)

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """Wait until a pattern has been printed so often, and return the first groups of all matches."""
        found: list[str] = []

        def is_there() -> bool:
            found[:] = [match for line in self._lines for match in re.findall(pattern, line)]
            return len(found) >= count

        with self._printed:
            assert self._printed.wait_for(is_there, PATIENCE_SECONDS), (pattern, count, "\n".join(self._lines))
        return found

    @property
    def address(self) -> str:
        """Where it listens, once it does."""
        return self.wait_for(_ADDRESS.pattern)[0]

    def get(self, path: str) -> httpx.Response:
        """Send one request on a connection of its own."""
        return httpx.get(self.address + path, timeout=PATIENCE_SECONDS)

    def get_later(self, path: str) -> Future[httpx.Response]:
        """Send a request and return at once."""
        sent: Future[httpx.Response] = Future()

        def ask() -> None:
            try:
                sent.set_result(self.get(path))
            except BaseException as error:
                sent.set_exception(error)

        threading.Thread(target=ask).start()
        return sent

    def put(self, path: str, body: Any) -> httpx.Response:
        """Send one request with a JSON body."""
        return httpx.put(self.address + path, json=body, timeout=PATIENCE_SECONDS)

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started, not to those that it started."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait until every process of the server is gone, and return the exit code of the first."""
        try:
            code = self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it hangs\n{self.output}") from None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _has_members(self.process.pid):
            assert time.monotonic() < deadline, f"a process is left\n{self.output}"
            time.sleep(0.02)
        self._reader.join(PATIENCE_SECONDS)
        return code


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
