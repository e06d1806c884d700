"""The same operations in metrics, in files and in spans: the figures are the same to the nanosecond."""

import aerospike_py
import pytest
from reading import files, frame_of, rows

pytestmark = pytest.mark.embedded

DURATION, STAGE = "db.client.operation.duration", "db.client.internal.stage"
NANOSECOND = 1e-9


def work(api, many):
    for key in many[:20]:
        api.put(key, {"n": 1})
        api.get(key)
    for _ in range(5):
        api.batch_read(many)
    with pytest.raises(aerospike_py.RecordNotFound):
        api.get((*many[0][:2], "missing"))


def measured(collector):
    """Counts and sums in seconds of all distributions that are exported now, by name and labels."""
    aerospike_py.init_metrics_export(endpoint=collector.endpoint, protocol="http/protobuf", interval_ms=600_000)
    aerospike_py.shutdown_metrics_export()
    return {
        (point.name, frozenset(point.attributes.items())): (point.point.count, point.point.sum)
        for name in (DURATION, STAGE)
        for point in collector.points(name)
    }


def growth(before, after, name, **labels):
    """By how much counts and sums have grown, over all points of a metric with these labels."""
    wanted = {(label.replace("_", "."), value) for label, value in labels.items()}
    count, seconds = 0, 0.0
    for (own, attributes), (now, sum_now) in after.items():
        if own == name and wanted <= attributes:
            then, sum_then = before.get((own, attributes), (0, 0.0))
            count, seconds = count + now - then, seconds + sum_now - sum_then
    return count, seconds


@pytest.mark.parametrize("lane", ["sync", "asyncio"])
def test_stages_agree(http_collector, connect, server, lane, many, tmp_path):
    api = connect(server.config())
    before = measured(http_collector)
    aerospike_py.stage_snapshot(reset=True)
    aerospike_py.init_tracing(endpoint=http_collector.endpoint, protocol="http/protobuf")
    with aerospike_py.trace_recorder(tmp_path):
        work(api, many)
        snapshot = aerospike_py.stage_snapshot()
    aerospike_py.shutdown_tracing()
    after = measured(http_collector)

    operations = {row["operation_id"]: row for row in rows(tmp_path)}
    names = frame_of(files(tmp_path)[0])["stages"]
    spans = {span.attributes["aerospike.operation_id"]: span for span in http_collector.roots()}
    assert len(operations) == len(spans) == 46
    assert operations.keys() == spans.keys()
    stages_of_spans = {}
    for number, row in operations.items():
        span = spans[number]
        assert (row["trace_id"].hex(), row["span_id"].hex()) == (span.trace_id, span.span_id)
        assert (row["operation"], row["duration_ns"]) == (span.attributes["db.operation.name"], span.duration)
        of_spans = dict.fromkeys(names, 0)
        for child in http_collector.below(span):
            if "aerospike.stage" in child.attributes and not child.attributes.get("aerospike.deferred"):
                of_spans[child.name] += child.duration
        assert of_spans == {name: row[f"stage_{name}_ns"] for name in names}
        stages_of_spans[number] = of_spans
        tracks = [child for child in http_collector.below(span) if child.name.startswith("node ")]
        assert sorted(track["duration_ns"] for track in row["tracks"]) == sorted(child.duration for child in tracks)

    for entry in snapshot.operations:
        of_kind = [number for number, row in operations.items() if row["operation"] == entry.operation]
        assert (entry.lane, entry.count) == (lane, len(of_kind))
        wall = sum(spans[number].duration for number in of_kind)
        assert entry.wall.total_ns == wall
        labels = {"db_operation_name": entry.operation, "lane": lane}
        assert growth(before, after, DURATION, **labels) == (len(of_kind), pytest.approx(wall / 1e9, abs=NANOSECOND))
        for name in names:
            recorded = entry.stages[name].total_ns if name in entry.stages else 0
            times = [stages_of_spans[number][name] for number in of_kind]
            assert recorded == sum(times) == sum(operations[number][f"stage_{name}_ns"] for number in of_kind)
            in_metrics = growth(before, after, STAGE, **labels, stage=name)
            occurred = sum(1 for nanos in times if nanos)
            assert in_metrics == (occurred, pytest.approx(recorded / 1e9, abs=NANOSECOND)), (entry.operation, name)
