"""The shapes of results and dictionaries: names and order of fields are what existing code relies on."""

import typing

import aerospike_py
import pytest
from aerospike_py import types

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

READ = {"socket_timeout", "total_timeout", "max_retries", "sleep_between_retries", "timeout_delay"}
READ |= {"filter_expression", "read_mode_ap", "read_touch_ttl_percent"}
WRITE_FIELDS = {"durable_delete", "key", "exists", "gen", "commit_level", "ttl"}
DELETE_FIELDS = {"gen", "key", "commit_level", "durable_delete"}
KEYS = {
    "ReadPolicy": READ | {"replica"},
    "WritePolicy": READ | WRITE_FIELDS,
    "BatchPolicy": READ
    | WRITE_FIELDS
    | {"replica", "allow_inline", "allow_inline_ssd", "respond_all_keys", "concurrency"},
    "BatchReadPolicy": {"read_touch_ttl_percent", "filter_expression"},
    "BatchDeletePolicy": DELETE_FIELDS | {"filter_expression"},
    "BatchDeleteMeta": DELETE_FIELDS,
    "AdminPolicy": {"timeout"},
    "WriteMeta": WRITE_FIELDS,
    "ClientConfig": {
        "hosts",
        "cluster_name",
        "auth_mode",
        "user",
        "password",
        "timeout",
        "idle_timeout",
        "max_conns_per_node",
        "min_conns_per_node",
        "conn_pools_per_node",
        "tend_interval",
        "use_services_alternate",
        "max_concurrent_operations",
        "operation_queue_timeout_ms",
        "raw_replies",
    },
}


@pytest.mark.parametrize("name", FIELDS)
def test_named_tuples_have_their_fields_in_order(name):
    assert getattr(aerospike_py, name)._fields == FIELDS[name]


@pytest.mark.parametrize("name", KEYS)
def test_dictionaries_have_their_optional_keys(name):
    described = getattr(aerospike_py, name)
    assert set(typing.get_type_hints(described)) == KEYS[name]
    assert described.__required_keys__ == frozenset()


def test_results_unpack_like_tuples():
    key = types.AerospikeKey("test", "demo", None, bytes(20))
    record = types.Record(key, types.RecordMetadata(gen=3, ttl=60), {"n": 1})
    (namespace, set_name, user_key, digest), (generation, ttl), bins = record
    assert (namespace, set_name, user_key, digest) == ("test", "demo", None, bytes(20))
    assert (generation, ttl, bins) == (3, 60, {"n": 1})


def test_a_batch_that_never_retried_says_so():
    result = types.BatchWriteResult([types.BatchRecord(None, 0, None)])
    assert result.retry == (1, 1, False, 0)
    assert result.batch_records[0].in_doubt is False
