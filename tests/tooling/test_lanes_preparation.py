"""What make bench-lanes prepares without the GIL, and what it says where there is no such interpreter."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def prepare(checkout: Path, *more: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    command = [checkout / "scripts/free-threaded-lanes", "venv", "requirements/test.txt", "peers", *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def checkout_with(folder: Path, **scripts: str) -> Path:
    """A checkout with the real script, and with scripts made up for the purpose around it."""
    (folder / "scripts").mkdir()
    (folder / "requirements").mkdir()
    for name in ("test", "peer-aerospike-native", "peer-aerospike-py", "peer-aerospike-sdk", "peer-uvloop"):
        (folder / f"requirements/{name}.txt").write_text(f"{name}\n")
    real = (ROOT / "scripts/free-threaded-lanes").read_text()
    for name, text in {**scripts, "free-threaded-lanes": real}.items():
        path = folder / "scripts" / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)
    return folder


def test_without_an_interpreter_it_says_so_and_succeeds(tmp_path: Path) -> None:
    done = prepare(checkout_with(tmp_path, find_free_threaded="#!/bin/sh\nexit 3\n"))
    assert done.returncode == 0
    assert "NOTHING IS MEASURED WITHOUT THE GIL" in done.stderr


def test_every_environment_is_made_once_and_again_when_its_requirements_change(tmp_path: Path) -> None:
    checkout = checkout_with(
        tmp_path,
        find_free_threaded="#!/bin/sh\necho python\n",
        make_venv='#!/bin/sh\nmkdir -p "$2"\necho "$@" >>made\n',
        build_extension='#!/bin/sh\necho "$1" >>built\n',
        build_as_released='#!/bin/sh\necho "$1 as released to $2" >>built\n',
    )
    assert prepare(checkout).returncode == 0
    made = (checkout / "made").read_text().splitlines()
    assert made == [
        "python venv requirements/test.txt",
        "python peers/aerospike-native requirements/peer-aerospike-native.txt",
        "python peers/aerospike-py requirements/peer-aerospike-py.txt",
        "python peers/aerospike-sdk requirements/peer-aerospike-sdk.txt",
        "python peers/uvloop requirements/peer-uvloop.txt",
    ]
    (checkout / "requirements/peer-uvloop.txt").write_text("another version\n")
    assert prepare(checkout).returncode == 0
    assert (checkout / "made").read_text().splitlines()[5:] == made[4:]
    assert (checkout / "built").read_text().splitlines() == 2 * ["venv", "venv as released to build/ours"]


def test_environments_of_another_kind_are_those_that_are_named(tmp_path: Path) -> None:
    checkout = checkout_with(
        tmp_path,
        find_free_threaded="#!/bin/sh\necho python\n",
        make_venv='#!/bin/sh\nmkdir -p "$2"\necho "$@" >>made\n',
        build_extension="#!/bin/sh\n",
        build_as_released="#!/bin/sh\n",
    )
    (checkout / "requirements/web-ours.txt").write_text("a web server\n")
    assert prepare(checkout, "web", "ours").returncode == 0
    made = (checkout / "made").read_text().splitlines()
    assert made[1:] == ["python peers/ours requirements/web-ours.txt"]
