"""A real Prometheus scrapes a process that works, and its own queries answer as the process' snapshot does."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from pathlib import Path

import aerospike_py
import pytest
from scraping import DURATION, STAGE, ask

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parents[3]
CONFIGURATION = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
  - job_name: client
    static_configs: [{{targets: ["{target}"]}}]
"""


@pytest.fixture(scope="module")
def binaries():
    """Return the folder that has prometheus and promtool."""
    found = subprocess.run([ROOT / "scripts" / "fetch-prometheus"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        reason = f"PROMETHEUS WAS NOT TESTED WITH: {found.stderr.strip()}"
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    return Path(found.stdout.strip()).parent


class Prometheus:
    """A server that scrapes one target."""

    def __init__(self, binaries, folder, target):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        configuration = folder / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(target="{}:{}".format(*target)))
        self._log = (folder / "log").open("w")
        self._process = subprocess.Popen(
            [
                binaries / "prometheus",
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self.address}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def stop(self):
        self._process.terminate()
        self._process.wait(30)
        self._log.close()

    def query(self, expression):
        """Return the values of an expression by labels."""
        answer = self.fetch("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]

    def fetch(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:  # it is a file as well as an error: 503 while Prometheus starts
            refusal.close()
            raise

    def wait_for(self, expression, reached):
        """Return what the expression says, once that is as it should be."""
        deadline = time.monotonic() + 60
        while True:
            try:
                values = self.query(expression)
            except OSError:
                values = []
            if reached(values):
                return values
            assert self._process.poll() is None, "prometheus has ended"
            assert time.monotonic() < deadline, f"{expression} is {values}"
            time.sleep(0.2)


@pytest.fixture
def prometheus(binaries, metrics_server, tmp_path):
    server = Prometheus(binaries, tmp_path, metrics_server)
    yield server
    server.stop()


def test_it_scrapes_and_its_quantiles_are_those_of_the_snapshot(prometheus, shared_node, connect, fresh_set):
    client = connect(shared_node.config())
    labels = f'lane="{client.lane}",db_operation_name="get"'
    count = f'sum({DURATION}_count{{{labels},db_collection_name="{fresh_set}"}})'
    key = ("test", fresh_set, 1)
    client.put(key, {"n": 1})
    with aerospike_py.internal_stage_profiling():
        client.get(key)
        prometheus.wait_for(count, lambda values: values and values[0][1] == 1)
        # Other tests may have recorded the stage before: from here on, everything is of this one.
        began = time.time()
        aerospike_py.stage_snapshot(reset=True)
        for turn in range(400):
            if turn % 50 == 0:
                with shared_node.fault("delay=8ms", command="read"):
                    client.get(key)
            client.get(key)
    entry = aerospike_py.stage_snapshot().operation("get", client.lane)
    prometheus.wait_for(count, lambda values: values and values[0][1] == 1 + entry.count)
    stage = entry.stages["network_wait"]
    for quantile, expected in ((0.5, stage.p50_ns), (0.99, stage.p99_ns)):
        buckets = f'{STAGE}_bucket{{{labels},stage="network_wait"}}'
        grown = f"{buckets} - ({buckets} @ {began:.3f} or 0 * {buckets})"
        ((_, seconds),) = prometheus.query(f"histogram_quantile({quantile}, sum by (le) ({grown}))")
        # The stated error of the buckets, and that of the snapshot.
        assert seconds * 1e9 == pytest.approx(expected, rel=0.22), quantile
    assert prometheus.query("up{job='client'}")[0][1] == 1
    for family in ("db_client_connection_count", "db_client_network_io_bytes_total", "db_client_operations_in_flight"):
        assert prometheus.query(f"sum({family})"), family
    metadata = prometheus.fetch("/api/v1/metadata")["data"]
    assert metadata[STAGE][0]["type"] == "histogram"
    targets = prometheus.fetch("/api/v1/targets")["data"]["activeTargets"]
    assert [target["lastError"] for target in targets] == [""]


def test_promtool_has_nothing_to_say(binaries, metrics_server):
    text = ask(metrics_server).body
    checked = subprocess.run(
        [binaries / "promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
