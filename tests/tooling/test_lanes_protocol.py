"""The protocol of make bench-lanes, with a client in a process of its own that needs no server."""

import os
import sys
from pathlib import Path

import pytest

from benchmark.lanes.verifying import OPERATIONS, check_results
from benchmark.processes.values import WrongResultError
from benchmark.processes.worker import Worker, WorkerError

FAKE = Path(__file__).with_name("lanes_fake_client.py")


def fake(fault: str = "", lane: str = "sync", concurrency: int = 1) -> Worker:
    job = {"hosts": [["127.0.0.1", 1]], "kind": "get", "lane": lane, "concurrency": concurrency}
    return Worker([sys.executable, str(FAKE), fault], job, os.environ, name="fake", patience=30)


@pytest.mark.parametrize("lane", ["sync", "async"])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_round_of_operations_reports_what_it_did(lane: str, concurrency: int) -> None:
    with fake(lane=lane, concurrency=concurrency) as worker:
        hello = worker.ask("hello")
        done = worker.ask("round", operations=40)
    assert (hello["client"], hello["version"]) == ("fake", "1.0")
    assert bool(hello["loop"]) is (lane == "async")
    assert (done["operations"], done["errors"]) == (40, 0)
    assert 0 <= done["p50_ns"] <= done["p99_ns"] <= done["p999_ns"] <= done["max_ns"] <= done["wall_ns"]
    assert done["cpu_ns"] > 0


def test_a_round_of_seconds_ends() -> None:
    with fake(concurrency=2) as worker:
        done = worker.ask("round", seconds=0.3)
    assert done["operations"] > 0
    assert done["wall_ns"] >= 300_000_000


def test_right_results_pass() -> None:
    with fake() as worker:
        results = worker.ask("verify", operations=OPERATIONS["get"])["results"]
    check_results("fake", "get", results, OPERATIONS["get"])


def test_an_integer_for_a_truth_value_is_a_wrong_result() -> None:
    with fake("wrong kind") as worker:
        results = worker.ask("verify", operations=OPERATIONS["get"])["results"]
    with pytest.raises(WrongResultError, match=r"result 1 of get is wrong: it\['active'\] is 0 instead of False"):
        check_results("fake", "get", results, OPERATIONS["get"])


def test_what_a_library_prints_does_not_reach_the_protocol() -> None:
    with fake("prints") as worker:
        assert worker.ask("hello")["client"] == "fake"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("cannot connect", "ConnectionError: nobody is there"),
        ("dies", "ended instead of answering hello: killed by its library"),
    ],
)
def test_a_client_that_cannot_start_says_why(fault: str, message: str) -> None:
    with fake(fault) as worker, pytest.raises(WorkerError, match=message):
        worker.ask("hello")


def test_an_unknown_call_is_answered_and_the_client_lives_on() -> None:
    with fake() as worker:
        with pytest.raises(WorkerError, match="'dance' is no call"):
            worker.ask("dance")
        with pytest.raises(WorkerError, match="a number of seconds or a number of operations"):
            worker.ask("round")
        assert worker.ask("round", operations=1)["operations"] == 1


def test_errors_of_the_client_are_counted_and_end_the_round() -> None:
    with fake("raises") as worker:
        done = worker.ask("round", seconds=60)
    assert (done["operations"], done["errors"]) == (0, 1_000)
    assert done["first_error"] == "TimeoutError: too late"


def test_silence_is_an_error() -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with Worker(command, {}, os.environ, name="mute", patience=0.05) as worker:
        with pytest.raises(WorkerError, match="mute did not answer hello in time"):
            worker.ask("hello")
        worker.kill()


def test_nonsense_is_an_error() -> None:
    command = [sys.executable, "-c", "input(); print('tra la la')"]
    with Worker(command, {}, os.environ, name="singer") as worker, pytest.raises(WorkerError, match="tra la la"):
        worker.ask("hello")
