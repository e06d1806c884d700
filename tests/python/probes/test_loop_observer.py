"""What an observed loop ran, by name and duration; that it runs the same things in the same order as before."""

import asyncio
import functools
import gc
import selectors
import socket
import threading
import time
import weakref

import aerospike_py
import pytest
from awaiting import FREE_THREADED
from hypothesis import given, settings
from hypothesis import strategies as st

uvloop = pytest.importorskip("uvloop")

LOOPS = [
    pytest.param(asyncio.SelectorEventLoop, id="asyncio"),
    pytest.param(
        uvloop.new_event_loop,
        id="uvloop",
        marks=pytest.mark.skipif(FREE_THREADED, reason="a running thread's frames are not looked at without the GIL"),
    ),
]
BLOCK_S = 0.15


def blocking_callback():
    time.sleep(BLOCK_S)


async def blocking_coroutine():
    await asyncio.sleep(0.001)
    time.sleep(BLOCK_S)  # noqa: ASYNC251 - the fault
    await asyncio.sleep(0.001)


class Blocking:
    """Has a method that blocks."""

    def method(self):
        time.sleep(BLOCK_S)


def run(body, factory=asyncio.SelectorEventLoop):
    """Run a coroutine on a new loop of a kind."""
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(body)


async def observed(block, slow_ms=20):
    """Let the loop be blocked while it is observed; return what the observer has found."""
    with aerospike_py.observe_loop(slow_callback_ms=slow_ms) as observer:
        await asyncio.sleep(0.05)
        await block()
        await asyncio.sleep(0.05)
    return observer


def assert_named_first(observer, name, at):
    """The slowest thing has the name, was seen at the place, and took about as long as it blocked."""
    assert observer.callbacks()
    first = observer.callbacks()[0]
    assert name in first.name
    assert first.name.endswith(")")
    assert "test_loop_observer.py:" in first.name
    assert 0.7 * BLOCK_S < first.max_ns / 1e9 < 2 * BLOCK_S
    assert first.at is None or at in first.at
    assert observer.recent()[-1].duration_ns >= 20e6


@pytest.mark.parametrize("factory", LOOPS)
def test_a_callback_is_named(factory):
    async def block():
        asyncio.get_running_loop().call_soon(blocking_callback)

    observer = run(observed(block), factory)
    assert_named_first(observer, "test_loop_observer:blocking_callback", "blocking_callback")
    assert observer.exact == (factory is asyncio.SelectorEventLoop)
    assert all(entry.sampled != observer.exact for entry in observer.recent())


@pytest.mark.parametrize("factory", LOOPS)
def test_a_coroutine_is_named_and_not_the_task_around_it(factory):
    async def around():
        await blocking_coroutine()

    async def block():
        await asyncio.create_task(around())

    observer = run(observed(block), factory)
    assert_named_first(observer, "blocking_coroutine", "blocking_coroutine")


@pytest.mark.parametrize("factory", LOOPS)
def test_methods_and_partials_are_named(factory):
    async def block():
        loop = asyncio.get_running_loop()
        loop.call_soon(functools.partial(Blocking().method))

    observer = run(observed(block), factory)
    assert_named_first(observer, "Blocking.method", "Blocking.method")


@pytest.mark.parametrize("factory", LOOPS)
def test_what_runs_after_an_operation_is_named(factory, server_config):
    """Tasks that wait for the client are resumed by the client, several in one go: each has its own name."""

    async def reader(client):
        await client.get(("test", "observer", "k"))
        time.sleep(BLOCK_S)  # noqa: ASYNC251 - the fault

    async def patient(client):
        await client.get(("test", "observer", "k"))

    async def main():
        async with await aerospike_py.async_client(server_config).connect() as client:
            await client.put(("test", "observer", "k"), {"n": 1})

            async def block():
                await asyncio.gather(patient(client), reader(client), patient(client))

            return await observed(block)

    observer = run(main(), factory)
    assert_named_first(observer, "reader", "reader")


def test_operations_that_were_held_up_are_counted(server_config, recording):
    async def main():
        async with await aerospike_py.async_client(server_config).connect() as client:
            await client.put(("test", "observer", "k"), {"n": 1})
            # The kernel dates replies on a connection only after a while.
            for _ in range(30):
                await asyncio.gather(*(client.get(("test", "observer", "k")) for _ in range(3)))

            async def block():
                operations = [client.get(("test", "observer", "k")) for _ in range(3)]
                asyncio.get_running_loop().call_soon(blocking_callback)
                await asyncio.gather(*operations)

            return await observed(block)

    first = run(main()).callbacks()[0]
    assert "blocking_callback" in first.name
    assert first.held_up_operations == 3
    assert 0.5 * BLOCK_S * 3 < first.held_up_ns / 1e9 < 1.5 * BLOCK_S * 3


def test_what_is_not_slow_has_no_name():
    async def block():
        for _ in range(200):
            await asyncio.sleep(0)

    assert run(observed(block, slow_ms=1000)).callbacks() == []


def test_a_loop_of_another_thread_is_observed_from_afar():
    loop = asyncio.SelectorEventLoop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with aerospike_py.observe_loop(loop) as observer:
        ended = threading.Event()
        loop.call_soon_threadsafe(blocking_callback)
        loop.call_soon_threadsafe(ended.set)
        assert ended.wait(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert_named_first(observer, "blocking_callback", "blocking_callback")


def test_the_loop_is_as_before_when_the_observer_is_closed():
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(3):
            observer = aerospike_py.observe_loop()
            assert "select" in vars(loop._selector)
            await asyncio.sleep(0.01)
            observer.close()
            observer.close()
            # Without the GIL, somebody goes on looking after the queue that the loop had before.
            assert ("select" in vars(loop._selector)) is FREE_THREADED
            assert ("popleft" in vars(loop._ready)) is FREE_THREADED
            assert "stop" not in vars(loop)
            await asyncio.sleep(0.01)

    run(main())


def test_two_observers_of_one_loop_do_not_disturb_each_other():
    async def main():
        with aerospike_py.observe_loop() as first, aerospike_py.observe_loop() as second:
            await asyncio.sleep(0.05)
            asyncio.get_running_loop().call_soon(blocking_callback)
            await asyncio.sleep(0.3)
        return first, second

    first, second = run(main())
    assert first.exact
    assert not second.exact
    assert_named_first(first, "blocking_callback", "blocking_callback")


def test_a_loop_that_does_not_run_is_not_slow():
    """Between two runs of the loop its thread does something else, for long."""
    loop = asyncio.SelectorEventLoop()

    async def body():
        return aerospike_py.observe_loop()

    observer = loop.run_until_complete(body())
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0.01))
        time.sleep(0.1)
    loop.call_soon(blocking_callback)
    loop.run_until_complete(asyncio.sleep(0.01))
    time.sleep(0.1)
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    assert [entry.count for entry in observer.callbacks()] == [1]
    assert_named_first(observer, "blocking_callback", "blocking_callback")


def test_an_observed_loop_is_freed():
    loop = asyncio.SelectorEventLoop()

    async def body():
        return aerospike_py.observe_loop()

    observer = loop.run_until_complete(body())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    selector = weakref.ref(loop)
    del loop, observer
    gc.collect()
    assert selector() is None


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.sampled_from(["soon", "later", "thread", "socket", "cancel"]), max_size=20))
def test_an_observed_loop_runs_the_same_in_the_same_order(steps):
    """The same program on a loop that is observed and on one that is not leaves the same trace."""

    async def program(trace):
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            loop.add_reader(left, lambda: trace.append(("read", left.recv(10))))
            for number, step in enumerate(steps):
                if step == "soon":
                    loop.call_soon(trace.append, (step, number))
                elif step == "later":
                    loop.call_later(0.001, trace.append, (step, number))
                elif step == "thread":
                    await loop.run_in_executor(None, trace.append, (step, number))
                elif step == "socket":
                    right.send(b"x")
                    await asyncio.sleep(0.001)
                else:
                    loop.call_soon(trace.append, (step, number)).cancel()
                await asyncio.sleep(0)
            await asyncio.sleep(0.003)
            loop.remove_reader(left)

    async def with_observer(trace):
        with aerospike_py.observe_loop():
            await program(trace)

    plain, watched = [], []
    run(program(plain))
    run(with_observer(watched))
    assert sorted(plain) == sorted(watched)
    assert [entry for entry in plain if entry[0] == "soon"] == [entry for entry in watched if entry[0] == "soon"]


def test_callbacks_from_other_threads_are_never_lost():
    """Threads schedule callbacks without pause while observation begins and ends again and again."""

    async def main():
        loop = asyncio.get_running_loop()
        arrived, over = [], threading.Event()

        def schedule(number):
            for count in range(3000):
                loop.call_soon_threadsafe(arrived.append, (number, count))
            over.set()

        threads = [threading.Thread(target=schedule, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            with aerospike_py.observe_loop():
                await asyncio.sleep(0.002)
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        return arrived

    arrived = run(main())
    for number in range(3):
        counts = [count for of, count in arrived if of == number]
        assert counts == list(range(3000))


def test_what_was_scheduled_before_an_observation_runs_before_what_comes_after():
    """Also what a thread puts into the queue from before, which it looked up earlier, much later."""

    async def main():
        loop = asyncio.get_running_loop()
        arrived, former = [], loop._ready
        loop.call_soon(arrived.append, 1)
        loop.call_soon(arrived.append, 2)
        with aerospike_py.observe_loop():
            loop.call_soon(arrived.append, 3)
        loop.call_soon(arrived.append, 4)
        assert loop._ready is not former
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert arrived == [1, 2, 3, 4]
        if FREE_THREADED:
            former.append(asyncio.Handle(arrived.append, (5,), loop))
            loop.call_soon(arrived.append, 6)
            await asyncio.sleep(0.01)
            assert arrived == [1, 2, 3, 4, 5, 6]
            with aerospike_py.observe_loop():
                former.append(asyncio.Handle(arrived.append, (7,), loop))
                loop.call_soon(arrived.append, 8)
                await asyncio.sleep(0.01)
            assert arrived == [1, 2, 3, 4, 5, 6, 7, 8]

    run(main())


def test_the_selector_gives_the_same_events():
    plain, watched = selectors.EpollSelector(), None

    async def main():
        nonlocal watched
        with aerospike_py.observe_loop():
            watched = asyncio.get_running_loop()._selector
            pairs = [socket.socketpair() for _ in range(4)]
            for number, (left, _) in enumerate(pairs):
                for selector in (plain, watched):
                    selector.register(left, selectors.EVENT_READ | (number % 2) * selectors.EVENT_WRITE, number)
            pairs[0][1].send(b"x")
            pairs[1][1].close()
            mine = {key.fileobj for key in plain.get_map().values()}
            found = [
                {(key.data, events) for key, events in selector.select(0) if key.fileobj in mine}
                for selector in (plain, watched)
            ]
            for left, right in pairs:
                watched.unregister(left)
                left.close()
                right.close()
            return found

    expected, found = run(main())
    plain.close()
    assert expected
    assert found == expected


@pytest.mark.parametrize("slow", [0, -1, float("nan"), float("inf")])
def test_thresholds_that_make_no_sense_are_refused(slow):
    with pytest.raises(ValueError, match="slow_callback_ms must be"):
        aerospike_py.observe_loop(asyncio.SelectorEventLoop, slow_callback_ms=slow)


def test_without_a_loop_there_is_nothing_to_observe():
    with pytest.raises(RuntimeError, match="no running event loop"):
        aerospike_py.observe_loop()
