"""The model of ``simulate``: what must hold exactly on recordings whose times are known."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
from aerospike_py_analysis.cli import main
from aerospike_py_analysis.recording import Recording as Reader
from aerospike_py_analysis.report import markdown
from aerospike_py_analysis.simulation.change import Change, Network, apply
from aerospike_py_analysis.simulation.document import document
from aerospike_py_analysis.simulation.engine import Engine, Server
from aerospike_py_analysis.simulation.hidden import hidden
from aerospike_py_analysis.simulation.load import Call, Load
from aerospike_py_analysis.simulation.predict import ALL, GATHERED, KEYS, Prediction, predict
from aerospike_py_analysis.simulation.read import load
from recordings import MS, Recording
from situations import planted
from test_golden import expect, rounded

US = 1000
# One read by a coroutine: 30 us of work on the loop, 1 ms for the server, 10 us until the loop has noticed.
ASYNC = {
    "key_parse": 5 * US, "encode": 5 * US, "network_write": 10 * US, "network_wait": MS, "loop_wait": 8 * US,
    "decode": 6 * US, "to_dict": 4 * US, "event_loop_resume": 2 * US,
}  # fmt: skip
SYNC = {
    "key_parse": 5 * US, "encode": 5 * US, "network_write": 10 * US, "network_wait": MS, "decode": 6 * US,
    "gil_reacquire": 3 * US, "to_dict": 4 * US,
}  # fmt: skip


def closed(recording: Recording, stages: dict[str, int], lane: str, callers: int, rounds: int, gap: int) -> None:
    """Callers that never meet: each its own part of every round."""
    period = sum(stages.values()) + gap
    for number in range(rounds):
        for caller in range(callers):
            begin = MS + number * period + caller * period // callers
            own = {"task_id": caller, "loop_id": 1} if lane == "asyncio" else {"thread_id": 100 + caller}
            recording.add(stages, lane=lane, start_ns=begin, **own)


def loaded(recording: Recording, folder: Path) -> Load:
    recording.write(folder)
    return load(Reader([folder]))


def made(folder: Path, lane: str, callers: int = 1, rounds: int = 100, gap: int = 20 * US, **frame: object) -> Load:
    recording = Recording(**frame)
    closed(recording, ASYNC if lane == "asyncio" else SYNC, lane, callers, rounds, gap)
    return loaded(recording, folder)


def medians(prediction: Prediction, name: str) -> tuple[float, float]:
    row = prediction.row(name)
    assert row.replayed is not None
    assert row.after is not None
    return row.replayed.percentiles[0], row.after.percentiles[0]


@pytest.mark.parametrize("lane", ["sync", "asyncio"])
@pytest.mark.parametrize("callers", [1, 4])
@pytest.mark.parametrize("gap", [20 * US, 3300 * US])
def test_unchanged_settings_reproduce_a_load_whose_callers_never_meet(
    lane: str, callers: int, gap: int, tmp_path: Path
) -> None:
    recorded = made(tmp_path, lane, callers, gap=gap)
    assert len(recorded.callers) == callers
    prediction = predict(recorded, Change(), repetitions=2)
    row = prediction.row(f"get ({lane})")
    assert row.recorded == row.replayed
    assert prediction.model_error == pytest.approx(0, abs=2 / 100)
    assert prediction.gain.value == prediction.gain.low == prediction.gain.high == 1


@pytest.mark.parametrize("lane", ["sync", "asyncio"])
def test_one_caller_is_reproduced_to_the_last_call(lane: str, tmp_path: Path) -> None:
    prediction = predict(made(tmp_path, lane), Change(), repetitions=0)
    assert prediction.row(ALL).recorded == prediction.row(ALL).replayed
    assert prediction.model_error == 0
    assert prediction.model_error_p99 == 0


@pytest.mark.parametrize("lane", ["sync", "asyncio"])
def test_more_network_adds_just_that_to_a_single_caller(lane: str, tmp_path: Path) -> None:
    recorded = made(tmp_path, lane)
    before, after = medians(predict(recorded, Change(network=Network.parse("+2ms")), 0), f"get ({lane})")
    assert after - before == pytest.approx(2 * MS, abs=1e-3)
    before, after = medians(predict(recorded, Change(network=Network.parse("x2")), 0), f"get ({lane})")
    assert after - before == pytest.approx(MS, abs=1e-3)
    before, after = medians(predict(recorded, Change(network=Network.parse("-5s")), 0), f"get ({lane})")
    assert before - after == pytest.approx(MS, abs=1e-3)


def test_throughput_grows_with_callers_until_the_loop_is_busy(tmp_path: Path) -> None:
    recorded = made(tmp_path, "asyncio")
    cycle = sum(ASYNC.values()) + 20 * US
    # Work on the loop per call: the stages, the caller's own 20 us; what waking costs is not paid by a busy loop.
    work = 20 * US + 10 * US + 20 * US
    for callers in (2, 8, 400):
        rate = predict(recorded, Change(concurrency=callers), 0).row(ALL).after
        assert rate is not None
        limit = min(callers / cycle, 1 / work) * 1e9
        assert rate.per_second <= limit * 1.02
        assert rate.per_second >= limit * (0.85 if callers > 2 else 0.95)


def test_the_gil_limits_threads_and_nothing_does_without_it(tmp_path: Path) -> None:
    stages = {**SYNC, "to_dict": 500 * US}
    recording = Recording(cores=64)
    closed(recording, stages, "sync", 2, 100, 20 * US)
    recorded = loaded(recording, tmp_path)
    with_gil, without = (
        predict(recorded, Change(concurrency=32, no_gil=no_gil), 0).row(ALL).after for no_gil in (False, True)
    )
    assert with_gil is not None
    assert without is not None
    assert with_gil.per_second == pytest.approx(1e9 / (500 * US + 25 * US), rel=0.05)
    assert without.per_second == pytest.approx(32e9 / (sum(stages.values()) - 3 * US + 20 * US), rel=0.05)


def test_cores_limit_what_the_gil_does_not(tmp_path: Path) -> None:
    recorded = made(tmp_path, "sync", 2, python_build="free-threaded", gil_enabled=False, cores=2)
    assert not recorded.gil
    rate = predict(recorded, Change(concurrency=400), 0).row(ALL).after
    assert rate is not None
    # 30 us of work and 20 us of the caller's own, on two cores.
    assert rate.per_second == pytest.approx(2e9 / (50 * US), rel=0.05)


def test_a_small_pool_makes_calls_wait(tmp_path: Path) -> None:
    recorded = made(tmp_path, "sync", 8)
    enough, few = (predict(recorded, Change(pool=size), 0).row(ALL).after for size in (8, 2))
    assert enough is not None
    assert few is not None
    assert enough == predict(recorded, Change(), 0).row(ALL).after
    # A connection is held from the request to the result.
    assert few.per_second == pytest.approx(2e9 / (sum(SYNC.values()) - 5 * US), rel=0.02)


def gathered(folder: Path, own_tasks: bool) -> Load:
    """Steps of ten gathered reads: the loop issues them one after the other, and takes their replies likewise."""
    recording = Recording()
    for number in range(60):
        for call in range(10):
            stages = {**ASYNC, "loop_wait": 8 * US + call * 12 * US}
            task = number * 10 + call if own_tasks else 1
            recording.add(
                stages, lane="asyncio", start_ns=MS + number * 2 * MS + call * 22 * US, task_id=task, loop_id=1
            )
    return loaded(recording, folder)


@pytest.mark.parametrize("own_tasks", [False, True])
def test_gathered_calls_become_one_batch(own_tasks: bool, tmp_path: Path) -> None:
    recorded = gathered(tmp_path, own_tasks)
    assert len(recorded.callers) == 1
    assert all(len(step.calls) == 10 for step in recorded.callers[0].steps)
    prediction = predict(recorded, Change(single_batch=True), 3)
    before, after = medians(prediction, GATHERED)
    batch = prediction.row("batch_read (asyncio)").after
    assert batch is not None
    assert batch.percentiles[0] == pytest.approx(after)
    # One wait for the server, the work on ten keys, everything else once.
    assert MS + 200 * US < after < MS + 350 * US
    assert after < before
    keys = prediction.row(KEYS)
    assert keys.replayed is not None
    assert keys.after is not None
    assert keys.after.per_second > keys.replayed.per_second
    assert prediction.row("get (asyncio)").after is None


def figures_of(call: Call) -> dict[str, object]:
    return {**dataclasses.asdict(call), "stages": call.stages.tolist()}


def test_spans_that_do_not_say_who_called_have_as_many_callers_as_were_needed(tmp_path: Path) -> None:
    made(tmp_path, "sync", 4)
    spans = tmp_path / "spans.json"
    assert main(["export", str(tmp_path), "--to", "otlp", "-o", str(spans)]) == 0
    recorded = load(Reader([spans]))
    assert len(recorded.callers) == 4
    assert {len(step.calls) for caller in recorded.callers for step in caller.steps} == {1}
    assert predict(recorded, Change(), 0).model_error == pytest.approx(0, abs=2 / 100)


def test_the_recorded_load_is_left_as_it_is(tmp_path: Path) -> None:
    recorded = gathered(tmp_path, False)
    before = [figures_of(call) for call in recorded.callers[0].steps[0].calls]
    apply(recorded, Change(7, Network(2.0, MS), 3, True, True))
    after = recorded.callers[0].steps[0].calls
    assert before == [figures_of(call) for call in after]
    assert recorded.gil
    assert len(recorded.callers) == 1


def test_pauses_and_conversions_between_calls(tmp_path: Path) -> None:
    recording = Recording()
    cycle = sum(ASYNC.values()) + 5 * MS
    for number in range(100):
        begin = MS + number * cycle
        row = recording.add(ASYNC, lane="asyncio", start_ns=begin, task_id=1, loop_id=1)
        later = {"kind": "conversion", "operation_id": row["operation_id"], "keys": 0}
        recording.add({"to_dict": 2 * MS}, lane="asyncio", start_ns=begin + sum(ASYNC.values()), **later)
        # The recorder numbers operations, not conversions.
        recording.rows[-2]["operation_id"] = recording.rows[-1]["operation_id"] = number
    recorded = loaded(recording, tmp_path)
    steps = recorded.callers[0].steps
    assert {(step.pause, step.calls[0].lead) for step in steps[1:]} == {(3 * MS, 2 * MS)}


def test_hidden_work_is_neither_lost_nor_made_up() -> None:
    # Two periods: one job alone, and two jobs that share one wake-up.
    found = hidden(
        *(np.array(one, dtype=np.int64) for one in ([110, 1010, 1030], [120, 1020, 1040])),
        *(np.array(one, dtype=np.int64) for one in ([100, 1000, 1000], [110, 1010, 1030])),
        np.array([110, 1010, 1030]),
    )
    assert found.setup_ns.sum() + found.always_ns.sum() == 10 + 20
    assert found.setup_ns[2] == 0


def test_hidden_work_adds_up_on_any_stretches() -> None:
    rng = random.Random(5)
    for _ in range(50):
        begin = np.array(sorted(rng.randrange(10_000) for _ in range(40)), dtype=np.int64)
        work = begin + np.array([rng.randrange(1, 300) for _ in begin], dtype=np.int64)
        waited = np.array([rng.randrange(0, 500) for _ in begin], dtype=np.int64)
        found = hidden(begin, work, begin - waited, begin, begin)
        busy, working = set(), set()
        for one, (b, e) in zip(waited.tolist(), zip(begin.tolist(), work.tolist(), strict=True), strict=True):
            working.update(range(b, e))
            busy.update(range(b - one, b))
        assert found.setup_ns.sum() + found.always_ns.sum() == pytest.approx(len(busy - working))
        assert found.setup_ns.min() >= 0
        assert found.always_ns.min() >= 0


def test_servers_serve_in_order_and_never_more_than_they_can() -> None:
    engine = Engine()
    pair, single = Server(2), Server()
    ended: list[tuple[int, float]] = []
    for number in range(6):
        engine.hold((pair, single) if number % 2 else (pair,), 10.0, lambda n=number: ended.append((n, engine.now)))
    engine.run()
    assert [number for number, _ in ended] == [0, 1, 2, 3, 4, 5]
    assert ended[-1][1] == 30
    assert pair.idle
    assert single.idle


def test_predictions_are_the_same_every_time(tmp_path: Path) -> None:
    recording = Recording()
    for _ in range(400):
        recording.add(recording.healthy())
    recorded = loaded(recording, tmp_path)
    one, other = (predict(recorded, Change(concurrency=3), 3, seed=4).as_json() for _ in range(2))
    assert one == other
    assert one["gain"]["low"] <= one["gain"]["value"] <= one["gain"]["high"]


def test_the_prediction_is_as_blessed(tmp_path: Path) -> None:
    planted("gather").write(tmp_path)
    change = Change(concurrency=4, network=Network.parse("x1.5"), single_batch=True)
    prediction = predict(load(Reader([tmp_path])), change, 3)
    expect("simulate.md", markdown.render(document(prediction)))
    expect("simulate.json", json.dumps(rounded(prediction.as_json()), indent=1) + "\n")


def test_the_command_prints_and_keeps_a_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, "asyncio")
    kept = tmp_path / "prediction.json"
    assert main(["simulate", str(tmp_path), "--network", "+2ms", "--repetitions", "1", "--json", str(kept)]) == 0
    printed = capsys.readouterr().out
    assert "What if: network wait +2 ms" in printed
    assert "replayed as it was, throughput is off by +0.0 %" in printed
    assert "A closed load" in printed
    value = json.loads(kept.read_text())
    (row,) = (one for one in value["rows"] if one["name"] == "get (asyncio)")
    assert row["after"]["p99_ns"] - row["replayed"]["p99_ns"] == pytest.approx(2 * MS)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--network", "2ms"], "write +2ms"),
        (["--network", "+2"], "write +2ms"),
        (["--concurrency", "0"], "no whole number from 1"),
        (["--pool", "many"], "no whole number from 1"),
        (["--repetitions", "-1"], "no whole number from 0"),
        (["--single-batch"], "no gathered calls"),
    ],
)
def test_what_cannot_be_simulated_is_said(
    options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path, "asyncio", rounds=50)
    try:
        status = main(["simulate", str(tmp_path), *options])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    assert status == 2
    assert says in capsys.readouterr().err


def test_a_recording_that_is_too_short_or_has_no_gil_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short, free = tmp_path / "short", tmp_path / "free"
    for folder in (short, free):
        folder.mkdir()
    recording = Recording()
    closed(recording, SYNC, "sync", 1, 5, 0)
    recording.write(short)
    assert main(["simulate", str(short)]) == 2
    assert "5 operations are too few" in capsys.readouterr().err
    made(free, "sync", gil_enabled=False)
    assert main(["simulate", str(free), "--no-gil"]) == 2
    assert "recorded without the GIL" in capsys.readouterr().err
