"""The limits that recording promises to keep, and what the figures say about each: within, over, or unsure.

Every limit is judged twice: by the wall clock, which is what it is about, and by the processor time of the whole
process, which other loads of the machine disturb less and which includes what background threads do on another core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmark.overhead.configurations import EVERYTHING, OFF_AGAIN, STAGES
from benchmark.overhead.figures import Compared, Interval

WITHIN, OVER, UNSURE = "within", "OVER", "unsure"

OFF_LIMIT_PERCENT = 1.0
"""What cannot be told from nothing."""
SINGLE_LIMIT_NS = 600.0
BATCH_LIMIT_PERCENT = 1.0
EVERYTHING_LIMIT_PERCENT = 3.0


@dataclass(frozen=True)
class Limit:
    """What a figure of some workloads may be."""

    name: str
    cases: tuple[str, ...]
    configuration: str
    unit: str
    most: float
    figure: Callable[[Interval, Interval], Interval]
    """From the difference in nanoseconds and the ratio."""


def _difference(difference: Interval, ratio: Interval) -> Interval:
    return difference


def _percent(difference: Interval, ratio: Interval) -> Interval:
    return Interval(*((value - 1) * 100 for value in (ratio.median, ratio.low, ratio.high)))


def _lost_throughput(difference: Interval, ratio: Interval) -> Interval:
    """A ratio of times, as the share of the throughput that is gone."""
    return Interval(*((1 - 1 / value) * 100 for value in (ratio.median, ratio.low, ratio.high)))


LIMITS = (
    Limit(
        "stages, one operation",
        ("get-sync", "get-async"),
        STAGES.name,
        "ns",
        SINGLE_LIMIT_NS,
        _difference,
    ),
    Limit("stages, a batch", ("batch-sync", "batch-async"), STAGES.name, "%", BATCH_LIMIT_PERCENT, _percent),
    Limit(
        "everything on, throughput lost",
        ("throughput-async",),
        EVERYTHING.name,
        "%",
        EVERYTHING_LIMIT_PERCENT,
        _lost_throughput,
    ),
)


@dataclass(frozen=True)
class Verdict:
    """A limit, what was found, and whether it is kept."""

    limit: str
    case: str
    clock: str
    """``wall`` or ``CPU``."""
    found: Interval
    unit: str
    most: float
    verdict: str


def _clocks(compared: Compared) -> tuple[tuple[str, Interval, Interval], ...]:
    """Differences and ratios by either clock."""
    return (
        ("wall", compared.difference_ns, compared.ratio),
        ("CPU", compared.cpu_difference_ns, compared.cpu_ratio),
    )


def judge(case: str, compared: Sequence[Compared]) -> list[Verdict]:
    """Hold the figures of one workload against the limits that concern it."""
    by_name = {one.configuration: one for one in compared}
    verdicts = [_off_is_off(case, by_name[OFF_AGAIN.name])]
    for limit in LIMITS:
        if case not in limit.cases:
            continue
        for clock, difference, ratio in _clocks(by_name[limit.configuration]):
            found = limit.figure(difference, ratio)
            # An interval that has the limit in it decides nothing, whatever the median says.
            verdict = UNSURE if found.holds(limit.most) else WITHIN if found.median <= limit.most else OVER
            verdicts.append(Verdict(limit.name, case, clock, found, limit.unit, limit.most, verdict))
    return verdicts


def _off_is_off(case: str, again: Compared) -> Verdict:
    """Whether off can be told from off: what is smaller than this, the other verdicts of the case cannot see."""
    found = _percent(again.difference_ns, again.ratio)
    if found.low >= -OFF_LIMIT_PERCENT and found.high <= OFF_LIMIT_PERCENT:
        verdict = WITHIN
    else:
        verdict = UNSURE if found.holds(0.0) else OVER
    return Verdict("off against off again", case, "wall", found, "%", OFF_LIMIT_PERCENT, verdict)
