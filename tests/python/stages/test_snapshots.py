"""What a snapshot says: resets lose nothing, percentiles are accurate, tables, folded stacks and pictures are whole."""

import itertools
import json
import math
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import aerospike_py
import pytest
from driving import LANES
from partition import HISTOGRAM_ERROR, ORDER, assert_partition
from workload import KEYS

STACK = re.compile(r"^(?P<operation>\w+);(?P<lane>sync|asyncio);(?P<stage>\w+)(;(?P<node>[^; ]+))? (?P<weight>[0-9]+)$")


def test_resets_from_several_threads_lose_and_double_nothing(drivers):
    """Whoever resets gets what has come since anybody reset: over all of them, every operation exactly once."""
    driver = drivers["sync", 1]
    over = threading.Event()

    def collect():
        snapshots = []
        while not over.wait(0.002):
            snapshots.append(aerospike_py.stage_snapshot(reset=True))
        return snapshots

    def work(thread):
        for turn in range(300):
            driver.call("get", KEYS[(thread + turn) % 200])

    with ThreadPoolExecutor(7) as pool:
        collecting = [pool.submit(collect) for _ in range(3)]
        working = [pool.submit(work, thread) for thread in range(4)]
        for future in working:
            future.result()
        over.set()
        snapshots = [snapshot for future in collecting for snapshot in future.result()]
    snapshots.append(aerospike_py.stage_snapshot(reset=True))
    entries = [entry for snapshot in snapshots for entry in snapshot.operations]
    assert {(entry.operation, entry.lane) for entry in entries} == {("get", "sync")}
    assert len([entry for entry in entries if entry.count]) > 1
    assert sum(entry.count for entry in entries) == 1200
    wall = sum(entry.wall.total_ns for entry in entries)
    assert sum(stage.total_ns for entry in entries for stage in entry.stages.values()) == wall
    assert all(stage.total_ns >= 0 for entry in entries for stage in entry.stages.values())
    assert aerospike_py.stage_snapshot().operations == ()


@pytest.mark.parametrize("lane", LANES)
def test_reading_without_reset_changes_nothing(drivers, lane):
    for key in KEYS[:10]:
        drivers[lane, 1].call("get", key)
    assert aerospike_py.stage_snapshot() == aerospike_py.stage_snapshot()
    assert aerospike_py.stage_snapshot(reset=True) != aerospike_py.stage_snapshot()


@pytest.mark.parametrize("lane", LANES)
def test_percentiles_are_those_of_the_exact_values(drivers, one_node, lane):
    """Differences between running totals are the exact values; the server spreads them over two decades."""
    driver = drivers[lane, 1]
    totals = {"wall": [0], "network_wait": [0]}
    with one_node.fault("delay=heavy:1ms,30ms", command="read"):
        for turn in range(150):
            driver.call("get", KEYS[turn])
            entry = aerospike_py.stage_snapshot().operation("get", lane)
            totals["wall"].append(entry.wall.total_ns)
            totals["network_wait"].append(entry.stages["network_wait"].total_ns)
    entry = assert_partition(aerospike_py.stage_snapshot()).operation("get", lane)
    for figures, name in ((entry.wall, "wall"), (entry.stages["network_wait"], "network_wait")):
        running = totals[name]
        # A reply that came while the thread was still at its write has not been waited for: such a stage has no value.
        exact = sorted(after - before for before, after in itertools.pairwise(running) if after > before)
        assert exact[-1] > 5 * exact[len(exact) // 4]
        for quantile, reported in ((0.5, figures.p50_ns), (0.9, figures.p90_ns), (0.99, figures.p99_ns)):
            wanted = exact[math.ceil(quantile * len(exact)) - 1]
            assert abs(reported - wanted) <= HISTOGRAM_ERROR * wanted, f"{name} at {quantile}"
        assert abs(figures.max_ns - exact[-1]) <= HISTOGRAM_ERROR * exact[-1]
        assert figures.total_ns == sum(exact)


@pytest.mark.parametrize("lane", LANES)
def test_the_table_shows_every_stage_and_the_sum(drivers, lane):
    for key in KEYS[:50]:
        drivers[lane, 3].call("get", key)
    drivers[lane, 3].call("batch_read", KEYS).to_dict()
    snapshot = assert_partition(aerospike_py.stage_snapshot())
    blocks = {block.partition(" ")[0]: block for block in snapshot.table().split("\n\n")}
    assert list(blocks) == ["get", "batch_read"]
    for entry in snapshot.operations:
        lines = blocks[entry.operation].splitlines()
        assert lines[0] == f"{entry.operation} ({lane}): {entry.count} operations"
        named = [line.split()[0] for line in lines[2:] if not line.startswith(("-", "after the call"))]
        assert named == [*[name for name in entry.stages if name != "unattributed"], "unattributed", "wall"]
        shares = [float(line.rsplit(maxsplit=1)[1].rstrip("%")) for line in lines[2:] if line.endswith("%")]
        # The stages' rounded shares, and after them those of the wall time and of what came after the call.
        assert sum(shares[: len(named) - 1]) == pytest.approx(100, abs=0.05 * len(named))
    assert "after the call" in blocks["batch_read"]
    assert "after the call" not in blocks["get"]


@pytest.mark.parametrize("lane", LANES)
def test_folded_stacks_and_their_picture_weigh_the_wall_time(drivers, lane):
    for key in KEYS[:50]:
        drivers[lane, 3].call("get", key)
    for _ in range(10):
        drivers[lane, 3].call("batch_read", KEYS)
    snapshot = assert_partition(aerospike_py.stage_snapshot())
    folded = snapshot.folded()
    stacks = [STACK.match(line) for line in folded.splitlines()]
    assert all(stacks)
    assert folded.endswith("\n")
    for entry in snapshot.operations:
        mine = [stack for stack in stacks if stack["operation"] == entry.operation]
        assert sum(int(stack["weight"]) for stack in mine) == entry.wall.total_ns
        assert {stack["stage"] for stack in mine} == set(entry.stages) <= set(ORDER)
        assert any(stack["node"] for stack in mine if stack["stage"] == "network_wait")
    picture = aerospike_py.flamegraph_svg(folded, "Where time goes", "three nodes")
    drawing = ElementTree.fromstring(picture)
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    titles = [title.text for title in drawing.iter("{http://www.w3.org/2000/svg}title")]
    for frame in ("get", "batch_read", lane):
        assert any(title.startswith(frame) for title in titles), frame


def test_a_flamegraph_shows_what_has_changed():
    later = "get;sync;network_wait 80\nget;sync;decode 20"
    picture = aerospike_py.flamegraph_svg(later, "Later", before="get;sync;network_wait 20\nget;sync;decode 80")
    grown, shrunk = (picture.split(f"<title>{name}")[1].split("/>")[0] for name in ("network_wait", "decode"))
    assert grown.count("fill=") == shrunk.count("fill=") == 1
    red, _, blue = (int(part) for part in grown.split("rgb(")[1].split(")")[0].split(","))
    assert red > blue
    red, _, blue = (int(part) for part in shrunk.split("rgb(")[1].split(")")[0].split(","))
    assert blue > red
    with pytest.raises(aerospike_py.InvalidArgError):
        aerospike_py.flamegraph_svg(later, "Later", before="")


def test_a_snapshot_survives_json(drivers):
    drivers["sync", 3].call("batch_read", KEYS)
    dictionary = assert_partition(aerospike_py.stage_snapshot()).to_dict()
    assert json.loads(json.dumps(dictionary)) == dictionary
    assert dictionary["operations"][0]["operation"] == "batch_read"
