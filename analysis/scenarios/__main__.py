"""``make verdicts``: plays every scenario on some interpreters and prints how many got the right verdicts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scenarios.quota import NoQuotaError
from scenarios.score import NotPlayedError, Result, has_gil, score, version
from scenarios.table import SCENARIOS

# A machine that is busy with something else has a tail of its own. What is planted is found on every repetition.
REPETITIONS = 3


def main() -> int:
    """The exit status: 1 if a verdict is wrong."""
    parser = argparse.ArgumentParser(prog="python -m scenarios", description=__doc__)
    parser.add_argument("--python", action="append", metavar="FILE", help="an interpreter; may be repeated")
    parser.add_argument("--only", action="append", metavar="NAME", choices=SCENARIOS, help="may be repeated")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the recordings here")
    parser.add_argument("--list", action="store_true", help="say which scenarios there are")
    options = parser.parse_args()
    chosen = [SCENARIOS[name] for name in options.only or SCENARIOS]
    if options.list:
        for one in chosen:
            print(f"{one.name}: {one.plants}")
        return 0
    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table("Python", "Scenario", "Planted", "Verdicts", "Right", title="Planted scenarios")
    right = wrong = 0
    skipped: list[str] = []
    for python in options.python or [sys.executable]:
        name, with_gil = version(python), has_gil(python)
        for scenario in chosen:
            result: Result | None = None
            tries = 0
            try:
                for tries in range(1, REPETITIONS + 1):
                    keep = options.keep / name / f"{scenario.name.replace(' ', '-')}-{tries}" if options.keep else None
                    result = score(scenario, python, with_gil, keep)
                    if not result.mistakes:
                        break
                    for line in (*result.mistakes, *result.evidence):
                        print(f"  {scenario.name}: {line}", file=sys.stderr)
            except NoQuotaError as error:
                skipped.append(f"{name}, {scenario.name}: {error}")
                continue
            except NotPlayedError as error:
                print(error, file=sys.stderr)
            good = result is not None and not result.mistakes
            right, wrong = right + good, wrong + (not good)
            found = ", ".join(result.found) or "none" if result else "not played"
            verdict = ("yes" if tries == 1 else f"yes, at try {tries}") if good else "NO"
            table.add_row(name, scenario.name, scenario.plants, found, verdict)
            print(f"{name} {scenario.name}: {verdict} ({found})", file=sys.stderr, flush=True)
    console.print(table)
    for line in skipped:
        console.print(f"[bold red]NOT PLAYED[/] {line}")
    console.print(f"{right} of {right + wrong} scenarios got the right verdicts; {len(skipped)} could not be played")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
