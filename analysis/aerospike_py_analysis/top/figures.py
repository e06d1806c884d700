"""Rates, percentiles and levels of one interval: what the view shows, without how it shows it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from aerospike_py_analysis.top.interval import Estimate, Histogram, Interval

OPERATION: Final = "db_operation_name"
DURATIONS: Final = "db_client_operation_duration_seconds"
STAGES: Final = "db_client_internal_stage_seconds"
# Conversion after the operation's own time: no part of its shares.
DEFERRED: Final = "to_dict_deferred"
NO_ERRORS: Final = ("ok", "not_found")
PROBE: Final = "db_client_probe_"


@dataclass(frozen=True)
class StageFigures:
    """One stage of one operation and lane."""

    stage: str
    share: float
    p99: Estimate | None


@dataclass
class OperationFigures:
    """One operation on one lane."""

    operation: str
    lane: str
    per_second: float
    failed_per_second: float
    failed_share: float
    seconds: float
    percentiles: tuple[Estimate | None, Estimate | None, Estimate | None]
    stages: list[StageFigures] = field(default_factory=list)


@dataclass(frozen=True)
class NodeFigures:
    """The pools and the traffic of one node, over all clients of the process."""

    address: str
    used: float
    idle: float
    most: float
    attempts_per_second: float
    retries_per_second: float
    failures_per_second: float
    sent_per_second: float
    received_per_second: float


@dataclass(frozen=True)
class ClientFigures:
    """One client's operations in flight, and its limiter if it has one."""

    client: str
    in_flight: float
    limit: float | None
    pending: float


@dataclass(frozen=True)
class ProbeFigures:
    """A probe: samples with percentiles, or a level, or a growth per second."""

    name: str
    samples: float
    p50: Estimate | None
    p99: Estimate | None
    level: float | None = None
    per_second: float | None = None


@dataclass
class Figures:
    """Everything about one interval."""

    seconds: float
    restarted: bool
    operations: list[OperationFigures]
    errors: list[tuple[str, str, float]]
    nodes: list[NodeFigures]
    clients: list[ClientFigures]
    probes: list[ProbeFigures]
    pending_connections: float
    connection_timeouts: float
    limiter_timeouts: float
    opened: float
    closed: float
    limiter_wait: Histogram | None


def figures(interval: Interval) -> Figures:
    """What happened in an interval."""
    return Figures(
        interval.seconds,
        interval.restarted,
        operations(interval),
        errors(interval),
        nodes(interval),
        clients(interval),
        probes(interval),
        sum(value for _, value in interval.levels("db_client_connection_pending_requests")),
        rate(interval, "db_client_connection_timeouts_total"),
        rate(interval, "db_client_limiter_timeouts_total"),
        rate(interval, "db_client_connection_opened_total"),
        rate(interval, "db_client_connection_closed_total"),
        interval.histograms("db_client_limiter_wait_time_seconds").get(()),
    )


def rate(interval: Interval, name: str) -> float:
    """A counter's growth per second, over all its labels."""
    return sum(value for _, value in interval.growth(name)) / interval.seconds


def operations(interval: Interval) -> list[OperationFigures]:
    """All that happened in the interval, those that took most time first."""
    counted = interval.grown("db_client_operations_total", OPERATION, "lane", "outcome")
    durations = interval.histograms(DURATIONS, OPERATION, "lane")
    stages = stages_of(interval)
    total: dict[tuple[str, str], float] = defaultdict(float)
    failed: dict[tuple[str, str], float] = defaultdict(float)
    for (operation, lane, outcome), value in counted.items():
        total[operation, lane] += value
        failed[operation, lane] += 0.0 if outcome in NO_ERRORS else value
    found = []
    for (operation, lane), count in total.items():
        if not count:
            continue
        measured = durations.get((operation, lane), Histogram({}, 0.0))
        found.append(
            OperationFigures(
                operation,
                lane,
                count / interval.seconds,
                failed[operation, lane] / interval.seconds,
                failed[operation, lane] / count,
                measured.total,
                (measured.quantile(0.5), measured.quantile(0.99), measured.quantile(0.999)),
                stages.get((operation, lane), []),
            )
        )
    return sorted(found, key=lambda one: (-one.seconds, -one.per_second, one.operation, one.lane))


def stages_of(interval: Interval) -> dict[tuple[str, str], list[StageFigures]]:
    """The stages by operation and lane, the largest first."""
    by_group: dict[tuple[str, str], dict[str, Histogram]] = defaultdict(dict)
    for (operation, lane, stage), histogram in interval.histograms(STAGES, OPERATION, "lane", "stage").items():
        if histogram.count and stage != DEFERRED:
            by_group[operation, lane][stage] = histogram
    found = {}
    for group, measured in by_group.items():
        whole = sum(one.total for one in measured.values())
        rows = [
            StageFigures(name, one.total / whole if whole else 0.0, one.quantile(0.99))
            for name, one in measured.items()
        ]
        found[group] = sorted(rows, key=lambda one: -one.share)
    return found


def errors(interval: Interval) -> list[tuple[str, str, float]]:
    """Operation, name of the exception and how many per second, most first."""
    grown = interval.grown(f"{DURATIONS}_count", OPERATION, "error_type")
    found = [(name, kind, value / interval.seconds) for (name, kind), value in grown.items() if kind and value]
    return sorted(found, key=lambda one: -one[2])


def nodes(interval: Interval) -> list[NodeFigures]:
    """All nodes by address."""
    where = ("server_address", "server_port")
    used: dict[tuple[str, ...], float] = defaultdict(float)
    idle: dict[tuple[str, ...], float] = defaultdict(float)
    most: dict[tuple[str, ...], float] = defaultdict(float)
    for labels, value in interval.levels("db_client_connection_count"):
        levels = used if labels.get("db_client_connection_state") == "used" else idle
        levels[tuple(labels.get(name, "") for name in where)] += value
    for labels, value in interval.levels("db_client_connection_max"):
        most[tuple(labels.get(name, "") for name in where)] += value
    attempts = interval.grown("db_client_attempts_total", *where)
    retries = interval.grown("db_client_retries_total", *where)
    failures = interval.grown("db_client_connection_failures_total", *where)
    traffic = interval.grown("db_client_network_io_bytes_total", *where, "network_io_direction")
    found = []
    for node in sorted({*used, *idle, *(key for key, value in attempts.items() if value)}):
        per_second = [
            values.get(key, 0.0) / interval.seconds
            for values, key in (
                (attempts, node),
                (retries, node),
                (failures, node),
                (traffic, (*node, "transmit")),
                (traffic, (*node, "receive")),
            )
        ]
        found.append(NodeFigures(":".join(filter(None, node)), used[node], idle[node], most[node], *per_second))
    return found


def clients(interval: Interval) -> list[ClientFigures]:
    """All connected clients by number."""
    limits = {labels.get("client_id", ""): value for labels, value in interval.levels("db_client_limiter_max")}
    pending = {labels.get("client_id", ""): value for labels, value in interval.levels("db_client_limiter_pending")}
    found = [
        ClientFigures(client, value, limits.get(client), pending.get(client, 0.0))
        for client, value in (
            (labels.get("client_id", ""), value) for labels, value in interval.levels("db_client_operations_in_flight")
        )
    ]
    return sorted(found, key=lambda one: (len(one.client), one.client))


def probes(interval: Interval) -> list[ProbeFigures]:
    """Whatever probes the process exposes: durations first, then levels and totals."""
    found = []
    for name in ("loop_lag", "loop_callback", "gil_delay", "attach_delay", "stop_the_world", "runtime_schedule_delay"):
        for histogram in interval.histograms(f"{PROBE}{name}_seconds").values():
            p50, p99 = histogram.quantile(0.5), histogram.quantile(0.99)
            found.append(ProbeFigures(name, histogram.count, p50, p99))
    for name in ("runtime_busy_ratio", "runtime_queue_depth"):
        for metric in (f"{PROBE}{name}",):
            found += [ProbeFigures(name, 1, None, None, level=value) for _, value in interval.levels(metric)]
    for name in ("process_cpu_seconds", "cgroup_throttled_seconds", "context_switches_involuntary"):
        if interval.has(f"{PROBE}{name}_total"):
            found.append(ProbeFigures(name, 1, None, None, per_second=rate(interval, f"{PROBE}{name}_total")))
    return found
