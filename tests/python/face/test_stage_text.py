"""Durations, tables and folded stacks, to the letter."""

import pytest
from aerospike_py import stages
from aerospike_py._stage_text import duration

ROWS = [
    (
        "batch_read",
        "asyncio",
        [("ok", 1_199), ("timeout", 1)],
        [("network_wait", 1)],
        (1_200, 2_400_000_000, 1_900_000, 2_500_000, 4_000_000, 5_500_000, 12_345_678),
        [
            ("unattributed", (1_200, 24_000_000, 19_000, 25_000, 26_000, 27_000, 28_000)),
            ("key_parse", (1_200, 120_000_000, 99_000, 110_000, 120_000, 130_000, 140_000)),
            ("network_wait", (1_200, 2_256_000_000, 1_800_000, 2_300_000, 3_800_000, 5_300_000, 12_000_000)),
        ],
        (0, 0, 0, 0, 0, 0, 0),
        [("network_wait", "N1", 1_256_000_000), ("network_wait", "N2", 900_000_000)],
    )
]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ns"),
        (812, "812 ns"),
        (999, "999 ns"),
        (999.6, "1.00 µs"),
        (1_000, "1.00 µs"),
        (9_994, "9.99 µs"),
        (9_996, "10.0 µs"),
        (99_940, "99.9 µs"),
        (99_960, "100 µs"),
        (999_400, "999 µs"),
        (999_600, "1.00 ms"),
        (45_670_000, "45.7 ms"),
        (1_230_000_000, "1.23 s"),
        (100_000_000_000, "100 s"),
    ],
)
def test_durations_have_three_digits_and_the_unit_that_suits(nanoseconds, text):
    assert duration(nanoseconds) == text


def test_a_table_has_stages_in_order_unattributed_last_and_the_wall_time_below():
    assert stages.snapshot_of(ROWS, dropped=0).table() == (
        "batch_read (asyncio): 1,200 operations, 1 timeout\n"
        "stage         count     mean      p50      p90      p99    p99.9      max   share\n"
        "---------------------------------------------------------------------------------\n"
        "key_parse     1,200   100 µs  99.0 µs   110 µs   120 µs   130 µs   140 µs    5.0%\n"
        "network_wait  1,200  1.88 ms  1.80 ms  2.30 ms  3.80 ms  5.30 ms  12.0 ms   94.0%\n"
        "unattributed  1,200  20.0 µs  19.0 µs  25.0 µs  26.0 µs  27.0 µs  28.0 µs    1.0%\n"
        "---------------------------------------------------------------------------------\n"
        "wall          1,200  2.00 ms  1.90 ms  2.50 ms  4.00 ms  5.50 ms  12.3 ms  100.0%"
    )


def test_unattributed_is_shown_even_if_there_is_none():
    *row, rows, deferred, nodes = ROWS[0]
    table = stages.snapshot_of([(*row, rows[1:], deferred, nodes)], dropped=0).table()
    assert [line.split() for line in table.splitlines() if line.startswith("unattributed")] == [
        ["unattributed", "0", *["0", "ns"] * 6, "0.0%"]
    ]


def test_conversions_on_demand_stand_below_the_wall_time():
    *row, _, nodes = ROWS[0]
    deferred = (600, 600_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)
    table = stages.snapshot_of([(*row, deferred, nodes)], dropped=0).table()
    *_, wall_line, last = table.splitlines()
    assert wall_line.startswith("wall ")
    assert last.split() == ["after", "the", "call", "600", *["1.00", "ms"] * 6, "25.0%"]


def test_what_is_missing_is_said():
    assert "No operations were recorded" in stages.snapshot_of([], dropped=0).table()
    assert (
        stages.snapshot_of(ROWS, dropped=1_234)
        .table()
        .endswith("\n\n1,234 operations could not be recorded and are missing above.")
    )


def test_stacks_split_by_node_and_keep_the_remainder():
    assert stages.snapshot_of(ROWS, dropped=0).folded().splitlines() == [
        "batch_read;asyncio;key_parse 120000000",
        "batch_read;asyncio;network_wait;N1 1256000000",
        "batch_read;asyncio;network_wait;N2 900000000",
        "batch_read;asyncio;network_wait 100000000",
        "batch_read;asyncio;unattributed 24000000",
    ]


def test_the_weights_of_all_stacks_add_up_to_the_wall_time():
    snapshot = stages.snapshot_of(ROWS, dropped=0)
    weights = [int(line.rpartition(" ")[2]) for line in snapshot.folded().splitlines()]
    assert sum(weights) == snapshot.operations[0].wall.total_ns
