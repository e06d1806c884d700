"""What a scenario is: a workload, the verdicts that it must get and those that it must not get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scenarios.stage import Stage

# Causes that no busy machine imitates: each of them is a false accusation unless it was planted.
CAUSES: Final = frozenset(
    {
        "slow_node", "slow_replies", "large_replies", "small_pool", "retry_storm", "limiter", "timeouts", "failures",
        "slow_callback", "gather", "small_batches", "throttled", "timer", "unattributed", "dropped",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """A planted cause.

    ``first`` are the verdicts that must come first, in this order. Of ``CAUSES``, only these and ``fits`` may be found;
    nothing of ``never`` may be, and nothing at all if ``healthy`` and the machine has nothing else to do.
    """

    name: str
    plants: str
    play: Callable[[Stage], None]
    first: tuple[str, ...] = ()
    also: frozenset[str] = frozenset()
    fits: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    says: str = ""
    healthy: bool = False
    quick: bool = False
    # Only with the GIL: without it the cause does not exist, and the verdicts must not be found.
    gil: bool = False
    # A control group with a CPU quota is needed.
    quota: bool = False

    def expected(self, with_gil: bool) -> tuple[str, ...]:
        """The verdicts that must come first on such an interpreter."""
        return self.first if with_gil or not self.gil else ()

    def mistakes(self, found: list[str], evidence: str, with_gil: bool, busy: bool) -> list[str]:
        """What is wrong with the verdicts that were found, most important first."""
        wrong = []
        first = self.expected(with_gil)
        if first and tuple(found[: len(first)]) != first:
            wrong.append(f"{', '.join(first)} must come first")
        wrong += [f"{rule} is missing" for rule in sorted(self.also - set(found))]
        forbidden = (CAUSES - set(first) - self.also - self.fits) | self.never
        if not with_gil:
            forbidden |= {"gil"}
        if self.healthy and not busy:
            forbidden = frozenset(found)
        wrong += [f"{rule} was not planted" for rule in found if rule in forbidden]
        if first and self.says and self.says not in evidence:
            wrong.append(f"{self.says} is not named")
        return wrong
