"""Writes docs/performance from the result files in docs/measurements. ``--check`` compares instead of writing.

A result file of the comparison of clients (it has ``stamp``, ``comparisons`` and ``cells``) becomes a page of its name,
and so does one of the benchmarks (``docs/benchmark-format.md``), which says the same as their report; every file is
listed with where it comes from. Those of ``make bench-overhead`` are described by ``overhead_pages``. No figure on
these pages is typed by hand.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import overhead_pages

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmark.harness import report  # noqa: E402 - the checkout is not installed
from benchmark.harness.results import FORMAT  # noqa: E402

DOCS = ROOT / "docs"
REMEDY = "run scripts/write_performance_docs.py and commit what it writes"
NOTE = "<!-- Written by scripts/write_performance_docs.py from docs/measurements/{name}; do not edit. -->\n"

Figure = Callable[[dict[str, Any]], float]
QUANTITIES: dict[str, tuple[str, Figure]] = {
    "throughput": ("op/s", lambda result: result["operations"] * 1e9 / result["wall_ns"]),
    "p50": ("p50 µs", lambda result: result["p50_ns"] / 1e3),
    "p99": ("p99 µs", lambda result: result["p99_ns"] / 1e3),
    "CPU per op": ("CPU µs per op", lambda result: result["cpu_ns"] / result["operations"] / 1e3),
}
SUBJECT = "ours"
RECORDING = "ours-stages"


def compares_clients(results: Any) -> bool:
    """Whether a result file is one of the comparison of clients."""
    return isinstance(results, dict) and {"stamp", "comparisons", "cells"} <= results.keys()


def is_of_benchmarks(results: Any) -> bool:
    """Whether a result file is one of the benchmarks."""
    return isinstance(results, dict) and results.get("format") == FORMAT


def read(path: Path) -> Any:
    """Read a result file, compressed or not."""
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def stem(name: str) -> str:
    """What the page of a result file is called."""
    return name.removesuffix(".gz").removesuffix(".json")


def pages() -> dict[str, str]:
    """Return the pages by the names of their files in docs/performance."""
    folder = DOCS / "measurements"
    files = {path.name: read(path) for path in sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")])}
    written = {"index.md": index(files)}
    for name, results in files.items():
        if is_of_benchmarks(results):
            written[f"{stem(name)}.md"] = benchmark_page(name, results)
        elif compares_clients(results):
            written[f"{stem(name)}.md"] = comparison_page(name, results)
    overhead = overhead_pages.load(DOCS / "measurements")
    if overhead:
        written[overhead_pages.PAGE] = overhead_pages.page(overhead)
    return written


def operators_page() -> tuple[Path, str]:
    """Return the page about recording's cost for operators, and its text as it should be."""
    path = DOCS / "production" / overhead_pages.PAGE
    return path, overhead_pages.with_summary(path.read_text("utf-8"), overhead_pages.load(DOCS / "measurements"))


def benchmark_page(name: str, results: dict[str, Any]) -> str:
    """Describe one run of the benchmarks, with its charts."""
    found = report.of_documents([results], [name])
    lines = [
        f"# {stem(name).capitalize()}, measured",
        "",
        NOTE.format(name=name),
        f"From [{name}](../measurements/{name}), as `python -m benchmark report` reads it.",
        "[The format](../benchmark-format.md) says how it was measured and what it cannot tell.",
    ]
    return "\n".join(lines) + "\n\n" + found.body("##", pictures=True)


def index(files: dict[str, Any]) -> str:
    """List the result files."""
    lines = [
        "# Measurements",
        "",
        NOTE.format(name="*.json"),
        "Figures are of one machine at one time. Only ratios that were taken in one run can be compared; repeat a run",
        "before you rely on it. Each page is generated from the result file that it names.",
        "",
        "| results | measured | machine | code |",
        "|---|---|---|---|",
    ]
    for name, results in files.items():
        stamp = results.get("stamp", {}) if isinstance(results, dict) else {}
        described = is_of_benchmarks(results) or compares_clients(results)
        own_page = f"{stem(name)}.md" if described else None
        own_page = overhead_pages.PAGE if overhead_pages.is_overhead(results) else own_page
        page = f"[{Path(own_page).stem}]({own_page}), " if own_page else ""
        cells = [f"{page}[{name}](../measurements/{name})", stamp.get("time", ""), machine(stamp), code(stamp)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def machine(stamp: dict[str, Any]) -> str:
    """Say what it was measured on."""
    parts = [stamp.get("processor"), f"{stamp['cores']} cores" if "cores" in stamp else None]
    return ", ".join(str(part) for part in parts if part)


def code(stamp: dict[str, Any]) -> str:
    """Say what was measured."""
    if "commit" not in stamp:
        return ""
    return f"`{stamp['commit'][:12]}`" + (" with changes" if stamp.get("uncommitted_changes") else "")


def comparison_page(name: str, results: dict[str, Any]) -> str:
    """Describe one comparison of clients."""
    stamp = results["stamp"]
    load = ", ".join(f"{value:.2f}" for value in stamp["load_average"])
    return "\n".join(
        [
            f"# {Path(name).stem.capitalize()}, measured",
            "",
            NOTE.format(name=name),
            f"From [{name}](../measurements/{name}): {stamp['time']}, {machine(stamp)}, load {load} before the start,",
            f"commit {code(stamp)}, build profile {stamp['build_profile']}.",
            "The server is embedded, in a process of its own, on the same machine. [Lanes](../lanes.md) says what is",
            "measured and why it comes out so.",
            "",
            "## Targets",
            "",
            "A ratio is this client's figure divided by the other's, the median over rounds with its interval. Where",
            "the interval contains the target, one run decides nothing.",
            "",
            *targets(results["comparisons"]),
            "",
            "## What recording costs",
            "",
            "The same client with stages recorded, divided by the same client without; medians over rounds.",
            "",
            *recording(results["cells"]),
            "",
            "## Figures",
            "",
            "Medians over rounds. Bars are throughput.",
            "",
            *figures(results["cells"]),
        ]
    )


def targets(comparisons: list[dict[str, Any]]) -> Iterator[str]:
    """The comparisons that have a target."""
    yield "| workload | Python | against | quantity | target | ratio [interval] | reached |"
    yield "|---|---|---|---|---|---|---|"
    for row in comparisons:
        if row["target"] is None or row["client"] != SUBJECT:
            continue
        sign = "≥" if row["quantity"] == "throughput" else "≤"
        cells = [row["workload"], row["python"], row["against"], row["quantity"], f"{sign} {row['target']:.2f}"]
        ratio = row["ratio"]
        if ratio is None:
            cells += [f"not measured: {row['obstacle']}", ""]
        else:
            unsure = " (unsure)" if ratio["low"] <= row["target"] <= ratio["high"] else ""
            interval = f"{ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"
            cells.append(interval.replace(" ", "&nbsp;"))
            cells.append(("yes" if row["reached"] else "no") + unsure)
        yield f"| {' | '.join(cells)} |"


def recording(cells: list[dict[str, Any]]) -> Iterator[str]:
    """The client with recording against itself without."""
    yield f"| workload | Python | {' | '.join(QUANTITIES)} |"
    yield "|---|---|" + "---:|" * len(QUANTITIES)
    for cell in cells:
        rounds = [cell["clients"].get(client, {}).get("rounds") for client in (RECORDING, SUBJECT)]
        if not all(rounds):
            continue
        ratios = [
            statistics.median(figure(on) / figure(off) for on, off in zip(*rounds, strict=True))
            for _, figure in QUANTITIES.values()
        ]
        yield f"| {cell['workload']['name']} | {cell['python']} | {' | '.join(f'{ratio:.3f}' for ratio in ratios)} |"


def figures(cells: list[dict[str, Any]]) -> Iterator[str]:
    """A table per workload and Python."""
    for cell in cells:
        measured = {name: client["rounds"] for name, client in cell["clients"].items() if client["rounds"]}
        if not measured:
            continue
        medians = {
            name: [statistics.median(map(figure, rounds)) for _, figure in QUANTITIES.values()]
            for name, rounds in measured.items()
        }
        best = max(values[0] for values in medians.values())
        yield f"### {cell['workload']['name']}, Python {cell['python']}"
        yield ""
        yield f"{cell['workload']['what'].capitalize()}."
        yield ""
        yield f"| client | | {' | '.join(unit for unit, _ in QUANTITIES.values())} |"
        yield "|---|---|" + "---:|" * len(QUANTITIES)
        for name, values in medians.items():
            bar = f'<span class="bar" style="width: {8 * values[0] / best:.2f}rem"></span>'
            texts = [f"{values[0]:,.0f}", *(f"{value:,.1f}" for value in values[1:])]
            yield f"| {name} | {bar} | {' | '.join(texts)} |"
        yield ""


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the pages with the result files, write nothing")
    options = parser.parse_args(arguments)
    folder, wanted = DOCS / "performance", pages()
    operators, text = operators_page()
    if options.check:
        found = {path.name: path.read_text("utf-8") for path in folder.glob("*.md")}
        differing = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        if differing:
            print(f"docs/performance, {', '.join(differing)}: not what the results say; {REMEDY}", file=sys.stderr)
        outdated = operators.read_text("utf-8") != text
        if outdated:
            print(f"docs/production/{operators.name}: not what the results say; {REMEDY}", file=sys.stderr)
        return 1 if differing or outdated else 0
    folder.mkdir(exist_ok=True)
    for stale in folder.glob("*.md"):
        stale.unlink()
    for name, page in wanted.items():
        (folder / name).write_text(page, encoding="utf-8")
    operators.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
