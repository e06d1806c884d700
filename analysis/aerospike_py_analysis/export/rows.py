"""What all exports share: walking over single operations with their details, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aerospike_py_analysis.model import NONE, STRINGS, Details, Frame, Segment
from aerospike_py_analysis.recording import Recording

# Operations whose details are in memory at a time.
AT_ONCE = 10_000


@dataclass(frozen=True)
class Row:
    """One operation, with names instead of numbers."""

    frame: Frame
    process: int
    words: dict[str, str | None]
    numbers: dict[str, int | None]
    stages: dict[str, int]
    details: Details
    conversion: bool

    @property
    def start_ns(self) -> int:
        """Wall time of the start."""
        return self.numbers["start_ns"] or 0

    @property
    def duration_ns(self) -> int:
        """Wall time that it took."""
        return self.numbers["duration_ns"] or 0

    def path(self) -> list[Segment]:
        """The critical path; the stages in their usual order where only their sums are known."""
        if self.details.segments:
            return self.details.segments
        found, start = [], 0
        for name, value in self.stages.items():
            found.append(Segment(name, None, start, value))
            start += value
        return found


def rows(recording: Recording, limit: int | None = None) -> Iterator[Row]:
    """The operations of a recording in the order of its files."""
    left = limit
    vocabulary = recording.vocabulary
    for chunk in recording.chunks():
        for begin in range(0, len(chunk), AT_ONCE):
            if left is not None and left <= 0:
                return
            size = min(AT_ONCE, len(chunk) - begin, left if left is not None else AT_ONCE)
            part = chunk.take(np.arange(begin, begin + size))
            places = list(zip(part["file"].tolist(), part["batch"].tolist(), part["row"].tolist(), strict=True))
            details = recording.details(places)
            columns = {name: values.tolist() for name, values in part.columns.items()}
            stages = part.stages.T.tolist()
            for i, place in enumerate(places):
                process = columns["process"][i]
                yield Row(
                    recording.frames[process],
                    process,
                    {name: vocabulary.word(columns[name][i]) for name in STRINGS},
                    {
                        name: None if values[i] == NONE else values[i]
                        for name, values in columns.items()
                        if name not in STRINGS
                    },
                    {name: value for name, value in zip(recording.stages, stages[i], strict=True) if value},
                    details.get(place, Details()),
                    bool(part.conversions[i]),
                )
            if left is not None:
                left -= size
