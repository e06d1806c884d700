"""Snapshots built from the extension's rows, against figures worked out by hand."""

import contextlib
import json

import aerospike_py
import pytest
from aerospike_py import stages

NEVER = (0, 0, 0, 0, 0, 0, 0)
GET = (
    "get",
    "sync",
    [("ok", 3), ("not_found", 1), ("timeout", 0)],
    [("network_wait", 1)],
    (4, 1_000, 240, 300, 310, 315, 320),
    [
        ("key_parse", (4, 100, 25, 30, 31, 32, 33)),
        ("network_wait", (4, 850, 210, 250, 255, 256, 257)),
        ("unattributed", (2, 50, 20, 30, 30, 30, 30)),
    ],
    NEVER,
    [("network_wait", "A", 500), ("network_wait", "B", 350)],
)
BATCH = (
    "batch_read",
    "asyncio",
    [("ok", 2)],
    [],
    (2, 4_000, 1_900, 2_100, 2_100, 2_100, 2_100),
    [
        ("decode", (2, 4_000, 1_900, 2_100, 2_100, 2_100, 2_100)),
    ],
    (1, 6_000, 6_000, 6_000, 6_000, 6_000, 6_000),
    [],
)
BATCH_SYNC = ("batch_read", "sync", [("ok", 1)], [], (1, 10, 10, 10, 10, 10, 10), [], NEVER, [])


def test_means_and_shares_come_from_totals():
    get = stages.snapshot_of([GET], dropped=0).operation("get")
    assert get.wall == stages.StageStatistics(
        count=4,
        mean_ns=250.0,
        p50_ns=240,
        p90_ns=300,
        p99_ns=310,
        p999_ns=315,
        max_ns=320,
        total_ns=1_000,
        share=1.0,
    )
    assert get.stages["network_wait"].share == pytest.approx(0.85)
    assert get.stages["unattributed"].mean_ns == 25.0
    assert get.unattributed_share == pytest.approx(0.05)
    assert sum(stage.share for stage in get.stages.values()) == pytest.approx(1.0)


def test_outcomes_are_counted_and_only_failures_listed():
    get = stages.snapshot_of([GET], dropped=0).operation("get")
    assert get.count == 4
    assert get.errors == {"not_found": 1}
    assert get.failed_in == {"network_wait": 1}


def test_nodes_are_grouped_by_stage():
    assert stages.snapshot_of([GET], dropped=0).operation("get").nodes == {"network_wait": {"A": 500, "B": 350}}


def test_conversions_on_demand_are_kept_apart_from_the_wall_time():
    batch = stages.snapshot_of([BATCH], dropped=0).operation("batch_read")
    assert list(batch.stages) == ["decode"]
    assert batch.deferred.total_ns == 6_000
    assert batch.unattributed_share == 0.0


def test_nothing_recorded_is_no_division_by_zero():
    nothing = ("get", "sync", [], [], NEVER, [("decode", NEVER)], NEVER, [])
    get = stages.snapshot_of([nothing], dropped=0).operation("get")
    assert (get.wall.mean_ns, get.wall.share, get.stages["decode"].share, get.count) == (0.0, 0.0, 0.0, 0)


def test_an_operation_is_found_by_name_and_lane():
    snapshot = stages.snapshot_of([GET, BATCH, BATCH_SYNC], dropped=0)
    assert snapshot.operation("get", "sync") is snapshot.operations[0]
    assert snapshot.operation("batch_read", "sync").wall.total_ns == 10
    with pytest.raises(KeyError, match="several lanes"):
        snapshot.operation("batch_read")
    with pytest.raises(KeyError, match=r"put was not recorded; there is get \(sync\), batch_read \(asyncio\)"):
        snapshot.operation("put")
    with pytest.raises(KeyError, match=r"get \(asyncio\) was not recorded"):
        snapshot.operation("get", "asyncio")


def test_the_dictionary_form_survives_json():
    snapshot = stages.snapshot_of([GET, BATCH], dropped=7)
    dictionary = snapshot.to_dict()
    assert json.loads(json.dumps(dictionary)) == dictionary
    assert dictionary["dropped"] == 7
    assert dictionary["operations"][0]["stages"]["key_parse"]["p99_ns"] == 31
    assert dictionary["operations"][0]["nodes"] == {"network_wait": {"A": 500, "B": 350}}
    assert dictionary["operations"][0]["failed_in"] == {"network_wait": 1}
    assert dictionary["operations"][0]["deferred"] is None
    assert dictionary["operations"][1]["deferred"]["total_ns"] == 6_000


def test_statistics_cannot_be_changed():
    snapshot = stages.snapshot_of([GET], dropped=0)
    with pytest.raises(AttributeError):
        snapshot.operations[0].wall.count = 5


def test_the_stage_table_has_every_stage_once_with_unattributed_last():
    rows = aerospike_py.stage_table()
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert names[0] == "key_parse"
    assert names[-1] == stages.UNATTRIBUTED
    assert all(row.definition and row.interpretation and row.action for row in rows)


@pytest.mark.parametrize("before", [False, True])
def test_profiling_restores_what_was_before_even_after_an_error(before):
    initially = aerospike_py.is_internal_stage_metrics_enabled()
    aerospike_py.set_internal_stage_metrics_enabled(before)
    try:
        with contextlib.suppress(ZeroDivisionError), aerospike_py.internal_stage_profiling():
            assert aerospike_py.is_internal_stage_metrics_enabled()
            raise ZeroDivisionError
        assert aerospike_py.is_internal_stage_metrics_enabled() is before
    finally:
        aerospike_py.set_internal_stage_metrics_enabled(initially)


def test_profiling_nests_and_decorates():
    @aerospike_py.internal_stage_profiling()
    def recorded():
        with aerospike_py.internal_stage_profiling():
            pass
        return aerospike_py.is_internal_stage_metrics_enabled()

    initially = aerospike_py.is_internal_stage_metrics_enabled()
    assert recorded() is True
    assert recorded() is True
    assert aerospike_py.is_internal_stage_metrics_enabled() is initially
