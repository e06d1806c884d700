"""The operations of a piece of a recording as calls: what of them is work and where, who made them, what is hidden.

Who called is told by thread and task. Where every call has a task of its own, or nobody knows who called, callers are
as many as were needed at a time.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from aerospike_py_analysis.bursts import FEWEST, beginnings
from aerospike_py_analysis.model import NONE, Chunk, Ints
from aerospike_py_analysis.recording import Recording
from aerospike_py_analysis.simulation.hidden import covered, hidden, union
from aerospike_py_analysis.simulation.load import Call, Caller, Step

# Between two steps, a caller that needs no longer than this has worked; else it has paused.
WORKED_NS: Final = 250_000
# Done by the runtime's threads on the asyncio lane, not by the loop's, if the call is no single-record call.
OUTGOING: Final = ("pool_acquire", "encode", "tokio_timer", "network_write")
INCOMING: Final = ("network_read", "decode")
# Waits that are replayed as they were measured.
AS_MEASURED: Final = ("limiter_wait", "wake_delay", "fan_in")


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
        who = np.where(self.asyncio, chunk["task_id"], chunk["thread_id"])
        # Spans of other tools do not say who called: nobody twice, then.
        unknown = who == NONE
        task = np.where(unknown, -2 - np.arange(len(chunk)), who)
        chains: list[list[list[int]]] = []
        loose: dict[tuple[int, bool, int], list[list[int]]] = {}
        order = np.lexsort((self.begin, task, where, self.asyncio, chunk["process"]))
        keys = np.stack([chunk["process"], self.asyncio, where, task])[:, order]
        cuts = np.flatnonzero((np.diff(keys, axis=1) != 0).any(axis=0)) + 1
        for rows in np.split(order, cuts):
            steps = self._steps(rows)
            if len(steps) == 1 and (self.asyncio[rows[0]] or unknown[rows[0]]):
                place = (int(chunk["process"][rows[0]]), bool(self.asyncio[rows[0]]), int(where[rows[0]]))
                loose.setdefault(place, []).extend(steps)
            else:
                chains.append(steps)
        for (_, on_loop, _), steps in loose.items():
            chains.extend(self._callers_of(self._gathered(steps) if on_loop else in_order(steps, self.begin)))
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
        return in_order(found, self.begin)

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


def in_order(steps: list[list[int]], begin: Ints) -> list[list[int]]:
    """Steps by the moment at which they began."""
    return sorted(steps, key=lambda step: int(begin[step[0]]))
