"""Runs oha, the HTTP load generator, and reads what it has found.

Every request is in the database that it writes, with its start and its end; what failed without a response is counted
in its summary. With a rate, requests are sent when the schedule says so, and latencies run from then.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmark.processes.places import ROOT

PROGRAM = Path("build/tools/bin/oha")
TIMEOUT_SECONDS = 10.0
"""How long a response may take; what takes longer is a time-out."""
_PATIENCE_SECONDS = 60.0
_OK = 200
_TIMED_OUT = "timeout"


class LoadError(OSError):
    """The load generator is not there, failed, or says what is not understood."""


@dataclass(frozen=True)
class Sent:
    """A request that got a response: when it was meant to start, started and ended, since the generator began."""

    intended_ns: int
    start_ns: int
    end_ns: int
    status: int

    @property
    def latency_ns(self) -> int:
        return self.end_ns - self.intended_ns

    @property
    def service_ns(self) -> int:
        """From the actual start."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True)
class Outcome:
    """What a run of the generator has found."""

    requests: list[Sent]
    """In the order in which they were started."""
    errors: dict[str, int]
    """What got no response: messages, and how often."""
    wall_ns: int
    cpu_ns: int


def program() -> Path:
    return ROOT / PROGRAM


def command(url: str, connections: int, seconds: float, rate: float | None, database: Path) -> list[str]:
    """The command line; with a rate, as many requests as arrive in this time, all of which are waited for."""
    if rate is None:
        limit = ["-z", f"{max(1, round(seconds * 1e3))}ms", "--wait-ongoing-requests-after-deadline"]
    else:
        limit = ["-n", str(math.ceil(rate * seconds)), "-q", f"{rate:g}", "--latency-correction"]
    quiet = ["--no-tui", "--no-color", "--output-format", "json", "--db-url", str(database)]
    return [str(program()), *quiet, "-c", str(connections), "-t", f"{TIMEOUT_SECONDS:g}s", *limit, url]


def run(url: str, connections: int, seconds: float, rate: float | None = None) -> Outcome:
    """Send requests, for a time or at a rate for a time.

    Raises:
        LoadError: The generator could not do it.
    """
    with tempfile.TemporaryDirectory(prefix="bench-load-") as folder:
        database = Path(folder) / "requests.db"
        before = _children_cpu_ns()
        try:
            # One thread: it shares the processors with what it measures.
            finished = subprocess.run(
                command(url, connections, seconds, rate, database),
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds + TIMEOUT_SECONDS + _PATIENCE_SECONDS,
                env={**os.environ, "TOKIO_WORKER_THREADS": "1"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LoadError(f"{program()} did not do it: {error}") from error
        if finished.returncode:
            raise LoadError(f"{PROGRAM.name} failed with {finished.returncode}: {finished.stderr[-500:]}")
        return read(finished.stdout, database, _children_cpu_ns() - before)


def read(summary: str, database: Path, cpu_ns: int = 0) -> Outcome:
    """Read the summary and the database of a run.

    Raises:
        LoadError: They are not what this version of the generator writes.
    """
    try:
        said = json.loads(summary)
        wall_ns, errors = round(said["summary"]["total"] * 1e9), dict(said["errorDistribution"])
    except (ValueError, KeyError, TypeError) as error:
        raise LoadError(f"{PROGRAM.name} said what is not understood ({error!r}): {summary[:200]!r}") from error
    columns = "start_latency_correction, start, end, status"
    try:
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute(f"SELECT {columns} FROM oha ORDER BY start").fetchall()
    except sqlite3.Error as error:
        raise LoadError(f"the database of {PROGRAM.name} cannot be read: {error}") from error
    return Outcome([_sent(*row) for row in rows], errors, wall_ns, cpu_ns)


def _sent(intended: float | None, start: float, end: float, status: int) -> Sent:
    begun = start if intended is None else intended
    return Sent(round(begun * 1e9), round(start * 1e9), round(end * 1e9), status)


def latencies(outcome: Outcome) -> dict[str, list[int]]:
    """Latencies by the outcomes of the harness. What got no response has taken as long as one may take."""
    found: dict[str, list[int]] = {
        "read": [sent.latency_ns for sent in outcome.requests if sent.status == _OK],
        "error": [sent.latency_ns for sent in outcome.requests if sent.status != _OK],
        "timeout": [],
    }
    for message, count in outcome.errors.items():
        kind = "timeout" if message == _TIMED_OUT else "error"
        found[kind] += [round(TIMEOUT_SECONDS * 1e9)] * count
    return found


def messages(outcome: Outcome) -> dict[str, int]:
    """What went wrong, and how often."""
    found = dict(outcome.errors)
    for sent in outcome.requests:
        if sent.status != _OK:
            text = f"HTTP status {sent.status}"
            found[text] = found.get(text, 0) + 1
    return found


def version() -> str:
    """The version of the generator, for the stamp.

    Raises:
        LoadError: It is not there.
    """
    try:
        finished = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise LoadError(f"{PROGRAM} is not there ({error}): make web installs it") from error
    return finished.stdout.strip()


def _children_cpu_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)
