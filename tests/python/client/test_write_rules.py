"""Generation, existence and expiration rules, the stored user key, and whether policy or meta goes first."""

import aerospike_py as asp
import pytest
from aerospike_py.testing import EmbeddedServer, Namespace
from expectations import eventually, raises_exactly, results

NEVER = 4294967295
DEFAULT_TTL = 100
WRITES = {
    "put": ({"n": 2},),
    "remove": (),
    "touch": (),
    "append": ("s", "y"),
    "prepend": ("s", "y"),
    "increment": ("n", 1),
    "remove_bin": (["s"],),
    "operate": ([{"op": asp.OPERATOR_WRITE, "bin": "n", "val": 2}],),
    "operate_ordered": ([{"op": asp.OPERATOR_WRITE, "bin": "n", "val": 2}],),
}


@pytest.fixture(scope="module")
def expiring_server():
    """A server whose records live a while unless a write says otherwise."""
    with EmbeddedServer(namespaces=[Namespace("test", default_ttl=DEFAULT_TTL)]) as server:
        yield server


@pytest.fixture
def expiring(expiring_server, connect):
    """A client of the server above."""
    return connect(expiring_server.config())


def lives(api, key, seconds):
    """Whether the record has this time to live, give or take what the test took."""
    ttl = api.exists(key).meta.ttl
    return ttl == NEVER if seconds == NEVER else seconds - 10 <= ttl <= seconds


# --- generation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITES)
def test_a_write_of_another_generation_is_refused(api, key, name):
    api.put(key, {"n": 1, "s": "x"})
    with raises_exactly(asp.RecordGenerationError, match="read it again") as caught:
        getattr(api, name)(key, *WRITES[name], meta={"gen": 7}, policy={"gen": asp.POLICY_GEN_EQ})
    assert caught.value.result_code == asp.AEROSPIKE_ERR_RECORD_GENERATION
    assert caught.value.in_doubt is False
    assert api.get(key).bins == {"n": 1, "s": "x"}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_of_the_expected_generation_is_done(api, key, name):
    api.put(key, {"n": 1, "s": "x"})
    getattr(api, name)(key, *WRITES[name], meta={"gen": 1}, policy={"gen": asp.POLICY_GEN_EQ})
    meta = api.exists(key).meta
    assert meta is None if name == "remove" else meta.gen == 2


def test_a_generation_in_the_meta_is_a_rule_by_itself(api, key):
    api.put(key, {"n": 1})
    with raises_exactly(asp.RecordGenerationError, match="Generation"):
        api.put(key, {"n": 2}, meta={"gen": 7})
    api.put(key, {"n": 3}, meta={"gen": 1})
    assert api.get(key).bins == {"n": 3}


def test_the_policy_can_lift_the_rule_of_the_meta(api, key):
    api.put(key, {"n": 1})
    api.put(key, {"n": 2}, meta={"gen": 7}, policy={"gen": asp.POLICY_GEN_IGNORE})
    assert api.get(key).bins == {"n": 2}


def test_a_generation_can_be_asked_to_be_greater(api, key):
    api.put(key, {"n": 1})
    api.put(key, {"n": 2})
    greater = {"gen": asp.POLICY_GEN_GT}
    with raises_exactly(asp.RecordGenerationError, match="Generation"):
        api.put(key, {"n": 3}, meta={"gen": 2}, policy=greater)
    api.put(key, {"n": 4}, meta={"gen": 3}, policy=greater)
    assert api.get(key).bins == {"n": 4}


def test_rows_of_batches_have_generations_of_their_own(api, keys):
    api.batch_write([(key, {"n": 1}) for key in keys[:3]])
    written = api.batch_write(
        [(keys[0], {"n": 2}, {"gen": 1}), (keys[1], {"n": 2}, {"gen": 9}), (keys[2], {"n": 2})],
    )
    assert results(written) == [0, asp.AEROSPIKE_ERR_RECORD_GENERATION, 0]
    removed = api.batch_remove([(keys[0], {"gen": 1}), (keys[1], {"gen": 1}), keys[2]])
    assert results(removed) == [asp.AEROSPIKE_ERR_RECORD_GENERATION, 0, 0]
    assert api.get(keys[0]).bins == {"n": 2}


# --- existence ---------------------------------------------------------------------------------------------------


def test_create_only(api, key):
    policy = {"exists": asp.POLICY_EXISTS_CREATE_ONLY}
    api.put(key, {"n": 1}, policy=policy)
    with raises_exactly(asp.RecordExistsError, match="use another `exists` policy") as caught:
        api.put(key, {"n": 2}, policy=policy)
    assert caught.value.result_code == asp.AEROSPIKE_ERR_RECORD_EXISTS
    assert api.get(key).bins == {"n": 1}


@pytest.mark.parametrize("rule", [asp.POLICY_EXISTS_UPDATE_ONLY, asp.POLICY_EXISTS_REPLACE_ONLY])
def test_rules_that_need_a_record(api, key, rule):
    with raises_exactly(asp.RecordNotFound, match="record not found") as caught:
        api.put(key, {"n": 1}, policy={"exists": rule})
    assert caught.value.result_code == asp.AEROSPIKE_ERR_RECORD_NOT_FOUND
    assert api.exists(key).meta is None


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (asp.POLICY_EXISTS_IGNORE, {"a": 1, "b": 2}),
        (asp.POLICY_EXISTS_UPDATE_ONLY, {"a": 1, "b": 2}),
        (asp.POLICY_EXISTS_REPLACE, {"b": 2}),
        (asp.POLICY_EXISTS_REPLACE_ONLY, {"b": 2}),
    ],
)
@pytest.mark.parametrize("place", ["meta", "policy"])
def test_what_is_left_of_a_record_that_exists(api, key, rule, left, place):
    api.put(key, {"a": 1})
    api.put(key, {"b": 2}, **{place: {"exists": rule}})
    assert api.get(key).bins == left


def test_the_policys_rule_goes_before_the_metas(api, key):
    api.put(key, {"a": 1})
    rules = {"meta": {"exists": asp.POLICY_EXISTS_CREATE_ONLY}, "policy": {"exists": asp.POLICY_EXISTS_REPLACE}}
    api.put(key, {"b": 2}, **rules)
    assert api.get(key).bins == {"b": 2}


def test_a_rows_rule_goes_before_the_batchs(api, keys):
    api.put(keys[0], {"a": 1})
    api.put(keys[1], {"a": 1})
    written = api.batch_write(
        [(keys[0], {"b": 2}), (keys[1], {"b": 2}, {"exists": asp.POLICY_EXISTS_REPLACE}), (keys[2], {"b": 2})],
        {"exists": asp.POLICY_EXISTS_CREATE_ONLY},
    )
    assert results(written) == [asp.AEROSPIKE_ERR_RECORD_EXISTS, 0, 0]
    assert api.batch_read(keys[:3]).to_list() == [{"a": 1}, {"b": 2}, {"b": 2}]


# --- expiration --------------------------------------------------------------------------------------------------


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (77, 77),
        (asp.TTL_NAMESPACE_DEFAULT, DEFAULT_TTL),
        (asp.TTL_CLIENT_DEFAULT, DEFAULT_TTL),
        (asp.TTL_NEVER_EXPIRE, NEVER),
        (asp.TTL_DONT_UPDATE, 5000),
    ],
)
@pytest.mark.parametrize("place", ["meta", "policy"])
def test_times_to_live(expiring, key, ttl, seconds, place):
    expiring.put(key, {"s": "x", "n": 1}, meta={"ttl": 5000})
    assert lives(expiring, key, 5000)
    expiring.put(key, {"n": 2}, **{place: {"ttl": ttl}})
    assert lives(expiring, key, seconds)


@pytest.mark.embedded
@pytest.mark.parametrize("name", [name for name in WRITES if name != "remove"])
def test_every_write_takes_a_time_to_live(expiring, key, name):
    expiring.put(key, {"s": "x", "n": 1})
    assert lives(expiring, key, DEFAULT_TTL)
    getattr(expiring, name)(key, *WRITES[name], meta={"ttl": 5000})
    assert lives(expiring, key, 5000)


@pytest.mark.embedded
def test_the_policys_time_to_live_goes_before_the_metas(expiring, key):
    expiring.put(key, {"n": 1}, meta={"ttl": 1000}, policy={"ttl": 2000})
    assert lives(expiring, key, 2000)
    expiring.put(key, {"n": 1}, meta={"ttl": 1000}, policy={"total_timeout": 5000})
    assert lives(expiring, key, 1000)


@pytest.mark.embedded
def test_a_rows_time_to_live_goes_before_the_batchs(expiring, keys):
    expiring.batch_write([(keys[0], {"n": 1}, {"ttl": 1000}), (keys[1], {"n": 1})], {"ttl": 2000})
    assert lives(expiring, keys[0], 1000)
    assert lives(expiring, keys[1], 2000)
    expiring.batch_write([(keys[0], {"n": 1}), (keys[1], {"n": 1}, {"ttl": asp.TTL_NEVER_EXPIRE})])
    assert lives(expiring, keys[0], DEFAULT_TTL)
    assert lives(expiring, keys[1], NEVER)


@pytest.mark.embedded
def test_the_argument_of_touch_goes_before_meta_and_policy(expiring, key):
    expiring.put(key, {"n": 1})
    expiring.touch(key, 1000, {"ttl": 2000}, {"ttl": 3000})
    assert lives(expiring, key, 1000)
    expiring.touch(key, 0, {"ttl": 2000})
    assert lives(expiring, key, 2000)
    expiring.touch(key, asp.TTL_NEVER_EXPIRE)
    assert lives(expiring, key, NEVER)
    expiring.touch(key)
    assert lives(expiring, key, DEFAULT_TTL)


@pytest.mark.embedded
def test_a_record_whose_time_is_over_is_not_found(expiring, key):
    expiring.put(key, {"n": 1}, {"ttl": 1})
    eventually(lambda: expiring.exists(key).meta is None, "the end of the record")
    with raises_exactly(asp.RecordNotFound, match="record not found"):
        expiring.get(key)
    assert expiring.batch_read([key]).found_count() == 0


# --- the stored user key -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["meta", "policy"])
def test_a_stored_user_key_is_compared(api, key, place):
    api.put(key, {"n": 1}, **{place: {"key": asp.POLICY_KEY_SEND}})
    digest = api.exists(key).key.digest
    impostor = (key[0], key[1], "impostor", digest)
    with raises_exactly(asp.ServerError, match=r"\(code 19") as caught:
        api.put(impostor, {"n": 2}, policy={"key": asp.POLICY_KEY_SEND})
    assert caught.value.result_code == asp.AEROSPIKE_ERR_KEY_MISMATCH
    assert api.get(key).bins == {"n": 1}


def test_without_the_policy_no_user_key_is_stored(api, key):
    api.put(key, {"n": 1})
    digest = api.exists(key).key.digest
    api.put((key[0], key[1], "another", digest), {"n": 2}, policy={"key": asp.POLICY_KEY_SEND})
    assert api.get(key).bins == {"n": 2}


def test_rows_of_batches_can_store_their_user_keys(api, keys):
    api.batch_write([(keys[0], {"n": 1}, {"key": asp.POLICY_KEY_SEND}), (keys[1], {"n": 1})])
    digests = [record.key.digest for record in api.batch_read(keys[:2]).batch_records]
    impostors = [(*key[:2], "impostor", digest) for key, digest in zip(keys[:2], digests, strict=True)]
    written = api.batch_write([(key, {"n": 2}) for key in impostors], {"key": asp.POLICY_KEY_SEND})
    assert results(written) == [asp.AEROSPIKE_ERR_KEY_MISMATCH, 0]
