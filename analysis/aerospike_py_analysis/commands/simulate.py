"""``aerospike-py simulate``: what a recorded load would do under other conditions."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from aerospike_py_analysis.recording import Recording
from aerospike_py_analysis.report import terminal
from aerospike_py_analysis.simulation.change import Change, ImpossibleChangeError, Network, callers, check
from aerospike_py_analysis.simulation.document import document
from aerospike_py_analysis.simulation.predict import REPETITIONS, predict
from aerospike_py_analysis.simulation.read import OPERATIONS, load

WRONG = 2
PLAIN_WIDTH = 200
T = TypeVar("T")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describes the command."""
    command = commands.add_parser(
        "simulate",
        help="replay a recording under other conditions",
        description="Replays a recorded load in a model under other conditions. Without an option that changes"
        " something, it says how well the model meets the recording.",
    )
    command.add_argument("traces", nargs="+", metavar="TRACE", help="files, folders or prefixes of recordings")
    command.add_argument("--concurrency", type=said(callers), metavar="N", help="so many callers (threads, coroutines)")
    command.add_argument(
        "--network",
        type=said(Network.parse),
        metavar="CHANGE",
        help="another wait for network and server: +2ms, -300us, x1.5",
    )
    command.add_argument("--pool", type=said(callers), metavar="N", help="so many connections per node")
    command.add_argument("--no-gil", action="store_true", help="without the GIL")
    command.add_argument("--single-batch", action="store_true", help="one batch instead of gathered calls")
    command.add_argument(
        "--operations",
        type=said(callers),
        default=OPERATIONS,
        metavar="N",
        help=f"replay so many (default: {OPERATIONS})",
    )
    command.add_argument(
        "--repetitions",
        type=said(repetitions),
        default=REPETITIONS,
        metavar="N",
        help=f"replays of resampled steps, for the ranges (default: {REPETITIONS})",
    )
    command.add_argument("--seed", type=int, default=1, metavar="N", help="of everything random (default: 1)")
    command.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    command.set_defaults(run=run)


def said(read: Callable[[str], T]) -> Callable[[str], T]:
    """A reader of an option whose errors are shown as they are."""

    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def repetitions(text: str) -> int:
    """A number of resampled replays; none is allowed."""
    if not text.isdecimal() or int(text) > 1000:
        raise ValueError(f"{text!r} is no whole number from 0 to 1000")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Prints the prediction."""
    change = Change(options.concurrency, options.network, options.pool, options.no_gil, options.single_batch)
    recorded = load(Recording(options.traces), options.operations)
    try:
        check(recorded, change)
    except ImpossibleChangeError as error:
        print(f"aerospike-py: {error}", file=sys.stderr)
        return WRONG
    prediction = predict(recorded, change, options.repetitions, options.seed)
    console = Console()
    terminal.show(document(prediction), console if console.is_terminal else Console(width=PLAIN_WIDTH))
    if options.json:
        options.json.write_text(json.dumps(prediction.as_json(), indent=1) + "\n", encoding="utf-8")
        print(f"wrote {options.json}", file=sys.stderr)
    return 0
