"""Connecting, closing and what a client knows about its cluster."""

import aerospike_py
import numpy as np
import pytest
from aerospike_py.types import InfoNodeResult
from expectations import eventually, open_connections, raises_exactly

NOT_CONNECTED = r"not connected: call connect\(\)"
CLOSED = r"client is closed: make a new client"

ROWS = np.zeros(1, np.dtype([("_key", "i4"), ("a", "i4")]))
CALLS = {
    "get": (("test", "s", 1),),
    "select": (("test", "s", 1), ["a"]),
    "exists": (("test", "s", 1),),
    "put": (("test", "s", 1), {"a": 1}),
    "remove": (("test", "s", 1),),
    "touch": (("test", "s", 1),),
    "append": (("test", "s", 1), "a", "x"),
    "prepend": (("test", "s", 1), "a", "x"),
    "increment": (("test", "s", 1), "a", 1),
    "remove_bin": (("test", "s", 1), ["a"]),
    "operate": (("test", "s", 1), [{"op": aerospike_py.OPERATOR_READ, "bin": "a"}]),
    "operate_ordered": (("test", "s", 1), [{"op": aerospike_py.OPERATOR_READ, "bin": "a"}]),
    "batch_read": ([("test", "s", 1)],),
    "batch_write": ([(("test", "s", 1), {"a": 1})],),
    "batch_write_numpy": (ROWS, "test", "s", ROWS.dtype),
    "batch_operate": ([("test", "s", 1)], [{"op": aerospike_py.OPERATOR_READ, "bin": "a"}]),
    "batch_remove": ([("test", "s", 1)],),
    "truncate": ("test", "s"),
    "info_all": ("build",),
    "info_random_node": ("build",),
    "get_node_names": (),
}


def test_a_connected_client_knows_its_cluster(api):
    assert api.is_connected() is True
    assert api.ping() is True
    names = api.get_node_names()
    assert names
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) and name for name in names)


def test_info_all_asks_every_node(api):
    answers = api.info_all("namespaces", policy={"timeout": 5000})
    assert all(type(answer) is InfoNodeResult for answer in answers)
    assert sorted(answer.node_name for answer in answers) == sorted(api.get_node_names())
    assert all(answer.error_code == 0 and "test" in answer.response.split(";") for answer in answers)


def test_info_random_node_answers_with_text(api):
    build = api.info_random_node("build")
    assert isinstance(build, str)
    assert build in {answer.response for answer in api.info_all("build")}


def test_an_info_command_that_nobody_knows_is_answered_not_raised(api):
    answers = api.info_all("no-such-command")
    assert all(answer.error_code == 0 and "ERROR" in answer.response.upper() for answer in answers)


@pytest.mark.parametrize("command", ["", "two\nlines"])
def test_info_commands_are_one_line_of_text(api, command):
    with raises_exactly(aerospike_py.InvalidArgError, match="one line of text"):
        api.info_random_node(command)


@pytest.mark.embedded
def test_node_names_are_those_that_the_nodes_report(three_nodes, connect):
    assert sorted(connect(three_nodes.config()).get_node_names()) == sorted(three_nodes.node_names())


@pytest.mark.embedded
def test_one_seed_of_several_is_enough(three_nodes, connect):
    config = three_nodes.config(hosts=[("127.0.0.1", 1), three_nodes.hosts[2]])
    api = connect(config)
    assert sorted(api.get_node_names()) == sorted(three_nodes.node_names())


@pytest.mark.parametrize("name", CALLS)
def test_a_client_that_was_never_connected_says_so(unconnected, server_config, name):
    api = unconnected(server_config)
    with raises_exactly(aerospike_py.ClientError, match=NOT_CONNECTED) as caught:
        getattr(api, name)(*CALLS[name])
    assert caught.value.result_code == -1


@pytest.mark.parametrize("name", CALLS)
def test_a_client_that_was_closed_says_so(connect, server_config, name):
    api = connect(server_config)
    api.close()
    with raises_exactly(aerospike_py.ClientError, match=CLOSED) as caught:
        getattr(api, name)(*CALLS[name])
    assert caught.value.result_code == -1


def test_pings_without_a_connection_are_false(unconnected, server_config):
    api = unconnected(server_config)
    assert (api.is_connected(), api.ping()) == (False, False)
    api.connect()
    assert (api.is_connected(), api.ping()) == (True, True)
    api.close()
    assert (api.is_connected(), api.ping()) == (False, False)


def test_closing_twice_or_before_connecting_does_nothing(unconnected, server_config):
    api = unconnected(server_config)
    assert api.close() is None
    api.connect()
    assert api.close() is None
    assert api.close() is None


def test_a_closed_client_can_connect_again(connect, server_config, key):
    api = connect(server_config)
    api.put(key, {"n": 1})
    api.close()
    api.connect()
    assert api.get(key).bins == {"n": 1}


@pytest.mark.embedded
def test_connecting_again_replaces_the_connections(one_node, connect, key):
    api = connect(one_node.config())
    before = open_connections(one_node)
    for _ in range(3):
        api.connect()
    assert api.put(key, {"n": 1}) is None
    eventually(lambda: open_connections(one_node) <= before, "the end of the replaced connections")


@pytest.mark.embedded
def test_closing_ends_all_connections(three_nodes, connect, keys):
    api = connect(three_nodes.config())
    api.batch_write([(key, {"n": 1}) for key in keys])
    assert open_connections(three_nodes) >= 3
    api.close()
    eventually(lambda: open_connections(three_nodes) == 0, "the end of all connections")


def test_connect_returns_the_client(server_config):
    client = aerospike_py.client(server_config)
    assert client.connect() is client
    client.close()


async def test_awaiting_connect_gives_the_client(server_config):
    client = aerospike_py.async_client(server_config)
    assert await client.connect() is client
    await client.close()


def test_leaving_a_with_block_closes_the_client(server_config, key):
    with aerospike_py.client(server_config).connect() as client:
        client.put(key, {"n": 1})
    assert not client.is_connected()
    with pytest.raises(aerospike_py.ClientError, match=CLOSED):
        client.get(key)


def test_an_exception_passes_through_a_with_block(server_config, key):
    with pytest.raises(aerospike_py.RecordNotFound), aerospike_py.client(server_config).connect() as client:
        client.get(key)
    assert not client.is_connected()


async def test_leaving_an_async_with_block_closes_the_client(server_config, key):
    async with await aerospike_py.async_client(server_config).connect() as client:
        await client.put(key, {"n": 1})
    assert not client.is_connected()
    with pytest.raises(aerospike_py.ClientError, match=CLOSED):
        await client.get(key)


async def test_an_exception_passes_through_an_async_with_block(server_config, key):
    with pytest.raises(aerospike_py.RecordNotFound):
        async with await aerospike_py.async_client(server_config).connect() as client:
            await client.get(key)
    assert not client.is_connected()


@pytest.mark.embedded
def test_an_operation_with_a_deadline_may_end_after_the_client_was_closed(one_node, connect, key):
    api = connect(one_node.config())
    api.put(key, {"n": 1})
    with one_node.fault("delay=300ms", command="read"):
        reading = api.start("get", key, {"total_timeout": 5000})
        eventually(lambda: one_node.stats().faults_fired == 1, "the read")
        api.close()
        assert reading.result(5).bins == {"n": 1}
    eventually(lambda: open_connections(one_node) == 0, "the end of all connections")


@pytest.mark.embedded
def test_an_operation_without_a_deadline_ends_when_the_client_is_closed(one_node, connect, key):
    api = connect(one_node.config())
    api.put(key, {"n": 1})
    with one_node.fault("stall", command="read"):
        reading = api.start("get", key, {"total_timeout": 0, "socket_timeout": 0})
        eventually(lambda: one_node.stats().faults_fired == 1, "the read")
        api.close()
        with raises_exactly(aerospike_py.ClientError, match=CLOSED):
            reading.result(5)
        eventually(lambda: open_connections(one_node) == 0, "the end of all connections")
