"""Rounds of the benchmarks, with a client in a process of its own that needs no server."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmark.harness import measuring
from benchmark.harness.clients import Client
from benchmark.harness.data import Space
from benchmark.harness.histogram import Histogram
from benchmark.harness.jobs import Job
from benchmark.harness.operations import Work
from benchmark.harness.servers import Server
from benchmark.harness.verifying import verify, written_first
from benchmark.harness.workloads import cell_named
from benchmark.processes.values import WrongResultError
from benchmark.processes.worker import Worker

FAKE = Path(__file__).with_name("bench_fake_client.py")
NOWHERE = [("127.0.0.1", 1)]
CLOSED = {"kind": "closed"}
SMALL = Work("single", Space(1, 500, "1xint"), missing=0.2)


def fake(fault: str = "", lane: str = "sync", concurrency: int = 1, work: Work = SMALL) -> Worker:
    job = asdict(Job(NOWHERE, work, lane, concurrency))
    return Worker([sys.executable, str(FAKE), fault], job, os.environ, name="fake", patience=30)


def count(result: dict[str, Any], outcome: str) -> int:
    histogram = result["histograms"].get(outcome)
    return Histogram.parse(histogram).count if histogram else 0


@pytest.mark.parametrize("lane", ["sync", "async"])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_round_counts_operations_by_outcome(lane: str, concurrency: int) -> None:
    with fake(lane=lane, concurrency=concurrency) as worker:
        hello = worker.ask("hello")
        done = worker.ask("round", operations=600, load=CLOSED)
    assert (hello["client"], hello["version"]) == ("fake", "1.0")
    assert done["operations"] == 600 == count(done, "read") + count(done, "not_found")
    assert 60 < count(done, "not_found") < 200
    assert done["errors"] == {}
    assert done["cpu_ns"] > 0
    assert done["samples_bytes"] == 8 * 600
    assert 0 < done["resident_before_bytes"] <= done["resident_peak_bytes"]


@pytest.mark.parametrize("lane", ["sync", "async"])
def test_errors_and_timeouts_are_counted_and_stay_in_the_latencies(lane: str) -> None:
    with fake("every third too late", lane) as worker:
        late = worker.ask("round", operations=300, load=CLOSED)
    with fake("connection", lane) as worker:
        broken = worker.ask("round", operations=50, load=CLOSED)
    assert (late["operations"], count(late, "timeout")) == (300, 100)
    assert late["errors"] == {"TimeoutError: too late": 100}
    assert (broken["operations"], count(broken, "error")) == (50, 50)
    assert broken["errors"] == {"ConnectionError: nobody is there": 50}


@pytest.mark.parametrize("lane", ["sync", "async"])
def test_in_an_open_loop_those_who_had_to_wait_have_waited(lane: str) -> None:
    """One operation takes 300 ms; in the meantime 30 arrive, and a closed loop would not have asked."""
    load = {"kind": "open", "rate": 100, "arrivals": "constant", "seed": 1, "drain_seconds": 5}
    with fake("stalls once", lane, work=Work("single", Space(1, 500, "1xint"))) as worker:
        done = worker.ask("round", seconds=0.6, load=load)
    latencies = Histogram.parse(done["histograms"]["read"])
    assert done["arrivals"] == done["operations"] == 60
    waited = sum(number for index, number in latencies.counts.items() if index_value(index) > 50_000_000)
    assert 20 <= waited <= 50
    # Only one of them took long itself.
    service = Histogram.parse(done["service"])
    assert sum(number for index, number in service.counts.items() if index_value(index) > 150_000_000) == 1


def index_value(index: int) -> float:
    from benchmark.harness.histogram import middle_of

    return middle_of(index)


def test_what_never_ends_is_unfinished_and_not_forgotten() -> None:
    load = {"kind": "open", "rate": 200, "arrivals": "poisson", "seed": 4, "drain_seconds": 0.1}
    with fake("never ends", "async") as worker:
        done = worker.ask("round", seconds=0.2, load=load)
    assert count(done, "unfinished") == done["arrivals"] == done["operations"] > 0
    assert Histogram.parse(done["histograms"]["unfinished"]).max >= 100_000_000


def test_ticks_come_while_a_round_runs() -> None:
    ticks: list[dict[str, Any]] = []
    with fake(concurrency=2) as worker:
        worker.on_tick(ticks.append)
        done = worker.ask("round", seconds=1.3, load=CLOSED)
    assert ticks == done["ticks"]
    assert len(ticks) == 1
    assert 0 < ticks[0]["operations"] <= done["operations"]


def test_right_results_pass_and_wrong_ones_do_not() -> None:
    with fake() as worker:
        assert verify(worker, SMALL, 1, None) == 200
    with fake("wrong") as worker, pytest.raises(WrongResultError, match=r"result \d+ of single is wrong: it\['b0'\]"):
        verify(worker, SMALL, 1, None)


def test_only_records_that_are_written_before_they_are_read_are_looked_at_afterwards() -> None:
    work = Work("single", Space(1, 20, "1xint"), reads=0.5)
    numbers = written_first(work, 1, 40)
    assert 0 < len(numbers) < 20
    assert written_first(Work("single", work.space), 1, 40) == []


class Fake(Client):
    """A client whose process is the fake."""

    def command(self, python: str, lane: str = "") -> list[str]:
        return [sys.executable, str(FAKE), *self.options]


def fakes(*faults: str) -> list[Client]:
    environments = {"3.11": Path()}
    return [Fake(fault or "good", fault, "fake", environments, options=(fault,)) for fault in faults]


def test_a_cell_is_measured_in_rounds_of_random_order_and_a_failure_leaves_the_others() -> None:
    cell = cell_named("cold-start/sync-1/closed")
    cell = measuring.Cell(type(cell.workload)("small", "small", SMALL), "sync", 2, 0, cell.load)
    plan = measuring.Plan(rounds=6, seconds=0.05, warm_up_seconds=0.05, seed=3)
    clients = fakes("", "wrong", "prints")
    found = measuring.measure(
        cell,
        clients,
        ["3.11"],
        Server(NOWHERE, None),
        plan,
        lambda cell, name: f"{cell.name} {name}",
        measuring.Progress(),
    )
    members = {member["client"]: member for member in found["members"]}
    assert "is wrong" in members["wrong"]["failure"]
    assert members["wrong"]["rounds"] == []
    for name in ("good", "prints"):
        assert [result["number"] for result in members[name]["rounds"]] == [0, 1, 2, 3, 4, 5]
        assert members[name]["verified_operations"] == 200
        assert members[name]["command"].endswith(name)
    assert {tuple(order) for order in found["order"]} == {
        ("good@3.11", "prints@3.11"),
        ("prints@3.11", "good@3.11"),
    }
