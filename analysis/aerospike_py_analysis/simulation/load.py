"""A load: callers, the steps that each makes one after the other, and the calls of each step, as work and waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from aerospike_py_analysis.model import Ints


@dataclass(slots=True)
class Call:
    """One operation; all times in nanoseconds.

    ``before`` and ``after`` are work on the loop (sync: with the GIL), ``outgoing`` and ``incoming`` on any core.
    ``setup`` is paid after the reply if nobody was at work, ``always`` in any case.
    """

    group: int
    lead: float
    before: float
    outgoing: float
    wait: float
    delay: float
    backoff: float
    incoming: float
    after: float
    gil: float
    setup: float
    always: float
    nodes: tuple[int, ...]
    stages: Ints
    keys: int
    duration: float


@dataclass(slots=True)
class Step:
    """Calls that a caller makes at once, after a pause; one call, mostly. ``gathered`` says that there were several."""

    pause: float
    calls: list[Call]
    took: float
    gathered: bool


@dataclass
class Caller:
    """A thread or a coroutine: its steps, when the first began, and which loop it runs on."""

    lane: str
    place: tuple[int, int]
    first: float
    steps: list[Step]


@dataclass
class Load:
    """A load, and what it ran on."""

    groups: list[str]
    stages: list[str]
    callers: list[Caller]
    span: float
    gil: bool
    cores: float
    pool: int | None = None
    # Whether callers begin together, so that what comes first tells nothing.
    warm_up: bool = False
    nodes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    missing: float = 0.0
    limited: float = 0.0

    @property
    def calls(self) -> int:
        """Operations of all callers."""
        return sum(len(step.calls) for caller in self.callers for step in caller.steps)
