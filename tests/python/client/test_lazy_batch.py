"""The handle that a batch read returns: its views, what they keep, and how it reads like a dictionary."""

import gc
import weakref

import aerospike_py
import pytest
from aerospike_py.types import BatchRecord
from expectations import eventually, raises_exactly

NOT_FOUND = aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND


@pytest.fixture
def handle(api, keys):
    """Twelve keys of which the even ones were found."""
    api.batch_write([(key, {"n": key[2]}) for key in keys[::2]])
    return api.batch_read(keys)


def test_the_dictionary_has_what_was_found(handle):
    assert handle.to_dict() == {n: {"n": n} for n in range(0, 12, 2)}


def test_the_list_is_aligned_with_the_request(handle):
    assert handle.to_list() == [{"n": n} if n % 2 == 0 else None for n in range(12)]


def test_the_dictionary_is_built_once_and_kept(handle):
    view = handle.to_dict()
    assert handle.to_dict() is view
    assert handle[0] is view[0]
    view["mark"] = {"added": True}
    assert handle["mark"] == {"added": True}


def test_the_records_are_built_once_and_kept(handle):
    assert handle.batch_records is handle.batch_records


def test_lists_and_sets_are_built_anew(handle):
    assert handle.to_list() is not handle.to_list()
    handle.to_list()[0]["n"] = 99
    handle.by_set().clear()
    assert handle.to_list()[0] == {"n": 0}
    assert len(handle.by_set()) == 1


def test_views_share_no_bins(handle):
    handle.to_list()[0]["n"] = 99
    handle.batch_records[0].record.bins["n"] = 98
    assert handle.to_dict()[0] == {"n": 0}


def test_releasing_makes_views_anew(handle):
    view, records = handle.to_dict(), handle.batch_records
    handle.release_cache()
    handle.release_cache()
    assert handle.to_dict() is not view
    assert handle.to_dict() == view
    assert handle.batch_records is not records
    assert handle.batch_records == records


def test_it_reads_like_a_dictionary(handle):
    found = {n: {"n": n} for n in range(0, 12, 2)}
    assert len(handle) == 6
    assert list(handle) == list(found)
    assert list(handle.keys()) == list(found)
    assert list(handle.values()) == list(found.values())
    assert list(handle.items()) == list(found.items())
    assert dict(handle) == found
    assert {**handle} == found
    assert 2 in handle
    assert 3 not in handle
    assert None not in handle
    assert handle[2] == {"n": 2}
    assert handle.get(2) == {"n": 2}
    assert handle.get(3) is None
    assert handle.get(3, "default") == "default"
    assert handle.get(key=3, default=7) == 7
    assert bool(handle)


def test_a_key_that_was_not_found_is_a_key_error_that_says_where_to_look(handle):
    with raises_exactly(KeyError, match="3 is not among the records that were found; batch_records"):
        handle[3]


def test_unhashable_keys_are_type_errors(handle):
    with raises_exactly(TypeError, match="unhashable"):
        handle[[]]
    with raises_exactly(TypeError, match="unhashable"):
        handle.get([])
    with raises_exactly(TypeError, match="unhashable"):
        assert [] in handle


def test_records_can_be_iterated_one_at_a_time(handle):
    iterator = handle.iter_records()
    assert iterator.__length_hint__() == 12
    first = next(iterator)
    assert type(first) is BatchRecord
    assert iterator.__length_hint__() == 11
    assert [first, *iterator] == handle.batch_records
    assert list(iterator) == []
    assert iterator.__length_hint__() == 0


def test_an_iterator_outlives_the_name_of_its_handle(api, keys):
    iterator = api.batch_read(keys).iter_records()
    gc.collect()
    assert [record.result for record in iterator] == [NOT_FOUND] * 12


def test_counts_build_nothing(handle):
    assert handle.found_count() == 6
    assert handle.all_user_keys() == list(range(12))
    assert repr(handle) == "LazyBatchRecords(keys=12, found=6)"


def test_user_keys_of_different_sets_collide_in_the_dictionary_only(api, fresh_set):
    first, second, empty = (("test", f"{fresh_set}{part}", 7) for part in "abc")
    api.put(first, {"from": "a"})
    api.put(second, {"from": "b"})
    handle = api.batch_read([first, second, empty])
    assert handle.to_dict() == {7: {"from": "b"}}
    assert len(handle) == 1
    assert handle.found_count() == 2
    assert handle.to_list() == [{"from": "a"}, {"from": "b"}, None]
    assert handle.all_user_keys() == [7, 7, 7]
    assert handle.by_set() == {
        ("test", first[1]): {7: {"from": "a"}},
        ("test", second[1]): {7: {"from": "b"}},
        ("test", empty[1]): {},
    }


def test_keys_of_digests_only_are_in_positional_views_only(api, keys):
    api.batch_write([(key, {"n": key[2]}) for key in keys[:2]])
    digest = api.exists(keys[0]).key.digest
    handle = api.batch_read([("test", keys[0][1], None, digest), keys[1], ("test", keys[0][1], None, bytes(20))])
    assert handle.to_dict() == {1: {"n": 1}}
    assert handle.by_set() == {("test", keys[0][1]): {1: {"n": 1}}}
    assert handle.to_list() == [{"n": 0}, {"n": 1}, None]
    assert handle.all_user_keys() == [None, 1, None]
    assert (len(handle), handle.found_count()) == (1, 2)
    assert handle.batch_records[0].key == ("test", keys[0][1], None, digest)


def test_a_user_key_beside_a_digest_is_taken_as_it_is(api, keys):
    api.put(keys[0], {"n": 0})
    digest = api.exists(keys[0]).key.digest
    handle = api.batch_read([("test", keys[0][1], "alias", digest)])
    assert handle.to_dict() == {"alias": {"n": 0}}


def test_user_keys_of_every_type_live_side_by_side(api, fresh_set):
    user_keys = ["7", 7, b"seven"]
    keys = [("test", fresh_set, user_key) for user_key in user_keys]
    api.batch_write([(key, {"at": place}) for place, key in enumerate(keys)])
    handle = api.batch_read(keys)
    assert handle.to_dict() == {"7": {"at": 0}, 7: {"at": 1}, b"seven": {"at": 2}}
    assert handle.all_user_keys() == user_keys


def test_several_handles_become_dictionaries_in_one_go(api, keys):
    api.batch_write([(key, {"n": key[2]}) for key in keys])
    handles = [api.batch_read(keys[:6]), api.batch_read(keys[6:]), api.batch_read([])]
    merged = aerospike_py.LazyBatchRecords.merge_to_dict(handles)
    assert merged == [{n: {"n": n} for n in range(6)}, {n: {"n": n} for n in range(6, 12)}, {}]
    assert merged[0] is handles[0].to_dict()
    assert aerospike_py.LazyBatchRecords.merge_to_dict([]) == []


@pytest.mark.parametrize("wrong", [[{}], [None], 5])
def test_only_handles_can_be_merged(wrong):
    with pytest.raises(TypeError):
        aerospike_py.LazyBatchRecords.merge_to_dict(wrong)


def test_handles_outlive_their_client(connect, server_config, keys):
    api = connect(server_config)
    api.batch_write([(key, {"n": key[2]}) for key in keys])
    handle = api.batch_read(keys)
    api.close()
    assert handle.to_dict() == {n: {"n": n} for n in range(12)}
    handle.release_cache()
    assert handle.to_list() == [{"n": n} for n in range(12)]
    assert handle.batch_records[11].record.bins == {"n": 11}
    assert handle.by_set() == {("test", keys[0][1]): handle.to_dict()}


def test_a_handle_that_is_part_of_a_cycle_is_collected(api, keys):
    handle = api.batch_read(keys)
    handle.to_dict()["myself"] = handle
    gone = weakref.ref(handle)
    del handle

    def is_gone():
        gc.collect()
        return gone() is None

    # The thread of the loop may be about to let go of it.
    eventually(is_gone, "the end of the handle")


def test_a_handle_cannot_be_made_by_hand():
    with raises_exactly(TypeError, match="create|constructor|instance"):
        aerospike_py.LazyBatchRecords()
