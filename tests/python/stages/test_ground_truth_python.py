"""Faults of the process around the client: the GIL, the event loop, callbacks, conversions and arguments."""

import asyncio
import sys
import sysconfig
import threading
import time

import aerospike_py
import pytest
from driving import LANES
from measuring import MS, NOISE_MS, assert_grew, measure, median_of, recorded
from partition import assert_partition
from workload import BINS, KEYS

HOLDS_THE_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED") or getattr(sys, "_is_gil_enabled", lambda: True)()

CALLS = [
    pytest.param(("get", KEYS[0]), 1, "read", id="get"),
    pytest.param(("put", KEYS[0], BINS), 1, "write", id="put"),
    pytest.param(("batch_read", KEYS), 3, "batch_read", id="batch_read-three-nodes"),
]


# How long the thread that spins keeps the GIL; it takes a processor as well, so there is more noise.
KEPT_S = 0.08
SPINNING_NOISE_MS = 2 * NOISE_MS


class Spinning:
    """A thread of pure Python code that gives the GIL away only when it is asked to, after the switch interval."""

    def __init__(self, interval):
        self.interval = interval
        self.over = False
        self.thread = threading.Thread(target=self.spin)

    def spin(self):
        while not self.over:
            pass

    def __enter__(self):
        self.before = sys.getswitchinterval()
        self.thread.start()
        sys.setswitchinterval(self.interval)

    def __exit__(self, *_exception):
        sys.setswitchinterval(self.before)
        self.over = True
        self.thread.join()


@pytest.mark.skipif(not HOLDS_THE_GIL, reason="there is no GIL to wait for")
@pytest.mark.parametrize("thread", ["main", "other"])
@pytest.mark.parametrize(("call", "nodes", "command"), CALLS)
def test_a_thread_that_keeps_the_gil_is_gil_reacquire(drivers, servers, call, nodes, command, thread):
    """Both measurements have replies that are 10 ms late, so that the other thread has the GIL when they come."""
    driver = drivers["sync", nodes]

    def measuring():
        return measure(lambda: driver.call(*call), call[0], "sync")

    def with_gil_kept():
        with Spinning(KEPT_S):
            return measuring()

    with servers[nodes].fault("delay=10ms", command=command):
        clean = measuring()
        faulty = with_gil_kept() if thread == "main" else in_a_thread(with_gil_kept)
    assert_grew(clean, faulty, "gil_reacquire", at_least_ms=45, at_most_ms=240, noise_ms=SPINNING_NOISE_MS)


@pytest.mark.skipif(not HOLDS_THE_GIL, reason="there is no GIL to wait for")
@pytest.mark.parametrize(("call", "nodes", "command"), CALLS)
def test_a_thread_that_keeps_the_gil_from_the_loop_is_loop_wait(drivers, servers, call, nodes, command):
    """The reply is there, and the loop cannot run the callback that takes it."""
    driver = drivers["asyncio", nodes]
    with servers[nodes].fault("delay=10ms", command=command):
        clean = measure(lambda: driver.call(*call), call[0], "asyncio")
        with Spinning(KEPT_S):
            faulty = measure(lambda: driver.call(*call), call[0], "asyncio")
    assert_grew(clean, faulty, "loop_wait", at_least_ms=45, at_most_ms=240, noise_ms=SPINNING_NOISE_MS)


@pytest.mark.skipif(not HOLDS_THE_GIL, reason="there is no GIL to wait for")
def test_looking_for_signals_under_a_kept_gil_is_gil_reacquire_too(drivers, one_node):
    """The main thread looks for signals every 50 ms of a wait, for which it needs the GIL, and the reply comes then."""
    driver = drivers["sync", 1]
    run = lambda: driver.call("get", KEYS[0])  # noqa: E731
    with one_node.fault("delay=60ms", command="read"):
        clean = measure(run, "get", "sync", times=5)
        with Spinning(0.05):
            faulty = measure(run, "get", "sync", times=5)
    assert_grew(clean, faulty, "gil_reacquire", at_least_ms=25, at_most_ms=150, noise_ms=SPINNING_NOISE_MS)


def in_a_thread(run):
    results = []
    thread = threading.Thread(target=lambda: results.append(run()))
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.parametrize(("call", "nodes", "command"), CALLS)
def test_a_blocked_event_loop_is_loop_wait(drivers, call, nodes, command):
    driver = drivers["asyncio", nodes]
    name, *arguments = call

    async def calling(block):
        operation = getattr(driver.client, name)(*arguments)
        if block:
            asyncio.get_running_loop().call_soon(time.sleep, 0.04)
        await operation

    clean = measure(lambda: driver.runner.run(calling(False)), name, "asyncio")
    faulty = measure(lambda: driver.runner.run(calling(True)), name, "asyncio")
    assert_grew(clean, faulty, "loop_wait", at_least_ms=30, at_most_ms=60)


@pytest.mark.parametrize(
    ("call", "nodes"),
    [
        pytest.param(("get", KEYS[0]), 1, id="get"),
        pytest.param(("put", KEYS[0], BINS), 1, id="put"),
        # Few keys: five large batches at once would keep a small machine busy for longer than the loop is blocked.
        pytest.param(("batch_read", KEYS[:20]), 3, id="batch_read-three-nodes"),
    ],
)
def test_slow_callbacks_ahead_in_the_queue_are_event_loop_resume(drivers, call, nodes):
    """Five operations are done when the loop looks; the third to be resumed has waited for 15 ms of work, twice.

    The loop is blocked in both measurements until all have answered, so that they are resolved at once.
    """
    driver = drivers["asyncio", nodes]
    name, *arguments = call

    async def one(work_s):
        await getattr(driver.client, name)(*arguments)
        time.sleep(work_s)  # noqa: ASYNC251 - the fault

    async def five(work_s):
        tasks = [asyncio.create_task(one(work_s)) for _ in range(5)]
        await asyncio.sleep(0)
        time.sleep(0.1)  # noqa: ASYNC251
        await asyncio.gather(*tasks)

    driver.runner.run(five(0))
    clean = measure(lambda: driver.runner.run(five(0)), name, "asyncio", times=5)
    faulty = measure(lambda: driver.runner.run(five(0.015)), name, "asyncio", times=5)
    # The mean of 0, 15, 30, 45 and 60 ms.
    assert_grew(clean, faulty, "event_loop_resume", at_least_ms=29, at_most_ms=80)


def test_waiting_for_others_in_a_gather_is_not_the_event_loops_fault(drivers, one_node):
    """Four gathered reads, one of which is answered 80 ms late: only that one may become slower.

    The results of the others are there; that nobody looks at them yet is no stage of theirs.
    """
    driver = drivers["asyncio", 1]

    async def gathered():
        slow = driver.client.put(KEYS[0], BINS)
        quick = [driver.client.get(key) for key in KEYS[1:4]]
        await asyncio.gather(slow, *quick, return_exceptions=True)

    with one_node.fault("delay=80ms", command="write"):
        measured = measure(lambda: driver.runner.run(gathered()), "get", "asyncio", times=5)
    assert measured.ms("event_loop_resume") <= NOISE_MS
    assert measured.wall / MS <= 2 * NOISE_MS


@pytest.mark.parametrize("lane", LANES)
def test_a_conversion_on_demand_belongs_to_the_operation_but_not_to_its_wall_time(drivers, lane):
    keys = KEYS * 100
    batch = drivers[lane, 1].call("batch_read", keys)
    at_return = recorded("batch_read", lane)
    assert at_return.deferred is None
    again = drivers[lane, 1].call("batch_read", keys)
    started = time.perf_counter_ns()
    rows = batch.to_list()
    outside = time.perf_counter_ns() - started
    assert len(rows) == len(keys)
    entry = recorded("batch_read", lane)
    assert entry.deferred is not None
    assert entry.deferred.count == 1
    assert 0.8 * outside <= entry.deferred.total_ns <= outside
    # 20,000 records with three bins each: had they been converted inside the call, that would show.
    assert entry.stages["to_dict"].total_ns < outside / 10
    assert again.found_count() == len(keys)


@pytest.mark.parametrize("lane", LANES)
def test_a_conversion_after_a_reset_is_not_lost(drivers, lane):
    batch = drivers[lane, 1].call("batch_read", KEYS)
    recorded("batch_read", lane)
    assert len(batch.to_dict()) == len(KEYS)
    entry = recorded("batch_read", lane)
    assert entry.count == 0
    assert entry.deferred is not None
    assert entry.deferred.count == 1


@pytest.mark.parametrize("lane", LANES)
def test_many_keys_are_key_parse(drivers, lane):
    """The last of 100,000 keys is none, so that everything before it is all that happens."""
    keys = [("test", "stages", number) for number in range(100_000)]
    call = drivers[lane, 1].call
    with pytest.raises(TypeError):
        call("batch_read", [*keys[:1000], "no key"])
    few = recorded("batch_read", lane)
    with pytest.raises(TypeError):
        call("batch_read", [*keys, "no key"])
    many = recorded("batch_read", lane)
    assert_grew(median_of([few]), median_of([many]), "key_parse", at_least_ms=5, at_most_ms=1000)
    assert many.failed_in == {"key_parse": 1}
    assert many.errors == {"client_error": 1}
    assert many.stages["key_parse"].share > 0.95


@pytest.mark.parametrize("lane", LANES)
def test_large_values_are_key_parse_and_to_dict(drivers, lane):
    """A list of 50,000 numbers is taken apart before the write and built again after the read, with the GIL held."""
    driver = drivers[lane, 1]
    key = ("test", "stages", "numbers")
    small, large = {"list": [1]}, {"list": list(range(50_000))}

    def medians(bins):
        put = measure(lambda: driver.call("put", key, bins), "put", lane, times=5)
        return put, measure(lambda: driver.call("get", key), "get", lane, times=5)

    put_small, get_small = medians(small)
    put_large, get_large = medians(large)
    driver.call("remove", key)
    assert put_large.ms("key_parse") > 20 * put_small.ms("key_parse")
    assert get_large.ms("to_dict") > 20 * get_small.ms("to_dict")
    assert get_large.ms("decode") > 20 * get_small.ms("decode")
    assert_partition(aerospike_py.stage_snapshot(reset=True))
