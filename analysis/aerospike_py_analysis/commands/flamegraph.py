"""``aerospike-py flamegraph``: a recording as an SVG or as folded stacks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aerospike_py_analysis.commands.client import client
from aerospike_py_analysis.flamegraph import LEVELS, folded
from aerospike_py_analysis.profile import Profile, profile
from aerospike_py_analysis.recording import NothingToReadError, Recording


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describes the command."""
    command = commands.add_parser(
        "flamegraph", help="draw recordings", description="Draws where the time of a recording went."
    )
    command.add_argument("traces", nargs="+", metavar="TRACE", help="files, folders or prefixes of recordings")
    command.add_argument("--output", "-o", type=Path, metavar="FILE", help="default: flamegraph.svg, or the terminal")
    command.add_argument(
        "--by", type=levels, default=LEVELS, metavar="LEVELS", help=f"boxes from below (default: {','.join(LEVELS)})"
    )
    command.add_argument(
        "--tail", type=quantile, metavar="Q", help="only operations from this quantile on, such as 0.99"
    )
    command.add_argument("--diff", metavar="OTHER", help="an earlier recording: red has grown since, blue has shrunk")
    command.add_argument("--format", choices=("svg", "folded"), default="svg", help="default: svg")
    command.add_argument("--title", default="Where the time goes", help="heading of the picture")
    command.set_defaults(run=run)


def levels(text: str) -> tuple[str, ...]:
    """Names of levels, from below."""
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in LEVELS]
    if unknown or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"levels are some of {', '.join(LEVELS)}, each once")
    return names


def quantile(text: str) -> float:
    """A quantile."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("a quantile lies between 0 and 1")
    return value


def run(options: argparse.Namespace) -> int:
    """Writes the picture."""
    whole = read(options.traces)
    lines = folded(whole, options.by, options.tail, each=bool(options.diff))
    before = folded(read([options.diff]), options.by, options.tail, each=True) if options.diff else None
    if not lines or before == []:
        raise NothingToReadError("no operation is slow enough, or none took any time")
    if options.format == "folded":
        text = "\n".join(lines) + "\n" if before is None else differential(before, lines)
    else:
        subtitle = f"{whole.count} operations" if options.tail is None else f"the slowest {1 - options.tail:.2%}"
        subtitle += f" of {', '.join(whole.recording.names)}; nanoseconds"
        subtitle += f" per operation; red has grown since {options.diff}" if options.diff else ""
        text = client("drawing").flamegraph_svg(
            "\n".join(lines), options.title, subtitle, **({"before": "\n".join(before)} if before else {})
        )
    output = options.output or (Path("flamegraph.svg") if options.format == "svg" else None)
    if output is None:
        print(text, end="")
        return 0
    output.write_text(text, encoding="utf-8")
    print(f"wrote {output}", file=sys.stderr)
    return 0


def read(traces: list[str]) -> Profile:
    """A recording summed up; what is wrong with its files is said."""
    summed = profile(Recording(traces))
    for problem in summed.recording.problems:
        print(f"aerospike-py: {problem}", file=sys.stderr)
    return summed


def differential(before: list[str], after: list[str]) -> str:
    """Folded stacks with two weights, as tools for differential flamegraphs read them."""
    weights: dict[str, list[str]] = {}
    for side, lines in enumerate((before, after)):
        for line in lines:
            stack, _, weight = line.rpartition(" ")
            weights.setdefault(stack, ["0", "0"])[side] = weight
    return "".join(f"{stack} {' '.join(pair)}\n" for stack, pair in sorted(weights.items()))
