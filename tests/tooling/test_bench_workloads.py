"""What the benchmarks do: operations, records, schedules, names of cells, and the command that reruns one."""

import shlex
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.harness import operations
from benchmark.harness.clients import chosen, known_clients
from benchmark.harness.commands import parser, request_of
from benchmark.harness.data import FEATURES, Space, mix
from benchmark.harness.operations import NOT_FOUND, NOTHING_FOUND, READ, UPDATE, Work
from benchmark.harness.pacing import schedule
from benchmark.harness.running import Request, within
from benchmark.harness.workloads import SHAPES, SUITES, WORKLOADS, cell_named


def test_the_random_numbers_are_those_of_splitmix64() -> None:
    assert [mix(number) for number in (0, 1)] == [0xE220A8397B1DCDAF, 0x910A2DEC89025CC1]


def test_a_mix_has_the_shares_that_it_says() -> None:
    work = Work("single", Space(1, 100_000, "1xint"), reads=0.8, missing=0.1)
    counts = Counter(operations.single_at(work, slot, step).outcome for slot in range(4) for step in range(2_500))
    shares = [counts[outcome] / 10_000 for outcome in (UPDATE, NOT_FOUND, READ)]
    assert shares == pytest.approx([0.2, 0.08, 0.72], abs=0.02)


def test_threads_ask_for_records_of_their_own_choice_and_always_the_same() -> None:
    work = Work("single", Space(1, 100_000, "1xint"))
    first, second = (operations.singles(work, slot, 2, lambda key: key) for slot in (0, 1))
    assert first != second
    assert first == operations.singles(work, 0, 2, lambda key: key)


@pytest.mark.parametrize("name", ["a-gathered-500", "a-single-50", "kv-batch-128", "conversion-dict-features"])
def test_no_record_is_twice_in_a_batch(name: str) -> None:
    work = WORKLOADS[name].work
    request = operations.batches(work, 3, 10)[1]
    keys = [key for batch in request for key in batch]
    assert len(set(keys)) == len(keys) == work.keys_per_step()
    assert len(request) == (9 if work.mode in ("gathered", "sequential") else 1)


def test_gathered_and_single_requests_ask_for_the_same_records() -> None:
    gathered, single = (
        operations.batches(WORKLOADS[f"a-{mode}-100"].work, 0, 10)[0] for mode in ("gathered", "single")
    )
    assert [key for batch in gathered for key in batch] == single[0]


def test_what_is_expected_of_reads_updates_and_absent_records() -> None:
    work = Work("single", Space(1, 50, FEATURES), reads=0.5, missing=0.5)
    for step, want in enumerate(operations.expected(work, 1, 60)):
        single = operations.single_at(work, 0, step)
        kinds = {READ: work.space.bins(0, single.number), UPDATE: None, NOT_FOUND: NOTHING_FOUND}
        assert want == kinds[single.outcome]


@pytest.mark.parametrize("shape", SHAPES)
def test_records_have_the_shape_that_is_named(shape: str) -> None:
    bins = Space(1, 10, shape).bins(0, 7)
    if shape == FEATURES:
        assert {type(value) for value in bins.values()} == {int, float, str, bytes, bool}
        return
    count, _, rest = shape.partition("x")
    size = "".join(filter(str.isdigit, rest))
    assert len(bins) == int(count)
    assert all(type(value).__name__ == rest.removesuffix(size) for value in bins.values())
    assert all(len(value) == int(size) for value in bins.values() if size)


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="no shape of records"):
        Space(1, 10, "1xset")


@given(st.integers(0, 1_000), st.floats(10, 5_000))
def test_poisson_arrivals_are_ordered_repeatable_and_as_many_as_the_rate_says(seed: int, rate: float) -> None:
    seconds = 400 / rate
    found = schedule(rate, seconds, "poisson", seed)
    assert list(found) == sorted(found)
    assert found == schedule(rate, seconds, "poisson", seed)
    assert 0 <= found[0] <= found[-1] < seconds * 1e9
    # 400 are expected, with a standard deviation of 20.
    assert 270 < len(found) < 530


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert list(schedule(1_000, 0.004, "constant", 1)) == [0, 1_000_000, 2_000_000, 3_000_000]


@pytest.mark.parametrize(("rate", "arrivals"), [(0, "poisson"), (10, "bursts")])
def test_arrivals_of_no_kind_or_rate_are_refused(rate: float, arrivals: str) -> None:
    with pytest.raises(ValueError, match="arrivals are"):
        schedule(rate, 1, arrivals, 1)


def test_every_cell_of_every_suite_has_its_own_name() -> None:
    for cells in SUITES.values():
        assert len(set(cells)) == len(cells)
        assert [cell_named(name).name for name in cells] == cells


@pytest.mark.parametrize(
    "name",
    ["get/sync-1/closed", "kv-read-1xint/sync/closed", "kv-read-1xint/sync-0/closed", "cold-start/sync-1/open-5-x"],
)
def test_what_is_no_cell_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"no workload|no way of calling|is no load|calls nothing"):
        cell_named(name)


def test_the_command_beside_a_cell_measures_that_cell() -> None:
    request = Request(
        ["kv-ru50-1xint/pool-4x64/closed"], ["ours", "base"], ("3.11",), 7, 0.25, 0.5, seed=9, base=Path("/elsewhere")
    )
    command = shlex.split(request.command(cell_named(request.cells[0]), ""))
    assert command[:4] == [".venv/bin/python", "-m", "benchmark", "run"]
    assert request_of(parser().parse_args(command[3:])) == request


def test_minutes_become_the_length_of_rounds() -> None:
    request = Request(["cold-start/sync-1/closed"], minutes=1.0)
    clients = [client for client in known_clients() if client.name in ("ours",)]
    cells = [cell_named(name) for name in request.cells]
    # Without environments nothing can be measured, and nothing takes no time.
    seconds = within(request, cells, clients).seconds
    assert 5 < seconds <= 12
    with pytest.raises(ValueError, match="minutes are too few"):
        within(Request(SUITES["matrix"], minutes=0.01), [cell_named(name) for name in SUITES["matrix"]], clients)


def test_an_unknown_client_is_named() -> None:
    with pytest.raises(ValueError, match="no client is called theirs"):
        chosen(known_clients(), ["ours", "theirs"])


def test_clients_say_what_they_cannot_do() -> None:
    clients = {client.name: client for client in known_clients()}
    gathered, numpy = (cell_named(name) for name in ("a-gathered-50/sync-1", "conversion-numpy-10xint/sync-1"))
    pool = cell_named("kv-read-1xint/pool-2x8")
    assert clients["ours"].obstacle(gathered, "3.11") == "blocking calls cannot be gathered"
    assert clients["aerospike"].obstacle(numpy, "3.11") == "it returns no batch as numpy"
    assert clients["aerospike-native"].obstacle(pool, "3.11") == "it has no lane pool"
