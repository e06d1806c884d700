"""What readers hand to the analysis: frames, problems of files, and chunks of operations and probe rows as arrays.

Nothing here reads a file or computes a figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Stands for "none" in columns of codes and ids.
NONE = -1


@dataclass(frozen=True)
class Problem:
    """Something wrong with an input: which file, what, and whether the rest of it was used."""

    file: str
    what: str
    used: bool

    def __str__(self) -> str:
        return f"{self.file}: {self.what}{' (the rest is used)' if self.used else ' (ignored)'}"


@dataclass(frozen=True)
class Frame:
    """What ran where: one process of a recording, from the metadata of its files."""

    host: str = "unknown"
    pid: int = 0
    started_unix_ns: int = 0
    clock_unix_ns: int = 0
    client_version: str | None = None
    core_version: str | None = None
    python_version: str | None = None
    python_implementation: str | None = None
    python_build: str | None = None
    gil_enabled: bool | None = None
    event_loops: tuple[str, ...] = ()
    cores: int | None = None
    cpu_quota_cores: float | None = None
    platform: str | None = None
    argv0: str | None = None
    service_name: str | None = None
    stages: tuple[str, ...] = ()

    @property
    def process(self) -> tuple[str, int, str | None]:
        """What tells processes apart. Each file has a start of its own, so that cannot."""
        return (self.host, self.pid, self.service_name)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Frame:
        """Reads the fields it knows; others, of a newer client, are left out."""
        known = {name: value[name] for name in cls.__dataclass_fields__ if value.get(name) is not None}
        for name in ("stages", "event_loops"):
            if name in known:
                known[name] = tuple(str(one) for one in known[name])
        return cls(**known)


class Vocabulary:
    """Numbers for strings, shared by all chunks of a recording."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, word: str) -> int:
        """The number of a word, a new one if it was not seen before."""
        code = self._codes.get(word)
        if code is None:
            code = self._codes[word] = len(self.words)
            self.words.append(word)
        return code

    def codes(self, words: Iterable[str | None]) -> Ints:
        """Numbers of several words; ``NONE`` for none."""
        return np.array([NONE if word is None else self.code(word) for word in words], dtype=np.int64)

    def word(self, code: int) -> str | None:
        """The word of a number, or none."""
        return None if code == NONE else self.words[code]


# Integer columns of a chunk besides its stages. Columns that hold strings carry numbers of the vocabulary.
STRINGS = ("operation", "lane", "outcome", "error_type", "failed_in", "namespace", "set", "node", "thread_name")
NUMBERS = (
    "operation_id",
    "client_id",
    "start_ns",
    "duration_ns",
    "status_code",
    "sets",
    "keys",
    "attempts",
    "bytes_sent",
    "bytes_received",
    "in_flight",
    "thread_id",
    "task_id",
    "loop_id",
)
# Where a row came from, for reading its segments later.
PLACES = ("process", "file", "batch", "row")
COLUMNS = STRINGS + NUMBERS + PLACES


@dataclass
class Chunk:
    """Some operations, column by column; ``start_ns`` is wall time, ``stages`` has a row per stage."""

    columns: dict[str, Ints]
    stages: Ints
    conversions: Bools
    # Whether the ids of operations are those of the process, so that missing ones can be counted.
    numbered: bool = True

    def __len__(self) -> int:
        return int(self.columns["duration_ns"].size)

    def __getitem__(self, name: str) -> Ints:
        return self.columns[name]

    def take(self, rows: npt.NDArray[Any]) -> Chunk:
        """The chunk of some rows, by mask or index."""
        return Chunk(
            {name: column[rows] for name, column in self.columns.items()},
            self.stages[:, rows],
            self.conversions[rows],
            self.numbered,
        )


@dataclass
class Segment:
    """A stretch of one stage, relative to the operation's start."""

    stage: str
    node: str | None
    start_ns: int
    duration_ns: int


@dataclass
class Track:
    """A batch's conversation with one node, beside the critical path or on it."""

    node: str | None
    attempts: int
    start_ns: int
    duration_ns: int
    segments: list[Segment]
    # None in recordings of clients that did not say.
    bytes_received: int | None = None


@dataclass
class Details:
    """What is read only of operations that are looked at one by one."""

    segments: list[Segment] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    trace_id: str | None = None


@dataclass
class Probes:
    """The rows of one probe: ``subject`` is ``NONE`` and ``value`` not a number where there is none."""

    process: Ints
    subject: Ints
    name: Ints
    start_ns: Ints
    duration_ns: Ints
    value: Floats

    @classmethod
    def empty(cls) -> Probes:
        """No rows."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, none, none, none, np.empty(0))

    def __len__(self) -> int:
        return int(self.start_ns.size)

    def take(self, rows: npt.NDArray[Any]) -> Probes:
        """Some of the rows, by mask or index."""
        return Probes(
            self.process[rows],
            self.subject[rows],
            self.name[rows],
            self.start_ns[rows],
            self.duration_ns[rows],
            self.value[rows],
        )

    @staticmethod
    def joined(parts: list[Probes]) -> Probes:
        """All rows of several, in order of time."""
        if not parts:
            return Probes.empty()
        whole = Probes(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("process", "subject", "name", "start_ns", "duration_ns", "value")
            )
        )
        return whole.take(np.argsort(whole.start_ns, kind="stable"))


@dataclass(frozen=True)
class Input:
    """A file of a recording and what kind it is."""

    path: Path
    kind: str
