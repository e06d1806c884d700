"""What tests of the client expect again and again: an exact exception, a state that comes soon, no connection left."""

import contextlib
import time

import pytest

SOON_SECONDS = 10
_STEP_SECONDS = 0.01


@contextlib.contextmanager
def raises_exactly(expected, match):
    """Expect this class of exception, no subclass of it, with a message that matches."""
    with pytest.raises(expected, match=match) as caught:
        yield caught
    assert caught.type is expected


def eventually(condition, what):
    """Wait until a condition holds, and fail if it does not come to hold."""
    deadline = time.monotonic() + SOON_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {SOON_SECONDS} s"
        time.sleep(_STEP_SECONDS)


def open_connections(server):
    """Return how many connections the nodes of an embedded server have open."""
    return sum(server.stats(node).connections_open for node in range(len(server.hosts)))


def data_commands(server):
    """Return how many requests about records the nodes of an embedded server have seen."""
    statistics = [server.stats(node) for node in range(len(server.hosts))]
    return sum(count for node in statistics for kind, count in node.commands.items() if kind != "info")


def results(outcome):
    """Return the result codes of a batch, in order."""
    return [record.result for record in outcome.batch_records]
