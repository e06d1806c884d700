"""Tests that the text check finds what it forbids, where it is, and nothing in harmless texts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import check_text
import pytest


def rules(name: str, text: str) -> list[str]:
    """The rules that a file of this name and content breaks."""
    return [rule for _, rule, _ in check_text.violations(name, text)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/lib.rs", "//! The module.\n\nfn main() {}\n"),
        ("tests/test_x.py", '"""Tests."""\n'),
        ("scripts/build", "#!/bin/sh\n# Builds.\n"),
        ("docs/index.md", "See the homework/work/of others, <a href='/work'>it</a> and $ROOT/work/x.\n"),
        ("Cargo.toml", "[patch.crates-io]\n"),
        ("Cargo.lock", 'source = "registry+https://github.com/rust-lang/crates.io-index"\n'),
        ("src/host.rs", "//! Hosts.\nuse crate::home::Home; // todo lists are fine\n"),
    ],
)
def test_good_texts_pass(name: str, text: str) -> None:
    assert rules(name, text) == []


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("src/lib.rs", "use std::fmt;\n", "opening"),
        ("src/lib.rs", "// Only a comment.\n", "opening"),
        ("python/a.py", "import os\n", "opening"),
        ("python/__init__.py", "", "opening"),
        ("python/a.pyi", "def f() -> None: ...\n", "opening"),
        ("python/a.py", '"""Broken."""\ndef (\n', "opening"),
        ("scripts/build", "#!/bin/sh\nset -eu\n", "opening"),
        ("src/utils.rs", "//! Things.\n", "name"),
        ("src/lib.rs", "//! Long.\n" + "fn f() {}\n" * 700, "length"),
        ("src/lib.rs", "//! Good.\n// TODO: later\n", "marker"),
        ("docs/x.md", "FIXME\n", "marker"),
        ("docs/x.md", "cd /work/main\n", "path"),
        ("Makefile", "X := /home/ann/x\n", "path"),
        ("tests/a.py", '"""T."""\nP = "/tmp/x"\n', "path"),
        ("requirements/a.txt", "--index-url https://mirror.example/simple\n", "registry"),
        ("requirements/a.txt", "--find-links ../wheels\n", "registry"),
        ("requirements/a.txt", "numpy==2\n-f wheels\n", "registry"),
        ("docs/x.md", "from https://pypi.org/simple\n", "registry"),
    ],
)
def test_bad_texts_are_found(name: str, text: str, rule: str) -> None:
    assert rules(name, text) == [rule]


def test_the_line_of_a_violation_is_exact() -> None:
    (found,) = check_text.violations("docs/x.md", "one\ntwo\nthree FIXME\n")
    assert found == (3, "marker", "contains 'FIXME'")


def test_the_script_fails_on_a_bad_repository_and_says_what_to_do(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "good.py").write_text('"""Good."""\n')
    command = [sys.executable, check_text.__file__, "--root", tmp_path]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout) == (0, "texts: 1 files read well\n")

    (tmp_path / "bad.rs").write_text("fn main() {}\n")
    bad = subprocess.run(command, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "bad.rs:1: does not open" in bad.stderr
    assert check_text.REMEDIES["opening"] in bad.stderr


def test_ignored_and_binary_files_are_left_alone(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("/build/\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "bad.py").write_text("import os\n")
    (tmp_path / "picture.rs").write_bytes(b"\x00\x01")
    assert [name for name, _ in check_text.tracked_texts(tmp_path)] == [".gitignore"]


def test_pictures_may_carry_the_markers_of_their_script() -> None:
    text = "<svg><!-- TODO of a library --></svg>\n"
    assert not list(check_text.violations("docs/images/picture.svg", text))
    assert [rule for _, rule, _ in check_text.violations("docs/picture.md", text)] == ["marker"]
