"""Where the time of operations went: the statistics of stages, as Python objects.

The extension collects; :func:`stage_snapshot` reads what it collected into frozen data classes, and
:func:`internal_stage_profiling` switches recording on for a block of code. How these are printed and folded is in
``_stage_text``. Times are nanoseconds, as integers, except for means.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from aerospike_py import _aerospike, _stage_text

__all__ = [
    "OperationBreakdown",
    "StageDescription",
    "StageSnapshot",
    "StageStatistics",
    "internal_stage_profiling",
    "stage_snapshot",
    "stage_table",
]

UNATTRIBUTED = "unattributed"
"""The stage of the time that no event explains."""


@dataclasses.dataclass(frozen=True, slots=True)
class StageStatistics:
    """The distribution of one duration over all recorded operations that have it."""

    count: int
    """Operations that spent time in it."""
    mean_ns: float
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int
    total_ns: int
    """Sum over all operations."""
    share: float
    """``total_ns`` as a fraction of the wall time of all operations of this kind."""


@dataclasses.dataclass(frozen=True, slots=True)
class OperationBreakdown:
    """One operation on one lane: its wall time, and the stages that add up to it."""

    operation: str
    """Name of the client method."""
    lane: str
    """Who drives the operation: ``sync`` or ``asyncio``."""
    count: int
    """Operations recorded, with any outcome."""
    errors: Mapping[str, int]
    """Operations by outcome, for the outcomes other than ``ok``."""
    failed_in: Mapping[str, int]
    """Operations that failed, by the stage they were in."""
    wall: StageStatistics
    """From the entry of the method until the caller has its result."""
    stages: Mapping[str, StageStatistics]
    """The stages that occurred, in the order of :func:`stage_table`."""
    unattributed_share: float
    """The part of the wall time that no event explains."""
    nodes: Mapping[str, Mapping[str, int]]
    """Total nanoseconds by stage and node, for the stages that can tell nodes apart."""
    deferred: StageStatistics | None = None
    """Conversions of lazy results on demand, after the operation: no part of ``wall``, nor of ``stages``."""


@dataclasses.dataclass(frozen=True, slots=True)
class StageDescription:
    """What one stage means."""

    name: str
    start: str
    """The event that begins it."""
    end: str
    """The event that ends it."""
    lanes: str
    """Where it occurs: ``both``, or the one lane that has it."""
    family: str
    """Who is at work or waited for."""
    definition: str
    interpretation: str
    """What a large value means."""
    action: str
    """What to do about a large value."""


@dataclasses.dataclass(frozen=True, slots=True)
class StageSnapshot:
    """Everything recorded since the start of the process, or since the last reset."""

    operations: tuple[OperationBreakdown, ...]
    """One entry per operation and lane, in the order in which they were first seen."""
    dropped: int
    """Operations that were not recorded because a buffer was full."""

    def operation(self, name: str, lane: str | None = None) -> OperationBreakdown:
        """Return the breakdown of one operation.

        Args:
            name: Name of the client method.
            lane: ``sync`` or ``asyncio``; needed when the operation was recorded on both.

        Raises:
            KeyError: Nothing of the kind was recorded, or it was recorded on several lanes.
        """
        found = [entry for entry in self.operations if entry.operation == name and lane in (None, entry.lane)]
        if len(found) == 1:
            return found[0]
        recorded = ", ".join(f"{entry.operation} ({entry.lane})" for entry in self.operations) or "nothing"
        wanted = name if lane is None else f"{name} ({lane})"
        problem = f"{wanted} was recorded on several lanes: say which" if found else f"{wanted} was not recorded"
        raise KeyError(f"{problem}; there is {recorded}")

    def to_dict(self) -> dict[str, Any]:
        """Return the snapshot as dictionaries, lists and numbers only, ready for JSON."""
        return {
            "operations": [
                {
                    "operation": entry.operation,
                    "lane": entry.lane,
                    "count": entry.count,
                    "errors": dict(entry.errors),
                    "failed_in": dict(entry.failed_in),
                    "wall": dataclasses.asdict(entry.wall),
                    "stages": {name: dataclasses.asdict(stage) for name, stage in entry.stages.items()},
                    "unattributed_share": entry.unattributed_share,
                    "nodes": {stage: dict(totals) for stage, totals in entry.nodes.items()},
                    "deferred": dataclasses.asdict(entry.deferred) if entry.deferred else None,
                }
                for entry in self.operations
            ],
            "dropped": self.dropped,
        }

    def table(self) -> str:
        """Return a table for people: one block per operation, one line per stage, ``unattributed`` last."""
        return _stage_text.table(self)

    def folded(self) -> str:
        """Return folded stacks, ``operation;lane;stage;node nanoseconds``, the input of flamegraphs."""
        return _stage_text.folded(self)


def stage_snapshot(reset: bool = False) -> StageSnapshot:
    """Read the statistics of all operations recorded so far.

    Args:
        reset: Start over: operations that end after this call are the first ones of the next snapshot.

    Example:
        ```python
        with aerospike_py.internal_stage_profiling():
            client.put(("test", "demo", "snapshot"), {"n": 1})
        snapshot = aerospike_py.stage_snapshot()
        assert snapshot.operation("put").unattributed_share < 1
        print(snapshot.table())
        ```
    """
    return snapshot_of(_aerospike._stage_snapshot(reset), dropped=_aerospike._records_dropped())


def snapshot_of(rows: list[_aerospike._StageRow], *, dropped: int) -> StageSnapshot:
    """Build a snapshot from the rows that the extension hands over."""
    return StageSnapshot(operations=tuple(_breakdown(row) for row in rows), dropped=dropped)


def stage_table() -> list[StageDescription]:
    """Return the table of stages, in the order in which an operation goes through them.

    Example:
        ```python
        assert "network_wait" in [stage.name for stage in aerospike_py.stage_table()]
        ```
    """
    return [StageDescription(*row) for row in _aerospike._stage_table()]


@contextlib.contextmanager
def internal_stage_profiling() -> Iterator[None]:
    """Record stages inside a ``with`` block, or inside a function when used as a decorator.

    The state from before is restored at the end. The switch is one for the whole process: operations that other
    threads start meanwhile are recorded as well. On a coroutine function use the ``with`` form inside of it; the
    decorator would end when the coroutine has been made, before it runs.

    Example:
        ```python
        before = aerospike_py.is_internal_stage_metrics_enabled()
        with aerospike_py.internal_stage_profiling():
            assert aerospike_py.is_internal_stage_metrics_enabled()
        assert aerospike_py.is_internal_stage_metrics_enabled() == before
        ```
    """
    before = _aerospike.is_internal_stage_metrics_enabled()
    _aerospike.set_internal_stage_metrics_enabled(True)
    try:
        yield
    finally:
        _aerospike.set_internal_stage_metrics_enabled(before)


def _breakdown(row: _aerospike._StageRow) -> OperationBreakdown:
    operation, lane, outcomes, failed_in, wall, stages, deferred, nodes = row
    wall_total = wall[1]
    statistics = {name: _statistics(figures, wall_total) for name, figures in stages}
    by_node: dict[str, dict[str, int]] = {}
    for stage, node, total in nodes:
        by_node.setdefault(stage, {})[node] = total
    unattributed = statistics.get(UNATTRIBUTED)
    return OperationBreakdown(
        operation=operation,
        lane=lane,
        count=sum(count for _, count in outcomes),
        errors={outcome: count for outcome, count in outcomes if outcome != "ok" and count},
        failed_in=dict(failed_in),
        wall=_statistics(wall, wall_total),
        stages=statistics,
        unattributed_share=unattributed.share if unattributed else 0.0,
        nodes=by_node,
        deferred=_statistics(deferred, wall_total) if deferred[0] else None,
    )


def _statistics(figures: _aerospike._StageFigures, wall_total: int) -> StageStatistics:
    count, total, p50, p90, p99, p999, largest = figures
    return StageStatistics(
        count=count,
        mean_ns=total / count if count else 0.0,
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        p999_ns=p999,
        max_ns=largest,
        total_ns=total,
        share=total / wall_total if wall_total else 0.0,
    )
