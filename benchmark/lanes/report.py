"""The measurements as tables for people and as JSON: ratios against targets first, figures for orientation below."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.lanes.measuring import Cell
from benchmark.lanes.ratios import Interval, figure, median_interval, ratios
from benchmark.lanes.workloads import QUANTITIES, Quantity, Target, targets_of

NOT_MEASURED = "NOT MEASURED"


@dataclass(frozen=True)
class Row:
    """A comparison of our client with another one: measured, or why not; with a target, or for orientation."""

    workload: str
    python: str
    subject: str
    against: str
    quantity: Quantity
    target: Target | None
    measured: Interval | None
    obstacle: str = ""

    def verdict(self) -> str:
        if self.measured is None:
            return NOT_MEASURED
        if self.target is None:
            return ""
        sure = not self.measured.holds(self.target.limit)
        return ("yes" if self.target.reached(self.measured.median) else "no") + ("" if sure else " (unsure)")


def rows_of(cell: Cell) -> Iterator[Row]:
    """The targets of a cell, then all other comparisons of our client."""
    asked_for = cell.clients.keys() | cell.left_out.keys()
    wanted = targets_of(cell.workload.name, cell.python)
    for target in wanted:
        if {target.subject, target.against} <= asked_for:
            yield _row(cell, target.subject, target.against, target.quantity, target)
    covered = {(target.subject, target.against, target.quantity) for target in wanted}
    for subject in ("ours", "ours-uvloop"):
        if subject not in cell.clients:
            continue
        for against in cell.clients:
            if against.startswith("ours"):
                continue
            for quantity in QUANTITIES:
                if (subject, against, quantity) not in covered:
                    yield _row(cell, subject, against, quantity, None)


def _row(cell: Cell, subject: str, against: str, quantity: Quantity, target: Target | None) -> Row:
    measured, obstacle = None, ""
    for name in (subject, against):
        client = cell.clients.get(name)
        if client is None:
            obstacle = cell.left_out[name]
        elif client.failure is not None:
            obstacle = client.failure
        elif not client.rounds:
            obstacle = f"{name} has no rounds"
    if not obstacle:
        ours, theirs = cell.clients[subject].rounds, cell.clients[against].rounds
        measured = median_interval(ratios(ours, theirs, quantity))
    return Row(cell.workload.name, cell.python, subject, against, quantity, target, measured, obstacle)


def table(rows: Sequence[Row]) -> str:
    """Workload, Python, whom against whom, quantity, target, ratio with its interval, and whether it is reached."""
    header = ["workload", "Python", "client", "against", "quantity", "target", "ratio [interval]", "reached"]
    lines = [
        [
            row.workload,
            row.python,
            row.subject,
            row.against,
            row.quantity.name,
            row.target.text() if row.target else "",
            ratio_text(row.measured),
            row.verdict(),
        ]
        for row in rows
    ]
    return aligned([header, *lines])


def orientation_table(rows: Sequence[Row]) -> str:
    """All comparisons, with a target or without: a line per pair of clients, a column per quantity."""
    header = ["workload", "Python", "client", "against", *(quantity.name for quantity in QUANTITIES)]
    pairs: dict[tuple[str, str, str, str], dict[Quantity, str]] = {}
    for row in rows:
        pair = (row.workload, row.python, row.subject, row.against)
        pairs.setdefault(pair, {})[row.quantity] = ratio_text(row.measured)
    lines = [[*pair, *(texts.get(quantity, "-") for quantity in QUANTITIES)] for pair, texts in pairs.items()]
    return aligned([header, *lines])


def ratio_text(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.median:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def figures_table(cells: Sequence[Cell]) -> str:
    """Medians over rounds, absolute: for orientation, since only ratios of one run can be compared."""
    header = ["workload", "Python", "client", "op/s", "p50 us", "p99 us", "CPU us/op", "switches/op", "rounds"]
    lines = []
    for cell in cells:
        for name, client in cell.clients.items():
            start = [cell.workload.name, cell.python, name]
            if not client.rounds:
                lines.append([*start, *["-"] * 5, "0"])
                continue
            medians = [
                statistics.median(figure(result, quantity) for result in client.rounds) for quantity in QUANTITIES
            ]
            switches = statistics.median(
                (result["voluntary_switches"] + result["involuntary_switches"]) / result["operations"]
                for result in client.rounds
            )
            texts = [f"{medians[0]:,.0f}", *(f"{value:,.1f}" for value in medians[1:]), f"{switches:.2f}"]
            lines.append([*start, *texts, str(len(client.rounds))])
    return aligned([header, *lines])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest entry."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        " | ".join(entry.ljust(width) for entry, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def problems(cells: Sequence[Cell], rows: Sequence[Row]) -> list[str]:
    """What should have been measured and was not."""
    failed = [
        f"{cell.workload.name} on {cell.python}: {client.failure}"
        for cell in cells
        for client in cell.clients.values()
        if client.failure is not None
    ]
    missing = [
        f"{row.workload} on {row.python} against {row.against}, {row.quantity.name}: {row.obstacle}"
        for row in rows
        if row.target is not None and row.measured is None
    ]
    return list(dict.fromkeys([*failed, *missing]))


def as_json(cells: Sequence[Cell], rows: Sequence[Row], stamp: dict[str, Any]) -> dict[str, Any]:
    """Everything, for files."""
    return {
        "stamp": stamp,
        "comparisons": [
            {
                "workload": row.workload,
                "python": row.python,
                "client": row.subject,
                "against": row.against,
                "quantity": row.quantity.name,
                "target": row.target.limit if row.target else None,
                "aim": row.target.aim if row.target else None,
                "ratio": dataclasses.asdict(row.measured) if row.measured else None,
                "reached": row.target.reached(row.measured.median) if row.target and row.measured else None,
                "obstacle": row.obstacle or None,
            }
            for row in rows
        ],
        "cells": [
            {
                "workload": dataclasses.asdict(cell.workload),
                "python": cell.python,
                "left_out": cell.left_out,
                "clients": {name: dataclasses.asdict(client) for name, client in cell.clients.items()},
            }
            for cell in cells
        ],
    }
