"""A prediction as a document: figures before and after, what the model is worth, and what it assumes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aerospike_py_analysis.report.blocks import Block, Heading, Items, Table, Text
from aerospike_py_analysis.simulation.predict import RANKS, Figures, Prediction, Row
from aerospike_py_analysis.wording import count, rank, share, time

# A model that is off by more than this on what was recorded should not be trusted with what was not.
TRUSTED: Final = 0.15
LIMITED: Final = 0.02
MISSING: Final = 0.01

ASSUMPTIONS: Final = (
    "A closed load: every caller makes its recorded steps, one after the other, with its recorded pauses.",
    "A loop does one thing at a time, and so does the GIL; other work shares the cores. First come, first served.",
    "Server and network take as long as recorded, whatever the load: a server near its limit gets slower.",
    "Waits for the loop and the GIL arise anew; work that no stage names is inferred from the recorded waits.",
    "Retries, limiter waits and Tokio's scheduling are replayed as measured.",
)


def document(prediction: Prediction) -> list[Block]:
    """All of it."""
    return list(blocks(prediction))


def blocks(prediction: Prediction) -> Iterator[Block]:
    """Heading, figures, worth, assumptions."""
    load = prediction.load
    callers = f"{len(load.callers)} caller{'s' if len(load.callers) != 1 else ''}"
    lacks = "with the GIL" if load.gil else "without the GIL"
    yield Heading(f"What if: {prediction.change.describe()}", 1)
    yield Text(
        f"Recorded: {count(load.calls)} operations in {time(load.span)} by {callers}, {lacks}, on"
        f" {load.cores:g} cores, {'enough' if load.pool is None else load.pool} connections per node."
    )
    yield Table(
        ["operation", "", "per second", *map(rank, RANKS)],
        [cells for row in prediction.rows for cells in lines(row)],
        left=2,
    )
    gain = prediction.gain
    yield Text(
        f"Keys per second: x {gain.value:.2f} ({gain.low:.2f} to {gain.high:.2f} in {prediction.repetitions} replays of"
        " resampled steps)."
    )
    yield Text(
        f"Model check: replayed as it was, throughput is off by {percent(prediction.model_error)}, p50 by"
        f" {percent(prediction.model_error_p50)}, p99 by {percent(prediction.model_error_p99)} (worst operation). The"
        " prediction is no better than that."
    )
    cautions = list(warn(prediction))
    if cautions:
        yield Items(cautions)
    yield Heading("What the model assumes", 3)
    yield Items(list(ASSUMPTIONS))


def lines(row: Row) -> Iterator[list[str]]:
    """A row before, in replay, and after."""
    name = row.name
    for what, figures in (("recorded", row.recorded), ("replayed", row.replayed), ("after", row.after)):
        if figures is None:
            continue
        cells = [rate(figures.per_second), *(time(value) for value in figures.percentiles)]
        if what == "after" and row.after_low is not None and row.after_high is not None:
            cells = ranged(cells, row.after_low, row.after_high)
        yield [name, what, *cells, *[""] * (len(RANKS) - len(figures.percentiles))]
        name = ""


def ranged(cells: list[str], low: Figures, high: Figures) -> list[str]:
    """Cells with the range of the resampled replays."""
    lows = [rate(low.per_second), *(time(value) for value in low.percentiles)]
    highs = [rate(high.per_second), *(time(value) for value in high.percentiles)]
    return [f"{cell} ({least} to {most})" for cell, least, most in zip(cells, lows, highs, strict=True)]


def warn(prediction: Prediction) -> Iterator[str]:
    """What speaks against believing it."""
    load, change = prediction.load, prediction.change
    if abs(prediction.model_error) > TRUSTED:
        yield (
            "The replay differs much from the recording: the load is not closed, or something that no stage shows"
            " limits it. Take the direction from this, not the figures."
        )
    if load.missing > MISSING:
        yield f"{share(load.missing)} of the operations are missing: pauses seem longer than they were."
    if load.limited > LIMITED:
        yield f"{share(load.limited)} of the time is waiting for the limiter, which is replayed as measured."
    if change.concurrency is not None and change.concurrency > len(load.callers):
        yield "More callers ask more of the server, whose answer to that is not in the recording."
    if change.no_gil:
        yield "Python code is taken to be as fast without the GIL as with it; on one thread it is somewhat slower."
    yield from load.problems


def rate(value: float) -> str:
    """A rate."""
    return count(value) if value >= 99.95 else f"{value:.3g}"


def percent(value: float) -> str:
    """A signed error."""
    return f"{value:+.1%}".replace("%", " %")
