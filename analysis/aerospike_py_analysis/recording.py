"""A recording: all its files opened, its processes and stages known, its rows on demand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from aerospike_py_analysis import stages as stage_table
from aerospike_py_analysis.model import Chunk, Details, Frame, Input, Probes, Problem, Vocabulary
from aerospike_py_analysis.readers import arrow, jaeger, otlp
from aerospike_py_analysis.readers.arrow import ArrowFile
from aerospike_py_analysis.readers.find import find
from aerospike_py_analysis.readers.spans import SpanFile

# A loop observer can see more callbacks than operations; of more than this the longest are kept.
PROBE_ROWS = 1_000_000
INTERVALS = ("loop_lag", "loop_callback", "gil_delay", "attach_delay", "stop_the_world", "runtime_schedule_delay")

Place = tuple[int, int, int]


class NothingToReadError(Exception):
    """No input of a recording can be used; the message names every file and what is wrong with it."""


class Recording:
    """Reads several files, formats and hosts as one."""

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self.names = [str(path) for path in paths]
        inputs, self._problems = find(self.names)
        self.vocabulary = Vocabulary()
        self.files: list[ArrowFile | SpanFile] = []
        self.frames: list[Frame] = []
        self._processes: dict[tuple[str, int, str | None], int] = {}
        self._of_file: list[list[int]] = []
        for entry in inputs:
            self._open(entry)
        if not any(file.holds == "operations" for file in self.files):
            raise NothingToReadError("\n".join(map(str, self._problems)) or "there is nothing to read")
        found = {name for file in self.files if file.holds == "operations" for name in file.stages}
        self.stages = stage_table.in_order(found | {stage_table.UNATTRIBUTED})

    def _open(self, entry: Input) -> None:
        try:
            file: ArrowFile | SpanFile
            if entry.kind == "arrow":
                file = ArrowFile(entry.path)
                frames = [file.frame]
            else:
                file = otlp.read(entry.path) if entry.kind == "otlp" else jaeger.read(entry.path)
                frames = file.frames
        except (arrow.UnreadableError, jaeger.UnreadableError) as error:
            self._problems.append(Problem(str(entry.path), str(error), used=False))
            return
        except OSError as error:
            self._problems.append(Problem(str(entry.path), f"cannot be read: {error.strerror or error}", used=False))
            return
        self.files.append(file)
        self._of_file.append([self._process(frame) for frame in frames])

    def _process(self, frame: Frame) -> int:
        number = self._processes.setdefault(frame.process, len(self.frames))
        if number == len(self.frames):
            self.frames.append(frame)
        return number

    @property
    def problems(self) -> list[Problem]:
        """Everything found wrong so far; complete once the rows were read."""
        return [*self._problems, *(problem for file in self.files for problem in file.problems())]

    def chunks(self) -> Iterator[Chunk]:
        """All operations, file by file."""
        for number, file in enumerate(self.files):
            if file.holds != "operations":
                continue
            if isinstance(file, ArrowFile):
                yield from file.chunks(number, self._of_file[number][0], self.stages, self.vocabulary)
            else:
                yield from file.chunks(number, self._of_file[number], self.stages, self.vocabulary)

    def probes(self) -> dict[str, Probes]:
        """All rows of probes in order of time, by probe."""
        parts: dict[str, list[Probes]] = defaultdict(list)
        for number, file in enumerate(self.files):
            if file.holds != "probes" or not isinstance(file, ArrowFile):
                continue
            for name, rows in file.probes(self._of_file[number][0], self.vocabulary):
                parts[name].append(rows)
                if sum(map(len, parts[name])) > 2 * PROBE_ROWS:
                    parts[name] = [self._fewer(name, Probes.joined(parts[name]))]
        return {name: self._fewer(name, Probes.joined(rows)) for name, rows in parts.items()}

    def _fewer(self, name: str, rows: Probes) -> Probes:
        if len(rows) <= PROBE_ROWS:
            return rows
        if name in INTERVALS:
            longest = np.argpartition(rows.duration_ns, -PROBE_ROWS)[-PROBE_ROWS:]
            return rows.take(np.sort(longest))
        return rows.take(np.linspace(0, len(rows) - 1, PROBE_ROWS).astype(np.int64))

    def details(self, places: Iterable[Place]) -> dict[Place, Details]:
        """Segments and tracks of some operations, by file, batch and row."""
        wanted: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for file, batch, row in sorted(set(places)):
            wanted[file][batch].append(row)
        return {
            (number, batch, row): details
            for number, rows in wanted.items()
            for batch, row, details in self.files[number].details(rows)
        }
