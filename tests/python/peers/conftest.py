"""The environments of the peers: ``make peers`` installs them, and so does the first test that needs one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def peer_python() -> dict[str, Path]:
    """Return the Python of each peer's environment.

    A missing environment is installed and a stale one brought up to date; that it cannot be is a failure of the tests,
    never a reason to skip them.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    installed = subprocess.run(
        ["make", "--no-print-directory", "peers"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if installed.returncode:
        pytest.fail(f"make peers could not install the other clients:\n{installed.stdout}{installed.stderr}")
    return {path.parent.name: path.parent / "bin" / "python" for path in (ROOT / "build/peers").glob("*/.ready")}
