"""Builds recordings in the format of docs/trace-format.md, with planted situations. It knows nothing of the readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

STAGES = (
    "key_parse",
    "dispatch",
    "limiter_wait",
    "pool_acquire",
    "encode",
    "tokio_timer",
    "network_write",
    "network_wait",
    "network_read",
    "decode",
    "wake_delay",
    "backoff",
    "fan_in",
    "gil_reacquire",
    "loop_wait",
    "event_loop_resume",
    "to_dict",
    "unattributed",
)
SEGMENT = pa.struct(
    [("stage", pa.uint8()), ("node", pa.uint8()), ("start_ns", pa.uint64()), ("duration_ns", pa.uint64())]
)
TRACK = pa.struct(
    [
        ("node", pa.uint8()),
        ("attempts", pa.uint16()),
        ("start_ns", pa.uint64()),
        ("duration_ns", pa.uint64()),
        ("segments", pa.list_(SEGMENT)),
        ("bytes_sent", pa.uint64()),
        ("bytes_received", pa.uint64()),
    ]
)
OPERATIONS = pa.schema(
    [
        ("kind", pa.string()),
        ("operation_id", pa.uint64()),
        ("client_id", pa.uint32()),
        ("operation", pa.string()),
        ("lane", pa.string()),
        ("start_ns", pa.uint64()),
        ("duration_ns", pa.uint64()),
        ("outcome", pa.string()),
        ("error_type", pa.string()),
        ("status_code", pa.int32()),
        ("failed_in", pa.string()),
        ("namespace", pa.string()),
        ("set", pa.string()),
        ("sets", pa.uint16()),
        ("keys", pa.uint32()),
        ("attempts", pa.uint16()),
        ("bytes_sent", pa.uint64()),
        ("bytes_received", pa.uint64()),
        ("in_flight", pa.uint32()),
        ("node", pa.string()),
        ("thread_id", pa.uint64()),
        ("thread_name", pa.string()),
        ("task_id", pa.uint64()),
        ("task_name", pa.string()),
        ("loop_id", pa.uint64()),
        ("trace_id", pa.binary(16)),
        ("span_id", pa.binary(8)),
        *((f"stage_{name}_ns", pa.uint64()) for name in STAGES),
        ("nodes", pa.list_(pa.string())),
        ("segments", pa.list_(SEGMENT)),
        ("tracks", pa.list_(TRACK)),
    ]
)
CONVERSIONS = pa.schema(
    [
        OPERATIONS.field(name)
        for name in (
            "kind",
            "operation_id",
            "operation",
            "lane",
            "start_ns",
            "duration_ns",
            "thread_id",
            "thread_name",
            "stage_to_dict_ns",
        )
    ]
)
PROBES = pa.schema(
    [
        ("probe", pa.string()),
        ("subject", pa.uint64()),
        ("name", pa.string()),
        ("start_ns", pa.uint64()),
        ("duration_ns", pa.uint64()),
        ("value", pa.float64()),
    ]
)
CLOCK = 1_790_000_000_000_000_000
MS = 1_000_000
# What a healthy read of one record is made of, in microseconds.
HEALTHY = {
    "key_parse": 3,
    "dispatch": 4,
    "pool_acquire": 3,
    "encode": 2,
    "tokio_timer": 1,
    "network_write": 9,
    "network_wait": 120,
    "network_read": 4,
    "decode": 4,
    "wake_delay": 6,
    "gil_reacquire": 3,
    "to_dict": 4,
    "unattributed": 1,
}


class Recording:
    """Rows that are added one by one, and the files that are written from them."""

    def __init__(self, seed: int = 7, **frame: Any) -> None:
        self.random = np.random.default_rng(seed)
        self.rows: list[dict[str, Any]] = []
        self.probes: list[dict[str, Any]] = []
        self.now = 1_000 * MS
        self.frame = {
            "host": "host-a",
            "pid": 4242,
            "started_unix_ns": CLOCK,
            "clock_unix_ns": CLOCK,
            "client_version": "1.0.0",
            "core_version": "3.0.0",
            "python_version": "3.11.7",
            "python_implementation": "CPython",
            "python_build": "gil",
            "gil_enabled": True,
            "cores": 4,
            "cpu_quota_cores": None,
            "platform": "linux-x86_64",
            "argv0": "app.py",
            "service_name": "features",
            "stages": list(STAGES),
            **frame,
        }

    def healthy(self, **more: float) -> dict[str, int]:
        """The stages of a healthy operation with some noise; ``more`` adds nanoseconds to stages."""
        stages = {name: int(value * 1000 * self.random.lognormal(0, 0.25)) for name, value in HEALTHY.items()}
        for name, value in more.items():
            stages[name] = stages.get(name, 0) + int(value)
        return stages

    def add(
        self, stages: dict[str, int], operation: str = "get", lane: str = "sync", gap_ns: int = 300_000, **columns: Any
    ) -> dict[str, Any]:
        """Adds an operation; the clock moves on by ``gap_ns`` unless ``start_ns`` is given."""
        duration = sum(stages.values())
        start = columns.pop("start_ns", None)
        if start is None:
            start = self.now
            self.now += gap_ns
        node = columns.pop("node", "10.0.0.1:3000")
        segments, at = [], 0
        for name in STAGES:
            if stages.get(name):
                segments.append(
                    {
                        "stage": STAGES.index(name),
                        "node": 0 if name.startswith("network") else 255,
                        "start_ns": at,
                        "duration_ns": stages[name],
                    }
                )
                at += stages[name]
        row = {
            "kind": "operation",
            "operation_id": len(self.rows) + 1,
            "client_id": 1,
            "operation": operation,
            "lane": lane,
            "start_ns": start,
            "duration_ns": duration,
            "outcome": "ok",
            "namespace": "test",
            "set": "users",
            "sets": 1,
            "keys": 1,
            "attempts": 1,
            "bytes_sent": 90,
            "bytes_received": 300,
            "in_flight": 1,
            "node": node,
            "thread_id": 77,
            "thread_name": "MainThread",
            "loop_id": 1 if lane == "asyncio" else None,
            "task_id": len(self.rows) if lane == "asyncio" else None,
            "nodes": [node],
            "segments": segments,
            "tracks": [],
            **{f"stage_{name}_ns": stages.get(name, 0) for name in STAGES},
            **columns,
        }
        self.rows.append(row)
        return row

    def probe(self, probe: str, start_ns: int, duration_ns: int | None = None, **columns: Any) -> None:
        """Adds a row of a probe."""
        self.probes.append(
            {
                "probe": probe,
                "start_ns": start_ns,
                "duration_ns": duration_ns,
                "subject": None,
                "name": None,
                "value": None,
                **columns,
            }
        )

    def write(
        self,
        folder: Path,
        number: int = 0,
        footer: bool = True,
        batch: int = 500,
        version: str = "1",
        rows: slice = slice(None),
    ) -> Path:
        """Writes the files and returns that of the operations."""
        metadata = {"aerospike_py.trace.version": version, "aerospike_py.frame": json.dumps(self.frame)}
        stem = f"rec-{self.frame['host']}-{self.frame['pid']}-{number}"
        path = folder / f"{stem}.operations.arrow"
        conversions = [row for row in self.rows[rows] if row["kind"] == "conversion"]
        operations = [row for row in self.rows[rows] if row["kind"] != "conversion"]
        write(path, OPERATIONS.with_metadata(metadata), operations, footer, batch)
        if conversions:
            later = folder / f"{stem}.conversions.arrow"
            write(later, CONVERSIONS.with_metadata(metadata), conversions, footer, batch)
        if self.probes:
            write(folder / f"{stem}.probes.arrow", PROBES.with_metadata(metadata), self.probes, footer, batch)
        return path


def write(path: Path, schema: pa.Schema, rows: list[dict[str, Any]], footer: bool, batch: int) -> None:
    """Writes rows as an Arrow IPC file, as the recorder does."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with path.open("wb") as stream:
        writer = pa.ipc.new_file(stream, schema, options=options)
        for begin in range(0, max(len(rows), 1), batch):
            writer.write_batch(pa.RecordBatch.from_pylist(rows[begin : begin + batch], schema=schema))
        end = stream.tell()
        writer.close()
    if not footer:
        # What a process leaves behind that died: everything up to the last flushed batch.
        with path.open("r+b") as stream:
            stream.truncate(end)
