"""Readers: whole, torn, broken and foreign files; the three formats; messages that name the file and what is wrong."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from aerospike_py_analysis.analysis import analyse
from aerospike_py_analysis.profile import profile
from aerospike_py_analysis.recording import NothingToReadError
from aerospike_py_analysis.recording import Recording as Reader
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import CLOCK, MS, Recording


def some(rows: int = 1200, **frame: Any) -> Recording:
    recording = Recording(**frame)
    for i in range(rows):
        recording.add(recording.healthy(), node=f"10.0.0.{1 + i % 2}:3000")
    return recording


def problems(path: Path) -> list[str]:
    reader = Reader([path])
    profile(reader)
    return [str(problem) for problem in reader.problems]


def test_rows_arrive_as_they_were_written(tmp_path: Path) -> None:
    written = some(700)
    written.write(tmp_path)
    reader = Reader([tmp_path])
    (chunk,) = reader.chunks()
    assert chunk["duration_ns"].tolist() == [row["duration_ns"] for row in written.rows]
    assert chunk["start_ns"].tolist() == [row["start_ns"] + CLOCK for row in written.rows]
    assert [reader.vocabulary.word(code) for code in chunk["node"].tolist()] == [row["node"] for row in written.rows]
    waits = chunk.stages[reader.stages.index("network_wait")].tolist()
    assert waits == [row["stage_network_wait_ns"] for row in written.rows]
    assert (chunk.stages.sum(axis=0) == chunk["duration_ns"]).all()
    (details,) = reader.details([(0, 1, 3)]).values()
    assert [segment.duration_ns for segment in details.segments] == [
        segment["duration_ns"] for segment in written.rows[503]["segments"]
    ]


def test_files_of_several_hosts_are_one_recording(tmp_path: Path) -> None:
    for host in ("host-a", "host-b"):
        some(300, host=host).write(tmp_path)
    analysis, _ = analyse([tmp_path, tmp_path])
    assert analysis.operations == 600
    assert {frame.host for frame in analysis.frames} == {"host-a", "host-b"}
    assert analysis.missing == 0


def test_a_prefix_stands_for_its_files(tmp_path: Path) -> None:
    some(300).write(tmp_path)
    assert analyse([tmp_path / "rec"])[0].operations == 300


def test_a_file_without_footer_is_read_as_a_stream(tmp_path: Path) -> None:
    path = some().write(tmp_path, footer=False)
    assert profile(Reader([path])).count == 1200


@pytest.mark.parametrize("footer", [True, False])
def test_a_torn_file_gives_its_complete_batches(footer: bool, tmp_path: Path) -> None:
    path = some().write(tmp_path, footer=footer)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    assert 0 < profile(Reader([path])).count < 1200
    (message,) = problems(path)
    assert str(path) in message
    assert "ends within batch" in message


def test_details_of_a_torn_file_can_be_read(tmp_path: Path) -> None:
    path = some().write(tmp_path, footer=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    analysis, _ = analyse([path])
    assert all(exemplar.details.segments for exemplar in analysis.groups[0].exemplars)


def test_a_broken_batch_costs_no_more_than_itself(tmp_path: Path) -> None:
    path = some().write(tmp_path)
    content = bytearray(path.read_bytes())
    with pa.memory_map(str(path)) as source:
        schema = pa.ipc.open_file(source).schema
    assert "kind" in schema.names
    # The middle of the compressed buffers of one of the batches.
    middle = len(content) // 2
    content[middle : middle + 4000] = b"\xff" * 4000
    path.write_bytes(bytes(content))
    assert profile(Reader([path])).count >= 500
    assert any("broken" in message for message in problems(path))


def test_stages_that_the_reader_does_not_know_are_stages(tmp_path: Path) -> None:
    recording = some(100)
    path = recording.write(tmp_path)
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    new = table.append_column("stage_quantum_wait_ns", pa.array([5 * MS] * 100, pa.uint64()))
    duration = pa.array([row["duration_ns"] + 5 * MS for row in recording.rows], pa.uint64())
    new = new.set_column(new.schema.get_field_index("duration_ns"), "duration_ns", duration)
    with pa.ipc.new_file(path, new.schema) as writer:
        writer.write_table(new)
    analysis, _ = analyse([path])
    assert analysis.groups[0].breakdown.stage("quantum_wait") is not None


def test_a_newer_version_is_read_and_said(tmp_path: Path) -> None:
    path = some(50).write(tmp_path, version="2")
    (message,) = problems(path)
    assert "version 2" in message
    assert profile(Reader([path])).count == 50


def foreign(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no recording, and what must be said of them."""
    cases: dict[str, tuple[Path, str]] = {}

    def case(name: str, content: bytes, message: str) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        cases[name] = (path, message)

    other = tmp_path / "other.arrow"
    with pa.ipc.new_file(other, pa.schema([("x", pa.int64())])) as writer:
        writer.write_table(pa.table({"x": [1]}))
    cases["other.arrow"] = (other, "no aerospike_py.trace.version")
    schema = pa.schema([("operation", pa.string())], {"aerospike_py.trace.version": "1", "aerospike_py.frame": "{}"})
    lacking = tmp_path / "lacking.arrow"
    with pa.ipc.new_file(lacking, schema):
        pass
    cases["lacking.arrow"] = (lacking, "lacks the columns lane, start_ns, duration_ns")
    case("empty.arrow", b"", "is empty")
    case("start.arrow", b"ARROW", "ends within its first eight bytes")
    case("no-schema.arrow", b"ARROW1\0\0\xff\xff\xff\xff\x10\0\0\0", "no readable schema")
    case("text.arrow", b"hello there", "is no recording")
    case("packed.json", b"\x1f\x8b\x08\0", "compressed with gzip")
    case("metrics.json", b'{"resourceMetrics":[]}', "only traces")
    case("other.json", b'{"hello": 1}', "neither OTLP traces nor traces of Jaeger")
    case("nothing.json", b'{"data": [], "total": 0}', "without a trace")
    case("torn.json", b'{"data":[{"traceID":"1","spans":[', "no complete JSON")
    return cases


def test_files_that_are_no_recording_are_named_with_what_is_wrong(tmp_path: Path) -> None:
    for path, message in foreign(tmp_path).values():
        with pytest.raises(NothingToReadError) as caught:
            Reader([path])
        assert str(path) in str(caught.value)
        assert message in str(caught.value)


def test_a_recording_among_foreign_files_is_read(tmp_path: Path) -> None:
    cases = foreign(tmp_path)
    some(40).write(tmp_path)
    reader = Reader([tmp_path])
    assert profile(reader).count == 40
    assert len(reader.problems) == len(cases)


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingToReadError, match="there is no such file"):
        Reader([tmp_path / "absent"])


def otlp_span(
    name: str, identity: str, parent: str, start: int, end: int, kind: int = 1, **named: Any
) -> dict[str, Any]:
    def value(one: Any) -> dict[str, Any]:
        return {"intValue": str(one)} if isinstance(one, int) else {"stringValue": one}

    attributes = [{"key": key.replace("__", "."), "value": value(one)} for key, one in named.items()]
    return {
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": identity, "parentSpanId": parent,
        "name": name, "kind": kind,
        "startTimeUnixNano": str(CLOCK + start), "endTimeUnixNano": str(CLOCK + end), "attributes": attributes,
    }  # fmt: skip


def otlp_batch() -> dict[str, Any]:
    """A batch of two nodes, the second of which is the slower one."""
    operation = {"db__system__name": "aerospike", "db__operation__name": "batch_read", "db__operation__batch__size": 40}
    spans = [
        otlp_span(
            "batch_read users",
            "01",
            "",
            0,
            1000,
            3,
            aerospike__lane="asyncio",
            db__collection__name="users",
            **operation,
        ),
        otlp_span("key_parse", "02", "01", 0, 100, aerospike__stage="key_parse"),
        otlp_span("node", "03", "01", 100, 500, server__address="10.0.0.1", server__port=3000),
        otlp_span("network_wait", "04", "03", 120, 480, aerospike__stage="network_wait"),
        otlp_span("node", "05", "01", 100, 900, server__address="10.0.0.2", server__port=3000),
        otlp_span("network_wait", "06", "05", 150, 890, aerospike__stage="network_wait"),
        otlp_span("to_dict", "07", "01", 900, 1000, aerospike__stage="to_dict"),
        otlp_span("GET /", "08", "", 0, 5000, 2),
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "features"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}


def test_otlp_lines_become_operations_with_tracks(tmp_path: Path) -> None:
    path = tmp_path / "traces.json"
    path.write_text(json.dumps(otlp_batch()) + "\n" + '{"resourceSpans": [{"scope' + "\n")
    reader = Reader([path])
    (chunk,) = reader.chunks()
    assert chunk["duration_ns"].tolist() == [1000]
    assert chunk["keys"].tolist() == [40]
    stages = dict(zip(reader.stages, chunk.stages[:, 0].tolist(), strict=True))
    assert stages == {"key_parse": 100, "network_wait": 740, "to_dict": 100, "unattributed": 60}
    (details,) = reader.details([(0, 0, 0)]).values()
    assert [(track.node, track.duration_ns) for track in details.tracks] == [
        ("10.0.0.1:3000", 400),
        ("10.0.0.2:3000", 800),
    ]
    assert reader.frames[0].service_name == "features"
    assert "1 lines are no complete JSON, the first is line 2" in str(reader.problems[0])


def test_jaeger_traces_become_operations(tmp_path: Path) -> None:
    def span(name: str, identity: str, parent: str | None, start: int, duration: int, **tags: Any) -> dict[str, Any]:
        return {
            "traceID": "1", "spanID": identity, "operationName": name, "processID": "p1",
            "startTime": CLOCK // 1000 + start, "duration": duration,
            "references": [{"refType": "CHILD_OF", "traceID": "1", "spanID": parent}] if parent else [],
            "tags": [{"key": key.replace("__", "."), "type": "string", "value": value} for key, value in tags.items()],
        }  # fmt: skip

    operation = {"db__system__name": "aerospike", "db__operation__name": "get", "span__kind": "client", "error": True}
    spans = [
        span("get", "1", None, 0, 900, **operation),
        span("network_wait", "2", "1", 100, 700, aerospike__stage="network_wait"),
    ]
    trace = {"traceID": "1", "spans": spans, "processes": {"p1": {"serviceName": "features", "tags": []}}}
    path = tmp_path / "jaeger.json"
    path.write_text(json.dumps({"data": [trace], "total": 0}))
    analysis, _ = analyse([path])
    figures = analysis.groups[0].breakdown
    assert figures.total_ns == 900_000
    assert figures.errors == 1
    assert [stage.total_ns for stage in figures.stages] == [700_000, 200_000]
    assert analysis.frames[0].service_name == "features"
    assert "microseconds" in analysis.problems[0]


def test_a_deferred_conversion_is_no_part_of_an_operation(tmp_path: Path) -> None:
    request = otlp_batch()
    spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    later = otlp_span("to_dict", "09", "01", 5000, 9000, aerospike__stage="to_dict")
    later["attributes"].append({"key": "aerospike.deferred", "value": {"boolValue": True}})
    spans.append(later)
    path = tmp_path / "traces.json"
    path.write_text(json.dumps(request))
    (chunk,) = Reader([path]).chunks()
    assert chunk.conversions.tolist() == [False, True]
    assert chunk["duration_ns"].tolist() == [1000, 4000]
    assert chunk.stages.sum(axis=0).tolist() == [1000, 4000]
    assert chunk.stages[-1].tolist() == [60, 0]
    analysis, _ = analyse([path])
    assert analysis.operations == 1
    assert [(one.operation, one.count, one.total_ns) for one in analysis.deferred] == [("batch_read", 1, 4000)]


def test_indented_and_listed_requests_are_read(tmp_path: Path) -> None:
    for name, text in (
        ("indented.json", json.dumps(otlp_batch(), indent=2)),
        ("listed.json", json.dumps([otlp_batch(), otlp_batch()])),
    ):
        path = tmp_path / name
        path.write_text(text)
        reader = Reader([path])
        assert profile(reader).count == 1 + (name == "listed.json")
        assert reader.problems == []


WRONG = [None, True, -1, 2**70, 1.5, float("inf"), "", "x", [], {}, [None], {"a": 1}]


def mutated(value: Any, random: Any) -> Any:
    """A JSON value with one of its parts replaced or removed."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(sorted(value))
        rest = {name: one for name, one in value.items() if name != key}
        return rest if random.random() < 0.1 else {**rest, key: mutated(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.9:
        place = random.randrange(len(value))
        return [mutated(one, random) if i == place else one for i, one in enumerate(value)]
    return random.choice(WRONG)


def jaeger_batch() -> dict[str, Any]:
    """The same batch as Jaeger gives it."""
    spans = [
        {
            "traceID": span["traceId"], "spanID": span["spanId"], "operationName": span["name"], "processID": "p1",
            "startTime": int(span["startTimeUnixNano"]) // 1000, "duration": 900,
            "references": [{"refType": "CHILD_OF", "traceID": span["traceId"], "spanID": span["parentSpanId"]}],
            "tags": [
                {"key": "span.kind", "value": "client" if span["kind"] == 3 else "internal"},
                *({"key": one["key"], "value": next(iter(one["value"].values()))} for one in span["attributes"]),
            ],
        }
        for span in otlp_batch()["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]  # fmt: skip
    return {"data": [{"traceID": "1", "spans": spans, "processes": {"p1": {"serviceName": "features", "tags": []}}}]}


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False), st.sampled_from(["otlp", "jaeger"]), st.integers(1, 6))
def test_damaged_spans_are_said_and_the_rest_is_read(random: Any, kind: str, damages: int) -> None:
    value = otlp_batch() if kind == "otlp" else jaeger_batch()
    for _ in range(damages):
        value = mutated(value, random)
    read_all(json.dumps(value).encode(), "spans.json")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return some(60).write(tmp_path_factory.mktemp("whole"), batch=20).read_bytes()


def test_damaged_recordings_are_said_and_the_rest_is_read(content: bytes) -> None:
    random = Random(7)
    for _ in range(80):
        damaged = bytearray(content)
        for _ in range(random.randrange(4)):
            damaged[random.randrange(len(content))] = random.randrange(256)
        end = len(content) if random.random() < 0.5 else random.randrange(len(content))
        read_all(bytes(damaged[:end]), "rec.operations.arrow")


def read_all(content: bytes, name: str) -> None:
    """Reads everything there is to read; a file of which nothing can be used is named."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        refused = ""
        try:
            reader = Reader([path])
        except NothingToReadError as error:
            refused = str(error)
        if refused:
            assert str(path) in refused
            return
        places = [
            (int(chunk["file"][row]), int(chunk["batch"][row]), int(chunk["row"][row]))
            for chunk in reader.chunks()
            for row in range(min(len(chunk), 30))
        ]
        reader.details(places)
        assert all(str(path) in str(problem) for problem in reader.problems)
