"""``make simulate-check``: predicts what a change does, makes the change on the embedded server, and prints the error.

Every case is recorded before and after, in rounds that alternate, so that what else happens on the machine meets both.
A prediction is made of the recording before, and compared with the recording after.
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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import aerospike_py
from aerospike_py.testing import EmbeddedServer
from aerospike_py_analysis.recording import Recording
from aerospike_py_analysis.simulation.change import Change, Network
from aerospike_py_analysis.simulation.load import Load, load
from aerospike_py_analysis.simulation.predict import GATHERED, KEYS, Figures, as_recorded, figures, predict
from aerospike_py_analysis.wording import count
from aerospike_py_analysis.wording import time as duration
from rich.console import Console
from rich.table import Table

from scenarios.stage import RECORDS, Stage, key

NODES = 3
SECONDS = 1.0
WARM_UP_SECONDS = 0.3
ROUNDS = 5
GATHERED_KEYS = 60
# A throughput that is predicted worse than this, in the median over the rounds, is a failure of the model.
ALLOWED = 0.30
Play = Callable[[Stage, float], None]


@dataclass(frozen=True)
class Case:
    """A change: how to play both sides of it, and what ``simulate`` is asked."""

    name: str
    before: Play
    after: Play
    change: Change
    row: str
    row_after: str
    # Extra wait of the server before and after, as its faults are written.
    fault_before: str = ""
    fault_after: str = ""
    pool: int | None = None


@dataclass(frozen=True)
class Compared:
    """One round of a case: keys per second and percentiles, recorded before, predicted, and recorded after."""

    before_per_second: float
    predicted_per_second: float
    measured_per_second: float
    model_error: float
    before_ns: tuple[float, ...]
    predicted_ns: tuple[float, ...]
    measured_ns: tuple[float, ...]

    @property
    def error(self) -> float:
        """By what part the predicted throughput is too high."""
        return self.predicted_per_second / self.measured_per_second - 1

    def percentile_error(self, position: int) -> float:
        """The same of a percentile."""
        return self.predicted_ns[position] / self.measured_ns[position] - 1


async def readers(client: aerospike_py.AsyncClient, number: int, seconds: float) -> None:
    """Coroutines that read for some seconds."""
    until = time.monotonic() + seconds

    async def read(seed: int) -> None:
        rng = random.Random(seed)
        while time.monotonic() < until:
            await client.get(key(rng.randrange(RECORDS)))

    await asyncio.gather(*map(read, range(number)))


def tasks(number: int) -> Play:
    """So many coroutines that read one record after the other, without pauses."""

    def play(stage: Stage, seconds: float) -> None:
        async def everything() -> None:
            async with stage.async_client() as client:
                await readers(client, number, WARM_UP_SECONDS)
                with stage.recording():
                    await readers(client, number, seconds)

        asyncio.run(everything())

    return play


def threads(number: int, pool: int | None = None) -> Play:
    """So many threads that read one record after the other."""

    def play(stage: Stage, seconds: float) -> None:
        config = {} if pool is None else {"max_conns_per_node": pool}
        with stage.client(warm=False, **config) as client:

            def call(n: int) -> object:
                return client.get(key(n), {"total_timeout": 10_000})

            stage.threads(call, number, seconds=WARM_UP_SECONDS)
            with stage.recording():
                stage.threads(call, number, seconds=seconds)

    return play


def steps(single: bool) -> Play:
    """One coroutine that reads sixty records at once, again and again: gathered, or as one batch."""

    def play(stage: Stage, seconds: float) -> None:
        async def everything() -> None:
            async with stage.async_client() as client:
                keys = [key(n) for n in range(GATHERED_KEYS)]

                async def work(until: float) -> None:
                    while time.monotonic() < until:
                        if single:
                            # Read as dictionaries, as the gathered reads are.
                            (await client.batch_read(keys)).to_dict()
                        else:
                            await asyncio.gather(*(client.get(one) for one in keys))
                        await asyncio.sleep(0.002)

                await work(time.monotonic() + WARM_UP_SECONDS)
                with stage.recording():
                    await work(time.monotonic() + seconds)

        asyncio.run(everything())

    return play


GET, GET_SYNC, CONVERTED = "get (asyncio)", "get (sync)", "batches, converted"
PLUS_2MS = Change(network=Network.parse("+2ms"))
CASES = (
    Case("gather to single batch", steps(False), steps(True), Change(single_batch=True), GATHERED, CONVERTED),
    Case("gather to single batch, replies 1 ms late", steps(False), steps(True), Change(single_batch=True), GATHERED,
         CONVERTED, "delay=1ms", "delay=1ms"),
    Case("8 to 16 coroutines, replies 2 ms late", tasks(8), tasks(16), Change(concurrency=16), GET, GET, "delay=2ms",
         "delay=2ms"),
    Case("8 to 16 coroutines", tasks(8), tasks(16), Change(concurrency=16), GET, GET),
    Case("4 to 8 threads, replies 2 ms late", threads(4), threads(8), Change(concurrency=8), GET_SYNC, GET_SYNC,
         "delay=2ms", "delay=2ms"),
    Case("+2 ms network, 8 coroutines", tasks(8), tasks(8), PLUS_2MS, GET, GET, "delay=1ms", "delay=3ms"),
    Case("+2 ms network, 1 coroutine", tasks(1), tasks(1), PLUS_2MS, GET, GET, "", "delay=2ms"),
    Case("+2 ms network, 4 threads", threads(4), threads(4), PLUS_2MS, GET_SYNC, GET_SYNC, "delay=1ms", "delay=3ms"),
    Case("pool of 16 to 2, 12 threads, replies 2 ms late", threads(12, 16), threads(12, 2), Change(pool=2), GET_SYNC,
         GET_SYNC, "delay=2ms", "delay=2ms"),
)  # fmt: skip


def record(play: Play, fault: str, server: EmbeddedServer, folder: Path, seconds: float) -> None:
    """Plays one side of a case."""
    late = server.fault(fault) if fault else contextlib.nullcontext()
    with late:
        play(Stage(folder, server), seconds)


def compare(case: Case, server: EmbeddedServer, folder: Path, seconds: float) -> Compared:
    """One round of a case."""
    before, after = folder / "before", folder / "after"
    record(case.before, case.fault_before, server, before, seconds)
    record(case.after, case.fault_after, server, after, seconds)
    prediction = predict(load(Recording([before])), case.change, repetitions=0)
    played = load(Recording([after]))
    measured = {**as_recorded(played), CONVERTED: converted(played)}

    def rows(name: str) -> dict[str, Figures | None]:
        row = prediction.row(name)
        return {"recorded": row.recorded, "after": row.after}

    def rate(figures: Figures | None) -> float:
        if figures is None:
            raise RuntimeError(f"{case.name}: nothing was predicted")
        return figures.per_second

    def percentiles(figures: Figures | None) -> tuple[float, ...]:
        if figures is None:
            raise RuntimeError(f"{case.name}: no percentiles of {case.row}")
        return figures.percentiles

    return Compared(
        rate(rows(KEYS)["recorded"]),
        rate(rows(KEYS)["after"]),
        measured[KEYS].per_second,
        prediction.model_error,
        percentiles(rows(case.row)["recorded"]),
        percentiles(rows(case.row)["after"]),
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


def compared(
    chosen: list[Case], rounds: int, seconds: float, keep: Path | None
) -> Iterator[tuple[Case, list[Compared]]]:
    """All cases, round by round; the cases alternate within a round."""
    found: dict[str, list[Compared]] = {case.name: [] for case in chosen}
    with contextlib.ExitStack() as stack:
        whole = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for number in range(rounds):
            for case in chosen:
                folder = whole / case.name.replace(" ", "-").replace(",", "") / str(number)
                with EmbeddedServer(nodes=NODES, process=True) as server:
                    found[case.name].append(compare(case, server, folder, seconds))
                one = found[case.name][-1]
                print(
                    f"round {number + 1}, {case.name}: throughput off by {one.error:+.1%}", file=sys.stderr, flush=True
                )
    yield from ((case, found[case.name]) for case in chosen)


def spread(values: list[float]) -> str:
    """The median of errors and how far they lie apart."""
    return f"{statistics.median(values):+.0%} ({min(values):+.0%} to {max(values):+.0%})"


def main() -> int:
    """The exit status: 1 if a throughput was predicted too badly."""
    parser = argparse.ArgumentParser(prog="python -m scenarios.simulate_check", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", choices=[case.name for case in CASES])
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default: {ROUNDS}")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help=f"per recording ({SECONDS:g})")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the recordings here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    options = parser.parse_args()
    chosen = [case for case in CASES if not options.only or case.name in options.only]
    headers = ["change", "keys/s before", "predicted", "measured", "error", "of p50", "of p90", "of p99", "replay"]
    table = Table(*headers, title="Predicted and measured (medians over rounds)")
    kept: dict[str, list[dict[str, object]]] = {}
    wrong = []
    for case, rounds in compared(chosen, options.rounds, options.seconds, options.keep):
        kept[case.name] = [asdict(one) for one in rounds]
        medians = [
            count(statistics.median(getattr(one, name) for one in rounds))
            for name in ("before_per_second", "predicted_per_second", "measured_per_second")
        ]
        errors = [spread([one.percentile_error(position) for one in rounds]) for position in range(3)]
        replay = spread([one.model_error for one in rounds])
        table.add_row(case.name, *medians, spread([one.error for one in rounds]), *errors, replay)
        p50 = [statistics.median(getattr(one, name)[0] for one in rounds) for name in ("before_ns", "measured_ns")]
        print(f"{case.name}: p50 {duration(p50[0])} before, {duration(p50[1])} after", file=sys.stderr)
        if abs(statistics.median(one.error for one in rounds)) > ALLOWED:
            wrong.append(case.name)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for name in wrong:
        print(f"{name}: throughput is off by more than {ALLOWED:.0%}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
