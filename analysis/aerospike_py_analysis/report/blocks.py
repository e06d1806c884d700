"""What documents are made of. Renderers know these blocks and nothing of the analysis."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Heading:
    """A section's title; the anchor is what verdicts link to."""

    text: str
    level: int = 2
    anchor: str | None = None


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first ``left`` columns are names, the last ``words`` are phrases, all others figures."""

    headers: list[str]
    rows: list[list[str]]
    left: int = 1
    words: int = 0

    def is_text(self, column: int) -> bool:
        """Whether a column begins at the left."""
        return column < self.left or column >= len(self.headers) - self.words


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: list[str]


@dataclass(frozen=True)
class Verdict:
    """A finding: title, evidence, action and effects; ``picture`` is the anchor of what shows it."""

    rule: str
    title: str
    weight: float
    evidence: list[str]
    action: str
    effects: list[str] = field(default_factory=list)
    picture: str | None = None


@dataclass(frozen=True)
class Picture:
    """An inline SVG; renderers without pictures leave it out."""

    svg: str
    caption: str


Block = Heading | Text | Table | Items | Verdict | Picture
