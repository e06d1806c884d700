"""Properties of the arithmetic: histograms are near, samples stand for everything, splits add up, bursts are found."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from aerospike_py_analysis import histogram
from aerospike_py_analysis.analysis import analyse
from aerospike_py_analysis.bursts import beginnings, low_quartile
from aerospike_py_analysis.compare import compare
from aerospike_py_analysis.model import COLUMNS, Chunk
from aerospike_py_analysis.profile import profile
from aerospike_py_analysis.recording import Recording as Reader
from aerospike_py_analysis.sample import Sample
from aerospike_py_analysis.tail import Ordered, splits
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import MS, STAGES, Recording

NAMES = ["a", "b", "c", "d"]


def chunk_of(durations: np.ndarray, **columns: np.ndarray) -> Chunk:
    size = durations.size
    values = {name: np.zeros(size, dtype=np.int64) for name in COLUMNS}
    values.update(duration_ns=durations, operation_id=np.arange(size), **columns)
    return Chunk(values, durations[None, :], np.zeros(size, dtype=np.bool_))


@given(st.lists(st.integers(0, 2**43), min_size=1, max_size=300), st.sampled_from([0.01, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_percentiles_of_histograms_are_within_one_per_cent(values: list[int], q: float) -> None:
    counts = np.bincount(histogram.bins(np.array(values)), minlength=histogram.BINS)
    exact = sorted(values)[max(int(np.ceil(q * len(values))), 1) - 1]
    assert histogram.quantile(counts, q) == pytest.approx(exact, rel=0.01)


@given(st.integers(1, 2**43))
def test_the_middle_of_a_bin_is_near_every_value_in_it(value: int) -> None:
    middle = histogram.MIDDLES[int(histogram.bins(np.array([value]))[0])]
    assert abs(middle - value) <= histogram.ERROR * value + 1e-9


rows = st.lists(st.tuples(*[st.integers(0, 2**40)] * len(NAMES)), min_size=1, max_size=120)
weights = st.floats(0.5, 400.0)


@settings(deadline=None, max_examples=60)
@given(rows, st.data())
def test_the_parts_of_a_tail_add_up_to_it(rows: list[tuple[int, ...]], data: st.DataObject) -> None:
    stages = np.array(rows, dtype=np.int64).T
    durations = stages.sum(axis=0)
    order = np.argsort(durations)
    heavy = np.array(data.draw(st.lists(weights, min_size=len(rows), max_size=len(rows))))
    for tail in splits(NAMES, Ordered(durations[order], stages[:, order], heavy), ((0.5, 0.99), (0.5, 0.999))):
        assert sum(part.ns for part in tail.parts) == pytest.approx(tail.difference_ns, rel=1e-9, abs=1e-3)
        assert sum(part.from_ns for part in tail.parts) == pytest.approx(tail.from_ns, rel=1e-9, abs=1e-3)
        assert sum(part.to_ns for part in tail.parts) == pytest.approx(tail.to_ns, rel=1e-9, abs=1e-3)
        assert all(part.low_ns <= part.ns <= part.high_ns for part in tail.parts)
        assert tail.from_ns in durations
        assert tail.to_ns in durations


@settings(deadline=None, max_examples=15)
@given(st.lists(st.dictionaries(st.sampled_from(STAGES), st.integers(0, 50 * MS), min_size=1), min_size=1, max_size=60))
def test_every_recording_adds_up(operations: list[dict[str, int]]) -> None:
    recording = Recording()
    for stages in operations:
        recording.add(stages)
    with tempfile.TemporaryDirectory() as folder:
        recording.write(Path(folder), batch=7)
        analysis, summed = analyse([folder])
        same = compare(summed, profile(Reader([folder])))
    for group in analysis.groups:
        assert sum(stage.total_ns for stage in group.breakdown.stages) == group.breakdown.total_ns
        values = [value.tail for dimension in group.dimensions for value in dimension.values]
        for tail in [*group.tails, *filter(None, values)]:
            assert sum(part.ns for part in tail.parts) == pytest.approx(tail.difference_ns, rel=1e-9, abs=1e-3)
    assert [change.difference_ns for change in same.changes] == [0.0] * len(same.changes)
    assert not any(change.significant for change in same.changes)


def test_intervals_hold_what_was_planted() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for seed in range(40):
        slow = random.random(4000) < 0.03
        wait = random.normal(10 * MS, MS, 4000) * slow
        rest = random.normal(MS, 50_000, 4000)
        stages = np.stack([wait, rest]).astype(np.int64)
        order = np.argsort(stages.sum(axis=0))
        ordered = Ordered(stages.sum(axis=0)[order], stages[:, order], np.ones(4000))
        (tail,) = splits(["wait", "rest"], ordered, [(0.5, 0.99)], seed=seed)
        # The p99 of all is the 67th percentile of the slow ones: 0.43 standard deviations above their mean.
        truth = 10 * MS + 0.43 * MS
        part = next(part for part in tail.parts if part.stage == "wait")
        hits += part.low_ns <= truth <= part.high_ns
    assert hits >= 34


def test_a_thinned_out_sample_keeps_the_tail_and_stands_for_all() -> None:
    random = np.random.default_rng(5)
    sample = Sample(budget=2000)
    durations = (random.lognormal(13, 1, 60_000)).astype(np.int64)
    for begin in range(0, 60_000, 5000):
        sample.add(chunk_of(durations[begin : begin + 5000], start_ns=np.arange(begin, begin + 5000)))
    chunk, heavy = sample.finish()
    assert len(chunk) <= 3000
    assert heavy.sum() == pytest.approx(60_000)
    rows = Ordered(chunk["duration_ns"], chunk.stages, heavy)
    for q in (0.5, 0.9, 0.99, 0.999):
        assert rows.quantile(q) == pytest.approx(np.quantile(durations, q), rel=0.03)
    slowest = np.sort(durations)[-20:]
    assert np.isin(slowest, chunk["duration_ns"]).all()


def test_bursts_end_with_a_gap_an_end_or_another_loop() -> None:
    starts = np.array([0, 10, 20, 400_000, 400_010, 400_020, 400_030], dtype=np.int64)
    durations = np.array([100_000] * 3 + [15, 100_000, 100_000, 100_000], dtype=np.int64)
    loops = np.array([1, 1, 1, 1, 1, 1, 2], dtype=np.int64)
    chunk = chunk_of(durations, start_ns=starts, loop_id=loops)
    assert beginnings(chunk, np.arange(7)) == [0, 3, 5, 6]


def test_a_slower_stage_is_what_a_comparison_finds(tmp_path: Path) -> None:
    profiles = []
    for name, more in (("before", 0), ("after", 2 * MS)):
        recording = Recording(seed=1 + more)
        for i in range(800):
            recording.add(recording.healthy(decode=more if i % 4 == 0 else 0))
        folder = tmp_path / name
        folder.mkdir()
        recording.write(folder)
        profiles.append(profile(Reader([folder])))
    (change,) = compare(*profiles).changes
    assert change.parts[0].stage == "decode"
    assert change.parts[0].ns == pytest.approx(2 * MS, rel=0.05)
    assert change.difference_ns == pytest.approx(sum(part.ns for part in change.parts))
    assert change.significant
    assert change.exceeds(0.1)
    assert not change.exceeds(20.0)
    (back,) = compare(profiles[1], profiles[0]).changes
    assert not back.exceeds(0.0)


@given(st.lists(st.integers(0, 2**50), min_size=1, max_size=40))
def test_the_low_quartile_is_that_of_all_values(values: list[int]) -> None:
    ordered = np.sort(np.array(values, dtype=np.int64))
    assert low_quartile(ordered) == pytest.approx(np.quantile(ordered, 0.25), rel=1e-9, abs=1)


def test_every_node_and_every_part_of_time_has_its_own_tail(tmp_path: Path) -> None:
    recording = Recording()
    for i in range(3000):
        late = i % 3 == 2 and i % 10 == 0
        recording.add(recording.healthy(network_read=4 * MS if late else 0), node=f"10.0.0.{1 + i % 3}:3000")
    recording.write(tmp_path)
    (group,) = analyse([tmp_path])[0].groups
    by = {dimension.name: dimension.values for dimension in group.dimensions}
    tails = {value.value: value.tail for value in by["node"]}
    part = tails["10.0.0.3:3000"].parts[0]
    assert (part.stage, part.ns) == ("network_read", pytest.approx(4 * MS, rel=0.1))
    assert part.low_ns <= 4 * MS <= part.high_ns * 1.01
    assert tails["10.0.0.1:3000"].difference_ns < MS
    assert len(by["time"]) == 8
    assert sum(value.count for value in by["time"]) == 3000
    assert all(value.tail.parts[0].stage == "network_read" for value in by["time"])


def test_the_gil_is_set_beside_its_absence(tmp_path: Path) -> None:
    for pid, on in ((1, True), (2, False)):
        recording = Recording(seed=pid, pid=pid, gil_enabled=on)
        for i in range(400):
            recording.add(recording.healthy(gil_reacquire=3 * MS if on and i % 4 == 0 else 0))
        recording.write(tmp_path)
    (change,) = analyse([tmp_path])[0].interpreters
    assert change.counts == (400, 400)
    assert (change.parts[0].stage, change.parts[0].ns) == ("gil_reacquire", pytest.approx(-3 * MS, rel=0.01))
    assert sum(part.ns for part in change.parts) == pytest.approx(change.difference_ns)
    assert change.significant
    one_sided = [file for file in tmp_path.iterdir() if "-1-" in file.name]
    assert analyse(one_sided)[0].interpreters == []


def test_throttling_is_placed_in_time(tmp_path: Path) -> None:
    recording = Recording()
    for _ in range(500):
        recording.add(recording.healthy())
    begin = recording.rows[0]["start_ns"]
    for i, seconds in enumerate((1.0, 1.0, 1.01, 1.03, 1.03, 1.5)):
        recording.probe("cgroup_throttled_seconds", begin + i * 20 * MS, value=seconds)
    recording.write(tmp_path)
    found = analyse([tmp_path])[0].throttled
    assert [(one.start_ns, one.width_ns) for one in found] == [(20 * MS, 40 * MS), (80 * MS, 20 * MS)]
    assert [one.stopped_ns for one in found] == [pytest.approx(30 * MS), pytest.approx(470 * MS)]
