"""Checks that the driver really runs on our runtime: one `aerospike-rt` in the whole graph, the one in runtime/.

If the driver asked for another version, Cargo would warn, link the stock crate and every driver stage would silently be
gone. That the recorder then sees events is checked where the package is imported, not here.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path
from typing import Any

from check_layers import cargo_metadata

RUNTIME = "aerospike-rt"
RUNTIME_FOLDER = "runtime"
DRIVER = "aerospike-core"

REMEDY = (
    f"Give runtime/Cargo.toml the version of {RUNTIME} that {DRIVER} asks for, keep [patch.crates-io] in Cargo.toml "
    f"pointing at runtime/, pin {DRIVER} with `=`, then look at `cargo tree -i {RUNTIME}`."
)


def lock_violations(lock: dict[str, Any]) -> list[str]:
    """What is wrong in Cargo.lock."""
    violations = []
    runtimes = [package for package in lock.get("package", []) if package["name"] == RUNTIME]
    if len(runtimes) != 1:
        violations.append(f"Cargo.lock: {len(runtimes)} packages are called {RUNTIME}, there must be one")
    for package in runtimes:
        if "source" in package:
            violations.append(f"Cargo.lock: {RUNTIME} {package['version']} comes from a registry, not from runtime/")
    for package in lock.get("patch", {}).get("unused", []):
        violations.append(f"Cargo.lock: the patch of {package['name']} {package['version']} is not used")
    drivers = [package["version"] for package in lock.get("package", []) if package["name"] == DRIVER]
    if len(drivers) != 1:
        violations.append(f"Cargo.lock: {len(drivers)} packages are called {DRIVER}, there must be one")
    return violations


def manifest_violations(manifest: dict[str, Any]) -> list[str]:
    """What is wrong in the workspace's Cargo.toml."""
    violations = []
    driver = manifest.get("workspace", {}).get("dependencies", {}).get(DRIVER, {})
    version = driver.get("version", "") if isinstance(driver, dict) else driver
    if not version.startswith("="):
        violations.append(f"Cargo.toml: {DRIVER} is not pinned to one version: {version!r}")
    patched = manifest.get("patch", {}).get("crates-io", {})
    if patched.get(RUNTIME, {}).get("path") != RUNTIME_FOLDER:
        violations.append(f"Cargo.toml: [patch.crates-io] does not point {RUNTIME} at {RUNTIME_FOLDER}/")
    if DRIVER in patched:
        violations.append(f"Cargo.toml: {DRIVER} is patched, it must stay as published")
    return violations


def graph_violations(metadata: dict[str, Any], root: Path) -> list[str]:
    """What is wrong in the graph that Cargo resolved."""
    packages = {package["id"]: package for package in metadata["packages"]}
    expected = (root / RUNTIME_FOLDER / "Cargo.toml").resolve()
    violations = []
    reached = False
    for node in metadata["resolve"]["nodes"]:
        for edge in node["deps"]:
            dependency = packages[edge["pkg"]]
            if dependency["name"] != RUNTIME:
                continue
            dependent = packages[node["id"]]["name"]
            reached = reached or dependent == DRIVER
            if Path(dependency["manifest_path"]).resolve() != expected:
                violations.append(f"{dependent} is linked with {RUNTIME} from {dependency['manifest_path']}")
    if not reached:
        violations.append(f"{DRIVER} is not linked with {RUNTIME} at all")
    return violations


def main() -> int:
    """Prints every violation; the exit code says whether there was one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    metadata = cargo_metadata(root)
    violations = (
        manifest_violations(tomllib.loads((root / "Cargo.toml").read_text(encoding="utf-8")))
        + lock_violations(tomllib.loads((root / "Cargo.lock").read_text(encoding="utf-8")))
        + graph_violations(metadata, root)
    )
    for violation in violations:
        print(violation, file=sys.stderr)
    if violations:
        print(f"patch: {len(violations)} violation(s). {REMEDY}", file=sys.stderr)
        return 1
    print(f"patch: {DRIVER} runs on {RUNTIME_FOLDER}/ and nothing else")
    return 0


if __name__ == "__main__":
    sys.exit(main())
