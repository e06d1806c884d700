"""Stage statistics as text: the table for people and the folded stacks for flamegraphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aerospike_py.stages import OperationBreakdown, StageSnapshot, StageStatistics

_HEADINGS = ("count", "mean", "p50", "p90", "p99", "p99.9", "max", "share")
_UNITS = (("s", 1e9), ("ms", 1e6), ("µs", 1e3))
_LAST = "unattributed"


def duration(nanoseconds: float) -> str:
    """Write a duration with three significant digits, in the unit that suits it."""
    for unit, size in _UNITS:
        # Compare what will be printed: 999.96 µs would otherwise be written as 1000.0 µs.
        if nanoseconds >= size * 0.9995:
            value = nanoseconds / size
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
    return f"{nanoseconds:.0f} ns"


def table(snapshot: StageSnapshot) -> str:
    """One block of lines per operation; a sentence when there is nothing to show."""
    blocks = ["\n".join(_block(entry)) for entry in snapshot.operations]
    if not blocks:
        blocks.append("No operations were recorded: switch recording on with internal_stage_profiling().")
    if snapshot.dropped:
        blocks.append(f"{snapshot.dropped:,} operations could not be recorded and are missing above.")
    return "\n\n".join(blocks)


def folded(snapshot: StageSnapshot) -> str:
    """One line per stack, ``operation;lane;stage;node weight``; the node is left out where there is none."""
    return "".join(f"{line}\n" for entry in snapshot.operations for line in _stacks(entry))


def _in_order(entry: OperationBreakdown) -> list[tuple[str, StageStatistics]]:
    return sorted(entry.stages.items(), key=lambda stage: stage[0] == _LAST)


def _block(entry: OperationBreakdown) -> list[str]:
    rows: list[tuple[str, ...]] = [("stage", *_HEADINGS)]
    rows += [(name, *_cells(stage)) for name, stage in _in_order(entry)]
    if _LAST not in entry.stages:
        rows.append((_LAST, "0", *[duration(0)] * 6, f"{0:.1%}"))
    wall = len(rows)
    rows.append(("wall", *_cells(entry.wall)))
    if entry.deferred is not None:
        rows.append(("after the call", *_cells(entry.deferred)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    rule = "-" * len(lines[0])
    return [_title(entry), lines[0], rule, *lines[1:wall], rule, *lines[wall:]]


def _title(entry: OperationBreakdown) -> str:
    failures = "".join(f", {count:,} {outcome}" for outcome, count in entry.errors.items())
    return f"{entry.operation} ({entry.lane}): {entry.count:,} operations{failures}"


def _cells(stage: StageStatistics) -> tuple[str, ...]:
    times = (stage.mean_ns, stage.p50_ns, stage.p90_ns, stage.p99_ns, stage.p999_ns, stage.max_ns)
    return (f"{stage.count:,}", *(duration(time) for time in times), f"{stage.share:.1%}")


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    name, *cells = row
    return "  ".join(
        [name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))]
    )


def _stacks(entry: OperationBreakdown) -> Iterator[str]:
    for name, stage in _in_order(entry):
        stack = f"{entry.operation};{entry.lane};{name}"
        remainder = stage.total_ns
        for node, total in entry.nodes.get(name, {}).items():
            remainder -= total
            yield f"{stack};{node} {total}"
        if remainder > 0:
            yield f"{stack} {remainder}"
