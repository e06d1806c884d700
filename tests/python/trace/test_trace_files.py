"""Operations in files: what is in a row, who can read it, limits, and disks that do not want it."""

import os
import platform
import sys
import threading
import time

import aerospike_py
import pyarrow as pa
import pytest
from reading import files, finished, frame_of, rows, table_of

pytestmark = pytest.mark.embedded

needs_gil_wheels = pytest.mark.skipif(
    sys.version_info >= (3, 14),
    reason="polars, pandas and DuckDB have no wheel for this Python: checked with 3.11 to 3.13",
)


def stage_sums(row):
    return {name: value for name, value in row.items() if name.startswith("stage_")}


def check(row, stages):
    """The invariants of one row."""
    assert sum(stage_sums(row).values()) == row["duration_ns"]
    cursor = 0
    by_stage = dict.fromkeys(stages, 0)
    for segment in row["segments"]:
        assert segment["start_ns"] == cursor
        assert segment["duration_ns"] > 0
        assert segment["node"] == 255 or segment["node"] < len(row["nodes"])
        by_stage[stages[segment["stage"]]] += segment["duration_ns"]
        cursor += segment["duration_ns"]
    assert cursor == row["duration_ns"]
    assert {f"stage_{name}_ns": nanos for name, nanos in by_stage.items()} == stage_sums(row)
    for track in row["tracks"]:
        assert sum(segment["duration_ns"] for segment in track["segments"]) == track["duration_ns"]


@pytest.mark.parametrize("lane", ["sync", "asyncio"])
def test_a_row_says_all_there_is(connect, faults, lane, many, tmp_path):
    api = connect(faults.config())
    began = time.time_ns()
    with aerospike_py.trace_recorder(tmp_path, prefix="shop") as recorder:
        api.put(many[0], {"a": 1})
        api.get(many[0])
        with pytest.raises(aerospike_py.RecordNotFound):
            api.get(many[1])
        with faults.fault("delay=70ms", node=2, command="batch_read"):
            api.batch_read(many)
        assert recorder.flush()
        assert recorder.stats()["rows"] == len(rows(tmp_path))
    (path,) = files(tmp_path)
    assert path.name.startswith(f"shop-{platform.node()}-{os.getpid()}-")
    assert finished(path)
    frame = frame_of(path)
    assert (frame["pid"], frame["python_version"]) == (os.getpid(), platform.python_version())
    assert frame["client_version"] == aerospike_py.__version__
    assert frame["python_build"] == ("gil" if getattr(sys, "_is_gil_enabled", lambda: True)() else "free-threaded")
    if lane == "asyncio":
        assert "asyncio" in frame["event_loops"]
    assert frame["stages"] == [stage.name for stage in aerospike_py.stage_table()]
    found = rows(tmp_path)
    for row in found:
        check(row, frame["stages"])
        assert began - 2_000_000 <= row["start_ns"] + frame["clock_unix_ns"] <= time.time_ns()
        assert (row["lane"], row["namespace"], row["set"], row["sets"]) == (lane, "test", many[0][1], 1)
        assert (row["loop_id"] is None, row["task_id"] is None) == (lane == "sync", lane == "sync")
        assert row["thread_id"] > 0
        assert row["client_id"] > 0
        assert (row["trace_id"], row["span_id"]) == (None, None)
        assert row["in_flight"] == 1
    assert [row["operation"] for row in found] == ["put", "get", "get", "batch_read"]
    assert [row["outcome"] for row in found] == ["ok", "ok", "not_found", "ok"]
    assert [row["status_code"] for row in found] == [None, None, 2, None]
    assert len({row["operation_id"] for row in found}) == 4
    if lane == "sync":
        assert {row["thread_name"] for row in found} == {threading.current_thread().name}
    batch = found[3]
    slow = "{}:{}".format(*faults.hosts[2])
    assert (batch["keys"], batch["node"]) == (len(many), slow)
    assert batch["stage_network_wait_ns"] >= 70_000_000
    assert sorted(batch["nodes"]) == sorted(f"{host}:{port}" for host, port in faults.hosts)
    assert len(batch["tracks"]) == 3
    for name in ("attempts", "bytes_sent", "bytes_received"):
        assert batch[name] == sum(track[name] for track in batch["tracks"]) >= 3


def test_a_late_conversion_is_in_a_file_of_its_own(client, many, tmp_path):
    with aerospike_py.trace_recorder(tmp_path) as recorder:
        client.batch_read(many)
        assert recorder.flush()
        assert files(tmp_path, "conversions") == []
        client.batch_read(many).to_dict()
        assert recorder.flush()
        assert recorder.stats()["rows"] == 3
    _, operation = rows(tmp_path)
    (conversion,) = rows(tmp_path, "conversions")
    assert (operation["kind"], conversion["kind"]) == ("operation", "conversion")
    assert conversion["operation_id"] == operation["operation_id"]
    assert conversion["stage_to_dict_ns"] == conversion["duration_ns"] > 0
    assert conversion["start_ns"] >= operation["start_ns"] + operation["duration_ns"]
    assert conversion.keys() < operation.keys()
    assert [conversion[name] for name in ("operation", "lane")] == [operation[name] for name in ("operation", "lane")]
    assert conversion["thread_id"] == threading.get_native_id()


def test_many_threads_lose_nothing(client, key, tmp_path):
    with aerospike_py.trace_recorder(tmp_path) as recorder:
        threads = [threading.Thread(target=lambda: [client.exists(key) for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        recorder.flush()
        stats = recorder.stats()
    found = rows(tmp_path)
    assert stats["rows"] + stats["dropped_queue_full"] == 800
    assert len({row["operation_id"] for row in found}) == len(found) == stats["rows"]
    assert len({row["thread_id"] for row in found}) == 4
    assert {row["thread_name"] for row in found} == {thread.name for thread in threads}


@needs_gil_wheels
def test_the_usual_tools_read_the_files(client, many, tmp_path):
    import duckdb
    import polars

    with aerospike_py.trace_recorder(tmp_path):
        for _ in range(5):
            client.batch_read(many)
    (path,) = files(tmp_path)
    total = sum(row["duration_ns"] for row in rows(tmp_path))
    assert polars.read_ipc(path)["duration_ns"].sum() == total
    exploded = polars.read_ipc(path).select("segments").explode("segments").unnest("segments")
    assert exploded["duration_ns"].sum() == total
    frame = pa.ipc.open_file(path).read_pandas()
    assert frame["duration_ns"].sum() == total
    recorded = table_of(path)
    assert duckdb.sql("select sum(duration_ns) from recorded").fetchall() == [(total,)]
    unnested = "select sum(s.duration_ns) from (select unnest(segments) as s from recorded)"
    assert duckdb.sql(unnested).fetchall() == [(total,)]
    assert recorded.num_rows == 5


def test_compressed_files_hold_the_same_in_less(client, many, tmp_path):
    plain, small = tmp_path / "plain", tmp_path / "small"
    with aerospike_py.trace_recorder(plain), aerospike_py.trace_recorder(small, compression="lz4"):
        for _ in range(200):
            client.batch_read(many)
    assert rows(plain) == rows(small)
    [of_plain], [of_small] = files(plain), files(small)
    assert of_small.stat().st_size * 2 < of_plain.stat().st_size


def test_files_are_rotated_and_the_oldest_removed(client, many, tmp_path):
    with aerospike_py.trace_recorder(tmp_path, max_file_bytes=20_000, max_total_bytes=100_000) as recorder:
        for _ in range(40):
            for _ in range(10):
                client.batch_read(many)
            assert recorder.flush()
        stats = recorder.stats()
        kept = files(tmp_path)
    assert stats["bytes"] > 200_000
    assert stats["files_removed"] > 0
    assert sum(path.stat().st_size for path in kept) <= 120_000
    assert all(finished(path) for path in files(tmp_path))
    numbers = [int(path.name.split(".")[0].rpartition("-")[2]) for path in kept]
    assert numbers == sorted(numbers)
    # What is left are the latest operations.
    ids = [row["operation_id"] for row in rows(tmp_path)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_a_limit_and_a_share(client, key, tmp_path):
    with aerospike_py.trace_recorder(tmp_path / "limit", max_operations_per_second=5) as limited:
        with aerospike_py.trace_recorder(tmp_path / "share", sample=0.5, segments=False):
            for _ in range(400):
                client.exists(key)
        stats = limited.stats()
    kept = rows(tmp_path / "limit")
    assert len(kept) + stats["dropped_rate_limit"] == 400
    seconds = {(row["start_ns"] + row["duration_ns"]) // 1_000_000_000 for row in kept}
    assert len(kept) <= 5 * len(seconds)
    shared = rows(tmp_path / "share")
    assert 120 <= len(shared) <= 280
    assert all(row["segments"] == [] and sum(stage_sums(row).values()) == row["duration_ns"] for row in shared)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="cannot make the folder"):
        aerospike_py.trace_recorder(tmp_path / "file" / "below")
    for arguments in [
        {"max_file_bytes": 0},
        {"max_file_bytes": 2, "max_total_bytes": 1},
        {"sample": 1.5},
        {"prefix": "a/b"},
        {"compression": "zip"},
        {"max_operations_per_second": -1},
    ]:
        with pytest.raises(aerospike_py.InvalidArgError):
            aerospike_py.trace_recorder(tmp_path, **arguments)
    assert not aerospike_py.is_internal_stage_metrics_enabled()


def test_a_disk_that_is_full_ends_the_recording_and_nothing_else(client, key, tmp_path):
    recorder = aerospike_py.trace_recorder(tmp_path, max_file_bytes=1, max_total_bytes=1 << 20)
    client.exists(key)
    recorder.flush()
    # The next file cannot be made.
    for path in files(tmp_path):
        path.unlink()
    tmp_path.rmdir()
    for _ in range(10):
        client.exists(key)
    assert not recorder.flush()
    for _ in range(10):
        client.exists(key)
    stats = recorder.stats()
    assert "cannot write to" in stats["error"]
    assert stats["dropped_write_failed"] >= 10
    recorder.close()
    recorder.close()


def test_samples_of_probes_are_recorded(client, key, tmp_path):
    with aerospike_py.trace_recorder(tmp_path) as recorder:
        aerospike_py.start_probes(interval_ms=10)
        try:
            deadline = time.monotonic() + 20
            seen = set()
            while not seen & {"gil_delay", "attach_delay"}:
                assert time.monotonic() < deadline
                client.exists(key)
                recorder.flush()
                seen = {row["probe"] for path in files(tmp_path, "probes") for row in table_of(path).to_pylist()}
        finally:
            aerospike_py.stop_probes()
    (path,) = files(tmp_path, "probes")
    assert finished(path)
    found = table_of(path).to_pylist()
    assert seen <= {row["probe"] for row in found}
    for row in found:
        assert row["start_ns"] > 0
        assert (row["duration_ns"] is None) != (row["value"] is None)
    assert frame_of(path)["pid"] == os.getpid()
