"""Reads OTLP JSON as the OpenTelemetry collector's file exporter writes it: one export request per line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aerospike_py_analysis.model import Frame
from aerospike_py_analysis.readers.spans import Span, SpanFile

CLIENT = (3, "3", "SPAN_KIND_CLIENT")
ERROR = (2, "2", "STATUS_CODE_ERROR")


def read(path: Path) -> SpanFile:
    """All spans of a file; lines that are no request are counted and left out."""
    spans: list[Span] = []
    frames: dict[Frame, int] = {}
    broken: list[str] = []
    other = damaged = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                request = json.loads(line)
            except ValueError as error:
                broken.append(f"line {number}: {error}")
                continue
            if not isinstance(request, dict) or not isinstance(request.get("resourceSpans"), list):
                other += 1
                continue
            damaged += take(request, spans, frames)
    warnings = []
    if broken:
        warnings.append(f"{len(broken)} lines are no complete JSON, the first is {broken[0]}")
    if other:
        warnings.append(f"{other} lines hold no traces")
    if damaged:
        warnings.append(f"{damaged} spans lack an id, a time or a name")
    return SpanFile(path, spans, list(frames), warnings)


def take(request: dict[str, Any], spans: list[Span], frames: dict[Frame, int]) -> int:
    """Adds the spans of one request; the number of those that cannot be read."""
    damaged = 0
    for resource_spans in request["resourceSpans"]:
        resource = attributes(resource_spans.get("resource", {}).get("attributes"))
        process = frames.setdefault(frame(resource), len(frames))
        for scope_spans in resource_spans.get("scopeSpans", resource_spans.get("instrumentationLibrarySpans", [])):
            for value in scope_spans.get("spans", []):
                try:
                    spans.append(span(value, process))
                except (AttributeError, KeyError, TypeError, ValueError):
                    damaged += 1
    return damaged


def span(value: dict[str, Any], process: int) -> Span:
    """One span of the format."""
    return Span(
        value["traceId"],
        value["spanId"],
        value.get("parentSpanId", ""),
        value["name"],
        value.get("kind") in CLIENT,
        value.get("status", {}).get("code") in ERROR,
        int(value["startTimeUnixNano"]),
        int(value["endTimeUnixNano"]),
        attributes(value.get("attributes")),
        process,
    )


def attributes(values: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Attributes by name; those that are lists or maps are left out."""
    found: dict[str, Any] = {}
    for entry in values or []:
        value = entry.get("value", {})
        if "stringValue" in value:
            found[entry["key"]] = value["stringValue"]
        elif "intValue" in value:
            found[entry["key"]] = int(value["intValue"])
        elif "doubleValue" in value:
            found[entry["key"]] = float(value["doubleValue"])
        elif "boolValue" in value:
            found[entry["key"]] = bool(value["boolValue"])
    return found


def frame(resource: dict[str, Any]) -> Frame:
    """What ran where, as far as a resource says it."""
    version = resource.get("process.runtime.version")
    pid = resource.get("process.pid")
    return Frame(
        host=str(resource.get("host.name", "unknown")),
        pid=int(pid) if isinstance(pid, int | str) and str(pid).isdigit() else 0,
        python_version=str(version) if version is not None else None,
        python_implementation=resource.get("process.runtime.name"),
        argv0=resource.get("process.command"),
        service_name=resource.get("service.name"),
    )
