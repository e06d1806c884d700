"""How figures are written in reports: times with a unit that fits, shares, counts."""

from __future__ import annotations

import math


def time(ns: float) -> str:
    """A time with three digits: 950 ns, 12.3 µs, 4.56 ms, 1.20 s."""
    if math.isinf(ns) or math.isnan(ns):
        return "?"
    size = abs(ns)
    for limit, unit, factor in ((1e3, "ns", 1), (1e6, "µs", 1e3), (1e9, "ms", 1e6), (math.inf, "s", 1e9)):
        # What would be rounded up to the limit is written in the next unit.
        if size < limit * 0.9995:
            value = ns / factor
            if unit == "ns":
                return f"{value:.0f} ns"
            digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
    return "?"


def signed(ns: float) -> str:
    """A difference of times with its sign."""
    return time(ns) if ns < 0 else f"+{time(ns)}"


def interval(low: float, high: float) -> str:
    """An interval of times."""
    if math.isinf(low) or math.isinf(high):
        return "too few operations for an interval"
    return f"{time(low)} to {time(high)}"


def share(value: float) -> str:
    """A share in per cent, one digit below ten."""
    percent = value * 100
    if abs(percent) < 0.05:
        return "0 %"
    return f"{percent:.1f} %" if abs(percent) < 9.95 else f"{percent:.0f} %"


def count(value: float) -> str:
    """A count with separators."""
    return f"{value:,.0f}".replace(",", "\u202f")


def rank(q: float) -> str:
    """A percentile's name: p50, p99, p99.9."""
    return f"p{q * 100:g}"
