"""Tests the shell scripts behind the verbs on interpreters and folders made up for the purpose."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with nothing but these variables and the system's folders on PATH."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), **environment}
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, env=variables)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a copy of the finder, far from any archive of interpreters."""
    scripts = tmp_path / "checkout" / "scripts"
    scripts.mkdir(parents=True)
    finder = scripts / "find-free-threaded"
    # Whether this machine has an interpreter in /opt must not decide the test.
    finder.write_text((ROOT / "scripts" / "find-free-threaded").read_text().replace("/opt", str(tmp_path / "opt")))
    finder.chmod(0o755)
    return tmp_path / "checkout"


def interpreter(path: Path, *, verdict: str = "") -> Path:
    """A program that answers the finder's questions as told."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{f'echo {verdict!r} >&2; exit 1' if verdict else 'exit 0'}\n")
    path.chmod(0o755)
    return path


def test_no_interpreter_is_reported_loudly_with_everything_that_was_tried(checkout: Path) -> None:
    done = run(checkout / "scripts" / "find-free-threaded")
    assert (done.returncode, done.stdout) == (3, "")
    assert "NO FREE-THREADED PYTHON FOUND" in done.stderr
    for place in ("AEROSPIKE_PY_FREE_THREADED", "python3.14t", "python3.15t", "opt/py314t", ".tar.xz", "uv"):
        assert place in done.stderr


def test_the_variable_wins_over_path(checkout: Path, tmp_path: Path) -> None:
    named = interpreter(tmp_path / "named" / "python")
    interpreter(tmp_path / "bin" / "python3.14t")
    finder = checkout / "scripts" / "find-free-threaded"
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    assert run(finder, PATH=path, AEROSPIKE_PY_FREE_THREADED=str(named)).stdout == f"{named}\n"
    assert run(finder, PATH=path).stdout == f"{tmp_path / 'bin' / 'python3.14t'}\n"


def test_an_interpreter_that_does_not_answer_well_is_passed_over(checkout: Path, tmp_path: Path) -> None:
    bad = interpreter(tmp_path / "bad" / "python", verdict="built with the GIL")
    good = interpreter(tmp_path / "opt" / "py314t" / "bin" / "python3.14t")
    finder = checkout / "scripts" / "find-free-threaded"
    assert run(finder, AEROSPIKE_PY_FREE_THREADED=str(bad)).stdout == f"{good}\n"
    good.unlink()
    assert f"{bad}: built with the GIL" in run(finder, AEROSPIKE_PY_FREE_THREADED=str(bad)).stderr


@pytest.mark.skipif(FREE_THREADED, reason="this interpreter is free-threaded")
def test_an_interpreter_with_the_gil_is_refused(checkout: Path) -> None:
    done = run(checkout / "scripts" / "find-free-threaded", AEROSPIKE_PY_FREE_THREADED=sys.executable)
    assert done.returncode == 3
    assert re.search(rf"{re.escape(sys.executable)}: (older than 3.14|built with the GIL)", done.stderr)


@pytest.mark.skipif(not FREE_THREADED, reason="this interpreter has the GIL")
def test_a_free_threaded_interpreter_is_accepted(checkout: Path) -> None:
    done = run(checkout / "scripts" / "find-free-threaded", AEROSPIKE_PY_FREE_THREADED=sys.executable)
    assert (done.returncode, done.stdout) == (0, f"{sys.executable}\n")


@pytest.mark.parametrize("prefix_exists", [True, False])
def test_an_archive_is_unpacked_once(checkout: Path, tmp_path: Path, prefix_exists: bool) -> None:
    machine = f"{os.uname().sysname.lower()}-{os.uname().machine}"
    interpreter(tmp_path / "made" / "py314t" / "bin" / "python3.14t")
    archives = tmp_path / "archives"
    archives.mkdir()
    archive = archives / f"py314t-{machine}.tar.xz"
    if run("tar", "-cJf", archive, "-C", tmp_path / "made", "py314t").returncode != 0:
        pytest.skip("tar without xz")
    prefix = checkout / ".python"
    if prefix_exists:
        prefix = tmp_path / "opt"
        prefix.mkdir()
    finder = checkout / "scripts" / "find-free-threaded"
    expected = prefix / "py314t" / "bin" / "python3.14t"
    assert run(finder, AEROSPIKE_PY_FREE_THREADED_ARCHIVES=str(archives)).stdout == f"{expected}\n"
    assert [entry.name for entry in prefix.iterdir()] == ["py314t"]
    archive.unlink()
    assert run(finder).stdout == f"{expected}\n"


def test_make_venv_refuses_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = interpreter(tmp_path / "python3.9", verdict="Python 3.9.2")
    done = run(ROOT / "scripts" / "make-venv", old, tmp_path / "venv", "requirements.txt")
    assert done.returncode == 1
    assert "needs Python 3.11 or later" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_venv_explains_a_missing_venv_module(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    python.chmod(0o755)
    done = run(ROOT / "scripts" / "make-venv", python, tmp_path / "venv", "requirements.txt")
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr


@pytest.mark.parametrize("verb", ["demo", "test", "lint", "bench-overhead", "wheel", "clean", "requirements"])
def test_help_lists_the_verbs(verb: str) -> None:
    done = run("make", "-C", ROOT, "--no-print-directory")
    assert done.returncode == 0
    assert re.search(rf"^  make {verb} +\S", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.in")), ids=lambda path: path.stem)
def test_requirements_are_pinned_and_hashed(path: Path) -> None:
    compiled = path.with_suffix(".txt").read_text()
    requirements = [block for block in re.split(r"\n(?=\S)", compiled) if not block.startswith("#")]
    assert requirements
    for block in requirements:
        assert re.match(r"[\w.-]+==\S+", block), block
        assert "--hash=sha256:" in block, block
