"""``aerospike-py top``: a live view of a running process's metrics endpoint.

Reads the endpoint again and again; every view is about the time between two readings. An endpoint that is gone is said
to be gone, and tried again.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text as RichText

from aerospike_py_analysis.report import terminal
from aerospike_py_analysis.report.blocks import Block, Text
from aerospike_py_analysis.top import view
from aerospike_py_analysis.top.figures import figures
from aerospike_py_analysis.top.interval import Interval
from aerospike_py_analysis.top.scrape import DEFAULT_URL, Pages, Scrape, ScrapeError, address, fetch

UNREACHABLE = 2
PLAIN_WIDTH = 160


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describes the command."""
    command = commands.add_parser(
        "top",
        help="watch a running process",
        description="Shows what a process does right now, from its metrics endpoint: rates, percentiles, stages, pools"
        " and probes between two readings. Ctrl-C ends it.",
    )
    command.add_argument(
        "url", nargs="?", type=url, default=DEFAULT_URL, metavar="URL", help=f"URL, host:port or port ({DEFAULT_URL})"
    )
    command.add_argument(
        "--interval", type=seconds, default=2.0, metavar="SECONDS", help="time between two readings (default: 2)"
    )
    command.add_argument("--count", type=positive, metavar="N", help="end after N views")
    command.add_argument("--once", action="store_true", help="one view, as plain text; the same as --count 1 --plain")
    command.add_argument("--plain", action="store_true", help="print one view below the other, also in a terminal")
    command.add_argument("--operation", metavar="NAME", help="only this operation, with its stages")
    command.set_defaults(run=run)


def url(text: str) -> str:
    """The address of an endpoint."""
    try:
        return address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds(text: str) -> float:
    """A time between readings."""
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = math.nan
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 3600")
    return value


def positive(text: str) -> int:
    """A number of views."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


class Watch:
    """Reads an endpoint and compares each reading with the one before."""

    def __init__(self, where: str, operation: str | None, read: Callable[[str, Pages], Scrape] = fetch) -> None:
        self.where = where
        self.operation = operation
        self._read = read
        self._pages = Pages()
        self._before: Scrape | None = None
        self.failed: str | None = None

    def look(self) -> list[Block] | None:
        """The tables since the reading before; none after the first reading, or if there is nothing to read."""
        try:
            now = self._read(self.where, self._pages)
        except ScrapeError as error:
            self.failed = str(error)
            return None
        before, self._before, self.failed = self._before, now, None
        if before is None:
            return None
        found = figures(Interval(before, now))
        at = time.strftime("%H:%M:%S")
        return [Text(f"{self.where}  {at}  over {found.seconds:.1f} s"), *view.blocks(found, self.operation)]


def run(options: argparse.Namespace) -> int:
    """Shows views until there were enough of them, or until Ctrl-C."""
    console = Console()
    plain = options.once or options.plain or not console.is_terminal
    if plain and not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    watch = Watch(options.url, options.operation)
    wanted = 1 if options.once else options.count
    try:
        if plain:
            return print_views(watch, console, options.interval, wanted, options.once)
        return show_views(watch, console, options.interval, wanted)
    except KeyboardInterrupt:
        return 0


def print_views(watch: Watch, console: Console, interval: float, wanted: int | None, once: bool) -> int:
    """One view below the other. An endpoint that is gone is said once; with ``once`` that is the end."""
    shown, said = 0, None
    pace = Pace(interval)
    while True:
        found = watch.look()
        if found is not None:
            terminal.show([*found, Text("")], console)
            shown += 1
            if wanted is not None and shown >= wanted:
                return 0
        if watch.failed != said and watch.failed is not None:
            again = "" if once else f"; trying again every {interval:g} s"
            print(f"aerospike-py: {watch.failed}{again}", file=sys.stderr, flush=True)
        said = watch.failed
        if once and said is not None:
            return UNREACHABLE
        pace.wait()


def show_views(watch: Watch, console: Console, interval: float, wanted: int | None) -> int:
    """One view in the place of the other, on the terminal's second screen; the last one stays when it ends."""
    shown = 0
    last: list[Block] = []
    pace = Pace(interval)
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        while wanted is None or shown < wanted:
            found = watch.look()
            if found is not None:
                shown, last = shown + 1, found
                live.update(rendered(found), refresh=True)
            elif watch.failed is not None:
                live.update(RichText(f"{watch.failed}; trying again every {interval:g} s", style="bold"), refresh=True)
            else:
                live.update(RichText(f"{watch.where}: the first view comes in {interval:g} s"), refresh=True)
            pace.wait()
    terminal.show(last, console)
    return 0


class Pace:
    """Keeps readings an interval apart, however long each of them takes."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._last = time.monotonic()

    def wait(self) -> None:
        """Sleeps until the next reading is due; one that is overdue begins at once."""
        due = self._last + self.interval
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        self._last = max(due, now)


def rendered(found: list[Block]) -> RenderableType:
    """Blocks as one picture."""
    return Group(*(each for each in map(terminal.render, found) if each is not None))
