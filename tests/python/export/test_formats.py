"""The texts, read by the parsers of Prometheus' own client: valid, and in agreement with the snapshot."""

import gzip
import random

import aerospike_py
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from scraping import DURATION, STAGE, Metrics, ask

pytestmark = pytest.mark.embedded

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
SCRAPER = f"{OPENMETRICS},application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@pytest.fixture
def worked(shared_node, connect, fresh_set):
    """Have a client of each lane work with stages recorded, with names that need escapes."""
    client = connect(shared_node.config())
    with aerospike_py.internal_stage_profiling():
        for number in range(300):
            client.put(("test", fresh_set, number), {"n": number})
            client.get(("test", fresh_set, number))
        client.put(("test", 'a"b\\c\nd', 1), {"n": 1})
        client.batch_read([("test", fresh_set, number) for number in range(50)]).to_dict()
    return client


@pytest.mark.usefixtures("worked")
def test_both_texts_have_the_same_samples(metrics_server):
    plain = ask(metrics_server)
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    other = ask(metrics_server, Accept=SCRAPER)
    assert other.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert other.body.endswith(b"# EOF\n")
    in_plain = {family.name: family for family in prometheus(plain.body.decode())}
    in_other = {family.name: family for family in openmetrics(other.body.decode())}
    assert in_plain.keys() == in_other.keys()
    for name, family in in_plain.items():
        assert family.type == in_other[name].type
        assert family.documentation == in_other[name].documentation
        samples = {(sample.name, frozenset(sample.labels.items())) for sample in family.samples}
        assert samples == {(sample.name, frozenset(sample.labels.items())) for sample in in_other[name].samples}
    assert in_other[STAGE].unit == "seconds"


@pytest.mark.usefixtures("worked")
def test_names_of_sets_keep_their_characters():
    sets = Metrics.read().label_sets(f"{DURATION}_count", db_operation_name="put")
    assert 'a"b\\c\nd' in {own.get("db_collection_name") for own in sets}


def test_get_metrics_is_what_is_served(metrics_server):
    served = Metrics.read(ask(metrics_server).body.decode())
    assert {name for name, _ in served.samples} == {name for name, _ in Metrics.read().samples}


@pytest.mark.usefixtures("worked")
def test_compressed_answers_are_the_same(metrics_server):
    answer = ask(metrics_server, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    plain = ask(metrics_server)
    assert len(answer.body) < len(plain.body) / 4
    assert Metrics.read(gzip.decompress(answer.body).decode()).samples.keys() == Metrics.read().samples.keys()


def test_metrics_agree_with_the_snapshot(shared_node, connect, fresh_set):
    client = connect(shared_node.config())
    random.seed(7)
    aerospike_py.stage_snapshot(reset=True)
    before = Metrics.read()
    with aerospike_py.internal_stage_profiling():
        for number in range(400):
            client.put(("test", fresh_set, number), {"blob": bytes(random.randrange(20_000))})
            client.get(("test", fresh_set, number))
    grown, snapshot = Metrics.read() - before, aerospike_py.stage_snapshot()
    for operation in ("get", "put"):
        labels = {"db_operation_name": operation, "lane": client.lane}
        entry = snapshot.operation(operation, client.lane)
        assert grown.of(f"{DURATION}_count", db_collection_name=fresh_set, **labels) == entry.count == 400
        assert grown.of(f"{DURATION}_sum", **labels) == pytest.approx(entry.wall.total_ns / 1e9, abs=1e-8)
        for quantile, own in ((0.5, entry.wall.p50_ns), (0.99, entry.wall.p99_ns)):
            # The stated error, and that of the snapshot; faster operations are told apart less finely.
            error = 0.6 if own > 110_000 else 1.6
            assert grown.quantile(DURATION, quantile, **labels) * 1e9 == pytest.approx(own, rel=error)
        for name, stage in entry.stages.items():
            staged = {**labels, "stage": name}
            assert grown.of(f"{STAGE}_count", **staged) == stage.count
            assert grown.of(f"{STAGE}_sum", **staged) == pytest.approx(stage.total_ns / 1e9, abs=1e-8)
            for quantile, own in ((0.5, stage.p50_ns), (0.99, stage.p99_ns)):
                if own > 1_100:
                    # Among few samples the next rank may be far away, and the two do not round ranks alike.
                    rank = 1 / stage.count
                    lower, upper = (
                        grown.quantile(STAGE, near, **staged) * 1e9
                        for near in (max(quantile - rank, 0), min(quantile + rank, 1))
                    )
                    assert lower / 1.22 <= own <= upper * 1.22, (name, quantile)
