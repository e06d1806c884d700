"""What a report says of the cells of a run: tables and charts, made of the figures and of nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from benchmark.harness import charts, web_sections
from benchmark.harness.figures import P50, P99, THROUGHPUT, Quantity
from benchmark.harness.report_parts import Figures, Section, Table, interval_text, name_of, ratio_text
from benchmark.processes.places import FREE_THREADED, GIL

COLUMNS = (
    "throughput",
    "p50",
    "p90",
    "p99",
    "p99.9",
    "CPU per op",
    "server CPU per op",
    "memory kept per op",
    "failed",
)


def of_cell(cell: dict[str, Any], figures: Figures) -> Section:
    """Every client of a cell, with intervals."""
    section = Section(cell["name"], [cell["workload"]["what"] + "."], commands=[cell["command"]])
    names, rows = figures.members(cell["name"]), []
    for name in names:
        found = figures.of(cell["name"], name) or {}
        texts = [
            f"{found['failed'].estimate:.2%}" if column == "failed" else interval_text(found.get(column))
            for column in COLUMNS
        ]
        rows.append([name, *texts])
    units = ("op/s", *["us"] * 6, "bytes", "of all")
    header = ["client", *(f"{column} ({unit})" for column, unit in zip(COLUMNS, units, strict=True))]
    section.tables.append(Table(header, rows))
    shown = [THROUGHPUT, P50, P99] if cell["load"]["rate"] is None else [P50, P99]
    for quantity in shown:
        bars = [
            charts.Bar(name, found[quantity.name].estimate, found[quantity.name].low, found[quantity.name].high, series)
            for name in names
            for found in [figures.of(cell["name"], name) or {}]
            if quantity.name in found
            for series in [0 if name.startswith("ours") else 1]
        ]
        better = "more" if quantity.larger_is_better else "less"
        if bars:
            section.pictures.append(charts.bars(f"{quantity.name}, {quantity.unit} ({better} is better)", bars))
    stages = stage_rows(cell)
    if stages:
        section.pictures.append(charts.stacks("where the time of ours goes (shares of wall time)", stages))
    if cell["lane"] == web_sections.LANE:
        tables, pictures = web_sections.pipeline(cell)
        section.tables += tables
        section.pictures += pictures
    out = [f"{entry['client']}@{entry['python']}: {entry['why']}" for entry in cell["left_out"]]
    failed = [f"{name_of(member)}: {member['failure']}" for member in cell["members"] if member["failure"]]
    section.text += [f"Not measured: {text}." for text in failed]
    if out:
        section.text.append(f"Left out: {'; '.join(out)}.")
    return section


def stage_rows(cell: dict[str, Any]) -> list[tuple[str, list[tuple[str, float]]]]:
    """The stages of every client that records them, as fractions of wall time."""
    rows = []
    for member in cell["members"]:
        sums: dict[str, int] = {}
        for result in member["rounds"]:
            for operation in result.get("stages") or []:
                for stage, total in operation["stages"].items():
                    sums[stage] = sums.get(stage, 0) + total
                sums["after the call"] = sums.get("after the call", 0) + operation["deferred_ns"]
        total = sum(sums.values())
        if total:
            ordered = [(stage, value / total) for stage, value in sums.items() if value]
            rows.append((name_of(member), ordered))
    return rows


Pick = Callable[[str], str | None]


def ratios(title: str, text: str, figures: Figures, pairs: Iterable[tuple[str, str, str]]) -> Section | None:
    """Ratios between members of the same cells: (cell, old, new)."""
    rows = []
    for cell, old, new in pairs:
        found = [figures.ratio((cell, old), (cell, new), quantity) for quantity in (THROUGHPUT, P50, P99)]
        if any(found):
            rows.append([cell, new, old, *(ratio_text(difference) for difference in found)])
    if not rows:
        return None
    return Section(title, [text], [Table(["cell", "client", "against", "throughput", "p50", "p99"], rows)])


def gil_section(figures: Figures) -> Section | None:
    pairs = [
        (cell["name"], name, name.replace(f"@{GIL}", f"@{FREE_THREADED}"))
        for cell in figures.cells
        for name in figures.members(cell["name"])
        if name.endswith(f"@{GIL}")
    ]
    text = f"Each client on Python {FREE_THREADED} divided by itself on {GIL}, measured in the same rounds."
    return ratios("With the GIL and without it", text, figures, pairs)


def stages_section(figures: Figures) -> Section | None:
    pairs = [
        (cell["name"], f"ours@{python}", f"{how}@{python}")
        for cell in figures.cells
        for how in ("ours-stages", "ours-traced")
        for python in (GIL, FREE_THREADED)
    ]
    text = "Our client recording stages, or writing trace files, divided by itself doing neither."
    return ratios("What recording costs", text, figures, pairs)


def gather_section(figures: Figures) -> Section | None:
    """One mixed batch against nine gathered ones; the cells differ, so the rounds do, and intervals are of each."""
    rows = []
    for cell in figures.cells:
        match = re.fullmatch(r"a-gathered-(\d+)(/.*)", cell["name"])
        if match is None:
            continue
        other = f"a-single-{match[1]}{match[2]}"
        for name in figures.members(cell["name"]):
            gathered, single = figures.of(cell["name"], name), figures.of(other, name)
            if gathered and single:
                gain = gathered["p50"].estimate / single["p50"].estimate
                row = [
                    match[1],
                    name,
                    *(interval_text(found[column]) for column in ("p50", "p99") for found in (gathered, single)),
                ]
                rows.append([*row, f"{gain:.2f}"])
    if not rows:
        return None
    header = ["batch", "client", "p50 gathered", "p50 single", "p99 gathered", "p99 single", "p50 ratio"]
    text = "Nine gathered batch reads against one over all sets, in microseconds; measured one after the other."
    return Section("Gathered or single", [text], [Table(header, rows)])


def waterfall_section(figures: Figures) -> Section | None:
    """What each change brings on top of those before it, for every size of batch."""
    rows, pictures = [], []
    for cell in figures.cells:
        match = re.fullmatch(r"a-gathered-(\d+)(/.*)", cell["name"])
        if match is None:
            continue
        single = f"a-single-{match[1]}{match[2]}"
        steps = [
            ("aerospike-py, gathered", cell["name"], f"aerospike-py@{GIL}"),
            ("replace the client", cell["name"], f"ours@{GIL}"),
            ("one batch instead of nine", single, f"ours@{GIL}"),
            ("without the GIL", single, f"ours@{FREE_THREADED}"),
        ]
        found = [(text, figures.of(place, name)) for text, place, name in steps]
        known = [(text, each) for text, each in found if each]
        if len(known) < 2:
            continue
        first = known[0][1]["p50"].estimate
        for text, each in known:
            share = each["p50"].estimate / first
            rows.append([match[1], text, interval_text(each["p50"]), interval_text(each["p99"]), f"{share:.2f}"])
        bars = [charts.Bar(text, each["p50"].estimate, each["p50"].low, each["p50"].high) for text, each in known]
        pictures.append(charts.bars(f"9 x {match[1]} records, p50 in microseconds (less is better)", bars))
    if not rows:
        return None
    header = ["batch", "start, and each change on top", "p50 us", "p99 us", "p50 of the first"]
    return Section(
        "One change after the other", ["Environment A, ten requests at once."], [Table(header, rows)], pictures
    )


def scaling_sections(figures: Figures) -> list[Section]:
    """Throughput by threads or tasks, and latency by size of batch, wherever several were measured."""
    found = []
    by_calling: dict[tuple[str, str], list[tuple[float, str]]] = {}
    by_batch: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for cell in figures.cells:
        name = cell["name"]
        calling = re.fullmatch(r"(kv-[^/]+)/(sync|async)-(\d+)/closed", name)
        if calling:
            by_calling.setdefault((calling[1], calling[2]), []).append((float(calling[3]), name))
        batch = re.fullmatch(r"(kv-batch|a-gathered|a-single|a-sequential)-(\d+)/(.*)", name)
        if batch:
            by_batch.setdefault((batch[1], batch[3]), []).append((float(batch[2]), name))
    for (workload, lane), places in by_calling.items():
        kind = "threads" if lane == "sync" else "tasks"
        found += _scaling(
            f"Scaling: {workload}, {kind}", f"operations per second by {kind}", THROUGHPUT, places, figures
        )
    for (workload, calling_name), places in by_batch.items():
        title = f"Scaling: {workload}, {calling_name}"
        found += _scaling(title, "p50 in microseconds by size of the batch", P50, places, figures)
    return found


def _scaling(
    title: str, caption: str, quantity: Quantity, places: list[tuple[float, str]], figures: Figures
) -> list[Section]:
    if len(places) < 2:
        return []
    places = sorted(places)
    names = list(dict.fromkeys(name for _, cell in places for name in figures.members(cell)))
    series, rows = [], []
    for name in names:
        points = [(x, each[quantity.name]) for x, cell in places if (each := figures.of(cell, name))]
        if len(points) == len(places):
            series.append(charts.Line(name, [(x, each.estimate, each.low, each.high) for x, each in points]))
            rows.append([name, *(interval_text(each) for _, each in points)])
    if not series:
        return []
    table = Table(["client", *(f"{x:g}" for x, _ in places)], rows)
    return [Section(title, [f"In {caption}."], [table], [charts.lines(caption, caption.rpartition(" by ")[2], series)])]
