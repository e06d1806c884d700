"""Two result files, or two clients of one: what has become slower, what faster, and what cannot be told.

Two files of the same run, and two clients of one file, were measured in the same rounds and are compared round by
round. A change counts if it is significant over all comparisons together (`significance.holm`) and not smaller than the
threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.harness.figures import CPU, P50, P99, THROUGHPUT, Quantity
from benchmark.harness.results import members
from benchmark.harness.significance import LEAST_ROUNDS, Difference, holm, paired, unpaired

ALPHA = 0.01
THRESHOLD = 0.02
COMPARED = (THROUGHPUT, P50, P99, CPU)
SLOWER, FASTER, SAME, UNSURE = "slower", "faster", "no change", "unsure"


@dataclass(frozen=True)
class Comparison:
    """One quantity of one client in one cell, old and new."""

    cell: str
    member: str
    quantity: Quantity
    difference: Difference
    p_value: float
    """Over all comparisons together."""
    threshold: float

    @property
    def worse(self) -> float:
        """By which part it has become worse; negative if better."""
        ratio = self.difference.ratio
        return 1 / ratio - 1 if self.quantity.larger_is_better else ratio - 1

    @property
    def verdict(self) -> str:
        if self.p_value < ALPHA and abs(self.worse) >= self.threshold:
            return SLOWER if self.worse > 0 else FASTER
        reach = max(abs(math.log(self.difference.low)), abs(math.log(self.difference.high)))
        return SAME if reach <= math.log1p(self.threshold) else UNSURE

    @property
    def reach(self) -> float:
        """How large a change may hide in the noise, or how far the found one may be off."""
        return math.sqrt(self.difference.high / self.difference.low) - 1


def files(old: dict[str, Any], new: dict[str, Any], threshold: float = THRESHOLD) -> list[Comparison]:
    """Compare what two files have in common."""
    before = {_place(cell, member): member for cell, member in members(old)}
    after = {_place(cell, member): member for cell, member in members(new)}
    same_run = old["run"]["id"] == new["run"]["id"]
    pairs = [(*place, before[place], after[place]) for place in before if place in after]
    return _compared(pairs, same_rounds=same_run, threshold=threshold)


def clients(document: dict[str, Any], old: str, new: str, threshold: float = THRESHOLD) -> list[Comparison]:
    """Compare two clients of one file, Python by Python."""
    before = {(cell["name"], member["python"]): member for cell, member in members(document) if member["client"] == old}
    pairs = [
        (cell["name"], f"{new}@{member['python']}", before[cell["name"], member["python"]], member)
        for cell, member in members(document)
        if member["client"] == new and (cell["name"], member["python"]) in before
    ]
    return _compared(pairs, same_rounds=True, threshold=threshold)


def _place(cell: dict[str, Any], member: dict[str, Any]) -> tuple[str, str]:
    return cell["name"], f"{member['client']}@{member['python']}"


def _compared(
    pairs: Iterable[tuple[str, str, dict[str, Any], dict[str, Any]]], *, same_rounds: bool, threshold: float
) -> list[Comparison]:
    found: list[tuple[str, str, Quantity, Difference]] = []
    for cell, name, old, new in pairs:
        for quantity in COMPARED:
            # The rate of an open loop is given, not found.
            if quantity == THROUGHPUT and "/open-" in cell:
                continue
            before, after = _series(old, quantity), _series(new, quantity)
            if same_rounds:
                common = sorted(before.keys() & after.keys())
                before, after = ({n: each[n] for n in common} for each in (before, after))
            if min(len(before), len(after)) < LEAST_ROUNDS:
                continue
            test = paired if same_rounds else unpaired
            found.append((cell, name, quantity, test(list(before.values()), list(after.values()))))
    adjusted = holm([difference.p_value for _, _, _, difference in found])
    return [Comparison(*each, p_value, threshold) for each, p_value in zip(found, adjusted, strict=True)]


def _series(member: dict[str, Any], quantity: Quantity) -> dict[int, float]:
    values = {result["number"]: quantity.of(result) for result in member["rounds"]}
    return {number: value for number, value in values.items() if value is not None and value > 0}


def text(comparisons: Sequence[Comparison]) -> str:
    """The comparisons, changes first, and what they amount to."""
    order = {SLOWER: 0, FASTER: 1, UNSURE: 2, SAME: 3}
    lines = []
    for each in sorted(comparisons, key=lambda each: (order[each.verdict], -abs(each.worse))):
        difference = each.difference
        lines.append(
            f"{each.verdict:<10} {each.cell:<44} {each.member:<26} {each.quantity.name:<11} "
            f"{difference.ratio:.3f} [{difference.low:.3f}, {difference.high:.3f}] p={each.p_value:.2g}"
        )
    counts = ", ".join(f"{sum(each.verdict == name for each in comparisons)} {name}" for name in order)
    return "\n".join([*lines, "", f"{len(comparisons)} comparisons: {counts}"])


def regressions(comparisons: Sequence[Comparison]) -> list[Comparison]:
    return [each for each in comparisons if each.verdict == SLOWER]
