"""Exemplars: points of the histograms that lead to the traces of the operations they are made of."""

import json
import os
import subprocess
import sys

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from scraping import DURATION

pytestmark = pytest.mark.embedded

# A process of its own: whatever else is traced in this one must not be among the exemplars. Nobody receives the spans.
PROGRAM = """
import json, urllib.request
import aerospike_py
from aerospike_py.testing import EmbeddedServer

address = "http://{}:{}/metrics".format(*aerospike_py.start_metrics_server(port=0))
accept = {"Accept": "application/openmetrics-text;version=1.0.0"}

def scrape():
    return urllib.request.urlopen(urllib.request.Request(address, headers=accept)).read().decode()

with EmbeddedServer() as server, aerospike_py.client(server.config()).connect() as client:
    client.put(("test", "seen", 1), {"n": 1})
    before = scrape()
    aerospike_py.init_tracing(endpoint="http://127.0.0.1:9", protocol="http/protobuf", sampler="always_on")
    for _ in range(50):
        client.get(("test", "seen", 1))
    after = scrape()
    print(json.dumps([before, after, aerospike_py.get_metrics()]))
"""


def exemplars(text):
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.exemplar:
                yield sample


def test_traced_operations_are_exemplars_of_their_bucket():
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "200"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after, plain = json.loads(done.stdout)
    assert not list(exemplars(before))
    assert "trace_id" not in plain
    found = list(exemplars(after))
    assert found
    for sample in found:
        assert sample.name == f"{DURATION}_bucket"
        assert sample.labels["db_operation_name"] == "get"
        assert sample.labels["db_collection_name"] == "seen"
        assert len(sample.exemplar.labels["trace_id"]) == 32
        assert len(sample.exemplar.labels["span_id"]) == 16
        assert int(sample.exemplar.labels["trace_id"], 16)
        assert 0 < sample.exemplar.value <= float(sample.labels["le"])
        assert float(sample.exemplar.timestamp) > 1_500_000_000
    assert len({sample.exemplar.labels["trace_id"] for sample in found}) == len(found)
