"""Who makes the tail, dimension by dimension: a table and a picture for each."""

from __future__ import annotations

from aerospike_py_analysis.analysis import GroupAnalysis
from aerospike_py_analysis.dimensions import Dimension, Value
from aerospike_py_analysis.report.blocks import Block, Heading, Picture, Table
from aerospike_py_analysis.report.pictures import LEFT, RIGHT, ROW, style
from aerospike_py_analysis.report.svg import line, picture, rect, text, ticks
from aerospike_py_analysis.stages import in_order
from aerospike_py_analysis.wording import count, interval, share, signed, time

VALUES_SHOWN = 8
# Stages that are named as what a tail is made of: at most so many, each with such a part of it.
STAGES_NAMED = 2
PART_NAMED = 0.1
HEADERS = [
    "operations",
    "share",
    "of slowest 1 %",
    "mean",
    "p50",
    "p99",
    "p50 to p99 is",
    "above others in",
]


def dimension_blocks(group: GroupAnalysis, anchor: str | None, pictures: bool) -> list[Block]:
    """All dimensions of a group."""
    blocks: list[Block] = []
    for dimension in group.dimensions:
        blocks += [
            Heading(f"By {dimension.name}", 3, anchor if not blocks else None),
            Table([dimension.name, *HEADERS], [row(value) for value in dimension.values[:VALUES_SHOWN]], words=2),
        ]
        if pictures:
            blocks.append(made_of(dimension))
    return blocks


def row(value: Value) -> list[str]:
    """A value in its table."""
    return [
        value.value,
        count(value.count),
        share(value.share),
        share(value.tail_share),
        time(value.mean_ns),
        time(value.p50_ns),
        time(value.p99_ns),
        tail_text(value),
        f"{value.excess_stage} {signed(value.excess_ns)}" if value.excess_ns > 0 else "nothing",
    ]


def tail_text(value: Value) -> str:
    """The stages that make most of the way from p50 to p99, with their intervals."""
    if value.tail is None:
        return "not split"
    parts = [part for part in value.tail.parts if part.ns > 0 and part.share >= PART_NAMED][:STAGES_NAMED]
    return (
        ", ".join(f"{part.stage} {signed(part.ns)} ({interval(part.low_ns, part.high_ns)})" for part in parts)
        or "nothing in particular"
    )


def made_of(dimension: Dimension) -> Picture:
    """What an operation at the p99 of each value is made of."""
    shown = [value for value in dimension.values[:VALUES_SHOWN] if value.tail is not None]
    highest = max((value.p99_ns for value in shown), default=1.0) or 1.0
    height = ROW * len(shown) + 30
    shapes = []
    for tick in ticks(highest):
        x = LEFT + (RIGHT - LEFT) * tick / highest
        shapes += [line(x, 2, x, height - 26, "grid"), text(x, height - 10, time(tick), anchor="middle")]
    for i, value in enumerate(shown):
        y, left = 4 + ROW * i, float(LEFT)
        shapes.append(text(LEFT - 8, y + 13, value.value, anchor="end"))
        parts = {part.stage: part.to_ns for part in value.tail.parts} if value.tail else {}
        for stage in in_order(set(parts)):
            width = (RIGHT - LEFT) * max(parts.get(stage, 0.0), 0.0) / highest
            if width < 0.2:
                continue
            shapes.append(rect(left, y + 2, width, 14, style(stage), f"{stage}: {time(parts[stage])}"))
            if width > 7 * len(stage):
                shapes.append(text(left + 4, y + 13, stage, "inside"))
            left += width
    label = f"The p99 by {dimension.name}, stage by stage"
    return Picture(picture(height, shapes, label), f"What an operation at the p99 is made of, by {dimension.name}.")
