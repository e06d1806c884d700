"""Changes between two sides as blocks: a table of all operations, and for each one the waterfall stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

from aerospike_py_analysis.compare import Change
from aerospike_py_analysis.report.blocks import Block, Heading, Picture, Table, Text
from aerospike_py_analysis.report.pictures import style, waterfall
from aerospike_py_analysis.wording import count, interval, rank, share, signed, time

Sides = tuple[str, str]


def table(changes: Sequence[Change], sides: Sides, name: str) -> Table:
    """All operations, one row each."""
    headers = ["operation", *sides, *(f"{name} {one}" for one in sides)]
    return Table(
        [*headers, "change", "relative", "95 % interval", "more than chance"],
        [
            [
                one.name,
                *map(count, one.counts),
                time(one.from_ns),
                time(one.to_ns),
                signed(one.difference_ns),
                f"{'+' if one.relative > 0 else ''}{share(one.relative)}",
                interval(one.low_ns, one.high_ns),
                "yes" if one.significant else "no",
            ]
            for one in changes
        ],
    )


def section(one: Change, sides: Sides, heading: Heading, pictures: bool) -> list[Block]:
    """One operation, from one side to the other."""
    name = rank(one.q)
    blocks: list[Block] = [
        heading,
        Text(
            f"{name} goes from {time(one.from_ns)} ({sides[0]}) to {time(one.to_ns)} ({sides[1]}): the parts add up to"
            f" the {signed(one.difference_ns)} between them."
        ),
        Table(
            ["stage", "change", "95 % interval", *sides],
            [
                [part.stage, signed(part.ns), interval(part.low_ns, part.high_ns), time(part.from_ns), time(part.to_ns)]
                for part in one.parts
            ],
        ),
    ]
    if pictures:
        steps = [
            (part.stage, part.ns, part.low_ns, part.high_ns, style(part.stage))
            for part in one.parts
            if abs(part.ns) >= 1
        ]
        drawn = waterfall(sides[0], one.from_ns, sides[1], one.to_ns, steps)
        blocks.append(Picture(drawn, f"{name}, stage by stage; whiskers: 95 % intervals."))
    return blocks
