"""OTLP JSON, one export request per line, as the collector's file exporter writes it and its file receiver reads it.

The spans are those that ``init_tracing`` exports: the operation, its critical path, and a span per node with its own
stages below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count, groupby
from typing import Any, TextIO

from aerospike_py_analysis.export.rows import Row, rows
from aerospike_py_analysis.model import Frame, Segment, Track
from aerospike_py_analysis.recording import Recording

INTERNAL, CLIENT = 1, 3
PER_LINE = 200


def write(recording: Recording, stream: TextIO, limit: int | None) -> int:
    """Writes a client span per operation, with a child per stretch of a stage; their number is returned."""
    written = 0
    numbered = enumerate(rows(recording, limit))
    for (process, _), part in groupby(numbered, key=lambda pair: (pair[1].process, pair[0] // PER_LINE)):
        taken = list(part)
        written += len(taken)
        spans = [span for number, row in taken for span in spans_of(row, number)]
        resource = {"attributes": resource_attributes(recording.frames[process])}
        request = {
            "resourceSpans": [
                {"resource": resource, "scopeSpans": [{"scope": {"name": "aerospike_py"}, "spans": spans}]}
            ]
        }
        stream.write(json.dumps(request, separators=(",", ":")) + "\n")
    return written


def spans_of(row: Row, number: int) -> list[dict[str, Any]]:
    """The spans of one operation."""
    trace = row.details.trace_id or f"{row.process + 1:016x}{number + 1:016x}"
    # Room for a million spans of one operation: their numbers follow its own.
    numbers = count((number + 1) << 20)
    identity = f"{next(numbers):016x}"
    if row.conversion:
        named = {"aerospike.stage": "to_dict", "aerospike.deferred": True, "db.operation.name": row.words["operation"]}
        name = "to_dict"
    else:
        named, name = attributes_of(row), str(row.words["operation"])
    kind = INTERNAL if row.conversion else CLIENT
    whole = span(trace, identity, "", name, kind, row.start_ns, row.duration_ns, named)
    failed = row.words["outcome"] not in ("ok", "not_found", None)
    whole["status"] = {"code": 2} if failed else {}
    if row.conversion:
        return [whole]
    spans = [whole]
    for part in row.path():
        if part.duration_ns:
            spans.append(stage(trace, identity, f"{next(numbers):016x}", row.start_ns, part))
    for track in row.details.tracks:
        spans += track_spans(trace, identity, numbers, row.start_ns, track)
    return spans


def attributes_of(row: Row) -> dict[str, Any]:
    """What the span of an operation says."""
    return {
        "db.system.name": "aerospike",
        "db.operation.name": row.words["operation"],
        "db.namespace": row.words["namespace"],
        "db.collection.name": row.words["set"],
        "db.operation.batch.size": row.numbers["keys"] if (row.numbers["keys"] or 0) > 1 else None,
        "db.response.status_code": row.numbers["status_code"],
        **address(row.words["node"]),
        "error.type": row.words["error_type"],
        "aerospike.lane": row.words["lane"],
        "aerospike.outcome": row.words["outcome"],
        "aerospike.failed_in": row.words["failed_in"],
        **{
            f"aerospike.{name}": row.numbers[name]
            for name in (
                "operation_id",
                "client_id",
                "sets",
                "attempts",
                "in_flight",
                "loop_id",
                "task_id",
                "bytes_sent",
                "bytes_received",
            )
        },
        "thread.id": row.numbers["thread_id"],
        "thread.name": row.words["thread_name"],
    }


def address(node: str | None) -> dict[str, Any]:
    """A node as the conventions name a server."""
    host, _, port = (node or "").rpartition(":")
    return {"server.address": host or node, "server.port": int(port) if port.isdigit() else None}


def track_spans(trace: str, parent: str, numbers: Iterator[int], begin_ns: int, track: Track) -> list[dict[str, Any]]:
    """All that happened at one node of a batch, whether or not the batch waited for it."""
    identity = f"{next(numbers):016x}"
    start = begin_ns + track.start_ns
    named = {
        **address(track.node),
        "aerospike.attempts": track.attempts,
        "aerospike.bytes_received": track.bytes_received,
    }
    name = f"node {track.node or 'unknown'}"
    whole = span(trace, identity, parent, name, INTERNAL, start, track.duration_ns, named)
    parts = [part for part in track.segments if part.duration_ns]
    return [whole, *(stage(trace, identity, f"{next(numbers):016x}", start, part) for part in parts)]


def stage(trace: str, parent: str, identity: str, begin_ns: int, part: Segment) -> dict[str, Any]:
    """The span of a stretch of a stage."""
    named = {"aerospike.stage": part.stage, "aerospike.node": part.node}
    return span(trace, identity, parent, part.stage, INTERNAL, begin_ns + part.start_ns, part.duration_ns, named)


def span(
    trace: str, identity: str, parent: str, name: str, kind: int, start: int, duration: int, named: dict[str, Any]
) -> dict[str, Any]:
    """A span of the format."""
    return {
        "traceId": trace,
        "spanId": identity,
        "parentSpanId": parent,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + duration),
        "attributes": attributes(named),
    }


def attributes(named: dict[str, Any]) -> list[dict[str, Any]]:
    """Attributes of the format; those without a value are left out."""
    return [{"key": name, "value": value_of(value)} for name, value in named.items() if value is not None]


def value_of(value: Any) -> dict[str, Any]:
    """A value of the format, which writes whole numbers as text."""
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}


def resource_attributes(frame: Frame) -> list[dict[str, Any]]:
    """What ran where, as attributes of a resource."""
    return attributes(
        {
            "service.name": frame.service_name or "unknown_service",
            "host.name": frame.host,
            "process.pid": frame.pid,
            "process.runtime.name": frame.python_implementation,
            "process.runtime.version": frame.python_version,
            "process.command": frame.argv0,
        }
    )
