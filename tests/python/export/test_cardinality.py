"""More sets than there are labels for: nothing is lost, and the overflow is visible."""

import subprocess
import sys

import pytest
from scraping import DURATION, Metrics

pytestmark = pytest.mark.embedded

PROGRAM = """
import aerospike_py
from aerospike_py.testing import EmbeddedServer

SETS = 1100
with EmbeddedServer() as server, aerospike_py.client(server.config()).connect() as client:
    for number in range(SETS):
        client.put(("test", f"set{number}", 1), {"n": 1})
        client.touch(("test", f"set{number}", 1))
    print(aerospike_py.get_metrics())
"""


def test_overflow_is_bounded_and_visible():
    # Names that were ever used count for the life of a process, so this one is for this test.
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    count = f"{DURATION}_count"
    wanted = (f"{count}{{", "db_client_operations_total{")
    metrics = Metrics.read("".join(line for line in done.stdout.splitlines(True) if line.startswith(wanted)))
    for operation in ("put", "touch"):
        assert metrics.of(count, db_operation_name=operation) == 1100
        assert metrics.of("db_client_operations_total", outcome="ok", db_operation_name=operation) == 1100
        overflow = metrics.of(count, db_operation_name=operation, otel_metric_overflow="true")
        named = metrics.label_sets(count, db_operation_name=operation, db_namespace="test")
        assert 0 < len(named) < 1000
        assert overflow == 1100 - len(named)
    # A thousand series, and what has no room among them.
    assert 1000 <= len(metrics.label_sets(count)) <= 1010
