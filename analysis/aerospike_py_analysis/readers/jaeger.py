"""Reads the JSON that Jaeger's query API answers with and its user interface downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aerospike_py_analysis.model import Frame
from aerospike_py_analysis.readers import otlp
from aerospike_py_analysis.readers.spans import Span, SpanFile


class UnreadableError(Exception):
    """A file of which nothing can be used; the message says why."""


def read(path: Path) -> SpanFile:
    """All spans of a file. It is one JSON value, so that a truncated file holds nothing that can be read."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise UnreadableError(f"is no complete JSON: {error}") from None
    traces = value.get("data") if isinstance(value, dict) else value
    if isinstance(traces, dict):
        traces = [traces]
    if not isinstance(traces, list):
        raise UnreadableError("is JSON, but its data is no list of traces")
    spans: list[Span] = []
    frames: dict[Frame, int] = {}
    damaged = 0
    for trace in traces:
        if not isinstance(trace, dict):
            damaged += 1
            continue
        processes = {
            name: frames.setdefault(frame(entry), len(frames)) for name, entry in trace.get("processes", {}).items()
        }
        for entry in trace.get("spans", []):
            try:
                spans.append(span(entry, processes, frames))
            except (AttributeError, KeyError, TypeError, ValueError):
                damaged += 1
    warnings = ["has times in microseconds: shorter stages are rounded"]
    if damaged:
        warnings.append(f"{damaged} spans lack an id, a time or a name")
    return SpanFile(path, spans, list(frames), warnings)


def span(value: dict[str, Any], processes: dict[str, int], frames: dict[Frame, int]) -> Span:
    """One span of the format."""
    tags = tags_of(value.get("tags"))
    start = int(value["startTime"]) * 1000
    process = processes.get(value.get("processID", ""))
    if process is None:
        process = frames.setdefault(frame(value.get("process") or {}), len(frames))
    parents = [reference for reference in value.get("references") or [] if reference.get("refType") == "CHILD_OF"]
    return Span(
        value["traceID"],
        value["spanID"],
        parents[0]["spanID"] if parents else value.get("parentSpanID", ""),
        value["operationName"],
        tags.get("span.kind") == "client",
        tags.get("error") in (True, "true") or tags.get("otel.status_code") == "ERROR",
        start,
        start + int(value["duration"]) * 1000,
        tags,
        process,
    )


def tags_of(values: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Tags by name."""
    return {tag["key"]: tag["value"] for tag in values or []}


def frame(process: dict[str, Any]) -> Frame:
    """What ran where, as far as a process entry says it."""
    tags = tags_of(process.get("tags"))
    return otlp.frame({"service.name": process.get("serviceName"), **tags})
