"""Tests that the patch check notices every way in which the driver could miss our runtime."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import check_patch
import pytest

LOCK: dict[str, Any] = {
    "package": [
        {"name": "aerospike-core", "version": "3.0.0", "source": "registry"},
        {"name": "aerospike-rt", "version": "3.0.0"},
    ]
}
MANIFEST: dict[str, Any] = {
    "workspace": {"dependencies": {"aerospike-core": {"version": "=3.0.0"}}},
    "patch": {"crates-io": {"aerospike-rt": {"path": "runtime"}}},
}


def graph(manifest_path: Path, *, dependent: str = "aerospike-core") -> dict[str, Any]:
    """A made-up `cargo metadata` with one crate that depends on the runtime."""
    return {
        "packages": [
            {"id": "user", "name": dependent},
            {"id": "runtime", "name": "aerospike-rt", "manifest_path": str(manifest_path)},
        ],
        "resolve": {"nodes": [{"id": "user", "deps": [{"pkg": "runtime"}]}, {"id": "runtime", "deps": []}]},
    }


def test_the_patch_as_designed_passes(tmp_path: Path) -> None:
    assert check_patch.lock_violations(LOCK) == []
    assert check_patch.manifest_violations(MANIFEST) == []
    assert check_patch.graph_violations(graph(tmp_path / "runtime" / "Cargo.toml"), tmp_path) == []


def test_a_stock_runtime_beside_ours_is_found() -> None:
    lock = copy.deepcopy(LOCK)
    lock["package"].append({"name": "aerospike-rt", "version": "3.1.0", "source": "registry"})
    assert check_patch.lock_violations(lock) == [
        "Cargo.lock: 2 packages are called aerospike-rt, there must be one",
        "Cargo.lock: aerospike-rt 3.1.0 comes from a registry, not from runtime/",
    ]


def test_a_patch_that_cargo_ignored_is_found() -> None:
    lock = copy.deepcopy(LOCK)
    lock["patch"] = {"unused": [{"name": "aerospike-rt", "version": "3.0.0"}]}
    assert check_patch.lock_violations(lock) == ["Cargo.lock: the patch of aerospike-rt 3.0.0 is not used"]


def test_a_second_driver_is_found() -> None:
    lock = copy.deepcopy(LOCK)
    lock["package"].append({"name": "aerospike-core", "version": "3.0.1", "source": "registry"})
    assert check_patch.lock_violations(lock) == ["Cargo.lock: 2 packages are called aerospike-core, there must be one"]


@pytest.mark.parametrize("driver", [{"version": "3.0.0"}, "3", {"version": "^3"}, {"path": "driver"}])
def test_a_driver_that_is_not_pinned_is_found(driver: object) -> None:
    manifest = copy.deepcopy(MANIFEST)
    manifest["workspace"]["dependencies"]["aerospike-core"] = driver
    (violation,) = check_patch.manifest_violations(manifest)
    assert "is not pinned" in violation


def test_a_missing_patch_and_a_patched_driver_are_found() -> None:
    manifest = copy.deepcopy(MANIFEST)
    manifest["patch"]["crates-io"] = {"aerospike-core": {"path": "fork"}}
    missing, forked = check_patch.manifest_violations(manifest)
    assert "does not point aerospike-rt at runtime/" in missing
    assert "must stay as published" in forked


def test_a_runtime_from_elsewhere_in_the_graph_is_found(tmp_path: Path) -> None:
    (violation,) = check_patch.graph_violations(graph(tmp_path / "vendor" / "Cargo.toml"), tmp_path)
    assert violation.startswith("aerospike-core is linked with aerospike-rt from")


def test_a_driver_that_never_reaches_the_runtime_is_found(tmp_path: Path) -> None:
    metadata = graph(tmp_path / "runtime" / "Cargo.toml", dependent="somebody-else")
    assert check_patch.graph_violations(metadata, tmp_path) == ["aerospike-core is not linked with aerospike-rt at all"]
