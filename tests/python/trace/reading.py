"""Reads trace files for tests, finished or not."""

import json

import pyarrow as pa
import pyarrow.ipc

MAGIC = 8


def files(folder, content="operations"):
    """The files of a recording, oldest first."""
    return sorted(folder.glob(f"*.{content}.arrow"))


def finished(path):
    """Whether a file has its footer."""
    return path.read_bytes().endswith(b"ARROW1")


def table_of(path):
    """A file as a table; one without a footer as far as it goes."""
    if finished(path):
        return pa.ipc.open_file(path).read_all()
    batches = []
    with pa.OSFile(str(path)) as source:
        source.seek(MAGIC)
        reader = pa.ipc.open_stream(source)
        try:
            while True:
                batches.append(reader.read_next_batch())
        except (StopIteration, pa.ArrowInvalid, OSError):
            pass
        return pa.Table.from_batches(batches, reader.schema)


def rows(folder, content="operations"):
    """All rows of all files of operations or conversions, as dictionaries, in the order in which they ended."""
    all_rows = [row for path in files(folder, content) for row in table_of(path).to_pylist()]
    return sorted(all_rows, key=lambda row: row["start_ns"] + row["duration_ns"])


def frame_of(path):
    """What the file says about where it is from."""
    return json.loads(table_of(path).schema.metadata[b"aerospike_py.frame"])
