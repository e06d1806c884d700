"""The breakdown of a group of operations: every stage with its figures, shares of all time and of the tail's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aerospike_py_analysis.profile import Group
from aerospike_py_analysis.stages import family

QUANTILES = {"p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99, "p999_ns": 0.999}
# Operations at or above this percentile of their group are its tail.
TAIL = 0.99


@dataclass(frozen=True)
class StageFigures:
    """One stage: mean and percentiles over the operations that spent time in it, shares over all."""

    stage: str
    family: str
    count: int
    mean_ns: float
    p50_ns: float
    p90_ns: float
    p99_ns: float
    p999_ns: float
    total_ns: float
    share: float
    tail_share: float


@dataclass(frozen=True)
class Breakdown:
    """All stages of a group and its wall time."""

    operation: str
    lane: str
    count: int
    errors: int
    outcomes: dict[str, int]
    failed_in: dict[str, int]
    mean_ns: float
    p50_ns: float
    p90_ns: float
    p99_ns: float
    p999_ns: float
    total_ns: float
    keys_mean: float
    attempts_mean: float
    bytes_received_mean: float
    most_in_flight: int
    stages: list[StageFigures]

    def stage(self, name: str) -> StageFigures | None:
        """The figures of one stage, none if the recording does not know it."""
        return next((figures for figures in self.stages if figures.stage == name), None)


def breakdown(group: Group) -> Breakdown:
    """The breakdown of one group."""
    tail = group.rows["duration_ns"] >= group.quantile(TAIL)
    tail_sums = group.rows.stages[:, tail] @ group.weights[tail]
    tail_total = float(tail_sums.sum())
    stages = []
    for position, name in enumerate(group.stages):
        count = int(group.touched[position])
        stages.append(
            StageFigures(
                name,
                family(name),
                count,
                float(group.sums[position]) / count if count else 0.0,
                **{key: group.stage_quantile(position, q) for key, q in QUANTILES.items()},
                total_ns=float(group.sums[position]),
                share=float(group.sums[position]) / group.total_ns if group.total_ns else 0.0,
                tail_share=float(tail_sums[position]) / tail_total if tail_total else 0.0,
            )
        )
    good = group.outcomes.get("ok", 0) + group.outcomes.get("not_found", 0)
    return Breakdown(
        group.operation,
        group.lane,
        group.count,
        sum(group.outcomes.values()) - good,
        group.outcomes,
        group.failed_in,
        group.total_ns / group.count,
        **{key: group.quantile(q) for key, q in QUANTILES.items()},
        total_ns=group.total_ns,
        keys_mean=group.keys / group.count,
        attempts_mean=group.attempts / group.count,
        bytes_received_mean=group.bytes_received / group.count,
        most_in_flight=group.most_in_flight,
        stages=[
            figures
            for figures in stages
            if figures.count or figures.stage == "unattributed" or np.any(figures.total_ns)
        ],
    )
