"""``make simulate-check``: predicts what a change does, makes the change on the embedded server, and prints the error.

Both sides of a case are recorded in short slices that alternate, so that what else happens on the machine meets both. A
prediction is made of each slice before. Of each side the quarter of the slices counts in which most was done.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from aerospike_py.testing import EmbeddedServer
from aerospike_py_analysis.recording import NothingToReadError, Recording
from aerospike_py_analysis.simulation.change import Change, Network
from aerospike_py_analysis.simulation.load import Load
from aerospike_py_analysis.simulation.predict import GATHERED, KEYS, Figures, as_recorded, figures, predict
from aerospike_py_analysis.simulation.read import load
from aerospike_py_analysis.wording import count
from aerospike_py_analysis.wording import time as duration
from rich.console import Console
from rich.table import Table

from scenarios.stage import RECORDS, Stage, key

NODES = 3
SECONDS = 0.4
WARM_UP_SECONDS = 0.1
ROUNDS = 16
GATHERED_KEYS = 60
# A throughput that is predicted worse than this, is a failure of the model.
ALLOWED = 0.35
# Runs one side of a case for some seconds.
Run = Callable[[float], None]
AsyncRun = Callable[[float], Awaitable[None]]
Threads = Callable[[Stage], AbstractContextManager[Run]]
Tasks = Callable[[Stage], AbstractAsyncContextManager[AsyncRun]]


@dataclass(frozen=True)
class Case:
    """A change: how both sides are played, what ``simulate`` is asked, and which rows are compared."""

    name: str
    change: Change
    row: str
    row_after: str
    threads: tuple[Threads, Threads] | None = None
    tasks: tuple[Tasks, Tasks] | None = None
    # Extra wait of the server on both sides, as its faults are written.
    faults: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Compared:
    """One round of a case: keys per second and percentiles, recorded before, predicted, and recorded after."""

    before_per_second: float
    predicted_per_second: float
    measured_per_second: float
    replayed_per_second: float
    before_ns: tuple[float, ...]
    predicted_ns: tuple[float, ...]
    measured_ns: tuple[float, ...]


def tasks(number: int) -> Tasks:
    """So many coroutines that read one record after the other, without pauses."""

    @contextlib.asynccontextmanager
    async def play(stage: Stage) -> AsyncIterator[AsyncRun]:
        async with stage.async_client() as client:

            async def run(seconds: float) -> None:
                until = time.monotonic() + seconds

                async def read(seed: int) -> None:
                    rng = random.Random(seed)
                    while time.monotonic() < until:
                        await client.get(key(rng.randrange(RECORDS)))

                await asyncio.gather(*map(read, range(number)))

            yield run

    return play


def threads(number: int, pool: int | None = None) -> Threads:
    """So many threads that read one record after the other."""

    @contextlib.contextmanager
    def play(stage: Stage) -> Iterator[Run]:
        config = {} if pool is None else {"max_conns_per_node": pool}
        with stage.client(warm=False, **config) as client:

            def call(n: int) -> object:
                return client.get(key(n), {"total_timeout": 10_000})

            yield lambda seconds: stage.threads(call, number, seconds=seconds)

    return play


def steps(single: bool) -> Tasks:
    """One coroutine that reads sixty records at once, again and again: gathered, or as one batch."""

    @contextlib.asynccontextmanager
    async def play(stage: Stage) -> AsyncIterator[AsyncRun]:
        async with stage.async_client() as client:
            keys = [key(n) for n in range(GATHERED_KEYS)]

            async def run(seconds: float) -> None:
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    if single:
                        # As dictionaries, which gathered reads are.
                        (await client.batch_read(keys)).to_dict()
                    else:
                        await asyncio.gather(*map(client.get, keys))
                    await asyncio.sleep(0.002)

            yield run

    return play


GET, GET_SYNC, CONVERTED = "get (asyncio)", "get (sync)", "batches, converted"
PLUS_2MS = Change(network=Network.parse("+2ms"))
GATHER = (steps(False), steps(True))
LATE, LATER = ("delay=2ms", "delay=2ms"), ("delay=1ms", "delay=3ms")
CASES = (
    Case("gather to single batch", Change(single_batch=True), GATHERED, CONVERTED, tasks=GATHER),
    Case("gather to single batch, replies 2 ms late", Change(single_batch=True), GATHERED, CONVERTED, tasks=GATHER,
         faults=LATE),
    Case("8 to 16 coroutines", Change(concurrency=16), GET, GET, tasks=(tasks(8), tasks(16))),
    Case("8 to 16 coroutines, replies 2 ms late", Change(concurrency=16), GET, GET, tasks=(tasks(8), tasks(16)),
         faults=LATE),
    Case("4 to 8 threads, replies 2 ms late", Change(concurrency=8), GET_SYNC, GET_SYNC, (threads(4), threads(8)),
         faults=LATE),
    Case("+2 ms network, 1 coroutine", PLUS_2MS, GET, GET, tasks=(tasks(1), tasks(1)), faults=LATER),
    Case("+2 ms network, 8 coroutines", PLUS_2MS, GET, GET, tasks=(tasks(8), tasks(8)), faults=LATER),
    Case("+2 ms network, 4 threads", PLUS_2MS, GET_SYNC, GET_SYNC, (threads(4), threads(4)), faults=LATER),
    Case("pool of 16 to 2, 12 threads, replies 2 ms late", Change(pool=2), GET_SYNC, GET_SYNC,
         (threads(12, 16), threads(12, 2)), faults=LATE),
)  # fmt: skip


def sides(number: int) -> tuple[int, ...]:
    """Which side comes first changes from round to round."""
    return (0, 1) if number % 2 else (1, 0)


def folder_of(whole: Path, number: int, side: int) -> Path:
    """Where a slice is recorded."""
    return whole / ("before", "after")[side] / str(number)


@contextlib.contextmanager
def late(server: EmbeddedServer, fault: str) -> Iterator[None]:
    """The server's replies are late meanwhile."""
    with server.fault(fault, command="read") if fault else contextlib.nullcontext(), batches(server, fault):
        yield


def batches(server: EmbeddedServer, fault: str) -> AbstractContextManager[object]:
    """The same for batches."""
    return server.fault(fault, command="batch_read") if fault else contextlib.nullcontext()


def record(case: Case, server: EmbeddedServer, whole: Path, rounds: int, seconds: float) -> None:
    """Records all slices of a case."""
    if case.threads is not None:
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(play(Stage(whole, server))) for play in case.threads]
            for number in range(rounds):
                for side in sides(number):
                    with late(server, case.faults[side]):
                        runs[side](WARM_UP_SECONDS)
                        with Stage(folder_of(whole, number, side), server).recording():
                            runs[side](seconds)
    if case.tasks is not None:
        asyncio.run(record_tasks(case, case.tasks, server, whole, rounds, seconds))


async def record_tasks(
    case: Case, plays: tuple[Tasks, Tasks], server: EmbeddedServer, whole: Path, rounds: int, seconds: float
) -> None:
    """The same on asyncio."""
    async with contextlib.AsyncExitStack() as stack:
        runs = [await stack.enter_async_context(play(Stage(whole, server))) for play in plays]
        for number in range(rounds):
            for side in sides(number):
                with late(server, case.faults[side]):
                    await runs[side](WARM_UP_SECONDS)
                    with Stage(folder_of(whole, number, side), server).recording():
                        await runs[side](seconds)


def compare(case: Case, whole: Path, number: int) -> Compared:
    """One round of a case."""
    prediction = predict(load(Recording([folder_of(whole, number, 0)])), case.change, repetitions=0)
    played = load(Recording([folder_of(whole, number, 1)]))
    measured = {**as_recorded(played), CONVERTED: converted(played)}

    def there(found: Figures | None) -> Figures:
        if found is None:
            raise RuntimeError(f"{case.name}: no figures of {case.row}")
        return found

    keys, row = prediction.row(KEYS), prediction.row(case.row)
    return Compared(
        there(keys.recorded).per_second,
        there(keys.after).per_second,
        measured[KEYS].per_second,
        there(keys.replayed).per_second,
        there(row.recorded).percentiles,
        there(row.after).percentiles,
        measured[case.row_after].percentiles,
    )


def converted(played: Load) -> Figures:
    """Batches with their conversion, which comes after the call and is part of what gathered reads take."""
    took = [
        step.took + following.calls[0].lead
        for caller in played.callers
        for step, following in pairwise(caller.steps)
        if following.pause
    ]
    return figures(took or [step.took for caller in played.callers for step in caller.steps], played.span / 1e9)


def play(chosen: list[Case], rounds: int, seconds: float, keep: Path | None) -> Iterator[tuple[Case, list[Compared]]]:
    """All cases, each on a server of its own."""
    with contextlib.ExitStack() as stack:
        whole = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for case in chosen:
            folder = whole / case.name.replace(" ", "-").replace(",", "")
            with EmbeddedServer(nodes=NODES, process=True) as server:
                record(case, server, folder, rounds, seconds)
            yield case, list(compared(case, folder, rounds))


def compared(case: Case, folder: Path, rounds: int) -> Iterator[Compared]:
    """All rounds but those in which the machine had no time for this; of these there must not be many."""
    left_out = []
    for number in range(rounds):
        try:
            yield compare(case, folder, number)
        except NothingToReadError as error:
            left_out.append(str(error))
    if len(left_out) * 2 > rounds:
        raise RuntimeError(f"{case.name}: the machine is too busy to measure anything\n{left_out[0]}")


def quiet(rounds: list[Compared], side: str) -> list[Compared]:
    """The quarter of the rounds in which most was done on one side: the rest of the machine only ever disturbs."""
    ordered = sorted(rounds, key=lambda one: -float(getattr(one, f"{side}_per_second")))
    return ordered[: max(len(ordered) // 4, 1)]


@dataclass(frozen=True)
class Sides:
    """A figure before, as predicted from that, and measured after: medians over a side's least disturbed rounds."""

    before: float
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """By what part too much was predicted."""
        return self.predicted / self.measured - 1

    @classmethod
    def of(cls, rounds: list[Compared], figure: Callable[[Compared, str], float]) -> Sides:
        """Picks a figure of the rounds, given the name of the side."""
        before, after = quiet(rounds, "before"), quiet(rounds, "measured")
        return cls(
            statistics.median(figure(one, "before") for one in before),
            statistics.median(figure(one, "predicted") for one in before),
            statistics.median(figure(one, "measured") for one in after),
        )


def rate(one: Compared, side: str) -> float:
    """Keys per second."""
    return float(getattr(one, f"{side}_per_second"))


def percentile(rank: int) -> Callable[[Compared, str], float]:
    """One of the percentiles."""
    return lambda one, side: float(getattr(one, f"{side}_ns")[rank])


def spread(rounds: list[Compared], figure: Callable[[Compared, str], float]) -> str:
    """The error, and the middle half of the errors of single rounds, disturbed ones included."""
    each = sorted(figure(one, "predicted") / figure(one, "measured") - 1 for one in rounds)
    low, high = each[len(each) // 4], each[-1 - len(each) // 4]
    return f"{Sides.of(rounds, figure).error:+.0%} ({low:+.0%} to {high:+.0%})"


def main() -> int:
    """The exit status: 1 if a throughput was predicted too badly."""
    parser = argparse.ArgumentParser(prog="python -m scenarios.simulate_check", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", choices=[case.name for case in CASES])
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default: {ROUNDS}")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help=f"per slice ({SECONDS:g})")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the recordings here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    options = parser.parse_args()
    chosen = [case for case in CASES if not options.only or case.name in options.only]
    headers = ["change", "keys/s", "predicted", "measured", "error", "p50", "predicted", "measured"]
    headers += ["error of p50", "of p90", "of p99", "replay"]
    table = Table(*headers, title="Least disturbed quarter of the rounds; in brackets the middle half of all rounds")
    kept: dict[str, list[dict[str, object]]] = {}
    wrong = []
    for case, rounds in play(chosen, options.rounds, options.seconds, options.keep):
        kept[case.name] = [asdict(one) for one in rounds]
        throughput, p50 = Sides.of(rounds, rate), Sides.of(rounds, percentile(0))
        replay = statistics.median(one.replayed_per_second / one.before_per_second - 1 for one in rounds)
        table.add_row(
            case.name,
            *map(count, (throughput.before, throughput.predicted, throughput.measured)),
            spread(rounds, rate),
            *map(duration, (p50.before, p50.predicted, p50.measured)),
            *(spread(rounds, percentile(rank)) for rank in range(3)),
            f"{replay:+.0%}",
        )
        print(f"{case.name}: throughput off by {spread(rounds, rate)}", file=sys.stderr, flush=True)
        if abs(throughput.error) > ALLOWED:
            wrong.append(case.name)
    Console(width=None if sys.stdout.isatty() else 240).print(table)
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for name in wrong:
        print(f"{name}: throughput is off by more than {ALLOWED:.0%}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
