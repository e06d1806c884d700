"""The conversation between a test and an embedded server in a process of its own."""

import io
import json

import pytest
from aerospike_py.testing.control import serve

START = {"nodes": 1, "namespaces": [["test", 0, 1000]]}


def answers(*requests):
    """Hold a whole conversation and return the replies."""
    lines = [request if isinstance(request, bytes) else json.dumps(request).encode() for request in requests]
    replies = io.BytesIO()
    serve(io.BytesIO(b"\n".join(lines)), replies)
    return [json.loads(line) for line in replies.getvalue().splitlines()]


def call(name, **arguments):
    return {"call": name, "arguments": arguments}


def test_a_server_answers_until_the_requests_end():
    started, addresses, names = answers(call("start", **START), call("addresses"), call("node_names"))
    assert started == {"result": None}
    [[host, port]] = addresses["result"]
    assert host == "127.0.0.1"
    assert port > 0
    assert len(names["result"]) == 1


@pytest.mark.parametrize(
    ("request_line", "error"),
    [
        (b"not json", "ValueError"),
        (b"[]", "TypeError"),
        (b"{}", "KeyError"),
        (call("stop"), "ValueError"),
        (call("__class__"), "ValueError"),
        (call("start", **START), "ValueError"),
        (call("set_fault", fault="delay", node=None, command="any"), "ValueError"),
        (call("set_fault"), "TypeError"),
    ],
)
def test_a_request_that_makes_no_sense_is_answered_and_the_next_one_too(request_line, error):
    started, refused, names = answers(call("start", **START), request_line, call("node_names"))
    assert started == {"result": None}
    assert refused["error"] == error
    assert refused["message"]
    assert len(names["result"]) == 1


def test_nothing_works_before_the_start():
    assert [reply["error"] for reply in answers(call("addresses"))] == ["ValueError"]


def test_a_start_that_fails_can_be_repeated():
    refused, started = answers(call("start", nodes=0, namespaces=[]), call("start", **START))
    assert refused["error"] == "ValueError"
    assert started == {"result": None}
