"""Scenarios whose cause is the client's configuration or what is asked of it: pool, limiter, conversion, recorder."""

from __future__ import annotations

from scenarios.scenario import Scenario
from scenarios.stage import SECONDS, Stage, key

ENTRIES = 10_000


def small_pool(stage: Stage) -> None:
    """Twelve threads share one connection per node, and a read takes 10 ms."""
    late = stage.server.fault("delay=10ms", command="read")
    with stage.client(max_conns_per_node=1) as client, late, stage.recording():
        stage.threads(lambda number: client.get(key(number), {"total_timeout": 10_000}), 12)


def low_limiter(stage: Stage) -> None:
    """Twelve threads share two permits, and a read takes 10 ms."""
    late = stage.server.fault("delay=10ms", command="read")
    limits = {"max_concurrent_operations": 2, "operation_queue_timeout_ms": 10_000}
    with stage.client(**limits) as client, late, stage.recording():
        stage.threads(lambda number: client.get(key(number)), 12)


def heavy_conversion(stage: Stage) -> None:
    """Records that are a map of thousands of entries."""
    large = ("test", "records", "large")
    with stage.client() as client:
        client.put(large, {"features": {f"f{number}": number for number in range(ENTRIES)}})
        stage.threads(lambda _: client.get(large), 2, calls=10)
        with stage.recording():
            stage.threads(lambda _: client.get(large), 1)


def dropped(stage: Stage) -> None:
    """The recorder may keep 50 operations in a second, of many."""
    with stage.client() as client, stage.recording(max_operations_per_second=50):
        stage.threads(lambda number: client.get(key(number)), 2)


def healthy(stage: Stage) -> None:
    """One thread that reads, with pauses."""
    with stage.client() as client, stage.recording():
        stage.threads(lambda number: client.get(key(number)), 1, pause=0.002)


def throttled(stage: Stage) -> None:
    """Two threads that read as fast as they can, in a control group with a tenth of a core."""
    with stage.client() as client, stage.recording():
        stage.threads(lambda number: client.get(key(number)), 2, seconds=2 * SECONDS)


SCENARIOS = (
    Scenario("small pool", "twelve threads, one connection per node", small_pool, ("small_pool",), quick=True),
    Scenario("limiter too small", "twelve threads, two permits", low_limiter, ("limiter",), quick=True),
    Scenario("heavy conversion", f"maps of {ENTRIES} entries", heavy_conversion, ("conversion",)),
    Scenario("dropped operations", "50 operations per second are kept", dropped, also=frozenset({"dropped"})),
    Scenario("healthy, one thread", "nothing", healthy, healthy=True),
    Scenario("throttled CPU", "a tenth of a core by control group", throttled, ("throttled",), quota=True),
)  # fmt: skip
