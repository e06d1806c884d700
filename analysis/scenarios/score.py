"""Has a scenario played by an interpreter, analyses the recording and says whether the verdicts are right."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from aerospike_py_analysis.analysis import analyse

from scenarios.quota import group
from scenarios.scenario import Scenario

PLAYED_WITHIN_S = 120
QUOTA_CORES = 0.1
ROOT = Path(__file__).resolve().parents[2]


class NotPlayedError(Exception):
    """The scenario's process failed."""


@dataclass
class Result:
    """What a scenario's recording was said to show."""

    scenario: Scenario
    found: list[str]
    mistakes: list[str]
    operations: int
    evidence: list[str] = field(default_factory=list)


def play(scenario: Scenario, python: str, folder: Path) -> None:
    """Plays a scenario on an interpreter."""
    search = os.pathsep.join([str(ROOT / "analysis"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AEROSPIKE_PY_")}
    environment["PYTHONPATH"] = search
    command = [python, "-m", "scenarios.play", scenario.name, str(folder)]
    with group(QUOTA_CORES) if scenario.quota else contextlib.nullcontext() as join:
        played = subprocess.run(
            [*command, str(join)] if join else command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PLAYED_WITHIN_S,
            check=False,
        )
    if played.returncode:
        raise NotPlayedError(f"{scenario.name} ended with status {played.returncode}:\n{played.stderr}")


def judge(scenario: Scenario, folder: Path, with_gil: bool) -> Result:
    """Analyses a scenario's recording."""
    analysis, _ = analyse([folder])
    found = [verdict.rule for verdict in analysis.verdicts]
    evidence = [f"{verdict.rule} {verdict.score:.3f}: {'; '.join(verdict.evidence)}" for verdict in analysis.verdicts]
    first = " ".join(analysis.verdicts[0].evidence) if analysis.verdicts else ""
    return Result(scenario, found, scenario.mistakes(found, first, with_gil, is_busy()), analysis.operations, evidence)


def score(scenario: Scenario, python: str, with_gil: bool, keep: Path | None = None) -> Result:
    """Plays and judges; the recording is kept in a folder if one is given."""
    with contextlib.nullcontext(keep) if keep else tempfile.TemporaryDirectory() as folder:
        play(scenario, python, Path(folder))
        return judge(scenario, Path(folder), with_gil)


def is_busy() -> bool:
    """Whether more threads want to run on this machine than it has processors: it has a tail of its own then."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


def has_gil(python: str) -> bool:
    """Whether an interpreter runs with the GIL."""
    asked = "import sys, aerospike_py; print(getattr(sys, '_is_gil_enabled', lambda: True)())"
    return subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip() == "True"


def version(python: str) -> str:
    """What an interpreter calls itself, with a t if it has no GIL."""
    asked = "import sysconfig; print(sysconfig.get_config_var('LDVERSION') or sysconfig.get_python_version())"
    return subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
