"""Made-up measurements of what recording costs, for the tests of figures, verdicts and pages."""

from __future__ import annotations

from benchmark.overhead import results
from benchmark.overhead.configurations import MEASURED

OFF_NS = 20_000
ADDED_NS = {"off": 0, "off-again": 0, "stages": 400, "files": 900, "spans": 1_000, "everything": 1_500}
ROUNDS = 31
THREADS = {"off": {"caller": 15_000}, "files": {"aerospike-trace": 3_000, "caller": 15_500}}


def rounds(added=ADDED_NS, noise=100, off=OFF_NS):
    """Rounds whose differences from off spread evenly around what is added; all of a round drift together."""
    drifts = [off * number // 50 for number in range(ROUNDS)]
    around = [noise * (number - ROUNDS // 2) // (ROUNDS // 2) for number in range(ROUNDS)]
    return {
        one.name: [
            [off + drift + added[one.name] + (own if one.name != "off" else 0), 2 * (off + added[one.name])]
            for drift, own in zip(drifts, around, strict=True)
        ]
        for one in MEASURED
    }


def measured(**cells):
    """What a process of one Python says."""
    return {
        "python": "3.11.2",
        "build": "main",
        "compiler": "a compiler",
        "gil": True,
        "client": "0.1.0",
        "load_average": [0.5, 0.25, 0.125],
        "load_average_after": [1.5, 0.25, 0.125],
        "cells": {name: {"operations": 1000, "rounds": found, "threads": THREADS} for name, found in cells.items()},
    }


def counted():
    """What counting says of one Python."""
    counts = {"never": 30_000.0, "off": 30_010.0, "stages": 33_000.0}
    return {**measured(), "cells": {"get-sync": counts}}


STAMP = {
    "time": "2026-01-01T00:00:00+00:00",
    "processor": "A processor",
    "cores": 2,
    "load_average": [0.5, 0.25, 0.125],
    "commit": "0123456789abcdef",
    "uncommitted_changes": False,
    "build_profile": "release",
}


def result_file(measurements, counts=()):
    """A result file."""
    return results.of(STAMP, list(measurements), list(counts))
