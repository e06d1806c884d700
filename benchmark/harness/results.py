"""Result files: written whole, read with a look at what they are. `docs/benchmark-format.md` describes them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORMAT, VERSION = "aerospike-py-benchmark", 1


class NotAResultError(ValueError):
    """A file is no result file, or one of another version."""


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a result file, compressed if its name ends with `.gz`; it is there as a whole or not at all."""
    text = json.dumps(document, separators=(",", ":")) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    # Without the time of day in it, the same results make the same file.
    part.write_bytes(gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode())
    part.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read a result file.

    Raises:
        NotAResultError: It is something else.
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    try:
        document = json.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        raise NotAResultError(f"{path} is no result file: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotAResultError(f"{path} is no result file of these benchmarks")
    if document.get("version") != VERSION:
        raise NotAResultError(f"{path} has version {document.get('version')} of the format, not {VERSION}")
    return document


def members(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every cell with each client in it that has rounds."""
    for cell in document["cells"]:
        for member in cell["members"]:
            if member["rounds"]:
                yield cell, member


def renamed(document: dict[str, Any], client: str, name: str) -> dict[str, Any]:
    """The same results with one client only, under another name."""
    cells = []
    for cell in document["cells"]:
        kept = [{**member, "client": name} for member in cell["members"] if member["client"] == client]
        cells.append({**cell, "members": kept})
    return {**document, "cells": cells}
