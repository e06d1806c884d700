"""Reads the Arrow files of the recorder, with their footer or without it, batch by batch.

What a file without footer still holds is read as a stream; a torn end costs the batches that are incomplete and no
more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aerospike_py_analysis.model import (
    NONE,
    NUMBERS,
    STRINGS,
    Chunk,
    Details,
    Floats,
    Frame,
    Ints,
    Probes,
    Problem,
    Segment,
    Track,
    Vocabulary,
)

VERSION = "1"
REQUIRED = ("operation", "lane", "start_ns", "duration_ns")
REQUIRED_OF_PROBES = ("probe", "start_ns")
# Rows that are turned into one chunk: enough for numpy's fixed costs to vanish, little enough to fit into caches.
CHUNK_ROWS = 65_536
PREFIX, SUFFIX = "stage_", "_ns"


class UnreadableError(Exception):
    """A file of which nothing can be used; the message says why."""


class ArrowFile:
    """One file of a recording: its frame and schema at once, its rows on demand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn: str | None = None
        self.warnings: list[str] = []
        self.complete, self.schema = self._open()
        metadata = {
            key.decode(errors="replace"): value.decode(errors="replace")
            for key, value in (self.schema.metadata or {}).items()
        }
        version = metadata.get("aerospike_py.trace.version")
        if version is None:
            raise UnreadableError(
                "is an Arrow file, but no recording of aerospike-py: its schema has no aerospike_py.trace.version"
            )
        if version != VERSION:
            self.warnings.append(
                f"has version {version} of the format, this reader knows {VERSION}: unknown columns are left out"
            )
        self.frame = self._frame(metadata.get("aerospike_py.frame"))
        self.holds = "probes" if "probe" in self.schema.names else "operations"
        required = REQUIRED_OF_PROBES if self.holds == "probes" else REQUIRED
        missing = [name for name in required if name not in self.schema.names]
        if missing:
            raise UnreadableError(f"lacks the columns {', '.join(missing)}")

    def _open(self) -> tuple[bool, Any]:
        """Whether the file has a footer, and its schema."""
        with pa.memory_map(str(self.path)) as source:
            size = source.size()
            try:
                return True, named(pa.ipc.open_file(source).schema)
            except (pa.ArrowException, OSError, ValueError):
                pass
            try:
                source.seek(8)
                return False, named(pa.ipc.open_stream(source).schema)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise UnreadableError(f"has no readable schema in its {size} bytes: {first_line(error)}") from None

    def _frame(self, text: str | None) -> Frame:
        try:
            value = json.loads(text) if text is not None else None
            if isinstance(value, dict):
                return Frame.from_json(value)
        except (ValueError, TypeError):
            pass
        self.warnings.append("has no readable aerospike_py.frame: what ran where is unknown, times are not wall times")
        return Frame()

    @property
    def stages(self) -> list[str]:
        """Names of the stages it has columns for."""
        return [
            name[len(PREFIX) : -len(SUFFIX)]
            for name in self.schema.names
            if name.startswith(PREFIX) and name.endswith(SUFFIX)
        ]

    def batches(self, columns: list[str]) -> Iterator[tuple[int, Any]]:
        """Number and content of every complete batch, only with the columns asked for."""
        wanted = [i for i, name in enumerate(self.schema.names) if name in columns]
        options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
        self.torn = None
        with pa.memory_map(str(self.path)) as source:
            if self.complete:
                file = pa.ipc.open_file(source, options=options)
                for number in range(file.num_record_batches):
                    try:
                        yield number, valid(file.get_batch(number))
                    except (pa.ArrowException, OSError, ValueError) as error:
                        self.torn = f"batch {number} of {file.num_record_batches} is broken: {first_line(error)}"
                return
            source.seek(8)
            number = 0
            try:
                for batch in pa.ipc.open_stream(source, options=options):
                    yield number, valid(batch)
                    number += 1
            except (pa.ArrowException, OSError, ValueError) as error:
                self.torn = f"ends within batch {number}: it is being written or its process died ({first_line(error)})"

    def batch(self, wanted: set[int], columns: list[str]) -> Iterator[tuple[int, Any]]:
        """Some batches by number, without decompressing the others where the file has a footer."""
        if not self.complete:
            yield from ((number, batch) for number, batch in self.batches(columns) if number in wanted)
            return
        indices = [i for i, name in enumerate(self.schema.names) if name in columns]
        options = pa.ipc.IpcReadOptions(included_fields=indices, use_threads=False)
        with pa.memory_map(str(self.path)) as source:
            file = pa.ipc.open_file(source, options=options)
            for number in sorted(wanted):
                try:
                    yield number, valid(file.get_batch(number))
                except (pa.ArrowException, OSError, ValueError) as error:
                    self.torn = f"batch {number} has broken segments: {first_line(error)}"

    def chunks(self, number: int, process: int, stages: list[str], vocabulary: Vocabulary) -> Iterator[Chunk]:
        """Its operations, in chunks of many batches."""
        own = self.stages
        columns = ["kind", *STRINGS, *NUMBERS, *(f"{PREFIX}{name}{SUFFIX}" for name in own)]
        waiting: list[tuple[int, Any]] = []
        rows = 0
        for place, batch in self.batches(columns):
            waiting.append((place, batch))
            rows += batch.num_rows
            if rows >= CHUNK_ROWS:
                yield self._chunk(waiting, number, process, stages, vocabulary)
                waiting, rows = [], 0
        if rows:
            yield self._chunk(waiting, number, process, stages, vocabulary)

    def _chunk(
        self, batches: list[tuple[int, Any]], number: int, process: int, stages: list[str], vocabulary: Vocabulary
    ) -> Chunk:
        table = pa.Table.from_batches([batch for _, batch in batches])
        rows = table.num_rows
        columns = {name: strings(table, name, vocabulary) for name in STRINGS}
        columns.update({name: integers(table, name) for name in NUMBERS})
        columns["start_ns"] = columns["start_ns"] + self.frame.clock_unix_ns
        columns["process"] = np.full(rows, process, dtype=np.int64)
        columns["file"] = np.full(rows, number, dtype=np.int64)
        counts = [batch.num_rows for _, batch in batches]
        columns["batch"] = np.repeat(np.array([place for place, _ in batches], dtype=np.int64), counts)
        columns["row"] = np.concatenate([np.arange(count, dtype=np.int64) for count in counts])
        conversions = np.zeros(rows, dtype=np.bool_)
        if "kind" in table.column_names:
            conversions = pc.fill_null(pc.equal(table["kind"], "conversion"), False).to_numpy()
        values = np.zeros((len(stages), rows), dtype=np.int64)
        for position, name in enumerate(stages):
            column = f"{PREFIX}{name}{SUFFIX}"
            if column in table.column_names:
                values[position] = integers(table, column, 0)
        # Whatever the file leaves unexplained, so that stages add up to the wall time on every recording.
        values[-1] += columns["duration_ns"] - values.sum(axis=0)
        return Chunk(columns, values, conversions)

    def details(self, rows: dict[int, list[int]]) -> Iterator[tuple[int, int, Details]]:
        """Segments and tracks of some rows, by number of batch."""
        names = self.frame.stages
        for place, batch in self.batch(set(rows), ["nodes", "segments", "tracks", "trace_id"]):
            taken = batch.take(pa.array(rows[place]))
            for row, value in zip(rows[place], taken.to_pylist(), strict=True):
                yield place, row, details_of(value, names)

    def probes(self, process: int, vocabulary: Vocabulary) -> Iterator[tuple[str, Probes]]:
        """Its rows by probe."""
        columns = ["probe", "subject", "name", "start_ns", "duration_ns", "value"]
        for _, batch in self.batches(columns):
            table = pa.Table.from_batches([batch])
            kinds = strings(table, "probe", vocabulary)
            rows = Probes(
                np.full(table.num_rows, process, dtype=np.int64),
                integers(table, "subject"),
                strings(table, "name", vocabulary),
                integers(table, "start_ns") + self.frame.clock_unix_ns,
                integers(table, "duration_ns", 0),
                floats(table, "value"),
            )
            for kind in np.unique(kinds):
                yield vocabulary.word(int(kind)) or "", rows.take(kinds == kind)

    def problems(self) -> list[Problem]:
        """What was found wrong so far; complete once the rows were read."""
        return [
            Problem(str(self.path), what, used=True) for what in [*self.warnings, *([self.torn] if self.torn else [])]
        ]


def named(schema: Any) -> Any:
    """The schema, if its names are text."""
    if len(set(schema.names)) < len(schema.names):
        raise ValueError("two columns have the same name")
    return schema


def valid(batch: Any) -> Any:
    """The batch, if no offset of it leads beyond what it holds: Arrow itself trusts what it reads."""
    batch.validate(full=True)
    return batch


def first_line(error: BaseException) -> str:
    """The part of an error of Arrow that says what happened, without its context."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def integers(table: Any, name: str, absent: int = NONE) -> Ints:
    """A column as 64-bit integers; ``absent`` where it has no value or does not exist."""
    if name not in table.column_names:
        return np.full(table.num_rows, absent, dtype=np.int64)
    column = table[name]
    if column.null_count:
        column = pc.fill_null(column.cast(pa.int64()), absent)
    return np.asarray(column.to_numpy()).astype(np.int64, copy=False)


def floats(table: Any, name: str) -> Floats:
    """A column as numbers; not a number where it has no value."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(pc.fill_null(table[name].cast(pa.float64()), float("nan")).to_numpy())


def strings(table: Any, name: str, vocabulary: Vocabulary) -> Ints:
    """A column of strings as numbers of the vocabulary."""
    if name not in table.column_names:
        return np.full(table.num_rows, NONE, dtype=np.int64)
    column = table[name].combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = vocabulary.codes(encoded.dictionary.to_pylist())
    indices = np.asarray(pc.fill_null(encoded.indices, len(codes)).to_numpy(zero_copy_only=False))
    found: Ints = np.append(codes, NONE)[indices]
    return found


def details_of(row: dict[str, Any], stages: tuple[str, ...]) -> Details:
    """Segments and tracks of a row with the names that their numbers stand for."""
    nodes = row.get("nodes") or []

    def segments(values: list[dict[str, int]] | None) -> list[Segment]:
        return [
            Segment(
                stages[value["stage"]] if value["stage"] < len(stages) else f"stage {value['stage']}",
                nodes[value["node"]] if value["node"] < len(nodes) else None,
                value["start_ns"],
                value["duration_ns"],
            )
            for value in values or []
        ]

    tracks = [
        Track(
            nodes[track["node"]] if track["node"] < len(nodes) else None,
            track["attempts"],
            track["start_ns"],
            track["duration_ns"],
            segments(track.get("segments")),
            track.get("bytes_received"),
        )
        for track in row.get("tracks") or []
    ]
    trace_id = row.get("trace_id")
    return Details(segments(row.get("segments")), tracks, trace_id.hex() if trace_id else None)
