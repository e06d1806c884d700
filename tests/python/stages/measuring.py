"""Comparing operations with and without a fault: medians of the stages of single operations.

Every operation has a snapshot of its own, which is checked to be a partition, so that its stages are exact sums and
not percentiles of a histogram.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aerospike_py
from partition import ORDER, assert_partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from aerospike_py import OperationBreakdown

MS = 1_000_000
"""Nanoseconds in a millisecond."""

TIMES = 8
"""Operations per measurement: a median of them shrugs off three that the machine disturbed."""

NOISE_MS = 10
"""What the median of a stage may differ by although nothing was done to it: a busy machine with two cores."""


@dataclass(frozen=True)
class Measurement:
    """The medians of several operations, in nanoseconds."""

    wall: float
    stages: dict[str, float]
    operations: tuple[OperationBreakdown, ...]

    def ms(self, *stages: str) -> float:
        """Return the milliseconds of some stages together."""
        return sum(self.stages[name] for name in stages) / MS


def recorded(operation: str, lane: str) -> OperationBreakdown:
    """Take what one operation has recorded since the last time, and start over."""
    return assert_partition(aerospike_py.stage_snapshot(reset=True)).operation(operation, lane)


def measure(
    run: Callable[[], object], operation: str, lane: str, *, times: int = TIMES, pause_s: float = 0.0
) -> Measurement:
    """Run something that calls the operation once or more, several times, and take medians per operation."""
    entries = []
    aerospike_py.stage_snapshot(reset=True)
    for _ in range(times):
        run()
        entries.append(recorded(operation, lane))
        if pause_s:
            time.sleep(pause_s)
    return median_of(entries)


def median_of(entries: list[OperationBreakdown]) -> Measurement:
    """Take the median of each stage; one that an operation did not have counts as zero."""

    def per_operation(entry: OperationBreakdown, name: str) -> float:
        stage = entry.stages.get(name)
        return stage.total_ns / entry.count if stage else 0.0

    return Measurement(
        wall=statistics.median(entry.wall.total_ns / entry.count for entry in entries),
        stages={name: statistics.median(per_operation(entry, name) for entry in entries) for name in ORDER},
        operations=tuple(entries),
    )


def assert_grew(
    clean: Measurement,
    faulty: Measurement,
    *stages: str,
    at_least_ms: float,
    at_most_ms: float,
    noise_ms: float = NOISE_MS,
) -> None:
    """Check that the named stages, together, grew by what the fault takes, and that no other stage moved.

    With the fault they last at least as long as it does; what noise had taken of them without it is no growth. The
    server counts from when it has the request, which may be before the call that sends it has returned, and a thread
    that is woken late for the first piece of a reply has waited for what it would have read.
    """
    growth = faulty.ms(*stages) - clean.ms(*stages)
    moved = {name: round(faulty.ms(name) - clean.ms(name), 2) for name in ORDER}
    shown = {name: ms for name, ms in moved.items() if abs(ms) >= 0.5}
    wrong = f"{stages} grew by {growth:.2f} ms; all changes in ms: {shown}"
    assert faulty.ms(*{*stages, "network_write", "network_wait"}) >= at_least_ms, wrong
    assert at_least_ms - noise_ms <= growth <= at_most_ms, wrong
    bystanders = {name: ms for name, ms in moved.items() if name not in stages}
    assert max(map(abs, bystanders.values())) <= noise_ms, f"stages besides {stages} moved, in ms: {shown}"
