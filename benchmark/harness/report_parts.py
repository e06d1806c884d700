"""What reports are made of: tables, sections, and the figures of all members, computed once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.harness import charts
from benchmark.harness.figures import Interval, Quantity, of_rounds
from benchmark.harness.significance import LEAST_ROUNDS, Difference, paired


@dataclass(frozen=True)
class Table:
    """Rows under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Section:
    """A heading, what is said below it, and charts for pages that can show them."""

    title: str
    text: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


class Figures:
    """Figures of all members, computed once."""

    def __init__(self, cells: Sequence[dict[str, Any]]) -> None:
        self.cells = cells
        self._found: dict[tuple[str, str], dict[str, Interval]] = {}
        self._members: dict[tuple[str, str], dict[str, Any]] = {}
        for cell in cells:
            for member in cell["members"]:
                if member["rounds"]:
                    place = (cell["name"], name_of(member))
                    self._found[place] = of_rounds(member["rounds"])
                    self._members[place] = member

    def of(self, cell: str, member: str) -> dict[str, Interval] | None:
        return self._found.get((cell, member))

    def members(self, cell: str) -> list[str]:
        return [member for of_cell, member in self._found if of_cell == cell]

    def ratio(self, old: tuple[str, str], new: tuple[str, str], quantity: Quantity) -> Difference | None:
        """New over old, round by round; nothing where they were not measured in the same rounds, or too seldom."""
        before, after = self._members.get(old), self._members.get(new)
        if before is None or after is None:
            return None
        series = [{result["number"]: quantity.of(result) for result in each["rounds"]} for each in (before, after)]
        pairs = [(one, series[1][number]) for number, one in series[0].items() if series[1].get(number)]
        known = [(one, other) for one, other in pairs if one and other]
        if len(known) < LEAST_ROUNDS:
            return None
        return paired([one for one, _ in known], [other for _, other in known])


def name_of(member: dict[str, Any]) -> str:
    return member["client"] if member["python"] == "none" else f"{member['client']}@{member['python']}"


def interval_text(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    if not math.isfinite(interval.low):
        return charts.number(interval.estimate)
    number = charts.number
    return f"{number(interval.estimate)} [{number(interval.low)}, {number(interval.high)}]"


def ratio_text(difference: Difference | None) -> str:
    return "-" if difference is None else f"{difference.ratio:.2f} [{difference.low:.2f}, {difference.high:.2f}]"
