"""What a rule is given and what it hands back: evidence, candidates, findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from aerospike_py_analysis.analysis import Analysis, GroupAnalysis
from aerospike_py_analysis.profile import Group, Profile
from aerospike_py_analysis.trends import BURST
from aerospike_py_analysis.wording import interval, share, time

# A stage is worth a verdict from this part of the p99 on, or from this part of all time.
TAIL_PART = 0.2
TIME_PART = 0.25
# Groups with a smaller part of all time are not judged by themselves, and neither are those with fewer operations.
GROUP_PART = 0.02
FEWEST = 50
# Part of the slowest operations that are among the first ones, from which on they are a slow start.
SLOW_START = 0.7
# Part of the slowest operations that are in few stretches of time, from which on something happened at these times.
IN_STRETCHES = 0.7
SLICES_IN_A_ROW = 3
# Stages that make this part of the median operation, and at least so long, are slow whatever the start was like.
THROUGHOUT = 0.5
THROUGHOUT_NS = 1_000_000
# Stages that add less than this to an operation are not worth a verdict, whatever their part.
LEAST_NS = 100_000


@dataclass(frozen=True)
class Effect:
    """What following a verdict is expected to take from a percentile or a mean, with an interval."""

    of: str
    ns: float
    low_ns: float
    high_ns: float
    basis: str

    def __str__(self) -> str:
        return f"{self.of}: up to {time(self.ns)} less ({interval(self.low_ns, self.high_ns)}); {self.basis}"


@dataclass(frozen=True)
class Candidate:
    """One place where a rule fits: how much it matters (0 to 1), the evidence and the effect."""

    score: float
    evidence: list[str]
    effect: Effect | None = None
    group: str | None = None


@dataclass(frozen=True)
class Finding:
    """A verdict."""

    rule: str
    title: str
    score: float
    evidence: list[str]
    action: str
    effects: list[str]
    groups: list[str]
    picture: str


@dataclass(frozen=True)
class Evidence:
    """What checks look at."""

    analysis: Analysis
    profile: Profile

    def groups(self) -> Iterator[tuple[GroupAnalysis, float]]:
        """The groups that are worth judging, each with its part of all time."""
        total = sum(group.breakdown.total_ns for group in self.analysis.groups) or 1.0
        for group in self.analysis.groups:
            part = group.breakdown.total_ns / total
            if part >= GROUP_PART and group.breakdown.count >= FEWEST:
                yield group, part

    def starts_slowly(self, group: GroupAnalysis) -> bool:
        """Whether the tail of a group is its slow start, so that no stage is to blame for it later."""
        trend = group.trend
        if not trend.warm_up_ns:
            return False
        end = self.profile.first_ns + trend.slices[0].start_ns + trend.warm_up_ns
        one = self.profile_of(group)
        tail = one.rows["duration_ns"] >= group.breakdown.p99_ns
        early = tail & (one.rows["start_ns"] < end)
        return float(one.weights[early].sum()) >= SLOW_START * float(one.weights[tail].sum())

    def tail_in_stretches(self, group: GroupAnalysis) -> float:
        """The part of a group's slowest operations that are in stretches of time which are few and slow throughout.

        The median of a stretch tells: a heavy tail makes some operations of any stretch slow, and its p99 with them.
        """
        trend = group.trend
        typical = np.median([one.p50_ns for one in trend.slices]) if trend.slices else 0.0
        slow = [i for i in trend.bursts if trend.slices[i].p50_ns > BURST * typical]
        warm = trend.slices[0].start_ns + trend.warm_up_ns if trend.slices else 0
        slow = lasting([i for i in slow if trend.slices[i].start_ns >= warm])
        if not slow or len(slow) > len(trend.slices) / 4:
            return 0.0
        one = self.profile_of(group)
        tail = one.rows["duration_ns"] >= group.breakdown.p99_ns
        begins = np.array([trend.slices[i].start_ns for i in slow]) + self.profile.first_ns
        at = one.rows["start_ns"][tail]
        before = np.searchsorted(begins, at, side="right") - 1
        inside = (before >= 0) & (at < begins[np.maximum(before, 0)] + trend.width_ns)
        return float(one.weights[tail][inside].sum()) / float(one.weights[tail].sum())

    def profile_of(self, group: GroupAnalysis) -> Group:
        """The profile of a group."""
        key = (group.breakdown.operation, group.breakdown.lane)
        return next(one for one in self.profile.groups if (one.operation, one.lane) == key)


def lasting(slices: list[int]) -> list[int]:
    """Those of some slices that have others before or behind them: a slice with few operations is slow by chance."""
    found: list[int] = []
    run: list[int] = []
    for one in [*slices, -1]:
        if run and one != run[-1] + 1:
            found += run if len(run) >= SLICES_IN_A_ROW else []
            run = []
        run.append(one)
    return found


@dataclass(frozen=True)
class Rule:
    """A row of the table."""

    id: str
    title: str
    looks_for: str
    action: str
    picture: str
    check: Callable[[Evidence], list[Candidate]]


@dataclass(frozen=True)
class StageWeight:
    """How much some stages weigh in a group."""

    tail_ns: float
    low_ns: float
    high_ns: float
    tail_part: float
    time_part: float
    mean_ns: float
    # Whether they matter in the median operation, too.
    at_median: bool
    # Whether they are most of the median operation and long by themselves.
    throughout: bool

    @property
    def matters(self) -> bool:
        """Whether they are worth a verdict."""
        tail = self.tail_part >= TAIL_PART and self.tail_ns >= LEAST_NS
        return tail or (self.time_part >= TIME_PART and self.mean_ns >= LEAST_NS)


def weigh(group: GroupAnalysis, stages: tuple[str, ...]) -> StageWeight:
    """What some stages add to the p99, and their part of all time."""
    tail = group.tails[0]
    parts = [part for part in tail.parts if part.stage in stages]
    figures = [one for one in group.breakdown.stages if one.stage in stages]
    added = sum(part.ns for part in parts)
    at_median = sum(part.from_ns for part in parts)
    return StageWeight(
        added,
        sum(part.low_ns for part in parts),
        sum(part.high_ns for part in parts),
        max(added, 0.0) / tail.to_ns if tail.to_ns else 0.0,
        sum(one.share for one in figures),
        sum(one.share for one in figures) * group.breakdown.mean_ns,
        at_median >= max(TIME_PART * tail.from_ns, LEAST_NS),
        at_median >= max(THROUGHOUT * tail.from_ns, THROUGHOUT_NS),
    )


def describe(group: GroupAnalysis, stages: tuple[str, ...], weight: StageWeight) -> str:
    """The figures of some stages in a sentence."""
    tail = group.tails[0]
    return (
        f"{group.name}: {' + '.join(stages)} make {time(weight.tail_ns)} of the {time(tail.difference_ns)} from p50"
        f" ({time(tail.from_ns)}) to p99 ({time(tail.to_ns)}) and {share(weight.time_part)} of all its time"
    )


def by_stages(
    evidence: Evidence, stages: tuple[str, ...], fits: Callable[[GroupAnalysis], str | None] = lambda _: ""
) -> list[Candidate]:
    """Candidates for stages that matter; ``fits`` gives further evidence, or none where a rule does not apply."""
    found = []
    for group, part in evidence.groups():
        weight = weigh(group, stages)
        if not weight.matters or (evidence.starts_slowly(group) and not weight.throughout):
            continue
        # A tail that is made at certain times is a matter of these times, not of the stage.
        if not weight.at_median and evidence.tail_in_stretches(group) >= IN_STRETCHES:
            continue
        more = fits(group)
        if more is None:
            continue
        found.append(
            Candidate(
                part * max(weight.tail_part, weight.time_part),
                [describe(group, stages, weight), *([more] if more else [])],
                tail_effect(group, weight),
                group.name,
            )
        )
    return found


def tail_effect(group: GroupAnalysis, weight: StageWeight) -> Effect | None:
    """What the p99 loses if these stages take as long there as at the median; else what the mean loses."""
    if weight.tail_part >= TAIL_PART:
        return Effect(
            f"p99 of {group.name}",
            weight.tail_ns,
            max(weight.low_ns, 0.0),
            weight.high_ns,
            "if the tail spends there what the median does",
        )
    saved = weight.time_part * group.breakdown.mean_ns
    return Effect(f"mean of {group.name}", saved, 0.0, saved, "if these stages vanished")
