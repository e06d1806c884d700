"""The pictures of the HTML report: what is drawn from which figures. Shapes are in ``svg``, colours in the page's
style."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np

from aerospike_py_analysis import slices
from aerospike_py_analysis.analysis import Exemplar, GroupAnalysis
from aerospike_py_analysis.model import Ints, Segment
from aerospike_py_analysis.profile import Group, Profile
from aerospike_py_analysis.report import flame
from aerospike_py_analysis.report.blocks import Picture
from aerospike_py_analysis.report.svg import WIDTH, area, line, number, picture, polyline, rect, text, ticks
from aerospike_py_analysis.tail import TailSplit
from aerospike_py_analysis.trends import Throttled
from aerospike_py_analysis.wording import rank, share, signed, time

Scale = Callable[[float], float]

LEFT = 150
RIGHT = WIDTH - 36
ROW = 22
# Stages below this share of what is drawn are drawn together.
LEAST = 0.005


def style(stage: str) -> str:
    """The class that colours a stage."""
    return f"s-{re.sub('[^a-z0-9_]', '-', stage.lower())}"


class Pictures:
    """Draws what an analysis alone does not hold: it needs the profile for slices of time."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.groups: dict[tuple[str, str], Group] = {(one.operation, one.lane): one for one in profile.groups}
        self.first_ns = profile.first_ns

    def _group(self, group: GroupAnalysis) -> Group:
        return self.groups[group.breakdown.operation, group.breakdown.lane]

    def flames(self) -> list[Picture]:
        """All time and that of the slowest operations as nested boxes."""
        return flame.flames(self.profile)

    def distributions(self, group: GroupAnalysis) -> list[Picture]:
        """Percentiles of every stage on one logarithmic axis."""
        stages = [one for one in group.breakdown.stages if one.p999_ns > 0]
        if not stages:
            return []
        low = max(min(one.p50_ns for one in stages if one.p50_ns > 0), 1.0)
        high = max([one.p999_ns for one in stages] + [group.breakdown.p999_ns])
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(max(high, low * 10)))

        def x(ns: float) -> float:
            return LEFT + (RIGHT - LEFT) * (math.log10(max(ns, 10**first)) - first) / (last - first)

        shapes = []
        height = ROW * (len(stages) + 1) + 30
        for power in range(first, last + 1):
            shapes += [
                line(x(10**power), 4, x(10**power), height - 26, "grid"),
                text(x(10**power), height - 10, time(10.0**power), anchor="middle"),
            ]
        rows = [(one.stage, one.p50_ns, one.p90_ns, one.p99_ns, one.p999_ns, style(one.stage)) for one in stages]
        whole = group.breakdown
        rows.append(("wall time", whole.p50_ns, whole.p90_ns, whole.p99_ns, whole.p999_ns, "whole"))
        for i, (name, p50, p90, p99, p999, colour) in enumerate(rows):
            y = 6 + ROW * i
            title = f"{name}: p50 {time(p50)}, p90 {time(p90)}, p99 {time(p99)}, p99.9 {time(p999)}"
            shapes += [
                text(LEFT - 8, y + 13, name, anchor="end"),
                rect(x(p50), y + 7, x(p999) - x(p50), 4, colour, title, 0.45),
                rect(x(p50), y + 3, max(x(p90) - x(p50), 3), 12, colour, title),
                line(x(p99), y + 2, x(p99), y + 16, "mark"),
            ]
        caption = (
            "Bars: p50 to p90. Thin: to p99.9. Tick: p99. Over the operations that spent time"
            " in the stage; logarithmic."
        )
        return [Picture(picture(height, shapes, f"Distribution of the stages of {group.name}"), caption)]

    def waterfall(self, tail: TailSplit) -> list[Picture]:
        """From the lower percentile to the higher one, stage by stage."""
        parts = [part for part in tail.parts if abs(part.ns) >= LEAST * max(abs(tail.difference_ns), 1)]
        rest = tail.difference_ns - sum(part.ns for part in parts)
        steps = [(part.stage, part.ns, part.low_ns, part.high_ns, style(part.stage)) for part in parts]
        if abs(rest) >= 1:
            steps.append(("all others", rest, rest, rest, "rest"))
        return [
            Picture(
                waterfall(rank(tail.low), tail.from_ns, rank(tail.high), tail.to_ns, steps),
                "Whiskers: 95 % intervals of the parts.",
            )
        ]

    def over_time(self, group: GroupAnalysis, throttled: list[Throttled]) -> list[Picture]:
        """Stages stacked over time, and a map of durations."""
        one = self._group(group)
        starts, _, _ = one.slices.table()
        if starts.size < 2:
            return []
        begin, width = int(starts[0]), one.slices.width_ns
        span = int(starts[-1]) + width - begin

        def x(ns: float) -> float:
            return LEFT + (RIGHT - LEFT) * (ns - begin) / span

        stops = self._stops(throttled, x)
        return [self._stacked(group, one, x, span, stops), self._map(group, one, x, span)]

    def _stops(self, throttled: list[Throttled], x: Scale) -> list[str]:
        """When the control group stopped the process, as marks on the axis."""
        marks = []
        for one in throttled:
            sides = [self.first_ns + one.start_ns, self.first_ns + one.start_ns + one.width_ns]
            left, right = (min(max(x(side), LEFT), RIGHT) for side in sides)
            title = f"throttled: {time(one.stopped_ns)} of {time(one.width_ns)}"
            marks.append(rect(left, 200, max(right - left, 1.5), 4, "stop", title))
        return marks

    def _stacked(self, group: GroupAnalysis, one: Group, x: Scale, span: int, stops: list[str]) -> Picture:
        starts, sums, durations = one.slices.table()
        counts = durations.sum(axis=1)
        means = sums / counts[:, None]
        highest = float(means.sum(axis=1).max()) or 1.0
        height, bottom = 230.0, 204.0
        shapes = axis_of_time(x, int(starts[0]), span, bottom)
        for value in ticks(highest):
            y = bottom - (bottom - 8) * value / highest
            shapes += [line(LEFT, y, RIGHT, y, "grid"), text(LEFT - 8, y + 4, time(value), anchor="end")]
        base = np.zeros(starts.size)
        width = one.slices.width_ns
        total = float(one.sums.sum()) or 1.0
        for position, name in enumerate(one.stages):
            if not one.sums[position]:
                continue
            top = base + np.maximum(means[:, position], 0)
            title = f"{name}: {share(float(one.sums[position]) / total)} of the time"
            for begin, end in runs(starts, width):
                upper, lower = [], []
                for i in range(begin, end):
                    sides = (x(float(starts[i])), x(float(starts[i] + width)))
                    upper += [(side, bottom - (bottom - 8) * float(top[i]) / highest) for side in sides]
                    lower += [(side, bottom - (bottom - 8) * float(base[i]) / highest) for side in sides]
                shapes.append(area(upper + lower[::-1], style(name), title))
            base = top
        caption = f"Mean time per operation and stage, in slices of {time(width)}."
        caption += " Red on the axis: throttled." if stops else ""
        return Picture(picture(height, shapes + stops, f"Stages of {group.name} over time") + legend(one), caption)

    def _map(self, group: GroupAnalysis, one: Group, x: Scale, span: int) -> Picture:
        starts, _, durations = one.slices.table()
        used = np.flatnonzero(durations.sum(axis=0))
        low, high = int(used[0]), int(used[-1]) + 1
        height, bottom = 230.0, 204.0
        step = (bottom - 8) / (high - low)
        shapes = axis_of_time(x, int(starts[0]), span, bottom)
        most = math.log1p(float(durations.max()))
        width = one.slices.width_ns
        for i, row in enumerate(durations):
            for bin_number in np.flatnonzero(row).tolist():
                y = bottom - step * (bin_number + 1 - low)
                title = (
                    f"{time(slices.edge_ns(bin_number))} to {time(slices.edge_ns(bin_number + 1))}: {row[bin_number]}"
                )
                left, right = x(float(starts[i])), x(float(starts[i] + width))
                shapes.append(
                    rect(
                        left,
                        y,
                        right - left + 0.3,
                        step + 0.3,
                        "heat",
                        title,
                        0.12 + 0.88 * math.log1p(float(row[bin_number])) / most,
                    )
                )
        for number_of_label in range(6):
            bin_number = low + (high - low) * number_of_label // 5
            y = bottom - step * (bin_number - low)
            shapes.append(text(LEFT - 8, y + 4, time(slices.edge_ns(bin_number)), anchor="end"))
        p99 = [slices.quantile(row, 0.99) for row in durations]
        points = []
        for start, value in zip(starts.tolist(), p99, strict=True):
            place = (math.log2(max(value, 1)) * 8 + 1 - low) * step
            points.append((x(start + width / 2), bottom - min(max(place, 0), bottom - 8)))
        shapes.append(polyline(points, "trace"))
        return Picture(
            picture(height, shapes, f"Durations of {group.name} over time"),
            "How many operations took how long, over time; the stronger the colour, the more; values"
            " logarithmic. Line: p99 of each slice.",
        )

    def timelines(self, group: GroupAnalysis) -> list[Picture]:
        """Single operations with their segments and tracks."""
        return [timeline(exemplar) for exemplar in group.exemplars]


def runs(starts: Ints, width: int) -> list[tuple[int, int]]:
    """Stretches of slices without a gap, as half-open ranges."""
    breaks = (np.flatnonzero(np.diff(starts) > width) + 1).tolist()
    return list(zip([0, *breaks], [*breaks, int(starts.size)], strict=True))


def axis_of_time(x: Scale, begin: int, span: int, bottom: float) -> list[str]:
    """Marks of the time since the beginning."""
    shapes = [line(LEFT, bottom, RIGHT, bottom, "axis")]
    for value in ticks(span, 8):
        shapes += [
            line(x(begin + value), bottom, x(begin + value), bottom + 4, "axis"),
            text(x(begin + value), bottom + 18, time(value), anchor="middle"),
        ]
    return shapes


def legend(group: Group) -> str:
    """The stages of a group with their colours, as HTML."""
    total = float(group.sums.sum()) or 1.0
    shown = [name for name, value in zip(group.stages, group.sums, strict=True) if value / total >= LEAST]
    return (
        '<p class="legend">' + "".join(f'<span><i class="{style(name)}"></i>{name}</span>' for name in shown) + "</p>"
    )


def waterfall(
    from_name: str, from_ns: float, to_name: str, to_ns: float, steps: list[tuple[str, float, float, float, str]]
) -> str:
    """Bars that lead from one value to another."""
    level, highest, lowest = from_ns, max(from_ns, to_ns), 0.0
    for _, value, *_ in steps:
        level += value
        highest = max(highest, level)
    highest = highest * 1.12 or 1.0
    begin, end = LEFT, RIGHT - 90

    def x(ns: float) -> float:
        return begin + (end - begin) * (min(max(ns, lowest), highest) - lowest) / (highest - lowest)

    shapes = []
    height = ROW * (len(steps) + 2) + 12
    rows: list[tuple[str, float, float, str, str, tuple[float, float] | None]] = []
    rows.append((from_name, 0.0, from_ns, "whole", time(from_ns), None))
    level = from_ns
    for name, value, low, high, colour in steps:
        whiskers = None if math.isinf(low) or low == high else (level + low, level + high)
        rows.append((name, level, level + value, colour, signed(value), whiskers))
        level += value
    rows.append((to_name, 0.0, to_ns, "whole", time(to_ns), None))
    for i, (name, start, stop, colour, label, interval) in enumerate(rows):
        y = 6 + ROW * i
        left, right = x(min(start, stop)), x(max(start, stop))
        shapes += [
            text(LEFT - 8, y + 13, name, anchor="end"),
            rect(left, y + 2, max(right - left, 1.5), 14, colour, f"{name}: {label}"),
        ]
        edge = right
        if interval is not None:
            shapes += [line(x(interval[0]), y + 9, x(interval[1]), y + 9, "whisker")]
            edge = max(edge, x(interval[1]))
        shapes.append(text(edge + 6, y + 13, label, "value"))
        if i:
            shapes.append(
                line(
                    x(start if i < len(rows) - 1 else stop),
                    y - 4,
                    x(start if i < len(rows) - 1 else stop),
                    y + 2,
                    "step",
                )
            )
    return picture(height, shapes, f"From {from_name} to {to_name}, stage by stage")


def timeline(one: Exemplar) -> Picture:
    """One operation: the critical path, below it the tracks of its nodes."""
    rows: list[tuple[str, list[Segment]]] = [("critical path", one.details.segments or stacked(one))]
    for track in one.details.tracks:
        moved = [
            Segment(part.stage, part.node, part.start_ns + track.start_ns, part.duration_ns) for part in track.segments
        ]
        rows.append(
            (track.node or "unknown node", moved or [Segment("track", track.node, track.start_ns, track.duration_ns)])
        )
    span = max([one.duration_ns, 1, *(part.start_ns + part.duration_ns for _, parts in rows for part in parts)])
    height = ROW * len(rows) + 34
    shapes = []
    for value in ticks(span, 8):
        x = LEFT + (RIGHT - LEFT) * value / span
        shapes += [line(x, 2, x, height - 24, "grid"), text(x, height - 8, time(value), anchor="middle")]
    for i, (name, parts) in enumerate(rows):
        y = 4 + ROW * i
        shapes.append(text(LEFT - 8, y + 13, name, anchor="end"))
        for part in parts:
            left = LEFT + (RIGHT - LEFT) * part.start_ns / span
            width = (RIGHT - LEFT) * part.duration_ns / span
            shapes.append(
                rect(left, y + 1, max(width, 0.6), 16, style(part.stage), f"{part.stage}: {time(part.duration_ns)}")
            )
            if width > 7 * len(part.stage):
                shapes.append(text(left + 4, y + 13, part.stage, "inside"))
    order = (
        ""
        if one.details.segments
        else "; its segments are not in the recording, so stages are shown in their usual order"
    )
    keys = f", {one.keys} keys" if one.keys > 1 else ""
    caption = (
        f"Operation {number(one.operation_id)}, {one.why}: {time(one.duration_ns)},"
        f" {one.outcome or 'unknown outcome'}{keys}, {time(one.start_ns)} into the recording{order}."
    )
    return Picture(picture(height, shapes, f"Operation {one.operation_id}"), caption)


def stacked(one: Exemplar) -> list[Segment]:
    """Stages one after the other, for operations that only the sums are known of."""
    found, start = [], 0
    for name, value in one.stages.items():
        found.append(Segment(name, None, start, value))
        start += value
    return found
