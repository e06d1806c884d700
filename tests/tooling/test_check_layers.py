"""Tests that the layer check finds forbidden dependencies and imports, and that it lets allowed ones pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import check_layers
import pytest


def graph(*edges: tuple[str, str, str | None]) -> dict[str, Any]:
    """A made-up `cargo metadata` of the real crates plus edges of (from, to, kind)."""
    members = [*check_layers.PURE_CRATES, "aerospike-py"]
    names = [*members, *{end for start, end, _ in edges for end in (start, end) if end not in members}]
    return {
        "packages": [{"id": name, "name": name} for name in names],
        "workspace_members": members,
        "resolve": {
            "nodes": [
                {
                    "id": name,
                    "deps": [
                        {"pkg": end, "dep_kinds": [{"kind": kind}]} for start, end, kind in edges if start == name
                    ],
                }
                for name in names
            ]
        },
    }


def test_the_layers_as_designed_pass() -> None:
    edges = [
        ("aerospike-rt", "aerospike-stages", None),
        ("aerospike-py", "pyo3", None),
        ("aerospike-rt", "tokio", None),
    ]
    assert check_layers.dependency_violations(graph(*edges)) == []


@pytest.mark.parametrize("crate", check_layers.PURE_CRATES)
def test_a_direct_dependency_on_python_is_found(crate: str) -> None:
    (violation,) = check_layers.dependency_violations(graph((crate, "pyo3", None)))
    assert violation == f"{crate}: depends on Python through {crate} -> pyo3"


def test_an_indirect_dependency_on_python_is_found_with_its_path() -> None:
    edges = [("aerospike-stages", "helper", None), ("helper", "pyo3-ffi", "build")]
    (violation,) = check_layers.dependency_violations(graph(*edges))
    assert violation.endswith("aerospike-stages -> helper -> pyo3-ffi")


def test_python_in_the_tests_of_a_pure_crate_is_found_but_not_in_those_of_its_dependencies() -> None:
    edges = [("aerospike-stages", "tokio", None), ("tokio", "pyo3", "dev")]
    assert check_layers.dependency_violations(graph(*edges)) == []
    assert check_layers.dependency_violations(graph(("aerospike-stages", "pyo3", "dev")))


def test_a_dependency_upwards_is_found_unless_only_tests_have_it() -> None:
    (violation,) = check_layers.dependency_violations(graph(("aerospike-stages", "aerospike-embedded", None)))
    assert violation == "aerospike-stages: depends on aerospike-embedded, which lies above it"
    assert check_layers.dependency_violations(graph(("aerospike-rt", "aerospike-embedded", "dev"))) == []


def test_a_crate_that_left_the_workspace_is_found() -> None:
    metadata = graph()
    metadata["workspace_members"].remove("aerospike-rt")
    assert check_layers.dependency_violations(metadata) == ["aerospike-rt: is not a member of the workspace"]


@pytest.mark.parametrize(
    "line",
    [
        "use pyo3::prelude::*;",
        "extern crate pyo3;",
        "    let gil = ::pyo3::Python::attach(|py| ());",
        "use {std::fmt, pyo3 as bridge};",
        "#[pyclass]",
    ],
)
@pytest.mark.parametrize("folder", ["src/stages/src", "runtime/src", "server/src", "flamegraphs/tests"])
def test_an_import_of_python_in_a_pure_crate_is_found(tmp_path: Path, folder: str, line: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "lib.rs").write_text(f"//! Crate.\n{line}\n")
    (violation,) = check_layers.source_violations(tmp_path)
    assert violation == f"{folder}/lib.rs:2: imports Python: {line.strip()}"


def test_only_the_bridge_may_import_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("src/convert/input.rs", "src/ops/get.rs"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("//! Module.\nuse pyo3::prelude::*;\n")
    monkeypatch.setattr(check_layers, "BRIDGE", ("src/convert/",))
    (violation,) = check_layers.source_violations(tmp_path)
    assert violation.startswith("src/ops/get.rs:2:")


def test_comments_may_speak_of_python(tmp_path: Path) -> None:
    (tmp_path / "server/src").mkdir(parents=True)
    (tmp_path / "server/src/lib.rs").write_text("//! Never imports pyo3::prelude.\nlet pyo3_like = 1; // pyo3::x\n")
    assert check_layers.source_violations(tmp_path) == []
