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

Times = dict[str, float]


def times() -> Times:
    """Nanoseconds that the threads of this process have run, by name; those that share one are told together."""
    found: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            nanos = int((task / "schedstat").read_text().split()[0])
        except OSError:  # The thread has ended meanwhile.
            continue
        found[CALLER if int(task.name) == os.getpid() else name] += nanos
    return dict(found)


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
