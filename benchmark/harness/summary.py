"""The plain-language summary: what the figures show, what they do not, and what these machines cannot show at all."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.harness import web_sections
from benchmark.harness.figures import P50, P99, THROUGHPUT, Quantity, failures
from benchmark.harness.report_parts import Figures, Section, Table, name_of
from benchmark.harness.significance import Difference
from benchmark.processes.places import PYTHONS

# A ratio whose interval reaches further than this either way decides little.
WIDE = 0.25
OTHERS = ("aerospike-py", "aerospike-native", "aerospike-sdk", "aerospike-sdk-fast", "aerospike", "aerospike-executor")

MEANING = (
    "The table counts cells, on each Python for itself, by whether the whole interval of the ratio of ours to the "
    "other client lies on one side of one. Cells are not equally important, and many of them are alike."
)


def section(documents: Sequence[dict[str, Any]], figures: Figures) -> Section:
    """What a reader in a hurry should know."""
    header = ["ours against", "quantity", "cells", "surely better", "surely worse", "undecided", "median ratio"]
    rows = list(_against_others(figures))
    text = list(_doubts(documents, figures))
    if rows:
        text.insert(0, MEANING)
    return Section("What is shown, and what is not", text, [Table(header, rows)] if rows else [])


def _against_others(figures: Figures) -> Iterator[list[str]]:
    for other in OTHERS:
        for quantity in (THROUGHPUT, P50, P99):
            found = list(_ratios(figures, other, quantity))
            if not found:
                continue
            better = sum(_sure(each, quantity.larger_is_better) for each in found)
            worse = sum(_sure(each, not quantity.larger_is_better) for each in found)
            counts = [len(found), better, worse, len(found) - better - worse]
            wanted = "more" if quantity.larger_is_better else "less"
            median = statistics.median(each.ratio for each in found)
            yield [other, f"{quantity.name} ({wanted} is better)", *map(str, counts), f"{median:.2f}"]


def _ratios(figures: Figures, other: str, quantity: Quantity) -> Iterator[Difference]:
    for cell in figures.cells:
        # The rate of an open loop is given, not found.
        if quantity == THROUGHPUT and cell["load"]["rate"] is not None:
            continue
        for python in PYTHONS:
            ratio = figures.ratio((cell["name"], f"{other}@{python}"), (cell["name"], f"ours@{python}"), quantity)
            if ratio is not None:
                yield ratio


def _sure(difference: Difference, larger: bool) -> bool:
    return difference.low > 1 if larger else difference.high < 1


def _doubts(documents: Sequence[dict[str, Any]], figures: Figures) -> Iterator[str]:
    yield (
        "Only ratios between clients of the same cell compare like with like: they were measured in the same rounds, "
        "in random order. Absolute figures are those of this machine at that time."
    )
    for document in documents:
        stamp = document["stamp"]
        if stamp["server"]["embedded"]:
            yield (
                f"Server and clients shared {stamp['cores']} cores, and the server is an in-memory double: there is "
                "no network and no disk in these figures. Where a client leaves the processor to the server, it gains "
                "here what it would not gain against a server of its own."
            )
        if max(stamp["load_average"][:1]) > stamp["cores"] / 2:
            load = stamp["load_average"][0]
            yield f"The machine was busy before the run began (load {load:.2f}): expect wide intervals."
        rounds = document["run"]["plan"]["rounds"]
        if rounds < 10:
            yield f"With {rounds} rounds the intervals are wide on purpose: a difference inside them is none."
    yield from web_sections.remarks(figures)
    wide = total = 0
    for cell in figures.cells:
        for name in figures.members(cell["name"]):
            found = (figures.of(cell["name"], name) or {})["p99"]
            total += 1
            reach = max(found.high - found.estimate, found.estimate - found.low)
            wide += not math.isfinite(reach) or reach > WIDE * found.estimate
    yield f"In {wide} of {total} rows the 99th percentile is not known better than to a quarter of itself."
    failed = [
        f"{name_of(member)} in {cell['name']}"
        for cell in figures.cells
        for member in cell["members"]
        if any(failures(result) for result in member["rounds"])
    ]
    if failed:
        yield f"Operations failed, and their time is part of the latencies, with {', '.join(failed)}."
    missing = [
        f"{name_of(member)} in {cell['name']}"
        for cell in figures.cells
        for member in cell["members"]
        if member["failure"]
    ]
    if missing:
        yield f"These could not be measured: {', '.join(missing)}."
    yield (
        "Closed loops slow down together with what they measure; only cells named `open` show what callers would "
        "wait at a given rate. Their latencies include the harness's own lateness, some ten microseconds on an idle "
        "machine, which the null client shows (`python -m benchmark self-check`)."
    )
