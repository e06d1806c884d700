"""Processor time by thread: what is on has threads of its own, and their time is told exactly, which that of
operations is not.

Imported by every Python that is measured: standard library only.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

CALLER = "caller"
OPERATIONS = (CALLER, "aerospike-py")
"""Threads that carry out operations: the one that calls, and the runtime's."""
BY_THE_CLOCK = ("aerospike-py-gi", "aerospike-py-lo", "aerospike-py-pr")
"""Threads of probes and of the loop observer: they work whether or not there are operations."""

Times = dict[str, float]


def times() -> Times:
    """Nanoseconds that the threads of this process have run, by name; those that share one are told together."""
    found: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        try:
            name = _name(task)
            nanos = int((task / "schedstat").read_text().split()[0])
        except OSError:  # The thread has ended meanwhile.
            continue
        found[name] += nanos
    return dict(found)


def _name(task: Path) -> str:
    return CALLER if int(task.name) == os.getpid() else (task / "comm").read_text().strip()


class Clock:
    """Processor time of the threads that carry out operations, of those that are there now. To look takes a few
    microseconds."""

    def __init__(self) -> None:
        self._read_from: list[int] = []
        for task in Path("/proc/self/task").iterdir():
            if _name(task) in OPERATIONS:
                self._read_from.append(os.open(task / "schedstat", os.O_RDONLY))

    def __enter__(self) -> Clock:
        return self

    def __exit__(self, *error: object) -> None:
        for place in self._read_from:
            os.close(place)

    def nanos(self) -> int:
        """What they have run.

        Raises:
            OSError: One of them has ended meanwhile.
        """
        return sum(int(os.pread(place, 100, 0).split()[0]) for place in self._read_from)


def for_recorded(times: Times) -> Times:
    """Those that work for recorded operations and are not those that carry them out.

    Args:
        times: Of all threads.
    """
    return {name: nanos for name, nanos in sorted(times.items()) if name not in (*OPERATIONS, *BY_THE_CLOCK)}


def by_the_clock(off: Times, on: Times) -> Times:
    """What those that work by the clock have run more than with nothing on.

    Args:
        off: Of all threads, with nothing on.
        on: The same with everything on.
    """
    return {name: max(0, on.get(name, 0) - off.get(name, 0)) for name in BY_THE_CLOCK}


def between(before: Times, after: Times) -> Times:
    """What threads have run meanwhile.

    Args:
        before: What they had run before.
        after: What they have run by now; who has ended is left out.
    """
    return {name: nanos - before.get(name, 0) for name, nanos in after.items()}


def mean(several: Iterable[Mapping[str, float]]) -> Times:
    """The mean of what was told several times; a thread that was not there has not run."""
    all_times = list(several)
    sums: defaultdict[str, float] = defaultdict(float)
    for one in all_times:
        for name, nanos in one.items():
            sums[name] += nanos
    return {name: round(total / len(all_times)) for name, total in sorted(sums.items())}
