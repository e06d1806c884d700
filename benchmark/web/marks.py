"""The stages of a request in the service: where each begins and ends, and what all requests of a round took.

Imported by the Python of every client. A request is cut at instants, so its stages have no gaps and no overlaps: they
add up to the time from the first byte that the event loop has read to the last that it has written.
"""

from __future__ import annotations

import time
from array import array
from typing import Any

from benchmark.harness.histogram import Histogram

STAGES = ("receive", "key_extraction", "fetch", "feature_build", "inference_wait", "inference", "response")
RECEIVE, KEY_EXTRACTION, FETCH, FEATURE_BUILD, INFERENCE_WAIT, INFERENCE, RESPONSE = range(len(STAGES))


class Marks:
    """The time of one request."""

    def __init__(self, received_ns: int) -> None:
        self.received_ns = received_ns
        self.at_ns = received_ns
        self.spent_ns = [0] * len(STAGES)

    def until(self, stage: int, at_ns: int) -> None:
        """Everything since the last instant, up to this one, was spent in a stage."""
        self.spent_ns[stage] += at_ns - self.at_ns
        self.at_ns = at_ns

    def end(self, stage: int) -> None:
        """Everything since the last instant was spent in a stage."""
        self.until(stage, time.perf_counter_ns())


class Recorder:
    """The requests of a round; written on the event loop, read when none is under way."""

    def __init__(self) -> None:
        self.under_way = 0
        self.clear()

    def clear(self) -> None:
        self._columns = [array("q") for _ in STAGES]
        self._received = array("q")

    def add(self, marks: Marks) -> None:
        for column, spent in zip(self._columns, marks.spent_ns, strict=True):
            column.append(spent)
        self._received.append(marks.received_ns)

    def count(self) -> int:
        return len(self._received)

    def bytes(self) -> int:
        return 8 * self.count() * (1 + len(STAGES))

    def histograms(self) -> dict[str, Histogram]:
        """How long each stage took, request by request."""
        return {name: Histogram.of(column) for name, column in zip(STAGES, self._columns, strict=True)}

    def totals(self) -> list[int]:
        """The sum of the stages of every request, in the order in which they were received."""
        sums = [sum(spent) for spent in zip(*self._columns, strict=True)]
        return [total for _, total in sorted(zip(self._received, sums, strict=True))]

    def result(self) -> dict[str, Any]:
        """What the parent wants to know; `docs/benchmark-format.md` describes it."""
        return {
            "stages": {name: histogram.as_json() for name, histogram in self.histograms().items() if histogram.sum},
            "totals": self.totals(),
        }
