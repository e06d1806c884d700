"""What recording costs: paired figures, verdicts about limits, instruction counts, and the pages made of them."""

import json
import threading
import time

import overhead_pages
import pytest
import write_performance_docs as writer
from overhead_samples import ADDED_NS, OFF_NS, ROUNDS, THREADS, counted, measured, result_file, rounds

from benchmark.overhead import counting, figures, measuring, report, results, threads, verdicts
from benchmark.overhead.configurations import COUNTED
from benchmark.overhead.workloads import CASES


def by_name(compared):
    return {one.configuration: one for one in compared}


def test_a_figure_is_the_median_of_pairs_whatever_the_rounds_have_in_common():
    found = by_name(figures.compare(rounds()))
    assert list(found) == list(ADDED_NS)
    stages = found["stages"]
    # Off is the mean of both, of which the second one has the same noise.
    assert stages.difference_ns.median == pytest.approx(400, abs=1)
    assert 340 < stages.difference_ns.low < 400 < stages.difference_ns.high < 460
    assert stages.ratio.holds(1 + 400 / (OFF_NS * 1.3))
    assert stages.cpu_difference_ns == figures.Interval(800, 800, 800)
    assert found["off-again"].ratio.holds(1.0)
    assert found["off"].difference_ns == figures.Interval(0, 0, 0)


def test_short_rounds_say_what_they_can():
    short = {name: taken[:21] for name, taken in rounds({**ADDED_NS, "stages": 100}).items()}
    short = {name: short[name] for name in ("off", "off-again", "stages")}
    cell = {"operations": 10, "rounds": rounds(), "short_operations": 1, "short_rounds": short}
    found = by_name(figures.of_cell(cell))
    assert list(found) == list(ADDED_NS)
    assert found["stages"].cpu_difference_ns.median == 200
    assert found["files"].cpu_difference_ns.median == 2 * ADDED_NS["files"]
    assert [figures.rounds_of(cell, name) for name in ("off", "stages", "files")] == [21, 21, 31]
    assert figures.of_cell({"operations": 10, "rounds": rounds()}) == figures.compare(rounds())


def test_everything_pays_for_threads_that_carry_out_no_operations():
    names = ("off", "off-again", "everything")
    short = {name: [[1_000, 1_500]] * 7 for name in names}
    short["everything"] = [[1_010, 1_530]] * 7
    cell = {"operations": 10, "rounds": rounds(), "short_operations": 1, "short_rounds": short}
    alone = by_name(figures.of_cell(cell))["everything"]
    assert (alone.difference_ns.median, alone.cpu_difference_ns.median) == (10, 30)
    paid = by_name(figures.of_cell({**cell, "background": {"a": 20, "b": 10}, "processors": 2}))
    everything = paid["everything"]
    assert (everything.difference_ns.median, everything.cpu_difference_ns.median) == (25, 60)
    assert paid["off-again"].ratio == figures.Interval(1, 1, 1)


def test_threads_are_told_by_what_they_work_for():
    on = {"caller": 9, "aerospike-py": 8, "aerospike-trace": 7, "aerospike-py-gi": 5, "aerospike-py-lo": 2}
    off = {"caller": 9, "aerospike-py": 8, "aerospike-py-lo": 3}
    assert threads.for_recorded(on) == {"aerospike-trace": 7}
    assert threads.by_the_clock(off, on) == {"aerospike-py-gi": 5, "aerospike-py-lo": 0, "aerospike-py-pr": 0}


def test_a_clock_of_threads_goes_on_while_they_work():
    stop = threading.Event()
    with threads.Clock() as clock:
        before = clock.nanos()
        burn(stop, 30_000_000)
        assert clock.nanos() - before >= 20_000_000


def test_processes_count_alike_and_what_tells_them_apart_is_in_the_interval():
    one, other = [100.0] * 10, [200.0] * 30
    assert figures.interval(one, [10]) == figures.Interval(100, 100, 100)
    assert figures.interval([*one, *other], [10, 30]) == figures.Interval(150, 100, 200)
    many = figures.interval([*one, *other] * 8, [10, 30] * 8)
    assert many.median == 150
    assert 100 < many.low < 140 < 160 < many.high < 200
    with pytest.raises(ValueError, match="3 samples"):
        figures.interval([1.0, 2.0, 3.0], [1, 1])


def test_rounds_of_several_processes_are_one_measurement():
    short = {name: taken[:7] for name, taken in rounds().items()}
    slower = {
        name: [[wall + 50, cpu] for wall, cpu in taken] for name, taken in rounds({**ADDED_NS, "stages": 500}).items()
    }
    processes = [measured(**{"get-sync": found}) for found in (rounds(), slower, rounds())]
    for process in processes:
        process["cells"]["get-sync"] |= {"short_rounds": short, "background": {"a": 30}, "processors": 2}
    processes[0]["cells"]["get-sync"]["background"] = {"a": 60}
    processes[-1]["load_average_after"] = [9.0, 9.0, 9.0]
    joined = results.together(processes)
    assert joined["load_average_after"] == [9.0, 9.0, 9.0]
    cell = joined["cells"]["get-sync"]
    assert (cell["threads"], cell["background"], cell["processors"]) == (THREADS, {"a": 40}, 2)
    assert (cell["processes"], cell["short_processes"]) == ([ROUNDS] * 3, [7] * 3)
    assert cell["rounds"]["files"][ROUNDS : 2 * ROUNDS] == slower["files"]
    del cell["short_rounds"], cell["background"]
    found = by_name(figures.of_cell(cell))["stages"]
    assert found.cpu_difference_ns.median == pytest.approx((800 + 1000 + 800) / 3)
    assert found.cpu_difference_ns.low == 800
    assert found.cpu_difference_ns.high > 900


def by_clock(case, compared, clock):
    """The verdicts of a workload by one clock, without that about off."""
    return [judged for judged in verdicts.judge(case, compared)[1:] if judged.clock == clock]


def test_the_median_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        figures.interval([])


@pytest.mark.parametrize(
    ("case", "added", "noise", "verdict"),
    [
        ("get-sync", 400, 100, "within"),
        ("get-async", 900, 100, "OVER"),
        ("get-sync", 600, 500, "unsure"),
        ("batch-sync", 40, 10, "within"),
        ("batch-async", 1_000, 10, "OVER"),
        ("throughput-async", 0, 10, "within"),
    ],
)
def test_an_interval_on_one_side_of_a_limit_decides(case, added, noise, verdict):
    compared = figures.compare(rounds({**ADDED_NS, "stages": added, "everything": added}, noise))
    assert [judged.verdict for judged in by_clock(case, compared, "wall")] == [verdict]


def test_lost_throughput_is_a_share_of_what_there_was():
    doubled = figures.compare(rounds({**dict.fromkeys(ADDED_NS, 0), "everything": OFF_NS * 13 // 10}, noise=0))
    (lost,) = by_clock("throughput-async", doubled, "wall")
    assert lost.found.median == pytest.approx(50, abs=1)
    assert lost.verdict == "OVER"


def test_every_limit_concerns_workloads_that_are_measured():
    names = {case.name for case in CASES}
    assert all(set(limit.cases) <= names for limit in verdicts.LIMITS)


def test_the_time_is_shared_by_the_workloads_that_are_measured():
    shares = {case.name: measuring.share_of(case, CASES, 80.0) for case in CASES}
    assert shares.pop("throughput-async") == 40.0
    assert set(shares.values()) == {10.0}
    for chosen in (CASES[:2], CASES[-1:]):
        assert sum(measuring.share_of(case, chosen, 80.0) for case in chosen) == 80.0


def test_a_result_file_names_the_workloads_that_were_measured():
    assert list(result_file([measured(**{"get-sync": rounds()})], [])["cases"]) == ["get-sync"]


def test_processor_time_is_judged_by_itself():
    (single,) = by_clock("get-sync", figures.compare(rounds()), "CPU")
    assert (single.found.median, single.verdict) == (800, "OVER")


@pytest.mark.parametrize(("again", "noise", "verdict"), [(0, 10, "within"), (0, 900, "unsure"), (900, 10, "OVER")])
def test_off_is_told_from_off_only_if_the_interval_says_so(again, noise, verdict):
    compared = figures.compare(rounds({**ADDED_NS, "off-again": again}, noise))
    assert verdicts.judge("get-sync", compared)[0].verdict == verdict


def test_instructions_are_what_one_more_operation_takes(tmp_path):
    few, many = counting.FEW_AND_MANY["get"]
    each = {name: 1_000 * (place + 1) for place, (name, _) in enumerate(counting.SEQUENCE)}
    counts = [123]
    for name, _ in counting.SEQUENCE:
        counts += [700 + each[name] * few, 55, 700 + each[name] * many, 55]
    # callgrind numbers its dumps, one per thread, and makes the last ones when the process ends.
    for part, count in enumerate(counts):
        for thread, own in ((1, count), (2, 3 * count)):
            said = f"version: 1\npart: {part + 1}\nthread: {thread}\n\ntotals: {own}\n"
            (tmp_path / f"out.{part + 1}-0{thread}").write_text(said)
    (tmp_path / "out").write_text("version: 1\n")
    case = next(case for case in CASES if case.operation == "get")
    assert counting.dumped(tmp_path) == counts
    found = counting.per_operation(case, counts)
    assert found == each
    assert list(found) == [counting.NEVER, *(one.name for one in COUNTED)]
    with pytest.raises(RuntimeError, match="dumped"):
        counting.per_operation(case, counts[:-4])


def test_the_report_has_a_row_for_everything_and_says_every_verdict():
    found = result_file([measured(**{"get-sync": rounds()})], [counted()])
    text = "\n".join(report.lines(found))
    for name in ADDED_NS:
        assert f"get-sync         {name} " in text
    assert "limit 600: within" in text
    assert "off against off again, get-sync" in text
    assert "30,010" in text
    assert "threads, us per operation, get-sync, files: aerospike-trace 3.0, caller 15.5" in text


def test_every_thread_is_told_by_its_name():
    going_on = threading.Event()
    before = threads.times()
    busy = threading.Thread(target=burn, args=(going_on,))
    busy.start()
    burn(going_on, 50_000_000)
    after = threads.between(before, threads.times())
    going_on.set()
    busy.join()
    assert after[threads.CALLER] >= 40_000_000
    others = sum(nanos for name, nanos in after.items() if name != threads.CALLER)
    assert others > 0
    assert threads.mean([{"a": 2, "b": 4}, {"a": 4}]) == {"a": 3, "b": 2}


def burn(stop, nanos=60_000_000_000):
    """Use the processor, until told to stop or for so long."""
    until = time.thread_time_ns() + nanos
    while not stop.is_set() and time.thread_time_ns() < until:
        pass


@pytest.fixture
def docs(tmp_path, monkeypatch):
    (tmp_path / "measurements").mkdir()
    (tmp_path / "production").mkdir()
    marks = f"{overhead_pages.BEGIN}\n{overhead_pages.END}"
    (tmp_path / "production" / "overhead.md").write_text(f"# Costs\n\n{marks}\n\nThe end.\n")
    monkeypatch.setattr(writer, "DOCS", tmp_path)
    return tmp_path


def test_without_results_nothing_is_said(docs):
    before = (docs / "production" / "overhead.md").read_text()
    assert writer.main([]) == 0
    assert not (docs / "performance" / "overhead.md").exists()
    assert (docs / "production" / "overhead.md").read_text() == before


def test_results_are_shown_on_both_pages_and_checked(docs, capsys):
    times, counts = result_file([measured(**{"get-sync": rounds()})]), result_file([], [counted()])
    (docs / "measurements" / "overhead.json").write_text(json.dumps(times))
    (docs / "measurements" / "overhead-instructions.json").write_text(json.dumps(counts))
    assert writer.main(["--check"]) == 1
    assert "production/overhead.md" in capsys.readouterr().err
    assert writer.main([]) == 0
    assert writer.main(["--check"]) == 0
    page = (docs / "performance" / "overhead.md").read_text()
    assert "| stages, one operation, at most 600 ns | get-sync | 3.11.2 | wall | +400&nbsp;" in page
    assert "| get, one caller | 30,000 | 30,010 | 33,000 |" in page
    assert "| files | 3.0 | 15.5 |" in page
    operators = (docs / "production" / "overhead.md").read_text()
    assert "| stages, one operation, at most 600 ns |" in operators
    assert operators.endswith("The end.\n")
    assert "[overhead](overhead.md), [overhead.json]" in (docs / "performance" / "index.md").read_text()


def test_a_page_without_marks_is_refused(docs):
    (docs / "production" / "overhead.md").write_text("# Costs\n")
    with pytest.raises(ValueError, match="marks"):
        writer.main([])
