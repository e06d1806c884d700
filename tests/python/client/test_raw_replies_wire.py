"""Replies that no proper server sends, or that arrive in pieces, are the same with bins that stay in the reply."""

import contextlib
import random
import re
import socket
import struct
import sys
import threading

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer

from lanes import open_api

FRAME_HEADER = 8
MESSAGE_HEADER = 22
BATCH_FLAG = 8
KEYS = [("test", "wire", number) for number in range(6)]
RECORDS = [
    {"n": 1, "s": "text", "list": [1, "two", {"k": 3}]},
    {"n": 2, "f": 2.5, "b": b"bytes", "flag": True},
    {"map": {"a": [1, 2], "b": {}}, "n": 3},
    {"n": 4},
    {"s": "x" * 40, "s2": "y"},
]
NO_RETRIES = {"max_retries": 0, "total_timeout": 2000, "socket_timeout": 2000}


def exactly(connection, size):
    received = b""
    while len(received) < size:
        piece = connection.recv(size - len(received))
        if not piece:
            raise ConnectionError
        received += piece
    return received


def frame(connection):
    """Read one frame."""
    header = exactly(connection, FRAME_HEADER)
    return header + exactly(connection, int.from_bytes(header[2:], "big"))


def in_frame(body):
    return bytes([2, 3]) + len(body).to_bytes(6, "big") + body


class Proxy:
    """Stands before a node, and may replace the replies to batches: by pieces of bytes, ``None`` hangs up."""

    def __init__(self, target):
        self.rewrite = None
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = []
        self._sockets = []
        self._start(self._accept)

    @property
    def host(self):
        return self._listener.getsockname()

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                self._start(self._relay, client, server)

    def _relay(self, client, server):
        with contextlib.suppress(OSError), client, server:
            while True:
                request = frame(client)
                server.sendall(request)
                is_batch = request[1] == 3 and request[FRAME_HEADER + 1] & BATCH_FLAG
                reply = frame(server)
                if not (is_batch and self.rewrite):
                    client.sendall(reply)
                    continue
                for piece in self.rewrite(reply):
                    if piece is None:
                        return
                    client.sendall(piece)

    def end(self):
        for one in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture(scope="module")
def proxied(lane, loop_thread):
    """A proxy, and two clients that go through it: bins stay in the reply, and bins are decoded at once."""
    with EmbeddedServer() as server:
        proxy = Proxy(server.hosts[0])
        config = {"hosts": [proxy.host], "tend_interval": 600_000, "max_conns_per_node": 4}
        clients = [open_api(lane, {**config, "raw_replies": raw}, loop_thread) for raw in (True, False)]
        clients[0].batch_write(list(zip(KEYS, RECORDS, strict=False)))
        raw, decoded = (sys.getsizeof(client.batch_read(KEYS)) for client in clients)
        assert raw > decoded
        yield proxy, clients
        for client in clients:
            client.end()
        proxy.end()


def outcome(client, policy=NO_RETRIES):
    """What a batch shows, or what it and its views raise, without what differs from call to call."""
    try:
        handle = client.batch_read(KEYS, policy=policy)
        shown = repr([handle.batch_records, handle.to_dict(), handle.to_list(), handle.found_count()])
        # Seconds to live pass between the two calls.
        return re.sub(r"ttl=\d+", "ttl=some", shown)
    except aerospike_py.AerospikeError as error:
        return type(error), error.result_code


def same(proxied, rewrite, policy=NO_RETRIES):
    proxy, clients = proxied
    proxy.rewrite = rewrite
    try:
        raw, decoded = (outcome(client, policy) for client in clients)
    finally:
        proxy.rewrite = None
    assert raw == decoded
    return raw


def message(bins, *, index=0, code=0, info3=0, fields=(), generation=7):
    """A message of a reply."""
    header = struct.pack(
        ">BBBBBBIIIHH", MESSAGE_HEADER, 0, 0, info3, 0, code, generation, 0, index, len(fields), len(bins)
    )
    body = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    for name, kind, value in bins:
        body += struct.pack(">IBBBB", 4 + len(name) + len(value), 1, kind, 0, len(name)) + name + value
    return header + body


LAST = message([], info3=1)
INT = (b"n", 1, (9).to_bytes(8, "big"))


def reply_of(*messages):
    """Replaces a reply by one frame of these messages and the end."""
    whole = in_frame(b"".join(messages) + LAST)
    return lambda _: [whole]


def test_every_split_of_a_reply(proxied):
    expected = same(proxied, None)
    whole = []
    same(proxied, lambda reply: whole.append(reply) or [reply])
    for cut in range(1, len(whole[0]), 3):
        assert same(proxied, lambda reply, cut=cut: [reply[:cut], reply[cut:]]) == expected
    assert same(proxied, lambda reply: [reply[place : place + 1] for place in range(len(reply))]) == expected


def test_rows_in_frames_of_their_own(proxied):
    row = message([INT], index=1)
    shown = same(proxied, lambda _: [in_frame(row), in_frame(message([INT, INT], index=2) + row), in_frame(LAST)])
    assert "{'n': [9, 9]}" in shown


def test_a_reply_that_ends_early_or_says_too_much(proxied):
    assert same(proxied, lambda reply: [reply[:-30], None])[0] is not str
    same(proxied, lambda reply: [None])
    same(proxied, lambda reply: [reply[:20], None])
    # Nobody asked for the second reply: the connection must not be used again.
    expected = same(proxied, None)
    assert same(proxied, lambda reply: [reply + reply]) == expected
    assert same(proxied, None) == expected


def test_a_node_that_hangs_up_once_is_asked_again(proxied):
    expected = same(proxied, None)
    for cut in (0, 5, 100, -1):
        left = [True, True]

        def once(reply, cut=cut, left=left):
            return [reply[:cut], None] if left and left.pop() else [reply]

        assert same(proxied, once, {"max_retries": 3, "total_timeout": 10_000}) == expected


PARTICLES = {
    "integer of four bytes": (b"v", 1, b"\0\0\0\x01"),
    "text that is no UTF-8": (b"v", 3, b"\xff\xfe"),
    "name that is no UTF-8": (b"\xff", 3, b"x"),
    "no value": (b"v", 0, b""),
    "foreign": (b"v", 9, b"pickled"),
    "foreign number": (b"v", 77, b""),
    "no name": (b"", 3, b"answer"),
    "flag of two bytes": (b"v", 17, b"\x01\0"),
    "HyperLogLog": (b"v", 18, b"\0\x01hll"),
    "region": (b"v", 23, b"\0\0\0{}"),
    "region with cells": (b"v", 23, b"\0\0\x02" + bytes(16) + b"{}"),
    "region without text": (b"v", 23, b"\0\0\x02"),
    "list that ends early": (b"v", 20, b"\x92\x01"),
    "list with more after it": (b"v", 20, b"\x91\x01\x01"),
    "list of billions": (b"v", 20, b"\xdd\xff\xff\xff\xff"),
    "list with a marker": (b"v", 20, b"\x92\xc7\0\x01\x05"),
    "list of all": (b"v", 20, b"\x98\xc0\xc2\xca\x3f\xc0\0\0\xa2\x03a\xa2\x17b\xa2\x04c\xa2\x12d\xa2\x09e"),
    "map by key": (b"v", 19, b"\x83\xc7\0\x01\xc0\x01\xa2\x03a\xa2\x03k\x02"),
    "map by key and value": (b"v", 19, b"\x83\xc7\0\x09\xc0\x01\x91\x02\x01\xc3"),
    "map with keys that repeat": (b"v", 19, b"\x82\x01\x02\x01\x03"),
    "map with a flag for a key": (b"v", 19, b"\x81\xc3\x01"),
    "map with a list for a key": (b"v", 19, b"\x81\x90\x01"),
    "map with containers for keys": (b"v", 19, b"\x83\x92\x01\x91\xa2\x03a\x01\x81\x01\x90\x02\x80\x03"),
    "list for a map": (b"v", 19, b"\x90"),
    "nested deeply": (b"v", 20, b"\x91" * 400 + b"\x90"),
    "nested too deeply": (b"v", 20, b"\x91" * 600 + b"\x90"),
    "exactly as deep as allowed": (b"v", 20, b"\x91" * 512 + b"\x90"),
    "one less deep": (b"v", 20, b"\x91" * 511 + b"\x90"),
    "a number one too deep": (b"v", 20, b"\x91" * 513 + b"\x01"),
}


@pytest.mark.parametrize("particle", PARTICLES.values(), ids=PARTICLES)
def test_particles_of_every_kind(proxied, particle):
    same(proxied, reply_of(message([INT], index=1), message([INT, particle, INT], index=0), message([INT], index=2)))


ROWS = {
    "index that was not asked for": message([INT], index=99),
    "result code": message([], index=1, code=14),
    "result code with bins": message([INT], index=1, code=14),
    "missing with bins": message([INT], index=1, code=2),
    "fields": message([INT], index=1, fields=[b"\x04" + bytes(20), b"\x00test", b"\x01set", b"\x02\x03key"]),
    "large generation": message([INT], index=1, generation=2**31 + 5),
    "tag of nobody": message([(b"v", 9, b"")], index=1, generation=2**32 - 1),
    "end with a code": message([], index=1, code=14, info3=1),
    "the same row twice": message([INT], index=1) + message([(b"m", 3, b"x")], index=1),
    "no bins": message([], index=1),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_rows_of_every_kind(proxied, row):
    same(proxied, reply_of(message([INT], index=0), row, message([INT, (b"z", 4, b"zz")], index=2)))


def test_large_generations_are_shown_as_they_are(proxied):
    shown = same(proxied, reply_of(message([INT], generation=2**31), message([INT], index=1, generation=2**32 - 1)))
    assert str(2**31) in shown
    assert str(2**32 - 1) in shown


def test_mutated_replies(proxied):
    numbers = random.Random(7)

    def mutation():
        places = [(numbers.random(), numbers.randrange(256)) for _ in range(numbers.randrange(1, 4))]
        # Lengths decide how much is waited for, and a reply that never ends would only be waited for.
        start = FRAME_HEADER + numbers.choice([0, MESSAGE_HEADER])

        def mutate(reply):
            body = bytearray(reply)
            for where, byte in places:
                body[start + int(where * (len(body) - start))] = byte
            return [bytes(body), None]

        return mutate

    for _ in range(150):
        same(proxied, mutation())
