"""What recording costs, as text for the site, from result files of ``make bench-overhead``.

It is written into docs/performance/overhead.md, and as a summary between two marks into docs/production/overhead.md.
What is written where, and when, is the business of ``write_performance_docs``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORMAT = "aerospike-py overhead"
PAGE = "overhead.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NOTE = "<!-- Written by scripts/write_performance_docs.py from docs/measurements/{names}; do not edit. -->\n"

Found = dict[str, float]


def is_overhead(results: Any) -> bool:
    """Whether a result file is one of ``make bench-overhead``."""
    return isinstance(results, dict) and results.get("format") == FORMAT


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """The result files in a folder, by name: of time first, then of instructions."""
    files = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))}
    found = {name: results for name, results in files.items() if is_overhead(results)}
    return dict(sorted(found.items(), key=lambda item: not item[1]["pythons"]))


def page(files: dict[str, dict[str, Any]]) -> str:
    """Everything that was measured.

    Args:
        files: Result files by name, at least one.
    """
    return "\n".join(
        [
            "# Recording, measured",
            "",
            NOTE.format(names=", ".join(files)),
            "What recording costs on top of the client with everything off. Every block of operations in one",
            "configuration is compared with the blocks of its round in which nothing was on; figures are medians of",
            "these pairs, and where several processes were measured the mean of theirs, with 95 % intervals. Off and",
            "stages switch at once and have short rounds of their own. Where ten tasks run at once, off and everything",
            "have: files, spans and probes are then there all the time and operations are recorded or not, many times",
            "a second, so that whatever else the machine does meets both alike. Other threads' work does not fall into",
            "the blocks that it is for; it is told by their processor time, and everything on pays for it: in",
            "processor time in full, in wall time by its share of all processors. Results that do not say what it pays",
            "are older; their blocks began and ended everything and lasted for 0.3 to 0.4 s.",
            "[What recording costs](../production/overhead.md) says what to make of it.",
            "",
            *(line for name, results in files.items() for line in section(name, results)),
        ]
    )


def section(name: str, results: dict[str, Any]) -> Iterator[str]:
    """One result file."""
    stamp = results["stamp"]
    load_average = ", ".join(f"{value:.2f}" for value in stamp["load_average"])
    changes = " with changes" if stamp["uncommitted_changes"] else ""
    yield f"From [{name}](../measurements/{name}): {stamp['time']}, {stamp['processor']}, {stamp['cores']} cores, load"
    yield f"{load_average} before the start, commit `{stamp['commit'][:12]}`{changes}, build profile"
    yield f"{stamp['build_profile']}."
    yield ""
    if results["pythons"]:
        yield from configurations(results)
    for python in results["pythons"]:
        yield f"## Python {title(python)}, from {name}"
        yield ""
        yield from verdicts([python])
        yield ""
        yield from figures(results["cases"], python["cells"])
    for counted in results["instructions"]:
        yield from instructions(results["cases"], counted)


def title(python: dict[str, Any]) -> str:
    """Name a Python."""
    return f"{python['python']}, {'with' if python['gil'] else 'without'} the GIL"


def configurations(results: dict[str, Any]) -> Iterator[str]:
    """What is on when."""
    yield "| configuration | what is on |"
    yield "|---|---|"
    for name, what in results["configurations"].items():
        yield f"| {name} | {what} |"
    yield ""


def spread(found: Found, form: str) -> str:
    """A median with its interval, on one line."""
    return f"{found['median']:{form}}&nbsp;[{found['low']:{form}},&nbsp;{found['high']:{form}}]"


def verdicts(pythons: list[dict[str, Any]]) -> Iterator[str]:
    """The limits and whether they are kept. An interval that contains its limit decides nothing."""
    yield "| limit | workload | Python | clock | found [interval] | verdict |"
    yield "|---|---|---|---|---|---|"
    for python in pythons:
        for cell in python["cells"].values():
            for verdict in cell["verdicts"]:
                unit, most = verdict["unit"], verdict["most"]
                found = f"{spread(verdict['found'], '+.0f' if unit == 'ns' else '+.2f')}&nbsp;{unit}"
                cells = [f"{verdict['limit']}, at most {most:g} {unit}", verdict["case"], python["python"]]
                yield f"| {' | '.join([*cells, verdict['clock'], found, verdict['verdict'].lower()])} |"


def figures(cases: dict[str, str], cells: dict[str, Any]) -> Iterator[str]:
    """A table per workload."""
    for name, cell in cells.items():
        yield f"### {name}, {cases[name]}"
        yield ""
        yield "| configuration | rounds | µs | more than off, ns | ratio | CPU ratio |"
        yield "|---|---:|---:|---:|---:|---:|"
        for one in cell["figures"]:
            figures_of = [f"{one['wall_ns']['median'] / 1e3:,.1f}"]
            if one["configuration"] != "off":
                figures_of.append(spread(one["difference_ns"], "+,.0f"))
                figures_of += [spread(one["ratio"], ".4f"), spread(one["cpu_ratio"], ".4f")]
            else:
                figures_of += ["", "", ""]
            rounds = len(cell.get("short_rounds", {}).get(one["configuration"]) or cell["rounds"][one["configuration"]])
            yield f"| {one['configuration']} | {rounds} | {' | '.join(figures_of)} |"
        yield ""
        yield from threads(cell.get("threads", {}))
        if cell.get("background"):
            told = ", ".join(f"{name} {nanos / 1e3:.1f} µs" for name, nanos in cell["background"].items())
            yield f"Everything pays, in the short rounds, for what other threads have run for an operation: {told}."
            yield ""


def threads(times: dict[str, dict[str, float]]) -> Iterator[str]:
    """Processor time of every thread, if it was measured."""
    names = sorted({name for one in times.values() for name in one})
    if not names:
        return
    yield f"| processor time, µs | {' | '.join(names)} |"
    yield "|---|" + "---:|" * len(names)
    for configuration, one in times.items():
        yield f"| {configuration} | {' | '.join(f'{one.get(name, 0) / 1e3:,.1f}' for name in names)} |"
    yield ""


def instructions(cases: dict[str, str], counted: dict[str, Any]) -> Iterator[str]:
    """Instructions by workload and configuration."""
    names = list(next(iter(counted["cells"].values())))
    yield f"## Instructions, Python {title(counted)}"
    yield ""
    yield "Per operation, by callgrind, of the caller's thread. Never: nothing has been on in the process. What other"
    yield "threads do (writing files, sending spans, the runtime's part of asynchronous batches) is not counted, and"
    yield "probes are off: they work by the clock, which callgrind slows down."
    yield ""
    yield f"| workload | {' | '.join(names)} |"
    yield "|---|" + "---:|" * len(names)
    for case, counts in counted["cells"].items():
        yield f"| {cases[case]} | {' | '.join(f'{count:,.0f}' for count in counts.values())} |"
    yield ""


def summary(files: dict[str, dict[str, Any]]) -> str:
    """The limits and verdicts of all Pythons, for the page of operators; nothing if nothing was measured."""
    measured = {name: results for name, results in files.items() if results["pythons"]}
    if not measured:
        return ""
    lines = [NOTE.format(names=", ".join(measured))]
    for name, results in measured.items():
        lines += [f"{told_in_short(name, results)}:", "", *verdicts(results["pythons"]), ""]
    lines.append("[All figures](../performance/overhead.md), with configurations, intervals and the machine.")
    return "\n".join(lines)


def told_in_short(name: str, results: dict[str, Any]) -> str:
    """Where figures come from, and how fast that machine is with nothing on: by what the first workload took there."""
    case, what = next(iter(results["cases"].items()))
    took = ", ".join(
        f"{python['cells'][case]['figures'][0]['wall_ns']['median'] / 1e3:.0f} µs on {python['python']}"
        for python in results["pythons"]
    )
    return f"From [{name}](../measurements/{name}); a {what}, takes {took} with nothing on"


def with_summary(text: str, files: dict[str, dict[str, Any]]) -> str:
    """The page of operators with its summary up to date.

    Raises:
        ValueError: The page has lost its marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/production/overhead.md needs the marks {BEGIN} and {END} around the summary")
    found = summary(files)
    return f"{before}{BEGIN}\n{found}\n{END}{after}" if found else f"{before}{BEGIN}\n{END}{after}"
