"""``aerospike-py bench``: the benchmarks of the checkout that one stands in.

They are part of no package, because they need the checkout's environments; their own help says what they can do.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from aerospike_py_analysis.commands.client import NoClientError

MARKS = ("benchmark/__main__.py", "benchmark/harness/__init__.py")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describes the command."""
    command = commands.add_parser(
        "bench",
        help="run the benchmarks of a checkout",
        description="Runs the benchmarks of the checkout around it; options are those of python -m benchmark.",
        add_help=False,
    )
    command.add_argument("arguments", nargs=argparse.REMAINDER)
    command.set_defaults(run=bench)


def checkout(folder: Path) -> Path:
    """The checkout that a folder is in.

    Raises:
        NoClientError: It is in none.
    """
    for place in (folder, *folder.parents):
        if all((place / mark).is_file() for mark in MARKS):
            return place
    raise NoClientError(f"{folder} is in no checkout of aerospike-py: bench measures what a checkout has built")


def bench(options: argparse.Namespace) -> int:
    """Hands everything to ``python -m benchmark``, in the checkout's environment if there is one."""
    root = checkout(Path.cwd())
    python = root / ".venv" / "bin" / "python"
    arguments = [entry for entry in options.arguments if entry != "--"]
    command = [str(python) if python.exists() else sys.executable, "-m", "benchmark", *arguments]
    return subprocess.run(command, cwd=root, check=False).returncode
