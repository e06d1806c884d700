"""Switching the recording of stages on and off, at import and later, also while operations are in flight."""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import aerospike_py
import pytest
from driving import LANES
from partition import assert_partition
from workload import KEYS

VARIABLE = "AEROSPIKE_PY_INTERNAL_METRICS"
ASK = "import aerospike_py; print(aerospike_py.is_internal_stage_metrics_enabled())"


@pytest.fixture(autouse=True)
def _off(_clean_slate):
    aerospike_py.set_internal_stage_metrics_enabled(False)


@pytest.mark.parametrize(
    ("value", "enabled"),
    [
        *[(value, True) for value in ("1", "true", "TRUE", "yes", "on", "On")],
        *[(value, False) for value in (None, "", "0", "false", "off", "no", "2")],
    ],
)
def test_the_environment_switches_on_at_import(value, enabled):
    environment = {name: content for name, content in os.environ.items() if name != VARIABLE}
    if value is not None:
        environment[VARIABLE] = value
    finished = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert finished.stdout.strip() == str(enabled)


@pytest.mark.parametrize("lane", LANES)
def test_nothing_is_recorded_when_off(drivers, lane):
    for key in KEYS[:20]:
        drivers[lane, 1].call("get", key)
    drivers[lane, 3].call("batch_read", KEYS).to_dict()
    snapshot = aerospike_py.stage_snapshot()
    assert snapshot.operations == ()
    assert snapshot.table().startswith("No operations were recorded")


@pytest.mark.parametrize("lane", LANES)
def test_the_switch_counts_when_an_operation_starts(drivers, lane):
    driver = drivers[lane, 1]
    aerospike_py.set_internal_stage_metrics_enabled(True)
    assert aerospike_py.is_internal_stage_metrics_enabled()
    driver.call("get", KEYS[0])
    aerospike_py.set_internal_stage_metrics_enabled(False)
    assert not aerospike_py.is_internal_stage_metrics_enabled()
    driver.call("get", KEYS[0])
    assert assert_partition(aerospike_py.stage_snapshot()).operation("get", lane).count == 1


def test_an_operation_in_flight_keeps_what_it_started_with(drivers, one_node):
    driver = drivers["asyncio", 1]

    async def switching():
        aerospike_py.set_internal_stage_metrics_enabled(True)
        recorded = asyncio.ensure_future(driver.client.get(KEYS[0]))
        aerospike_py.set_internal_stage_metrics_enabled(False)
        unrecorded = asyncio.ensure_future(driver.client.get(KEYS[1]))
        await asyncio.sleep(0.01)
        aerospike_py.set_internal_stage_metrics_enabled(True)
        await asyncio.gather(recorded, unrecorded)

    with one_node.fault("delay=30ms", command="read"):
        driver.runner.run(switching())
    entry = assert_partition(aerospike_py.stage_snapshot()).operation("get", "asyncio")
    assert entry.count == 1
    assert entry.stages["network_wait"].total_ns >= 29e6


def test_profiling_records_inside_and_restores_outside(drivers):
    driver = drivers["sync", 1]
    driver.call("exists", KEYS[0])
    with aerospike_py.internal_stage_profiling():
        driver.call("get", KEYS[0])
        with aerospike_py.internal_stage_profiling():
            driver.call("get", KEYS[0])
        # The inner block found recording switched on and leaves it so.
        driver.call("get", KEYS[0])
        with pytest.raises(aerospike_py.RecordNotFound), aerospike_py.internal_stage_profiling():
            driver.call("get", ("test", "stages", "nobody"))
        driver.call("get", KEYS[0])
    driver.call("exists", KEYS[0])
    snapshot = assert_partition(aerospike_py.stage_snapshot())
    assert [entry.operation for entry in snapshot.operations] == ["get"]
    assert snapshot.operation("get").count == 5
    assert snapshot.operation("get").errors == {"not_found": 1}


def test_profiling_decorates_a_function_that_is_called_again_and_raises(drivers):
    @aerospike_py.internal_stage_profiling()
    def reading(key):
        """Read it."""
        return drivers["sync", 1].call("get", key)

    assert reading.__doc__ == "Read it."
    for key in KEYS[:3]:
        assert reading(key).bins["number"] == 1
    with pytest.raises(aerospike_py.RecordNotFound):
        reading(("test", "stages", "nobody"))
    assert not aerospike_py.is_internal_stage_metrics_enabled()
    assert assert_partition(aerospike_py.stage_snapshot()).operation("get").count == 4


def test_switching_while_operations_are_in_flight_breaks_nothing(drivers):
    """Four threads and eight tasks read while a fifth thread switches; every value is right, every record whole."""
    over = threading.Event()
    switched = 0

    def switch():
        nonlocal switched
        while not over.wait(0.0005):
            switched += 1
            aerospike_py.set_internal_stage_metrics_enabled(switched % 2 == 1)

    def read(thread):
        for turn in range(150):
            key = KEYS[(thread * 31 + turn) % 200]
            assert drivers["sync", 3].call("get", key).key.user_key == key[2]
            if turn % 10 == 0:
                assert drivers["sync", 3].call("batch_read", KEYS[:50]).found_count() == 50

    async def read_on_loop():
        client = drivers["asyncio", 3].client

        async def one(task):
            for turn in range(60):
                key = KEYS[(task * 17 + turn) % 200]
                assert (await client.get(key)).key.user_key == key[2]
                if turn % 10 == 0:
                    assert (await client.batch_read(KEYS[:50])).found_count() == 50

        await asyncio.gather(*[one(task) for task in range(8)])

    switching = threading.Thread(target=switch)
    switching.start()
    rounds = 0
    try:
        with ThreadPoolExecutor(4) as pool:
            # A busy machine switches seldom; a handful of rounds is enough anywhere.
            while rounds < 30 and switched < 30:
                rounds += 1
                reading = [pool.submit(read, thread) for thread in range(4)]
                drivers["asyncio", 3].runner.run(read_on_loop())
                for future in reading:
                    future.result()
    finally:
        over.set()
        switching.join()
    assert switched > 10
    snapshot = assert_partition(aerospike_py.stage_snapshot())
    assert 0 < snapshot.operation("get", "sync").count < 600 * rounds
    assert 0 < snapshot.operation("get", "asyncio").count < 480 * rounds
