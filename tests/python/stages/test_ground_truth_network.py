"""Faults of the server and of the connections: which stage has to grow, by how much, and that no other one does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from driving import LANES
from measuring import MS, NOISE_MS, assert_grew, measure, recorded
from workload import BINS, KEYS, OPERATIONS

# A call, the number of nodes, and the kind of command that faults are set on.
CALLS = [
    pytest.param(("get", KEYS[0]), 1, "read", id="get"),
    pytest.param(("put", KEYS[0], BINS), 1, "write", id="put"),
    pytest.param(("batch_read", KEYS), 1, "batch_read", id="batch_read-one-node"),
    pytest.param(("batch_read", KEYS), 3, "batch_read", id="batch_read-three-nodes"),
]
SINGLE_RECORD = CALLS[:2]

# The server pauses behind a reply's last piece too; a request within that pause would have to wait for it.
AFTER_DRIBBLE_S = 0.04


@pytest.mark.parametrize(("call", "nodes", "command"), CALLS)
@pytest.mark.parametrize("lane", LANES)
def test_a_late_reply_is_network_wait(drivers, servers, lane, call, nodes, command):
    driver = drivers[lane, nodes]
    clean = measure(lambda: driver.call(*call), call[0], lane)
    with servers[nodes].fault("delay=40ms", command=command):
        faulty = measure(lambda: driver.call(*call), call[0], lane)
    # On three nodes the waits pass side by side: one delay, not three.
    assert_grew(clean, faulty, "network_wait", at_least_ms=39, at_most_ms=70)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("lane", LANES)
def test_a_late_reply_to_any_operation_is_network_wait(drivers, three_nodes, lane, operation):
    driver = drivers[lane, 3]
    prepare, call = OPERATIONS[operation]

    def run():
        # A preparation that is another operation has its own record; one that is the same would disturb the medians.
        for preparation in prepare(0):
            assert preparation[0] != operation
            driver.call(*preparation)
        with three_nodes.fault("delay=40ms"):
            driver.call(*call(0))

    measured = measure(run, operation, lane, times=3)
    # The server counts from when it has the request, which may be before the call that sends it has returned.
    assert measured.ms("network_write", "network_wait") >= 39
    assert 39 - NOISE_MS <= measured.ms("network_wait") <= 75
    assert measured.wall / MS - measured.ms("network_wait") <= 3 * NOISE_MS


@pytest.mark.parametrize(
    ("call", "nodes", "command", "fault", "at_least_ms", "at_most_ms"),
    [
        pytest.param(("get", KEYS[0]), 1, "read", "dribble=600,30ms", 29, 120, id="get"),
        pytest.param(("put", KEYS[0], BINS), 1, "write", "dribble=16,30ms", 29, 120, id="put"),
        # 200 records of 1,100 bytes: three pieces from one node, or one to three from each of three.
        pytest.param(("batch_read", KEYS), 1, "batch_read", "dribble=80000,30ms", 58, 200, id="batch_read-one-node"),
        pytest.param(("batch_read", KEYS), 3, "batch_read", "dribble=30000,30ms", 58, 200, id="batch_read-three-nodes"),
    ],
)
@pytest.mark.parametrize("lane", LANES)
def test_a_reply_in_pieces_is_network_read(
    drivers, servers, lane, call, nodes, command, fault, at_least_ms, at_most_ms
):
    driver = drivers[lane, nodes]
    clean = measure(lambda: driver.call(*call), call[0], lane)
    with servers[nodes].fault(fault, command=command):
        faulty = measure(lambda: driver.call(*call), call[0], lane, times=5, pause_s=AFTER_DRIBBLE_S)
    assert_grew(clean, faulty, "network_read", at_least_ms=at_least_ms, at_most_ms=at_most_ms)


@pytest.mark.parametrize("lane", LANES)
def test_a_slow_node_is_network_wait_at_that_node_and_counts_once(lane):
    """In a process of its own, because only the first addresses that a process meets have names in its records."""
    script = Path(__file__).with_name("slow_node.py")
    finished = subprocess.run([sys.executable, script, lane], capture_output=True, text=True, timeout=120, check=True)
    report = json.loads(finished.stdout)
    waits = report["faulty_waits_ms"]
    slow = report["slow"]
    assert set(waits) <= set(report["nodes"])
    # The median operation waits for the slowest of the three, 60 ms, and not for the sum of their delays.
    assert 58 <= report["network_wait_grew_ms"] <= 85, report
    assert report["others_moved_ms"] <= 10, report
    assert waits[slow] >= 58 * report["operations"], report
    # Whatever waits elsewhere are on the critical path belong to nodes that happened to answer last.
    assert sum(ms for node, ms in waits.items() if node != slow) <= 10 * report["operations"], report


@pytest.mark.parametrize("lane", LANES)
def test_a_pool_without_a_connection_to_spare_is_backoff(connect, one_node, lane):
    """The driver tries again after a pause for as long as the only connection is out."""
    driver = connect(lane, one_node, max_conns_per_node=1, conn_pools_per_node=1)
    run = lambda: driver.behind(lambda: ("put", KEYS[0], BINS), lambda: ("get", KEYS[1]))  # noqa: E731
    run()
    clean = measure(run, "get", lane)
    with one_node.fault("delay=60ms", command="write"):
        faulty = measure(run, "get", lane)
    assert_grew(clean, faulty, "backoff", "pool_acquire", at_least_ms=35, at_most_ms=100)
    assert faulty.ms("backoff") > faulty.ms("pool_acquire")


@pytest.mark.parametrize("lane", LANES)
def test_a_limit_of_operations_in_flight_is_limiter_wait(connect, one_node, lane):
    driver = connect(lane, one_node, max_concurrent_operations=1)
    run = lambda: driver.behind(lambda: ("put", KEYS[0], BINS), lambda: ("get", KEYS[1]))  # noqa: E731
    clean = measure(run, "get", lane)
    with one_node.fault("delay=60ms", command="write"):
        faulty = measure(run, "get", lane)
    assert_grew(clean, faulty, "limiter_wait", at_least_ms=35, at_most_ms=75)


@pytest.mark.parametrize(("call", "nodes", "command"), CALLS)
@pytest.mark.parametrize("lane", LANES)
def test_the_pause_before_a_retry_is_backoff(drivers, servers, lane, call, nodes, command):
    driver, server = drivers[lane, nodes], servers[nodes]
    patient = {"sleep_between_retries": 40, "max_retries": 5}

    def run():
        with server.fault("resetx1", command=command):
            driver.call(*call, policy=patient)

    before = sum(server.stats(node).commands.get(command.replace("_", "-"), 0) for node in range(nodes))
    clean = measure(lambda: driver.call(*call, policy=patient), call[0], lane)
    between = sum(server.stats(node).commands.get(command.replace("_", "-"), 0) for node in range(nodes))
    faulty = measure(run, call[0], lane, times=5)
    after = sum(server.stats(node).commands.get(command.replace("_", "-"), 0) for node in range(nodes))
    # One pause, or a second one when the pool had no other connection at hand.
    assert_grew(clean, faulty, "backoff", at_least_ms=39, at_most_ms=150)
    # Retries that end well are no failures, but they are attempts: the server has seen one more for each call.
    assert all(entry.errors == {} and entry.failed_in == {} for entry in faulty.operations)
    per_call = (between - before) / 8
    assert after - between >= 5 * (per_call + 1)


@pytest.mark.parametrize(("call", "nodes", "command"), SINGLE_RECORD)
@pytest.mark.parametrize("lane", LANES)
def test_retries_without_a_pause_are_no_network_wait(drivers, servers, lane, call, nodes, command):
    driver, server = drivers[lane, nodes], servers[nodes]
    eager = {"sleep_between_retries": 0, "max_retries": 5}
    with server.fault("delay=30ms", command=command), server.fault("resetx1", command=command):
        driver.call(*call, policy=eager)
    entry = recorded(call[0], lane)
    # One reply came late; the reset came at once, or after the same delay.
    assert 29e6 <= entry.stages["network_wait"].total_ns <= 110e6
