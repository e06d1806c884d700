"""The checker that every test applies to every snapshot it takes: stages are a partition of the wall time.

It looks at finished statistics only; which stage a fault must make larger is the business of the tests.
"""

from __future__ import annotations

import aerospike_py
from aerospike_py import OperationBreakdown, StageSnapshot, StageStatistics

TABLE = {row.name: row for row in aerospike_py.stage_table()}
ORDER = list(TABLE)

UNATTRIBUTED_LIMIT = 0.02
"""The largest part of the wall time that may go unexplained."""

HISTOGRAM_ERROR = 0.02
"""Relative error of a reported percentile; after a reset, of a reported maximum as well."""


def assert_partition(snapshot: StageSnapshot) -> StageSnapshot:
    """Check the whole snapshot, and return it.

    The snapshot must have been taken while no operation was ending, because the counters of one operation are not
    read in one instant.
    """
    assert snapshot.dropped == 0
    pairs = [(entry.operation, entry.lane) for entry in snapshot.operations]
    assert len(pairs) == len(set(pairs)), pairs
    for entry in snapshot.operations:
        where = f"{entry.operation} ({entry.lane})"
        _assert_adds_up(entry, where)
        _assert_outcomes(entry, where)
        _assert_nodes(entry, where)
        _assert_distribution(entry.wall, f"wall time of {where}")
        for name, stage in entry.stages.items():
            what = f"{name} of {where}"
            _assert_distribution(stage, what)
            assert 0 < stage.count <= entry.count, what
            assert stage.total_ns > 0, what
            assert stage.max_ns <= entry.wall.max_ns * (1 + HISTOGRAM_ERROR), what
            assert TABLE[name].lanes in ("both", entry.lane), f"{what}: only on {TABLE[name].lanes}"
    return snapshot


def assert_attributed(entry: OperationBreakdown, limit: float = UNATTRIBUTED_LIMIT) -> None:
    """Check that events explain the wall time: in sum, at the median and at the 99th percentile.

    A percentile of ``unattributed`` is that of the operations which have some. Where fewer than half of the
    operations have any, the median over all of them is zero; at the 99th percentile, taking it over fewer operations
    only makes the check stricter. It is held against the same percentile of the wall time.
    """
    where = f"{entry.operation} ({entry.lane})"
    unexplained = entry.stages.get("unattributed")
    if unexplained is None:
        assert entry.unattributed_share == 0.0, where
        return
    assert entry.unattributed_share == unexplained.share, where
    assert unexplained.share <= limit, f"{unexplained.share:.2%} of {where} is unattributed"
    median = unexplained.p50_ns if unexplained.count * 2 >= entry.count else 0
    for percentile, rest, wall in (("p50", median, entry.wall.p50_ns), ("p99", unexplained.p99_ns, entry.wall.p99_ns)):
        assert rest <= wall * limit, f"{percentile} of {where}: {rest} ns of {wall} ns are unattributed"


def _assert_adds_up(entry: OperationBreakdown, where: str) -> None:
    assert list(entry.stages) == [name for name in ORDER if name in entry.stages], where
    total = sum(stage.total_ns for stage in entry.stages.values())
    assert total == entry.wall.total_ns, f"{where}: stages miss {entry.wall.total_ns - total} ns of the wall time"
    assert entry.wall.count == entry.count, where
    if entry.count:
        assert entry.wall.share == 1.0, where
        assert abs(sum(stage.share for stage in entry.stages.values()) - 1.0) < 1e-9, where


def _assert_outcomes(entry: OperationBreakdown, where: str) -> None:
    assert set(entry.failed_in) <= set(ORDER), where
    failures = sum(entry.errors.values())
    assert sum(entry.failed_in.values()) == failures <= entry.count, f"{where}: {entry.errors}, {entry.failed_in}"


def _assert_nodes(entry: OperationBreakdown, where: str) -> None:
    for name, by_node in entry.nodes.items():
        assert all(total > 0 for total in by_node.values()), where
        assert sum(by_node.values()) <= entry.stages[name].total_ns, f"{name} of {where}: a node counts twice"


def _assert_distribution(figures: StageStatistics, what: str) -> None:
    assert 0 <= figures.p50_ns <= figures.p90_ns <= figures.p99_ns <= figures.p999_ns <= figures.max_ns, what
    assert figures.total_ns >= 0, what
    assert 0.0 <= figures.share <= 1.0, what
    if figures.count:
        assert figures.mean_ns == figures.total_ns / figures.count, what
        assert figures.mean_ns <= figures.max_ns * (1 + HISTOGRAM_ERROR), what
        assert figures.total_ns >= figures.max_ns * (1 - HISTOGRAM_ERROR), what
