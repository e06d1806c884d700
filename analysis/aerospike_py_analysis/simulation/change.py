"""Other conditions: what a user asks for, and the load that it makes of a recorded one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aerospike_py_analysis.bursts import EVERY, SLOWEST
from aerospike_py_analysis.model import Ints
from aerospike_py_analysis.simulation.calls import INCOMING, OUTGOING
from aerospike_py_analysis.simulation.load import Call, Caller, Load, Step

UNITS: Final = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
SHIFT: Final = re.compile(r"([+-])\s*(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s)")
FACTOR: Final = re.compile(r"[x*]\s*(\d+(?:\.\d+)?)")
CALLERS_MOST: Final = 100_000


class ImpossibleChangeError(Exception):
    """The recording has nothing that such a change could be made to; the message says what is missing."""


@dataclass(frozen=True)
class Network:
    """A change of the wait for network and server: times a factor, plus nanoseconds."""

    factor: float = 1.0
    plus_ns: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Network:
        """``+2ms``, ``-300us``, ``x2``, ``x0.5``."""
        if match := SHIFT.fullmatch(text.strip()):
            sign, figure, unit = match.groups()
            return cls(plus_ns=(-1 if sign == "-" else 1) * float(figure) * UNITS[unit])
        if match := FACTOR.fullmatch(text.strip()):
            return cls(factor=float(match.group(1)))
        raise ValueError(f"{text!r} is no change of a wait: write +2ms, -300us or x1.5")

    def of(self, wait: float) -> float:
        """What a wait becomes; never less than nothing."""
        return max(wait * self.factor + self.plus_ns, 0.0)


@dataclass(frozen=True)
class Change:
    """Everything that is to be different; nothing, as it is."""

    concurrency: int | None = None
    network: Network | None = None
    pool: int | None = None
    no_gil: bool = False
    single_batch: bool = False

    @property
    def nothing(self) -> bool:
        """Whether all stays as it was."""
        return self == Change()

    def describe(self) -> str:
        """In words, for a heading."""
        said = []
        if self.concurrency is not None:
            said.append(f"{self.concurrency} callers")
        if self.network is not None:
            by = f"x {self.network.factor:g}" if self.network.factor != 1 else f"{self.network.plus_ns / 1e6:+g} ms"
            said.append(f"network wait {by}")
        if self.pool is not None:
            said.append(f"{self.pool} connections per node")
        if self.no_gil:
            said.append("no GIL")
        if self.single_batch:
            said.append("one batch instead of gathered calls")
        return ", ".join(said) or "nothing"


def check(load: Load, change: Change) -> None:
    """Says what the recording lacks for a change."""
    if change.no_gil and not load.gil:
        raise ImpossibleChangeError("--no-gil: this was recorded without the GIL")
    if change.single_batch and not any(batched(step) for caller in load.callers for step in caller.steps):
        raise ImpossibleChangeError(
            "--single-batch: no gathered calls of one operation on single records in this recording"
        )
    if change.pool is not None and not load.nodes:
        raise ImpossibleChangeError("--pool: this recording does not say which nodes the operations went to")


def apply(load: Load, change: Change, seed: int = 0) -> Load:
    """The load under other conditions; the recorded one is left as it is."""
    callers = load.callers
    groups = list(load.groups)
    if change.single_batch:
        low = {name: number for number, name in enumerate(groups)}
        callers = [replace(one, steps=[single(step, load, low, groups) for step in one.steps]) for one in callers]
    if change.network is not None or change.no_gil or change.pool is not None:
        callers = [replace(one, steps=[changed(step, one, change) for step in one.steps]) for one in callers]
    if change.concurrency is not None:
        callers = as_many(callers, change.concurrency, seed)
    return replace(
        load,
        callers=callers,
        groups=groups,
        gil=load.gil and not change.no_gil,
        pool=load.pool if change.pool is None else change.pool,
        warm_up=len(callers) > len(load.callers),
    )


def changed(step: Step, caller: Caller, change: Change) -> Step:
    """A step with other waits."""
    calls = []
    for call in step.calls:
        wait = change.network.of(call.wait) if change.network is not None else call.wait
        one = replace(call, wait=wait)
        if change.no_gil:
            one.gil = 0.0
            if caller.lane != "asyncio":
                one.setup = one.always = 0.0
        calls.append(one)
    return replace(step, calls=calls)


def as_many(callers: list[Caller], number: int, seed: int) -> list[Caller]:
    """So many callers. Those that are added do what recorded ones do, beginning somewhere within it."""
    random = np.random.default_rng(seed)
    found = []
    for position in range(number):
        model = callers[position % len(callers)]
        if position < len(callers):
            found.append(model)
            continue
        first = int(random.integers(len(model.steps)))
        cycle = np.mean([step.pause + step.took for step in model.steps])
        begin = callers[0].first + float(random.uniform(0, cycle))
        found.append(replace(model, first=begin, steps=[*model.steps[first:], *model.steps[:first]]))
    return found


def batched(step: Step) -> bool:
    """Whether a step could be one batch: several calls of one operation, on one record each."""
    return len(step.calls) > 1 and len({call.group for call in step.calls}) == 1 and step.calls[0].keys == 1


def single(step: Step, load: Load, numbers: dict[str, int], groups: list[str]) -> Step:
    """One batch instead of the gathered calls of a step, estimated from their stages.

    Work on keys is that of all calls, the network that of the slowest node, everything else is paid once.
    """
    if not batched(step):
        return step
    calls = step.calls
    operation, _, lane = load.groups[calls[0].group].partition(" ")
    name = f"{'batch_write' if operation == 'put' else 'batch_read'} {lane}"
    if name not in numbers:
        numbers[name] = len(groups)
        groups.append(name)
    stages = np.stack([call.stages for call in calls], axis=1)
    places = {stage: number for number, stage in enumerate(load.stages)}

    def every(*names: str) -> float:
        return float(stages[[places[one] for one in names if one in EVERY and one in places]].sum())

    cheapest = int(np.argmin(once(stages, load.stages)))

    def paid_once(*names: str) -> float:
        kept = [places[one] for one in names if one in places and one not in EVERY and one not in SLOWEST]
        return float(stages[kept, cheapest].sum())

    # Later replies of a node have waited for the earlier ones: the quickest is nearest to what one request takes.
    network = stages[[places[one] for one in SLOWEST if one in places]].sum(axis=0)
    quickest: dict[tuple[int, ...], float] = {}
    for call, took in zip(calls, network.tolist(), strict=True):
        quickest[call.nodes] = min(quickest.get(call.nodes, math.inf), took)
    waits = [call.setup for call in calls]
    merged = Call(
        numbers[name],
        calls[0].lead,
        every("key_parse"),
        every(*OUTGOING) + paid_once(*OUTGOING, "unattributed"),
        max(quickest.values()),
        paid_once("dispatch", "limiter_wait", "wake_delay", "fan_in"),
        calls[cheapest].backoff,
        every(*INCOMING),
        every("to_dict"),
        calls[cheapest].gil,
        max(waits),
        min(call.always for call in calls),
        tuple(sorted({node for call in calls for node in call.nodes})),
        stages.sum(axis=1),
        sum(call.keys for call in calls),
        step.took,
    )
    return replace(step, calls=[merged])


def once(stages: Ints, names: list[str]) -> Ints:
    """What a call pays for stages that a batch pays once."""
    kept = [number for number, name in enumerate(names) if name not in EVERY and name not in SLOWEST]
    found: Ints = stages[kept].sum(axis=0)
    return found


def callers(text: str) -> int:
    """A number of callers or connections."""
    if not text.isdecimal() or not 0 < int(text) <= CALLERS_MOST:
        raise ValueError(f"{text!r} is no whole number from 1 to {CALLERS_MOST}")
    return int(text)


def infinite(value: float) -> float | None:
    """None for no limit, which JSON cannot say otherwise."""
    return None if math.isinf(value) else value
