"""The histograms of the benchmarks: their error, merging, and what survives JSON."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.harness.histogram import RELATIVE_ERROR, Histogram, bounds_of, index_of, merged

VALUES = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)
FILE = Path(__file__).resolve().parents[2] / "benchmark/harness/histogram.py"


@given(st.integers(0, 2**62))
def test_every_value_lies_in_its_bucket(value: int) -> None:
    low, high = bounds_of(index_of(value))
    assert low <= value < high
    assert high - low == 1 or (high - low) / 2 <= RELATIVE_ERROR * value


@given(st.integers(0, 2**62))
def test_buckets_follow_each_other_without_gaps(value: int) -> None:
    _, high = bounds_of(index_of(value))
    assert index_of(high) == index_of(value) + 1


@given(VALUES, st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_percentiles_are_within_one_percent_of_the_exact_ones(values: list[int], part: float) -> None:
    exact = sorted(values)[max(-int(-part * len(values) // 1), 1) - 1]
    assert Histogram.of(values).quantile(part) == pytest.approx(exact, rel=0.01)


@given(VALUES, VALUES)
def test_merging_is_the_same_as_recording_together(first: list[int], second: list[int]) -> None:
    together = Histogram.of([*first, *second])
    assert merged([Histogram.of(first), Histogram(), Histogram.of(second)]).as_json() == together.as_json()
    assert (together.count, together.sum) == (len(first) + len(second), sum(first) + sum(second))
    assert (together.min, together.max) == (min(first + second), max(first + second))


@given(VALUES)
def test_json_keeps_everything(values: list[int]) -> None:
    written = Histogram.of(values).as_json()
    assert Histogram.parse(json.loads(json.dumps(written))).as_json() == written


def test_nothing_has_no_percentiles_and_no_mean() -> None:
    assert (Histogram().quantile(0.99), Histogram().mean) == (0.0, 0.0)


@pytest.mark.parametrize(("field", "value"), [("sub_bits", 5), ("count", 3)])
def test_what_is_no_histogram_of_ours_is_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=r"not understood|do not add up"):
        Histogram.parse({**Histogram.of([1, 2]).as_json(), field: value})


def test_the_file_can_be_loaded_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry) != FILE.parents[2]])
    spec = importlib.util.spec_from_file_location("alone", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.Histogram.of([1_000]).quantile(0.5) == 1_000.0


def test_buckets_are_those_of_the_bare_driver() -> None:
    # The same pairs are in the test of benchmark/rust-core/src/harness/histogram.rs.
    pairs = [(0, 0), (127, 127), (128, 128), (255, 255), (256, 256), (258, 257), (1_000, 506), (1_000_000, 1_780)]
    assert [index_of(value) for value, _ in pairs] == [index for _, index in pairs]
