"""The records that the tests of stages read, and one call of every operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aerospike_py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from aerospike_py.testing import EmbeddedServer

NAMESPACE = "test"
KEYS = [(NAMESPACE, "stages", number) for number in range(200)]
MISSING = (NAMESPACE, "stages", "nobody")
BINS = {"number": 1, "text": "x" * 40, "blob": bytes(1000)}
SCRATCH = [(NAMESPACE, "scratch", number) for number in range(20)]

ROWS = np.array([(number, number) for number in range(5, 20)], np.dtype([("_key", "i4"), ("number", "i4")]))

WRITE = {"op": aerospike_py.OPERATOR_WRITE, "bin": "number", "val": 7}
READ = {"op": aerospike_py.OPERATOR_READ, "bin": "number", "val": None}

Call = tuple[Any, ...]
"""The name of an operation and its arguments."""


def fill(server: EmbeddedServer) -> None:
    """Write the records."""
    with aerospike_py.client(server.config()).connect() as client:
        for key in KEYS:
            client.put(key, BINS)
        for key in SCRATCH:
            client.put(key, BINS)


# Each entry leaves the server as it needs it for its own next turn: what removes puts back first, unmeasured.
OPERATIONS: dict[str, tuple[Callable[[int], list[Call]], Callable[[int], Call]]] = {
    "ping": (lambda turn: [], lambda turn: ("ping",)),
    "info_all": (lambda turn: [], lambda turn: ("info_all", "namespaces")),
    "info_random_node": (lambda turn: [], lambda turn: ("info_random_node", "build")),
    "put": (lambda turn: [], lambda turn: ("put", KEYS[turn % 200], BINS)),
    "get": (lambda turn: [], lambda turn: ("get", KEYS[turn % 200])),
    "select": (lambda turn: [], lambda turn: ("select", KEYS[turn % 200], ["number"])),
    "exists": (lambda turn: [], lambda turn: ("exists", KEYS[turn % 200])),
    "touch": (lambda turn: [], lambda turn: ("touch", KEYS[turn % 200], 0)),
    "append": (lambda turn: [("put", SCRATCH[0], {"text": "a"})], lambda turn: ("append", SCRATCH[0], "text", "b")),
    "prepend": (lambda turn: [("put", SCRATCH[0], {"text": "a"})], lambda turn: ("prepend", SCRATCH[0], "text", "b")),
    "increment": (lambda turn: [], lambda turn: ("increment", SCRATCH[1], "number", 1)),
    "remove_bin": (lambda turn: [("put", SCRATCH[2], BINS)], lambda turn: ("remove_bin", SCRATCH[2], ["text"])),
    "remove": (lambda turn: [("put", SCRATCH[3], BINS)], lambda turn: ("remove", SCRATCH[3])),
    "operate": (lambda turn: [], lambda turn: ("operate", SCRATCH[4], [WRITE, READ])),
    "operate_ordered": (lambda turn: [], lambda turn: ("operate_ordered", SCRATCH[4], [WRITE, READ])),
    "batch_read": (lambda turn: [], lambda turn: ("batch_read", KEYS)),
    "batch_write": (lambda turn: [], lambda turn: ("batch_write", [(key, {"number": turn}) for key in SCRATCH[5:]])),
    "batch_write_numpy": (
        lambda turn: [],
        lambda turn: ("batch_write_numpy", ROWS, NAMESPACE, "scratch", ROWS.dtype),
    ),
    "batch_operate": (lambda turn: [], lambda turn: ("batch_operate", SCRATCH[5:], [WRITE, READ])),
    "batch_remove": (lambda turn: [], lambda turn: ("batch_remove", SCRATCH[5:])),
    "truncate": (lambda turn: [], lambda turn: ("truncate", NAMESPACE, "truncated")),
}
"""By operation: the calls that prepare a turn, and the call itself."""
