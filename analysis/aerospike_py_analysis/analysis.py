"""The whole analysis of a recording: what reports show, comparisons compare and rules judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aerospike_py_analysis import histogram, trends
from aerospike_py_analysis.breakdown import Breakdown, breakdown
from aerospike_py_analysis.compare import Change, with_and_without_gil
from aerospike_py_analysis.culprits import Blame, blame, place_of
from aerospike_py_analysis.dimensions import Dimension, dimensions
from aerospike_py_analysis.fanout import Gathered, NodeSkew, gathered, node_skew
from aerospike_py_analysis.model import Details, Frame
from aerospike_py_analysis.profile import Group, Profile, profile
from aerospike_py_analysis.recording import Recording
from aerospike_py_analysis.tail import Ordered, TailSplit, splits
from aerospike_py_analysis.trends import Throttled, Trend, trend

TAILS = ((0.5, 0.99), (0.5, 0.999))
# Operations shown one by one, per group.
SLOWEST_SHOWN = 3


@dataclass(frozen=True)
class Exemplar:
    """One operation that is shown with its segments and tracks."""

    operation: str
    lane: str
    why: str
    operation_id: int
    start_ns: int
    duration_ns: int
    outcome: str | None
    keys: int
    stages: dict[str, int]
    details: Details


@dataclass(frozen=True)
class GroupAnalysis:
    """Everything about one operation and lane."""

    breakdown: Breakdown
    tails: list[TailSplit]
    dimensions: list[Dimension]
    trend: Trend
    exemplars: list[Exemplar]

    @property
    def name(self) -> str:
        """How the group is called in reports."""
        return f"{self.breakdown.operation} ({self.breakdown.lane})"


@dataclass(frozen=True)
class DeferredFigures:
    """Conversions after the operation's own wall time."""

    operation: str
    count: int
    total_ns: int
    p50_ns: float
    p99_ns: float


@dataclass
class Analysis:
    """The result; ``as_json`` is its lasting form."""

    sources: list[str]
    problems: list[str]
    frames: list[Frame]
    stages: list[str]
    operations: int
    missing: int
    seconds: float
    concurrency: float
    throttled_seconds: float
    throttled: list[Throttled]
    groups: list[GroupAnalysis]
    gathered: list[Gathered]
    skew: list[NodeSkew]
    blame: list[Blame]
    interpreters: list[Change]
    deferred: list[DeferredFigures]
    verdicts: list[Any] = field(default_factory=list)
    not_found: list[Any] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        value = dataclasses.asdict(self)
        value["format"] = 1
        return value


def analyse(paths: Iterable[str | Path]) -> tuple[Analysis, Profile]:
    """Reads recordings and analyses them; the profile holds what pictures and exports need besides."""
    from aerospike_py_analysis.verdicts import judge

    summed = profile(Recording(paths))
    analysis = from_profile(summed)
    analysis.verdicts, analysis.not_found = judge(analysis, summed)
    return analysis, summed


def from_profile(summed: Profile) -> Analysis:
    """The analysis without verdicts."""
    recording = summed.recording
    seconds = max(summed.last_ns - summed.first_ns, 1) / 1e9
    throttled, _ = trends.throttled(summed)
    deferred = [
        DeferredFigures(
            name,
            one.count,
            one.total_ns,
            histogram.quantile(one.durations, 0.5),
            histogram.quantile(one.durations, 0.99),
        )
        for name, one in sorted(summed.deferred.items())
    ]
    analysis = Analysis(
        recording.names,
        [],
        recording.frames,
        summed.stages,
        summed.count,
        summed.missing,
        seconds,
        summed.total_ns / 1e9 / seconds,
        throttled,
        trends.throttled_stretches(summed),
        [group_analysis(group, summed) for group in summed.groups],
        gathered(summed.bursts, summed),
        node_skew(summed),
        blame(summed),
        with_and_without_gil(summed),
        deferred,
    )
    analysis.problems = [str(problem) for problem in recording.problems]
    return analysis


def group_analysis(group: Group, summed: Profile) -> GroupAnalysis:
    """Everything about one group."""
    rows = Ordered(group.rows["duration_ns"], group.rows.stages, group.weights)
    tails = splits(group.stages, rows, TAILS, group.quantile)
    return GroupAnalysis(
        breakdown(group),
        tails,
        dimensions(group, summed),
        trend(group, summed.first_ns),
        exemplars(group, summed),
    )


def exemplars(group: Group, summed: Profile) -> list[Exemplar]:
    """The slowest operations, and one each from around p50 and p99."""
    size = len(group.rows)
    ranks = np.cumsum(group.weights)
    chosen: dict[int, str] = {}
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        chosen[min(int(np.searchsorted(ranks, q * ranks[-1])), size - 1)] = f"at the {name}"
    for row in range(max(size - SLOWEST_SHOWN, 0), size):
        chosen[row] = "among the slowest"
    places = {row: place_of(group, row) for row in chosen}
    details = summed.recording.details(places.values())
    words = summed.recording.vocabulary
    found = []
    for row, why in sorted(chosen.items()):
        columns = group.rows.columns
        found.append(
            Exemplar(
                group.operation,
                group.lane,
                why,
                int(columns["operation_id"][row]),
                int(columns["start_ns"][row]) - summed.first_ns,
                int(columns["duration_ns"][row]),
                words.word(int(columns["outcome"][row])),
                int(columns["keys"][row]),
                {
                    name: int(value)
                    for name, value in zip(group.stages, group.rows.stages[:, row], strict=True)
                    if value
                },
                details.get(places[row], Details()),
            )
        )
    return found
