"""Makes a load of a recording: chooses a piece of it and says what it ran on."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from aerospike_py_analysis.model import Chunk, Ints
from aerospike_py_analysis.profile import count_ids
from aerospike_py_analysis.recording import NothingToReadError, Recording
from aerospike_py_analysis.simulation.calls import Calls
from aerospike_py_analysis.simulation.load import Load

OPERATIONS: Final = 10_000
READ_MOST: Final = 400_000
FEWEST_CALLS: Final = 20


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
    parts, later, rows = [], [], 0
    for chunk in recording.chunks():
        # Conversions are in files of their own, which follow those of their operations.
        later.append(chunk.take(chunk.conversions))
        if rows < READ_MOST:
            kept = chunk.take(~chunk.conversions)
            parts.append(kept)
            rows += len(kept)
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
    return whole, converted_later(whole, later), max(expected - seen - edge, 0) / max(expected, 1)


def converted_later(operations: Chunk, conversions: list[Chunk]) -> Ints:
    """How long the result of each operation was converted after its end."""
    found: dict[tuple[int, int], int] = defaultdict(int)
    for chunk in conversions:
        wanted = chunk.take(np.isin(chunk["operation_id"], operations["operation_id"]))
        columns = (wanted[name].tolist() for name in ("process", "operation_id", "duration_ns"))
        for process, number, duration in zip(*columns, strict=True):
            found[process, number] += duration
    of_row = zip(operations["process"].tolist(), operations["operation_id"].tolist(), strict=True)
    return np.array([found.get(row, 0) for row in of_row], dtype=np.int64)


def groups_of(chunk: Chunk, recording: Recording) -> tuple[list[str], Ints]:
    """Names of the operations by lane, and the number of each call's."""
    words = recording.vocabulary
    keys, numbers = np.unique(chunk["operation"] * (1 << 20) + chunk["lane"], return_inverse=True)
    names = []
    for key in keys.tolist():
        operation, lane = divmod(key, 1 << 20)
        names.append(f"{words.word(operation) or 'unknown'} ({words.word(lane) or 'unknown'})")
    return names, numbers.astype(np.int64)
