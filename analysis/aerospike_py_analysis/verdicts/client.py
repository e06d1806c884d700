"""Checks about what the client waits for or spends itself: pool, limiter, retries, conversion, scheduling."""

from __future__ import annotations

from aerospike_py_analysis.analysis import GroupAnalysis
from aerospike_py_analysis.trends import increase
from aerospike_py_analysis.verdicts.rule import Candidate, Effect, Evidence, by_stages, weigh
from aerospike_py_analysis.verdicts.server import LARGE_BYTES
from aerospike_py_analysis.wording import count, share, time

# Single-key operations with more than one attempt, as a share: from here on they are retries that matter.
RETRIED = 0.03
TIMED_OUT = 0.005
FAILED = 0.01
UNATTRIBUTED = 0.05
DROPPED = 0.01
THROTTLED = 0.02
WARM_UP = 2.0
# One slow operation is no slow start.
FIRST_ONES = 5
# Nor are the first moments of any process, in which its code and data are fetched, unless they cost this part of all
# the time that operations took.
FIRST_MOMENTS_NS = 100_000_000
COSTLY_MOMENTS = 0.1


def retried_share(evidence: Evidence, group: GroupAnalysis) -> float:
    """The share of a group's operations that needed more than one attempt, as far as it can be told."""
    one = evidence.profile_of(group)
    single = one.rows["keys"] <= 1
    total = float(one.weights[single].sum())
    return float(one.weights[single & (one.rows["attempts"] > 1)].sum()) / total if total else 0.0


def small_pool(evidence: Evidence) -> list[Candidate]:
    """Waiting for a connection without retries: the pool has none to spare."""

    def fits(group: GroupAnalysis) -> str | None:
        retried = retried_share(evidence, group)
        # A connection that broke has to be opened anew: that wait is a consequence of the failure.
        broken = group.breakdown.outcomes.get("connection", 0)
        if retried >= RETRIED or broken >= FAILED * group.breakdown.count:
            return None
        return (
            f"{share(retried)} of its operations were tried again, so these are waits for a"
            f" connection; at most {group.breakdown.most_in_flight} operations were in flight"
        )

    return by_stages(evidence, ("pool_acquire", "backoff"), fits)


def retry_storm(evidence: Evidence) -> list[Candidate]:
    """Operations that are tried again."""
    found = []
    for group, part in evidence.groups():
        retried = retried_share(evidence, group)
        if retried < RETRIED:
            continue
        weight = weigh(group, ("backoff", "network_wait", "pool_acquire"))
        figures = group.breakdown
        found.append(
            Candidate(
                part * max(retried, weight.tail_part),
                [
                    f"{group.name}: {share(retried)} of its operations needed more than one attempt,"
                    f" {figures.attempts_mean:.2f} in the mean",
                    f"{group.name}: {count(figures.errors)} of {count(figures.count)} failed in the end",
                ],
                Effect(
                    f"p99 of {group.name}",
                    max(weight.tail_ns, 0.0),
                    0.0,
                    max(weight.high_ns, 0.0),
                    "if no operation were tried again",
                ),
                group.name,
            )
        )
    return found


def limiter(evidence: Evidence) -> list[Candidate]:
    """More operations are wanted than the client admits."""
    return by_stages(evidence, ("limiter_wait",))


def timeouts(evidence: Evidence) -> list[Candidate]:
    """Operations that ran out of time."""
    found = []
    for group, part in evidence.groups():
        figures = group.breakdown
        number = figures.outcomes.get("timeout", 0)
        if number < TIMED_OUT * figures.count:
            continue
        stages = (
            ", ".join(f"{name} ({count(times)})" for name, times in list(figures.failed_in.items())[:3]) or "unknown"
        )
        evidence_text = (
            f"{group.name}: {count(number)} of {count(figures.count)} timed out"
            f" ({share(number / figures.count)}), in {stages}"
        )
        found.append(
            Candidate(part * max(min(10 * number / figures.count, 1.0), 0.05), [evidence_text], None, group.name)
        )
    return found


def failures(evidence: Evidence) -> list[Candidate]:
    """Operations that the server or the connection refused."""
    found = []
    for group, part in evidence.groups():
        figures = group.breakdown
        number = sum(figures.outcomes.get(name, 0) for name in ("server_error", "connection"))
        if number < FAILED * figures.count:
            continue
        kinds = ", ".join(
            f"{name} ({count(times)})" for name, times in figures.outcomes.items() if name not in ("ok", "not_found")
        )
        found.append(
            Candidate(
                # Like time-outs: with a tenth of its operations failing, no latency matters more.
                part * min(10 * number / figures.count, 1.0),
                [f"{group.name}: {share(number / figures.count)} failed: {kinds}"],
                None,
                group.name,
            )
        )
    return found


def conversion(evidence: Evidence) -> list[Candidate]:
    """Turning keys, replies and values into each other takes the time."""

    def fits(group: GroupAnalysis) -> str | None:
        read = group.breakdown.stage("network_read")
        if group.breakdown.bytes_received_mean >= LARGE_BYTES and read is not None and read.share >= 0.1:
            return None
        return f"{group.breakdown.keys_mean:.0f} keys per call in the mean"

    return by_stages(evidence, ("key_parse", "decode", "to_dict"), fits)


def timer(evidence: Evidence) -> list[Candidate]:
    """Deadlines cost more than they should."""
    return by_stages(evidence, ("tokio_timer",))


def scheduling(evidence: Evidence) -> list[Candidate]:
    """The operation could go on, but no thread or core took it up."""

    def fits(group: GroupAnalysis) -> str | None:
        cores = {frame.cpu_quota_cores or frame.cores for frame in evidence.analysis.frames} - {None}
        cores_text = f" on {'/'.join(f'{value:g}' for value in sorted(filter(None, cores)))} cores" if cores else ""
        return f"at most {group.breakdown.most_in_flight} operations were in flight{cores_text}"

    return by_stages(evidence, ("dispatch", "wake_delay", "fan_in"), fits)


def throttled(evidence: Evidence) -> list[Candidate]:
    """The control group stopped the process because its quota was used up."""
    analysis = evidence.analysis
    part = analysis.throttled_seconds / analysis.seconds
    if part < THROTTLED:
        return []
    rows = evidence.profile.probes.get("cgroup_throttled_periods")
    periods = f" in {count(increase(rows))} periods" if rows is not None else ""
    quotas = sorted({frame.cpu_quota_cores for frame in analysis.frames if frame.cpu_quota_cores})
    quota = f"; the quota is {'/'.join(f'{value:g}' for value in quotas)} cores" if quotas else ""
    return [
        Candidate(
            # A stop hits whatever stage is running, so other verdicts about the tail are its consequences.
            min(5 * part + 0.2, 1.0),
            [
                f"the process stood still for {analysis.throttled_seconds:.2f} s of"
                f" {analysis.seconds:.1f} s ({share(part)}){periods}{quota}"
            ],
            Effect(
                "mean of all operations",
                part * mean_ns(evidence),
                0.0,
                2 * part * mean_ns(evidence),
                "time in which nothing ran",
            ),
        )
    ]


def mean_ns(evidence: Evidence) -> float:
    """Mean wall time of all operations."""
    total = sum(group.breakdown.total_ns for group in evidence.analysis.groups)
    return total / max(evidence.analysis.operations, 1)


def cold_start(evidence: Evidence) -> list[Candidate]:
    """The first operations are slower than the rest."""
    found = []
    for group, part in evidence.groups():
        trend = group.trend
        early = [one for one in trend.slices if one.start_ns < trend.slices[0].start_ns + trend.warm_up_ns]
        operations = sum(one.count for one in early)
        if trend.warm_up_factor < WARM_UP or operations < FIRST_ONES:
            continue
        spent = sum(one.count * one.mean_ns for one in early)
        extra = spent * (1 - 1 / trend.warm_up_factor)
        if trend.warm_up_ns < FIRST_MOMENTS_NS and extra < COSTLY_MOMENTS * group.breakdown.total_ns:
            continue
        found.append(
            Candidate(
                part * min(extra / group.breakdown.total_ns + operations / group.breakdown.count, 1.0),
                [
                    f"{group.name}: the first {time(trend.warm_up_ns)} ({count(operations)}"
                    f" operations) took {trend.warm_up_factor:.1f} times"
                    f" as long as later ones, most of it in {trend.warm_up_stage}"
                ],
                Effect(
                    f"first operations of {group.name}",
                    extra / operations,
                    0.0,
                    extra / operations,
                    "if they were like the later ones",
                ),
                group.name,
            )
        )
    return found


def unattributed(evidence: Evidence) -> list[Candidate]:
    """Time that no stage explains."""
    found = []
    for group, part in evidence.groups():
        figures = group.breakdown.stage("unattributed")
        if figures is not None and figures.share >= UNATTRIBUTED:
            found.append(
                Candidate(
                    part * figures.share,
                    [f"{group.name}: {share(figures.share)} of its time is in no stage"],
                    None,
                    group.name,
                )
            )
    return found


def dropped(evidence: Evidence) -> list[Candidate]:
    """Operations that were made, but are not in the recording."""
    missing, seen = evidence.analysis.missing, evidence.analysis.operations
    part = missing / max(missing + seen, 1)
    if part < DROPPED:
        return []
    return [
        Candidate(
            0.02 + 0.1 * part,
            [f"{count(missing)} numbers of operations ({share(part)}) are missing between the first and the last one"],
        )
    ]
