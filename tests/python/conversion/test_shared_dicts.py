"""Dictionaries are read in place while others change them: a put neither fails nor stores what never was there."""

import threading

ROUNDS = 150
WRITERS = 3


def put_while_changed(client, key, bins, change):
    """Put bins while threads change them; return every state that was stored."""
    stop = threading.Event()
    failures = []

    def keep_changing(number):
        turn = 0
        try:
            while not stop.is_set():
                turn += 1
                change(number, turn)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=keep_changing, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    stored = []
    try:
        for _ in range(ROUNDS):
            client.put(key, bins)
            stored.append(client.get(key).bins)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    return stored


def test_values_are_replaced(client, fresh_set):
    bins = {f"b{number}": ["text", 0] for number in range(8)}

    def change(number, turn):
        bins[f"b{number}"] = turn if turn % 2 else ["text", turn]

    for state in put_while_changed(client, ("test", fresh_set, 1), bins, change):
        assert state.keys() == bins.keys()
        assert all(type(value) is int or value[0] == "text" for value in state.values())


def test_bins_come_and_go(client, fresh_set):
    bins = {"always": 1}

    def change(number, turn):
        name = f"b{number}-{turn % 40}"
        bins[name] = name
        bins.pop(f"b{number}-{(turn + 20) % 40}", None)

    for state in put_while_changed(client, ("test", fresh_set, 2), bins, change):
        assert state.pop("always") == 1
        assert all(name == value for name, value in state.items())


def test_dictionaries_inside_grow_and_shrink(client, fresh_set):
    inner = {"always": 1}
    bins = {"m": inner, "again": {"deeper": inner}, "other": [inner, inner]}

    def change(number, turn):
        for n in range(turn % 30):
            inner[f"{number}-{n}"] = n
        for n in range(turn % 30):
            inner.pop(f"{number}-{n}", None)

    for state in put_while_changed(client, ("test", fresh_set, 3), bins, change):
        for found in (state["m"], state["again"]["deeper"], *state["other"]):
            assert found.pop("always") == 1
            assert all(name.endswith(f"-{n}") for name, n in found.items())


def test_lists_grow_and_shrink(client, fresh_set):
    values = [0]
    bins = {"v": values, "m": {"k": values}}

    def change(_number, turn):
        values.extend([turn] * 20)
        del values[1:]

    for state in put_while_changed(client, ("test", fresh_set, 4), bins, change):
        for found in (state["v"], state["m"]["k"]):
            assert all(type(value) is int for value in found)
