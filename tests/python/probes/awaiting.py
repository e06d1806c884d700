"""Waiting for what other threads do, and what kind of interpreter this is."""

import sys
import time

FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()


def until(is_so, seconds=20.0):
    """Wait until a condition holds; fail if it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)
