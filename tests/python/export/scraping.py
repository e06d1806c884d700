"""Metrics as samples that can be looked up by labels and subtracted.

Prometheus' own parser reads the same text in ``test_formats``; it is too slow to be asked in every test.
"""

from __future__ import annotations

import functools
import http.client
import re
from typing import TYPE_CHECKING

import aerospike_py

if TYPE_CHECKING:
    from typing import Self

DURATION = "db_client_operation_duration_seconds"
STAGE = "db_client_internal_stage_seconds"

Labels = frozenset[tuple[str, str]]


LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


@functools.cache
def _key(series: str) -> tuple[str, Labels]:
    """Return the name and the labels of a sample."""
    name, _, labels = series.partition("{")
    pairs = LABEL.findall(labels)
    return name, frozenset((label, re.sub(r"\\(.)", _unescape, value)) for label, value in pairs)


def _unescape(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


class Metrics:
    """Samples by name and labels."""

    def __init__(self, samples: dict[tuple[str, Labels], float]) -> None:
        self.samples = samples

    @classmethod
    def read(cls, text: str | None = None) -> Self:
        """Read a text, or what ``get_metrics`` returns."""
        samples: dict[tuple[str, Labels], float] = {}
        for line in (aerospike_py.get_metrics() if text is None else text).splitlines():
            if line.startswith("#"):
                continue
            series, _, value = line.rpartition(" ")
            key = _key(series)
            assert key not in samples, key
            samples[key] = float(value)
        return cls(samples)

    def __sub__(self, before: Metrics) -> Metrics:
        grown = {key: value - before.samples.get(key, 0) for key, value in self.samples.items()}
        # A bucket that did not grow still says where the next one begins.
        return Metrics({key: value for key, value in grown.items() if value or key[0].endswith("_bucket")})

    def of(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of a name that have these labels among their own."""
        wanted = set(labels.items())
        return sum(value for (own, having), value in self.samples.items() if own == name and wanted <= having)

    def label_sets(self, name: str, *without: str, **labels: str) -> list[dict[str, str]]:
        """Return the labels of all samples of a name that have these labels, with some left out."""
        wanted = set(labels.items())
        found = [having for own, having in self.samples if own == name and wanted <= having]
        return [{label: value for label, value in having if label not in without} for having in found]

    def quantile(self, name: str, quantile: float, **labels: str) -> float:
        """Estimate a quantile as Prometheus does: by interpolation within a bucket."""
        wanted = set(labels.items())
        buckets: dict[float, float] = {}
        for (own, having), value in self.samples.items():
            if own == f"{name}_bucket" and wanted <= having:
                limit = float(dict(having)["le"])
                buckets[limit] = buckets.get(limit, 0) + value
        limits = sorted(buckets)
        rank, lower, below = quantile * buckets[float("inf")], 0.0, 0.0
        for limit in limits:
            if buckets[limit] >= rank and buckets[limit] > below:
                return (
                    lower
                    if limit == float("inf")
                    else lower + (limit - lower) * (rank - below) / (buckets[limit] - below)
                )
            lower, below = limit, buckets[limit]
        raise AssertionError(f"no quantile of {name} {labels}")


def ask(
    address: tuple[str, int], path: str = "/metrics", method: str = "GET", **headers: str
) -> http.client.HTTPResponse:
    """Send a request; the body has been read into ``response.body``."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        return response
    finally:
        connection.close()
