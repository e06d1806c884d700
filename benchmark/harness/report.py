"""The report on result files: Markdown, and one HTML page that needs nothing else. `sections` makes what it says."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.harness import sections, summary, web_sections
from benchmark.harness.report_parts import Figures, Section, Table, name_of

TITLE = "Benchmarks of Aerospike clients for Python"


@dataclass(frozen=True)
class Report:
    """What there is to say, in order."""

    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]

    def markdown(self) -> str:
        return f"# {TITLE}\n\n{self.body('##')}"

    def body(self, heading: str, *, pictures: bool = False) -> str:
        """Everything below the title as Markdown, with charts where what shows it can show them."""
        parts = [_markdown_table(Table(["", ""], self.facts))]
        for section in self.sections:
            parts.append(f"{heading} {section.title}")
            parts += section.text
            parts += [f'<div class="chart">{picture}</div>' for picture in section.pictures if pictures]
            parts += [_markdown_table(table) for table in section.tables]
            parts += [f"Rerun: `{command}`" for command in section.commands]
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        body = [f"<h1>{TITLE}</h1>", _html_table(Table([], self.facts))]
        links = (f'<a href="#s{place}">{html.escape(each.title)}</a>' for place, each in enumerate(self.sections))
        body.append(f"<nav>{' '.join(links)}</nav>")
        for place, section in enumerate(self.sections):
            body.append(f'<section id="s{place}"><h2>{html.escape(section.title)}</h2>')
            body += [f"<p>{html.escape(text)}</p>" for text in section.text]
            body += section.pictures
            body += [_html_table(table) for table in section.tables]
            body += [f"<p>Rerun: <code>{html.escape(command)}</code></p>" for command in section.commands]
            body.append("</section>")
        return _PAGE.format(title=TITLE, style=_STYLE, body="\n".join(body))


def of_documents(documents: Sequence[dict[str, Any]], names: Sequence[str]) -> Report:
    """The report on one run, or on several that have cells of their own.

    Raises:
        ValueError: The same cell is in two of them.
    """
    cells: list[dict[str, Any]] = []
    for document, name in zip(documents, names, strict=True):
        for cell in document["cells"]:
            if any(cell["name"] == known["name"] for known in cells):
                raise ValueError(f"{cell['name']} of {name} is in an earlier file as well: compare them instead")
            cells.append(cell)
    figures = Figures(cells)
    overview = [
        sections.gil_section(figures),
        sections.stages_section(figures),
        sections.gather_section(figures),
        sections.waterfall_section(figures),
        *sections.scaling_sections(figures),
        *web_sections.sections(figures),
    ]
    found = [summary.section(documents, figures), *(section for section in overview if section is not None)]
    found += [sections.of_cell(cell, figures) for cell in cells]
    return Report(list(_facts(documents, names)), found)


def _facts(documents: Sequence[dict[str, Any]], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for document, name in zip(documents, names, strict=True):
        stamp, run = document["stamp"], document["run"]
        plan = run["plan"]
        changed = " with uncommitted changes" if stamp["uncommitted_changes"] else ""
        server = "embedded, one node, a process of its own" if stamp["server"]["embedded"] else "a cluster"
        load = ", ".join(f"{value:.2f}" for value in stamp["load_average"])
        yield "results", f"{name}, {run['started']} to {run.get('ended', '?')}"
        yield "machine", f"{stamp['processor']}, {stamp['cores']} cores, Linux {stamp['kernel']}, load before: {load}"
        yield "ours", f"commit {stamp['commit'][:12]}{changed}, profile {stamp['build_profile']}"
        yield "server", server
        if "load_generator" in stamp:
            yield "load generator", stamp["load_generator"]
        yield "plan", f"{plan['rounds']} rounds of {plan['seconds']} s per client and cell, seed {plan['seed']}"
    yield from sorted(_versions(documents))


def _versions(documents: Sequence[dict[str, Any]]) -> set[tuple[str, str]]:
    found = set()
    for document in documents:
        for cell in document["cells"]:
            for member in cell["members"]:
                hello = member["hello"]
                if hello:
                    gil = "GIL" if hello["gil"] else "no GIL"
                    python = f", Python {hello['python']} ({gil})" if hello["python"] else ""
                    found.add((name_of(member), f"{hello['client']} {hello['version']}{python}"))
    return found


def _markdown_table(table: Table) -> str:
    lines = [_row(table.header), "|" + "---|" * len(table.header)]
    return "\n".join([*lines, *(_row(row) for row in table.rows)])


def _row(entries: Sequence[str]) -> str:
    return "| " + " | ".join(entry.replace("|", "\\|") for entry in entries) + " |"


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(entry)}</th>" for entry in table.header)
    rows = ("".join(f"<td>{html.escape(entry)}</td>" for entry in row) for row in table.rows)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table>{f"<tr>{head}</tr>" if head else ""}{body}</table></div>'


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head><body>
{body}
</body></html>
"""
_COLOURS = (
    "#2a6fb0", "#b8bec7", "#d9822b", "#3a8f5c", "#a4508b", "#7f6bb3",
    "#c0392b", "#159a9c", "#8c6d31", "#5b6770", "#e0a800", "#4f81bd",
)  # fmt: skip
_STYLE = (
    ":root{color-scheme:light dark;--text:light-dark(#1d232b,#dde3ea);--page:light-dark(#fff,#14181d);"
    "--line:light-dark(#d5dae1,#39424d)}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:var(--text);"
    "background:var(--page)}"
    "table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}"
    "td,th{border-bottom:1px solid var(--line);padding:.2rem .6rem;text-align:left;white-space:nowrap}"
    ".scroll{overflow-x:auto}nav a{display:inline-block;margin-right:1em}code{overflow-wrap:anywhere}"
    "svg.chart{display:block;width:100%;max-width:760px;margin:1rem 0;font-size:12px}svg text{fill:var(--text)}"
    "svg .heading{font-weight:600;font-size:13px}svg .whisker{stroke:var(--text);fill:none}"
    "svg .grid{stroke:var(--line);fill:none}svg .line{fill:none;stroke-width:2}svg .thin{stroke-width:1}"
    "svg .dashed{stroke-dasharray:6 4}"
    + "".join(f".s{place}{{fill:{colour}}}.l{place}{{stroke:{colour}}}" for place, colour in enumerate(_COLOURS))
)
