"""Where environments and programs of the measured clients are, relative to the checkout: what `make lanes` prepares."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GIL, FREE_THREADED = "3.11", "3.14t"
PYTHONS = (GIL, FREE_THREADED)

OURS = {GIL: Path(".venv"), FREE_THREADED: Path(".venv-3.14t")}
RELEASED = Path("build/ours")
"""Our package as its wheels have it."""
CORE_BINARY = Path("build/rust-core/release/aerospike-lanes-core")
STAGES_VARIABLE = "AEROSPIKE_PY_INTERNAL_METRICS"


def peers_of(name: str, *pythons: str) -> dict[str, Path]:
    """The environments of another client, by Python."""
    folders = {GIL: Path("build/peers") / name, FREE_THREADED: Path("build/peers-3.14t") / name}
    return {python: folders[python] for python in pythons}


def web_of(name: str, *pythons: str) -> dict[str, Path]:
    """The environments of a client that have what a web service needs as well, by Python."""
    folders = {GIL: Path("build/web") / name, FREE_THREADED: Path("build/web-3.14t") / name}
    return {python: folders[python] for python in pythons}


def interpreter(environment: Path) -> str:
    return str(ROOT / environment / "bin" / "python")


def variables(own: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process that nothing of ours may reach into: one of the peers shares our import name."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AEROSPIKE"))}
    return {**kept, **own}


def missing(program: Path) -> str | None:
    """Say that a program is not there, or nothing."""
    if program.exists():
        return None
    return f"{program.relative_to(ROOT) if program.is_relative_to(ROOT) else program} is not there"
