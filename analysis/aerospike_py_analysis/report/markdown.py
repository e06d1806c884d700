"""Renders a document as Markdown with tables, as code hosts show it."""

from __future__ import annotations

from aerospike_py_analysis.report.blocks import Block, Heading, Items, Picture, Table, Text, Verdict
from aerospike_py_analysis.wording import share


def render(blocks: list[Block]) -> str:
    """All blocks but pictures."""
    return "\n\n".join(text for text in map(block_text, blocks) if text) + "\n"


def block_text(block: Block) -> str:
    """One block."""
    match block:
        case Heading(text, level, _):
            return f"{'#' * level} {escape(text)}"
        case Text(text):
            return escape(text)
        case Items(items):
            return "\n".join(f"- {escape(item)}" for item in items)
        case Table(headers, rows):
            rule = ["---" if block.is_text(position) else "---:" for position in range(len(headers))]
            return "\n".join(
                line(cells) for cells in [[*map(escape, headers)], rule, *([*map(escape, row)] for row in rows)]
            )
        case Verdict():
            head = f"**{escape(block.title)}** (`{block.rule}`, weight {share(block.weight)})"
            texts = [*block.evidence, f"Do: {block.action}", *(f"Expect: {text}" for text in block.effects)]
            return "\n".join([head, "", *(f"- {escape(text)}" for text in texts)])
        case Picture():
            return ""


def line(cells: list[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Text in which nothing is taken for markup; names with underscores stay readable."""
    for sign in "\\`*|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return text
