"""Renders a document as one HTML file that needs nothing from elsewhere: style and pictures are in it, scripts are
not needed."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from aerospike_py_analysis.report.blocks import Block, Heading, Items, Picture, Table, Verdict
from aerospike_py_analysis.wording import share

FOLDER = files("aerospike_py_analysis.report")


def render(blocks: list[Block], title: str = "Where the time goes") -> str:
    """The whole page."""
    environment = Environment(autoescape=True)
    template = environment.from_string(FOLDER.joinpath("page.html").read_text(encoding="utf-8"))
    anchors = {block.anchor for block in blocks if isinstance(block, Heading) and block.anchor}
    contents = [block for block in blocks if isinstance(block, Heading) and block.level == 2 and block.anchor]
    style = FOLDER.joinpath("style.css").read_text(encoding="utf-8")
    return template.render(
        title=title, style=Markup(style), contents=contents, blocks=[plain(block, anchors) for block in blocks]
    )


def plain(block: Block, anchors: set[str]) -> dict[str, Any]:
    """A block as values for the template. Pictures are markup of our own making, all else is text."""
    values: dict[str, Any] = {field.name: getattr(block, field.name) for field in dataclasses.fields(block)}
    values["kind"] = type(block).__name__
    if isinstance(block, Picture):
        values["svg"] = Markup(block.svg)
    if isinstance(block, Table):
        columns = range(len(block.headers))
        values["classes"] = [Markup(' class="t"' if block.is_text(column) else "") for column in columns]
    if isinstance(block, Items):
        values["items_"] = block.items
    if isinstance(block, Verdict):
        values["weight"] = share(block.weight)
        values["picture"] = block.picture if block.picture in anchors else None
    return values
