"""Tables and verdict lines for people, of a result file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmark.overhead.figures import rounds_of

Found = dict[str, float]


def lines(results: dict[str, Any]) -> Iterator[str]:
    """What a result file says."""
    for name, what in results["configurations"].items():
        yield f"  {name:<11} {what}"
    for python in results["pythons"]:
        yield ""
        yield f"{title(python)}, {python['build']}"
        load = ", ".join(f"{value:.2f}" for value in (*python["load_average"], *python["load_average_after"]))
        yield f"load before and after {load}"
        yield from table(python["cells"])
        yield from verdict_lines(python["cells"])
        yield from thread_lines(python["cells"])
    for counted in results["instructions"]:
        yield ""
        yield from instruction_table(counted)


def title(python: dict[str, Any]) -> str:
    return f"Python {python['python']}, {'with' if python['gil'] else 'without'} the GIL"


def table(cells: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{'workload':<17}{'configuration':<14}{'rounds':>6} {'us':>9} {'more than off, ns':>28} {'ratio':>24} "
        f"{'CPU ratio':>24}"
    )
    for name, cell in cells.items():
        for figures in cell["figures"]:
            rounds = rounds_of(cell, figures["configuration"])
            row = f"{name:<17}{figures['configuration']:<14}{rounds:>6} {figures['wall_ns']['median'] / 1e3:>9.1f} "
            if figures["configuration"] != "off":
                row += f"{spread(figures['difference_ns'], '+.0f'):>28} "
                row += f"{spread(figures['ratio'], '.4f'):>24} {spread(figures['cpu_ratio'], '.4f'):>24}"
            yield row.rstrip()


def spread(found: Found, form: str) -> str:
    return f"{found['median']:{form}} [{found['low']:{form}}, {found['high']:{form}}]"


def verdict_lines(cells: dict[str, Any]) -> Iterator[str]:
    for cell in cells.values():
        for verdict in cell["verdicts"]:
            yield verdict_line(verdict)


def verdict_line(verdict: dict[str, Any]) -> str:
    form = "+.0f" if verdict["unit"] == "ns" else "+.2f"
    found = f"{spread(verdict['found'], form)} {verdict['unit']} ({verdict['clock']})"
    return f"{verdict['limit']}, {verdict['case']}: {found}, limit {verdict['most']:g}: {verdict['verdict']}"


def thread_lines(cells: dict[str, Any]) -> Iterator[str]:
    for name, cell in cells.items():
        for configuration, times in cell.get("threads", {}).items():
            told = ", ".join(f"{thread} {nanos / 1e3:.1f}" for thread, nanos in times.items())
            yield f"threads, us per operation, {name}, {configuration}: {told}"
        if cell.get("background"):
            told = ", ".join(f"{thread} {nanos / 1e3:.1f}" for thread, nanos in cell["background"].items())
            yield f"of which everything pays for, us per operation, {name}: {told}"


def instruction_table(counted: dict[str, Any]) -> Iterator[str]:
    names = list(next(iter(counted["cells"].values())))
    yield f"instructions per operation, caller's thread, {title(counted)}"
    yield f"{'workload':<17}" + "".join(f"{name:>12}" for name in names)
    for case, counts in counted["cells"].items():
        yield f"{case:<17}" + "".join(f"{count:>12,.0f}" for count in counts.values())
