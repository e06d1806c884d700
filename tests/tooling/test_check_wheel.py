"""Tests that the wheel check refuses wheels that are unstripped, incomplete, too big or not importable."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import check_wheel
import pytest

COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="Rust links with cc; without one nothing here can be built")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A shared library in three states: with debug information, with symbols, stripped."""
    folder = tmp_path_factory.mktemp("libraries")
    (folder / "library.c").write_text("int answer(void) { return 42; }\n")
    contents = {}
    for state, option in (("debug", "-g"), ("symbols", "-O1"), ("stripped", "-s")):
        output = folder / f"{state}.so"
        subprocess.run([str(COMPILER), "-shared", option, "-o", output, folder / "library.c"], check=True)
        contents[state] = output.read_bytes()
    return contents


def wheel(folder: Path, extensions: dict[str, bytes], *, without: str = "") -> Path:
    """A wheel-like archive."""
    path = folder / "aerospike_py-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in check_wheel.REQUIRED:
            if name != without:
                archive.writestr(name, "")
        for name, content in extensions.items():
            archive.writestr(f"aerospike_py/{name}", content)
    return path


def test_a_stripped_extension_passes(tmp_path: Path, libraries: dict[str, bytes]) -> None:
    path = wheel(tmp_path, {"_aerospike.so": libraries["stripped"]})
    assert check_wheel.content_violations(path) == []


@pytest.mark.parametrize(("state", "section"), [("debug", ".debug_info"), ("symbols", ".symtab")])
def test_an_unstripped_extension_is_refused(
    tmp_path: Path, libraries: dict[str, bytes], state: str, section: str
) -> None:
    (violation,) = check_wheel.content_violations(wheel(tmp_path, {"_aerospike.so": libraries[state]}))
    assert "is not stripped" in violation
    assert section in violation


def test_a_big_extension_is_refused(
    tmp_path: Path, libraries: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_wheel, "EXTENSION_LIMIT_BYTES", 1000)
    (violation,) = check_wheel.content_violations(wheel(tmp_path, {"_aerospike.so": libraries["stripped"]}))
    assert violation.endswith("the limit is 1000")


def test_an_extension_for_another_python_is_refused(tmp_path: Path, libraries: dict[str, bytes]) -> None:
    both = {"_aerospike.a.so": libraries["stripped"], "_aerospike.b.so": libraries["stripped"]}
    (violation,) = check_wheel.content_violations(wheel(tmp_path, both))
    assert violation.startswith("holds 2 extension modules")


@pytest.mark.parametrize("name", check_wheel.REQUIRED)
def test_a_missing_file_is_refused(tmp_path: Path, libraries: dict[str, bytes], name: str) -> None:
    path = wheel(tmp_path, {"_aerospike.so": libraries["stripped"]}, without=name)
    assert check_wheel.content_violations(path) == [f"lacks {name}"]


def test_a_wheel_that_cannot_be_installed_is_refused(tmp_path: Path, libraries: dict[str, bytes]) -> None:
    path = wheel(tmp_path, {"_aerospike.so": libraries["stripped"]})
    (violation,) = check_wheel.import_violations(path)
    assert violation.startswith("cannot install it")
