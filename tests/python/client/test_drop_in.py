"""What code written for ``aerospike-py`` 0.14 relies on: names, signatures, result shapes, ways to await.

The facts are those of that package's stubs; exceptions and constants are checked where the Python face is tested.
"""

import asyncio
import collections.abc
import copy
import functools
import importlib
import inspect
import pickle
import subprocess
import sys
from unittest import mock

import aerospike_py
import pytest

METHODS = {
    "connect": "(username=None, password=None)",
    "is_connected": "()",
    "ping": "()",
    "close": "()",
    "get_node_names": "()",
    "info_all": "(command, policy=None)",
    "info_random_node": "(command, policy=None)",
    "put": "(key, bins, meta=None, policy=None)",
    "get": "(key, policy=None)",
    "select": "(key, bins, policy=None)",
    "exists": "(key, policy=None)",
    "remove": "(key, meta=None, policy=None)",
    "touch": "(key, val=0, meta=None, policy=None)",
    "append": "(key, bin, val, meta=None, policy=None)",
    "prepend": "(key, bin, val, meta=None, policy=None)",
    "increment": "(key, bin, offset, meta=None, policy=None)",
    "remove_bin": "(key, bin_names, meta=None, policy=None)",
    "operate": "(key, ops, meta=None, policy=None)",
    "operate_ordered": "(key, ops, meta=None, policy=None)",
    "batch_read": "(keys, bins=None, policy=None)",
    "batch_write": "(records, policy=None, retry=0)",
    "batch_write_numpy": "(data, namespace, set_name, _dtype, key_field='_key', policy=None, retry=0)",
    "batch_operate": "(keys, ops, policy=None)",
    "batch_remove": "(keys, policy=None)",
    "truncate": "(namespace, set_name, nanos=0, policy=None)",
}

OF_THE_HANDLE = {
    "to_dict": "()",
    "to_list": "()",
    "to_numpy": "(dtype)",
    "iter_records": "()",
    "all_user_keys": "()",
    "found_count": "()",
    "release_cache": "()",
    "items": "()",
    "keys": "()",
    "values": "()",
    "get": "(key, default=None)",
}

FUNCTIONS = {
    "client": "(config)",
    "async_client": "(config)",
    "get_metrics": "()",
    "set_metrics_enabled": "(enabled)",
    "is_metrics_enabled": "()",
    "set_internal_stage_metrics_enabled": "(enabled)",
    "is_internal_stage_metrics_enabled": "()",
    "internal_stage_profiling": "()",
    "start_metrics_server": "(port=9464, host='127.0.0.1')",
    "stop_metrics_server": "()",
}

FIELDS = {
    "AerospikeKey": ("namespace", "set_name", "user_key", "digest"),
    "RecordMetadata": ("gen", "ttl"),
    "Record": ("key", "meta", "bins"),
    "ExistsResult": ("key", "meta"),
    "InfoNodeResult": ("node_name", "error_code", "response"),
    "BinTuple": ("name", "value"),
    "OperateOrderedResult": ("key", "meta", "ordered_bins"),
    "BatchRecord": ("key", "result", "record", "in_doubt"),
    "BatchRetryInfo": ("attempts", "max_attempts", "truncated_by_timeout", "unresolved"),
    "BatchWriteResult": ("batch_records", "retry"),
}

TYPES = """
    AdminPolicy AerospikeKey AerospikeRecord BatchDeleteMeta BatchDeletePolicy BatchPolicy BatchReadPolicy
    BatchRecord BatchRecords BatchRetryInfo BatchWriteResult Bins BinTuple ClientConfig ExistsResult InfoNodeResult
    UserKey OperateOrderedResult ReadPolicy Record RecordMetadata WriteMeta WritePolicy
"""

OPTIONS = {
    "ClientConfig": """
        hosts cluster_name auth_mode user password timeout idle_timeout max_conns_per_node min_conns_per_node
        conn_pools_per_node tend_interval use_services_alternate max_concurrent_operations operation_queue_timeout_ms
    """,
    "ReadPolicy": """
        socket_timeout total_timeout max_retries sleep_between_retries timeout_delay filter_expression replica
        read_mode_ap read_touch_ttl_percent
    """,
    "WritePolicy": """
        socket_timeout total_timeout max_retries sleep_between_retries timeout_delay durable_delete key exists gen
        commit_level ttl filter_expression read_mode_ap read_touch_ttl_percent
    """,
    "BatchPolicy": """
        socket_timeout total_timeout max_retries sleep_between_retries timeout_delay filter_expression allow_inline
        allow_inline_ssd respond_all_keys replica read_mode_ap read_touch_ttl_percent concurrency key exists gen
        commit_level durable_delete ttl
    """,
    "WriteMeta": "gen ttl key exists commit_level durable_delete",
    "AdminPolicy": "timeout",
}


def parameters(function):
    """The signature without ``self`` and annotations."""
    signature = inspect.signature(function)
    kept = [
        parameter.replace(annotation=parameter.empty, kind=parameter.POSITIONAL_OR_KEYWORD)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    return str(signature.replace(parameters=kept, return_annotation=signature.empty))


@pytest.mark.parametrize("class_name", ["Client", "AsyncClient"])
@pytest.mark.parametrize("name", METHODS)
def test_methods_of_the_clients(class_name, name):
    assert parameters(getattr(getattr(aerospike_py, class_name), name)) == METHODS[name]


@pytest.mark.parametrize("name", OF_THE_HANDLE)
def test_methods_of_the_handle(name):
    assert parameters(getattr(aerospike_py.LazyBatchRecords, name)) == OF_THE_HANDLE[name]


def test_the_handle_has_its_static_method_and_its_property():
    assert parameters(aerospike_py.LazyBatchRecords.merge_to_dict) == "(handles)"
    assert not callable(inspect.getattr_static(aerospike_py.LazyBatchRecords, "batch_records"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_the_package(name):
    assert parameters(getattr(aerospike_py, name)) == FUNCTIONS[name]


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_the_results(name):
    assert getattr(aerospike_py, name)._fields == FIELDS[name]


@pytest.mark.parametrize("name", OPTIONS)
def test_entries_of_policies_and_configuration(name):
    assert set(OPTIONS[name].split()) <= set(getattr(aerospike_py, name).__annotations__)


@pytest.mark.parametrize("name", TYPES.split())
def test_types_are_exported_by_the_package_and_its_module(name):
    assert getattr(aerospike_py, name) is getattr(importlib.import_module("aerospike_py.types"), name)


def test_the_version_is_text():
    assert aerospike_py.__version__.count(".") >= 2


def test_results_unpack_and_compare_like_tuples(api, key):
    api.put(key, {"name": "Alice"}, {"ttl": 300})
    (namespace, set_name, user_key, digest), meta, bins = api.get(key)
    assert (namespace, set_name, user_key) == key
    assert len(digest) == 20
    generation, ttl = meta
    assert generation == meta.gen == meta[0] == 1
    assert 290 <= ttl == meta.ttl <= 300
    assert bins["name"] == "Alice"
    _, found = api.exists(key)
    assert found is not None
    node, error_code, response = api.info_all("build")[0]
    assert (type(node), error_code, type(response)) == (str, 0, str)
    for record_key, result, record, in_doubt in api.batch_read([key]).batch_records:
        assert (record_key.user_key, result, record.bins, in_doubt) == ("k", 0, {"name": "Alice"}, False)
    records, retry = api.batch_write([(key, {"name": "Bob"})])
    assert (records[0].result, retry.attempts) == (0, 1)


def test_batches_read_like_dictionaries(api, keys):
    api.batch_write([(key, {"n": key[2]}) for key in keys])
    found = {}
    for user_key, bins in api.batch_read(keys, bins=["n"]).items():
        found[user_key] = bins["n"]
    assert found == {n: n for n in range(12)}


def test_exceptions_are_told_apart_by_class_and_by_code(api, key):
    with pytest.raises(aerospike_py.exception.RecordError) as caught:
        api.get(key)
    assert caught.value.result_code == aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND
    with pytest.raises(ValueError, match="15 bytes"):
        api.put(key, {"b" * 16: 1})


def test_the_clients_can_be_subclassed(server_config, key):
    class Counting(aerospike_py.Client):
        reads = 0

        def get(self, key, policy=None):
            self.reads += 1
            return super().get(key, policy)

    with Counting(server_config).connect() as client:
        client.put(key, {"n": 1})
        assert client.get(key).bins == {"n": 1}
        assert client.reads == 1


def test_methods_can_be_replaced_on_one_client(connect, server_config, key):
    client = connect(server_config).client
    with mock.patch.object(client, "get", return_value="replaced"):
        assert client.get(key) == "replaced"
    assert client.get.__self__ is client
    client.note = "mine"
    assert client.note == "mine"


def test_methods_can_be_replaced_on_the_class(connect, server_config, key):
    client = connect(server_config).client
    with mock.patch.object(type(client), "get", return_value="replaced"):
        assert client.get(key) == "replaced"


def test_results_and_exceptions_travel_between_processes(api, key):
    api.put(key, {"n": [1, b"x"]})
    for result in (api.get(key), api.exists(key), api.batch_read([key]).batch_records, api.info_all("build")):
        assert pickle.loads(pickle.dumps(result)) == result
        assert copy.deepcopy(result) == result
    with pytest.raises(aerospike_py.RecordNotFound) as caught:
        api.get(("test", key[1], "nobody"))
    travelled = pickle.loads(pickle.dumps(caught.value))
    assert type(travelled) is aerospike_py.RecordNotFound
    assert str(travelled) == str(caught.value)
    assert (travelled.result_code, travelled.in_doubt) == (2, False)


def test_the_handle_is_a_mapping(api, key):
    api.put(key, {"n": 1})
    handle = api.batch_read([key])
    assert isinstance(handle, collections.abc.Mapping)
    match handle:
        case {"k": {"n": number}}:
            assert number == 1
        case _:
            pytest.fail("a handle does not match like a mapping")


async def test_operations_are_awaited_in_every_usual_way(server_config, keys):
    async with await aerospike_py.async_client(server_config).connect() as client:
        await client.batch_write([(key, {"n": key[2]}) for key in keys])
        read = functools.partial(client.get, policy=None)
        assert (await asyncio.create_task(read(keys[0]))).bins == {"n": 0}
        assert (await asyncio.ensure_future(read(keys[1]))).bins == {"n": 1}
        assert (await asyncio.wait_for(read(keys[2]), timeout=30)).bins == {"n": 2}
        gathered = await asyncio.gather(*(read(key) for key in keys))
        assert [record.bins["n"] for record in gathered] == list(range(12))
        missing = read(("test", keys[0][1], "nobody"))
        answers = await asyncio.gather(missing, read(keys[3]), return_exceptions=True)
        assert isinstance(answers[0], aerospike_py.RecordNotFound)
        assert answers[1].bins == {"n": 3}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(key)) for key in keys[:3]]
        assert [task.result().bins["n"] for task in tasks] == [0, 1, 2]
        finished = [await done for done in asyncio.as_completed([read(key) for key in keys[:4]])]
        assert sorted(record.bins["n"] for record in finished) == [0, 1, 2, 3]
        done, pending = await asyncio.wait([asyncio.create_task(read(key)) for key in keys[:2]])
        assert (len(done), len(pending)) == (2, 0)


def test_operations_can_be_run_as_the_main_coroutine(server_config, key):
    script = f"""
import asyncio, aerospike_py
client = aerospike_py.async_client({server_config!r})
async def main():
    async with await client.connect():
        await client.put({key!r}, {{"n": 1}})
        print((await client.get({key!r})).bins)
asyncio.run(main())
connected = asyncio.run(client.connect())
print(connected is client)
asyncio.run(client.close())
"""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (finished.stdout.splitlines(), finished.stderr) == (["{'n': 1}", "True"], "")


def test_wrong_arguments_are_refused_when_the_method_is_called(server_config):
    """An awaitable that was never awaited must not hide a mistake."""

    async def call():
        async with await aerospike_py.async_client(server_config).connect() as client:
            with pytest.raises(TypeError, match="a key is"):
                client.get("no key")

    asyncio.run(call())
