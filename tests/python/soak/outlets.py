"""What becomes of what is recorded, by where it goes: every outlet says what it took, sent, dropped and still holds.

Whatever leaves the process in the background joins the soak as one more ``Outlet`` in the list of the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import aerospike_py

if TYPE_CHECKING:
    from aerospike_py.tracing import TraceRecorder

SPAN_QUEUE = 512
RECORDING_QUEUE = 16 << 10


@dataclass(frozen=True)
class Account:
    """Items by what has become of them."""

    sent: int
    dropped: int
    """For want of room."""
    lost: int
    """With a request or a write that failed."""
    waiting: int

    @property
    def ended(self) -> int:
        """Those that are no longer anybody's concern."""
        return self.sent + self.dropped + self.lost


class Outlet(Protocol):
    """Somewhere that recorded operations go."""

    name: str
    capacity: int
    """Most items that may wait."""

    def account(self) -> Account:
        """What has become of items so far."""


class Spans:
    """Spans over OTLP."""

    name = "spans"
    capacity = SPAN_QUEUE

    def account(self) -> Account:
        stats = aerospike_py.tracing_stats()
        assert stats is not None, "tracing has ended"
        return Account(
            sent=stats["exported_operations"],
            dropped=stats["dropped_queue_full"] + stats["dropped_rate_limit"] + stats["dropped_late_conversions"],
            lost=stats["dropped_export_failed"] + stats["dropped_shutdown"],
            waiting=stats["waiting"],
        )


class Files:
    """A recording in files."""

    name = "files"
    capacity = RECORDING_QUEUE

    def __init__(self, recorder: TraceRecorder) -> None:
        self._recorder = recorder

    def account(self) -> Account:
        stats = self._recorder.stats()
        assert stats["error"] is None, stats["error"]
        return Account(
            sent=stats["rows"],
            dropped=stats["dropped_queue_full"] + stats["dropped_rate_limit"],
            lost=stats["dropped_write_failed"],
            waiting=stats["waiting"],
        )


def ended() -> int:
    """Operations that have ended since the process began, as Prometheus is told."""
    lines = aerospike_py.get_metrics().splitlines()
    counts = [line for line in lines if line.startswith("db_client_operation_duration_seconds_count")]
    return sum(int(float(line.rpartition(" ")[2])) for line in counts)


def recorded() -> tuple[int, int]:
    """Operations that have ended, and conversions made after them, since the process began."""
    snapshot = aerospike_py.stage_snapshot()
    assert snapshot.dropped == 0
    operations = sum(entry.count for entry in snapshot.operations)
    return operations, sum(entry.deferred.count for entry in snapshot.operations if entry.deferred)
