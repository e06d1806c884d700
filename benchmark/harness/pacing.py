"""Arrivals: a schedule that is fixed before anything starts, and a precise alarm for event loops.

Standard library only: it is imported by the Python of every client. `benchmark/rust-core` makes the same schedules.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import math
import os
import struct
import sys
import time
from array import array
from collections.abc import Callable

from benchmark.harness.data import mix

ARRIVALS = ("poisson", "constant")
_ARRIVAL_SALT = 0xA5A5_0003
_CLOCK_MONOTONIC, _TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = 1, 0o4000, 0o2000000, 1


def schedule(rate: float, seconds: float, arrivals: str, seed: int) -> array[int]:
    """When each operation is to start, in nanoseconds after the round does.

    Args:
        rate: Operations per second.
        seconds: How long operations arrive.
        arrivals: `poisson`, independent of each other, or `constant`, evenly spaced.
        seed: Of a Poisson schedule; the same seed makes the same schedule for every client.

    Raises:
        ValueError: The arrivals are of no known kind, or the rate is not positive.
    """
    if arrivals not in ARRIVALS or rate <= 0:
        raise ValueError(f"arrivals are {' or '.join(ARRIVALS)} at a positive rate, not {arrivals!r} at {rate}")
    found, end = array("q"), seconds * 1e9
    if arrivals == "constant":
        found.extend(int(number * 1e9 / rate) for number in range(math.ceil(rate * seconds)))
        return found
    at, number = 0.0, 0
    while True:
        # 53 random bits, never zero.
        part = ((mix((seed << 32) ^ number ^ (_ARRIVAL_SALT << 8)) >> 11) + 0.5) / 2**53
        at -= math.log(part) / rate * 1e9
        if at >= end:
            return found
        found.append(int(at))
        number += 1


class _Specification(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns"))


class Alarm:
    """Calls back on the event loop at a time, to some ten microseconds.

    Event loops round their own timers to milliseconds, which would be longer than most operations. A timer of the
    kernel that the loop watches like a socket is precise. Where there is none, the loop's own timer it is.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._descriptor = -1
        if self._libc is not None:
            self._descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        self.precise = self._descriptor >= 0
        if self.precise:
            loop.add_reader(self._descriptor, self._rang)

    def set_ns(self, at_ns: int) -> None:
        """Have it ring once at a time of `time.perf_counter_ns`."""
        # The timer's clock is the monotonic one; on Linux, so is the performance counter.
        if not self.precise or self._libc is None:
            self._loop.call_later(max(at_ns - time.perf_counter_ns(), 0) / 1e9, self._ring)
            return
        # A time of zero would disarm it; one that is over rings at once.
        seconds, nanoseconds = divmod(max(at_ns, 1), 1_000_000_000)
        specification = _Specification(0, 0, seconds, nanoseconds)
        if self._libc.timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, ctypes.byref(specification), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def _rang(self) -> None:
        with contextlib.suppress(BlockingIOError):
            struct.unpack("Q", os.read(self._descriptor, 8))
            self._ring()

    def close(self) -> None:
        if self.precise:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self.precise = False
