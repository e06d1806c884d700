"""The stages of every operation, on both lanes, on one node and on three, add up to its wall time and explain it."""

import statistics
from concurrent.futures import ThreadPoolExecutor

import aerospike_py
import pytest
from driving import LANES
from partition import assert_attributed, assert_partition
from workload import KEYS, OPERATIONS

TURNS = 60
ROUNDS = 25

# Not operations on the data path: their durations are counted, their stages are not recorded.
UNSTAGED = {"connect", "close"}
# Answered from memory.
LOCAL = {"get_node_names", "is_connected"}


@pytest.mark.parametrize("client", [aerospike_py.Client, aerospike_py.AsyncClient])
def test_every_operation_is_tested_here(client):
    methods = {name for name in vars(client) if not name.startswith("_")}
    assert methods - UNSTAGED - LOCAL == set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("lane", LANES)
def test_the_stages_of_an_operation_are_a_partition_and_explain_it(drivers, lane, nodes, operation):
    driver = drivers[lane, nodes]
    prepare, call = OPERATIONS[operation]
    for turn in range(TURNS):
        with_stages = aerospike_py.is_internal_stage_metrics_enabled()
        aerospike_py.set_internal_stage_metrics_enabled(False)
        for preparation in prepare(turn):
            driver.call(*preparation)
        aerospike_py.set_internal_stage_metrics_enabled(with_stages)
        driver.call(*call(turn))
    snapshot = assert_partition(aerospike_py.stage_snapshot())
    entry = snapshot.operation(operation, lane)
    assert len(snapshot.operations) == 1
    assert entry.count == TURNS
    assert entry.errors == {}
    assert_attributed(entry)
    # Stages that take long enough for a clock of nanoseconds to see them every time.
    for stage in ("dispatch", "network_write", "decode"):
        assert entry.stages[stage].count == TURNS, stage


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("call", "nodes", "calls", "allowed"),
    [
        pytest.param(("get", KEYS[0]), 1, 40, 0.05, id="get"),
        pytest.param(("batch_read", KEYS), 1, 4, 0.02, id="batch_read-one-node"),
        pytest.param(("batch_read", KEYS), 3, 4, 0.02, id="batch_read-three-nodes"),
    ],
)
def test_the_stages_add_up_to_a_clock_around_the_call(drivers, lane, call, nodes, calls, allowed):
    """Sums over small loops are compared, and the median of their ratios is what counts.

    What lies between the two clocks is Python's own call of the method: on the outside, never inside.
    """
    driver = drivers[lane, nodes]
    ratios = []
    for _ in range(ROUNDS):
        outside = sum(driver.timed(*call) for _ in range(calls))
        entry = assert_partition(aerospike_py.stage_snapshot(reset=True)).operation(call[0], lane)
        assert entry.count == calls
        ratios.append(sum(stage.total_ns for stage in entry.stages.values()) / outside)
    missing = 1 - statistics.median(ratios)
    assert 0 <= missing <= allowed, f"stages miss {missing:.2%} of the time that the caller waited"


@pytest.mark.parametrize("lane", LANES)
def test_a_very_large_batch_is_a_partition_as_well(drivers, lane):
    keys = [("test", "large", number) for number in range(20_000)]
    result = drivers[lane, 3].call("batch_read", keys)
    assert result.found_count() == 0
    entry = assert_partition(aerospike_py.stage_snapshot()).operation("batch_read", lane)
    assert_attributed(entry)


def test_threads_share_one_partition(drivers):
    """Each thread writes into a shard of its own; a snapshot is the sum of them."""
    driver = drivers["sync", 3]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda turn: driver.call("get", KEYS[turn % 200]), range(400)))
        list(pool.map(lambda turn: driver.call("batch_read", KEYS[:50]), range(40)))
    snapshot = assert_partition(aerospike_py.stage_snapshot())
    assert snapshot.operation("get").count == 400
    assert snapshot.operation("batch_read").count == 40
