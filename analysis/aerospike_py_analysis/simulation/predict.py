"""Before and after: a recorded load, its replay, its replay under other conditions, and what chance does to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from aerospike_py_analysis.simulation.change import Change, apply, infinite
from aerospike_py_analysis.simulation.load import Caller, Load, Step
from aerospike_py_analysis.simulation.replay import Outcome, Replay

RANKS: Final = (0.5, 0.9, 0.99)
REPETITIONS: Final = 10
GATHERED: Final = "gathered calls, all of them"
ALL: Final = "all operations"
KEYS: Final = "all keys"


@dataclass(frozen=True)
class Interval:
    """A figure with the least and the most that resampled replays gave; the same twice if there were none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """Rate and percentiles (in nanoseconds; none where no durations are counted) of one row."""

    per_second: float
    percentiles: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """An operation before and after; what did not happen is none."""

    name: str
    recorded: Figures | None
    replayed: Figures | None
    after: Figures | None
    after_low: Figures | None = None
    after_high: Figures | None = None


@dataclass
class Prediction:
    """What a change would do, and what the model is worth on this recording."""

    change: Change
    load: Load
    rows: list[Row]
    gain: Interval
    model_error: float
    model_error_p50: float
    model_error_p99: float
    repetitions: int

    def row(self, name: str) -> Row:
        """One row by its name."""
        return next(one for one in self.rows if one.name == name)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON; times are nanoseconds."""

        def figures(one: Figures | None) -> dict[str, Any] | None:
            if one is None:
                return None
            names = [f"p{rank * 100:g}_ns" for rank in RANKS]
            return {"per_second": one.per_second, **dict(zip(names, one.percentiles, strict=False))}

        network = self.change.network
        return {
            "format": 1,
            "change": {
                "concurrency": self.change.concurrency,
                "network_factor": network.factor if network else 1.0,
                "network_plus_ns": network.plus_ns if network else 0.0,
                "pool": self.change.pool,
                "no_gil": self.change.no_gil,
                "single_batch": self.change.single_batch,
            },
            "recording": {
                "operations": self.load.calls,
                "seconds": self.load.span / 1e9,
                "callers": len(self.load.callers),
                "gil": self.load.gil,
                "cores": infinite(self.load.cores),
                "pool": self.load.pool,
                "missing_share": self.load.missing,
                "limiter_share": self.load.limited,
                "problems": self.load.problems,
            },
            "model_error": {
                "throughput": self.model_error,
                "p50": self.model_error_p50,
                "p99": self.model_error_p99,
            },
            "gain": {"value": self.gain.value, "low": self.gain.low, "high": self.gain.high},
            "repetitions": self.repetitions,
            "rows": [
                {
                    "name": row.name,
                    "recorded": figures(row.recorded),
                    "replayed": figures(row.replayed),
                    "after": figures(row.after),
                    "after_low": figures(row.after_low),
                    "after_high": figures(row.after_high),
                }
                for row in self.rows
            ],
        }


def predict(load: Load, change: Change, repetitions: int = REPETITIONS, seed: int = 1) -> Prediction:
    """Replays the load as it was and as it would be, and both again on resampled steps."""
    before = rows_of(Replay(load).run(), load.groups)
    changed = apply(load, change, seed)
    after = rows_of(Replay(changed).run(), changed.groups)
    recorded = as_recorded(load)
    random = np.random.default_rng(seed)
    gains: list[float] = []
    others: list[dict[str, Figures]] = []
    for number in range(repetitions):
        sample = resampled(load, random)
        other = apply(sample, change, seed + 1 + number)
        others.append(rows_of(Replay(other).run(), other.groups))
        gains.append(ratio(others[-1][KEYS].per_second, rows_of(Replay(sample).run(), sample.groups)[KEYS].per_second))
    names = [*dict.fromkeys([*recorded, *before, *after])]
    rows = [
        Row(
            name,
            recorded.get(name),
            before.get(name),
            after.get(name),
            extreme([one[name] for one in others if name in one], min),
            extreme([one[name] for one in others if name in one], max),
        )
        for name in sorted(names, key=lambda name: name in (ALL, KEYS))
    ]
    gain = ratio(after[KEYS].per_second, before[KEYS].per_second)
    return Prediction(
        change,
        load,
        rows,
        Interval(gain, min([gain, *gains]), max([gain, *gains])),
        off(before[ALL].per_second, recorded[ALL].per_second),
        worst(before, recorded, 0),
        worst(before, recorded, len(RANKS) - 1),
        repetitions,
    )


def ratio(after: float, before: float) -> float:
    """How many times as much; one if there was nothing."""
    return after / before if before else 1.0


def off(value: float, truth: float) -> float:
    """By what part a figure is too large."""
    return value / truth - 1 if truth else 0.0


def worst(before: dict[str, Figures], recorded: dict[str, Figures], rank: int) -> float:
    """The largest error of a percentile among the operations."""
    errors = [
        off(before[name].percentiles[rank], one.percentiles[rank])
        for name, one in recorded.items()
        if one.percentiles and name in before
    ]
    return max(errors, key=abs, default=0.0)


def rows_of(outcome: Outcome, groups: list[str]) -> dict[str, Figures]:
    """The figures of a replay by the name of their row."""
    seconds = max(outcome.span, 1.0) / 1e9
    found = {
        groups[number]: figures(durations, seconds) for number, durations in sorted(outcome.calls.items()) if durations
    }
    if outcome.gathers:
        found[GATHERED] = figures(outcome.gathers, seconds)
    found[ALL] = Figures(outcome.count / seconds)
    found[KEYS] = Figures(outcome.keys / seconds)
    return found


def as_recorded(load: Load) -> dict[str, Figures]:
    """The figures of the recording itself."""
    outcome = Outcome(load.span)
    for caller in load.callers:
        for step in caller.steps:
            for call in step.calls:
                outcome.calls[call.group].append(call.duration)
                outcome.keys += call.keys
                outcome.count += 1
            if step.gathered:
                outcome.gathers.append(step.took)
    return rows_of(outcome, load.groups)


def figures(durations: list[float], seconds: float) -> Figures:
    """Rate and percentiles, by the rank that reports use."""
    ordered = np.sort(np.asarray(durations))
    places = [min(max(int(np.ceil(rank * ordered.size)), 1), ordered.size) - 1 for rank in RANKS]
    return Figures(ordered.size / seconds, tuple(float(ordered[place]) for place in places))


def extreme(several: list[Figures], choose: Any) -> Figures | None:
    """The least or the most of each figure."""
    if not several:
        return None
    columns = zip(*(one.percentiles for one in several), strict=True)
    return Figures(choose(one.per_second for one in several), tuple(choose(column) for column in columns))


def resampled(load: Load, random: np.random.Generator) -> Load:
    """The same callers with steps drawn anew, in stretches, so that what belongs together stays together."""
    return replace(load, callers=[drawn(caller, random) for caller in load.callers])


def drawn(caller: Caller, random: np.random.Generator) -> Caller:
    """A caller with as many steps, from stretches of its own."""
    number = len(caller.steps)
    length = max(int(np.sqrt(number)), 1)
    steps: list[Step] = []
    while len(steps) < number:
        start = int(random.integers(number))
        steps += [caller.steps[(start + i) % number] for i in range(length)]
    return replace(caller, steps=steps[:number])
