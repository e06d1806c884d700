"""Situations with a known cause: each plants one in a recording, and the first verdict must name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recordings import MS, STAGES, Recording

ROWS = 3000


def healthy(recording: Recording) -> None:
    """Nothing is wrong."""
    for _ in range(ROWS):
        recording.add(recording.healthy())


def slow_node(recording: Recording) -> None:
    """One of three nodes takes 3 ms longer to answer."""
    for i in range(ROWS):
        node = f"10.0.0.{1 + i % 3}:3000"
        recording.add(recording.healthy(network_wait=3 * MS if i % 3 == 2 else 0), node=node)


def slow_node_of_batches(recording: Recording) -> None:
    """Batches wait for one of three nodes."""
    nodes = [f"10.0.0.{1 + i}:3000" for i in range(3)]
    for _ in range(ROWS // 3):
        stages = recording.healthy(network_wait=3 * MS)
        tracks = []
        for number in range(3):
            took = stages["network_wait"] if number == 2 else int(100_000 * recording.random.lognormal(0, 0.2))
            piece = {"stage": STAGES.index("network_wait"), "node": number, "start_ns": 0, "duration_ns": took}
            tracks.append({"node": number, "attempts": 1, "start_ns": 20_000, "duration_ns": took, "segments": [piece]})
        recording.add(
            stages, "batch_read", keys=60, node=nodes[2], nodes=nodes, tracks=tracks, attempts=3, bytes_received=20_000
        )


def uneven_batches(recording: Recording) -> None:
    """One of three nodes has most of the keys, so that its reply takes the longest to arrive."""
    nodes = [f"10.0.0.{1 + i}:3000" for i in range(3)]
    for _ in range(ROWS // 3):
        stages = recording.healthy(network_read=3 * MS)
        tracks = []
        for number, received in enumerate((6_000, 7_000, 30_000)):
            took = received * stages["network_read"] // 30_000
            piece = {"stage": STAGES.index("network_read"), "node": number, "start_ns": 0, "duration_ns": took}
            tracks.append(
                {
                    "node": number, "attempts": 1, "start_ns": 20_000, "duration_ns": took, "segments": [piece],
                    "bytes_sent": 900, "bytes_received": received,
                }
            )  # fmt: skip
        recording.add(
            stages, "batch_read", keys=60, node=nodes[2], nodes=nodes, tracks=tracks, attempts=3, bytes_received=43_000
        )


def heavy_tailed_server(recording: Recording) -> None:
    """Every fortieth reply comes 8 ms late, whatever the node."""
    for i in range(ROWS):
        recording.add(recording.healthy(network_wait=8 * MS if i % 40 == 0 else 0), node=f"10.0.0.{1 + i % 3}:3000")


def slow_server(recording: Recording) -> None:
    """Every reply takes 5 ms."""
    for i in range(ROWS):
        recording.add(recording.healthy(network_wait=5 * MS), node=f"10.0.0.{1 + i % 3}:3000", gap_ns=6 * MS)


def dribbled(recording: Recording) -> None:
    """Small replies come in two pieces, 6 ms apart, now and then."""
    for i in range(ROWS):
        recording.add(recording.healthy(network_read=6 * MS if i % 20 == 0 else 0))


def large_values(recording: Recording) -> None:
    """Every twentieth reply has a megabyte."""
    for i in range(ROWS):
        large = i % 20 == 0
        more = {"network_read": 4 * MS, "decode": MS, "to_dict": 2 * MS} if large else {}
        recording.add(recording.healthy(**more), bytes_received=8 << 20 if large else 300)


def slow_writes(recording: Recording) -> None:
    """The server takes large commands slowly."""
    for i in range(ROWS):
        recording.add(recording.healthy(network_write=5 * MS if i % 15 == 0 else 0), "put", bytes_sent=1 << 20)


def small_pool(recording: Recording) -> None:
    """Thirty operations at a time for ten connections."""
    for i in range(ROWS):
        recording.add(recording.healthy(backoff=2 * MS if i % 3 == 0 else 0, pool_acquire=100_000), in_flight=30)


def limiter(recording: Recording) -> None:
    """The limit of concurrent operations is reached half of the time."""
    for i in range(ROWS):
        recording.add(recording.healthy(limiter_wait=3 * MS if i % 2 else 0), "get", "asyncio", in_flight=64)


def retry_storm(recording: Recording) -> None:
    """Every tenth operation is tried three times."""
    for i in range(ROWS):
        again = i % 10 == 0
        recording.add(recording.healthy(backoff=2 * MS if again else 0), attempts=3 if again else 1)


def timeouts(recording: Recording) -> None:
    """One operation in fifty runs out of time while it waits for the server."""
    for i in range(ROWS):
        late = i % 50 == 0
        columns = {"outcome": "timeout", "failed_in": "network_wait", "error_type": "TimeoutError"} if late else {}
        recording.add(recording.healthy(), **columns)


def failures(recording: Recording) -> None:
    """One operation in five is refused by the server."""
    for i in range(ROWS):
        bad = i % 5 == 0
        columns = {"outcome": "server_error", "status_code": 22, "failed_in": "decode"} if bad else {}
        recording.add(recording.healthy(), **columns)


def gil_hog(recording: Recording) -> None:
    """A thread of pure Python keeps the GIL for the switch interval."""
    for i in range(ROWS):
        waits = i % 4 == 0
        row = recording.add(recording.healthy(gil_reacquire=5 * MS if waits else 0), gap_ns=6 * MS)
        if waits:
            recording.probe("gil_delay", row["start_ns"], 6 * MS, name="worker-3", subject=9)


def slow_callback(recording: Recording) -> None:
    """A callback of 40 ms keeps the loop while results are waiting."""
    for i in range(ROWS):
        waits = i % 30 == 0
        row = recording.add(recording.healthy(loop_wait=38 * MS if waits else 10_000), "get", "asyncio", gap_ns=2 * MS)
        if waits:
            recording.probe(
                "loop_callback", row["start_ns"] + 100_000, 40 * MS, subject=1, name="app.model:score (model.py:12)"
            )
            recording.now += 40 * MS
        recording.probe("loop_callback", row["start_ns"] - MS, 20_000, subject=1, name="app.web:handle (web.py:3)")


def busy_loop(recording: Recording) -> None:
    """Many callbacks of 2 ms each keep the loop busy."""
    for _ in range(ROWS):
        wait = int(recording.random.exponential(1.5 * MS))
        row = recording.add(recording.healthy(loop_wait=wait), "get", "asyncio", gap_ns=3 * MS)
        recording.probe("loop_callback", row["start_ns"] + 50_000, 2 * MS, subject=1, name="app.web:render (web.py:9)")


def gather(recording: Recording) -> None:
    """Twenty reads are gathered per request."""
    burst(recording, keys=1, operation="get")


def small_batches(recording: Recording) -> None:
    """Twenty batches of three keys are gathered per request."""
    burst(recording, keys=3, operation="batch_read")


def burst(recording: Recording, keys: int, operation: str) -> None:
    """Requests that gather twenty calls; each is resumed after those before it."""
    for _ in range(ROWS // 20):
        begin = recording.now
        for call in range(20):
            stages = recording.healthy(event_loop_resume=250_000 + 60_000 * (call + 1))
            recording.add(stages, operation, "asyncio", start_ns=begin + 15_000 * call, keys=keys, in_flight=call + 1)
        recording.now += 8 * MS


def conversion(recording: Recording) -> None:
    """Batches of wide records become dictionaries."""
    for _ in range(ROWS):
        keys = int(recording.random.integers(20, 400))
        recording.add(
            recording.healthy(decode=keys * 1500, to_dict=keys * 4000),
            "batch_read",
            keys=keys,
            bytes_received=keys * 200,
            gap_ns=4 * MS,
        )


def scheduling(recording: Recording) -> None:
    """More to run than cores."""
    for _ in range(ROWS):
        delay = int(recording.random.exponential(1.0 * MS))
        recording.add(recording.healthy(wake_delay=delay, dispatch=delay // 2), "get", "asyncio", gap_ns=2 * MS)


def throttled(recording: Recording) -> None:
    """The quota stops the process for a tenth of the time."""
    for i in range(ROWS):
        recording.add(recording.healthy())
        if i % 100 == 0:
            recording.probe("cgroup_throttled_seconds", recording.now, value=i * 300_000e-9 * 0.1)
            recording.probe("cgroup_throttled_periods", recording.now, value=i / 30)


def cold_start(recording: Recording) -> None:
    """The first eighth of the operations opens connections."""
    for i in range(ROWS):
        recording.add(
            recording.healthy(pool_acquire=200_000, network_wait=900_000) if i < ROWS // 8 else recording.healthy()
        )


def first_moments(recording: Recording) -> None:
    """The first forty operations find nothing in the processor's caches."""
    for i in range(ROWS):
        recording.add(recording.healthy(network_wait=500_000) if i < 40 else recording.healthy())


def slow_stretches(recording: Recording) -> None:
    """Something happens twice for a short while."""
    for i in range(ROWS):
        recording.add(recording.healthy(encode=MS if 1000 < i < 1030 or 2000 < i < 2025 else 0))


def one_pause(recording: Recording) -> None:
    """The machine stops once for a moment."""
    for i in range(ROWS):
        recording.add(recording.healthy(encode=MS if 1000 < i < 1020 else 0))


def timer(recording: Recording) -> None:
    """The timer wheel is contended."""
    for i in range(ROWS):
        recording.add(recording.healthy(tokio_timer=3 * MS if i % 20 == 0 else 0))


def unattributed(recording: Recording) -> None:
    """A fifth of the time is in no stage."""
    for _ in range(ROWS):
        recording.add(recording.healthy(unattributed=40_000))


def dropped(recording: Recording) -> None:
    """The recorder dropped every fourth operation."""
    for i in range(ROWS):
        recording.add(recording.healthy(), operation_id=1 + i + i // 3)


Plant = Callable[[Recording], None]
# What is planted, which verdict must come first, and which may come besides; none is allowed that is not named.
SITUATIONS: dict[str, tuple[Plant, str | None, set[str]]] = {
    "healthy": (healthy, None, set()),
    "slow_node": (slow_node, "slow_node", set()),
    "slow_node_of_batches": (slow_node_of_batches, "slow_node", set()),
    "uneven_batches": (uneven_batches, "slow_replies", set()),
    "heavy_tailed_server": (heavy_tailed_server, "heavy_tailed_server", set()),
    "slow_server": (slow_server, "slow_server", set()),
    "dribbled": (dribbled, "slow_replies", set()),
    "large_values": (large_values, "large_replies", set()),
    "slow_writes": (slow_writes, "slow_writes", set()),
    "small_pool": (small_pool, "small_pool", set()),
    "limiter": (limiter, "limiter", set()),
    "retry_storm": (retry_storm, "retry_storm", set()),
    "timeouts": (timeouts, "timeouts", set()),
    "failures": (failures, "failures", set()),
    "gil_hog": (gil_hog, "gil", set()),
    "slow_callback": (slow_callback, "slow_callback", set()),
    "busy_loop": (busy_loop, "busy_loop", set()),
    "gather": (gather, "gather", set()),
    "small_batches": (small_batches, "small_batches", set()),
    "conversion": (conversion, "conversion", set()),
    "scheduling": (scheduling, "scheduling", set()),
    "throttled": (throttled, "throttled", set()),
    "cold_start": (cold_start, "cold_start", set()),
    "first_moments": (first_moments, None, set()),
    "slow_stretches": (slow_stretches, "slow_stretches", set()),
    "one_pause": (one_pause, None, set()),
    "timer": (timer, "timer", set()),
    "unattributed": (unattributed, "unattributed", set()),
    "dropped": (dropped, "dropped", set()),
}


def planted(name: str, **frame: Any) -> Recording:
    """A recording with a situation."""
    recording = Recording(**frame)
    SITUATIONS[name][0](recording)
    return recording
