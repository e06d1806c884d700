"""Where and of what a measurement was made: the machine, the commit, the builds of our extension."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmark.processes.places import RELEASED, ROOT

PROFILE = "wheel (see Cargo.toml and scripts/build-as-released)"


def stamp(
    hosts: list[tuple[str, int]],
    embedded: bool,
    *,
    profile: str = PROFILE,
    folder: Path = ROOT / RELEASED / "aerospike_py",
) -> dict[str, Any]:
    """Say where and of what.

    Args:
        hosts: The server.
        embedded: Whether it is ours.
        profile: What the extension was built with.
        folder: Where the extension is.
    """
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": list(os.getloadavg()),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "build_profile": profile,
        "extensions": {path.name: _extension(path) for path in sorted(folder.glob("*.so"))},
        "server": {"hosts": hosts, "embedded": embedded},
    }


def summary(stamped: dict[str, Any]) -> str:
    load = ", ".join(f"{value:.2f}" for value in stamped["load_average"])
    server = "embedded, one node, a process of its own" if stamped["server"]["embedded"] else stamped["server"]["hosts"]
    return (
        f"{stamped['time']}, {stamped['processor']}, {stamped['cores']} cores, load {load} before the start\n"
        f"commit {stamped['commit'][:12]}{' with changes' if stamped['uncommitted_changes'] else ''}, "
        f"profile {stamped['build_profile']}; server: {server}"
    )


def _extension(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _git(*arguments: str) -> str:
    finished = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return finished.stdout.strip() if finished.returncode == 0 else "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown"
