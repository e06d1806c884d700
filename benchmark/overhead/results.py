"""The result file: what was measured where, every round of it, and what follows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.overhead import figures, threads, verdicts
from benchmark.overhead.configurations import COUNTED, MEASURED
from benchmark.overhead.workloads import CASES

FORMAT, VERSION = "aerospike-py overhead", 1


def of(where: dict[str, Any], measured: list[dict[str, Any]], counted: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything that is known.

    Args:
        where: The stamp.
        measured: What was measured with each Python.
        counted: What `counting` has counted.
    """
    cases = {name for one in (*measured, *counted) for name in one["cells"]}
    return {
        "format": FORMAT,
        "version": VERSION,
        "stamp": where,
        "configurations": {one.name: one.what for one in (*MEASURED, *COUNTED)},
        "cases": {case.name: case.what for case in CASES if case.name in cases},
        "pythons": [judged(one) for one in measured],
        "instructions": counted,
    }


def together(processes: list[dict[str, Any]]) -> dict[str, Any]:
    """What several processes of one Python have measured, as one: their rounds one after the other.

    Args:
        processes: What the processes of `measuring` have printed, at least one.
    """
    first, last = processes[0], processes[-1]
    cells = {name: _cell([process["cells"][name] for process in processes]) for name in first["cells"]}
    return {**first, "load_average_after": last["load_average_after"], "cells": cells}


def _cell(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """One workload, as all processes have measured it; how many operations a block has is the first one's affair."""
    joined = dict(cells[0])
    for rounds, processes in (("rounds", "processes"), ("short_rounds", "short_processes")):
        if rounds in joined:
            names = joined[rounds]
            joined[processes] = [len(next(iter(cell[rounds].values()))) for cell in cells]
            joined[rounds] = {name: [block for cell in cells for block in cell[rounds][name]] for name in names}
    if "threads" in joined:
        joined["threads"] = {name: threads.mean(cell["threads"][name] for cell in cells) for name in joined["threads"]}
    if "background" in joined:
        joined["background"] = threads.mean(cell["background"] for cell in cells)
    return joined


def judged(measured: dict[str, Any]) -> dict[str, Any]:
    """One Python's measurements with their figures and verdicts."""
    cells = {}
    for name, cell in measured["cells"].items():
        compared = figures.of_cell(cell)
        cells[name] = {
            **cell,
            "figures": figures.as_json(compared),
            "verdicts": [asdict(verdict) for verdict in verdicts.judge(name, compared)],
        }
    return {**measured, "cells": cells}


def write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, separators=(",", ":")) + "\n", encoding="utf-8")
