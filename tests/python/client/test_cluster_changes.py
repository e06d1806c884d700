"""Nodes that fail, return and trade partitions while a client works, and batches of which a part fails."""

import itertools
import time

import aerospike_py as asp
import pytest
from aerospike_py.testing import EmbeddedServer
from expectations import eventually, open_connections, raises_exactly, results

pytestmark = pytest.mark.embedded

TEND_MS = 250
CONNECTION_LOST = asp.AEROSPIKE_ERR_CONNECTION
TIMED_OUT = asp.AEROSPIKE_ERR_TIMEOUT
BUSY_SECONDS = 2.0


@pytest.fixture
def client(three_nodes, connect, many):
    """A client of three nodes that have a record for every key."""
    connected = connect(three_nodes.config(tend_interval=TEND_MS, timeout=1000))
    assert results(connected.batch_write([(key, {"n": key[2]}) for key in many])) == [0] * len(many)
    return connected


def split(codes):
    """How many rows succeeded and which codes the others have."""
    return codes.count(0), {code for code in codes if code}


@pytest.mark.parametrize(
    ("fault", "code", "policy"),
    [
        ("stall", TIMED_OUT, {"total_timeout": 300, "max_retries": 0}),
        ("reset", CONNECTION_LOST, {"max_retries": 0}),
        ("refuse", CONNECTION_LOST, {"max_retries": 0}),
        ("error=9", TIMED_OUT, {"max_retries": 0}),
        ("error=150", asp.AEROSPIKE_ERR_BATCH_DISABLED, {}),
        ("error=8", asp.AEROSPIKE_ERR_SERVER_MEM, {}),
    ],
)
def test_rows_of_the_other_nodes_are_read(three_nodes, client, many, fault, code, policy):
    with three_nodes.fault(fault, node=1, command="batch_read"):
        handle = client.batch_read(many, policy=policy)
    codes = results(handle)
    succeeded, failures = split(codes)
    assert 0 < succeeded < len(many)
    assert failures == {code}
    assert handle.found_count() == len(handle) == succeeded
    assert handle.to_list() == [None if code else {"n": key[2]} for key, code in zip(many, codes, strict=True)]
    assert handle.to_dict() == {key[2]: {"n": key[2]} for key, code in zip(many, codes, strict=True) if not code}
    assert all(record.in_doubt is False for record in handle.batch_records)
    assert client.batch_read(many).found_count() == len(many)


@pytest.mark.parametrize(
    ("fault", "code", "in_doubt", "policy"),
    [
        ("stall", TIMED_OUT, True, {"total_timeout": 300}),
        ("reset", CONNECTION_LOST, True, {}),
        ("error=18", asp.AEROSPIKE_ERR_DEVICE_OVERLOAD, False, {}),
        ("error=22", asp.AEROSPIKE_ERR_FAIL_FORBIDDEN, False, {}),
    ],
)
def test_rows_of_the_other_nodes_are_written(three_nodes, client, many, fault, code, in_doubt, policy):
    with three_nodes.fault(fault, node=1, command="batch_write"):
        outcome = client.batch_write([(key, {"n": -1}) for key in many], policy)
    succeeded, failures = split(results(outcome))
    assert 0 < succeeded < len(many)
    assert failures == {code}
    assert {record.in_doubt for record in outcome.batch_records if record.result} == {in_doubt}
    assert {record.in_doubt for record in outcome.batch_records if not record.result} == {False}
    found = client.batch_read(many).to_list()
    for record, bins in zip(outcome.batch_records, found, strict=True):
        if record.result == 0 or not record.in_doubt:
            assert bins == {"n": -1 if record.result == 0 else record.key.user_key}


def test_a_batch_write_repeats_the_rows_of_a_node_that_recovers(three_nodes, client, many):
    with three_nodes.fault("resetx1", node=1, command="batch_write"):
        outcome = client.batch_write([(key, {"n": -1}) for key in many], {"total_timeout": 20_000}, retry=3)
    assert results(outcome) == [0] * len(many)
    assert (outcome.retry.attempts, outcome.retry.unresolved) == (2, 0)


def test_a_batch_read_asks_another_copy_when_a_node_fails(three_nodes, client, many):
    with three_nodes.fault("reset", node=1, command="batch_read"):
        assert client.batch_read(many, policy={"max_retries": 3}).found_count() == len(many)


def test_no_node_answers_a_batch(three_nodes, client, many):
    with three_nodes.fault("refuse", command="batch_read"), raises_exactly(asp.ClusterError, match="node is up"):
        client.batch_read(many, policy={"max_retries": 1})
    assert client.batch_read(many).found_count() == len(many)


def test_moving_partitions_is_not_noticed(three_nodes, client, many):
    for _ in range(4):
        three_nodes.move_partitions()
        for key in many[:30]:
            assert client.get(key).bins == {"n": key[2]}
        assert client.batch_read(many).to_list() == [{"n": key[2]} for key in many]
        assert results(client.batch_write([(key, {"n": key[2]}) for key in many])) == [0] * len(many)


def test_partitions_that_move_under_way(three_nodes, client, many):
    """Reads and writes go on while the partitions move; nothing is lost and nothing wrong is read."""
    deadline = time.monotonic() + BUSY_SECONDS
    rounds = 0
    while time.monotonic() < deadline:
        reads = [client.start("get", key) for key in many[:20]]
        batch = client.start("batch_read", many)
        three_nodes.move_partitions()
        writes = [client.start("put", key, {"n": key[2]}, policy={"max_retries": 5}) for key in many[20:40]]
        assert [read.result(30).bins["n"] for read in reads] == list(range(20))
        assert batch.result(30).to_list() == [{"n": key[2]} for key in many]
        assert [write.result(30) for write in writes] == [None] * 20
        rounds += 1
    assert rounds > 1


def test_a_node_that_goes_down_and_comes_back(three_nodes, client, many):
    names = three_nodes.node_names()
    three_nodes.node_down(1)
    eventually(lambda: sorted(client.get_node_names()) == sorted([names[0], names[2]]), "the loss of a node")
    assert client.is_connected()
    assert client.ping()
    for key in many[:30]:
        assert client.get(key).bins == {"n": key[2]}
    assert client.batch_read(many).found_count() == len(many)
    assert results(client.batch_write([(key, {"n": 0}) for key in many])) == [0] * len(many)
    assert {answer.node_name for answer in client.info_all("build")} == {names[0], names[2]}
    three_nodes.node_up(1)
    eventually(lambda: sorted(client.get_node_names()) == sorted(names), "the return of the node")
    assert client.batch_read(many).to_list() == [{"n": 0}] * len(many)
    client.close()
    eventually(lambda: open_connections(three_nodes) == 0, "the end of all connections")


def test_a_node_that_goes_down_under_way(three_nodes, client, many):
    """Every call ends with a right value or an AerospikeError, none hangs, and it all works again afterwards."""
    outcomes = {"right": 0, "failed": 0}
    for turn in itertools.count():
        if turn == 3:
            three_nodes.node_down(2)
        if turn == 9:
            three_nodes.node_up(2)
        if turn == 12:
            break
        policy = {"total_timeout": 1000, "max_retries": 5, "sleep_between_retries": 5}
        reading = [(key, client.start("get", key, policy)) for key in many[:30]]
        for key, read in reading:
            try:
                assert read.result(30).bins == {"n": key[2]}
                outcomes["right"] += 1
            except (asp.ClusterError, asp.AerospikeTimeoutError):
                outcomes["failed"] += 1
    assert outcomes["right"] > 3 * 30
    eventually(lambda: len(client.get_node_names()) == 3, "the return of the node")
    assert client.batch_read(many).found_count() == len(many)


def test_all_nodes_down(three_nodes, client, many):
    for node in range(3):
        three_nodes.node_down(node)
    eventually(lambda: not client.is_connected(), "the loss of all nodes")
    assert client.ping() is False
    assert client.get_node_names() == []
    calls = {
        "get": (many[0],),
        "put": (many[0], {"n": 1}),
        "batch_read": (many,),
        "batch_write": ([(key, {"n": 1}) for key in many],),
        "info_all": ("build",),
        "info_random_node": ("build",),
        "truncate": ("test", "none"),
    }
    for name, arguments in calls.items():
        with raises_exactly(asp.ClusterError, match="check") as caught:
            getattr(client, name)(*arguments)
        assert caught.value.result_code == -1
    for node in range(3):
        three_nodes.node_up(node)
    eventually(lambda: len(client.get_node_names()) == 3, "the return of all nodes")

    def all_found():
        try:
            return client.batch_read(many).found_count() == len(many)
        except asp.ClusterError:
            return False

    # A node that is back tells what it holds with its next answer, not with its name.
    eventually(all_found, "the return of all partitions")


def test_clients_find_nodes_through_any_seed_that_is_left(connect):
    with EmbeddedServer(nodes=3) as server:
        server.node_down(0)
        api = connect(server.config(timeout=1000))
        assert len(api.get_node_names()) == 2
