"""A round of a service: it forgets what has been, the load generator runs, and both say what they have seen."""

from __future__ import annotations

from typing import Any

from benchmark.harness.histogram import Histogram
from benchmark.harness.operations import Work
from benchmark.harness.workloads import WEB_MODES
from benchmark.processes.worker import Worker, WorkerError
from benchmark.web import load
from benchmark.web.agreement import agreement
from benchmark.web.load import LoadError

_NAMES = {internal: name for name, internal in WEB_MODES.items()}


def address(port: int, client: str, work: Work) -> str:
    """What is asked for."""
    inference = f"&inference={work.inference}" if work.inference else ""
    return f"http://127.0.0.1:{port}/predict/{client}/sample?mode={_NAMES[work.mode]}{inference}"


def measured(worker: Worker, url: str, connections: int, seconds: float, rate: float | None) -> dict[str, Any]:
    """Measure; returns what `docs/benchmark-format.md` calls a round.

    Raises:
        WorkerError: The service or the load generator failed.
    """
    worker.ask("begin")
    try:
        outcome = load.run(url, connections, seconds, rate)
    except LoadError as error:
        raise WorkerError(f"{worker.name}: {error}") from error
    finally:
        result = worker.ask("finish")
    histograms = {name: Histogram.of(found).as_json() for name, found in load.latencies(outcome).items() if found}
    totals = result["pipeline"].pop("totals")
    service = [sent.service_ns for sent in outcome.requests]
    return {
        **result,
        "operations": sum(int(histogram["count"]) for histogram in histograms.values()),
        "wall_ns": outcome.wall_ns,
        "load_cpu_ns": outcome.cpu_ns,
        "histograms": histograms,
        "service": Histogram.of(service).as_json(),
        "errors": load.messages(outcome),
        "agreement": agreement(service, totals, connections),
    }
