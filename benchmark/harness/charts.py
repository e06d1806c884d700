"""Charts as inline SVG: bars and lines with intervals, stacked bars. Colours come from the page around them.

Values are drawn as they are given; what they mean, and which way is better, is said by the titles.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, LABEL, VALUE = 760, 210, 130
_ROW, _BAR, _TOP = 22, 12, 34
_PLOT = WIDTH - LABEL - VALUE


@dataclass(frozen=True)
class Bar:
    """A value and its interval; `series` picks the colour."""

    label: str
    value: float
    low: float
    high: float
    series: int = 0


@dataclass(frozen=True)
class Line:
    """A series of points, each with its interval."""

    label: str
    points: Sequence[tuple[float, float, float, float]]
    """Where, value, low, high."""


def number(value: float) -> str:
    """A value in as few characters as say enough."""
    if not math.isfinite(value):
        return "-"
    digits = 0 if abs(value) >= 1_000 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _open(title: str, height: float) -> list[str]:
    text = html.escape(title)
    return [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{text}">',
        f"<title>{text}</title>",
        f'<text class="heading" x="0" y="16">{text}</text>',
    ]


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Horizontal bars from zero, with whiskers for the intervals."""
    reached = [row.high if math.isfinite(row.high) else row.value for row in rows]
    scale = _PLOT / max([*reached, 1e-12])
    parts = _open(title, _TOP + _ROW * len(rows))
    for place, row in enumerate(rows):
        top = _TOP + _ROW * place
        middle = top + _BAR / 2
        parts.append(f'<text x="{LABEL - 8}" y="{middle + 4:.1f}" text-anchor="end">{html.escape(row.label)}</text>')
        width = max(row.value * scale, 0.5)
        parts.append(f'<rect class="s{row.series}" x="{LABEL}" y="{top}" width="{width:.1f}" height="{_BAR}"/>')
        if math.isfinite(row.low) and math.isfinite(row.high):
            low, high = (LABEL + max(end, 0) * scale for end in (row.low, row.high))
            parts.append(f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}"/>')
            parts += [f'<path class="whisker" d="M{end:.1f} {middle - 3}v6"/>' for end in (low, high)]
        parts.append(
            f'<text class="value" x="{WIDTH}" y="{middle + 4:.1f}" text-anchor="end">{number(row.value)}</text>'
        )
    return "".join([*parts, "</svg>"])


def stacks(title: str, rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """Horizontal bars of parts, all of the same length, and a legend; parts are fractions of one."""
    names = list(dict.fromkeys(name for _, segments in rows for name, _ in segments))
    legend_rows = math.ceil(len(names) / 4)
    parts = _open(title, _TOP + _ROW * (len(rows) + legend_rows) + 6)
    for place, (label, segments) in enumerate(rows):
        top, left = _TOP + _ROW * place, float(LABEL)
        parts.append(f'<text x="{LABEL - 8}" y="{top + 10}" text-anchor="end">{html.escape(label)}</text>')
        for name, share in segments:
            width, said = share * (WIDTH - LABEL), html.escape(f"{name} {share:.1%}")
            series = names.index(name) % 12
            parts.append(
                f'<rect class="s{series}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}">'
                f"<title>{said}</title></rect>"
            )
            left += width
    for place, name in enumerate(names):
        x, y = (place % 4) * WIDTH / 4, _TOP + _ROW * (len(rows) + place // 4) + 6
        parts.append(f'<rect class="s{place % 12}" x="{x:.0f}" y="{y}" width="10" height="10"/>')
        parts.append(f'<text x="{x + 15:.0f}" y="{y + 9}">{html.escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def lines(title: str, x_name: str, series: Sequence[Line]) -> str:
    """Lines over a logarithmic axis, from zero upwards, with whiskers, and a legend.

    Labels with the same beginning, up to an ``@``, share a colour; without the GIL a line is dashed.
    """
    height, left, right, bottom = 300.0, 70.0, float(WIDTH - 190), 262.0
    xs = sorted({point[0] for line in series for point in line.points})
    tops = [end for line in series for point in line.points for end in (point[1], point[3]) if math.isfinite(end)]
    top = max([*tops, 1e-12])
    first, span = math.log(xs[0]), math.log(xs[-1] / xs[0]) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (math.log(x) - first) / span * (right - left), bottom - max(y, 0) / top * (bottom - _TOP)

    parts = _open(title, height)
    for step in range(5):
        _, y = place(xs[0], top * step / 4)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        parts.append(
            f'<text class="value" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{number(top * step / 4)}</text>'
        )
    for x in xs:
        at, _ = place(x, 0)
        parts.append(f'<text class="value" x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{x:g}</text>')
    parts.append(
        f'<text x="{(left + right) / 2:.0f}" y="{height - 4}" text-anchor="middle">{html.escape(x_name)}</text>'
    )
    families = list(dict.fromkeys(line.label.partition("@")[0] for line in series))
    for index, line in enumerate(series):
        family, _, python = line.label.partition("@")
        kind = f"line l{families.index(family) % 12}{' dashed' if python.endswith('t') else ''}"
        points = [place(x, value) for x, value, _, _ in line.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path class="{kind}" d="M{path}"/>')
        for x, _, low, high in line.points:
            if math.isfinite(low) and math.isfinite(high):
                (at, under), (_, over) = place(x, low), place(x, high)
                parts.append(f'<path class="{kind} thin" d="M{at:.1f} {under:.1f}V{over:.1f}"/>')
        y = _TOP + 16 * index
        parts.append(f'<path class="{kind}" d="M{right + 8} {y + 5}H{right + 25}"/>')
        parts.append(f'<text x="{right + 29}" y="{y + 9}">{html.escape(line.label)}</text>')
    return "".join([*parts, "</svg>"])
