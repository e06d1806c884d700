"""The server that metrics are scraped from: what it answers, how it starts and stops, and clients that mean no good."""

import os
import re
import socket
import subprocess
import sys
import threading
import time

import aerospike_py
import pytest
from scraping import DURATION, ask


def connect(address):
    return socket.create_connection(address, timeout=30)


def is_served(address):
    try:
        return ask(address).status == 200
    except OSError:
        return False


@pytest.mark.parametrize("path", ["/metrics", "/", "/metrics?name=x"])
def test_get_and_head(metrics_server, path):
    got = ask(metrics_server, path)
    assert got.status == 200
    assert DURATION.encode() in got.body or b"db_client_records_dropped_total" in got.body
    head = ask(metrics_server, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/other", "GET", 404),
        ("/metrics/", "GET", 404),
        ("/other", "POST", 404),
        ("/metrics", "POST", 405),
        ("/", "DELETE", 405),
        ("/metrics", "OPTIONS", 405),
    ],
)
def test_everything_else_is_refused(metrics_server, path, method, status):
    answer = ask(metrics_server, path, method)
    assert answer.status == status
    if status == 405:
        assert answer.headers["Allow"] == "GET, HEAD"


def test_it_listens_on_this_machine_only(metrics_server):
    assert metrics_server[0] == "127.0.0.1"


def test_another_start_moves_it(metrics_server):
    assert aerospike_py.start_metrics_server(port=metrics_server[1]) == metrics_server
    moved = aerospike_py.start_metrics_server(port=0)
    assert moved != metrics_server
    assert is_served(moved)
    assert not is_served(metrics_server)


def test_stop_frees_the_port(metrics_server):
    aerospike_py.stop_metrics_server()
    aerospike_py.stop_metrics_server()
    assert not is_served(metrics_server)
    assert aerospike_py.start_metrics_server(port=metrics_server[1]) == metrics_server
    assert is_served(metrics_server)


def test_stop_does_not_wait_for_connections(metrics_server):
    with connect(metrics_server) as idle:
        idle.sendall(b"GET /metrics HT")
        started = time.monotonic()
        aerospike_py.stop_metrics_server()
        assert time.monotonic() - started < 5


def test_a_port_in_use_is_an_error_that_says_so(metrics_server):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}.*no other process") as caught:
            aerospike_py.start_metrics_server(port=port)
        assert caught.value.errno
    # The one that ran goes on.
    assert is_served(metrics_server)


@pytest.mark.parametrize("port", [-1, 65_536, 2**40])
def test_a_port_out_of_range_is_refused(port):
    with pytest.raises(aerospike_py.InvalidArgError, match="0 to 65535"):
        aerospike_py.start_metrics_server(port=port)


def test_a_host_that_is_not_this_machine_is_refused():
    with pytest.raises(OSError, match="address of this machine"):
        aerospike_py.start_metrics_server(port=0, host="203.0.113.7")


def test_it_does_not_need_the_interpreter(metrics_server):
    """A thread holds the GIL, where there is one, while the answer is fetched by another process."""
    program = "import sys, urllib.request as r; sys.exit(r.urlopen(sys.argv[1], timeout=20).status != 200)"
    url = f"http://{metrics_server[0]}:{metrics_server[1]}/metrics"
    child = subprocess.Popen([sys.executable, "-c", program, url])
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        # Nothing else runs Python in this process while this loop does.
        while child.poll() is None:
            re.search("(a+)+b", "a" * 18)
    finally:
        sys.setswitchinterval(before)
    assert child.returncode == 0


def answer_to(address, request):
    with connect(address) as raw:
        raw.sendall(request)
        answer = b""
        while piece := raw.recv(65_536):
            answer += piece
        return answer


HOSTILE = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "long head": b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n",
    "long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_request_is_refused(metrics_server, kind):
    try:
        answer = answer_to(metrics_server, HOSTILE[kind])
    except ConnectionError:
        answer = b""
    assert answer == b"" or answer.split()[1] in (b"400", b"414", b"431"), answer[:100]
    assert is_served(metrics_server)


def test_slow_clients_are_cut_off_and_leave_room(metrics_server):
    crowd = [connect(metrics_server) for _ in range(64)]
    try:
        for one in crowd:
            one.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
        started = time.monotonic()
        # While they have all the room, more are turned away; they lose it after ten seconds.
        while not is_served(metrics_server):
            assert time.monotonic() - started < 30
            time.sleep(0.2)
        assert time.monotonic() - started < 20
    finally:
        for one in crowd:
            one.close()


def test_an_answer_that_nobody_reads_blocks_nobody(metrics_server):
    with connect(metrics_server) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        for _ in range(10):
            assert is_served(metrics_server)


def test_many_scrape_at_once(metrics_server):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(metrics_server).status)) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 24


FORKING = """
import os, sys, urllib.request
import aerospike_py

def status(address):
    try:
        return urllib.request.urlopen("http://%s:%d/metrics" % address, timeout=20).status
    except OSError:
        return None

address = aerospike_py.start_metrics_server(port=0)
assert status(address) == 200
child = os.fork()
if child == 0:
    assert status(address) == 200, "the parent goes on"
    mine = aerospike_py.start_metrics_server(port=0)
    assert mine != address and status(mine) == 200
    aerospike_py.stop_metrics_server()
    assert status(mine) is None and status(address) == 200
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0

read, write = os.pipe()
child = os.fork()
if child == 0:
    os.close(write)
    os.read(read, 1)
    os._exit(0)
os.close(read)
aerospike_py.stop_metrics_server()
assert status(address) is None, "a child that lives on does not keep the port"
assert aerospike_py.start_metrics_server(port=address[1]) == address
os.close(write)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_the_child_of_a_fork_does_not_serve():
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def run(program, **environment):
    named = {**os.environ, **environment}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=named, check=False)


def test_the_environment_starts_it():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = f"import aerospike_py; print(aerospike_py.start_metrics_server({port}, '127.0.0.1'), flush=True)"
    fetching = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/').status)"
    done = run(f"import aerospike_py\n{fetching}\n{program}", AEROSPIKE_PY_METRICS_PORT=str(port))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["200", str(("127.0.0.1", port))]


@pytest.mark.parametrize("wrong", ["many", "70000", "used"])
def test_an_environment_that_cannot_be_followed_is_a_warning(wrong):
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = str(used.getsockname()[1]) if wrong == "used" else wrong
        done = run("import aerospike_py", AEROSPIKE_PY_METRICS_PORT=port)
        assert done.returncode == 0
        assert done.stderr.count("RuntimeWarning: no metrics server was started") == 1
        strict = run(
            "import warnings; warnings.simplefilter('error'); import aerospike_py", AEROSPIKE_PY_METRICS_PORT=port
        )
        assert strict.returncode == 0
        assert "no metrics server was started" in strict.stderr
