"""A comparison of two recordings as a document: what ran where on both sides, all operations, a waterfall for each."""

from __future__ import annotations

from aerospike_py_analysis.compare import Comparison
from aerospike_py_analysis.report import changes
from aerospike_py_analysis.report.blocks import Block, Heading, Items, Table, Text
from aerospike_py_analysis.report.document import FRAME_COLUMNS, WITH_AND_WITHOUT, frame_row
from aerospike_py_analysis.wording import rank, share

BEFORE_AND_AFTER = ("before", "after")


def sides_of(comparison: Comparison) -> tuple[str, str]:
    """What the two sides are called: by the GIL if that is what tells them apart."""
    gil = [{frame.gil_enabled for frame in frames} for frames in comparison.frames]
    if gil == [{True}, {False}]:
        return WITH_AND_WITHOUT
    return WITH_AND_WITHOUT[::-1] if gil == [{False}, {True}] else BEFORE_AND_AFTER


def title(comparison: Comparison) -> str:
    """The heading of the whole."""
    return "Before and after" if sides_of(comparison) == BEFORE_AND_AFTER else "With the GIL and without it"


def document(comparison: Comparison, threshold: float | None = None, pictures: bool = False) -> list[Block]:
    """The comparison as blocks of a report."""
    sides, name = sides_of(comparison), rank(comparison.q)
    rows = [[side, *frame_row(one)] for side, frames in zip(sides, comparison.frames, strict=True) for one in frames]
    blocks: list[Block] = [
        Heading(title(comparison), 1),
        Heading("The frames", anchor="frame"),
        Table(["", *FRAME_COLUMNS], rows, left=len(FRAME_COLUMNS) + 1),
        Heading("Operations", anchor="overview"),
        changes.table(comparison.changes, sides, name),
    ]
    if threshold is not None:
        slower = [one.name for one in comparison.changes if one.exceeds(threshold)]
        verdict = f"slower: {', '.join(slower)}" if slower else "nothing became slower"
        blocks.append(Text(f"Threshold {share(threshold)} at {name}: {verdict}."))
    lost = (comparison.only_before, comparison.only_after)
    only = [f"{one}: only {side}" for side, ones in zip(sides, lost, strict=True) for one in ones]
    if only:
        blocks.append(Items(only))
    for number, one in enumerate(comparison.changes):
        blocks += changes.section(one, sides, Heading(one.name, anchor=f"group-{number}"), pictures)
    return blocks
