"""OTLP JSON, one export request per line, as the collector's file exporter writes it and its file receiver reads it."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any, TextIO

from aerospike_py_analysis.export.rows import Row, rows
from aerospike_py_analysis.model import Frame, Segment
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
    identity = f"{(number + 1) << 20:016x}"
    host, _, port = (row.words["node"] or "").rpartition(":")
    named = {
        "db.system.name": "aerospike",
        "db.operation.name": row.words["operation"],
        "db.namespace": row.words["namespace"],
        "db.collection.name": row.words["set"],
        "db.operation.batch.size": row.numbers["keys"] if (row.numbers["keys"] or 0) > 1 else None,
        "server.address": host or row.words["node"],
        "server.port": int(port) if port.isdigit() else None,
        "error.type": row.words["error_type"],
        "aerospike.lane": row.words["lane"],
        "aerospike.outcome": row.words["outcome"],
        "aerospike.failed_in": row.words["failed_in"],
        **{
            f"aerospike.{name}": row.numbers[name]
            for name in ("attempts", "in_flight", "loop_id", "task_id", "bytes_sent", "bytes_received")
        },
        "thread.id": row.numbers["thread_id"],
    }
    failed = row.words["outcome"] not in ("ok", "not_found", None)
    whole = span(trace, identity, "", f"{row.words['operation']}", CLIENT, row.start_ns, row.duration_ns, named)
    whole["status"] = {"code": 2} if failed else {}
    parts = [part for part in row.path() if part.duration_ns]
    return [
        whole,
        *(
            stage(trace, identity, f"{((number + 1) << 20) + i + 1:016x}", row.start_ns, part)
            for i, part in enumerate(parts)
        ),
    ]


def stage(trace: str, parent: str, identity: str, begin_ns: int, part: Segment) -> dict[str, Any]:
    """The span of a stretch of a stage."""
    return span(
        trace,
        identity,
        parent,
        part.stage,
        INTERNAL,
        begin_ns + part.start_ns,
        part.duration_ns,
        {"aerospike.stage": part.stage},
    )


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
    return [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}}
        for name, value in named.items()
        if value is not None
    ]


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
