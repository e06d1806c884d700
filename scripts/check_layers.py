"""Checks that the layers hold: crates below the bridge know neither Python nor the crates above them.

The rules are the tables below. Dependencies are read from `cargo metadata`, imports from the sources themselves,
because a crate may be imported through the re-export of another. Formatting, lints and types are checked elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

# Crates that stay free of Python: folder of each, and the crates of this workspace it may build on.
PURE_CRATES: dict[str, tuple[str, frozenset[str]]] = {
    "aerospike-stages": ("src/stages", frozenset()),
    "aerospike-rt": ("runtime", frozenset({"aerospike-stages"})),
    "aerospike-embedded": ("server", frozenset()),
    "aerospike-flamegraphs": ("flamegraphs", frozenset()),
    "aerospike-traces": ("src/trace", frozenset({"aerospike-stages"})),
}

# Inside the extension crate: the files and folders that may import PyO3.
BRIDGE: tuple[str, ...] = (
    "src/client/",
    "src/constants.rs",
    "src/convert/",
    "src/embedded.rs",
    "src/exceptions.rs",
    "src/interned.rs",
    "src/lanes/",
    "src/lib.rs",
    "src/metrics_api.rs",
    "src/logs/bridge.rs",
    # The probes of Python itself: its GIL, its event loops, and the functions it calls.
    "src/probes/control.rs",
    "src/probes/gil.rs",
    "src/probes/loop_lag.rs",
    "src/probes/observer/former.rs",
    "src/probes/observer/mod.rs",
    "src/probes/observer/names.rs",
    "src/probes/observer/observed.rs",
    "src/probes/observer/selector.rs",
    "src/probes/observer/watchdog.rs",
    "src/probes/python.rs",
    "src/self_check.rs",
    "src/stage_api.rs",
    "src/trace_api.rs",
)

PYTHON_CRATES = frozenset({"pyo3", "pyo3-ffi", "pyo3-macros", "numpy"})
PYTHON_IMPORT = re.compile(r"\b(pyo3|pyo3_ffi)\b\s*(::|;|,|\}|as\b)|#\[py(class|function|method|module)")

REMEDY = (
    "Move what needs Python into the bridge and hand the layer below plain Rust values; "
    "a deliberate change of the layers goes into the tables of scripts/check_layers.py."
)


def dependency_violations(metadata: dict[str, Any]) -> list[str]:
    """Dependencies, direct or not, that the tables forbid, from the output of `cargo metadata`."""
    names = {package["id"]: package["name"] for package in metadata["packages"]}
    members = {names[identifier] for identifier in metadata["workspace_members"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    violations = []
    for crate, (_, allowed) in PURE_CRATES.items():
        identifiers = [i for i in metadata["workspace_members"] if names[i] == crate]
        if len(identifiers) != 1:
            violations.append(f"{crate}: is not a member of the workspace")
            continue
        start = identifiers[0]
        for edge in nodes[start]["deps"]:
            name = names[edge["pkg"]]
            # Tests may use any crate of the workspace; what ships may not.
            ships = any(kind["kind"] != "dev" for kind in edge["dep_kinds"])
            if ships and name in members and name not in allowed:
                violations.append(f"{crate}: depends on {name}, which lies above it")
        path = path_to_python(start, nodes, names)
        if path:
            violations.append(f"{crate}: depends on Python through {' -> '.join(path)}")
    return violations


def path_to_python(start: str, nodes: dict[str, Any], names: dict[str, str]) -> list[str] | None:
    """The shortest chain of shipped dependencies from a crate to one that binds Python."""
    chains = [[start]]
    seen = {start}
    while chains:
        chain = chains.pop(0)
        for edge in nodes[chain[-1]]["deps"]:
            own_test_dependency = len(chain) > 1 and all(kind["kind"] == "dev" for kind in edge["dep_kinds"])
            if edge["pkg"] in seen or own_test_dependency:
                continue
            seen.add(edge["pkg"])
            longer = [*chain, edge["pkg"]]
            if names[edge["pkg"]] in PYTHON_CRATES:
                return [names[identifier] for identifier in longer]
            chains.append(longer)
    return None


def source_violations(root: Path) -> list[str]:
    """Lines that import PyO3 where the tables forbid it."""
    violations = []
    pure_folders = tuple(f"{folder}/" for folder, _ in PURE_CRATES.values())
    for folder in {"src", *(folder for folder, _ in PURE_CRATES.values())}:
        for path in sorted((root / folder).rglob("*.rs")):
            name = path.relative_to(root).as_posix()
            if "/target/" in name or (folder == "src" and name.startswith(pure_folders)):
                continue
            if not name.startswith(pure_folders) and name.startswith(BRIDGE):
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                code = line.split("//", maxsplit=1)[0]
                if PYTHON_IMPORT.search(code):
                    violations.append(f"{name}:{number}: imports Python: {code.strip()}")
    return violations


def cargo_metadata(root: Path) -> dict[str, Any]:
    """What Cargo resolved for the workspace."""
    command = ["cargo", "metadata", "--format-version", "1", *(["--locked"] if os.environ.get("CI") else [])]
    output = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout
    metadata: dict[str, Any] = json.loads(output)
    return metadata


def main() -> int:
    """Prints every violation; the exit code says whether there was one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    violations = dependency_violations(cargo_metadata(root)) + source_violations(root)
    for violation in violations:
        print(violation, file=sys.stderr)
    if violations:
        print(f"layers: {len(violations)} violation(s). {REMEDY}", file=sys.stderr)
        return 1
    print("layers: hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
