"""Checks about Python: the GIL, the event loop, and calls that should be one."""

from __future__ import annotations

from aerospike_py_analysis.analysis import GroupAnalysis
from aerospike_py_analysis.culprits import Blame, Culprit
from aerospike_py_analysis.stages import GIL_WAITS, LOOP_WAITS
from aerospike_py_analysis.verdicts.rule import IN_STRETCHES, Candidate, Effect, Evidence, by_stages
from aerospike_py_analysis.wording import count, share, time

# A callback of this length is slow by itself; shorter ones block the loop by their number.
SLOW_CALLBACK_NS = 10_000_000
CULPRIT_PART = 0.25
# Gathering matters from this share of all operations on, if one batch saves this part of the time.
GATHERED = 0.2
SAVED = 0.2
SMALL_BATCH = 8
# Independent tasks start together when a blocked loop goes on, but not so many.
FEWEST_CALLS = 5
# Stretches come behind causes that hold for all of a recording and explain as much.
STRETCHES = 0.9
# Stretches that do not make the tail must hold this part of all operations: any machine stops for a moment.
FEWEST_IN_STRETCHES = 0.02


def blamed(evidence: Evidence, waits: tuple[str, ...]) -> Blame | None:
    """Who is to blame for some waits, if there were any."""
    return next((one for one in evidence.analysis.blame if one.waits == waits), None)


def culprit_text(culprit: Culprit) -> str:
    """A culprit in a sentence."""
    return (
        f"{culprit.name} took {share(culprit.share)} of the examined waits, {time(culprit.took_ns)}"
        f" from {count(culprit.operations)} operations;"
        f" its longest run was {time(culprit.longest_ns)}"
    )


def gil(evidence: Evidence) -> list[Candidate]:
    """Results are there, but another thread has the GIL."""

    def fits(_: GroupAnalysis) -> str | None:
        waits = blamed(evidence, GIL_WAITS)
        return culprit_text(waits.culprits[0]) if waits is not None and waits.culprits else ""

    return by_stages(evidence, GIL_WAITS, fits)


def slow_culprits(evidence: Evidence) -> list[Culprit]:
    """Callbacks that are slow by themselves and took much from operations."""
    waits = blamed(evidence, LOOP_WAITS)
    if waits is None:
        return []
    # The typical run counts: a busy machine makes any callback's longest one long.
    return [one for one in waits.culprits if one.typical_ns >= SLOW_CALLBACK_NS and one.share >= CULPRIT_PART]


def slow_callback(evidence: Evidence) -> list[Candidate]:
    """A callback or coroutine step that keeps the loop for long."""
    culprits = slow_culprits(evidence)
    if not culprits:
        return []
    return by_stages(evidence, LOOP_WAITS, lambda _: "; ".join(map(culprit_text, culprits[:3])))


def busy_loop(evidence: Evidence) -> list[Candidate]:
    """The loop has more to run than it can, and no single callback is to blame."""
    if slow_culprits(evidence) or gather(evidence) or small_batches(evidence):
        return []

    def fits(_: GroupAnalysis) -> str | None:
        waits = blamed(evidence, LOOP_WAITS)
        if waits is None or not waits.culprits:
            return "no probe of the loop says what ran"
        return (
            f"callbacks explain {share(waits.explained_ns / max(waits.examined_ns, 1.0))} of the"
            f" examined waits; {culprit_text(waits.culprits[0])}"
        )

    return by_stages(evidence, LOOP_WAITS, fits)


def gather(evidence: Evidence) -> list[Candidate]:
    """Single operations that were gathered where one batch would do."""
    return gathered(evidence, small=False)


def small_batches(evidence: Evidence) -> list[Candidate]:
    """Small batches that were gathered where one batch would do."""
    return gathered(evidence, small=True)


def gathered(evidence: Evidence, small: bool) -> list[Candidate]:
    """Gathered calls of single keys, or of several."""
    keys = {group.breakdown.operation: group.breakdown.keys_mean for group in evidence.analysis.groups}
    found = []
    for one in evidence.analysis.gathered:
        per_call = keys.get(one.operation, 1.0)
        if (per_call > 1.5) != small or per_call > SMALL_BATCH:
            continue
        if (
            one.calls_share < GATHERED
            or one.saved_ns < SAVED * one.took_ns
            or min(one.bursts, one.calls_per_burst) < FEWEST_CALLS
        ):
            continue
        found.append(
            Candidate(
                # Calls that one batch makes needless: each of them can meet the tail.
                one.calls_share * (1 - 1 / one.calls_per_burst),
                [
                    f"{one.operation}: {share(one.calls_share)} of all operations were made in"
                    f" {count(one.bursts)} bursts of {one.calls_per_burst:.1f} calls"
                    f" with {per_call:.1f} keys each; a burst takes {time(one.took_ns)}, one batch of"
                    f" its keys about {time(one.batch_ns)}"
                ],
                Effect(
                    f"a burst of {one.operation}",
                    one.saved_ns,
                    max(one.saved_low_ns, 0.0),
                    one.saved_high_ns,
                    "estimated from the bursts' own stages",
                ),
                one.operation,
            )
        )
    return found


def slow_stretches(evidence: Evidence) -> list[Candidate]:
    """Slow operations that come in stretches of time rather than evenly."""
    found = []
    for group, part in evidence.groups():
        trend = group.trend
        warm = trend.slices[0].start_ns + trend.warm_up_ns if trend.slices else 0
        bursts = [trend.slices[i] for i in trend.bursts if trend.slices[i].start_ns >= warm]
        in_them = evidence.tail_in_stretches(group)
        if not bursts or (len(bursts) > len(trend.slices) / 4 and in_them < IN_STRETCHES):
            continue
        operations = sum(one.count for one in bursts)
        if in_them < IN_STRETCHES and operations < FEWEST_IN_STRETCHES * group.breakdown.count:
            continue
        worst = max(bursts, key=lambda one: one.p99_ns)
        found.append(
            Candidate(
                part
                * (STRETCHES * in_them if in_them >= IN_STRETCHES else min(operations / group.breakdown.count, 0.2)),
                [
                    f"{group.name}: {len(bursts)} of {len(trend.slices)} slices of"
                    f" {time(trend.width_ns)} are slow; the worst begins"
                    f" {time(max(worst.start_ns, 0))} into the recording with a p99 of {time(worst.p99_ns)};"
                    f" those that are slow throughout hold {share(in_them)} of the slowest 1 %"
                ],
                None,
                group.name,
            )
        )
    return found
