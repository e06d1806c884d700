"""``multiprocessing`` by every way of starting a process, while the parent's clients have operations in flight.

Bare forks are in ``test_fork.py``.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest
from scripted import finish, wait_for_line

if TYPE_CHECKING:
    from aerospike_py.testing import EmbeddedServer
    from scripted import ScriptRunner

# Python 3.12 and later warn about forks in a process with threads; these tests are about exactly that.
QUIET = ("-W", "ignore::DeprecationWarning")
RECORDED = {"AEROSPIKE_PY_INTERNAL_METRICS": "1"}
KINDS = ("fork", "forkserver", "spawn")

# What every script begins with: calls of threads and operations of a loop that the server does not answer yet.
IN_FLIGHT = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

READ = dict(PATIENT, total_timeout=60_000, socket_timeout=60_000)
client = aerospike_py.client(CONFIG)
asynchronous = aerospike_py.async_client(CONFIG)

def begin():
    client.connect()
    client.put(KEY, {"a": 1})
    threads = ThreadPoolExecutor(4)
    calls = [threads.submit(client.get, KEY, READ) for _ in range(2)]
    calls += [threads.submit(client.batch_read, [KEY] * 20, policy=READ) for _ in range(2)]
    loop = asyncio.new_event_loop()

    async def start():
        await asynchronous.connect()
        return [asynchronous.get(KEY, READ), asynchronous.batch_read([KEY] * 20, policy=READ)]

    operations = loop.run_until_complete(start())
    time.sleep(0.2)
    return threads, calls, loop, operations

def end(threads, calls, loop, operations):
    async def finish():
        results = await asyncio.gather(*operations)
        await asynchronous.close()
        return results

    results = [call.result() for call in calls] + loop.run_until_complete(finish())
    loop.close()
    threads.shutdown()
    for result in results:
        assert (result.to_dict()["k"] if hasattr(result, "to_dict") else result.bins) == {"a": 1}, result
    client.put(KEY, {"a": 2})
    client.close()
    print(len(results))

def refusal(method, *arguments):
    try:
        method(*arguments)
    except ClientError as error:
        return str(error)
    return "none"

async def use_asyncio(number):
    async with await aerospike_py.async_client(CONFIG).connect() as own:
        await asyncio.gather(*(own.put(("test", "processes", f"{number}-{n}"), {"n": n}) for n in range(20)))

def work(number):
    # Under fork these are the parent's connected clients; otherwise the child has made them by importing the script.
    assert ("fork" if connected_before else "connect") in refusal(client.put, KEY, {"a": 3})
    assert ("fork" if connected_before else "connect") in refusal(client.batch_write, [(KEY, {"a": 3})])
    own = aerospike_py.client(CONFIG).connect()
    own.put(("test", "processes", number), {"n": number})
    own.batch_write([(("test", "processes", number), {"n": number})])
    asyncio.run(use_asyncio(number))
    assert "db_client_operation_duration_seconds" in aerospike_py.get_metrics()
    own.close()
    return number

connected_before = False
"""


def script_of(main: str, kind: str) -> str:
    main = textwrap.indent(textwrap.dedent(main).replace("KIND", repr(kind)), "    ")
    return f"{IN_FLIGHT}\nif __name__ == '__main__':\n{main}"


CHILDREN = {
    "processes": """
        context = multiprocessing.get_context(KIND)
        in_flight = begin()
        connected_before = True
        children = [context.Process(target=work, args=(number,)) for number in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0, 0]
        print("children")
        end(*in_flight)
    """,
    "an executor of processes": """
        in_flight = begin()
        connected_before = True
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(KIND)) as executor:
            assert list(executor.map(work, range(6))) == list(range(6))
        print("children")
        end(*in_flight)
    """,
    "a pool that is terminated while its workers wait": """
        context = multiprocessing.get_context(KIND)
        in_flight = begin()
        connected_before = True
        pool = context.Pool(2)
        pool.map(work, range(4))
        waiting = [pool.apply_async(wait_for_ever) for _ in range(4)]
        time.sleep(0.5)
        pool.terminate()
        pool.join()
        print("children")
        end(*in_flight)
    """,
}
WAIT = """
def wait_for_ever():
    with aerospike_py.client(CONFIG).connect() as own:
        own.get(KEY, FOR_EVER)
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("children", CHILDREN)
def test_children_work_and_the_parent_goes_on(
    script: ScriptRunner, server: EmbeddedServer, children: str, kind: str
) -> None:
    with server.fault("stall", command="read"), server.fault("stall", command="batch_read"):
        process = script.start(WAIT + script_of(CHILDREN[children], kind), options=QUIET, **RECORDED)
        wait_for_line(process, "children", seconds=60)
    assert finish(process, 30).lines() == ["6"]


@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_a_daemon_that_waits_does_not_hold_up_the_parents_exit(
    script: ScriptRunner, server: EmbeddedServer, kind: str
) -> None:
    source = """
        context = multiprocessing.get_context(KIND)
        client.connect()
        daemon = context.Process(target=wait_for_ever, daemon=True)
        daemon.start()
        time.sleep(0.5)
        print(daemon.exitcode)
    """
    with server.fault("stall", command="read"):
        finished = script.run(WAIT + script_of(source, kind), options=QUIET, **RECORDED)
    assert finished.lines() == ["None"]


def test_a_forkserver_that_has_imported_the_package(script: ScriptRunner) -> None:
    source = """
        context = multiprocessing.get_context(KIND)
        context.set_forkserver_preload(["aerospike_py"])
        with context.Pool(2) as pool:
            print(pool.map(work, range(4)))
            pool.close()
            pool.join()
    """
    finished = script.run(script_of(source, "forkserver"), options=QUIET, **RECORDED)
    assert finished.lines() == ["[0, 1, 2, 3]"]


@pytest.mark.parametrize("kind", KINDS)
def test_clients_and_lazy_batches_are_not_sent_to_other_processes(script: ScriptRunner, kind: str) -> None:
    """What cannot be pickled says so; dictionaries and records can."""
    source = """
        import pickle

        client.connect()
        client.put(KEY, {"a": 1})
        for thing in (client, asynchronous, client.batch_read([KEY])):
            try:
                pickle.dumps(thing)
            except TypeError as error:
                print("cannot pickle" in str(error))
        with multiprocessing.get_context(KIND).Pool(1) as pool:
            print(pool.apply(sorted, [client.batch_read([KEY]).to_dict()["k"]]))
            print(pool.apply(bins_of, [client.get(KEY)]))
            pool.close()
            pool.join()
        client.close()
    """
    helper = "def bins_of(record):\n    assert isinstance(record, aerospike_py.Record)\n    return record.bins\n"
    finished = script.run(helper + script_of(source, kind), options=QUIET)
    assert finished.lines() == ["True", "True", "True", "['a']", "{'a': 1}"]
