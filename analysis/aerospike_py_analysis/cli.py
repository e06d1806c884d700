"""The command line ``aerospike-py``: what its commands are and what they print. What they do is in the modules they
call."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from aerospike_py_analysis import compare, record
from aerospike_py_analysis.analysis import analyse
from aerospike_py_analysis.commands import benchmarks, flamegraph, local, simulate, top
from aerospike_py_analysis.commands.client import NoClientError
from aerospike_py_analysis.export import chrome, otlp, speedscope, tabular
from aerospike_py_analysis.profile import profile
from aerospike_py_analysis.recording import NothingToReadError, Recording
from aerospike_py_analysis.report import comparison as report_of
from aerospike_py_analysis.report import html, markdown, terminal
from aerospike_py_analysis.report.blocks import Block
from aerospike_py_analysis.report.document import document
from aerospike_py_analysis.report.pictures import Pictures

# Exit statuses: a comparison that found something slower is told apart from inputs that cannot be read.
SLOWER, UNREADABLE = 1, 2
EXPORTS = ("chrome", "speedscope", "otlp", "parquet", "csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # What follows are options of the server, or of the benchmarks, which only they know.
    foreign = given[:1] in (["serve"], ["bench"])
    options = parser().parse_args([given[0], "--", *given[1:]] if foreign else given)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except NothingToReadError as error:
        print(f"aerospike-py: nothing to analyse\n{error}", file=sys.stderr)
        return UNREADABLE
    except NoClientError as error:
        print(f"aerospike-py: {error}", file=sys.stderr)
        return UNREADABLE
    except OSError as error:
        print(f"aerospike-py: {error}", file=sys.stderr)
        return UNREADABLE
    except BrokenPipeError:
        return 0


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    whole = argparse.ArgumentParser(
        prog="aerospike-py", description="Explains where the time of Aerospike operations goes."
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "report", help="explain recordings", description="Explains recordings: which stage makes the tail, and why."
    )
    command.add_argument(
        "traces", nargs="+", metavar="TRACE", help="files, folders or prefixes of recordings; OTLP JSON; Jaeger JSON"
    )
    add_outputs(command)
    command.add_argument("--short", action="store_true", help="only frame, verdicts and overview in the terminal")
    command.set_defaults(run=run_report)

    command = commands.add_parser(
        "compare", help="compare two recordings", description="Explains the difference of two recordings."
    )
    command.add_argument("before", metavar="A", help="the recording before")
    command.add_argument("after", metavar="B", help="the recording after")
    command.add_argument(
        "--percentile", type=percentile, default=0.95, metavar="P", help="percentile to compare (default: 95)"
    )
    command.add_argument(
        "--threshold",
        type=share,
        metavar="PERCENT",
        help="exit with status 1 if an operation became slower by more than this",
    )
    add_outputs(command)
    command.set_defaults(run=run_compare)

    command = commands.add_parser(
        "export", help="write recordings for other tools", description="Writes recordings for other tools."
    )
    command.add_argument("traces", nargs="+", metavar="TRACE", help="files, folders or prefixes of recordings")
    command.add_argument("--to", choices=EXPORTS, required=True, help="chrome is for Perfetto and chrome://tracing")
    command.add_argument("--output", "-o", type=Path, required=True, help="the file to write")
    command.add_argument("--limit", type=int, metavar="N", help="the first N operations only")
    command.set_defaults(run=run_export)

    command = commands.add_parser(
        "record", help="run a program with the recorder on", description="Runs a program with the recorder on."
    )
    command.add_argument(
        "--output",
        "-o",
        type=Path,
        default=Path("aerospike-trace"),
        help="folder for the recording (default: aerospike-trace)",
    )
    command.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="-- PROGRAM", help="the program and its arguments"
    )
    command.set_defaults(run=run_record)
    flamegraph.add(commands)
    top.add(commands)
    simulate.add(commands)
    local.add(commands)
    benchmarks.add(commands)
    return whole


def add_outputs(command: argparse.ArgumentParser) -> None:
    """Options for what is kept."""
    command.add_argument("--html", type=Path, metavar="FILE", help="write one HTML file that works offline")
    command.add_argument("--md", type=Path, metavar="FILE", help="write Markdown")
    command.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")


def percentile(text: str) -> float:
    """A percentile in per cent."""
    value = float(text.removeprefix("p"))
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError("a percentile lies between 0 and 100")
    return value / 100


def share(text: str) -> float:
    """A share in per cent."""
    return float(text.removesuffix("%")) / 100


def run_report(options: argparse.Namespace) -> int:
    """Explains recordings."""
    analysis, summed = analyse(options.traces)
    show(document(analysis, short=options.short))
    if options.html:
        save(options.html, html.render(document(analysis, Pictures(summed))))
    if options.md:
        save(options.md, markdown.render(document(analysis)))
    if options.json:
        save(options.json, json.dumps(analysis.as_json(), indent=1))
    return 0


def run_compare(options: argparse.Namespace) -> int:
    """Explains the difference of two recordings."""
    before, after = profile(Recording([options.before])), profile(Recording([options.after]))
    for summed in (before, after):
        for problem in summed.recording.problems:
            print(f"aerospike-py: {problem}", file=sys.stderr)
    comparison = compare.compare(before, after, options.percentile)
    blocks = report_of.document(comparison, options.threshold)
    show(blocks)
    if options.html:
        page = report_of.document(comparison, options.threshold, pictures=True)
        save(options.html, html.render(page, report_of.title(comparison)))
    if options.md:
        save(options.md, markdown.render(blocks))
    if options.json:
        save(options.json, json.dumps(comparison.as_json(), indent=1))
    slower = options.threshold is not None and any(one.exceeds(options.threshold) for one in comparison.changes)
    return SLOWER if slower else 0


def run_export(options: argparse.Namespace) -> int:
    """Writes recordings for other tools."""
    recording = Recording(options.traces)
    output: Path = options.output
    if options.to in ("parquet", "csv"):
        if output.suffix != f".{options.to}":
            output = output.with_name(f"{output.name}.{options.to}")
        written = tabular.write(recording, output, options.limit)
    else:
        module = {"chrome": chrome, "speedscope": speedscope, "otlp": otlp}[options.to]
        with output.open("w", encoding="utf-8") as stream:
            written = module.write(recording, stream, options.limit)
    for problem in recording.problems:
        print(f"aerospike-py: {problem}", file=sys.stderr)
    print(f"wrote {written} operations to {output}")
    return 0


def run_record(options: argparse.Namespace) -> int:
    """Runs a program with the recorder on and prints the short report at its end."""
    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not program:
        print("aerospike-py: record needs a program: aerospike-py record -- python app.py", file=sys.stderr)
        return UNREADABLE
    status, recording = record.run(program, options.output)
    try:
        analysis, _ = analyse([recording])
    except NothingToReadError:
        print(
            f"aerospike-py: the program wrote no recording to {options.output}: did it use aerospike_py?",
            file=sys.stderr,
        )
        return status or UNREADABLE
    show(document(analysis, short=True))
    print(f"The whole report: aerospike-py report {recording}")
    return status


def show(blocks: list[Block]) -> None:
    """Prints a document; tables are not squeezed where the output is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    terminal.show(blocks, console)


def save(path: Path, text: str) -> None:
    """Writes a file and says so."""
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
