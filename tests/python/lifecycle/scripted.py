"""Scripts in processes of their own, for tests about the life of an interpreter."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aerospike_py.testing import EmbeddedServer

IMPORTS = """\
import aerospike_py
from aerospike_py.exception import AerospikeTimeoutError, ClientError
"""
PREAMBLE = """\
import asyncio, json, os, sys, threading, time
CONFIG = {"hosts": [tuple(host) for host in json.loads(os.environ["HOSTS"])]}
KEY = ("test", "scripts", "k")
PATIENT = {"total_timeout": 20_000, "socket_timeout": 20_000, "max_retries": 0}
FOR_EVER = {"total_timeout": 0, "socket_timeout": 0, "max_retries": 0}
"""


@dataclass(frozen=True)
class Finished:
    """How a script ended."""

    returncode: int
    stdout: str
    stderr: str

    def lines(self) -> list[str]:
        """Return what the script printed, after checking that it ended well and silently."""
        assert (self.returncode, self.stderr) == (0, ""), (self.returncode, self.stdout, self.stderr)
        return self.stdout.splitlines()


class ScriptRunner:
    """Runs scripts against one server."""

    def __init__(self, server: EmbeddedServer, folder: Path) -> None:
        self._hosts = json.dumps(server.hosts)
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self, source: str, *, options: Sequence[str] = (), imports_package: bool = True, **environment: str
    ) -> subprocess.Popen[str]:
        """Start a script and return at once."""
        path = self._folder / f"script_{len(self._started)}.py"
        path.write_text(PREAMBLE + IMPORTS * imports_package + textwrap.dedent(source))
        process = subprocess.Popen(
            [sys.executable, *options, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "HOSTS": self._hosts, "PYTHONUNBUFFERED": "1", **environment},
        )
        self._started.append(process)
        return process

    def run(
        self,
        source: str,
        *,
        timeout: float = 30,
        options: Sequence[str] = (),
        imports_package: bool = True,
        **environment: str,
    ) -> Finished:
        """Run a script to its end."""
        process = self.start(source, options=options, imports_package=imports_package, **environment)
        return finish(process, timeout)

    def end(self) -> None:
        """End what still runs."""
        for process in self._started:
            kill(process)
            if process.stdout is not None and not process.stdout.closed:
                process.communicate(timeout=10)


def finish(process: subprocess.Popen[str], timeout: float = 30) -> Finished:
    """Wait for a script to end; one that hangs fails the test with what it has printed."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill(process)
        stdout, stderr = process.communicate(timeout=10)
        raise AssertionError(f"hung for {timeout} s\nstdout: {stdout}\nstderr: {stderr}") from None
    return Finished(process.returncode, stdout, stderr)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a script with all processes that it has started and that are left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for_line(process: subprocess.Popen[str], expected: str, seconds: float = 60) -> None:
    """Wait until a script prints a line; one that hangs is killed, and the test fails."""
    assert process.stdout is not None
    watchdog = threading.Timer(seconds, kill, (process,))
    watchdog.start()
    try:
        line = _read_line(process.stdout.fileno())
    finally:
        watchdog.cancel()
    if line != expected:
        finished = finish(process)
        raise AssertionError(f"printed {line!r} instead of {expected!r}\n{finished}")


def _read_line(descriptor: int) -> str:
    """Read one line and no more: what a buffer holds is not there for ``communicate``."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(descriptor, 1)):
        line += byte
    return line.decode().rstrip("\n")


def eventually(condition: object, *, seconds: float = 10) -> bool:
    """Whether a condition becomes true in time."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())
