"""Tests of whether two series of rounds differ, robust against rounds that the machine has spoilt.

Figures are compared by their logarithms, so that a difference is a ratio. Series that were measured in the same rounds
are compared round by round (`paired`), others as they are (`unpaired`): Yuen's test, a t-test on trimmed means with
winsorised variances. `holm` accounts for the number of comparisons.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

TRIM = 0.2
LEAST_ROUNDS = 3
# With fewer rounds than this there is nothing to trim.
_TRIM_FROM = 8
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """The ratio of new to old, its interval, and how likely it is to be found where there is none."""

    ratio: float
    low: float
    high: float
    p_value: float


def paired(old: Sequence[float], new: Sequence[float]) -> Difference:
    """Compare figures of the same rounds.

    Raises:
        ValueError: There are too few rounds, or not as many of one as of the other.
    """
    logs = [math.log(after / before) for before, after in zip(old, new, strict=True)]
    mean, error, freedom = _trimmed(logs)
    return _difference(mean, error, freedom)


def unpaired(old: Sequence[float], new: Sequence[float]) -> Difference:
    """Compare figures of different rounds.

    Raises:
        ValueError: There are too few rounds.
    """
    (before, error_before, freedom_before) = _trimmed([math.log(figure) for figure in old])
    (after, error_after, freedom_after) = _trimmed([math.log(figure) for figure in new])
    squares = (error_before**2, error_after**2)
    total = sum(squares)
    parts = squares[0] ** 2 / freedom_before + squares[1] ** 2 / freedom_after
    freedom = total**2 / parts if parts else freedom_before + freedom_after
    return _difference(after - before, math.sqrt(total), freedom)


def _trimmed(values: Sequence[float]) -> tuple[float, float, float]:
    """Trimmed mean, its standard error, and the degrees of freedom of that."""
    count = len(values)
    if count < LEAST_ROUNDS:
        raise ValueError(f"{count} rounds are too few to compare: at least {LEAST_ROUNDS}")
    cut = int(TRIM * count) if count >= _TRIM_FROM else 0
    ordered = sorted(values)
    kept = ordered[cut : count - cut]
    winsorised = [kept[0]] * cut + kept + [kept[-1]] * cut
    left = len(kept)
    variance = statistics.variance(winsorised) * (count - 1) / (left * (left - 1))
    return statistics.fmean(kept), math.sqrt(variance), left - 1


def _difference(mean: float, error: float, freedom: float) -> Difference:
    if error == 0:
        ratio = math.exp(mean)
        return Difference(ratio, ratio, ratio, 1.0 if mean == 0 else 0.0)
    reach = student_quantile(1 - (1 - CONFIDENCE) / 2, freedom) * error
    p_value = 2 * student_tail(abs(mean) / error, freedom)
    return Difference(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach), p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Raise p-values so that, over all of them, a false alarm is no likelier than each says."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


def student_tail(t: float, freedom: float) -> float:
    """How likely a value of Student's distribution is above a positive one."""
    return 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


@cache
def student_quantile(part: float, freedom: float) -> float:
    """The value that this part of Student's distribution, at least a half, does not exceed."""
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > 1 - part:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, freedom) > 1 - part else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front * _continued_fraction(a, b, x) / a


def _continued_fraction(a: float, b: float, x: float) -> float:
    # Lentz's method.
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            d, c = 1 + term * d, 1 + term / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            change = c * d
            value *= change
        if abs(change - 1) < 1e-14:
            break
    return value
