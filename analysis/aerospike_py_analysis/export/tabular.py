"""Parquet and CSV: one row per operation, with names instead of numbers and without the nested columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from aerospike_py_analysis.model import NONE, NUMBERS, STRINGS, Chunk
from aerospike_py_analysis.recording import Recording


def write(recording: Recording, path: Path, limit: int | None) -> int:
    """Writes a table; the ending of the name says which format."""
    schema = schema_of(recording)
    written = 0
    writer = (
        pa.csv.CSVWriter(path, schema)
        if path.suffix == ".csv"
        else pa.parquet.ParquetWriter(path, schema, compression="zstd")
    )
    with writer:
        for batch in batches(recording, schema):
            left = batch.num_rows if limit is None else min(batch.num_rows, limit - written)
            if left <= 0:
                break
            writer.write(batch.slice(0, left))
            written += left
    return written


def schema_of(recording: Recording) -> Any:
    """The columns of the table."""
    return pa.schema(
        [
            ("host", pa.string()),
            ("pid", pa.int64()),
            ("kind", pa.string()),
            *((name, pa.string()) for name in STRINGS),
            *((name, pa.int64()) for name in NUMBERS),
            *((f"stage_{name}_ns", pa.int64()) for name in recording.stages),
        ]
    )


def batches(recording: Recording, schema: Any) -> Iterator[Any]:
    """A batch per chunk."""
    for chunk in recording.chunks():
        yield pa.record_batch([pa.array(values) for values in columns(recording, chunk)], schema=schema)


def columns(recording: Recording, chunk: Chunk) -> Iterator[Any]:
    """The columns of a chunk in the order of the schema."""
    process = chunk["process"]
    yield pa.array([frame.host for frame in recording.frames]).take(pa.array(process))
    yield pa.array([frame.pid for frame in recording.frames]).take(pa.array(process))
    yield pa.array(["operation", "conversion"]).take(pa.array(chunk.conversions.astype(np.int64)))
    words = pa.array(recording.vocabulary.words, pa.string())
    for name in STRINGS:
        yield words.take(pa.array(chunk[name], mask=chunk[name] == NONE))
    for name in NUMBERS:
        yield pa.array(chunk[name], mask=chunk[name] == NONE)
    yield from (pa.array(values) for values in chunk.stages)
