"""`make bench-analysis`: what explaining a large recording costs, in time and memory.

Writes a recording of ten million operations of several kinds in files of a million, as the recorder does (segments,
tracks of batches, LZ4), then has `aerospike-py report` explain it in a process of its own and prints seconds and the
peak of memory. The recording is made up: it stands for size, not for a cluster. Exit status 1 if it took more than a
minute of processor time or 2 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

ROOT: Final = Path(__file__).resolve().parent.parent
OPERATIONS: Final = 10_000_000
PER_FILE: Final = 1_000_000
PER_BATCH: Final = 16_384
MOST_SECONDS: Final = 60.0
MOST_BYTES: Final = 2 << 30
CLOCK: Final = 1_790_000_000_000_000_000
NODES: Final = [f"10.0.0.{number}:3000" for number in range(1, 6)]
# What an operation is made of: its stages in order, with their medians in microseconds.
MEDIANS: Final = {
    "key_parse": 3, "dispatch": 4, "limiter_wait": 0, "pool_acquire": 3, "encode": 2, "tokio_timer": 1,
    "network_write": 9, "network_wait": 120, "network_read": 4, "decode": 4, "wake_delay": 6, "backoff": 0, "fan_in": 0,
    "gil_reacquire": 3, "loop_wait": 12, "event_loop_resume": 9, "to_dict": 4, "unattributed": 1,
}  # fmt: skip
STAGES: Final = tuple(MEDIANS)
LANES: Final = {"get": "sync", "put": "asyncio", "batch_read": "asyncio"}
SEGMENT: Final = pa.struct(
    [("stage", pa.uint8()), ("node", pa.uint8()), ("start_ns", pa.uint64()), ("duration_ns", pa.uint64())]
)
TRACK: Final = pa.struct(
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


def batch(random: np.random.Generator, first: int, rows: int) -> dict[str, Any]:
    """The columns of some operations, the first of which has the number `first`."""
    kinds = random.choice(3, rows, p=[0.7, 0.1, 0.2])
    batches = kinds == 2
    medians = np.array(list(MEDIANS.values()), dtype=np.float64)[:, None] * 1000
    stages = (medians * random.lognormal(0, 0.3, (len(STAGES), rows))).astype(np.int64)
    waits = STAGES.index("network_wait")
    stages[waits] += (random.random(rows) < 0.02) * random.integers(1_000_000, 9_000_000, rows)
    stages[STAGES.index("to_dict"), batches] += 400_000
    durations = stages.sum(axis=0)
    names = np.array(list(LANES))
    lanes = np.array(list(LANES.values()))
    numbers = np.arange(first, first + rows)
    columns = {
        "kind": pa.array(np.full(rows, "operation")),
        "operation_id": pa.array(numbers, pa.uint64()),
        "client_id": pa.array(np.ones(rows), pa.uint32()),
        "operation": pa.array(names[kinds]),
        "lane": pa.array(lanes[kinds]),
        "start_ns": pa.array(numbers * 100_000, pa.uint64()),
        "duration_ns": pa.array(durations, pa.uint64()),
        "outcome": pa.array(np.full(rows, "ok")),
        "namespace": pa.array(np.full(rows, "test")),
        "set": pa.array(np.array(["users", "items", "shops"])[numbers % 3]),
        "sets": pa.array(np.ones(rows), pa.uint16()),
        "keys": pa.array(np.where(batches, 200, 1), pa.uint32()),
        "attempts": pa.array(np.ones(rows), pa.uint16()),
        "bytes_sent": pa.array(np.full(rows, 90), pa.uint64()),
        "bytes_received": pa.array(np.where(batches, 60_000, 300), pa.uint64()),
        "in_flight": pa.array(random.integers(1, 32, rows), pa.uint32()),
        "node": pa.array(np.array(NODES)[numbers % len(NODES)]),
        "thread_id": pa.array(77 + numbers % 8, pa.uint64()),
        "task_id": pa.array(numbers, pa.uint64(), mask=kinds == 0),
        "loop_id": pa.array(np.ones(rows), pa.uint64(), mask=kinds == 0),
        **{f"stage_{name}_ns": pa.array(stages[i], pa.uint64()) for i, name in enumerate(STAGES)},
        "nodes": pa.ListArray.from_arrays(
            pa.array(np.arange(rows + 1) * len(NODES), pa.int32()), pa.array(np.tile(NODES, rows))
        ),
    }
    segments = path(stages)
    columns["segments"] = pa.ListArray.from_arrays(pa.array(np.arange(rows + 1) * len(STAGES), pa.int32()), segments)
    columns["tracks"] = tracks(batches, stages[waits])
    return columns


def path(stages: np.ndarray[Any, Any]) -> pa.StructArray:
    """The segments of the critical paths, one per stage, operation after operation."""
    durations = stages.T.reshape(-1)
    starts = (np.cumsum(stages, axis=0) - stages).T.reshape(-1)
    number = np.tile(np.arange(len(STAGES)), stages.shape[1])
    return pa.StructArray.from_arrays(
        [
            pa.array(number, pa.uint8()),
            pa.array(np.zeros(durations.size), pa.uint8()),
            pa.array(starts, pa.uint64()),
            pa.array(durations, pa.uint64()),
        ],
        fields=list(SEGMENT),
    )


def tracks(batches: np.ndarray[Any, Any], waits: np.ndarray[Any, Any]) -> pa.ListArray:
    """A track per node for every batch, each with one segment."""
    counts = np.where(batches, len(NODES), 0)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    total = int(offsets[-1])
    took = np.repeat(waits, counts)
    zeros = np.zeros(total)
    piece = pa.StructArray.from_arrays(
        [
            pa.array(np.full(total, STAGES.index("network_wait")), pa.uint8()),
            pa.array(zeros, pa.uint8()),
            pa.array(zeros, pa.uint64()),
            pa.array(took, pa.uint64()),
        ],
        fields=list(SEGMENT),
    )
    values = pa.StructArray.from_arrays(
        [
            pa.array(np.tile(np.arange(len(NODES)), total // len(NODES)), pa.uint8()),
            pa.array(np.ones(total), pa.uint16()),
            pa.array(np.full(total, 20_000), pa.uint64()),
            pa.array(took, pa.uint64()),
            pa.ListArray.from_arrays(pa.array(np.arange(total + 1), pa.int32()), piece),
            pa.array(np.full(total, 900), pa.uint64()),
            pa.array(np.full(total, 12_000), pa.uint64()),
        ],
        fields=list(TRACK),
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def write(folder: Path, operations: int) -> int:
    """Writes the recording and returns its size in bytes."""
    frame = {
        "host": "host-a", "pid": 4242, "started_unix_ns": CLOCK, "clock_unix_ns": CLOCK, "python_version": "3.11",
        "python_implementation": "CPython", "python_build": "gil", "gil_enabled": True, "cores": 8,
        "stages": list(STAGES),
    }  # fmt: skip
    metadata = {"aerospike_py.trace.version": "1", "aerospike_py.frame": json.dumps(frame)}
    random = np.random.default_rng(7)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    for number, begin in enumerate(range(0, operations, PER_FILE)):
        end = min(begin + PER_FILE, operations)
        first = pa.table(batch(random, begin + 1, 1))
        name = folder / f"made-up-host-a-4242-{number:06}.operations.arrow"
        with pa.ipc.new_file(name, first.schema.with_metadata(metadata), options=options) as writer:
            for row in range(begin, end, PER_BATCH):
                writer.write_table(pa.table(batch(random, row + 1, min(PER_BATCH, end - row))), PER_BATCH)
    return sum(file.stat().st_size for file in folder.iterdir())


def explain(folder: Path) -> tuple[float, float, int]:
    """Seconds of the clock and of the processor, and the peak of memory in bytes, of one report."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "analysis")}
    command = [sys.executable, "-m", "aerospike_py_analysis", "report", str(folder), "--short"]
    outputs = [text for kind in ("html", "json") for text in (f"--{kind}", str(folder / f"report.{kind}"))]
    begin = time.perf_counter()
    subprocess.run([*command, *outputs], env=environment, check=True)
    elapsed = time.perf_counter() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def main() -> int:
    """The exit status: 1 if it took too long or too much memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=OPERATIONS, metavar="N", help="default: ten million")
    parser.add_argument("--folder", type=Path, help="where the recording is made; default: below the temporary folder")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="aerospike-py-scale-", dir=options.folder))
    try:
        print(f"Writing {options.operations:,} operations ...", flush=True)
        size = write(folder, options.operations)
        print(f"  {size / 1e9:.2f} GB. Explaining them ...", flush=True)
        elapsed, processor, peak = explain(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{options.operations:,} operations: {elapsed:.1f} s, {processor:.1f} s of processor time,"
        f" {peak / 1e9:.2f} GB at most"
    )
    # A busy machine makes the clock's seconds longer, not the processor's.
    return 1 if processor > MOST_SECONDS or peak > MOST_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
