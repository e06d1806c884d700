"""What every peer writes and reads, and how it reports it: shared by the drivers and the test, without dependencies.

A driver is run by the Python of its peer's environment, so nothing here may import a client.
"""

from __future__ import annotations

import json
import sys
from typing import Any

NAMESPACE = "test"
BATCH = 200
OURS, THEIRS = "ours", "theirs"
"""The sets that our client fills and that the peer fills."""


def bins_of(number: int) -> dict[str, Any]:
    """Return the bins of a record: one of each kind that all clients can write."""
    return {
        "number": number * 1_000_003 - 2**40,
        "ratio": number / 8 - 3.5,
        "text": f"Zürich {number} \u2603",
        "blob": bytes(range(number % 50)) + b"\x00\xff",
        "list": [number, "two", 3.5, [b"four"]],
        "map": {"one": number, "two": {"deep": [1, 2, 3]}},
    }


def user_key(number: int) -> int | str:
    """Return a key: integers and text in turn."""
    return f"key-{number}" if number % 2 else number


BYTES_KEY = b"key of bytes"
"""A third kind of key, of records beside the batch. Most Python clients make the digest of ``bytes`` as if it were
text, and that of ``bytearray`` as the server's blob; aerospike-native has blobs only."""


def plain(value: Any) -> Any:
    """Turn a value into what JSON can carry without losing the difference between text, bytes and numbers."""
    if isinstance(value, dict):
        return {"map": sorted([plain(key), plain(entry)] for key, entry in value.items())}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": bytes(value).hex()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value)} is not what any client should return here: {value!r}")


def hosts() -> list[tuple[str, int]]:
    """Return the seed nodes that the test names on the command line, as ``host:port``."""
    pairs = [argument.rpartition(":") for argument in sys.argv[1:]]
    return [(host, int(port)) for host, _, port in pairs]


def report(**findings: Any) -> None:
    """Print what was found as one line of JSON, before whatever the client does at the end of its process."""
    print(json.dumps({name: plain(value) for name, value in findings.items()}), flush=True)
