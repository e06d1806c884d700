"""Reads the JSON that Jaeger's query API answers with and its user interface downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aerospike_py_analysis.model import Frame
from aerospike_py_analysis.readers import otlp
from aerospike_py_analysis.readers.spans import UNFIT, Span, SpanFile, moment, objects


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
    found, damaged = objects(traces)
    for trace in found:
        named = trace.get("processes")
        processes = {
            name: frames.setdefault(frame(entry), len(frames))
            for name, entry in (named if isinstance(named, dict) else {}).items()
            if isinstance(entry, dict)
        }
        entries, bad = objects(trace.get("spans"))
        damaged += bad
        for entry in entries:
            try:
                spans.append(span(entry, processes, frames))
            except UNFIT:
                damaged += 1
    warnings = ["has times in microseconds: shorter stages are rounded"]
    if damaged:
        warnings.append(f"{damaged} spans or traces cannot be read: an id, a time or a name is missing or wrong")
    return SpanFile(path, spans, list(frames), warnings)


def span(value: dict[str, Any], processes: dict[str, int], frames: dict[Frame, int]) -> Span:
    """One span of the format."""
    tags = tags_of(value.get("tags"))
    start = moment(value["startTime"], 1000)
    process = processes.get(str(value.get("processID", "")))
    if process is None:
        process = frames.setdefault(frame(value.get("process") or {}), len(frames))
    parents = [one for one in objects(value.get("references"))[0] if one.get("refType") == "CHILD_OF"]
    return Span(
        str(value["traceID"]),
        str(value["spanID"]),
        str(parents[0]["spanID"] if parents else value.get("parentSpanID") or ""),
        str(value["operationName"]),
        tags.get("span.kind") == "client",
        tags.get("error") in (True, "true") or tags.get("otel.status_code") == "ERROR",
        start,
        start + moment(value["duration"], 1000),
        tags,
        process,
    )


def tags_of(values: Any) -> dict[str, Any]:
    """Tags by name; values that are no plain ones are left out."""
    return {
        str(tag["key"]): tag["value"]
        for tag in objects(values)[0]
        if "key" in tag and isinstance(tag.get("value"), str | int | float)
    }


def frame(process: dict[str, Any]) -> Frame:
    """What ran where, as far as a process entry says it."""
    tags = tags_of(process.get("tags"))
    return otlp.frame({"service.name": process.get("serviceName"), **tags})
