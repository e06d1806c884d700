"""Reads OTLP JSON as the OpenTelemetry collector's file exporter writes it: one export request per line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from aerospike_py_analysis.model import Frame
from aerospike_py_analysis.readers.spans import UNFIT, Span, SpanFile, moment, objects

CLIENT = (3, "3", "SPAN_KIND_CLIENT")
ERROR = (2, "2", "STATUS_CODE_ERROR")
KINDS: Final[dict[str, Callable[[Any], Any]]] = {
    "stringValue": str, "intValue": int, "doubleValue": float, "boolValue": bool
}  # fmt: skip


def read(path: Path) -> SpanFile:
    """All spans of a file; what is no request is counted and left out."""
    spans: list[Span] = []
    frames: dict[Frame, int] = {}
    broken: list[str] = []
    other = damaged = 0
    for request in requests(path, broken):
        if isinstance(request, dict) and isinstance(request.get("resourceSpans"), list):
            damaged += take(request, spans, frames)
        else:
            other += 1
    warnings = []
    if broken:
        warnings.append(f"{len(broken)} lines are no complete JSON, the first is {broken[0]}")
    if other:
        warnings.append(f"{other} export requests hold no traces")
    if damaged:
        warnings.append(
            f"{damaged} spans or lists of spans cannot be read: an id, a time or a name is missing or wrong"
        )
    return SpanFile(path, spans, list(frames), warnings)


def requests(path: Path, broken: list[str]) -> Iterator[Any]:
    """One request per line; a file that is one value, such as an indented one, is read as a whole."""
    with path.open("rb") as stream:
        first = next((line for line in stream if line.strip()), b"")
        try:
            json.loads(first)
        except ValueError:
            try:
                stream.seek(0)
                whole = json.load(stream)
            except ValueError:
                pass
            else:
                yield from whole if isinstance(whole, list) else [whole]
                return
        stream.seek(0)
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                broken.append(f"line {number}: {error}")
                continue
            yield from value if isinstance(value, list) else [value]


def take(request: dict[str, Any], spans: list[Span], frames: dict[Frame, int]) -> int:
    """Adds the spans of one request; the number of those that cannot be read."""
    resources, damaged = objects(request["resourceSpans"])
    for resource_spans in resources:
        (resource,), _ = objects([resource_spans.get("resource")], instead={})
        process = frames.setdefault(frame(attributes(resource.get("attributes"))), len(frames))
        scopes, bad = objects(resource_spans.get("scopeSpans", resource_spans.get("instrumentationLibrarySpans")))
        damaged += bad
        for scope in scopes:
            entries, bad = objects(scope.get("spans"))
            damaged += bad
            for value in entries:
                try:
                    spans.append(span(value, process))
                except UNFIT:
                    damaged += 1
    return damaged


def span(value: dict[str, Any], process: int) -> Span:
    """One span of the format."""
    return Span(
        str(value["traceId"]),
        str(value["spanId"]),
        str(value.get("parentSpanId") or ""),
        str(value["name"]),
        value.get("kind") in CLIENT,
        (value.get("status") or {}).get("code") in ERROR,
        moment(value["startTimeUnixNano"]),
        moment(value["endTimeUnixNano"]),
        attributes(value.get("attributes")),
        process,
    )


def attributes(values: Any) -> dict[str, Any]:
    """Attributes by name; those that are lists, maps or nothing at all are left out."""
    found: dict[str, Any] = {}
    for entry in objects(values)[0]:
        value = entry.get("value") or {}
        try:
            for kind, convert in KINDS.items():
                if kind in value:
                    found[str(entry["key"])] = convert(value[kind])
                    break
        except UNFIT:
            continue
    return found


def frame(resource: dict[str, Any]) -> Frame:
    """What ran where, as far as a resource says it."""

    def text(name: str) -> str | None:
        value = resource.get(name)
        return None if value is None else str(value)

    pid = text("process.pid") or ""
    return Frame(
        host=text("host.name") or "unknown",
        pid=int(pid) if pid.isascii() and pid.isdigit() else 0,
        python_version=text("process.runtime.version"),
        python_implementation=text("process.runtime.name"),
        argv0=text("process.command"),
        service_name=text("service.name"),
    )
