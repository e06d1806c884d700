"""Runs a load on loops, GIL, cores and pools, and counts what comes out."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from aerospike_py_analysis.simulation.engine import Engine, Server, Servers
from aerospike_py_analysis.simulation.load import Call, Caller, Load

# A replay of more calls tells no more.
CALLS_MOST: Final = 200_000
# Times are sums of many figures: what ends at the very end has ended.
TOLERANCE: Final = 1 + 1e-9


@dataclass
class Outcome:
    """What a replay gave: how long it took, and the durations of the calls and of the steps with several calls."""

    span: float = 0.0
    calls: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    gathers: list[float] = field(default_factory=list)
    keys: int = 0
    count: int = 0


class Replay:
    """A load that runs."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.engine = Engine()
        self.outcome = Outcome()
        # Callers that have not ended a step yet.
        self.beginners = len(load.callers)
        self._cores = Server(load.cores)
        self._gils: dict[int, Server] = defaultdict(Server)
        self._loops: dict[tuple[int, int], Server] = defaultdict(Server)
        self._pools: dict[int, Server] = defaultdict(lambda: Server(math.inf if load.pool is None else load.pool))

    def run(self) -> Outcome:
        """Has every caller make its steps again and again until the time of the recording is over."""
        # The work before the first recorded call lies before the recording.
        self.engine.now = min((caller.first for caller in self.load.callers), default=0.0)
        for caller in self.load.callers:
            actor = Actor(self, caller)
            self.engine.at(caller.first, actor.begin)
        began = 0.0
        if self.load.warm_up:
            self.engine.run(enough=lambda: self.beginners <= 0 or self.outcome.count >= CALLS_MOST)
            began, self.outcome = self.engine.now, Outcome()
        self.engine.run(began + self.load.span * TOLERANCE, lambda: self.outcome.count >= CALLS_MOST)
        enough = self.outcome.count >= CALLS_MOST
        self.outcome.span = self.engine.now - began if enough else self.load.span
        return self.outcome

    def primary(self, caller: Caller) -> Servers:
        """What a caller needs for its work in Python: its loop, the GIL, a core."""
        needed: list[Server] = []
        if caller.lane == "asyncio":
            needed.append(self._loops[caller.place])
        if self.load.gil:
            needed.append(self._gils[caller.place[0]])
        return (*needed, self._cores)

    @property
    def core(self) -> Servers:
        """What work without Python needs."""
        return (self._cores,)

    def connections(self, call: Call) -> Servers:
        """One connection per node of a call."""
        if self.load.pool is None:
            return ()
        return tuple(self._pools[node] for node in call.nodes)


class Actor:
    """One caller within a replay."""

    def __init__(self, replay: Replay, caller: Caller) -> None:
        self.replay, self.caller = replay, caller
        self.engine = replay.engine
        self.primary = replay.primary(caller)
        self.on_loop = caller.lane == "asyncio"
        self._position = 0
        self._left = 0
        self._began = 0.0
        self._beginner = True

    def begin(self) -> None:
        """Starts with the first step; the pause before it is over."""
        self.engine.acquire(self.primary, self._send)

    def _next(self) -> None:
        """Goes on with the next step: the caller holds what it works with."""
        self._position = (self._position + 1) % len(self.caller.steps)
        pause = self.caller.steps[self._position].pause
        if not pause:
            self._send()
            return
        self.engine.release(self.primary)
        self.engine.at(self.engine.now + pause, self.begin)

    def _send(self) -> None:
        """Issues the calls of the step one after the other."""
        calls = self.caller.steps[self._position].calls
        self._left = len(calls)
        moment = self.engine.now
        for number, call in enumerate(calls):
            moment += call.lead
            start = moment
            if not number:
                self._began = start
            moment += call.before
            self.engine.at(moment, partial(self._connect, call, start))
        self.engine.at(moment, partial(self.engine.release, self.primary))

    def _connect(self, call: Call, start: float) -> None:
        held = self.replay.connections(call)
        self.engine.acquire(held, partial(self._request, call, start, held))

    def _request(self, call: Call, start: float, held: Servers) -> None:
        """The request is sent once there is a connection."""
        if call.outgoing:
            self.engine.hold(self.replay.core, call.outgoing, partial(self._wait, call, start, held))
        else:
            self._wait(call, start, held)

    def _wait(self, call: Call, start: float, held: Servers) -> None:
        waited = call.wait + call.delay + call.backoff
        self.engine.at(self.engine.now + waited, partial(self._replied, call, start, held))

    def _replied(self, call: Call, start: float, held: Servers) -> None:
        if call.incoming:
            self.engine.hold(self.replay.core, call.incoming, partial(self._deliver, call, start, held))
        else:
            self._deliver(call, start, held)

    def _deliver(self, call: Call, start: float, held: Servers) -> None:
        """The reply becomes a result: on the loop, or with the GIL."""
        work = call.after + call.gil + call.always + (call.setup if self.primary[0].idle else 0.0)
        self.engine.acquire(self.primary, partial(self._convert, work, call, start, held))

    def _convert(self, work: float, call: Call, start: float, held: Servers) -> None:
        self.engine.at(self.engine.now + work, partial(self._converted, call, start, held))

    def _converted(self, call: Call, start: float, held: Servers) -> None:
        self.engine.release(held)
        if self.on_loop:
            # The coroutine is resumed after what the loop has to do before.
            self.engine.release(self.primary)
            self.engine.acquire(self.primary, partial(self._ended, call, start))
        else:
            self._ended(call, start)

    def _ended(self, call: Call, start: float) -> None:
        """The caller has its result, and holds what it works with."""
        outcome = self.replay.outcome
        outcome.count += 1
        outcome.keys += call.keys
        outcome.calls[call.group].append(self.engine.now - start)
        self._left -= 1
        if self._left:
            self.engine.release(self.primary)
            return
        if self._beginner:
            self._beginner = False
            self.replay.beginners -= 1
        if self.caller.steps[self._position].gathered:
            outcome.gathers.append(self.engine.now - self._began)
        self._next()
