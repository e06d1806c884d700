"""Renders a document for the terminal with rich; the same text without colour when it does not go to one."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text as RichText

from aerospike_py_analysis.report.blocks import Block, Heading, Items, Picture, Table, Text, Verdict
from aerospike_py_analysis.wording import share


def show(blocks: list[Block], console: Console) -> None:
    """Prints all blocks but pictures."""
    for block in blocks:
        rendered = render(block)
        if rendered is not None:
            console.print(rendered)


def render(block: Block) -> RenderableType | None:
    """One block for rich."""
    match block:
        case Heading(text, 1, _):
            return Rule(f"[bold]{escape(text)}")
        case Heading(text, 2, _):
            return Padding(RichText(text, style="bold underline"), (1, 0, 0, 0))
        case Heading(text, _, _):
            return Padding(RichText(text, style="bold"), (1, 0, 0, 0))
        case Text(text):
            return RichText(text)
        case Items(items):
            return Group(*(Padding(RichText(f"- {item}"), (0, 0, 0, 1)) for item in items))
        case Table():
            return table(block)
        case Verdict():
            return verdict(block)
        case Picture():
            return None


def table(block: Table) -> RichTable:
    """A table without frames, which is readable in logs as well."""
    found = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for position, header in enumerate(block.headers):
        found.add_column(header, justify="left" if block.is_text(position) else "right", overflow="fold")
    for row in block.rows:
        found.add_row(*map(escape, row))
    return found


def verdict(block: Verdict) -> RenderableType:
    """A finding with its evidence below it."""
    lines: list[RenderableType] = [
        RichText.assemble((f"{block.title} ", "bold"), (f"[{block.rule}, weight {share(block.weight)}]", "dim"))
    ]
    lines += [Padding(RichText(f"because  {text}"), (0, 0, 0, 2)) for text in block.evidence]
    lines.append(Padding(RichText.assemble(("do       ", "bold"), block.action), (0, 0, 0, 2)))
    lines += [Padding(RichText(f"expect   {text}"), (0, 0, 0, 2)) for text in block.effects]
    return Padding(Group(*lines), (0, 0, 1, 0))
