"""Environments B and C: what the load generator has found, whether both sides agree, the model, and a whole round."""

import json
import os
import sqlite3
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.harness.data import FEATURES, Space
from benchmark.harness.histogram import Histogram
from benchmark.harness.jobs import Job
from benchmark.harness.operations import Work
from benchmark.harness.workloads import SUITES, WEB_MODES, cell_named
from benchmark.processes.values import WrongResultError
from benchmark.processes.worker import CannotError, Worker
from benchmark.web import load, marks, rounds, sample, verifying
from benchmark.web.agreement import agreement, difference_ns, same_requests
from benchmark.web.load import LoadError, Sent
from benchmark.web.marks import Marks, Recorder
from benchmark.web.model import model_named

FAKE = Path(__file__).with_name("bench_fake_oha.py")
SMALL = Work("predict", Space(3, 40, FEATURES), 5, "merged")
SUMMARY = {"summary": {"total": 0.5}, "errorDistribution": {"timeout": 2, "connection closed": 1}}
ROWS = [(0.10, 0.12, 0.15, 200), (None, 0.01, 0.03, 200), (0.2, 0.2, 0.21, 500)]


def database(path: Path, rows: Any = ROWS) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE oha (start_latency_correction REAL, start REAL, end REAL, status INTEGER)")
        connection.executemany("INSERT INTO oha VALUES (?, ?, ?, ?)", rows)
    connection.close()
    return path


def test_what_the_load_generator_has_found(tmp_path: Path) -> None:
    outcome = load.read(json.dumps(SUMMARY), database(tmp_path / "db"), cpu_ns=7)
    assert (outcome.wall_ns, outcome.cpu_ns) == (500_000_000, 7)
    assert outcome.requests[:2] == [
        Sent(10_000_000, 10_000_000, 30_000_000, 200),
        Sent(100_000_000, 120_000_000, 150_000_000, 200),
    ]
    assert (outcome.requests[1].latency_ns, outcome.requests[1].service_ns) == (50_000_000, 30_000_000)
    longest = int(load.TIMEOUT_SECONDS * 1e9)
    found = load.latencies(outcome)
    assert found["read"] == [20_000_000, 50_000_000]
    assert found["error"] == [10_000_000, longest]
    assert found["timeout"] == [longest, longest]
    assert load.messages(outcome) == {"timeout": 2, "connection closed": 1, "HTTP status 500": 1}


@pytest.mark.parametrize("summary", ["", "{}", '{"summary": {"total": 1}}', "[]"])
def test_a_summary_that_is_none_is_an_error(tmp_path: Path, summary: str) -> None:
    with pytest.raises(LoadError, match="not understood"):
        load.read(summary, database(tmp_path / "db"))


def test_a_database_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="cannot be read"):
        load.read(json.dumps(SUMMARY), tmp_path / "db")


def test_a_load_generator_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "program", lambda: tmp_path / "oha")
    with pytest.raises(LoadError, match="make web"):
        load.version()
    with pytest.raises(LoadError, match="did not do it"):
        load.run("http://127.0.0.1:1/", 1, 0.1)


def test_at_a_rate_all_arrivals_are_sent_and_waited_for(tmp_path: Path) -> None:
    closed = load.command("URL", 10, 0.25, None, tmp_path)
    opened = load.command("URL", 32, 0.5, 25, tmp_path)
    assert closed[closed.index("-z") + 1] == "250ms"
    assert "--wait-ongoing-requests-after-deadline" in closed
    assert [opened[opened.index(name) + 1] for name in ("-n", "-q", "-c")] == ["13", "25", "32"]
    assert "--latency-correction" in opened
    assert "-z" not in opened


def test_one_connection_is_compared_request_by_request() -> None:
    found = agreement([100, 220, 90], [80, 200, 95], 1)
    assert (found["requests"], found["served"], found["client_ns"], found["service_ns"]) == (3, 3, 410, 375)
    assert Histogram.parse(found["differences"]).counts == {20: 2, 0: 1}
    assert found["negative"] == 1
    assert difference_ns({"agreement": found}) == pytest.approx(35 / 3)


def test_many_connections_are_compared_as_a_whole_and_only_if_they_counted_the_same() -> None:
    alike, unlike = agreement([100, 300], [90, 200], 10), agreement([100, 300], [90, 200, 5], 10)
    assert alike["differences"] is None
    assert difference_ns({"agreement": alike}) == 55
    assert difference_ns({"agreement": unlike}) is None
    assert same_requests([{"agreement": alike}])
    assert not same_requests([{"agreement": alike}, {"agreement": unlike}])


def test_the_stages_of_a_request_are_its_whole_time() -> None:
    recorder = Recorder()
    for received in (1_000, 500):
        request = Marks(received)
        for stage in (marks.RECEIVE, marks.FETCH, marks.INFERENCE_WAIT, marks.INFERENCE, marks.INFERENCE_WAIT):
            request.until(stage, request.at_ns + 10 * (stage + 1) + received // 500)
        recorder.add(request)
        assert sum(request.spent_ns) == request.at_ns - received
    sums = {name: histogram.sum for name, histogram in recorder.histograms().items() if histogram.sum}
    assert sums == {"receive": 23, "fetch": 63, "inference_wait": 206, "inference": 123}
    assert recorder.result()["totals"] == [205, 210]


@pytest.mark.parametrize("mode", WEB_MODES.values())
def test_every_mode_asks_for_all_keys_once(mode: str) -> None:
    keys = sample.Sample(SMALL, 3).keys()
    batches = sample.batches_of(keys, mode)
    assert sorted(key for batch in batches for key in batch) == sorted(key for of_set in keys for key in of_set)
    assert len(batches) == (1 if mode == "merged" else 3)
    if mode == "split":
        assert all(len({set_name for _, set_name, _ in batch}) == 3 for batch in batches)


def test_scores_are_probabilities_that_depend_on_the_features() -> None:
    request = sample.Sample(SMALL, 0)
    dense, sparse = sample.features_of(request.stored(), request.keys())
    predict = model_named("numpy", 3)
    scores = predict(dense, sparse)
    assert scores.shape == (5,)
    assert ((scores > 0) & (scores < 1)).all()
    np.testing.assert_array_equal(scores, predict(dense, sparse))
    assert not np.allclose(scores, predict(dense + 1, sparse))
    assert not np.allclose(scores, predict(dense, (sparse + 1) % 17))


def test_both_models_give_the_same_scores() -> None:
    pytest.importorskip("torch")
    request = sample.Sample(SMALL, 0)
    features = sample.features_of(request.stored(), request.keys())
    np.testing.assert_allclose(model_named("torch", 3)(*features), model_named("numpy", 3)(*features), rtol=1e-4)


def test_an_answer_that_is_wrong_is_found() -> None:
    work = Work(**{**asdict(SMALL), "space": SMALL.space, "model": "numpy", "inference": "loop"})
    want = verifying.expected(work, 1)
    good = {**want, "best": [["key", score] for score in want["best"]]}
    assert verifying.difference(good, want) is None
    assert "records" in str(verifying.difference({**good, "records": 14}, want))
    features = {**good["features"], "sparse": good["features"]["sparse"] + 1}
    assert "features sparse" in str(verifying.difference({**good, "features": features}, want))
    assert "score of key" in str(verifying.difference({**good, "best": [["key", want["best"][0] * 1.1]]}, want))
    assert "no model" in str(verifying.difference({name: good[name] for name in ("records", "features")}, want))


def test_cells_of_web_services_have_a_lane_of_their_own() -> None:
    assert {cell_named(name).lane for name in SUITES["web-whole"]} == {"http"}
    assert set(SUITES["web"]) <= set(SUITES["web-whole"])
    with pytest.raises(ValueError, match="web services"):
        cell_named("b-single/async-10/closed")
    with pytest.raises(ValueError, match="web services"):
        cell_named("a-single-50/http-10/closed")
    with pytest.raises(ValueError, match="constant"):
        cell_named("b-single/http-10/open-10-poisson")


def service(work: Work) -> Worker:
    job = asdict(Job([("127.0.0.1", 1)], work, "http", 1, 2, client="null"))
    command = [sys.executable, "-m", "benchmark.web.serve", "benchmark.harness.drive_null"]
    return Worker(command, job, {**os.environ, "OPENBLAS_NUM_THREADS": "1"}, name="null")


def test_a_round_of_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "oha"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(load, "program", lambda: program)
    work = Work(**{**asdict(SMALL), "space": SMALL.space, "model": "numpy", "inference": "thread"})
    with service(work) as worker:
        hello = worker.ask("hello")
        url = rounds.address(hello["port"], "null", work)
        assert verifying.verify(url, work, "null") == 2
        closed = rounds.measured(worker, url, 1, 0.05, None)
        at_a_rate = rounds.measured(worker, url, 1, 0.1, 50)
        lost = rounds.measured(worker, url.replace("null", "ours"), 1, 0.0, None)
    with pytest.raises(WrongResultError, match="no answer"):
        verifying.verify(url, work, "null")
    assert hello["server"].startswith("uvicorn ")
    assert at_a_rate["operations"] == 5
    for done in (closed, at_a_rate):
        assert done["agreement"]["requests"] == done["agreement"]["served"] == done["operations"]
        assert done["agreement"]["service_ns"] == sum(each["sum"] for each in done["pipeline"]["stages"].values())
        assert set(done["pipeline"]["stages"]) == set(marks.STAGES)
        assert done["errors"] == {}
        assert done["cpu_ns"] > 0
    assert lost["errors"] == {"HTTP status 404": 1}
    assert Histogram.parse(lost["histograms"]["error"]).count == 1


def test_a_model_that_is_not_installed_leaves_the_client_out(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    work = Work(**{**asdict(SMALL), "space": SMALL.space, "model": "torch", "inference": "loop"})
    job = asdict(Job([("127.0.0.1", 1)], work, "http", 1, 2, client="null"))
    command = [sys.executable, "-m", "benchmark.web.serve", "benchmark.harness.drive_null"]
    with (
        Worker(command, job, {**os.environ, "PYTHONPATH": str(tmp_path)}, name="null") as worker,
        pytest.raises(CannotError, match="torch is not installed in its environment"),
    ):
        worker.ask("hello")
