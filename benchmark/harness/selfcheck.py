"""The harness measures itself: what it adds to every operation, and whether it finds what is planted, and only that."""

from __future__ import annotations

import argparse
from typing import Any

from benchmark.harness import comparing, figures, results
from benchmark.harness.running import Request, run
from benchmark.harness.workloads import SUITES
from benchmark.processes.places import GIL

CELL = "kv-read-features/sync-1/closed"
OURS, AGAIN, SLOWED = "ours", "ours-again", "ours-slowed"


def verdicts(document: dict[str, Any]) -> dict[str, list[comparing.Comparison]]:
    """What `compare` says of the same client again, and of one that was slowed down."""
    old = results.renamed(document, OURS, OURS)
    return {name: comparing.files(old, results.renamed(document, name, OURS)) for name in (AGAIN, SLOWED)}


def passed(found: dict[str, list[comparing.Comparison]]) -> bool:
    """Whether the planted slowdown was found, and nothing where nothing was planted."""
    return bool(found[AGAIN]) and not comparing.regressions(found[AGAIN]) and bool(comparing.regressions(found[SLOWED]))


def check(arguments: argparse.Namespace) -> int:
    """Measure, print and judge; the exit status is 0 if everything is as it should be."""
    plan = {"rounds": arguments.rounds, "seconds": arguments.seconds, "seed": arguments.seed, "pythons": (GIL,)}
    document = run(Request(cells=[arguments.cell], clients=[OURS, AGAIN, SLOWED], **plan))
    null = run(Request(cells=SUITES["null"], clients=["null"], **{**plan, "rounds": 3}))
    if arguments.json:
        results.write(arguments.json, document)
        results.write(arguments.json.with_name("null-" + arguments.json.name), null)
    print(f"\nWhat the harness costs (a client that answers from memory), Python {GIL}:")
    print(null_table(null))
    found = verdicts(document)
    for name, comparisons in found.items():
        planted = "5 % slower" if name == SLOWED else "nothing"
        print(f"\nplanted: {planted}; found:\n{comparing.text(comparisons)}")
    good = passed(found)
    print("\nself-check passed" if good else "\nSELF-CHECK FAILED: what was planted is not what was found")
    return 0 if good else 1


def null_table(document: dict[str, Any]) -> str:
    """Latency and processor time per operation of the null client, cell by cell."""
    lines = [f"  {'cell':<48} {'p50 us':>8} {'p99 us':>8} {'CPU us per op':>14}"]
    for cell, member in results.members(document):
        found = figures.of_rounds(member["rounds"])
        values = (found[quantity.name].estimate for quantity in (figures.P50, figures.P99, figures.CPU))
        p50, p99, cpu = values
        lines.append(f"  {cell['name']:<48} {p50:>8.2f} {p99:>8.2f} {cpu:>14.2f}")
    return "\n".join(lines)
