"""The report of a recording as blocks: frame, verdicts, then group by group, fan-out, whose fault, what was looked
for."""

from __future__ import annotations

from aerospike_py_analysis.analysis import Analysis, GroupAnalysis
from aerospike_py_analysis.model import Frame
from aerospike_py_analysis.report import changes
from aerospike_py_analysis.report.blocks import Block, Heading, Items, Table, Text, Verdict
from aerospike_py_analysis.report.dimensions import dimension_blocks
from aerospike_py_analysis.report.pictures import Pictures
from aerospike_py_analysis.trends import BURST, FEWEST_SLICES, Throttled
from aerospike_py_analysis.wording import count, interval, rank, share, signed, time

# Groups shown in full; the others are in the overview and in the JSON.
GROUPS_SHOWN = 12
FRAME_COLUMNS = ["process", "Python", "GIL", "event loop", "cores", "client", "core", "program"]
WITH_AND_WITHOUT = ("with the GIL", "without the GIL")


def document(analysis: Analysis, pictures: Pictures | None = None, short: bool = False) -> list[Block]:
    """All blocks of a report; the short one ends after the verdicts and the overview."""
    blocks: list[Block] = [
        Heading("Where the time goes", 1),
        *frame(analysis),
        *verdicts(analysis),
        *overview(analysis),
    ]
    if short:
        return blocks
    if pictures:
        blocks += [Heading("Flamegraph", anchor="flame"), *pictures.flames()]
    for number, group in enumerate(analysis.groups[:GROUPS_SHOWN]):
        blocks += group_blocks(group, number, pictures, analysis.throttled)
    blocks += fanout(analysis)
    blocks += whose_fault(analysis)
    blocks += with_and_without_gil(analysis, pictures is not None)
    if analysis.deferred:
        blocks += [
            Heading("After the call"),
            Text("Lazy batches that became Python objects later; no part of the operations' wall time."),
            Table(
                ["operation", "conversions", "total", "p50", "p99"],
                [
                    [one.operation, count(one.count), time(one.total_ns), time(one.p50_ns), time(one.p99_ns)]
                    for one in analysis.deferred
                ],
            ),
        ]
    if analysis.not_found:
        blocks += [
            Heading("Looked for and not found"),
            Items([f"{one.rule}: {one.looks_for}" for one in analysis.not_found]),
        ]
    return blocks


def frame(analysis: Analysis) -> list[Block]:
    """What ran where, how much of it was seen, and what could not be read."""
    missing = f", {count(analysis.missing)} more are not in the recording" if analysis.missing else ""
    throttled = (
        f" The processes were throttled for {analysis.throttled_seconds:.2f} s." if analysis.throttled_seconds else ""
    )
    most = max((group.breakdown.most_in_flight for group in analysis.groups), default=0)
    blocks: list[Block] = [
        Heading("The frame", anchor="frame"),
        Text(
            f"{count(analysis.operations)} operations{missing}, in {analysis.seconds:.2f} s,"
            f" {analysis.concurrency:.2f} at a time in the mean; when one began, at most {count(most)} of its client"
            f" were in flight.{throttled}"
        ),
        Table(
            FRAME_COLUMNS,
            [frame_row(one) for one in analysis.frames],
            left=len(FRAME_COLUMNS),
        ),
    ]
    if analysis.problems:
        blocks += [Heading("Problems of files", 3), Items(analysis.problems)]
    return blocks


def frame_row(one: Frame) -> list[str]:
    """A process in the table of the frame."""
    gil = "unknown" if one.gil_enabled is None else "on" if one.gil_enabled else "off"
    build = f" ({one.python_build})" if one.python_build else ""
    quota = f", quota {one.cpu_quota_cores:g}" if one.cpu_quota_cores else ""
    cores = "unknown" if one.cores is None else f"{one.cores}{quota}"
    python = f"{one.python_implementation or ''} {one.python_version or 'unknown'}{build}".strip()
    program = " ".join(filter(None, [one.service_name, one.argv0])) or "unknown"
    return [
        f"{one.host}:{one.pid}",
        python,
        gil,
        ", ".join(one.event_loops) or "none seen",
        cores,
        one.client_version or "unknown",
        one.core_version or "unknown",
        program,
    ]


def verdicts(analysis: Analysis) -> list[Block]:
    """The findings, most important first."""
    blocks: list[Block] = [Heading("Verdicts", anchor="verdicts")]
    if not analysis.operations:
        blocks.append(Text("There is nothing to judge: the recording holds no operation."))
    elif not analysis.verdicts:
        blocks.append(Text("None of the rules fits: nothing stands out in this recording."))
    for one in analysis.verdicts:
        blocks.append(Verdict(one.rule, one.title, one.score, one.evidence, one.action, one.effects, one.picture))
    return blocks


def overview(analysis: Analysis) -> list[Block]:
    """All groups, one row each."""
    total = sum(group.breakdown.total_ns for group in analysis.groups) or 1.0
    rows = []
    for group in analysis.groups:
        one = group.breakdown
        main = group.tails[0].parts[0] if group.tails[0].parts else None
        rows.append(
            [
                group.name,
                count(one.count),
                count(one.errors),
                share(one.total_ns / total),
                *(time(value) for value in (one.mean_ns, one.p50_ns, one.p90_ns, one.p99_ns, one.p999_ns)),
                f"{main.stage} {signed(main.ns)}" if main else "none",
            ]
        )
    headers = [
        "operation",
        "count",
        "errors",
        "share",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "makes the tail (p50 to p99)",
    ]
    return [Heading("Operations", anchor="overview"), Table(headers, rows, words=1)]


def group_blocks(
    group: GroupAnalysis, number: int, pictures: Pictures | None, throttled: list[Throttled]
) -> list[Block]:
    """Breakdown, tail, dimensions and pictures of one operation and lane."""

    def anchor(name: str) -> str | None:
        return name if number == 0 else f"{name}-{number}"

    one = group.breakdown
    blocks: list[Block] = [Heading(group.name, anchor=f"group-{number}"), Heading("Breakdown", 3, anchor("breakdown"))]
    headers = ["stage", "count", "mean", "p50", "p90", "p99", "p99.9", "share of time", "share of tail"]
    rows = [
        [
            stage.stage,
            count(stage.count),
            *(time(value) for value in (stage.mean_ns, stage.p50_ns, stage.p90_ns, stage.p99_ns, stage.p999_ns)),
            share(stage.share),
            share(stage.tail_share),
        ]
        for stage in one.stages
    ]
    whole = [time(value) for value in (one.mean_ns, one.p50_ns, one.p90_ns, one.p99_ns, one.p999_ns)]
    blocks.append(Table(headers, [*rows, ["wall time", count(one.count), *whole, "100 %", "100 %"]]))
    if pictures:
        blocks += pictures.distributions(group)
    for tail in group.tails:
        first = tail is group.tails[0]
        blocks += [
            Heading(f"From {rank(tail.low)} to {rank(tail.high)}", 3, anchor("tail") if first else None),
            Text(
                f"{rank(tail.low)} is {time(tail.from_ns)}, {rank(tail.high)} is {time(tail.to_ns)}:"
                f" the parts add up to the {time(tail.difference_ns)} between them."
            ),
            Table(
                ["stage", "adds", "95 % interval", "share", f"at {rank(tail.low)}", f"at {rank(tail.high)}"],
                [
                    [
                        part.stage,
                        signed(part.ns),
                        interval(part.low_ns, part.high_ns),
                        share(part.share),
                        time(part.from_ns),
                        time(part.to_ns),
                    ]
                    for part in tail.parts
                ],
            ),
        ]
        if pictures and first:
            blocks += pictures.waterfall(tail)
    blocks += dimension_blocks(group, anchor("dimensions"), pictures is not None)
    blocks += [Heading("Over time", 3, anchor("trends")), Items(over_time(group, throttled))]
    if pictures:
        blocks += pictures.over_time(group, throttled)
        blocks += [Heading("Single operations", 3, anchor("timelines")), *pictures.timelines(group)]
    return blocks


def over_time(group: GroupAnalysis, throttled: list[Throttled]) -> list[str]:
    """Slow starts, bursts and throttling in sentences, absent ones as well."""
    trend = group.trend
    found = []
    if len(trend.slices) < FEWEST_SLICES:
        return [f"too short to say anything: {len(trend.slices)} slices of {time(trend.width_ns)} have operations"]
    found.append(
        f"slow start: the first {time(trend.warm_up_ns)} took {trend.warm_up_factor:.1f} times as long as later"
        f" operations, most of it in {trend.warm_up_stage}"
        if trend.warm_up_ns
        else "no slow start"
    )
    bursts = [trend.slices[i] for i in trend.bursts]
    worst = max(bursts, key=lambda one: one.p99_ns, default=None)
    found.append(
        f"bursts: {len(bursts)} of {len(trend.slices)} slices of {time(trend.width_ns)} have a p99 of more than"
        f" {BURST:g} times the typical slice's; the worst, {time(max(worst.start_ns, 0))} into the recording, of"
        f" {time(worst.p99_ns)}"
        if worst
        else f"no bursts: no slice of {time(trend.width_ns)} has a p99 of more than {BURST:g} times the typical one's"
    )
    longest = max(throttled, key=lambda one: one.stopped_ns, default=None)
    found.append(
        f"throttled in {len(throttled)} stretches; in the worst, {time(longest.start_ns)} into the recording, the"
        f" process stood still for {time(longest.stopped_ns)} of {time(longest.width_ns)}"
        if longest
        else "never throttled, as far as the probes know"
    )
    return found


def fanout(analysis: Analysis) -> list[Block]:
    """Gathered calls and uneven nodes."""
    blocks: list[Block] = []
    if analysis.gathered:
        blocks += [
            Heading("Gathered calls", anchor="fanout"),
            Text(
                "Calls of one loop that started together and overlapped. One batch of the same keys:"
                " work on each key stays, of the network the slowest"
                " stays, everything else is paid once. Savings are medians with the middle 80 % of the bursts."
            ),
            Table(
                [
                    "operation",
                    "bursts",
                    "calls",
                    "of all",
                    "calls per burst",
                    "takes",
                    "as one batch",
                    "saves",
                    "80 % of bursts",
                ],
                [
                    [
                        one.operation,
                        count(one.bursts),
                        count(one.calls),
                        share(one.calls_share),
                        f"{one.calls_per_burst:.1f}",
                        time(one.took_ns),
                        time(one.batch_ns),
                        time(one.saved_ns),
                        interval(one.saved_low_ns, one.saved_high_ns),
                    ]
                    for one in analysis.gathered
                ],
            ),
        ]
    if analysis.skew:
        blocks += [
            Heading("Nodes of batches", anchor="skew"),
            Table(
                ["node", "batches", "was the last", "mean", "behind the next when last", "bytes per batch"],
                [
                    [
                        one.node,
                        count(one.batches),
                        count(one.last),
                        time(one.mean_ns),
                        time(one.excess_ns),
                        "unknown" if one.bytes_mean is None else count(one.bytes_mean),
                    ]
                    for one in analysis.skew
                ],
            ),
        ]
    return blocks


def whose_fault(analysis: Analysis) -> list[Block]:
    """Who held the loop and the GIL."""
    blocks: list[Block] = []
    for one in analysis.blame:
        if not blocks:
            blocks.append(Heading("Whose fault", anchor="blame"))
        explained = one.explained_ns / one.examined_ns if one.examined_ns else 0.0
        blocks.append(
            Text(
                f"{' + '.join(one.waits)}: operations waited {time(one.waited_ns)} in all. Of"
                f" {time(one.examined_ns)} that were examined (the longest waits),"
                f" the probes explain {share(explained)}."
            )
        )
        if one.culprits:
            blocks.append(
                Table(
                    ["who", "seen by", "took", "of the examined waits", "from operations", "longest"],
                    [
                        [
                            who.name,
                            who.probe,
                            time(who.took_ns),
                            share(who.share),
                            count(who.operations),
                            time(who.longest_ns),
                        ]
                        for who in one.culprits
                    ],
                    left=2,
                )
            )
    return blocks


def with_and_without_gil(analysis: Analysis, pictures: bool) -> list[Block]:
    """The same operations of processes with the GIL and of processes without it, if there are both."""
    if not analysis.interpreters:
        return []
    name = rank(analysis.interpreters[0].q)
    blocks: list[Block] = [
        Heading("With the GIL and without it", anchor="interpreters"),
        changes.table(analysis.interpreters, WITH_AND_WITHOUT, name),
    ]
    for one in analysis.interpreters[:GROUPS_SHOWN]:
        blocks += changes.section(one, WITH_AND_WITHOUT, Heading(one.name, 3), pictures)
    return blocks
