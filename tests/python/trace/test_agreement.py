"""The same operations in metrics, in files and in spans: the figures are the same to the nanosecond."""

import aerospike_py
import pytest
from reading import files, frame_of, rows

pytestmark = pytest.mark.embedded


def work(api, many):
    for key in many[:20]:
        api.put(key, {"n": 1})
        api.get(key)
    for _ in range(5):
        api.batch_read(many)
    with pytest.raises(aerospike_py.RecordNotFound):
        api.get((*many[0][:2], "missing"))


@pytest.mark.parametrize("lane", ["sync", "asyncio"])
def test_stages_agree(http_collector, connect, server, lane, many, tmp_path):
    api = connect(server.config())
    aerospike_py.stage_snapshot(reset=True)
    aerospike_py.init_tracing(endpoint=http_collector.endpoint, protocol="http/protobuf")
    with aerospike_py.trace_recorder(tmp_path):
        work(api, many)
        snapshot = aerospike_py.stage_snapshot()
    aerospike_py.shutdown_tracing()

    operations = {row["operation_id"]: row for row in rows(tmp_path) if row["kind"] == "operation"}
    names = frame_of(files(tmp_path)[0])["stages"]
    spans = {span.attributes["aerospike.operation_id"]: span for span in http_collector.roots()}
    assert len(operations) == len(spans) == 46
    assert operations.keys() == spans.keys()
    for number, row in operations.items():
        span = spans[number]
        assert (row["trace_id"].hex(), row["span_id"].hex()) == (span.trace_id, span.span_id)
        assert (row["operation"], row["duration_ns"]) == (span.attributes["db.operation.name"], span.duration)
        of_spans = dict.fromkeys(names, 0)
        for child in http_collector.below(span):
            if "aerospike.stage" in child.attributes and not child.attributes.get("aerospike.deferred"):
                of_spans[child.name] += child.duration
        assert of_spans == {name: row[f"stage_{name}_ns"] for name in names}
        tracks = [child for child in http_collector.below(span) if child.name.startswith("node ")]
        assert sorted(track["duration_ns"] for track in row["tracks"]) == sorted(child.duration for child in tracks)

    for entry in snapshot.operations:
        of_kind = [row for row in operations.values() if row["operation"] == entry.operation]
        assert (entry.lane, entry.count) == (lane, len(of_kind))
        assert entry.wall.total_ns == sum(row["duration_ns"] for row in of_kind)
        for name in names:
            recorded = entry.stages[name].total_ns if name in entry.stages else 0
            assert recorded == sum(row[f"stage_{name}_ns"] for row in of_kind)
