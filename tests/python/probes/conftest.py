"""What the tests of probes share: clean figures, threads that keep the GIL, and the end of whatever was started."""

import sys
import sysconfig
import threading

import aerospike_py
import pytest

HOLDS_THE_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED") or getattr(sys, "_is_gil_enabled", lambda: True)()


class Spinning:
    """A thread of pure Python that gives the GIL away only when it is asked to, after the switch interval."""

    def __init__(self, interval):
        self.interval = interval
        self.over = False
        self.thread = threading.Thread(target=self.spin)

    def spin(self):
        while not self.over:
            pass

    def __enter__(self):
        self.before = sys.getswitchinterval()
        self.thread.start()
        sys.setswitchinterval(self.interval)

    def __exit__(self, *_exception):
        sys.setswitchinterval(self.before)
        self.over = True
        self.thread.join()


@pytest.fixture
def spinning():
    """Return a context manager in which another thread keeps the GIL for so many seconds at a time."""
    if not HOLDS_THE_GIL:
        pytest.skip("there is no GIL to wait for")
    return Spinning


@pytest.fixture
def probes():
    """Return a function that starts probes, which are stopped after the test."""
    yield aerospike_py.start_probes
    aerospike_py.stop_probes()


@pytest.fixture
def recording():
    """Record stages during the test."""
    aerospike_py.stage_snapshot(reset=True)
    with aerospike_py.internal_stage_profiling():
        yield
