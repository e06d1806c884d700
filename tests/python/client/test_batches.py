"""Batches that read, write, operate and remove: result types, order, misses, rules per row."""

import aerospike_py as asp
import pytest
from aerospike_py.types import AerospikeKey, BatchRecord, BatchRetryInfo, BatchWriteResult, Record, RecordMetadata
from expectations import raises_exactly, results

NOT_FOUND = asp.AEROSPIKE_ERR_RECORD_NOT_FOUND
READ_N = [{"op": asp.OPERATOR_READ, "bin": "n", "val": None}]
MANY = 100_000


def filled(api, keys):
    """Write a record for every key."""
    written = api.batch_write([(key, {"n": key[2], "s": f"s{key[2]}"}) for key in keys])
    assert results(written) == [asp.AEROSPIKE_OK] * len(keys)
    return keys


def test_batch_read_answers_in_request_order(api, keys):
    filled(api, keys[::2])
    records = api.batch_read(keys).batch_records
    assert all(type(record) is BatchRecord for record in records)
    assert [record.key[:3] for record in records] == keys
    assert [record.result for record in records] == [0, NOT_FOUND] * 6
    assert all(record.in_doubt is False for record in records)
    found, missing = records[0], records[1]
    assert type(found.key) is AerospikeKey
    assert type(found.record) is Record
    assert type(found.record.meta) is RecordMetadata
    assert found.record == (found.key, found.record.meta, {"n": 0, "s": "s0"})
    assert found.record.meta.gen == 1
    assert missing.record is None


def test_batch_read_of_some_bins(api, keys):
    filled(api, keys)
    assert api.batch_read(keys, ["s", "none"]).to_list() == [{"s": f"s{n}"} for n in range(12)]
    assert api.batch_read(keys, ("n",)).to_list() == [{"n": n} for n in range(12)]


def test_batch_read_of_no_bins_tells_which_records_exist(api, keys):
    filled(api, keys[:6])
    handle = api.batch_read(keys, [])
    assert results(handle) == [0] * 6 + [NOT_FOUND] * 6
    assert handle.to_list() == [{}] * 6 + [None] * 6
    assert {record.record.meta.gen for record in handle.batch_records[:6]} == {1}


def test_the_same_key_may_be_read_several_times(api, keys):
    filled(api, keys[:1])
    assert api.batch_read([keys[0]] * 3).to_list() == [{"n": 0, "s": "s0"}] * 3


def test_one_batch_may_span_sets(api, fresh_set):
    keys = [("test", f"{fresh_set}{part}", "k") for part in "abc"]
    api.batch_write([(key, {"set": key[1]}) for key in keys])
    assert api.batch_read(keys).to_list() == [{"set": key[1]} for key in keys]


def test_batch_write_answers_in_request_order(api, keys):
    outcome = api.batch_write([(key, {"n": key[2]}) for key in keys])
    assert type(outcome) is BatchWriteResult
    assert type(outcome.retry) is BatchRetryInfo
    assert outcome.retry == BatchRetryInfo()
    assert all(type(record) is BatchRecord for record in outcome.batch_records)
    assert [record.key[:3] for record in outcome.batch_records] == keys
    assert results(outcome) == [0] * 12
    assert {record.in_doubt for record in outcome.batch_records} == {False}
    assert api.batch_read(keys).to_list() == [{"n": n} for n in range(12)]


def test_batch_write_writes_bins_of_its_own_for_each_record(api, keys):
    outcome = api.batch_write(
        [(keys[0], {"a": 1}), [keys[1], {"b": [2]}], (keys[2], {"c": None, "d": 3}, {"ttl": 500})]
    )
    assert results(outcome) == [0] * 3
    assert api.batch_read(keys[:3]).to_list() == [{"a": 1}, {"b": [2]}, {"d": 3}]
    assert 490 <= api.exists(keys[2]).meta.ttl <= 500


def test_batch_write_merges_and_deletes_bins(api, keys):
    filled(api, keys[:2])
    outcome = api.batch_write([(keys[0], {"n": None}), (keys[1], {"x": 1})])
    assert results(outcome) == [0, 0]
    assert api.batch_read(keys[:2]).to_list() == [{"s": "s0"}, {"n": 1, "s": "s1", "x": 1}]


def test_batch_write_takes_a_meta_of_none(api, keys):
    assert results(api.batch_write([(keys[0], {"n": 1}, None)])) == [0]


def test_batch_write_tells_what_was_allowed(api, keys):
    outcome = api.batch_write([(key, {"n": 1}) for key in keys], retry=4)
    assert outcome.retry == BatchRetryInfo(attempts=1, max_attempts=5, truncated_by_timeout=False, unresolved=0)


def test_batch_operate_applies_the_same_operations_to_all(api, keys):
    filled(api, keys[:6])
    operations = [{"op": asp.OPERATOR_INCR, "bin": "n", "val": 100}, *READ_N]
    outcome = api.batch_operate(keys, operations)
    assert type(outcome) is BatchWriteResult
    assert outcome.retry == BatchRetryInfo()
    assert results(outcome) == [0] * 12
    assert [record.record.bins for record in outcome.batch_records] == [
        {"n": 100 + n if n < 6 else 100} for n in range(12)
    ]
    assert [record.key[:3] for record in outcome.batch_records] == keys


def test_batch_operate_that_only_reads(api, keys):
    filled(api, keys[:6])
    outcome = api.batch_operate(keys, READ_N)
    assert results(outcome) == [0] * 6 + [NOT_FOUND] * 6
    assert [record.record and record.record.bins for record in outcome.batch_records] == [
        {"n": n} if n < 6 else None for n in range(12)
    ]


def test_batch_operate_takes_rules_of_writes(api, keys):
    filled(api, keys[:1])
    operations = [{"op": asp.OPERATOR_WRITE, "bin": "n", "val": 9}]
    outcome = api.batch_operate(keys[:2], operations, {"exists": asp.POLICY_EXISTS_CREATE_ONLY, "ttl": 500})
    assert results(outcome) == [asp.AEROSPIKE_ERR_RECORD_EXISTS, 0]
    assert 490 <= api.exists(keys[1]).meta.ttl <= 500


def test_batch_operate_keeps_failures_to_their_rows(api, keys):
    filled(api, keys[:3])
    api.put(keys[1], {"n": "text"})
    outcome = api.batch_operate(keys[:3], [{"op": asp.OPERATOR_INCR, "bin": "n", "val": 1}])
    assert results(outcome) == [0, asp.AEROSPIKE_ERR_BIN_TYPE, 0]
    assert outcome.batch_records[1].record is None


def test_batch_remove_tells_what_was_there(api, keys):
    filled(api, keys[:6])
    outcome = api.batch_remove(keys)
    assert type(outcome) is BatchWriteResult
    assert outcome.retry == BatchRetryInfo()
    assert results(outcome) == [0] * 6 + [NOT_FOUND] * 6
    assert api.batch_read(keys).found_count() == 0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("batch_read", ()), ("batch_write", ()), ("batch_operate", (READ_N,)), ("batch_remove", ())],
)
@pytest.mark.parametrize("empty", [[], ()])
def test_empty_batches_are_answered_with_nothing(api, name, arguments, empty):
    assert getattr(api, name)(empty, *arguments).batch_records == []


def test_an_empty_batch_read_is_an_empty_mapping(api):
    handle = api.batch_read([])
    assert (len(handle), handle.found_count(), handle.to_dict(), handle.to_list()) == (0, 0, {}, [])


@pytest.mark.parametrize("name", ["batch_read", "batch_operate", "batch_remove"])
def test_keys_must_be_a_list(api, name):
    arguments = (READ_N,) if name == "batch_operate" else ()
    for wrong in ("abc", None, 5, {("test", "s", 1): 1}):
        with raises_exactly(TypeError, match="keys must be a list"):
            getattr(api, name)(wrong, *arguments)


@pytest.mark.parametrize(
    ("records", "expected", "message"),
    [
        ("abc", TypeError, "records must be a list"),
        ([5], TypeError, r"records\[0\]: a record is \(key, bins\)"),
        ([()], asp.InvalidArgError, r"records\[0\]: a record is"),
        ([(("test", "s", 1),)], asp.InvalidArgError, r"records\[0\]: a record is"),
        ([(("test", "s", 1), {"n": 1}, {}, 4)], asp.InvalidArgError, r"records\[0\]: a record is"),
        ([(("test", "s", 1), {})], asp.InvalidArgError, r"records\[0\]: bins must not be empty"),
        ([(("test", "s", 1), [1])], TypeError, r"records\[0\]: bins must be a dict"),
        ([(("test", "s", 1), {"n": 1}, 300)], TypeError, r"records\[0\]: meta must be a dict"),
        ([(("test", "s", 1), {"n": 1}, {"ttl": -9})], asp.InvalidArgError, r"records\[0\]: meta\[\"ttl\"\]"),
        ([(("test", "s", 1), {"b" * 16: 1})], asp.BinNameError, r"records\[0\]: bin names"),
        ([(("test", "s", 1), {"n": 2**63})], OverflowError, r"records\[0\]: bin \"n\""),
    ],
    ids=str,
)
def test_records_that_cannot_be_sent(api, records, expected, message):
    with raises_exactly(expected, match=message):
        api.batch_write(records)


@pytest.mark.parametrize(("retry", "expected"), [(-1, asp.InvalidArgError), ("3", TypeError), (1.5, TypeError)])
def test_retry_must_be_a_number_of_times(api, key, retry, expected):
    with raises_exactly(expected, match=r"retry|integer"):
        api.batch_write([(key, {"n": 1})], retry=retry)


def test_a_meta_of_batch_remove_must_make_sense(api, key):
    with raises_exactly(TypeError, match=r'keys\[0\]: meta\["gen"\] must be an int'):
        api.batch_remove([(key, {"gen": "1"})])


def test_one_row_too_big_does_not_fail_the_others(api, keys):
    rows = [(keys[0], {"n": 0}), (keys[1], {"blob": bytes(2 * 1024 * 1024)}), (keys[2], {"n": 2})]
    outcome = api.batch_write(rows, {"total_timeout": 20_000})
    assert results(outcome) == [0, asp.AEROSPIKE_ERR_RECORD_TOO_BIG, 0]
    assert api.batch_read(keys[:3]).to_list() == [{"n": 0}, None, {"n": 2}]


def test_a_hundred_thousand_keys(api, fresh_set):
    if api.is_connected() and len(api.get_node_names()) not in (1, 3):
        pytest.skip("the batch limits of this cluster are not known")
    keys = [("test", fresh_set, number) for number in range(MANY)]
    patient = {"total_timeout": 60_000, "socket_timeout": 60_000}
    some = keys[:: MANY // 100]
    api.batch_write([(key, {"n": key[2]}) for key in some], patient)
    handle = api.batch_read(keys, ["n"], patient)
    assert handle.found_count() == len(handle) == 100
    assert handle.to_dict() == {key[2]: {"n": key[2]} for key in some}
    assert handle.all_user_keys() == list(range(MANY))
    assert handle.batch_records[1].result == NOT_FOUND
    assert api.ping()


def test_arguments_may_be_named(api, keys):
    api.batch_write(records=[(keys[0], {"n": 1})], policy={"total_timeout": 5000}, retry=1)
    assert api.batch_read(keys=keys[:1], bins=["n"], policy={"max_retries": 1}).to_list() == [{"n": 1}]
    api.batch_operate(keys=keys[:1], ops=READ_N, policy=None)
    assert results(api.batch_remove(keys=keys[:1], policy=None)) == [0]


@pytest.mark.parametrize(
    "policy",
    [
        {"concurrency": asp.BATCH_CONCURRENCY_SEQUENTIAL},
        {"concurrency": asp.BATCH_CONCURRENCY_PARALLEL},
        {"allow_inline": False, "allow_inline_ssd": True, "respond_all_keys": True},
        {"replica": asp.POLICY_REPLICA_MASTER, "read_mode_ap": asp.POLICY_READ_MODE_AP_ALL},
        {"read_touch_ttl_percent": asp.READ_TOUCH_TTL_PERCENT_DONT_RESET, "filter_expression": None},
    ],
    ids=lambda policy: "-".join(policy),
)
def test_policies_that_do_not_change_the_result(api, keys, policy):
    filled(api, keys)
    assert api.batch_read(keys, ["n"], policy).to_list() == [{"n": n} for n in range(12)]
