"""A strict reader of the Prometheus text format: it refuses what a scraper might merely tolerate."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
HELP = re.compile(rf"# HELP ({NAME}) (\S.*)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)")
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
SUFFIXES = ("_bucket", "_sum", "_count")

Labels = tuple[tuple[str, str], ...]


@dataclass
class Histogram:
    """The samples of one combination of labels."""

    buckets: list[tuple[float, float]] = field(default_factory=list)
    total: float | None = None
    count: float | None = None


@dataclass
class Family:
    """What belongs to one name."""

    help: str
    kind: str = ""
    samples: dict[Labels, float] = field(default_factory=dict)
    histograms: dict[Labels, Histogram] = field(default_factory=dict)

    def histogram(self, **labels: str) -> Histogram:
        """Return the one histogram that has these labels among its own."""
        (found,) = [one for own, one in self.histograms.items() if set(labels.items()) <= set(own)]
        return found

    def sample(self, **labels: str) -> float:
        """Return the value of all samples together that have these labels among their own."""
        return sum(value for own, value in self.samples.items() if set(labels.items()) <= set(own))


def read(text: str) -> dict[str, Family]:
    """Read the whole text; ``AssertionError`` says which line is wrong."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    current = ""
    for line in text.splitlines():
        if head := HELP.fullmatch(line):
            current = head[1]
            assert current not in families, f"{current} appears twice"
            families[current] = Family(head[2])
        elif head := TYPE.fullmatch(line):
            assert head[1] == current, f"a type without its help: {line}"
            assert not families[current].kind, line
            families[current].kind = head[2]
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, f"not a sample: {line!r}"
            _add(families[current], current, sample[1], _labels(sample[2]), float(sample[3]))
    for name, family in families.items():
        assert family.kind, name
        for labels, histogram in family.histograms.items():
            _check(histogram, f"{name} {labels}")
    return families


def _labels(text: str | None) -> Labels:
    pairs = [pair.partition("=") for pair in re.findall(LABEL, text or "")]
    names = [name for name, _, _ in pairs]
    assert len(names) == len(set(names)), text
    return tuple((name, value[1:-1]) for name, _, value in pairs)


def _add(family: Family, base: str, name: str, labels: Labels, value: float) -> None:
    assert value >= 0, f"{name} {labels}"
    if family.kind != "histogram":
        assert name == base, f"{name} below {base}"
        assert labels not in family.samples, f"{name} {labels} twice"
        family.samples[labels] = value
        return
    suffix = name.removeprefix(base)
    assert suffix in SUFFIXES, f"{name} below {base}"
    own = tuple(pair for pair in labels if pair[0] != "le")
    histogram = family.histograms.setdefault(own, Histogram())
    if suffix == "_bucket":
        histogram.buckets.append((float(dict(labels)["le"]), value))
    elif suffix == "_sum":
        assert histogram.total is None, f"{name} {labels} twice"
        histogram.total = value
    else:
        assert histogram.count is None, f"{name} {labels} twice"
        histogram.count = value


def _check(histogram: Histogram, where: str) -> None:
    limits = [limit for limit, _ in histogram.buckets]
    counts = [count for _, count in histogram.buckets]
    assert limits == sorted(set(limits)), where
    assert limits[-1] == float("inf"), where
    assert counts == sorted(counts), f"{where}: buckets are not cumulative"
    assert histogram.count == counts[-1], where
    assert histogram.total is not None, where
    # The smallest and the largest sum that these buckets allow, give or take the width of a bucket.
    lowest = sum((after - before) * limit for limit, before, after in zip(limits, counts, counts[1:], strict=False))
    assert histogram.total >= lowest * 0.95, where
    if counts[-1] == counts[-2]:
        steps = zip(limits, [0, *counts], counts, strict=False)
        highest = sum((after - before) * limit for limit, before, after in steps if after > before)
        assert histogram.total <= highest * 1.05, where
