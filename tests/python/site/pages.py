"""The pages of the documentation, taken apart into blocks of code: what is run, what is a file, what is left out.

A fenced block of Python is run, a block of shell commands too. One with a title, as in ``title="service.py"``, is a
file that later blocks of the page use. A comment ``<!-- not run: reason -->`` on the line before a block leaves it out.
Running the blocks is in ``running``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

PYTHON = frozenset({"python", "py", "python3"})
SHELL = frozenset({"console", "bash", "sh", "shell"})

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<language>[\w+-]*)(?P<options>.*)$")
REASON = re.compile(r"^ *<!-- not run: (?P<reason>.+?) -->$")
TITLE = re.compile(r'title="([^"]+)"')
# Words that say nothing are no reason.
SHORTEST_REASON = 10


@dataclass(frozen=True)
class Block:
    """A fenced block of Python or of shell commands."""

    language: str
    code: str
    line: int
    """Line of the page that its first line of code is."""
    title: str | None
    reason: str | None
    """Why it is not run; ``None`` when it is."""

    @property
    def is_python(self) -> bool:
        return self.language in PYTHON

    def commands(self) -> list[str]:
        """The commands of a shell block: the lines after a prompt, or all lines when there is none."""
        lines = self.code.replace("\\\n", " ").splitlines()
        prompted = [line[2:] for line in lines if line.startswith("$ ")]
        return prompted or [line for line in lines if line.strip() and not line.startswith("#")]


class PageError(Exception):
    """A page that cannot be taken apart."""


def page_paths() -> list[Path]:
    """Every page of the site, and the README."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """Take a page apart."""
    found = []
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        number += 1
        if opening is None:
            continue
        start, indent = number, len(opening["indent"])
        while number < len(lines) and lines[number].strip() != opening["ticks"]:
            number += 1
        if number == len(lines):
            raise PageError(f"the block that starts in line {start} has no end")
        language = opening["language"].lower()
        if language in PYTHON | SHELL:
            title = TITLE.search(opening["options"])
            code = "\n".join(line[indent:] for line in lines[start:number]) + "\n"
            found.append(Block(language, code, start + 1, title and title[1], reason_before(lines, start - 1)))
        number += 1
    return found


def reason_before(lines: list[str], opening: int) -> str | None:
    """The reason that the line before a block's fence gives for not running it."""
    above = REASON.match(lines[opening - 1]) if opening else None
    if above is None:
        return None
    if len(above["reason"]) < SHORTEST_REASON:
        raise PageError(f"line {opening}: {above['reason']!r} does not say why the block is not run")
    return above["reason"]


def unused_files(parts: list[Block]) -> list[str]:
    """Files that no later block which is run has a use for."""
    unused = []
    for place, block in enumerate(parts):
        if block.title is None or block.reason is not None:
            continue
        stem = Path(block.title).stem
        if not any(
            re.search(rf"\b{re.escape(stem)}\b", later.code) for later in parts[place + 1 :] if not later.reason
        ):
            unused.append(block.title)
    return unused
