"""Operations from client spans: what the OTLP and the Jaeger reader share.

A client span named by the database conventions is an operation. Its children with an ``aerospike.stage`` attribute
are the
critical path. Children with a server's address are a batch's tracks; where the operation has no network stage of its
own, the
track that ended last is taken for the critical path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aerospike_py_analysis.model import COLUMNS, NONE, Chunk, Details, Frame, Problem, Segment, Track, Vocabulary

# What reading a value of another shape than is expected raises.
UNFIT = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
# What fits into a column; the year 2200 is below it.
LARGEST = 1 << 62
SYSTEMS = ("db.system.name", "db.system")
NETWORK = ("network_write", "network_wait", "network_read")


@dataclass(frozen=True, slots=True)
class Span:
    """One span of either format; times are nanoseconds since 1970."""

    trace: str
    identity: str
    parent: str
    name: str
    client: bool
    failed: bool
    start: int
    end: int
    attributes: dict[str, Any]
    process: int


def objects(values: Any, instead: dict[str, Any] | None = None) -> tuple[list[dict[str, Any]], int]:
    """The objects of a JSON list, and how many of its values are none; those are left out or replaced."""
    if values is None:
        return [], 0
    if not isinstance(values, list):
        return [], 1
    found = [value if isinstance(value, dict) else instead for value in values]
    fit = [value for value in found if value is not None]
    return fit, sum(not isinstance(value, dict) for value in values)


def moment(value: Any, factor: int = 1) -> int:
    """A time or duration in nanoseconds."""
    number = int(value) * factor
    if not 0 <= number < LARGEST:
        raise ValueError("a time lies outside of what a clock can show")
    return number


class SpanFile:
    """All operations of one file of spans."""

    holds = "operations"

    def __init__(self, path: Path, spans: list[Span], frames: list[Frame], warnings: list[str]) -> None:
        self.path = path
        self.frames = frames
        self.warnings = warnings
        children: dict[tuple[str, str], list[Span]] = defaultdict(list)
        for span in spans:
            children[span.trace, span.parent].append(span)
        self.rows = [operation(span, children) for span in spans if is_operation(span)]
        operations = {(span.trace, span.identity): span for span in spans if is_operation(span)}
        self.rows += [
            conversion(span, operations.get((span.trace, span.parent))) for span in spans if is_deferred(span)
        ]
        if not self.rows:
            self.warnings.append("holds no client span of Aerospike")
        elif not any(row.stages for row in self.rows):
            self.warnings.append("holds operations, but no span with aerospike.stage: their time cannot be explained")
        overlong = sum(sum(row.stages.values()) > row.duration for row in self.rows)
        if overlong:
            self.warnings.append(f"{overlong} operations have stages longer than themselves: those were scaled to fit")

    @property
    def stages(self) -> list[str]:
        """Names of the stages that occur."""
        return sorted({name for row in self.rows for name in row.stages})

    def chunks(self, number: int, processes: list[int], stages: list[str], vocabulary: Vocabulary) -> Iterator[Chunk]:
        """One chunk of everything."""
        if not self.rows:
            return
        rows = len(self.rows)
        columns = {name: np.full(rows, NONE, dtype=np.int64) for name in COLUMNS}
        values = np.zeros((len(stages), rows), dtype=np.int64)
        positions = {name: position for position, name in enumerate(stages)}
        for i, row in enumerate(self.rows):
            for name, word in row.words.items():
                columns[name][i] = NONE if word is None else vocabulary.code(word)
            for name, value in row.numbers.items():
                columns[name][i] = value
            columns["process"][i] = processes[row.process]
            for name, value in row.stages.items():
                values[positions[name], i] = value
        columns["file"][:] = number
        columns["batch"][:] = 0
        columns["row"][:] = np.arange(rows)
        values[-1] += columns["duration_ns"] - values.sum(axis=0)
        yield Chunk(columns, values, np.array([row.conversion for row in self.rows]), numbered=False)

    def details(self, rows: dict[int, list[int]]) -> Iterator[tuple[int, int, Details]]:
        """Segments and tracks of some rows."""
        for row in rows.get(0, []):
            yield 0, row, self.rows[row].details

    def problems(self) -> list[Problem]:
        """What was found wrong."""
        return [Problem(str(self.path), what, used=True) for what in self.warnings]


@dataclass(slots=True)
class Operation:
    """A row before it becomes part of arrays."""

    process: int
    duration: int
    words: dict[str, str | None]
    numbers: dict[str, int]
    stages: dict[str, int]
    details: Details
    conversion: bool = False


def is_operation(span: Span) -> bool:
    """Whether this is an operation's own span and not one of its nodes or stages."""
    attributes = span.attributes
    if "aerospike.stage" in attributes:
        return False
    return (
        span.client
        and any(attributes.get(name) == "aerospike" for name in SYSTEMS)
        and "db.operation.name" in attributes
    )


def is_deferred(span: Span) -> bool:
    """Whether this is a conversion after the operation's own wall time."""
    return span.attributes.get("aerospike.deferred") in (True, "true")


def address(attributes: dict[str, Any]) -> str | None:
    """``host:port`` of the node that a span talks to."""
    host = attributes.get("server.address")
    if host is None:
        node = attributes.get("aerospike.node")
        return None if node is None else str(node)
    port = attributes.get("server.port")
    return str(host) if port is None else f"{host}:{port}"


def operation(span: Span, children: dict[tuple[str, str], list[Span]]) -> Operation:
    """A row of a client span and what is below it."""
    below = sorted(children.get((span.trace, span.identity), []), key=lambda child: child.start)
    own = [child for child in below if "aerospike.stage" in child.attributes and not is_deferred(child)]
    tracks = []
    for child in below:
        if "aerospike.stage" not in child.attributes and address(child.attributes) is not None:
            inner = sorted(children.get((child.trace, child.identity), []), key=lambda grandchild: grandchild.start)
            tracks.append((child, [g for g in inner if "aerospike.stage" in g.attributes]))
    path = list(own)
    if tracks and not any(stage_of(child) in NETWORK for child in own):
        path += max(tracks, key=lambda track: track[0].end)[1]
        path.sort(key=lambda child: child.start)
    duration = max(span.end - span.start, 0)
    stages: dict[str, int] = defaultdict(int)
    for child in path:
        stages[stage_of(child)] += max(child.end - child.start, 0)
    total = sum(stages.values())
    if total > duration:
        stages = defaultdict(int, {name: value * duration // total for name, value in stages.items()})
    return Operation(
        span.process,
        duration,
        words(span),
        numbers(span, duration, tracks),
        dict(stages),
        Details(
            [segment(child, span) for child in path],
            [
                Track(
                    address(t.attributes),
                    whole(t.attributes.get("aerospike.attempts"), 1) or 1,
                    t.start - span.start,
                    max(t.end - t.start, 0),
                    [segment(g, t) for g in inner],
                    whole(t.attributes.get("aerospike.bytes_received")),
                )
                for t, inner in tracks
            ],
            span.trace,
        ),
    )


def conversion(span: Span, parent: Span | None) -> Operation:
    """A lazy batch that became Python objects later, of the operation above it if that is in the file."""
    named = {**(parent.attributes if parent is not None else {}), **span.attributes}
    duration = max(span.end - span.start, 0)
    return Operation(
        span.process,
        duration,
        {
            "operation": str(named.get("db.operation.name", "unknown")),
            "lane": str(named.get("aerospike.lane", "unknown")),
        },
        {"start_ns": span.start, "duration_ns": duration},
        {stage_of(span): duration},
        Details(),
        conversion=True,
    )


def stage_of(span: Span) -> str:
    """The stage that a span stands for."""
    value = span.attributes["aerospike.stage"]
    return value if isinstance(value, str) and value else span.name


def segment(span: Span, parent: Span) -> Segment:
    """A stage's span relative to its parent."""
    start = max(span.start - parent.start, 0)
    return Segment(stage_of(span), address(span.attributes), start, max(span.end - span.start, 0))


def words(span: Span) -> dict[str, str | None]:
    """The columns of strings."""
    attributes = span.attributes
    outcome = attributes.get("aerospike.outcome")
    error = attributes.get("error.type")
    failed = span.failed or error is not None

    def text(*names: str) -> str | None:
        return next((str(attributes[name]) for name in names if attributes.get(name) is not None), None)

    return {
        "operation": str(attributes["db.operation.name"]),
        "lane": text("aerospike.lane") or "unknown",
        "outcome": str(outcome) if outcome is not None else "server_error" if failed else "ok",
        "error_type": text("error.type"),
        "failed_in": text("aerospike.failed_in"),
        "namespace": text("db.namespace"),
        "set": text("db.collection.name"),
        "node": address(attributes),
        "thread_name": text("thread.name"),
    }


def numbers(span: Span, duration: int, tracks: list[tuple[Span, list[Span]]]) -> dict[str, int]:
    """The columns of numbers; what a span does not say stays none."""
    values = {"start_ns": span.start, "duration_ns": duration, "keys": 1, "attempts": max(len(tracks), 1)}
    named = {
        "operation_id": "aerospike.operation_id",
        "client_id": "aerospike.client_id",
        "sets": "aerospike.sets",
        "keys": "db.operation.batch.size",
        "attempts": "aerospike.attempts",
        "thread_id": "thread.id",
        "loop_id": "aerospike.loop_id",
        "task_id": "aerospike.task_id",
        "in_flight": "aerospike.in_flight",
        "status_code": "db.response.status_code",
        "bytes_sent": "aerospike.bytes_sent",
        "bytes_received": "aerospike.bytes_received",
    }
    for column, name in named.items():
        value = whole(span.attributes.get(name))
        if value is not None:
            values[column] = value
    return values


def whole(value: Any, absent: int | None = None) -> int | None:
    """A whole number that fits into a column."""
    try:
        number = int(value)
    except UNFIT:
        return absent
    return number if abs(number) < LARGEST else absent
