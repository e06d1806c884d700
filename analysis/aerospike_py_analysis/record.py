"""Runs a program with stages and the recorder switched on through its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

# Stages, and the probes that say whose fault a wait was.
SWITCHES = {"AEROSPIKE_PY_INTERNAL_METRICS": "1", "AEROSPIKE_PY_PROBES": "1", "AEROSPIKE_PY_LOOP_OBSERVER": "1"}


def run(program: list[str], folder: Path) -> tuple[int, Path]:
    """The program's exit status, and the folder of the recording that it wrote.

    An interrupt goes to the program, which is in the same group of processes; its recording is read all the same.
    """
    # A folder of its own, so that recordings of earlier runs are not taken for this one's.
    recording = folder / f"run-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    recording.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **SWITCHES, "AEROSPIKE_PY_TRACE": str(recording.absolute())}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = subprocess.Popen(program, env=environment, preexec_fn=restore)
        return child.wait(), recording
    finally:
        signal.signal(signal.SIGINT, before)


def restore() -> None:
    """Lets the child handle interrupts again, which it would otherwise ignore like its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
