"""Flamegraphs for the page: folded stacks as boxes in the page's own colours, without scripts.

``aerospike-py flamegraph`` draws those that can be clicked and searched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from aerospike_py_analysis.flamegraph import folded
from aerospike_py_analysis.profile import Profile
from aerospike_py_analysis.report.blocks import Picture
from aerospike_py_analysis.report.svg import WIDTH, picture, rect, text
from aerospike_py_analysis.stages import FAMILIES
from aerospike_py_analysis.wording import share, time

TALL = 20
# What a letter of a label takes, and the narrowest box that is drawn.
LETTER, LEAST = 6.6, 0.4


@dataclass
class Box:
    """A frame of the stacks with all that is above it."""

    name: str
    ns: int = 0
    above: dict[str, Box] = field(default_factory=dict)


def tree(lines: list[str]) -> Box:
    """Folded stacks as nested boxes."""
    root = Box("all operations")
    for line in lines:
        stack, _, weight = line.rpartition(" ")
        box = root
        box.ns += int(weight)
        for name in stack.split(";"):
            box = box.above.setdefault(name, Box(name))
            box.ns += int(weight)
    return root


def boxes(box: Box, left: float, depth: int, scale: float) -> Iterator[tuple[Box, float, int]]:
    """Every box that is wide enough, with its place."""
    if box.ns * scale < LEAST:
        return
    yield box, left, depth
    for one in sorted(box.above.values(), key=lambda other: -other.ns):
        yield from boxes(one, left, depth + 1, scale)
        left += one.ns * scale


def flames(summed: Profile) -> list[Picture]:
    """Where all time went, and where that of the slowest operations went."""
    found = []
    for tail, caption in (
        (None, "All operations: operation, lane, stage and node from below; widths are shares of all time."),
        (0.99, "Only the slowest 1 % of each operation and lane."),
    ):
        root = tree(folded(summed, tail=tail))
        if root.ns:
            found.append(Picture(draw(root), caption))
    return found


def draw(root: Box) -> str:
    """The picture of nested boxes."""
    placed = list(boxes(root, 0.0, 0, WIDTH / root.ns))
    highest = max(depth for _, _, depth in placed)
    shapes = []
    for box, left, depth in placed:
        width, y = WIDTH * box.ns / root.ns, TALL * (highest - depth)
        colour = f"s-{box.name}" if box.name in FAMILIES else "box"
        label = f"{box.name}: {time(box.ns)}, {share(box.ns / root.ns)}"
        shapes.append(rect(left, y + 1, max(width - 0.6, LEAST), TALL - 2, colour, label))
        letters = int((width - 8) / LETTER)
        if letters >= 3:
            short = box.name if len(box.name) <= letters else f"{box.name[: letters - 1]}…"
            shapes.append(text(left + 4, y + 14, short, "inside" if colour != "box" else "value"))
    return picture(TALL * (highest + 1), shapes, "Flamegraph of the stages")
