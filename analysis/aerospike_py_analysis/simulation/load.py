"""A load: callers, the steps that each makes one after the other, and the calls of each step, as work and waits.

It is made of a recording's operations. Who called is told by thread and task; where every call has a task of its own,
callers are what is needed to have that many steps at a time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from aerospike_py_analysis.bursts import FEWEST, beginnings
from aerospike_py_analysis.model import NONE, Chunk, Ints
from aerospike_py_analysis.profile import count_ids
from aerospike_py_analysis.recording import NothingToReadError, Recording
from aerospike_py_analysis.simulation.hidden import covered, hidden, union

# Between two steps, a caller that needs no longer than this has worked; else it has paused.
WORKED_NS: Final = 250_000
OPERATIONS: Final = 20_000
READ_MOST: Final = 400_000
FEWEST_CALLS: Final = 20
# Done by the runtime's threads on the asyncio lane, not by the loop's.
OUTGOING: Final = ("pool_acquire", "encode", "tokio_timer", "network_write")
INCOMING: Final = ("network_read", "decode")
# Waits that are replayed as they were measured.
AS_MEASURED: Final = ("limiter_wait", "wake_delay", "fan_in")


@dataclass(slots=True)
class Call:
    """One operation; all times in nanoseconds.

    ``before`` and ``after`` are work on the loop (sync: with the GIL), ``outgoing`` and ``incoming`` on any core.
    ``setup`` is paid after the reply if nobody was at work, ``always`` in any case.
    """

    group: int
    lead: float
    before: float
    outgoing: float
    wait: float
    delay: float
    backoff: float
    incoming: float
    after: float
    gil: float
    setup: float
    always: float
    nodes: tuple[int, ...]
    stages: Ints
    keys: int
    duration: float


@dataclass(slots=True)
class Step:
    """Calls that a caller makes at once, after a pause; one call, mostly. ``gathered`` says that there were several."""

    pause: float
    calls: list[Call]
    took: float
    gathered: bool


@dataclass
class Caller:
    """A thread or a coroutine: its steps, when the first began, and which loop it runs on."""

    lane: str
    place: tuple[int, int]
    first: float
    steps: list[Step]


@dataclass
class Load:
    """A load, and what it ran on."""

    groups: list[str]
    stages: list[str]
    callers: list[Caller]
    span: float
    gil: bool
    cores: float
    pool: int | None = None
    # Whether callers begin together, so that what comes first tells nothing.
    warm_up: bool = False
    nodes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    missing: float = 0.0
    limited: float = 0.0

    @property
    def calls(self) -> int:
        """Operations of all callers."""
        return sum(len(step.calls) for caller in self.callers for step in caller.steps)


def load(recording: Recording, most: int = OPERATIONS) -> Load:
    """The load of a recording; of a long one, a piece from its middle."""
    chunk, converted, missing = window(recording, most)
    if len(chunk) < FEWEST_CALLS:
        problems = "\n".join(map(str, recording.problems))
        raise NothingToReadError(f"{len(chunk)} operations are too few to replay\n{problems}".rstrip())
    frames = [recording.frames[number] for number in np.unique(chunk["process"]).tolist()]
    cores = [frame.cpu_quota_cores or frame.cores for frame in frames]
    names, numbers = groups_of(chunk, recording)
    gil = any(frame.gil_enabled is not False for frame in frames)
    calls = Calls(chunk, recording, numbers, gil, converted)
    begin, end = chunk["start_ns"], chunk["start_ns"] + chunk["duration_ns"]
    waited = chunk.stages[[recording.stages.index(n) for n in ("limiter_wait",) if n in recording.stages]].sum()
    return Load(
        names,
        recording.stages,
        calls.callers(),
        float(end.max() - begin.min()),
        gil,
        float(max((float(value) for value in cores if value), default=np.inf)),
        calls.pool(),
        False,
        [recording.vocabulary.word(code) or "unknown" for code in calls.node_codes],
        [str(problem) for problem in recording.problems],
        missing,
        float(waited) / max(float(chunk["duration_ns"].sum()), 1.0),
    )


def window(recording: Recording, most: int) -> tuple[Chunk, Ints, float]:
    """Operations that follow each other, how long each was converted later, and what share of numbers is missing."""
    parts, rows = [], 0
    later: dict[tuple[int, int], int] = defaultdict(int)
    for chunk in recording.chunks():
        for row in np.flatnonzero(chunk.conversions).tolist():
            later[int(chunk["process"][row]), int(chunk["operation_id"][row])] += int(chunk["duration_ns"][row])
        kept = chunk.take(~chunk.conversions)
        parts.append(kept)
        rows += len(kept)
        if rows >= READ_MOST:
            break
    parts = [part for part in parts if len(part)]
    if not parts:
        raise NothingToReadError("\n".join(map(str, recording.problems)) or "there is no operation")
    whole = Chunk(
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0].columns},
        np.concatenate([part.stages for part in parts], axis=1),
        np.concatenate([part.conversions for part in parts]),
    )
    whole = whole.take(np.argsort(whole["start_ns"], kind="stable"))
    skipped = max(len(whole) - most, 0) // 2
    whole = whole.take(np.arange(skipped, min(skipped + most, len(whole))))
    ids: dict[int, tuple[int, int, int]] = {}
    count_ids(whole, ids)
    expected = sum(highest - lowest + 1 for lowest, highest, _ in ids.values())
    seen = sum(count for _, _, count in ids.values())
    # At both ends numbers are missing that are outside the piece.
    edge = 2 * int(np.maximum(whole["in_flight"], 0).max())
    of_row = zip(whole["process"].tolist(), whole["operation_id"].tolist(), strict=True)
    converted = np.array([later.get(row, 0) for row in of_row], dtype=np.int64)
    return whole, converted, max(expected - seen - edge, 0) / max(expected, 1)


def groups_of(chunk: Chunk, recording: Recording) -> tuple[list[str], Ints]:
    """Names of the operations by lane, and the number of each call's."""
    words = recording.vocabulary
    keys, numbers = np.unique(chunk["operation"] * (1 << 20) + chunk["lane"], return_inverse=True)
    names = []
    for key in keys.tolist():
        operation, lane = divmod(key, 1 << 20)
        names.append(f"{words.word(operation) or 'unknown'} ({words.word(lane) or 'unknown'})")
    return names, numbers.astype(np.int64)


class Calls:
    """The operations of a piece of a recording, as calls."""

    def __init__(self, chunk: Chunk, recording: Recording, numbers: Ints, gil: bool, converted: Ints) -> None:
        self.chunk, self.recording, self.numbers, self.gil = chunk, recording, numbers, gil
        self.converted = converted
        self.begin = chunk["start_ns"]
        self.end = self.begin + chunk["duration_ns"]
        words = recording.vocabulary
        self.asyncio = chunk["lane"] == words.code("asyncio")
        batches = np.array([code for code, word in enumerate(words.words) if word.startswith("batch_")], dtype=np.int64)
        # Batches and what asks the whole cluster are worked on by the runtime's threads.
        self.on_runtime = np.isin(chunk["operation"], batches) | (chunk["keys"] != 1)
        self.node_codes = [int(code) for code in np.unique(chunk["node"]) if code != NONE]
        self._split()
        self.lead = np.zeros(len(chunk))
        self.setup = np.zeros(len(chunk))
        self.always = np.zeros(len(chunk))
        self.chains = self._chains()

    def _sum(self, *names: str) -> Ints:
        found: Ints = self.chunk.stages[
            [self.recording.stages.index(n) for n in names if n in self.recording.stages]
        ].sum(axis=0)
        return found

    def _split(self) -> None:
        """What of each call is work, where, and what is waiting."""
        inline = self.asyncio & ~self.on_runtime
        read = self._sum("network_read")
        # A reply that comes in pieces is waited for; a typical read is the work of reading.
        reading = read.copy()
        for number in np.unique(self.numbers):
            of_group = self.numbers == number
            reading[of_group] = np.minimum(read[of_group], int(np.median(read[of_group])))
        outgoing, incoming = self._sum(*OUTGOING), self._sum("decode") + reading
        rest = self._sum("unattributed")
        self.before = self._sum("key_parse") + np.where(inline, outgoing + rest + self._sum("dispatch"), 0)
        self.outgoing = np.where(inline, 0, outgoing + rest)
        self.incoming = np.where(inline, 0, incoming)
        self.after = self._sum("to_dict") + np.where(inline, incoming, 0)
        self.gil_wait = self._sum("gil_reacquire")
        self.wait = self._sum("network_wait")
        self.backoff = self._sum("backoff")
        self.resume = self._sum("event_loop_resume")
        self.loop_wait = self._sum("loop_wait")
        self.delay = self._sum(*AS_MEASURED) + read - reading + np.where(inline, 0, self._sum("dispatch"))
        named = {
            *OUTGOING, *INCOMING, *AS_MEASURED, "unattributed", "dispatch", "key_parse", "to_dict", "gil_reacquire",
            "network_wait", "backoff", "event_loop_resume", "loop_wait",
        }  # fmt: skip
        # Stages of a newer client.
        self.delay = self.delay + self._sum(*(name for name in self.recording.stages if name not in named))

    def _chains(self) -> list[list[list[int]]]:
        """Callers: each the positions of its calls, step by step."""
        chunk = self.chunk
        where = np.where(self.asyncio, chunk["loop_id"], chunk["thread_id"])
        task = np.where(self.asyncio, chunk["task_id"], 0)
        chains: list[list[list[int]]] = []
        loose: dict[tuple[int, int], list[list[int]]] = {}
        order = np.lexsort((self.begin, task, where, self.asyncio, chunk["process"]))
        keys = np.stack([chunk["process"], self.asyncio, where, task])[:, order]
        cuts = np.flatnonzero((np.diff(keys, axis=1) != 0).any(axis=0)) + 1
        for rows in np.split(order, cuts):
            steps = self._steps(rows)
            if len(steps) == 1 and self.asyncio[rows[0]]:
                loose.setdefault((int(chunk["process"][rows[0]]), int(where[rows[0]])), []).extend(steps)
            else:
                chains.append(steps)
        for steps in loose.values():
            chains.extend(self._callers_of(self._gathered(steps)))
        return chains

    def _steps(self, rows: Ints) -> list[list[int]]:
        """Calls of one thread or task; those that overlap are one step."""
        steps: list[list[int]] = []
        until = -1
        for row in rows.tolist():
            if steps and self.begin[row] < until:
                steps[-1].append(row)
            else:
                steps.append([row])
            until = max(until, int(self.end[row]))
        return steps

    def _gathered(self, steps: list[list[int]]) -> list[list[int]]:
        """Single calls of tasks of their own that started together are one step."""
        single = np.array(sorted(step[0] for step in steps if len(step) == 1), dtype=np.int64)
        found = [step for step in steps if len(step) > 1]
        if single.size:
            cuts = beginnings(self.chunk, single)
            for rows in np.split(single, cuts[1:]):
                found += [rows.tolist()] if rows.size >= FEWEST else [[row] for row in rows.tolist()]
        return sorted(found, key=lambda step: int(self.begin[step[0]]))

    def _callers_of(self, steps: list[list[int]]) -> list[list[list[int]]]:
        """Gives each step to the caller that has been free for the shortest time."""
        chains: list[list[list[int]]] = []
        ends: list[int] = []
        for step in steps:
            begin, end = int(self.begin[step[0]]), max(int(self.end[row]) for row in step)
            free = [number for number, until in enumerate(ends) if until <= begin]
            if free:
                chosen = max(free, key=lambda number: ends[number])
                chains[chosen].append(step)
                ends[chosen] = end
            else:
                chains.append([step])
                ends.append(end)
        return chains

    def callers(self) -> list[Caller]:
        """The callers in order of their first step."""
        pauses = [self._pauses(steps) for steps in self.chains]
        self._hide()
        found = []
        origin = int(self.begin.min())
        for steps, pause in zip(self.chains, pauses, strict=True):
            row = steps[0][0]
            lane = "asyncio" if self.asyncio[row] else "sync"
            place = (int(self.chunk["process"][row]), int(self.chunk["loop_id"][row]) if lane == "asyncio" else 0)
            made = [
                Step(
                    before,
                    [self._call(one) for one in step],
                    float(max(int(self.end[one]) for one in step) - int(self.begin[step[0]])),
                    len(step) > 1,
                )
                for step, before in zip(steps, pause, strict=True)
            ]
            found.append(Caller(lane, place, float(self.begin[row] - origin) - self.lead[row], made))
        return sorted(found, key=lambda one: one.first)

    def _pauses(self, steps: list[list[int]]) -> list[float]:
        """Pauses before the steps; where there was none, the caller's work goes into the lead of the first call."""
        found: list[float] = []
        leads: list[float] = []
        until: int | None = None
        converted = 0
        for step in steps:
            gap = int(self.begin[step[0]]) - until if until is not None else -1
            known = min(converted, max(gap, 0))
            worked = 0 <= gap - known <= WORKED_NS
            found.append(0.0 if worked or gap < 0 else float(gap - known))
            self.lead[step[0]] = gap if worked else known
            if worked:
                leads.append(gap)
            converted = int(self.converted[step].sum())
            for earlier, later in pairwise(step):
                issued = int(self.begin[earlier]) + int(self.before[earlier])
                self.lead[later] = min(max(int(self.begin[later]) - issued, 0), WORKED_NS)
            until = max(int(self.end[row]) for row in step)
        # What came before the first step is not recorded; it is needed when the caller begins anew.
        if found and len(found) > 1:
            if len(leads) * 2 >= len(found) - 1:
                self.lead[steps[0][0]] = float(np.median(leads))
            else:
                found[0] = float(np.median([pause for pause in found[1:] if pause]))
        return found

    def _hide(self) -> None:
        """Finds hidden work on every loop, and under the GIL of every process."""
        chunk = self.chunk
        for process in np.unique(chunk["process"]).tolist():
            for loop in np.unique(chunk["loop_id"][self.asyncio & (chunk["process"] == process)]).tolist():
                rows = np.flatnonzero(self.asyncio & (chunk["process"] == process) & (chunk["loop_id"] == loop))
                worked = self.end[rows] - self.resume[rows]
                job = worked - self.after[rows] - self.gil_wait[rows]
                gap = self.begin[rows] - self.lead[rows].astype(np.int64)
                self._yield(rows, job, worked)
                begin = self.begin[rows] - self.lead[rows].astype(np.int64)
                self._share(
                    rows, job, worked,
                    np.concatenate([job - self.loop_wait[rows], worked, gap]),
                    np.concatenate([job, self.end[rows], begin]),
                )  # fmt: skip
            rows = np.flatnonzero(~self.asyncio & (chunk["process"] == process))
            if rows.size and self.gil:
                job = self.end[rows] - self.after[rows]
                self._share(rows, job, self.end[rows], job - self.gil_wait[rows], job)

    def _yield(self, rows: Ints, job: Ints, worked: Ints) -> None:
        """A caller in whose gap the loop worked for others has yielded to them: only a typical part is its own work."""
        lead = self.lead[rows]
        gap = self.begin[rows] - lead.astype(np.int64)
        work = union(
            np.concatenate([self.begin[rows], job]), np.concatenate([self.begin[rows] + self.before[rows], worked])
        )
        shared = covered(*work, gap, self.begin[rows]) > 0
        own = lead[~shared & (lead > 0)]
        if own.size or shared.any():
            typical = float(np.median(own)) if own.size else float(lead[shared].min())
            self.lead[rows] = np.where(shared, np.minimum(lead, typical), lead)

    def _share(self, rows: Ints, job: Ints, worked: Ints, wait_begin: Ints, wait_end: Ints) -> None:
        lead = self.lead[rows].astype(np.int64)
        found = hidden(
            np.concatenate([self.begin[rows] - lead, job]),
            np.concatenate([self.begin[rows] + self.before[rows], worked]),
            wait_begin,
            wait_end,
            job,
        )
        self.setup[rows], self.always[rows] = found.setup_ns, found.always_ns

    def _call(self, row: int) -> Call:
        node = int(self.chunk["node"][row])
        nodes = tuple(range(len(self.node_codes))) if self.chunk["keys"][row] > 1 else ()
        if not nodes and node != NONE:
            nodes = (self.node_codes.index(node),)
        # Without a GIL nobody else holds what a sync call waits for.
        alone = not self.asyncio[row] and not self.gil
        return Call(
            int(self.numbers[row]),
            float(self.lead[row]),
            float(self.before[row]),
            float(self.outgoing[row]),
            float(self.wait[row]),
            float(self.delay[row]) + (float(self.gil_wait[row]) if alone else 0.0),
            float(self.backoff[row]),
            float(self.incoming[row]),
            float(self.after[row]),
            float(self.gil_wait[row]) if self.asyncio[row] else 0.0,
            float(self.setup[row]),
            float(self.always[row]),
            nodes,
            self.chunk.stages[:, row],
            max(int(self.chunk["keys"][row]), 1),
            float(self.chunk["duration_ns"][row]),
        )

    def pool(self) -> int | None:
        """How many connections a node has at most, if calls were seen to wait for one; else there were enough."""
        waited = (self.backoff > 0) & (self.chunk["attempts"] <= 1)
        if self.backoff[waited].sum() < 0.01 * self.chunk["duration_ns"].sum():
            return None
        most = 0
        for node in self.node_codes:
            rows = np.flatnonzero(self.chunk["node"] == node)
            begin = self.end[rows] - self.resume[rows] - self.loop_wait[rows] - self.after[rows] - self.wait[rows]
            moments = np.concatenate([begin, self.end[rows]])
            change = np.concatenate([np.ones(rows.size), -np.ones(rows.size)])
            order = np.lexsort((change, moments))
            most = max(most, int(np.cumsum(change[order]).max()))
        return max(most, 1)
