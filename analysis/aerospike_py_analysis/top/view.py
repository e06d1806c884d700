"""The tables of ``aerospike-py top``: figures of an interval as blocks that any renderer can show."""

from __future__ import annotations

import math
from collections.abc import Iterator

from aerospike_py_analysis.report.blocks import Block, Table, Text
from aerospike_py_analysis.top.figures import Figures, OperationFigures, ProbeFigures
from aerospike_py_analysis.top.interval import Estimate
from aerospike_py_analysis.wording import share, time

# Operations whose stages are shown side by side.
STAGE_COLUMNS = 3
NOTHING = "-"


def blocks(found: Figures, operation: str | None = None) -> list[Block]:
    """All tables that have something to show; ``operation`` leaves the other operations out."""
    chosen = [one for one in found.operations if operation in (None, one.operation)]
    shown: list[Block] = []
    if found.restarted:
        shown.append(Text("The process has restarted: counts are those since its start, rates are too low this time."))
    if chosen:
        shown.append(operations(chosen))
    elif operation and found.operations:
        names = ", ".join(sorted({one.operation for one in found.operations}))
        shown.append(Text(f"No {operation} in this interval; there were {names}."))
    else:
        shown.append(Text("No operation has ended in this interval."))
    errors = [one for one in found.errors if operation in (None, one[0])]
    if errors:
        said = ", ".join(f"{kind} in {name} {per_second(value)}/s" for name, kind, value in errors[:6])
        shown.append(Text(f"Errors: {said}{', and more' if len(errors) > 6 else ''}."))
    shown.extend(connections(found))
    if found.probes:
        shown.append(probes(found.probes))
    if any(one.stages for one in chosen):
        shown.extend(stages(chosen))
    elif chosen:
        shown.append(Text("Stages are not recorded: AEROSPIKE_PY_INTERNAL_METRICS=1 switches them on."))
    return shown


def operations(chosen: list[OperationFigures]) -> Table:
    """Rates and percentiles."""
    rows = []
    for one in chosen:
        worst = max((each.error for each in one.percentiles if each is not None), default=math.nan)
        rows.append(
            [
                one.operation,
                one.lane,
                per_second(one.per_second),
                *map(estimate, one.percentiles),
                NOTHING if math.isnan(worst) else "open" if math.isinf(worst) else f"± {share(worst)}",
                per_second(one.failed_per_second) if one.failed_per_second else "0",
                share(one.failed_share),
            ]
        )
    headers = ["operation", "lane", "per second", "p50", "p99", "p99.9", "exact to", "errors/s", "of all"]
    return Table(headers, rows, left=2)


def stages(chosen: list[OperationFigures]) -> Iterator[Block]:
    """Share and p99 of each stage, side by side for the operations that take most time."""
    measured = [one for one in chosen if one.stages]
    side_by_side = measured[:STAGE_COLUMNS]
    weight: dict[str, float] = {}
    for one in side_by_side:
        for stage in one.stages:
            weight[stage.stage] = max(weight.get(stage.stage, 0.0), stage.share)
    rows = []
    for name in sorted(weight, key=lambda name: -weight[name]):
        row = [name]
        for one in side_by_side:
            found = next((each for each in one.stages if each.stage == name), None)
            row += [share(found.share), estimate(found.p99)] if found else [NOTHING, NOTHING]
        rows.append(row)
    headers = ["stage"]
    for one in side_by_side:
        headers += [f"{one.operation} ({one.lane})", "p99"]
    left_out = [f"{one.operation} ({one.lane})" for one in measured[STAGE_COLUMNS:]]
    if left_out:
        yield Text(f"Stages of {', '.join(left_out)}: --operation NAME.")
    yield Table(headers, rows)


def connections(found: Figures) -> Iterator[Block]:
    """Pools by node, then clients and what waits."""
    if found.nodes:
        headers = ["node", "used", "idle", "at most", "attempts/s", "retries/s", "failures/s", "sent", "received"]
        yield Table(
            headers,
            [
                [
                    node.address,
                    f"{node.used:.0f}",
                    f"{node.idle:.0f}",
                    f"{node.most:.0f}",
                    per_second(node.attempts_per_second),
                    per_second(node.retries_per_second),
                    per_second(node.failures_per_second),
                    f"{size(node.sent_per_second)}/s",
                    f"{size(node.received_per_second)}/s",
                ]
                for node in found.nodes
            ],
        )
    waits = [
        f"client {one.client}: {one.in_flight:.0f} in flight"
        + (f", {one.pending:.0f} wait for one of {one.limit:.0f} permits" if one.limit is not None else "")
        for one in found.clients
    ]
    if found.limiter_wait is not None and (p99 := found.limiter_wait.quantile(0.99)):
        waits.append(f"limiter wait p99 {estimate(p99)}")
    waits.append(f"{found.pending_connections:.0f} sleep for a connection or a retry")
    for value, what in (
        (found.connection_timeouts, "connection time-outs"),
        (found.limiter_timeouts, "refused by the limiter"),
        (found.opened, "connections opened"),
        (found.closed, "connections closed"),
    ):
        if value:
            waits.append(f"{per_second(value)}/s {what}")
    yield Text("; ".join(waits))


def probes(found: list[ProbeFigures]) -> Table:
    """Probes: percentiles of durations, levels, growth per second."""
    rows = []
    for one in found:
        if one.level is not None:
            value = [NOTHING, NOTHING, NOTHING, f"{one.level:.2f}"]
        elif one.per_second is not None:
            value = [NOTHING, NOTHING, NOTHING, f"{one.per_second:.2f}/s"]
        else:
            value = [f"{one.samples:.0f}", estimate(one.p50), estimate(one.p99), NOTHING]
        rows.append([one.name, *value])
    return Table(["probe", "samples", "p50", "p99", "level"], rows)


def estimate(value: Estimate | None) -> str:
    """A percentile; beyond the last bucket only its lower limit is known."""
    if value is None:
        return NOTHING
    return f"> {time(value.low * 1e9)}" if math.isinf(value.high) else time(value.value * 1e9)


def per_second(value: float) -> str:
    """A rate with three digits or all of its whole ones."""
    if value == 0:
        return "0"
    return f"{value:,.0f}".replace(",", "\u202f") if value >= 99.95 else f"{value:.3g}"


def size(value: float) -> str:
    """A number of bytes."""
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
