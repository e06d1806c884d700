"""Probes beside the stages: whose fault a wait is.

:func:`start_probes` measures how late the event loops are, how long the GIL takes, and what the runtime and the process
do; :func:`probe_snapshot` reads it. :func:`observe_loop` says what an event loop ran, by name. The extension measures,
this module gives it types. Stages are in :mod:`aerospike_py.stages`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import types
from typing import Any

from aerospike_py import _aerospike

__all__ = [
    "LoopObserver",
    "ProbeSnapshot",
    "ProbeStatistics",
    "SlowCallback",
    "SlowCallbackRun",
    "observe_loop",
    "probe_snapshot",
    "start_probes",
]

SHORTEST_INTERVAL_MS = 1.0
"""Looking more often would be a load of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeStatistics:
    """What one probe has measured about one subject."""

    probe: str
    """Name of the probe, as in trace files."""
    kind: str
    """``duration``, ``level`` (how much at the time of a look) or ``total`` (a counter of the process)."""
    unit: str
    """Of all figures below: ``seconds``, ``ratio``, ``tasks``, ``switches``, ``periods`` or ``parks``."""
    subject: int | None
    """Number of the event loop, for probes of loops; ``None`` is the process, or loops that are gone."""
    count: int
    """Looks; 0 for totals."""
    mean: float
    p50: float
    p99: float
    max: float
    latest: float | None
    """The last look at a level or total."""
    increase: float | None
    """By how much a total has grown since the first look."""


@dataclasses.dataclass(frozen=True, slots=True)
class SlowCallback:
    """All slow runs of one callback, or of one coroutine's steps, on one event loop."""

    name: str
    """``module:qualname (file:line)``, with the line of the definition."""
    count: int
    """Slow runs."""
    total_ns: int
    max_ns: int
    at: str | None
    """Where the last of them was seen, ``qualname (file:line)``; ``None`` if nobody looked in time."""
    held_up_operations: int
    """Recorded operations whose results waited while it ran."""
    held_up_ns: int
    """How long they waited for it, added up."""


@dataclasses.dataclass(frozen=True, slots=True)
class SlowCallbackRun:
    """One slow run."""

    name: str
    at: str | None
    start_ns: int
    """On the clock of the stages and of trace files."""
    duration_ns: int
    sampled: bool
    """The duration is known to a few milliseconds only: the loop does not tell what it runs."""


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeSnapshot:
    """Everything that probes have measured since the process started."""

    running: bool
    """Whether the probes run."""
    probes: tuple[ProbeStatistics, ...]
    slow_callbacks: tuple[SlowCallback, ...]
    """What loop observers have seen on all loops together, what took longest in total first."""
    cpu_quota_cores: float | None
    """How many cores the process's control group allows it; ``None`` without a limit."""
    samples_dropped: int
    """Single measurements that were not written down because nobody took them in time."""

    def probe(self, name: str, subject: int | None = None) -> ProbeStatistics:
        """Return the statistics of one probe.

        Args:
            name: Name of the probe.
            subject: Number of the event loop; needed when the probe has measured several.

        Raises:
            KeyError: The probe has measured nothing, or several subjects.
        """
        found = [entry for entry in self.probes if entry.probe == name and subject in (None, entry.subject)]
        if len(found) == 1:
            return found[0]
        measured = ", ".join(sorted({entry.probe for entry in self.probes})) or "nothing"
        subjects = ", ".join(str(entry.subject) for entry in found)
        problem = f"measured subjects {subjects}: say which" if found else f"has measured nothing; there is {measured}"
        raise KeyError(f"{name} {problem}")

    def to_dict(self) -> dict[str, Any]:
        """Return the snapshot as dictionaries, lists and numbers only, ready for JSON."""
        return dataclasses.asdict(self)

    def table(self) -> str:
        """Return a table for people: one line per probe and subject, then the slow callbacks."""
        lines = [f"{'probe':<32}{'subject':>8}{'count':>9}{'mean':>12}{'p50':>12}{'p99':>12}{'max':>12}"]
        for entry in self.probes:
            subject = "" if entry.subject is None else str(entry.subject)
            if entry.kind == "total":
                figures = f"{entry.latest:>21g} {entry.unit}, {entry.increase:g} of them meanwhile"
            else:
                spread = (entry.mean, entry.p50, entry.p99, entry.max)
                figures = f"{entry.count:>9}" + "".join(f"{_readable(value, entry.unit):>12}" for value in spread)
            lines.append(f"{entry.probe:<32}{subject:>8}{figures}")
        lines.extend(
            f"{entry.name}: {entry.count} times slow, {entry.total_ns / 1e6:.1f} ms in total, at most "
            f"{entry.max_ns / 1e6:.1f} ms; held up {entry.held_up_operations} operations"
            for entry in self.slow_callbacks
        )
        return "\n".join(lines)


def start_probes(
    *,
    interval_ms: float = 50.0,
    gil: bool = True,
    loops: bool = True,
    runtime: bool = True,
    process: bool = True,
) -> None:
    """Start measuring beside the operations; probes that run already are started anew with the new settings.

    Two native threads do it: one asks for the GIL and wakes the event loops that clients are used on, the other looks
    at the runtime and at the process, at most four times a second. They end with ``stop_probes()`` or with the
    interpreter. The child of a fork has none until it starts its own. ``AEROSPIKE_PY_PROBES=1`` starts them at import.

    Args:
        interval_ms: Milliseconds between two looks, 1 or more.
        gil: How long it takes to get hold of the interpreter: ``gil_delay``, or ``attach_delay`` and
            ``stop_the_world`` on free-threaded Python.
        loops: How late event loops are: ``loop_lag``.
        runtime: How busy the runtime's threads are, and how long its tasks wait and take.
        process: Processor time, context switches, and throttling by the control group.

    Raises:
        ValueError: The interval is too short, or nothing is to be measured.

    Example:
        ```python
        aerospike_py.start_probes(interval_ms=20)
        print(aerospike_py.probe_snapshot().table())
        aerospike_py.stop_probes()
        ```
    """
    if not interval_ms >= SHORTEST_INTERVAL_MS or interval_ms == float("inf"):
        raise ValueError(
            f"interval_ms must be a number of milliseconds from {SHORTEST_INTERVAL_MS:g}, not {interval_ms}"
        )
    if not (gil or loops or runtime or process):
        raise ValueError("nothing is to be measured: leave one of gil, loops, runtime and process on")
    _aerospike._start_probes(interval_ms / 1e3, gil, loops, runtime, process)


def probe_snapshot() -> ProbeSnapshot:
    """Read what probes and loop observers have measured so far; it stays readable when they have been stopped.

    Example:
        ```python
        for probe in aerospike_py.probe_snapshot().probes:
            print(probe.probe, probe.subject, probe.p99, probe.unit)
        ```
    """
    running, dropped, rows = _aerospike._probe_rows()
    slow = [SlowCallback(*row) for _, of_loop in _aerospike._slow_callback_rows() for row in of_loop]
    return ProbeSnapshot(
        running=running,
        probes=tuple(_statistics(row) for row in rows),
        slow_callbacks=tuple(sorted(slow, key=lambda entry: -entry.total_ns)),
        cpu_quota_cores=_aerospike._cpu_quota_cores(),
        samples_dropped=dropped,
    )


class LoopObserver:
    """Watches what one event loop runs; made by :func:`observe_loop`, also a context manager."""

    def __init__(self, event_loop: asyncio.AbstractEventLoop, slow_callback_ms: float) -> None:
        """Use :func:`observe_loop`."""
        self._loop = event_loop
        self._slow = slow_callback_ms / 1e3
        self._observation: _aerospike._LoopObservation | None = None
        self._closed = False
        self._lock = threading.Lock()

    def _begin(self) -> None:
        with self._lock:
            if not self._closed and self._observation is None:
                self._observation = _aerospike._observe_running_loop(self._slow)

    @property
    def exact(self) -> bool | None:
        """Whether the loop says itself what it runs.

        Then durations are exact and ``loop_wait`` is split from ``gil_reacquire``. Loops without an epoll selector,
        such as uvloop, are looked at from outside. ``None`` as long as the loop has not come to begin.
        """
        return None if self._observation is None else self._observation.exact

    @property
    def loop_id(self) -> int | None:
        """Number of the loop, the ``subject`` of its probes; ``None`` as long as the loop has not come to begin."""
        return None if self._observation is None else self._observation.loop_id

    def callbacks(self) -> list[SlowCallback]:
        """Return what was slow, by name, what took longest in total first."""
        return [] if self._observation is None else [SlowCallback(*row) for row in self._observation.by_name()]

    def recent(self) -> list[SlowCallbackRun]:
        """Return the latest slow runs one by one, oldest first, 256 at most."""
        return [] if self._observation is None else [SlowCallbackRun(*row) for row in self._observation.recent()]

    def close(self) -> None:
        """End the observation; what it has found stays readable. Closing twice does nothing."""
        with self._lock:
            self._closed = True
            if self._observation is not None:
                self._observation.close()

    def __enter__(self) -> LoopObserver:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()


def observe_loop(loop: asyncio.AbstractEventLoop | None = None, *, slow_callback_ms: float = 20.0) -> LoopObserver:
    """Find out what an event loop runs while operations wait for it.

    Callbacks and steps of tasks that take ``slow_callback_ms`` or longer are recorded by name and duration. On
    asyncio's own loop, ``loop_wait`` is split meanwhile: what the loop's thread waited for the GIL counts as
    ``gil_reacquire``.
    ``AEROSPIKE_PY_LOOP_OBSERVER=1`` observes every loop on which a client is used.

    Args:
        loop: The loop, the running one by default. On a loop of another thread the observation begins when that loop
            comes to it.
        slow_callback_ms: From how many milliseconds on a callback is slow.

    Raises:
        ValueError: ``slow_callback_ms`` is not positive.
        RuntimeError: No loop was named and none is running, or the loop is closed.

    Example:
        ```python
        import asyncio

        with aerospike_py.observe_loop() as observer:
            await asyncio.sleep(0)
        print(observer.callbacks())
        ```
    """
    if not 0 < slow_callback_ms < float("inf"):
        raise ValueError(f"slow_callback_ms must be a positive number of milliseconds, not {slow_callback_ms}")
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        if loop is None:
            raise
        running = None
    observer = LoopObserver(loop or running, slow_callback_ms)  # type: ignore[arg-type]
    if loop is None or loop is running:
        observer._begin()
    else:
        loop.call_soon_threadsafe(observer._begin)
    return observer


def _readable(value: float, unit: str) -> str:
    if unit != "seconds":
        return f"{value:.3g}"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.1f} us"


def _statistics(row: _aerospike._ProbeRow) -> ProbeStatistics:
    probe, kind, unit, subject, (count, mean, p50, p99, largest), (first, latest) = row
    is_total = kind == "total"
    increase = latest - first if is_total and latest is not None and first is not None else None
    return ProbeStatistics(
        probe=probe,
        kind=kind,
        unit=unit,
        subject=subject,
        count=count,
        mean=mean,
        p50=p50,
        p99=p99,
        max=largest,
        latest=latest,
        increase=increase,
    )
