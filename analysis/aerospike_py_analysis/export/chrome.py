"""Chrome's trace format, which Perfetto and chrome://tracing open: operations by thread or loop, stages inside,
tracks below."""

from __future__ import annotations

import json
from typing import TextIO

from aerospike_py_analysis.export.rows import Row, rows
from aerospike_py_analysis.recording import Recording


def write(recording: Recording, stream: TextIO, limit: int | None) -> int:
    """Writes all operations as asynchronous events, which may overlap on one thread; their number is returned."""
    stream.write('{"displayTimeUnit":"ns","traceEvents":[')
    written = 0
    for process, frame in enumerate(recording.frames):
        name = f"{frame.service_name or frame.argv0 or 'process'} {frame.host}:{frame.pid}"
        event = {"ph": "M", "name": "process_name", "pid": process, "args": {"name": name}}
        stream.write(("," if process else "") + json.dumps(event))
    for row in rows(recording, limit):
        for event in events(row, written):
            stream.write(",\n" + json.dumps(event, separators=(",", ":")))
        written += 1
    stream.write("]}\n")
    return written


def events(row: Row, number: int) -> list[dict[str, object]]:
    """The begin and end of an operation, its stages and its tracks."""
    thread = row.numbers["loop_id"] or row.numbers["thread_id"] or 0
    common = {"cat": "aerospike", "pid": row.process, "tid": thread, "id": f"{row.process}-{number}"}

    def pair(name: str, start_ns: int, duration_ns: int, **arguments: object) -> list[dict[str, object]]:
        begin = {"ph": "b", "name": name, "ts": start_ns / 1000, **common, "args": arguments}
        return [begin, {"ph": "e", "name": name, "ts": (start_ns + duration_ns) / 1000, **common}]

    name = f"{row.words['operation']} to Python" if row.conversion else str(row.words["operation"])
    outer = pair(
        name,
        row.start_ns,
        row.duration_ns,
        keys=row.numbers["keys"],
        outcome=row.words["outcome"],
        node=row.words["node"],
    )
    inner = [event for part in row.path() for event in pair(part.stage, row.start_ns + part.start_ns, part.duration_ns)]
    for track in row.details.tracks:
        inner += pair(f"node {track.node}", row.start_ns + track.start_ns, track.duration_ns)
    return [outer[0], *inner, outer[1]]
