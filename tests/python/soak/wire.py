"""Counting in OTLP requests without decoding them: only the fields on the way to what is counted are looked at.

Where there is no compiled protobuf, as for free-threaded Python, decoding a request takes longer than a sender waits
for its answer: the receiver would be in trouble all the time. ``test_wire.py`` holds this against protobuf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DURATION = b"db.client.operation.duration"
DEFERRED = b"aerospike.deferred"
"""What the span of a conversion says that was made after its operation."""

KIND = 6
CLIENT = 3
NAME = 1
COUNT = 4
DATA = (5, 7, 9, 10, 11)
"""Gauge, sum, histogram, exponential histogram and summary."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return the number that begins there, and where it ends."""
    number = shift = 0
    while True:
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
        shift += 7


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Go through the fields of a message: numbers of fields, and what they are."""
    place = 0
    while place < len(message):
        tag, place = varint(message, place)
        field, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, place = varint(message, place)
            yield field, value
            continue
        if kind == BYTES:
            length, place = varint(message, place)
        else:
            length = {FIXED64: 8, FIXED32: 4}[kind]
        content = message[place : place + length]
        assert len(content) == length, "the message is cut off"
        place += length
        yield field, content if kind == BYTES else int.from_bytes(content, "little")


def within(message: memoryview, *path: int) -> Iterator[memoryview]:
    """Go through the messages that are reached by these fields, one within the other."""
    for field, value in fields(message):
        if field == path[0]:
            assert isinstance(value, memoryview)
            if len(path) == 1:
                yield value
            else:
                yield from within(value, *path[1:])


def count_traces(body: bytes) -> tuple[int, int]:
    """Return operations and spans; a conversion that was made later counts as an operation, as it does when sent."""
    operations = spans = 0
    # ExportTraceServiceRequest: resource_spans, scope_spans, spans.
    for span in within(memoryview(body), 1, 2, 2):
        spans += 1
        kind = next((value for field, value in fields(span) if field == KIND), 0)
        operations += kind == CLIENT or DEFERRED in bytes(span)
    return operations, spans


def count_metrics(body: bytes) -> tuple[int, int]:
    """Return how many operations have ended since the process began, and how many points there are."""
    operations = points = 0
    # ExportMetricsServiceRequest: resource_metrics, scope_metrics, metrics.
    for metric in within(memoryview(body), 1, 2, 2):
        name = b""
        for field, value in fields(metric):
            if field == NAME:
                name = bytes(value) if isinstance(value, memoryview) else b""
            if field in DATA and isinstance(value, memoryview):
                for point in within(value, 1):
                    points += 1
                    if name == DURATION:
                        count = next((number for field, number in fields(point) if field == COUNT), 0)
                        assert isinstance(count, int)
                        operations += count
    return operations, points
