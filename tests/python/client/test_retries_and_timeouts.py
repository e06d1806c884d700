"""Deadlines and repeated attempts: what is tried again, what is given up, and what is in doubt then."""

import asyncio
import contextlib
import time

import aerospike_py as asp
import pytest
from aerospike_py.testing import EmbeddedServer
from aerospike_py.types import BatchRetryInfo
from expectations import eventually, open_connections, raises_exactly, results

pytestmark = pytest.mark.embedded

# Time-outs are checked against bounds that a busy machine keeps.
GENEROUS_SECONDS = 5.0
READ_CALLS = {
    "get": (),
    "select": (["n"],),
    "exists": (),
    "operate": ([{"op": asp.OPERATOR_READ, "bin": "n"}],),
}
WRITE_CALLS = {
    "put": ({"n": 2},),
    "touch": (),
    "append": ("s", "y"),
    "increment": ("n", 1),
    "remove": (),
    "operate": ([{"op": asp.OPERATOR_WRITE, "bin": "n", "val": 2}],),
}


@pytest.fixture
def client(one_node, connect, key):
    """A client of a server that has one record."""
    connected = connect(one_node.config())
    connected.put(key, {"n": 1, "s": "x"})
    return connected


def rows(keys):
    return [(key, {"n": 1}) for key in keys]


@pytest.mark.parametrize("name", READ_CALLS)
def test_a_read_that_is_not_answered_times_out(one_node, client, key, name):
    with one_node.fault("stall"):
        started = time.monotonic()
        with raises_exactly(asp.AerospikeTimeoutError, match="timed out.* total_timeout") as caught:
            getattr(client, name)(key, *READ_CALLS[name], policy={"total_timeout": 200})
        elapsed = time.monotonic() - started
    assert 0.19 <= elapsed <= GENEROUS_SECONDS
    assert caught.value.result_code == -1
    assert caught.value.in_doubt is False
    assert key[1] in str(caught.value)
    assert client.get(key).bins == {"n": 1, "s": "x"}


@pytest.mark.parametrize("name", WRITE_CALLS)
def test_a_write_that_is_not_answered_is_in_doubt(one_node, client, key, name):
    with one_node.fault("stall"):
        started = time.monotonic()
        with raises_exactly(asp.AerospikeTimeoutError, match="in doubt: the write may have been applied") as caught:
            getattr(client, name)(key, *WRITE_CALLS[name], policy={"total_timeout": 200})
        elapsed = time.monotonic() - started
    assert 0.19 <= elapsed <= GENEROUS_SECONDS
    assert caught.value.in_doubt is True
    assert caught.value.result_code == -1
    client.put(key, {"n": 9})
    assert client.get(key).bins["n"] == 9


def test_an_attempt_is_repeated_when_the_socket_is_silent_for_too_long(one_node, client, key):
    with one_node.fault("stallx2", command="read"):
        policy = {"socket_timeout": 100, "total_timeout": 20_000, "max_retries": 3}
        assert client.get(key, policy).bins == {"n": 1, "s": "x"}
    assert one_node.stats().faults_fired == 2


def test_attempts_end_with_the_total_deadline(one_node, client, key):
    with one_node.fault("stall", command="read"):
        started = time.monotonic()
        with raises_exactly(asp.AerospikeTimeoutError, match="timed out"):
            client.get(key, {"socket_timeout": 50, "total_timeout": 300, "max_retries": 1000})
        assert time.monotonic() - started <= GENEROUS_SECONDS


# An attempt that is given up after one silence leaves less than another one until the deadline.
SILENCES = {"socket_timeout": 500, "total_timeout": 600, "max_retries": 1000}
TWO_SILENCES_SECONDS = 1.0


def timed_out_before_a_second_silence(call):
    """Make a call until it ends sooner than two silences, which never happens if its deadline does not count."""
    for _ in range(5):
        started = time.monotonic()
        with raises_exactly(asp.AerospikeTimeoutError, match="timed out") as caught:
            call()
        if time.monotonic() - started < TWO_SILENCES_SECONDS:
            return caught.value
    raise AssertionError("every call has waited for two silences although there was no time for two")


@pytest.mark.parametrize("name", ["get", "exists"])
def test_a_read_does_not_await_a_reply_beyond_its_deadline(one_node, client, key, name):
    with one_node.fault("stall"):
        error = timed_out_before_a_second_silence(lambda: getattr(client, name)(key, SILENCES))
    assert error.in_doubt is False
    assert "2 attempts" in str(error)
    assert client.get(key).bins == {"n": 1, "s": "x"}
    # Those whose reply comes after all are kept for later.
    client.close()
    eventually(lambda: open_connections(one_node) == 0, "the end of the connections that timed out")


@pytest.mark.parametrize("name", ["put", "operate"])
def test_a_write_does_not_await_a_reply_beyond_its_deadline(one_node, client, key, name):
    with one_node.fault("stall"):
        error = timed_out_before_a_second_silence(
            lambda: getattr(client, name)(key, *WRITE_CALLS[name], policy=SILENCES)
        )
    assert error.in_doubt is True
    client.put(key, {"n": 9})
    assert client.get(key).bins["n"] == 9
    # Those whose reply comes after all are kept for later.
    client.close()
    eventually(lambda: open_connections(one_node) == 0, "the end of the connections that timed out")


def test_a_batch_of_one_key_does_not_await_a_reply_beyond_its_deadline(one_node, client, key):
    client.put(key, {"n": 1})
    with one_node.fault("stall"):
        error = timed_out_before_a_second_silence(lambda: client.batch_read([key], policy=SILENCES))
    assert error.in_doubt is False
    assert client.batch_read([key]).found_count() == 1


def test_a_body_that_does_not_come_is_not_awaited_beyond_the_deadline(one_node, client, key):
    client.put(key, {"blob": bytes(4096)})
    # The header is there soon, the rest would take more than a minute without a silence.
    with one_node.fault("dribble=64,1000ms", command="read"):
        started = time.monotonic()
        with raises_exactly(asp.AerospikeTimeoutError, match="timed out"):
            client.get(key, {"socket_timeout": 30_000, "total_timeout": 300, "max_retries": 0})
        assert time.monotonic() - started <= GENEROUS_SECONDS
    assert client.get(key).bins == {"n": 1, "s": "x", "blob": bytes(4096)}


def test_a_slow_answer_within_the_deadline_is_an_answer(one_node, client, key):
    with one_node.fault("delay=150ms", command="read"):
        started = time.monotonic()
        assert client.get(key, {"total_timeout": 20_000, "socket_timeout": 20_000}).bins == {"n": 1, "s": "x"}
        assert time.monotonic() - started >= 0.15


def test_an_answer_in_small_pieces_is_an_answer(one_node, client, key):
    client.put(key, {"blob": bytes(range(256)) * 4})
    with one_node.fault("dribble=64,1ms", command="read"):
        assert client.get(key, {"total_timeout": 20_000}).bins["blob"] == bytes(range(256)) * 4


@pytest.mark.parametrize("fault", ["delay=5ms..15ms", "stall@0.02", "reset-mid-reply@0.2"])
async def test_nobody_is_forgotten_while_connections_change_hands(one_node, key, fault):
    """Replies come too late or never: connections are given up all the time, and others get their descriptors."""
    policy = {"socket_timeout": 10, "total_timeout": 1500, "max_retries": 20}
    ended = 0

    async def read_until(end, reader):
        nonlocal ended
        while time.monotonic() < end:
            with contextlib.suppress(asp.AerospikeError):
                await reader.get(key, policy)
            ended += 1

    async with asp.async_client(one_node.config()) as reader:
        await reader.connect()
        await reader.put(key, {"n": 1})
        with one_node.fault(fault, command="read"):
            end = time.monotonic() + 2
            tasks = [asyncio.create_task(read_until(end, reader)) for _ in range(64)]
            _, forgotten = await asyncio.wait(tasks, timeout=60)
            for task in forgotten:
                task.cancel()
    assert not forgotten
    assert ended >= len(tasks)


def test_connections_that_timed_out_do_not_pile_up(one_node, client, key):
    before = open_connections(one_node)
    with one_node.fault("stall", command="read"):
        for _ in range(10):
            with pytest.raises(asp.AerospikeTimeoutError):
                client.get(key, {"total_timeout": 30})
    assert client.get(key).bins == {"n": 1, "s": "x"}
    eventually(lambda: open_connections(one_node) <= before + 1, "the end of the connections that timed out")
    client.close()
    eventually(lambda: open_connections(one_node) == 0, "the end of all connections")


@pytest.mark.parametrize("fault", ["reset", "reset-mid-reply", "refuse"])
def test_a_read_survives_a_connection_that_breaks(one_node, client, key, fault):
    with one_node.fault(f"{fault}x1", command="read"):
        assert client.get(key).bins == {"n": 1, "s": "x"}
    assert one_node.stats().faults_fired == 1


@pytest.mark.parametrize("fault", ["reset", "reset-mid-reply", "refuse"])
def test_connections_that_keep_breaking_are_cluster_errors(one_node, client, key, fault):
    before = open_connections(one_node)
    with one_node.fault(fault, command="read"):
        with raises_exactly(asp.ClusterError, match="check that the node is up.*3 attempts") as caught:
            client.get(key, {"max_retries": 2, "total_timeout": 20_000})
        assert one_node.stats().faults_fired == 3
        assert caught.value.result_code == -1
        assert caught.value.in_doubt is False
        with raises_exactly(asp.ClusterError, match="check that the node is up"):
            client.get(key, {"max_retries": 0})
        assert one_node.stats().faults_fired == 4
    assert client.get(key).bins == {"n": 1, "s": "x"}
    # Each of the four attempts may have had a connection opened that now waits in the pool.
    eventually(lambda: open_connections(one_node) <= before + 4, "the end of the broken connections")


@pytest.mark.parametrize("fault", ["reset", "refuse"])
def test_a_write_on_a_connection_that_breaks_is_in_doubt_and_not_repeated(one_node, client, key, fault):
    with one_node.fault(fault, command="write"):
        with raises_exactly(asp.ClusterError, match="in doubt: the write may have been applied") as caught:
            client.increment(key, "n", 1)
        assert one_node.stats().faults_fired == 1
    assert caught.value.in_doubt is True


def test_a_write_is_repeated_when_the_policy_says_so(one_node, client, key):
    with one_node.fault("refusex2", command="write"):
        client.put(key, {"n": 7}, policy={"max_retries": 5, "total_timeout": 20_000})
    assert one_node.stats().faults_fired == 2
    assert client.get(key).bins["n"] == 7


@pytest.mark.parametrize("code", [9, 11, 14, 18])
def test_passing_failures_of_the_server_are_tried_again(one_node, client, key, code):
    with one_node.fault(f"error={code}x2", command="read"):
        assert client.get(key, {"max_retries": 2, "total_timeout": 20_000}).bins == {"n": 1, "s": "x"}
    with one_node.fault(f"error={code}", command="read"), pytest.raises(asp.AerospikeError) as caught:
        client.get(key, {"max_retries": 2, "total_timeout": 20_000})
    assert caught.value.result_code == code
    assert "3 attempts" in str(caught.value)
    assert one_node.stats().faults_fired == 5


@pytest.mark.parametrize("code", [4, 12, 13, 22])
def test_other_failures_of_the_server_are_not(one_node, client, key, code):
    with one_node.fault(f"error={code}", command="read"), pytest.raises(asp.AerospikeError) as caught:
        client.get(key, {"max_retries": 5})
    assert caught.value.result_code == code
    assert one_node.stats().faults_fired == 1


def test_failures_with_a_probability_are_outlasted(connect, keys):
    with EmbeddedServer(seed=7) as server:
        api = connect(server.config())
        api.batch_write(rows(keys))
        with server.fault("error=14@0.5", command="read"):
            for key in keys * 5:
                assert api.get(key, {"max_retries": 50, "total_timeout": 20_000}).bins == {"n": 1}
        assert server.stats().faults_fired > 0


def test_pauses_between_attempts_are_kept(one_node, client, key):
    with one_node.fault("error=14x3", command="read"):
        started = time.monotonic()
        policy = {"max_retries": 3, "sleep_between_retries": 60, "total_timeout": 20_000}
        assert client.get(key, policy).bins == {"n": 1, "s": "x"}
        assert time.monotonic() - started >= 0.18


# --- batches -----------------------------------------------------------------------------------------------------


def test_a_batch_that_is_not_answered_times_out(one_node, client, keys):
    with one_node.fault("stall"):
        started = time.monotonic()
        with raises_exactly(asp.AerospikeTimeoutError, match="timed out") as read:
            client.batch_read(keys, policy={"total_timeout": 200})
        with raises_exactly(asp.AerospikeTimeoutError, match="timed out") as write:
            client.batch_write(rows(keys), {"total_timeout": 200})
        assert 0.38 <= time.monotonic() - started <= 2 * GENEROUS_SECONDS
    assert read.value.in_doubt is False
    assert write.value.in_doubt is True
    assert results(client.batch_write(rows(keys))) == [0] * len(keys)


def test_a_batch_read_survives_a_connection_that_breaks(one_node, client, keys):
    client.batch_write(rows(keys))
    with one_node.fault("resetx1", command="batch_read"):
        assert client.batch_read(keys).found_count() == len(keys)
    assert one_node.stats().faults_fired == 1


def test_batch_write_sends_failed_rows_again(one_node, client, keys):
    with one_node.fault("error=18x2", command="batch_write"):
        outcome = client.batch_write(rows(keys), {"total_timeout": 20_000}, retry=5)
    assert results(outcome) == [0] * len(keys)
    assert outcome.retry == BatchRetryInfo(attempts=3, max_attempts=6, truncated_by_timeout=False, unresolved=0)
    assert client.batch_read(keys).found_count() == len(keys)


def test_batch_write_gives_up_after_the_attempts_it_was_allowed(three_nodes, connect, many):
    api = connect(three_nodes.config())
    api.batch_write(rows(many))
    with three_nodes.fault("error=18", node=0, command="batch_write"):
        outcome = api.batch_write([(key, {"n": 2}) for key in many], {"total_timeout": 20_000}, retry=2)
    failed = [code for code in results(outcome) if code]
    assert 0 < len(failed) < len(many)
    assert set(failed) == {asp.AEROSPIKE_ERR_DEVICE_OVERLOAD}
    assert outcome.retry == BatchRetryInfo(3, 3, truncated_by_timeout=False, unresolved=len(failed))
    written = [{"n": 1 if code else 2} for code in results(outcome)]
    assert api.batch_read(many).to_list() == written


@pytest.mark.parametrize("faults", [("error=18x1", "stall"), ("stallx1", "error=18")])
def test_rows_that_an_attempt_may_have_written_stay_in_doubt(three_nodes, connect, many, faults):
    """The node refuses one attempt and says nothing of the other: whichever was last, its rows may be written."""
    api = connect(three_nodes.config())
    policy = {"total_timeout": 20_000, "socket_timeout": 200, "max_retries": 0}
    with contextlib.ExitStack() as planted:
        for fault in faults:
            planted.enter_context(three_nodes.fault(fault, node=0, command="batch_write"))
        outcome = api.batch_write(rows(many), policy, retry=1)
    assert outcome.retry.attempts == 2
    failed = [record for record in outcome.batch_records if record.result]
    assert 0 < len(failed) < len(many)
    assert {record.in_doubt for record in failed} == {True}
    assert {record.in_doubt for record in outcome.batch_records if not record.result} == {False}


def test_batch_write_stops_before_its_deadline(three_nodes, connect, many):
    api = connect(three_nodes.config())
    with three_nodes.fault("error=18", node=0, command="batch_write"):
        started = time.monotonic()
        outcome = api.batch_write(rows(many), {"total_timeout": 300}, retry=1000)
        assert time.monotonic() - started <= GENEROUS_SECONDS
    assert outcome.retry.truncated_by_timeout is True
    assert 1 < outcome.retry.attempts < outcome.retry.max_attempts == 1001
    assert outcome.retry.unresolved == sum(1 for code in results(outcome) if code) > 0


def test_batch_write_does_not_repeat_what_cannot_get_better(one_node, client, keys):
    client.put(keys[0], {"n": 0})
    policy = {"exists": asp.POLICY_EXISTS_CREATE_ONLY}
    outcome = client.batch_write(rows(keys), policy, retry=5)
    assert results(outcome) == [asp.AEROSPIKE_ERR_RECORD_EXISTS] + [0] * (len(keys) - 1)
    assert outcome.retry == BatchRetryInfo(attempts=1, max_attempts=6, truncated_by_timeout=False, unresolved=0)


def test_batch_write_raises_when_no_attempt_had_a_result(one_node, client, keys):
    with one_node.fault("refuse", command="batch_write"), raises_exactly(asp.ClusterError, match="check that the node"):
        client.batch_write(rows(keys), {"total_timeout": 20_000}, retry=2)
    assert one_node.stats().faults_fired == 3
    assert results(client.batch_write(rows(keys))) == [0] * len(keys)
