"""Finds the files of a recording and says what each one is, by content rather than by name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from aerospike_py_analysis.model import Input, Problem

MAGIC = b"ARROW1\0\0"
NAMES = ("*.arrow", "*.json", "*.jsonl")
COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "Zstandard"}


def find(paths: Iterable[str | Path]) -> tuple[list[Input], list[Problem]]:
    """Every readable file below the paths, each once. A path is a file, a folder, or the prefix of a recording."""
    inputs: dict[Path, Input] = {}
    problems: list[Problem] = []
    for path in map(Path, paths):
        candidates = below(path)
        if not candidates:
            problems.append(Problem(str(path), "there is no such file, folder or recording prefix", used=False))
        for file in candidates:
            if file.resolve() in inputs:
                continue
            kind = kind_of(file)
            if isinstance(kind, Problem):
                problems.append(kind)
            else:
                inputs[file.resolve()] = Input(file, kind)
    return list(inputs.values()), problems


def below(path: Path) -> list[Path]:
    """The files that a path stands for."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted({file for name in NAMES for file in path.rglob(name)})
    if path.parent.is_dir():
        return sorted(path.parent.glob(f"{path.name}-*.arrow"))
    return []


def kind_of(file: Path) -> str | Problem:
    """``arrow``, ``otlp`` or ``jaeger``; a problem if it is none of them."""
    try:
        with file.open("rb") as stream:
            start = stream.read(4096)
    except OSError as error:
        return Problem(str(file), f"cannot be read: {error.strerror or error}", used=False)
    if not start:
        return Problem(str(file), "is empty", used=False)
    if start.startswith(MAGIC):
        return "arrow"
    if MAGIC.startswith(start):
        return Problem(str(file), "ends within its first eight bytes", used=False)
    for magic, name in COMPRESSED.items():
        if start.startswith(magic):
            return Problem(str(file), f"is compressed with {name}: decompress it first", used=False)
    if start.lstrip()[:1] in (b"{", b"["):
        return json_kind(file, start)
    return Problem(
        str(file),
        "is no recording: neither an Arrow IPC file, nor OTLP JSON of the collector's file exporter,"
        " nor JSON of Jaeger",
        used=False,
    )


def json_kind(file: Path, start: bytes) -> str | Problem:
    """Tells OTLP and Jaeger apart by the first key that only one of them has."""
    text = start.decode("utf-8", errors="replace")
    marks = {"otlp": '"resourceSpans"', "jaeger": '"traceID"', "metrics": '"resourceMetrics"', "logs": '"resourceLogs"'}
    places = {kind: text.find(mark) for kind, mark in marks.items() if mark in text}
    if not places:
        if empty_jaeger(text):
            return Problem(str(file), "is Jaeger JSON without a trace", used=False)
        return Problem(str(file), "is JSON, but neither OTLP traces nor traces of Jaeger", used=False)
    kind = min(places, key=lambda name: places[name])
    if kind in ("metrics", "logs"):
        return Problem(str(file), f"is OTLP JSON of {kind}: only traces are analysed", used=False)
    return kind


def empty_jaeger(text: str) -> bool:
    """Whether this is what Jaeger's query API answers when it found nothing."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and not value.get("data", True)
