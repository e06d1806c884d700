"""Statistics of the benchmarks and what `compare` makes of them, on samples that are the same every time."""

import math
from pathlib import Path
from typing import Any

import bench_samples as samples
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.harness import comparing, figures, results, selfcheck
from benchmark.harness.commands import main
from benchmark.harness.significance import holm, paired, student_quantile, student_tail, unpaired

CELLS = ("kv-read-features/sync-1/closed", "kv-ru50-features/sync-1/closed", "kv-batch-8/sync-1/closed")


def run_of(seed: str, *, factor: float = 1.0, noise: float = 0.01, run: str = "one") -> dict[str, Any]:
    """A result file of three cells; the first is slower by the factor."""
    cells = [
        samples.cell(name, [samples.series("ours", f"{seed} {name}", factor=each, noise=noise)])
        for name, each in zip(CELLS, (factor, 1.0, 1.0), strict=True)
    ]
    return samples.document(cells, run)


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (4, 2.776), (9, 2.262), (30, 2.042), (1_000, 1.962)])
def test_students_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, abs=6e-4)
    assert student_tail(quantile, freedom) == pytest.approx(0.025, abs=1e-4)


def test_holm_raises_p_values_in_their_order() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_p_value_nor_changes_the_order(p_values: list[float]) -> None:
    raised = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, raised, strict=True))
    ordered = [raised[index] for index in sorted(range(len(p_values)), key=lambda index: p_values[index])]
    assert ordered == sorted(ordered)


def test_rounds_that_the_machine_has_spoilt_do_not_hide_a_difference() -> None:
    old = [100 + n % 3 for n in range(20)]
    new = [value * 1.05 for value in old]
    new[3] *= 6
    assert paired(old, new).ratio == pytest.approx(1.05)
    assert paired(old, new).p_value < 1e-6
    assert unpaired(old, new).p_value < 1e-4


def test_too_few_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="2 rounds are too few"):
        paired([1, 2], [1, 2])


def test_figures_of_a_round() -> None:
    result = samples.a_round(0, "seed", errors=2)
    seconds = result["wall_ns"] / 1e9
    # Two failures are no throughput, but they are latencies.
    assert figures.THROUGHPUT.of(result) == pytest.approx(samples.SAMPLES / seconds)
    assert figures.FAILURES.of(result) == pytest.approx(2 / (samples.SAMPLES + 2))
    assert figures.latencies(result).max == 5_000_000
    assert figures.P50.of(result) == pytest.approx(20, rel=0.1)
    assert figures.RETAINED.of(result) == 0


def test_estimates_are_those_of_all_rounds_together_and_lie_in_their_intervals() -> None:
    rounds = [samples.a_round(n, "seed", noise=0.05) for n in range(8)]
    found = figures.of_rounds(rounds)
    operations, wall = (sum(result[name] for result in rounds) for name in ("operations", "wall_ns"))
    assert found["throughput"].estimate == pytest.approx(operations * 1e9 / wall)
    everything = figures.merged(figures.latencies(result) for result in rounds)
    for quantity, part in figures.PERCENTILES.items():
        assert found[quantity.name].estimate == pytest.approx(everything.quantile(part) / 1e3)
    for interval in found.values():
        assert interval.low <= interval.estimate <= interval.high
    assert found == figures.of_rounds(rounds)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    # The median of all rounds is known here: 20 microseconds.
    covered = 0
    for seed in range(60):
        rounds = [samples.a_round(n, f"coverage {seed}", noise=0.05) for n in range(6)]
        interval = figures.of_rounds(rounds)["p50"]
        covered += interval.low <= 20.0 <= interval.high
    assert covered >= 52


def test_an_interval_of_one_round_says_nothing() -> None:
    interval = figures.of_rounds([samples.a_round(0, "seed")])["p50"]
    assert (interval.low, interval.high) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="no rounds"):
        figures.of_rounds([])


@pytest.mark.parametrize("same_run", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_planted_slowdown_of_five_percent_is_found_and_nothing_else(same_run: bool, seed: int) -> None:
    old, new = run_of(f"old {seed}"), run_of(f"new {seed}", factor=1.05, run="one" if same_run else "two")
    slower = comparing.regressions(comparing.files(old, new))
    assert {each.cell for each in slower} == {CELLS[0]}
    assert {each.quantity.name for each in slower} >= {"throughput", "p50", "CPU per op"}
    assert all(each.worse == pytest.approx(0.05, abs=0.02) for each in slower if each.quantity.name == "p50")


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_a_planted_nothing_is_not_found(noise: float) -> None:
    for seed in range(20):
        old, new = run_of(f"a {seed}", noise=noise), run_of(f"b {seed}", noise=noise, run="two")
        assert comparing.regressions(comparing.files(old, new)) == []


def test_what_is_faster_is_said_to_be_faster() -> None:
    found = comparing.files(run_of("old"), run_of("new", factor=0.9, run="two"))
    assert {each.verdict for each in found if each.cell == CELLS[0]} == {comparing.FASTER}


def test_the_rate_of_an_open_loop_is_not_compared() -> None:
    name = "kv-read-features/sync-32/open-1000-poisson"
    old, new = (samples.document([samples.cell(name, [samples.series("ours", seed)])], seed) for seed in "ab")
    assert {each.quantity.name for each in comparing.files(old, new)} == {"p50", "p99", "CPU per op"}


def test_two_clients_of_one_file_are_compared_round_by_round() -> None:
    members = [samples.series("base", "one"), samples.series("ours", "two", factor=1.05)]
    found = comparing.clients(samples.document([samples.cell(samples.CELL, members)]), "base", "ours")
    assert [each.member for each in comparing.regressions(found)][:1] == ["ours@3.11"]


def test_the_self_check_wants_the_slowdown_and_only_that() -> None:
    def document(slowed: float, again: float) -> dict[str, Any]:
        members = [
            samples.series("ours", "one"),
            samples.series("ours-again", "two", factor=again),
            samples.series("ours-slowed", "three", factor=slowed),
        ]
        return samples.document([samples.cell(samples.CELL, members)])

    assert selfcheck.passed(selfcheck.verdicts(document(1.05, 1.0)))
    assert not selfcheck.passed(selfcheck.verdicts(document(1.0, 1.0)))
    assert not selfcheck.passed(selfcheck.verdicts(document(1.05, 1.05)))


@pytest.mark.parametrize("name", ["result.json", "result.json.gz"])
def test_result_files_are_read_as_they_were_written(tmp_path: Path, name: str) -> None:
    results.write(tmp_path / name, run_of("seed"))
    assert results.read(tmp_path / name) == run_of("seed")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": "other"}', '{"format":"aerospike-py-benchmark","version":9}']
)
def test_what_is_no_result_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(results.NotAResultError, match=r"other\.json"):
        results.read(path)


def test_the_exit_status_of_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, same, slow = (tmp_path / f"{name}.json" for name in ("old", "same", "slow"))
    results.write(old, run_of("old"))
    results.write(same, run_of("same", run="two"))
    results.write(slow, run_of("slow", factor=1.05, run="three"))
    assert main(["compare", str(old), str(same)]) == 0
    assert main(["compare", str(old), str(slow)]) == 1
    assert "slower" in capsys.readouterr().out
    # A change may be too small to matter.
    assert main(["compare", str(old), str(slow), "--threshold", "0.2"]) == 0
    empty = tmp_path / "empty.json"
    results.write(empty, samples.document([]))
    assert main(["compare", str(old), str(empty)]) == 2
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(old)])
    assert ended.value.code == 2
