"""The few shapes that pictures are drawn with, as SVG text. Colours are classes, so that the page decides on light
and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH = 960


def number(value: float) -> str:
    """A coordinate with two digits at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def rect(x: float, y: float, width: float, height: float, style: str, title: str = "", opacity: float = 1.0) -> str:
    """A rectangle; the title is shown on hovering."""
    inner = f"<title>{escape(title)}</title>" if title else ""
    faint = f' fill-opacity="{number(opacity)}"' if opacity < 1 else ""
    size = f'width="{number(max(width, 0))}" height="{number(max(height, 0))}"'
    return f'<rect x="{number(x)}" y="{number(y)}" {size} class="{style}"{faint}>{inner}</rect>'


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    return f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" class="{style}"/>'


def text(x: float, y: float, content: str, style: str = "label", anchor: str = "start") -> str:
    """A line of text."""
    return f'<text x="{number(x)}" y="{number(y)}" class="{style}" text-anchor="{anchor}">{escape(content)}</text>'


def area(points: Sequence[tuple[float, float]], style: str, title: str = "") -> str:
    """A filled shape."""
    inner = f"<title>{escape(title)}</title>" if title else ""
    path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return f'<polygon points="{path}" class="{style}">{inner}</polygon>'


def polyline(points: Sequence[tuple[float, float]], style: str) -> str:
    """A line through points."""
    path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return f'<polyline points="{path}" class="{style}"/>'


def picture(height: float, shapes: Sequence[str], label: str) -> str:
    """A whole picture that scales with the page."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {number(height)}" role="img" aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(shapes)}</svg>"
    )


def ticks(highest: float, most: int = 5) -> list[float]:
    """Round values from zero up to a limit."""
    if highest <= 0:
        return [0.0]
    step = 1.0
    while highest / step >= 10:
        step *= 10
    while highest / step < 1:
        step /= 10
    for factor in (0.2, 0.5, 1, 2, 5):
        if highest / (step * factor) <= most:
            step *= factor
            break
    return [step * i for i in range(int(highest / step) + 1)]
