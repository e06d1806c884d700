"""Statistics, results, counts, stacks and tables of make bench-lanes, on figures made up for the purpose."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from benchmark.lanes import counts, records, report, stacks, verifying
from benchmark.lanes.__main__ import cells_of, chosen_clients
from benchmark.lanes.clients import known_clients
from benchmark.lanes.loops import percentile
from benchmark.lanes.measuring import Cell, Measured
from benchmark.lanes.ratios import Interval, figure, median_interval, ratios
from benchmark.lanes.workloads import (
    CPU,
    FREE_THREADED,
    GIL,
    P50,
    P99,
    TARGETS,
    THROUGHPUT,
    WORKLOADS,
    Target,
    workload_named,
)
from benchmark.processes.values import WrongResultError, difference, plain


def result(operations: int, *, wall_ns: int = 10**9, cpu_ns: int = 10**9, p50: int = 1_000, p99: int = 2_000) -> Any:
    return {
        "operations": operations,
        "wall_ns": wall_ns,
        "cpu_ns": cpu_ns,
        "p50_ns": p50,
        "p99_ns": p99,
        "voluntary_switches": operations,
        "involuntary_switches": 0,
    }


def cell_of(**rounds: list[Any]) -> Cell:
    clients = {name.replace("_", "-"): Measured(rounds=each) for name, each in rounds.items()}
    return Cell(workload_named("batch-sync-1"), GIL, clients)


def test_figures_have_the_units_that_the_tables_name() -> None:
    done = result(500, wall_ns=250_000_000, cpu_ns=1_000_000, p50=1_500, p99=9_000)
    assert [figure(done, quantity) for quantity in (THROUGHPUT, P50, P99, CPU)] == [2_000.0, 1.5, 9.0, 2.0]


def test_ratios_are_taken_round_by_round() -> None:
    # The machine was twice as slow in the second round; the ratio does not care.
    ours, theirs = [result(300), result(150)], [result(200), result(100)]
    assert ratios(ours, theirs, THROUGHPUT) == [1.5, 1.5]
    with pytest.raises(ValueError, match="longer"):
        ratios(ours[:1], theirs, THROUGHPUT)


def test_the_interval_of_a_median_is_made_of_order_statistics() -> None:
    # Of 15 samples the 4th and the 12th: outside of them the median lies with a probability of 2 * 576 / 2**15.
    interval = median_interval([float(n) for n in range(15, 0, -1)])
    assert (interval.median, interval.low, interval.high) == (8.0, 4.0, 12.0)
    assert interval.confidence == pytest.approx(1 - 2 * 576 / 2**15)


@pytest.mark.parametrize(("count", "confidence"), [(1, 0.0), (3, 0.75), (5, 0.9375)])
def test_few_samples_give_their_extremes_and_admit_how_little_that_is(count: int, confidence: float) -> None:
    interval = median_interval([float(n) for n in range(count)])
    assert (interval.low, interval.high) == (0.0, count - 1.0)
    assert interval.confidence == pytest.approx(confidence)


def test_no_samples_have_no_median() -> None:
    with pytest.raises(ValueError, match="nothing"):
        median_interval([])


def test_an_interval_does_not_depend_on_outliers() -> None:
    calm = [1.0 + n / 100 for n in range(15)]
    assert median_interval([*calm[:-1], 1_000.0]) == median_interval(calm)


def test_percentiles_are_samples() -> None:
    assert [percentile(range(1, 101), quantile) for quantile in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7], 0.99) == 7
    assert percentile([], 0.5) == 0


@pytest.mark.parametrize("kind", verifying.OPERATIONS)
def test_what_is_expected_passes_and_a_changed_value_does_not(kind: str) -> None:
    operations = 3
    right = json.loads(json.dumps(verifying.expected(kind, operations)))
    verifying.check_results("fake", kind, right, operations)
    with pytest.raises(WrongResultError, match="2 results of"):
        verifying.check_results("fake", kind, right[:-1], operations)
    right[-1] = {"map": []}
    with pytest.raises(WrongResultError, match=f"fake: result 2 of {kind} is wrong"):
        verifying.check_results("fake", kind, right, operations)


@pytest.mark.parametrize(
    ("name", "wrong"), [("age", 1.0), ("score", 1), ("embedding", "text"), ("active", 1), ("name", b"bytes")]
)
def test_a_value_of_another_kind_is_a_difference(name: str, wrong: Any) -> None:
    want = plain(records.bins_of(3, 1))
    got = plain({**records.bins_of(3, 1), name: wrong})
    assert difference(want, want) is None
    assert f"it[{name!r}]" in (difference(got, want) or "")


def test_a_missing_record_is_named() -> None:
    want, got = plain({"a": 1, "b": 2}), plain({"a": 1, "c": 2})
    assert difference(got, want) == "it lacks ['b'] and has ['c']"


def test_values_that_no_client_should_return_are_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        plain({"bin": {1, 2}})


def test_every_slot_visits_every_record_and_batches_have_no_key_twice() -> None:
    assert set(records.read_keys(7)) == {records.key(0, n) for n in range(records.RECORDS_PER_SET)}
    joined = records.joined_requests(3)
    assert {len(set(batch)) for batch in joined} == {records.SETS * records.KEYS_PER_BATCH}
    assert len({user_key for _, _, user_key in joined[0]}) == len(joined[0])


def test_targets_name_workloads_and_clients_that_exist() -> None:
    names = {client.name for client in known_clients()}
    for target in TARGETS:
        assert target.python in workload_named(target.workload).pythons
        assert {target.against, target.subject} <= names


def test_a_target_knows_which_side_is_good() -> None:
    faster, cheaper = Target("w", GIL, "peer", THROUGHPUT, 1.2), Target("w", GIL, "peer", CPU, 0.7, aim=0.5)
    assert [faster.reached(ratio) for ratio in (1.19, 1.2)] == [False, True]
    assert [cheaper.reached(ratio) for ratio in (0.71, 0.7)] == [False, True]
    assert (faster.text(), cheaper.text()) == (">= 1.20", "<= 0.70 (aim 0.50)")


def test_rows_say_whether_a_target_is_reached_and_how_surely() -> None:
    six = range(6)
    cell = cell_of(
        ours=[result(1_700, cpu_ns=500 * 10**6)] * 6,
        aerospike=[result(1_000 + 20 * n) for n in six],
        aerospike_native=[result(500 + 100 * n) for n in six],
    )
    rows = {(row.against, row.quantity.name): row for row in report.rows_of(cell) if row.target}
    assert {key: row.verdict() for key, row in rows.items()} == {
        ("aerospike", "throughput"): "yes (unsure)",
        ("aerospike", "CPU per op"): "yes",
        ("aerospike-native", "throughput"): "no (unsure)",
        ("aerospike-native", "CPU per op"): "yes",
    }


def test_rows_that_could_not_be_measured_are_loud() -> None:
    cell = cell_of(ours=[result(1_000)] * 3)
    cell.clients["aerospike-native"] = Measured(failure="aerospike-native: result 3 of batch is wrong")
    cell.left_out["aerospike"] = "build/peers/aerospike/bin/python is not there"
    rows = list(report.rows_of(cell))
    text, said = report.table(rows), report.problems([cell], rows)
    assert text.count("NOT MEASURED") == 6
    assert any("result 3 of batch is wrong" in problem for problem in said)
    assert any("is not there" in problem for problem in said)
    figures = report.figures_table([cell]).splitlines()
    assert figures[2].split(" | ")[2:4] == ["aerospike-native", "-    "]


def test_clients_that_nobody_asked_for_have_no_rows() -> None:
    cell = cell_of(ours=[result(1_000)] * 3, aerospike=[result(1_000)] * 3)
    assert {row.against for row in report.rows_of(cell)} == {"aerospike"}
    assert report.problems([cell], list(report.rows_of(cell))) == []


def test_the_table_is_aligned() -> None:
    row = report.Row(
        "get-sync-1",
        GIL,
        "ours",
        "peer",
        P99,
        Target("get-sync-1", GIL, "peer", P99, 1.0),
        Interval(0.5, 0.4, 0.6, 0.9),
    )
    header, line = report.table([row]).splitlines()
    assert [part.strip() for part in line.split("|")] == [
        "get-sync-1",
        "3.11",
        "ours",
        "peer",
        "p99",
        "<= 1.00",
        "0.500 [0.400, 0.600]",
        "yes",
    ]
    assert [n for n, c in enumerate(header) if c == "|"] == [n for n, c in enumerate(line) if c == "|"]


def test_the_file_holds_every_round() -> None:
    cell = cell_of(ours=[result(2_000)] * 3, aerospike=[result(1_000)] * 3)
    written = json.loads(json.dumps(report.as_json([cell], list(report.rows_of(cell)), {"cores": 2})))
    assert len(written["cells"][0]["clients"]["ours"]["rounds"]) == 3
    ratio = next(each for each in written["comparisons"] if each["quantity"] == "throughput")
    assert (ratio["ratio"]["median"], ratio["target"], ratio["reached"]) == (2.0, 1.6, True)


def test_the_bare_driver_is_measured_where_it_is_a_target() -> None:
    known = known_clients()
    threads = chosen_clients(known, None, workload_named("get-sync-8"), FREE_THREADED)
    batches = chosen_clients(known, None, workload_named("batch-sync-1"), GIL)
    assert "rust-core" in [client.name for client in threads]
    assert "rust-core" not in [client.name for client in batches]
    assert [c.name for c in chosen_clients(known, "rust-core", WORKLOADS[0], GIL)] == ["ours", "rust-core"]
    with pytest.raises(ValueError, match="no client is called nobody"):
        chosen_clients(known, "nobody", WORKLOADS[0], GIL)


def test_another_checkout_of_ours_brings_its_own_environments(tmp_path: Path) -> None:
    base = next(client for client in known_clients(base=tmp_path) if client.name == "base")
    assert base.command(FREE_THREADED)[0] == str(tmp_path / ".venv-3.14t/bin/python")
    assert base.obstacle(WORKLOADS[0], GIL) == f"{tmp_path / '.venv/bin/python'} is not there"


def test_workloads_run_where_they_have_targets_unless_told_otherwise() -> None:
    workload = workload_named("get-async-1")
    assert cells_of([workload], None) == [(workload, GIL)]
    assert cells_of([workload], FREE_THREADED) == [(workload, FREE_THREADED)]
    with pytest.raises(ValueError, match="no workload is called 'get'"):
        workload_named("get")


def test_the_totals_of_callgrind_are_read() -> None:
    assert counts.callgrind_total("events: Ir\nfn=(1)\n5 7\n\nsummary: 1200\n\ntotals: 1234\n") == 1_234
    with pytest.raises(ValueError, match="no totals"):
        counts.callgrind_total("events: Ir\n")


def test_the_table_of_strace_is_read() -> None:
    table = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           1       500           sendto
 40.00    0.000400           1       300        20 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           1       800        20 total
"""
    assert counts.strace_calls(table) == {"sendto": 500, "recvfrom": 300}
    with pytest.raises(ValueError, match="nothing"):
        counts.strace_calls("")


SAMPLES = """python  42  10.5:  1000 cpu-clock:
\t  1 bins_into_python::h0123456789abcdef (/somewhere/_aerospike.so)
\t  2 _aerospike::get<[u8; 4]> (/somewhere/_aerospike.so)
\t  3 _PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)
\t  4 _start (/usr/bin/python3.11)

python  42  10.6:  500 cpu-clock:
\t  5 PyDict_New (/usr/lib/libpython3.11.so.1.0)
\t  4 _start (/usr/bin/python3.11)

python  42  10.65:  125 cpu-clock:
\t  9 do_syscall_64 ([kernel.kallsyms])
\t  8 read+0x1a (/usr/lib/libc.so.6)
\t  4 _start (/usr/bin/python3.11)

driver-1  43/44  10.7:  250 cpu-clock:
\t  6 epoll_wait+0x1a (/usr/lib/libc.so.6)
\t  7 tokio::run (/somewhere/_aerospike.so)
\t  8 start_thread (/usr/lib/libc.so.6)
"""


def test_stacks_are_folded_outermost_first_without_the_interpreter_below() -> None:
    folded = stacks.fold(SAMPLES + "\n" + SAMPLES)
    assert folded == {
        "python;Python;_aerospike::get<[u8, 4]>;bins_into_python": 2_000,
        "python;Python;PyDict_New": 1_000,
        "python;Python;read;do_syscall_64": 250,
        "driver;start_thread;tokio::run;epoll_wait": 500,
    }
    assert stacks.folded_text({"b": 2, "a": 1, "c": 0}) == "a 1\nb 2\n"


def test_frames_that_nobody_could_see_are_cut_off_and_their_weight_is_kept() -> None:
    folded = {"thread;a;b": 900, "thread;a;c;d": 60, "thread;a;c;e": 30, "idle;f": 10}
    assert stacks.pruned(folded, 0.05) == {"thread;a;b": 900, "thread;a;c;d": 60, "thread;a;c": 30, "idle": 10}


def test_the_median_is_the_standard_librarys() -> None:
    samples = [3.0, 1.0, 2.0, 5.0]
    assert median_interval(samples).median == statistics.median(samples)
