"""Memory of this process over time, and whether it grows."""

from __future__ import annotations

import os
import statistics
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLED_SECONDS = 0.5


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class MemoryWatch:
    """A thread that looks at the memory twice a second, and at whatever else is to be looked at.

    Args:
        look: Called with every look.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="memory")
        self.samples: list[tuple[float, int]] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop."""
        self._ending.set()
        self._thread.join(60)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._ending.wait(SAMPLED_SECONDS):
                self._look()
                self.samples.append((time.monotonic(), resident()))
        except BaseException as failure:
            self._failure = failure

    def growth(self, warm_up: float) -> float:
        """Bytes by which the memory has grown since the warm-up: the slope of all looks, times their duration.

        Args:
            warm_up: The first part of the looks, which does not count.
        """
        warm = self.samples[int(len(self.samples) * warm_up) :]
        times, sizes = zip(*warm, strict=True)
        return statistics.linear_regression(times, sizes).slope * (times[-1] - times[0])

    def megabytes(self, parts: int = 10) -> list[int]:
        """Mean sizes in so many parts of the time, for people."""
        size = max(len(self.samples) // parts, 1)
        means = [
            statistics.mean(bytes_ for _, bytes_ in self.samples[at : at + size]) for at in range(0, size * parts, size)
        ]
        return [round(mean / 1e6) for mean in means]
