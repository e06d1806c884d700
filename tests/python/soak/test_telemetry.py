"""Everything switched on while collector and scraper are stopped, restarted and hung: nothing grows, nothing is lost.

Mixed operations of threads and tasks on an embedded cluster, with a trace file, spans, metrics for Prometheus and over
OTLP, probes and the loop observer. ``make soak`` does it for ten minutes, ``make test`` for seconds; ``SOAK_MINUTES``
sets another duration for both.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
import time
from typing import TYPE_CHECKING

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from memory import MemoryWatch
from mixed import Workload
from outlets import SPAN_QUEUE, Account, Files, Outlet, Spans, ended, recorded
from visitors import PATIENCE_SECONDS, Trouble, Visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aerospike_py import AsyncClient, Client
    from aerospike_py.metrics import MetricsExportStatistics
    from aerospike_py.tracing import TraceRecorder

pytestmark = pytest.mark.embedded

NODES = 3
SEED = 4
THREADS, TASKS = 4, 16
WARM_UP = 0.3
# An allocator keeps some of what it had; what is lost per operation would be hundreds of megabytes after minutes.
MOST_GROWTH_BYTES = 32_000_000
# Within seconds, queues and buffers fill up that the process has not needed before; they are bounded.
MOST_FILLING_BYTES = 128_000_000
FILE_BYTES, RECORDING_BYTES = 8 << 20, 64 << 20
SHUTDOWN_SECONDS = 10
"""What is promised is one second, and printed; a crowded machine may take longer, a hang takes for ever."""
# A conversion is offered if its operation was taken for a span and is one of the last thousand: the others are nothing.


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s until {what}"
        time.sleep(0.02)


def export_metrics(port: int) -> None:
    """Send metrics twice a second."""
    aerospike_py.init_metrics_export(
        endpoint=f"http://127.0.0.1:{port}",
        protocol="http/protobuf",
        compression="gzip",
        interval_ms=500,
        timeout_ms=1000,
        export_timeout_ms=1500,
    )


@contextlib.contextmanager
def everything_on(port: int, folder: Path) -> Iterator[tuple[TraceRecorder, tuple[str, int]]]:
    """Switch on whatever there is, and off again."""
    aerospike_py.init_tracing(
        endpoint=f"http://127.0.0.1:{port}",
        protocol="http/protobuf",
        compression="gzip",
        queue_size=SPAN_QUEUE,
        schedule_delay_ms=200,
        timeout_ms=1000,
        export_timeout_ms=1500,
    )
    export_metrics(port)
    aerospike_py.start_probes()
    address = aerospike_py.start_metrics_server(port=0)
    try:
        with aerospike_py.trace_recorder(
            folder, max_file_bytes=FILE_BYTES, max_total_bytes=RECORDING_BYTES
        ) as recorder:
            yield recorder, address
    finally:
        aerospike_py.stop_metrics_server()
        aerospike_py.stop_probes()
        aerospike_py.shutdown_tracing()
        aerospike_py.shutdown_metrics_export()
        aerospike_py.set_internal_stage_metrics_enabled(False)


def has_gil() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


class Figures:
    """What is looked at while the work goes on."""

    def __init__(self, outlets: list[Outlet]) -> None:
        self._outlets = outlets
        self.most_waiting = {outlet.name: 0 for outlet in outlets}

    def look(self) -> None:
        for outlet in self._outlets:
            self.most_waiting[outlet.name] = max(self.most_waiting[outlet.name], outlet.account().waiting)


def check_accounts(accounts: dict[str, Account], operations: int, conversions: int, collected: int) -> None:
    """Everything that was offered was sent, dropped or lost, and what was sent has arrived."""
    files, spans = accounts["files"], accounts["spans"]
    assert files.ended == operations + conversions
    assert files.lost == 0
    assert operations <= spans.ended <= operations + conversions
    # A request may have arrived although its answer has not.
    assert spans.sent <= collected <= spans.sent + spans.lost
    assert spans.sent > 0
    assert spans.lost > 0
    assert spans.dropped > 0


def told_by(collector: Visitor) -> list[int]:
    """How many operations had ended, by each request with metrics that has arrived."""
    return [int(line[1]) for line in collector.lines() if line[0] == "/v1/metrics"]


def end_metrics(collector: Visitor, operations: int) -> tuple[MetricsExportStatistics, list[int]]:
    """End the export of metrics once a request has told of everything; return what became of all of them."""
    eventually(lambda: max(told_by(collector), default=0) == operations, "metrics tell of every operation")
    stats = aerospike_py.metrics_export_stats()
    told = told_by(collector)
    assert stats is not None, "metrics are not exported"
    aerospike_py.shutdown_metrics_export()
    return stats, told


def check_metrics(stats: MetricsExportStatistics, told: list[int], operations: int) -> None:
    """Requests have failed and nothing is missing: one has told of all that ended since the process began."""
    assert stats["exports"] > 0
    assert stats["failures"] > 0
    assert stats["dropped_export_failed"] > 0
    assert stats["dropped_rejected"] == 0
    # A request may have arrived although its answer has not, and one may be on its way.
    assert stats["exports"] <= len(told) <= stats["exports"] + stats["failures"] + 1
    assert max(told) == operations


def shut_down(collector: Visitor, client: Client) -> float:
    """End tracing and metrics while the collector hangs and spans wait for it; return the seconds of the slower."""
    export_metrics(collector.port)
    collector.hangs()
    client.exists(("test", "soak", "the last one"))
    took = []
    for end in (aerospike_py.shutdown_tracing, aerospike_py.shutdown_metrics_export):
        began = time.monotonic()
        end()
        took.append(time.monotonic() - began)
    return max(took)


def soak(folder: Path, seconds: float, dwell: tuple[float, float], most_growth: int) -> None:
    port = free_port()
    operations_before, conversions_before = recorded()
    workload = Workload(1 << 60, SEED, threads=THREADS, tasks=TASKS)
    loop = asyncio.new_event_loop()
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(EmbeddedServer(nodes=NODES, process=True))
        recorder, (_, metrics_port) = stack.enter_context(everything_on(port, folder / "recording"))
        collector = Visitor("collector_process.py", port, folder / "collected")
        scraper = Visitor("scraper_process.py", metrics_port, folder / "scraped")
        stack.callback(collector.gone)
        stack.callback(scraper.gone)
        collector.up()
        scraper.up()
        outlets: list[Outlet] = [Spans(), Files(recorder)]
        figures = Figures(outlets)
        watch = MemoryWatch(figures.look)
        trouble = Trouble(collector, scraper, outlets[0].account, dwell, SEED)

        async def connect() -> AsyncClient:
            return await aerospike_py.async_client(cluster.config()).connect()

        client = stack.enter_context(aerospike_py.client(cluster.config()).connect())
        async_client = loop.run_until_complete(connect())
        began = time.monotonic()
        try:
            watch.start()
            trouble.start(seconds, workload.stopping.set)
            with aerospike_py.observe_loop(loop, slow_callback_ms=20) as observer:
                workload.run(client, async_client, loop)
        finally:
            took = time.monotonic() - began
            trouble.end()
            watch.end()
        assert observer.exact
        workload.check_everything(client)
        loop.run_until_complete(async_client.close())
        loop.close()
        gc.collect()
        issued, completed = sum(workload.issued), sum(workload.completed)
        # What was given up is recorded when the thread that was at it lets go.
        eventually(lambda: recorded()[0] - operations_before == issued, "every operation is recorded, once")
        operations, conversions = issued, recorded()[1] - conversions_before
        assert recorder.flush()
        # What was taken out of the queue for a request is counted when the request has ended.
        eventually(lambda: outlets[0].account().waiting == 0, "no span is left")
        eventually(lambda: outlets[0].account().ended >= operations, "all spans are sent, dropped or lost")
        accounts = {outlet.name: outlet.account() for outlet in outlets}
        collected = sum(int(line[1]) for line in collector.lines() if line[0] == "/v1/traces")
        probes = aerospike_py.probe_snapshot()
        scraped = len(scraper.lines())
        all_ended = ended()
        metrics, told = end_metrics(collector, all_ended)
        shutdown = shut_down(collector, client)
        growth = watch.growth(WARM_UP)
        print(
            f"{completed} of {issued} operations ended in {took:.1f} s ({completed / took:.0f}/s); {operations} "
            f"recorded, {conversions} conversions; {accounts}, {collected} collected; most waiting "
            f"{figures.most_waiting}; {metrics['exports']} requests with metrics sent, {metrics['failures']} failed; "
            f"collector {collector.states}, scraper {scraper.states}, {scraped} scrapes; "
            f"{trouble.recoveries} recoveries, the slowest {trouble.slowest_recovery:.1f} s; MB {watch.megabytes()}, "
            f"{growth / 1e6:+.1f} MB after the first {WARM_UP:.0%}; shutdown while the collector hangs {shutdown:.2f} s"
        )
    assert issued == completed
    assert issued > 0
    check_accounts(accounts, operations, conversions, collected)
    check_metrics(metrics, told, all_ended)
    assert all(figures.most_waiting[outlet.name] <= outlet.capacity for outlet in outlets)
    assert trouble.recoveries >= 4
    assert scraped >= trouble.recoveries
    assert probes.probe("gil_delay" if has_gil() else "attach_delay").count > 0
    assert growth < most_growth
    assert shutdown < SHUTDOWN_SECONDS


@pytest.mark.timeout(300)
def test_seconds(tmp_path: Path) -> None:
    soak(tmp_path, 60 * float(os.environ.get("SOAK_MINUTES", "0.15")), dwell=(0.1, 0.5), most_growth=MOST_FILLING_BYTES)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ten_minutes(tmp_path: Path) -> None:
    soak(tmp_path, 60 * float(os.environ.get("SOAK_MINUTES", "10")), dwell=(0.5, 6.0), most_growth=MOST_GROWTH_BYTES)
