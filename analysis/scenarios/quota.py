"""A control group with a CPU quota, where the machine lets one be made: version 1 and 2, as root."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PERIOD_US = 100_000
ROOT = Path("/sys/fs/cgroup")


class NoQuotaError(Exception):
    """This machine does not let a control group with a quota be made; the message says why."""


@contextlib.contextmanager
def group(cores: float) -> Iterator[Path]:
    """The file that a process writes its number into to join the group; the group ends with the block."""
    quota = int(cores * PERIOD_US)
    if (ROOT / "cgroup.controllers").exists():
        parent, settings = ROOT, {"cpu.max": f"{quota} {PERIOD_US}"}
    else:
        parent = next((ROOT / name for name in ("cpu,cpuacct", "cpu") if (ROOT / name).is_dir()), ROOT)
        settings = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota)}
    folder = parent / f"aerospike-py-scenario-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise NoQuotaError(f"no control group can be made in {parent}: {error.strerror}") from error
    try:
        for name, value in settings.items():
            try:
                (folder / name).write_text(value)
            except OSError as error:
                raise NoQuotaError(f"no quota can be set in {parent}: {error.strerror}") from error
        yield folder / "cgroup.procs"
    finally:
        folder.rmdir()
