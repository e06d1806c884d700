"""Operations that fail are recorded too: with their outcome, and with the stage that they were in."""

import asyncio
import contextlib
import signal
import threading

import aerospike_py
import pytest
from driving import LANES
from measuring import recorded
from workload import BINS, KEYS, MISSING

IMPATIENT = {"socket_timeout": 60, "total_timeout": 60, "max_retries": 0}
ONCE = {"max_retries": 0}


def failure(driver, call, error, **keywords):
    """Make a call that must fail, and return what was recorded of it."""
    with pytest.raises(error):
        driver.call(*call, **keywords)
    entry = recorded(call[0], driver.lane)
    assert entry.count == 1
    return entry


@pytest.mark.parametrize(
    ("call", "nodes", "command"),
    [
        pytest.param(("get", KEYS[0]), 1, "read", id="get"),
        pytest.param(("put", KEYS[0], BINS), 1, "write", id="put"),
        pytest.param(("batch_read", KEYS), 1, "batch_read", id="batch_read-one-node"),
        pytest.param(("batch_read", KEYS), 3, "batch_read", id="batch_read-three-nodes"),
    ],
)
@pytest.mark.parametrize("lane", LANES)
def test_an_error_code_is_met_in_decode(drivers, servers, lane, call, nodes, command):
    with servers[nodes].fault("error=8", command=command):
        entry = failure(drivers[lane, nodes], call, aerospike_py.ServerError)
    assert entry.errors == {"server_error": 1}
    assert entry.failed_in == {"decode": 1}


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("lane", LANES)
def test_a_miss_is_met_in_decode_and_is_an_outcome_of_its_own(drivers, lane, nodes):
    entry = failure(drivers[lane, nodes], ("get", MISSING), aerospike_py.RecordNotFound)
    assert entry.errors == {"not_found": 1}
    assert entry.failed_in == {"decode": 1}


@pytest.mark.parametrize(
    ("call", "command"),
    [
        pytest.param(("get", KEYS[0]), "read", id="get"),
        pytest.param(("put", KEYS[0], BINS), "write", id="put"),
    ],
)
@pytest.mark.parametrize("lane", LANES)
def test_a_server_that_does_not_answer_is_met_in_network_wait(drivers, one_node, lane, call, command):
    with one_node.fault("stall", command=command):
        entry = failure(drivers[lane, 1], call, aerospike_py.AerospikeTimeoutError, policy=IMPATIENT)
    assert entry.errors == {"timeout": 1}
    assert entry.failed_in == {"network_wait": 1}
    assert 50e6 <= entry.stages["network_wait"].total_ns <= 250e6


@pytest.mark.parametrize("lane", LANES)
def test_a_node_that_does_not_answer_delays_the_batch_by_its_deadline(drivers, three_nodes, lane):
    """The rows of the other nodes have results, so the batch as a whole is no failure."""
    with three_nodes.fault("stall", node=1, command="batch_read"):
        batch = drivers[lane, 3].call("batch_read", KEYS, policy=IMPATIENT)
    results = {row.result for row in batch.batch_records}
    assert results == {aerospike_py.AEROSPIKE_OK, aerospike_py.AEROSPIKE_ERR_TIMEOUT}
    entry = recorded("batch_read", lane)
    assert entry.errors == {}
    assert 50e6 <= entry.stages["network_wait"].total_ns <= 250e6


@pytest.mark.parametrize(
    ("fault", "stage"),
    [
        ("reset", "network_wait"),
        ("refuse", "network_wait"),
        ("reset-mid-reply", "network_read"),
    ],
)
@pytest.mark.parametrize("lane", LANES)
def test_a_lost_connection_is_met_where_it_was_lost(drivers, one_node, lane, fault, stage):
    """Before any byte of the reply the client waits for it, afterwards it reads it."""
    driver = drivers[lane, 1]
    driver.call("get", KEYS[0])
    recorded("get", lane)
    with one_node.fault(fault, command="read"):
        entry = failure(driver, ("get", KEYS[0]), aerospike_py.ClusterError, policy=ONCE)
    assert entry.errors == {"connection": 1}
    assert entry.failed_in == {stage: 1}


@pytest.mark.parametrize("lane", LANES)
def test_a_node_that_is_gone_is_met_before_anything_is_sent(connect, lane):
    with aerospike_py.testing.EmbeddedServer(process=True) as server:
        driver = connect(lane, server)
        server.node_down(0)
        hasty = {"max_retries": 2, "total_timeout": 150, "sleep_between_retries": 5}
        # The first one may still find a connection that has just died.
        entries = [
            failure(
                driver, ("get", KEYS[0]), (aerospike_py.AerospikeTimeoutError, aerospike_py.ClusterError), policy=hasty
            )
            for _ in range(2)
        ]
        server.node_up(0)
        assert set(entries[1].errors) <= {"timeout", "connection"}
        assert set(entries[1].failed_in) <= {"backoff", "pool_acquire"}, entries[1].failed_in
        assert "network_wait" not in entries[1].stages


@pytest.mark.parametrize("lane", LANES)
def test_refused_arguments_are_met_in_key_parse(drivers, lane):
    entry = failure(drivers[lane, 1], ("put", KEYS[0], {"number": 2**64}), OverflowError)
    assert entry.errors == {"client_error": 1}
    assert entry.failed_in == {"key_parse": 1}
    assert list(entry.stages) == ["key_parse"]


@pytest.mark.parametrize("lane", LANES)
def test_backpressure_is_met_in_limiter_wait(connect, one_node, lane):
    driver = connect(lane, one_node, max_concurrent_operations=1, operation_queue_timeout_ms=20)
    with one_node.fault("delay=90ms", command="write"), pytest.raises(aerospike_py.BackpressureError):
        driver.behind(lambda: ("put", KEYS[0], BINS), lambda: ("get", KEYS[1]))
    entry = recorded("get", lane)
    assert entry.errors == {"client_error": 1}
    assert entry.failed_in == {"limiter_wait": 1}
    assert entry.stages["limiter_wait"].total_ns >= 19e6


@pytest.mark.parametrize("lane", LANES)
def test_a_closed_client_is_met_before_a_connection_is_asked_for(connect, one_node, lane):
    driver = connect(lane, one_node)
    driver.call("close")
    entry = failure(driver, ("get", KEYS[0]), aerospike_py.ClientError)
    assert entry.errors == {"client_error": 1}
    assert set(entry.failed_in) <= {"key_parse", "dispatch", "pool_acquire"}, entry.failed_in


@pytest.mark.parametrize("how", ["cancel", "wait_for"])
@pytest.mark.parametrize(
    ("call", "nodes", "command"),
    [
        pytest.param(("get", KEYS[0]), 1, "read", id="get"),
        pytest.param(("batch_read", KEYS), 3, "batch_read", id="batch_read-three-nodes"),
    ],
)
def test_a_cancelled_task_keeps_the_stage_it_was_cancelled_in(drivers, servers, call, nodes, command, how):
    driver = drivers["asyncio", nodes]
    name, *arguments = call

    async def awaiting():
        await getattr(driver.client, name)(*arguments)

    async def cancelling():
        if how == "wait_for":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(awaiting(), 0.03)
        else:
            task = asyncio.create_task(awaiting())
            await asyncio.sleep(0.03)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # The runtime notices in its own time.
        await asyncio.sleep(0.02)

    with servers[nodes].fault("delay=400ms", command=command):
        driver.runner.run(cancelling())
        entry = recorded(name, "asyncio")
    assert entry.errors == {"cancelled": 1}
    assert entry.failed_in == {"network_wait": 1}
    assert 15e6 <= entry.wall.total_ns <= 350e6
    # Also where a batch was waiting for tasks of its own: they were waiting for their nodes, once they had a processor.
    waiting = entry.wall.total_ns - entry.stages["pool_acquire"].total_ns
    assert entry.stages["network_wait"].total_ns >= waiting / 2


def test_a_result_that_nobody_awaits_is_recorded(drivers):
    driver = drivers["asyncio", 1]

    async def forgetful():
        operation = driver.client.get(KEYS[0])
        await asyncio.sleep(0.05)
        del operation

    driver.runner.run(forgetful())
    assert recorded("get", "asyncio").count == 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an interval timer")
def test_a_signal_handler_that_raises_cancels_a_synchronous_call(drivers, one_node):
    class AlarmError(Exception):
        pass

    def on_alarm(_number, _frame):
        raise AlarmError

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        with one_node.fault("delay=400ms", command="read"):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(AlarmError):
                drivers["sync", 1].call("get", KEYS[0])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    entry = recorded("get", "sync")
    assert entry.errors == {"cancelled": 1}
    assert entry.failed_in == {"network_wait": 1}
    assert entry.wall.total_ns < 350e6


@pytest.mark.parametrize("lane", LANES)
def test_every_call_is_counted_whatever_becomes_of_it(drivers, one_node, lane):
    """Misses, errors and successes in a row: outcomes and failures add up, and time does as well."""
    driver = drivers[lane, 1]
    with one_node.fault("error=8@0.5", command="read"):
        for turn in range(60):
            with contextlib.suppress(aerospike_py.AerospikeError):
                driver.call("get", KEYS[turn] if turn % 3 else MISSING)
    entry = recorded("get", lane)
    assert entry.count == 60
    assert set(entry.errors) == {"not_found", "server_error"}
    assert entry.failed_in == {"decode": sum(entry.errors.values())}
    assert 5 <= entry.errors["server_error"] <= 55
