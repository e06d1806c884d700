"""`make demo`: where the time of a batch read goes, shown on the feature-fetch workload.

Starts three embedded nodes in a process of their own (or uses the cluster that `AEROSPIKE_HOST` names),
runs the workload on threads, gathered and as one mixed batch, and leaves a breakdown, a flamegraph, recordings and
their report.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import aerospike_py
from aerospike_py.testing import EmbeddedServer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "analysis"))

from aerospike_py_analysis.analysis import analyse
from aerospike_py_analysis.report import html
from aerospike_py_analysis.report.document import document
from aerospike_py_analysis.report.pictures import Pictures

from benchmark import feature_fetch as workload

NODES = 3
CONCURRENCY = 10
WARM_UP_SECONDS = 1.5


class Ticker:
    """One line on the terminal that says what is going on; plain lines where there is no terminal."""

    def __init__(self, title: str, total: int | None = None, seconds: float | None = None) -> None:
        self._title, self._total, self._seconds = title, total, seconds
        self._done, self._shown, self._started = 0, 0.0, time.perf_counter()
        self._lock = threading.Lock()
        self._live = sys.stdout.isatty()
        if not self._live:
            print(f"{title} ...", flush=True)

    def __call__(self, done: int) -> None:
        with self._lock:
            self._done += done
            now = time.perf_counter()
            if self._live and now - self._shown >= 0.1:
                self._shown = now
                print(f"\r{self._title}: {self._text(now)}\x1b[K", end="", flush=True)

    def _text(self, now: float) -> str:
        if self._total is not None:
            filled = 30 * self._done // self._total
            return f"[{'#' * filled}{'.' * (30 - filled)}] {self._done:,} of {self._total:,}"
        elapsed = now - self._started
        limit = f" of {self._seconds:.0f}" if self._seconds is not None else ""
        return f"{self._done:,} requests in {elapsed:.0f}{limit} s"

    def close(self) -> None:
        print(f"\r{self._title}: {self._text(time.perf_counter())}\x1b[K" if self._live else "  done", flush=True)


@contextlib.contextmanager
def cluster() -> Iterator[list[tuple[str, int]]]:
    """Where the server is: a real cluster if one is named, otherwise three embedded nodes."""
    host = os.environ.get("AEROSPIKE_HOST")
    if host:
        port = int(os.environ.get("AEROSPIKE_PORT", "3000"))
        print(f"Using the cluster at {host}:{port}")
        yield [(host, port)]
        return
    with EmbeddedServer(nodes=NODES, process=True) as server:
        print(f"Embedded server: {NODES} nodes at {', '.join(f'{h}:{p}' for h, p in server.hosts)}")
        yield server.hosts


def measure_sync(hosts: list[tuple[str, int]], seconds: float, recording: Path) -> workload.Run:
    with aerospike_py.client(workload.server_config(hosts)).connect() as client:
        workload.run_sync(client, CONCURRENCY, WARM_UP_SECONDS)
        aerospike_py.stage_snapshot(reset=True)
        ticker = Ticker("sync, nine batch reads one after the other", seconds=seconds)
        with aerospike_py.trace_recorder(recording):
            run = workload.run_sync(client, CONCURRENCY, seconds, ticker)
        ticker.close()
        return run


async def measure_async(hosts: list[tuple[str, int]], mode: str, seconds: float, recording: Path) -> workload.Run:
    request = {"gathered": workload.gathered, "single": workload.single}[mode]
    title = {"gathered": "asyncio, nine batch reads gathered", "single": "asyncio, one mixed batch read"}[mode]
    async with aerospike_py.async_client(workload.server_config(hosts)) as client:
        await client.connect()
        await workload.run_async(client, request, CONCURRENCY, WARM_UP_SECONDS)
        aerospike_py.stage_snapshot(reset=True)
        ticker = Ticker(title, seconds=seconds)
        with aerospike_py.observe_loop(slow_callback_ms=1), aerospike_py.trace_recorder(recording):
            run = await workload.run_async(client, request, CONCURRENCY, seconds, ticker)
        ticker.close()
        return run


def show(title: str, run: workload.Run, snapshot: aerospike_py.StageSnapshot) -> None:
    print(f"\n== {title} ==")
    print(
        f"{len(run.latencies_ns):,} requests, {run.requests_per_second:.1f} per second; "
        f"request p50 {run.percentile_ms(0.5):.1f} ms, p99 {run.percentile_ms(0.99):.1f} ms"
    )
    print(snapshot.table())


def folded_per_request(mode: str, snapshot: aerospike_py.StageSnapshot, requests: int) -> list[str]:
    """The folded stacks of one mode, per request, so that modes can be compared by width."""
    lines = []
    for line in snapshot.folded().splitlines():
        stack, _, total = line.rpartition(" ")
        lines.append(f"{mode};{stack} {round(int(total) / requests)}")
    return lines


def verdict(gathered: workload.Run, single: workload.Run) -> str:
    """What gathering cost against the single call, in one sentence."""
    gathered_ms, single_ms = gathered.percentile_ms(0.5), single.percentile_ms(0.5)
    if gathered_ms <= single_ms:
        return (
            f"Gathering nine batch reads was no slower than one mixed batch read here: a request took "
            f"{gathered_ms:.1f} ms instead of {single_ms:.1f} ms at the median."
        )
    return (
        f"Gathering nine batch reads cost {gathered_ms - single_ms:.1f} ms per request against one mixed batch read: "
        f"{gathered_ms:.1f} ms instead of {single_ms:.1f} ms at the median ({gathered_ms / single_ms:.2f} times), and "
        f"{gathered.requests_per_second:.0f} instead of {single.requests_per_second:.0f} requests per second."
    )


def report(recording: Path, page: Path) -> None:
    """Writes the report of a recording, and says what it found."""
    analysis, profile = analyse([recording])
    page.write_text(html.render(document(analysis, Pictures(profile))), encoding="utf-8")
    print(f"\nReport of {analysis.operations:,} operations, {recording.name}: {page} (open it in a browser)")
    for number, finding in enumerate(analysis.verdicts, 1):
        print(f"  {number}. {finding.title}: {finding.evidence[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for what is left")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each of the three modes runs")
    arguments = parser.parse_args()
    output: Path = arguments.output
    recordings = output / "recordings"
    shutil.rmtree(recordings, ignore_errors=True)
    recordings.mkdir(parents=True)
    aerospike_py.set_internal_stage_metrics_enabled(True)
    aerospike_py.start_probes()
    with cluster() as hosts:
        with aerospike_py.client(workload.server_config(hosts)).connect() as client:
            ticker = Ticker("loading", total=len(workload.SETS) * workload.RECORDS_PER_SET)
            workload.load(client, ticker)
            ticker.close()
        folded: list[str] = []
        runs: dict[str, workload.Run] = {}
        titles = {
            "sync": "sync: 10 threads, nine batch reads of 200 keys one after the other",
            "gathered": "asyncio: 10 requests at a time, nine batch reads of 200 keys gathered",
            "single": "asyncio: 10 requests at a time, one mixed batch read of 1,800 keys",
        }
        results = []
        for mode in ("sync", "gathered", "single"):
            if mode == "sync":
                runs[mode] = measure_sync(hosts, arguments.seconds, recordings / mode)
            else:
                runs[mode] = asyncio.run(measure_async(hosts, mode, arguments.seconds, recordings / mode))
            snapshot = aerospike_py.stage_snapshot(reset=True)
            results.append((titles[mode], runs[mode], snapshot))
            folded += folded_per_request(mode, snapshot, len(runs[mode].latencies_ns))
    for title, run, snapshot in results:
        show(title, run, snapshot)
    print(f"\n{verdict(runs['gathered'], runs['single'])}")
    folded_text = "\n".join(folded) + "\n"
    (output / "stages.folded").write_text(folded_text)
    svg = aerospike_py.flamegraph_svg(
        folded_text,
        title="Where the time of a request's batch reads goes",
        subtitle="nanoseconds per request, added up over its operations (gathered ones run at the same time)",
    )
    (output / "stages.svg").write_text(svg)
    print(f"Flamegraph: {output / 'stages.svg'} (open it in a browser; click a frame to zoom)")
    report(recordings / "gathered", output / "report.html")


if __name__ == "__main__":
    main()
