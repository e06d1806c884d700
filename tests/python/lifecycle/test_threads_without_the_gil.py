"""Many threads on the same objects at once; without the GIL they really run at once."""

from __future__ import annotations

import asyncio
import random
import sys
import sysconfig
import threading
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from aerospike_py import Client
    from aerospike_py.testing import EmbeddedServer

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def key(name: object) -> tuple[str, str, str]:
    return ("test", "threads", str(name))


def all_at_once(count: int, work: Callable[[int], None]) -> None:
    """Run ``work`` in threads that start together, and raise the first of their failures."""
    barrier = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(timeout=30)
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=100)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


@pytest.mark.skipif(not FREE_THREADED, reason="this interpreter has a GIL")
def test_importing_leaves_the_gil_off() -> None:
    assert sys._is_gil_enabled() is False


@pytest.mark.parametrize("count", [8, 32])
def test_mixed_operations_on_one_client(client: Client, count: int) -> None:
    rounds = 1200 // count

    def work(thread: int) -> None:
        rng = random.Random(thread)
        versions: dict[int, int] = {}
        for step in range(rounds):
            number = rng.randrange(6)
            name = f"{thread}-{number}"
            match rng.randrange(6):
                case 0 | 1:
                    client.put(key(name), {"v": step, "who": name, "blob": bytes([step % 256]) * 50})
                    versions[number] = step
                case 2 if number in versions:
                    bins = client.get(key(name)).bins
                    assert bins == {"v": versions[number], "who": name, "blob": bytes([versions[number] % 256]) * 50}
                case 3 if versions:
                    wanted = sorted(versions)
                    found = client.batch_read([key(f"{thread}-{each}") for each in wanted]).to_dict()
                    assert {name: bins["v"] for name, bins in found.items()} == {
                        f"{thread}-{each}": versions[each] for each in wanted
                    }
                case 4 if number in versions:
                    client.remove(key(name))
                    del versions[number]
                case _:
                    assert (client.exists(key(name)).meta is not None) is (number in versions)

    all_at_once(count, work)


def test_one_counter_from_all_threads(client: Client) -> None:
    client.put(key("counter"), {"n": 0})
    all_at_once(16, lambda _: [client.increment(key("counter"), "n", 1) for _ in range(50)] and None)
    assert client.get(key("counter")).bins == {"n": 800}


def test_one_lazy_batch_in_all_threads(client: Client) -> None:
    keys = [key(number) for number in range(100)]
    client.batch_write([(each, {"n": number, "s": "x" * 20}) for number, each in enumerate(keys)])
    expected = {str(number): {"n": number, "s": "x" * 20} for number in range(100)}
    batches = [client.batch_read(keys) for _ in range(20)]

    def work(thread: int) -> None:
        for batch in batches:
            match thread % 5:
                case 0:
                    assert batch.to_dict() == expected
                case 1:
                    assert [record.record.bins["n"] for record in batch.batch_records] == list(range(100))
                case 2:
                    assert batch["7"] == expected["7"]
                    assert len(batch) == batch.found_count() == 100
                    batch.release_cache()
                case 3:
                    assert [row["n"] for row in batch.to_list()] == list(range(100))
                    assert sum(1 for _ in batch.iter_records()) == 100
                case _:
                    assert sorted(batch.keys()) == sorted(expected)
                    assert dict(batch.items()) == expected

    all_at_once(15, work)


def test_one_iterator_in_all_threads_gives_each_record_once(client: Client) -> None:
    keys = [key(number) for number in range(500)]
    client.batch_write([(each, {"n": number}) for number, each in enumerate(keys)])
    iterator = client.batch_read(keys).iter_records()
    seen: list[list[int]] = [[] for _ in range(8)]

    def work(thread: int) -> None:
        for record in iterator:
            seen[thread].append(record.record.bins["n"])

    all_at_once(8, work)
    assert sorted(number for numbers in seen for number in numbers) == list(range(500))


def test_one_configuration_and_shared_arguments(server: EmbeddedServer) -> None:
    config = server.config(max_concurrent_operations=4, operation_queue_timeout_ms=20_000)
    policy = {"total_timeout": 20_000}
    bins = {"n": 1, "nested": {"list": [1, 2, 3]}}

    def work(thread: int) -> None:
        with aerospike_py.client(config).connect() as own:
            for number in range(10):
                own.put(key(f"{thread}-{number}"), bins, policy=policy)
                assert own.get(key(f"{thread}-{number}"), policy).bins == bins

    all_at_once(8, work)


def test_arguments_that_change_while_they_are_read(client: Client) -> None:
    """What is written is one of the states of the dictionary, or a clear refusal; never a crash."""
    bins: dict[str, Any] = {f"b{number}": number for number in range(8)}
    stop = threading.Event()
    refused = (RuntimeError, aerospike_py.AerospikeError, TypeError, ValueError)

    def work(thread: int) -> None:
        if thread == 0:
            for step in range(3000):
                bins[f"x{step % 5}"] = step
                bins.pop(f"x{(step + 2) % 5}", None)
            stop.set()
            return
        while not stop.is_set():
            try:
                client.put(key(f"changing-{thread}"), bins)
            except refused:
                continue
            written = client.get(key(f"changing-{thread}")).bins
            assert all(written[f"b{number}"] == number for number in range(8))

    all_at_once(4, work)


def test_connecting_and_closing_one_client_while_others_use_it(client: Client) -> None:
    client.put(key(0), {"n": 0})

    refusals: list[str] = []

    def work(thread: int) -> None:
        for step in range(20):
            if thread == 0:
                client.close() if step % 2 else client.connect()
                continue
            try:
                assert client.get(key(0)).bins == {"n": 0}
            except aerospike_py.ClientError as error:
                refusals.append(str(error))

    all_at_once(8, work)
    assert all("closed" in refusal for refusal in refusals), refusals
    client.connect()
    assert client.get(key(0)).bins == {"n": 0}


def test_loops_in_all_threads(server: EmbeddedServer) -> None:
    connected: list[Any] = []

    async def connect() -> None:
        connected.append(await aerospike_py.async_client(server.config()).connect())

    asyncio.run(connect())

    async def scenario(thread: int) -> None:
        client = connected[0]
        await asyncio.gather(*(client.put(key(f"{thread}-{n}"), {"n": n}) for n in range(100)))
        records = await asyncio.gather(*(client.get(key(f"{thread}-{n}")) for n in range(100)))
        assert [record.bins["n"] for record in records] == list(range(100))

    all_at_once(8, lambda thread: asyncio.run(scenario(thread)))

    async def close() -> None:
        await connected[0].close()

    asyncio.run(close())


def test_statistics_while_operations_run(client: Client) -> None:
    was_on = aerospike_py.is_internal_stage_metrics_enabled()
    aerospike_py.set_internal_stage_metrics_enabled(True)
    try:

        def work(thread: int) -> None:
            for number in range(60):
                if thread == 0:
                    assert "db_client_operation_duration_seconds" in aerospike_py.get_metrics()
                elif thread == 1:
                    aerospike_py.stage_snapshot()
                elif thread == 2:
                    aerospike_py.set_internal_stage_metrics_enabled(number % 2 == 0)
                else:
                    client.put(key(f"{thread}-{number}"), {"n": number})

        all_at_once(8, work)
    finally:
        aerospike_py.set_internal_stage_metrics_enabled(was_on)
