"""Each probe shows the fault that it is for, and nothing is measured by a probe that is off."""

import asyncio
import gc
import threading
import time

import aerospike_py
import pytest
from aerospike_py import _aerospike
from awaiting import FREE_THREADED, until

MS = 1e-3


def count_of(name, subject=None):
    """How often a probe has looked so far."""
    entries = [entry for entry in aerospike_py.probe_snapshot().probes if entry.probe == name]
    return sum(entry.count for entry in entries if subject in (None, entry.subject))


def largest_of(name, subject=None):
    """The largest figure of a probe."""
    return aerospike_py.probe_snapshot().probe(name, subject).max


async def with_client(config, body):
    """Run a coroutine function with a client that has been used on the running loop."""
    async with await aerospike_py.async_client(config).connect() as client:
        await client.put(("test", "probes", "k"), {"n": 1})
        return await body(client)


def test_a_blocked_loop_is_late(server_config, probes):
    probes(interval_ms=5, gil=False, runtime=False, process=False)

    async def body(_client):
        with aerospike_py.observe_loop() as observer:
            loop_id = observer.loop_id
        await asyncio.sleep(0.03)
        time.sleep(0.15)  # noqa: ASYNC251 - the fault
        await asyncio.sleep(0.03)
        return loop_id, aerospike_py.probe_snapshot().probe("loop_lag", loop_id)

    _, lag = asyncio.run(with_client(server_config, body))
    assert 100 * MS < lag.max < 1
    assert lag.p50 < 50 * MS
    assert lag.count >= 3


def test_loops_are_told_apart_and_forgotten(server_config, probes):
    probes(interval_ms=5, gil=False, runtime=False, process=False)
    blocked, calm, over = {}, {}, threading.Event()

    async def block(_client):
        with aerospike_py.observe_loop() as observer:
            await asyncio.sleep(0.02)
            time.sleep(0.3)  # noqa: ASYNC251 - the fault
            await asyncio.sleep(0.02)
            blocked.update(id=observer.loop_id, max=largest_of("loop_lag", observer.loop_id))
        over.set()

    async def wait(_client):
        with aerospike_py.observe_loop() as observer:
            await asyncio.to_thread(over.wait, 20)
            calm.update(id=observer.loop_id, count=count_of("loop_lag", observer.loop_id))

    before = count_of("loop_lag")
    thread = threading.Thread(target=lambda: asyncio.run(with_client(server_config, wait)))
    thread.start()
    asyncio.run(with_client(server_config, block))
    thread.join()
    assert blocked["id"] != calm["id"]
    assert blocked["max"] > 200 * MS
    assert calm["count"] > 3
    gc.collect()
    subjects = {entry.subject for entry in aerospike_py.probe_snapshot().probes if entry.probe == "loop_lag"}
    assert subjects.isdisjoint({blocked["id"], calm["id"]})
    assert count_of("loop_lag") > before


def test_a_loop_that_does_not_run_is_not_late(server_config, probes):
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(aerospike_py.async_client(server_config).connect())

    async def number():
        await client.put(("test", "probes", "k"), {"n": 1})
        with aerospike_py.observe_loop() as observer:
            return observer.loop_id

    loop_id = loop.run_until_complete(number())
    probes(interval_ms=5, gil=False, runtime=False, process=False)
    for _ in range(10):
        time.sleep(0.06)
        loop.run_until_complete(asyncio.sleep(0.02))
    lag = aerospike_py.probe_snapshot().probe("loop_lag", loop_id)
    loop.run_until_complete(client.close())
    loop.close()
    assert lag.count >= 5
    assert lag.p50 < 40 * MS


def test_a_thread_that_keeps_the_gil_is_a_gil_delay(probes, spinning):
    probes(interval_ms=5, loops=False, runtime=False, process=False)
    until(lambda: count_of("gil_delay") >= 3)
    with spinning(0.05):
        time.sleep(0.4)
    delay = aerospike_py.probe_snapshot().probe("gil_delay")
    assert 30 * MS < delay.max < 1
    assert delay.count >= 5


@pytest.mark.skipif(not FREE_THREADED, reason="the world stops only without a GIL")
def test_a_collection_of_garbage_stops_the_world(probes):
    probes(interval_ms=5, loops=False, runtime=False, process=False)
    heap = [[[]] for _ in range(500_000)]
    before = count_of("stop_the_world")
    for _ in range(5):
        gc.collect()
    until(lambda: count_of("stop_the_world") > before)
    assert count_of("attach_delay") > 0
    assert count_of("gil_delay") == 0
    aerospike_py.stop_probes()
    assert all("_collection" not in repr(callback) for callback in gc.callbacks)
    del heap


def test_work_is_processor_time_and_waiting_is_switches(probes):
    probes(gil=False, loops=False, runtime=False)
    until(lambda: any(entry.probe == "process_cpu_seconds" for entry in aerospike_py.probe_snapshot().probes))
    before = aerospike_py.probe_snapshot().probe("process_cpu_seconds").latest
    started = time.process_time()
    while time.process_time() < started + 0.3:
        pass
    until(lambda: aerospike_py.probe_snapshot().probe("process_cpu_seconds").latest >= before + 0.25)
    snapshot = aerospike_py.probe_snapshot()
    assert snapshot.probe("process_cpu_seconds").latest <= time.process_time() + 0.1
    assert snapshot.probe("context_switches_voluntary").latest > 0
    assert snapshot.probe("process_cpu_seconds").increase > 0.2


def test_the_runtime_is_seen(server_config, probes):
    with aerospike_py.client(server_config).connect():
        probes(gil=False, loops=False, process=False)
        until(lambda: count_of("runtime_schedule_delay") >= 2)
    snapshot = aerospike_py.probe_snapshot()
    assert 0 <= snapshot.probe("runtime_busy_ratio").max <= 1
    assert snapshot.probe("runtime_queue_depth").latest >= 0
    assert snapshot.probe("runtime_schedule_delay").max < 5


def test_batches_of_a_loop_are_polls_of_the_runtime(server_config, probes):
    probes(gil=False, loops=False, process=False)
    before = count_of("runtime_poll_duration")

    async def body(client):
        deadline = time.monotonic() + 20
        while count_of("runtime_poll_duration") == before and time.monotonic() < deadline:
            await client.batch_read([("test", "probes", n) for n in range(50)])

    asyncio.run(with_client(server_config, body))
    assert count_of("runtime_poll_duration") > before


def test_probes_that_are_off_measure_nothing(probes):
    aerospike_py.stop_probes()
    before = {(entry.probe, entry.subject): entry.count for entry in aerospike_py.probe_snapshot().probes}
    time.sleep(0.1)
    assert {(entry.probe, entry.subject): entry.count for entry in aerospike_py.probe_snapshot().probes} == before
    names = ["gil_delay", "attach_delay"]
    measured = sum(map(count_of, names))
    probes(interval_ms=1, gil=False, runtime=False, process=False)
    time.sleep(0.1)
    assert sum(map(count_of, names)) == measured


def test_samples_go_to_whoever_subscribes_and_to_nobody_else(probes):
    _aerospike._take_probe_samples(True)
    probes(interval_ms=1, loops=False, runtime=False)
    taken = []

    def both_are_there():
        taken.extend(_aerospike._take_probe_samples(True))
        return {"attach_delay" if FREE_THREADED else "gil_delay", "process_cpu_seconds"} <= {row[0] for row in taken}

    until(both_are_there)
    for _, _, _, start, duration, value in taken:
        assert start > 0
        assert (duration is None) != (value is None)
    _aerospike._take_probe_samples(False)
    time.sleep(0.05)
    assert _aerospike._take_probe_samples(False) == []


def test_probes_are_metrics_without_a_loop_number(server_config, probes):
    probes(interval_ms=2)

    async def body(_client):
        await asyncio.sleep(0.1)

    asyncio.run(with_client(server_config, body))
    text = aerospike_py.get_metrics()
    assert "# TYPE db_client_probe_loop_lag_seconds histogram\n" in text
    assert 'db_client_probe_loop_lag_seconds_bucket{db_system_name="aerospike",le="+Inf"} ' in text
    assert "# TYPE db_client_probe_process_cpu_seconds_total counter\n" in text
    assert "# TYPE db_client_probe_runtime_busy_ratio gauge\n" in text
    lines = [line for line in text.splitlines() if line.startswith("db_client_probe")]
    assert len({line.rsplit(" ", 1)[0] for line in lines}) == len(lines)


def test_a_snapshot_is_for_people_and_for_programs(probes):
    probes(interval_ms=1, loops=False)
    until(lambda: aerospike_py.probe_snapshot().probes)
    snapshot = aerospike_py.probe_snapshot()
    assert snapshot.running
    assert snapshot.to_dict()["running"] is True
    assert all(entry.probe in snapshot.table() for entry in snapshot.probes)
    with pytest.raises(KeyError, match="has measured nothing; there is"):
        snapshot.probe("no_such_probe")
    aerospike_py.stop_probes()
    aerospike_py.stop_probes()
    assert not aerospike_py.probe_snapshot().running


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf"), 0.5])
def test_intervals_that_make_no_sense_are_refused(interval):
    with pytest.raises(ValueError, match="interval_ms must be"):
        aerospike_py.start_probes(interval_ms=interval)


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="nothing is to be measured"):
        aerospike_py.start_probes(gil=False, loops=False, runtime=False, process=False)
