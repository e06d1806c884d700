"""The limits that recording promises to keep, and what the figures say about each: within, over, or unsure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmark.overhead.configurations import EVERYTHING, OFF_AGAIN, STAGES
from benchmark.overhead.figures import Compared, Interval

WITHIN, OVER, UNSURE = "within", "OVER", "unsure"

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
    figure: Callable[[Compared], Interval]


def _percent(compared: Compared) -> Interval:
    ratio = compared.ratio
    return Interval(*((value - 1) * 100 for value in (ratio.median, ratio.low, ratio.high)))


def _lost_throughput(compared: Compared) -> Interval:
    """A ratio of times, as the share of the throughput that is gone."""
    ratio = compared.ratio
    return Interval(*((1 - 1 / value) * 100 for value in (ratio.median, ratio.low, ratio.high)))


LIMITS = (
    Limit(
        "stages, one operation",
        ("get-sync", "get-async"),
        STAGES.name,
        "ns",
        SINGLE_LIMIT_NS,
        lambda compared: compared.difference_ns,
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
    found: Interval
    unit: str
    most: float
    verdict: str


def judge(case: str, compared: Sequence[Compared]) -> list[Verdict]:
    """Hold the figures of one workload against the limits that concern it."""
    by_name = {one.configuration: one for one in compared}
    verdicts = []
    for limit in LIMITS:
        if case in limit.cases and limit.configuration in by_name:
            found = limit.figure(by_name[limit.configuration])
            # An interval that has the limit in it decides nothing, whatever the median says.
            verdict = UNSURE if found.holds(limit.most) else WITHIN if found.median <= limit.most else OVER
            verdicts.append(Verdict(limit.name, case, found, limit.unit, limit.most, verdict))
    return verdicts


def off_is_off(case: str, compared: Sequence[Compared]) -> Verdict:
    """Whether off differs from itself: if it does, the machine is too restless for the other verdicts of the case."""
    again = next(one for one in compared if one.configuration == OFF_AGAIN.name)
    found = _percent(again)
    verdict = WITHIN if found.holds(0.0) else UNSURE
    return Verdict("off against off again", case, found, "%", 0.0, verdict)
