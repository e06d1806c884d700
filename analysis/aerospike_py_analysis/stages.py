"""The stages that the client's recordings are made of: order, family and how a sentence names them.

The table of the client (``docs/stages.md``) is the source; a test compares this one with it. Recordings may hold
stages that
are not listed here: they are analysed like the others, with the family ``unknown``.
"""

from __future__ import annotations

from typing import Final

UNATTRIBUTED: Final = "unattributed"

FAMILIES: Final[dict[str, str]] = {
    "key_parse": "python",
    "dispatch": "waiting",
    "limiter_wait": "waiting",
    "pool_acquire": "driver",
    "encode": "driver",
    "tokio_timer": "driver",
    "network_write": "network",
    "network_wait": "network",
    "network_read": "network",
    "decode": "driver",
    "wake_delay": "waiting",
    "backoff": "waiting",
    "fan_in": "waiting",
    "gil_reacquire": "python",
    "loop_wait": "python",
    "event_loop_resume": "python",
    "to_dict": "python",
    UNATTRIBUTED: "unexplained",
}

ORDER: Final[tuple[str, ...]] = tuple(FAMILIES)

# Waits of an operation that something else of the process can be blamed for.
LOOP_WAITS: Final[tuple[str, ...]] = ("loop_wait", "event_loop_resume")
GIL_WAITS: Final[tuple[str, ...]] = ("gil_reacquire",)


def family(stage: str) -> str:
    """The group of causes that a stage belongs to, ``unknown`` for a stage of a newer client."""
    return FAMILIES.get(stage, "unknown")


def in_order(names: set[str]) -> list[str]:
    """Stage names in the order in which an operation passes them; unknown ones before ``unattributed``."""
    known = [name for name in ORDER if name in names and name != UNATTRIBUTED]
    unknown = sorted(names - set(ORDER))
    return [*known, *unknown, UNATTRIBUTED]
