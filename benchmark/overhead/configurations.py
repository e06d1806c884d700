"""What can be on: from nothing to everything, each on top of the one before, switched within one process.

Everything here can be switched off again without a trace that a later block would feel, except one thing: once stages
have been on in a process, an operation looks whether it is recorded where it did not look before. So "off" is what it
is in a process that has recorded; `counting` compares it with one that never has.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aerospike_py

HEAD_SHARE = 0.01
EXPORTED_MS = 200
"""How often spans are sent: often enough for every block to pay for sending its own."""
RESIDENT_EXPORTED_MS = 1_000
"""The same where a series of blocks pays for it: still five times as often as by default."""


@dataclass(frozen=True)
class Configuration:
    """What is on."""

    name: str
    what: str
    stages: bool = False
    files: bool = False
    spans: bool = False
    observer: bool = False
    probes: bool = False


OFF = Configuration("off", "nothing but the metrics' durations, as after an import")
OFF_AGAIN = Configuration("off-again", "the same once more: what the machine's noise looks like")
STAGES = Configuration("stages", "stages, in histograms", stages=True)
FILES = Configuration("files", "and a trace file of every operation", stages=True, files=True)
SPANS = Configuration(
    "spans", f"and spans over OTLP, {HEAD_SHARE:.0%} head sampling, a receiver that answers", True, True, True
)
OBSERVER = Configuration("observer", "and the loop observer on asyncio", True, True, True, True)
EVERYTHING = Configuration("everything", "and the loop observer on asyncio, and probes", True, True, True, True, True)

MEASURED = (OFF, OFF_AGAIN, STAGES, FILES, SPANS, EVERYTHING)
# To switch these is to set a flag.
QUICK = (OFF, OFF_AGAIN, STAGES)
# What the throughput of many tasks is held against.
ALL_OR_NOTHING = (OFF, OFF_AGAIN, EVERYTHING)
# Probes work by the clock: under callgrind, which is fifty times slower, they would count fifty times.
COUNTED = (OFF, STAGES, FILES, SPANS, OBSERVER)


class Switched:
    """A configuration that is on."""

    def __init__(self, recorder: aerospike_py.TraceRecorder | None) -> None:
        self._recorder = recorder

    def finish(self) -> None:
        """Wait until what the operations have left for the file is in it."""
        if self._recorder is not None and not self._recorder.flush():
            raise SystemExit("the trace file is not written: nothing of this can be used")


class Observers:
    """Loop observers, which have to be begun by their loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        if self._loop is None:
            yield
            return

        async def begin() -> Any:
            return aerospike_py.observe_loop()

        async def end() -> None:
            observer.close()

        observer = self._loop.run_until_complete(begin())
        try:
            yield
        finally:
            self._loop.run_until_complete(end())


def _check_recorded(recorder: aerospike_py.TraceRecorder) -> None:
    stats = recorder.stats()
    if stats["error"] or not stats["rows"]:
        raise SystemExit(f"nothing was recorded: {stats}")


@contextlib.contextmanager
def switched(
    wanted: Configuration, endpoint: str, loop: asyncio.AbstractEventLoop | None, folder: str | None = None
) -> Iterator[Switched]:
    """Have a configuration on; everything is off before and after.

    Args:
        wanted: What is to be on.
        endpoint: Of the receiver of spans.
        loop: What is observed, if that is wanted.
        folder: Where trace files go, the system's folder for temporary files by default.
    """
    with contextlib.ExitStack() as stack:
        recorder = None
        if wanted.stages:
            stack.enter_context(_stages())
        if wanted.files:
            recorder = stack.enter_context(_trace_files(folder))
        if wanted.spans:
            stack.enter_context(_spans(endpoint, EXPORTED_MS))
        if wanted.probes:
            stack.enter_context(_probes())
        if wanted.observer:
            stack.enter_context(Observers(loop).on())
        yield Switched(recorder)


class Resident:
    """Trace files, spans and probes that are there all the time, for operations to be recorded or not.

    To begin and end them takes milliseconds; to record or not is a flag and a loop observer, and can change many times
    a second. What threads of their own do meanwhile is done for operations of blocks that are over, too.
    """

    def __init__(self, recorder: aerospike_py.TraceRecorder, loop: asyncio.AbstractEventLoop | None) -> None:
        self._recorder, self._loop = recorder, loop
        aerospike_py.set_internal_stage_metrics_enabled(False)

    @contextlib.contextmanager
    def used(self, wanted: Configuration) -> Iterator[None]:
        """Record operations as a configuration has it, or leave everything unused."""
        with contextlib.ExitStack() as stack:
            if wanted.stages:
                stack.enter_context(_stages())
            if wanted.observer:
                stack.enter_context(Observers(self._loop).on())
            yield

    def rows(self) -> int:
        """How many rows the trace files have so far; none has been dropped."""
        Switched(self._recorder).finish()
        stats = self._recorder.stats()
        if stats["error"] or any(count for name, count in stats.items() if name.startswith("dropped")):
            raise SystemExit(f"not everything was recorded: {stats}")
        return stats["rows"]


@contextlib.contextmanager
def resident(endpoint: str, loop: asyncio.AbstractEventLoop | None, folder: str | None = None) -> Iterator[Resident]:
    """Have everything there that `EVERYTHING` takes; as `switched`."""
    with (
        _trace_files(folder) as recorder,
        _spans(endpoint, RESIDENT_EXPORTED_MS),
        _probes(),
    ):
        yield Resident(recorder, loop)


@contextlib.contextmanager
def _stages() -> Iterator[None]:
    aerospike_py.set_internal_stage_metrics_enabled(True)
    try:
        yield
    finally:
        aerospike_py.set_internal_stage_metrics_enabled(False)


@contextlib.contextmanager
def _trace_files(folder: str | None) -> Iterator[aerospike_py.TraceRecorder]:
    with tempfile.TemporaryDirectory(prefix="overhead-", dir=folder) as place:
        with aerospike_py.trace_recorder(place) as recorder:
            yield recorder
        _check_recorded(recorder)


@contextlib.contextmanager
def _spans(endpoint: str, delay_ms: int) -> Iterator[None]:
    aerospike_py.init_tracing(
        endpoint=endpoint,
        protocol="http/protobuf",
        sampler="traceidratio",
        sampler_arg=HEAD_SHARE,
        schedule_delay_ms=delay_ms,
    )
    try:
        yield
    finally:
        aerospike_py.shutdown_tracing()


@contextlib.contextmanager
def _probes() -> Iterator[None]:
    aerospike_py.start_probes()
    try:
        yield
    finally:
        aerospike_py.stop_probes()
