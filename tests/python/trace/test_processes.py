"""Recordings and exports across processes: the environment, forks, and processes that are killed."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from reading import files, finished, frame_of, rows, table_of

pytestmark = pytest.mark.embedded

PRELUDE = """
import os, sys, time
import aerospike_py
CONFIG = {"hosts": [("127.0.0.1", int(os.environ["PORT"]))]}
KEY = ("test", "processes", "k")
def use(times):
    with aerospike_py.client(CONFIG).connect() as client:
        for _ in range(times):
            client.exists(KEY)
"""


@pytest.fixture
def run(server):
    """Return a function that runs a program."""

    def start(source, wait=True, **variables):
        program = PRELUDE + textwrap.dedent(source)
        port = server.config()["hosts"][0][1]
        environment = {**os.environ, "PORT": str(port), **variables}
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if wait:
            output, errors = process.communicate(timeout=90)
            assert process.returncode == 0, errors
            return output
        return process

    return start


def test_the_environment_starts_a_recording(run, tmp_path):
    run(
        "use(10)", AEROSPIKE_PY_TRACE=str(tmp_path / "made"), AEROSPIKE_PY_TRACE_PREFIX="mine", OTEL_SERVICE_NAME="shop"
    )
    (path,) = files(tmp_path / "made")
    assert path.name.startswith("mine-")
    assert finished(path)
    assert table_of(path).num_rows == 10
    assert frame_of(path)["service_name"] == "shop"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MAX_BYTES", "much", "AEROSPIKE_PY_TRACE_MAX_BYTES must be a whole number above zero, not 'much'"),
        ("COMPRESSION", "zip", "compression must be 'lz4' or 'none', not 'zip'"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(run, tmp_path, variable, value, said):
    process = run("", wait=False, AEROSPIKE_PY_TRACE=str(tmp_path), **{f"AEROSPIKE_PY_TRACE_{variable}": value})
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said in errors


def test_a_process_that_is_killed_leaves_what_it_wrote(run, tmp_path):
    program = """
        recorder = aerospike_py.trace_recorder(os.environ["FOLDER"])
        with aerospike_py.client(CONFIG).connect() as client:
            for number in range(1_000_000):
                client.exists(KEY)
                if number == 100:
                    recorder.flush()
                    print("flushed", flush=True)
    """
    process = run(program, wait=False, FOLDER=str(tmp_path))
    assert process.stdout.readline() == "flushed\n"
    time.sleep(1.2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (path,) = files(tmp_path)
    assert not finished(path)
    ids = [row["operation_id"] for row in rows(tmp_path)]
    assert len(ids) > 101
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_a_child_records_and_exports_on_its_own(run, http_collector, tmp_path):
    program = """
        aerospike_py.init_tracing(endpoint=os.environ["COLLECTOR"], protocol="http/protobuf", stage_spans=False)
        recorder = aerospike_py.trace_recorder(os.environ["FOLDER"])
        use(5)
        child = os.fork()
        if child == 0:
            use(7)
            recorder.close()
            aerospike_py.shutdown_tracing()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        use(3)
        print(os.getpid(), child)
    """
    output = run(program, FOLDER=str(tmp_path), COLLECTOR=http_collector.endpoint)
    parent, child = map(int, output.split())
    by_process = {frame_of(path)["pid"]: table_of(path).num_rows for path in files(tmp_path)}
    assert by_process == {parent: 8, child: 7}
    assert all(finished(path) for path in files(tmp_path))
    spans = http_collector.roots()
    counted = {pid: sum(span.resource["process.pid"] == pid for span in spans) for pid in (parent, child)}
    assert counted == {parent: 8, child: 7}
    assert len({span.span_id for span in spans}) == len({span.trace_id for span in spans}) == 15


def test_a_child_that_does_nothing_disturbs_nothing(run, tmp_path):
    program = """
        recorder = aerospike_py.trace_recorder(os.environ["FOLDER"])
        use(5)
        child = os.fork()
        if child == 0:
            recorder.close()
            aerospike_py.shutdown_tracing()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        use(5)
    """
    run(program, FOLDER=str(tmp_path))
    (path,) = files(tmp_path)
    assert finished(path)
    assert table_of(path).num_rows == 10
