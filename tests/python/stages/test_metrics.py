"""The metrics in Prometheus text form: well-formed, complete, and counting what happened."""

import aerospike_py
import pytest
from driving import LANES
from exposition import read
from partition import ORDER, assert_partition
from workload import KEYS, MISSING

DURATIONS = "db_client_operation_duration_seconds"
STAGES = "db_client_internal_stage_seconds"
OUTCOMES = "db_client_operations_total"
DEFERRED = "to_dict_deferred"
ERRORS = ("server_error", "timeout", "connection", "client_error", "cancelled")


@pytest.fixture
def _metrics_restored():
    before = aerospike_py.is_metrics_enabled()
    yield
    aerospike_py.set_metrics_enabled(before)


def growth(family, before, after, **labels):
    """Count and sum of a histogram that were added between two texts."""

    def of(families):
        found = [one for own, one in families[family].histograms.items() if set(labels.items()) <= set(own)]
        return sum(one.count for one in found), sum(one.total for one in found)

    (count_before, total_before), (count_after, total_after) = of(before), of(after)
    return count_after - count_before, total_after - total_before


@pytest.mark.parametrize("lane", LANES)
def test_durations_and_stages_count_operations(drivers, lane):
    before = read(aerospike_py.get_metrics())
    for key in KEYS[:40]:
        drivers[lane, 1].call("get", key)
    for _ in range(5):
        drivers[lane, 3].call("batch_read", KEYS)
    after = read(aerospike_py.get_metrics())
    snapshot = assert_partition(aerospike_py.stage_snapshot())
    assert {after[name].kind for name in (DURATIONS, STAGES)} == {"histogram"}
    for operation, calls in (("get", 40), ("batch_read", 5)):
        entry = snapshot.operation(operation, lane)
        labels = {"db_operation_name": operation, "lane": lane}
        count, seconds = growth(DURATIONS, before, after, **labels)
        assert count == calls
        # The duration is the wall time, measured by the same two readings of the clock or by neighbouring ones.
        assert seconds == pytest.approx(entry.wall.total_ns / 1e9, rel=0.02)
        for name, stage in entry.stages.items():
            count, seconds = growth(STAGES, before, after, stage=name, **labels)
            assert count == stage.count
            assert seconds == pytest.approx(stage.total_ns / 1e9, abs=1e-8)


def test_every_sample_says_of_which_operation_and_stage_it_is(drivers):
    for lane in LANES:
        drivers[lane, 1].call("get", KEYS[0])
    families = read(aerospike_py.get_metrics())
    for labels in families[DURATIONS].histograms:
        assert [name for name, _ in labels[:3]] == ["db_system_name", "db_operation_name", "lane"]
        assert dict(labels)["db_system_name"] == "aerospike"
        assert dict(labels)["lane"] in LANES
    for labels in families[STAGES].histograms:
        assert [name for name, _ in labels] == ["db_system_name", "db_operation_name", "lane", "stage"]
        assert dict(labels)["stage"] in (*ORDER, DEFERRED)
    assert families[STAGES].histogram(db_operation_name="get", lane="sync", stage="network_wait").count >= 1


@pytest.mark.parametrize("lane", LANES)
def test_a_miss_is_an_outcome_but_no_error(drivers, one_node, lane):
    def outcomes():
        family = read(aerospike_py.get_metrics())[OUTCOMES]
        assert family.kind == "counter"
        kinds = ("ok", "not_found", *ERRORS)
        return {kind: family.sample(db_operation_name="get", lane=lane, outcome=kind) for kind in kinds}

    driver = drivers[lane, 1]
    driver.call("get", KEYS[0])
    before = outcomes()
    for _ in range(3):
        with pytest.raises(aerospike_py.RecordNotFound):
            driver.call("get", MISSING)
    driver.call("get", KEYS[0])
    missed = outcomes()
    assert missed["not_found"] - before["not_found"] == 3
    assert missed["ok"] - before["ok"] == 1
    assert [missed[kind] for kind in ERRORS] == [before[kind] for kind in ERRORS]
    with one_node.fault("error=8", command="read"), pytest.raises(aerospike_py.ServerError):
        driver.call("get", KEYS[0])
    assert outcomes()["server_error"] - missed["server_error"] == 1


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.usefixtures("_metrics_restored")
def test_switching_metrics_off_stops_durations(drivers, lane):
    driver = drivers[lane, 1]
    labels = {"db_operation_name": "get", "lane": lane}
    aerospike_py.set_internal_stage_metrics_enabled(False)
    driver.call("get", KEYS[0])
    before = read(aerospike_py.get_metrics())
    aerospike_py.set_metrics_enabled(False)
    assert not aerospike_py.is_metrics_enabled()
    driver.call("get", KEYS[0])
    off = read(aerospike_py.get_metrics())
    assert growth(DURATIONS, before, off, **labels) == (0, 0)
    assert off[OUTCOMES].samples == before[OUTCOMES].samples
    aerospike_py.set_metrics_enabled(True)
    driver.call("get", KEYS[0])
    assert growth(DURATIONS, off, read(aerospike_py.get_metrics()), **labels)[0] == 1


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.usefixtures("_metrics_restored")
def test_stages_do_not_need_durations_nor_the_other_way_round(drivers, lane):
    driver = drivers[lane, 1]
    labels = {"db_operation_name": "get", "lane": lane}
    before = read(aerospike_py.get_metrics())
    aerospike_py.set_metrics_enabled(False)
    driver.call("get", KEYS[0])
    stages_only = read(aerospike_py.get_metrics())
    assert assert_partition(aerospike_py.stage_snapshot()).operation("get", lane).count == 1
    assert growth(DURATIONS, before, stages_only, **labels)[0] == 0
    # Not the wait for the reply: it may be there before the call that writes the command returns.
    assert growth(STAGES, before, stages_only, stage="decode", **labels)[0] == 1
    aerospike_py.set_metrics_enabled(True)
    aerospike_py.set_internal_stage_metrics_enabled(False)
    driver.call("get", KEYS[0])
    durations_only = read(aerospike_py.get_metrics())
    assert growth(DURATIONS, stages_only, durations_only, **labels)[0] == 1
    assert growth(STAGES, stages_only, durations_only, **labels) == (0, 0)


def test_a_reset_of_snapshots_leaves_the_counters_of_a_scraper_alone(drivers):
    drivers["sync", 1].call("get", KEYS[0])
    before = read(aerospike_py.get_metrics())
    aerospike_py.stage_snapshot(reset=True)
    after = read(aerospike_py.get_metrics())
    assert growth(STAGES, before, after) == (0, 0)
    assert growth(DURATIONS, before, after) == (0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        "db_sum 1\n",
        "# HELP db A thing.\n# TYPE db counter\ndb 1",
        "# HELP db A thing.\n# TYPE db counter\ndb 1\ndb 2\n",
        "# HELP db A thing.\n# TYPE db counter\ndb{a=b} 1\n",
        '# HELP db A thing.\n# TYPE db histogram\ndb_bucket{le="1"} 2\ndb_bucket{le="+Inf"} 1\ndb_sum 1\ndb_count 1\n',
        '# HELP db A thing.\n# TYPE db histogram\ndb_bucket{le="1"} 1\ndb_bucket{le="+Inf"} 1\ndb_sum 9\ndb_count 1\n',
        '# HELP db A thing.\n# TYPE db histogram\ndb_bucket{le="1"} 1\ndb_bucket{le="+Inf"} 1\ndb_sum 1\ndb_count 2\n',
    ],
)
def test_the_reader_refuses_what_is_wrong(wrong):
    with pytest.raises((AssertionError, KeyError)):
        read(wrong)
