"""Result files made up for the tests: rounds with known latencies, the same every time."""

import random
from typing import Any

from benchmark.harness.histogram import Histogram
from benchmark.harness.measuring import described
from benchmark.harness.results import FORMAT, VERSION
from benchmark.harness.workloads import cell_named
from benchmark.web.agreement import agreement

CELL = "kv-read-features/sync-1/closed"
SAMPLES = 400


def a_round(number: int, seed: str, *, factor: float = 1.0, noise: float = 0.01, errors: int = 0) -> dict[str, Any]:
    """A closed loop of one thread whose operations take about 20 microseconds times a factor."""
    rng = random.Random(f"{seed} {number}")
    drift = 1 + rng.gauss(0, noise)
    latencies = [int(20_000 * factor * drift * rng.lognormvariate(0, 0.2)) for _ in range(SAMPLES)]
    failed = [5_000_000] * errors
    histograms = {"read": Histogram.of(latencies).as_json()}
    histograms |= {"error": Histogram.of(failed).as_json()} if failed else {}
    return {
        "number": number,
        "operations": len(latencies) + errors,
        "wall_ns": sum(latencies) + sum(failed),
        "cpu_ns": int(sum(latencies) * 0.8),
        "server_cpu_ns": int(sum(latencies) * 0.4),
        "voluntary_switches": 1,
        "involuntary_switches": 0,
        "resident_before_bytes": 1_000_000,
        "resident_after_bytes": 1_000_000 + 8 * SAMPLES,
        "resident_peak_bytes": 2_000_000,
        "samples_bytes": 8 * SAMPLES,
        "allocated_blocks": 3,
        "histograms": histograms,
        "service": None,
        "errors": {"ConnectionError: gone": errors} if errors else {},
        "ticks": [],
        "stages": None,
    }


def member(client: str, python: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    hello = {"client": client, "version": "1.0", "python": "3.11.7", "gil": python == "3.11"}
    return {
        "client": client,
        "python": python,
        "what": "made up",
        "hello": hello,
        "slowdown": 0.0,
        "verified_operations": 200,
        "rounds": rounds,
        "failure": None,
        "command": "rerun it",
    }


def cell(name: str, members: list[dict[str, Any]]) -> dict[str, Any]:
    return {**described(cell_named(name)), "command": "rerun me", "members": members, "left_out": [], "order": []}


def document(cells: list[dict[str, Any]], run: str = "one") -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "run": {"id": run, "started": "then", "ended": "later", "plan": {"rounds": 20, "seconds": 0.3, "seed": 1}},
        "stamp": {
            "processor": "a processor",
            "cores": 2,
            "kernel": "6.1",
            "load_average": [0.1, 0.1, 0.1],
            "commit": "0123456789abcdef",
            "uncommitted_changes": False,
            "build_profile": "wheel",
            "server": {"hosts": [["127.0.0.1", 3000]], "embedded": True},
        },
        "cells": cells,
    }


def series(client: str, seed: str, *, factor: float = 1.0, rounds: int = 20, noise: float = 0.01) -> dict[str, Any]:
    """A member whose rounds have a factor in common."""
    return member(client, "3.11", [a_round(n, seed, factor=factor, noise=noise) for n in range(rounds)])


def a_web_round(number: int, seed: str, *, factor: float = 1.0, connections: int = 10) -> dict[str, Any]:
    """A round of a web service: what it takes, and what both sides say of it."""
    made = a_round(number, seed, factor=factor)
    outside = [value * 100 for value in (180, 200, 220, 240)]
    inside = [value - 1_500 for value in outside]
    spent = {"fetch": [value // 2 for value in inside], "feature_build": [value - value // 2 for value in inside]}
    stages = {"network_wait": 30_000, "decode": 8_000}
    return {
        **made,
        "load_cpu_ns": 1_000,
        "service": Histogram.of(outside).as_json(),
        "pipeline": {"stages": {name: Histogram.of(values).as_json() for name, values in spent.items()}},
        "agreement": agreement(outside, inside, connections),
        "stages": [{"operation": "batch_read", "count": 4, "wall_ns": 38_000, "stages": stages, "deferred_ns": 800}],
    }


def web() -> dict[str, Any]:
    """Environments B and C of two clients on two Pythons."""
    speeds = {("aerospike-py", "3.11"): 2.0, ("ours", "3.11"): 1.0, ("ours", "3.14t"): 0.8}
    costs = {"b-gather": 3.0, "b-single": 2.0, "c-gather-loop": 6.0, "c-single-loop": 5.0, "c-single-thread": 4.0}
    cells = []
    for place in [*(f"{name}/http-10/closed" for name in costs), "b-single/http-1/closed"]:
        connections, cost = int(place.split("-")[-1].split("/")[0]), costs[place.partition("/")[0]]
        members = []
        for (client, python), speed in speeds.items():
            seed, factor = f"{place} {client} {python}", cost * speed
            rounds = [a_web_round(number, seed, factor=factor, connections=connections) for number in range(4)]
            members.append(member(client, python, rounds))
        cells.append(cell(place, members))
    made = document(cells, "web")
    made["stamp"] |= {"load_generator": "oha 1.0", "time": "2026-01-01T00:00:00+00:00"}
    return made
