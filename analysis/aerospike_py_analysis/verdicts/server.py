"""Checks about nodes, the server and the network."""

from __future__ import annotations

import numpy as np

from aerospike_py_analysis.analysis import GroupAnalysis
from aerospike_py_analysis.dimensions import Value
from aerospike_py_analysis.model import NONE, Ints
from aerospike_py_analysis.profile import Group
from aerospike_py_analysis.tail import Ordered
from aerospike_py_analysis.verdicts.rule import Candidate, Effect, Evidence, by_stages
from aerospike_py_analysis.wording import share, time

TAIL = 0.99
NETWORK = ("network_write", "network_wait", "network_read")
# A node is slow if its operations take this many times as long as the others' in the mean or in the p99.
SLOWER = 1.5
# Of a batch's nodes one is slow if it is the last one this many times more often than chance.
LAST_LIFT = 1.5
# Heavy-tailed: the p99 of network_wait is this many times its p50.
HEAVY = 3.0
# A node is slower than others by more than chance from this many standard errors on.
STANDARD_ERRORS = 5.0
# What a byte takes on a gigabit network: a wait of this length is what a reply of its size takes anyway.
BYTE_NS = 8.0
# A reply that takes this long is late.
LATE_NS = 1_000_000
# Replies from this size on are large rather than slow.
LARGE_BYTES = 128 * 1024


def slow_node(evidence: Evidence) -> list[Candidate]:
    """One node's operations are slower than those of the others, in a stage of the network."""
    found = []
    for group, part in evidence.groups():
        figures = group.breakdown
        value = slowest_node(evidence, group)
        if value is None:
            continue
        rest = without_node(evidence.profile_of(group), evidence, value.value)
        if rest is None:
            continue
        gain, least, most = (max(figures.p99_ns - value_ns, 0.0) for value_ns in rest)
        found.append(
            Candidate(
                part * max(gain / figures.p99_ns, value.share * value.excess_ns / figures.mean_ns),
                [
                    f"{group.name}: node {value.value} has {share(value.share)} of the operations and"
                    f" {share(value.tail_share)} of the"
                    f" slowest 1 %; its mean is {time(value.excess_ns)} above the others' in {value.excess_stage}"
                ],
                Effect(f"p99 of {group.name}", gain, least, most, "if it had the p99 of the other nodes"),
                group.name,
            )
        )
    return found + slow_node_of_batches(evidence)


def slowest_node(evidence: Evidence, group: GroupAnalysis) -> Value | None:
    """The node that stands out, if one does."""
    nodes = next((dimension for dimension in group.dimensions if dimension.name == "node"), None)
    if nodes is None:
        return None
    values = sorted(nodes.values, key=lambda value: -value.excess_ns)
    worst, others = values[0], values[1:]
    count = sum(value.count for value in others)
    mean = sum(value.mean_ns * value.count for value in others) / count
    if worst.excess_stage not in NETWORK or worst.mean_ns <= SLOWER * mean or worst.lift <= 1:
        return None
    # A few very slow operations, wherever they happen to be, make one node's mean the highest.
    one = evidence.profile_of(group)
    here = one.rows["node"] == evidence.profile.recording.vocabulary.code(worst.value)
    error = np.hypot(standard_error(one.rows["duration_ns"][here]), standard_error(one.rows["duration_ns"][~here]))
    return worst if worst.mean_ns - mean > STANDARD_ERRORS * error else None


def standard_error(values: Ints) -> float:
    """The standard error of a mean."""
    return float(np.std(values) / np.sqrt(max(values.size, 1)))


def size_explains(group: GroupAnalysis) -> bool:
    """Whether replies are so large that their size explains the wait for them: the server reads a record first."""
    size = group.breakdown.bytes_received_mean
    wait = group.breakdown.stage("network_wait")
    return size >= LARGE_BYTES and wait is not None and wait.total_ns / group.breakdown.count <= size * BYTE_NS


def without_node(group: Group, evidence: Evidence, node: str) -> tuple[float, float, float] | None:
    """The p99 of the operations on other nodes, and the largest and smallest value it may as well have (95 %)."""
    code = evidence.profile.recording.vocabulary.code(node)
    others = (group.rows["node"] != code) & (group.rows["node"] != NONE)
    if not others.any():
        return None
    rows = Ordered(group.rows["duration_ns"][others], group.rows.stages[:, others], group.weights[others])
    # Ranks of order statistics: how many of n operations are above a percentile is binomial.
    error = 1.96 * float(np.sqrt(TAIL * (1 - TAIL) / others.sum()))
    return rows.quantile(TAIL), rows.quantile(min(TAIL + error, 1.0)), rows.quantile(TAIL - error)


def slow_node_of_batches(evidence: Evidence) -> list[Candidate]:
    """One node is the last of most batches and keeps the others' results waiting."""
    skew = evidence.analysis.skew
    batches = max((one.batches for one in skew), default=0)
    if len(skew) < 2 or batches < 50:
        return []
    last = sum(one.last for one in skew)
    worst = max(skew, key=lambda one: one.last * one.excess_ns)
    others = float(np.mean([one.mean_ns for one in skew if one is not worst]))
    if worst.last * len(skew) < LAST_LIFT * last or worst.mean_ns < SLOWER * others:
        return []
    # A node with more of the keys has more to send. Nothing is known of sizes: nothing is explained by them.
    sizes = [one.bytes_mean for one in skew if one is not worst and one.bytes_mean]
    larger = worst.bytes_mean / float(np.mean(sizes)) if worst.bytes_mean and sizes else 1.0
    if worst.mean_ns < SLOWER * larger * others:
        return []
    groups = [(group, part) for group, part in evidence.groups() if group.breakdown.keys_mean > 1]
    if not groups:
        return []
    part = sum(part for _, part in groups)
    mean = sum(group.breakdown.mean_ns * part for group, part in groups) / part
    saved = worst.excess_ns * worst.last / last
    return [
        Candidate(
            part * min(saved / mean, 1.0),
            [
                f"batches: node {worst.node} is the last in {share(worst.last / last)} of them and"
                f" then {time(worst.excess_ns)} behind"
                f" the next; it takes {time(worst.mean_ns)}, the others {time(others)}"
            ],
            Effect("mean of batches", saved, 0.0, saved, "if it were as fast as the next"),
            "batches",
        )
    ]


def heavy_tailed_server(evidence: Evidence) -> list[Candidate]:
    """The wait for the reply makes the tail, and on all nodes alike."""

    def fits(group: GroupAnalysis) -> str | None:
        wait = group.breakdown.stage("network_wait")
        if wait is None or wait.p99_ns < max(HEAVY * wait.p50_ns, LATE_NS) or size_explains(group):
            return None
        if slowest_node(evidence, group) is not None:
            return None
        return f"its network_wait is {time(wait.p50_ns)} at p50 and {time(wait.p99_ns)} at p99; no node stands out"

    if slow_node_of_batches(evidence):
        return []
    return [
        one for one in by_stages(evidence, ("network_wait",), fits) if one.effect and one.effect.of.startswith("p99")
    ]


def slow_server(evidence: Evidence) -> list[Candidate]:
    """The wait for the reply is most of all time, without being the tail."""

    def fits(group: GroupAnalysis) -> str | None:
        wait = group.breakdown.stage("network_wait")
        if wait is None or wait.share < 0.5 or wait.p50_ns < LATE_NS or wait.p99_ns >= HEAVY * wait.p50_ns:
            return None
        if size_explains(group) or slowest_node(evidence, group) is not None:
            return None
        if group.breakdown.keys_mean > 1 and slow_node_of_batches(evidence):
            return None
        return f"half of its operations wait longer than {time(wait.p50_ns)} for the first byte"

    return by_stages(evidence, ("network_wait",), fits)


def slow_replies(evidence: Evidence) -> list[Candidate]:
    """Small replies that take long from the first byte to the last."""

    def fits(group: GroupAnalysis) -> str | None:
        size = group.breakdown.bytes_received_mean
        return (
            f"its replies have {size / 1024:.1f} KiB in the mean: too little to take that long"
            if size < LARGE_BYTES
            else None
        )

    return by_stages(evidence, ("network_read",), fits)


def large_replies(evidence: Evidence) -> list[Candidate]:
    """Replies so large that reading and decoding them takes the time."""

    def fits(group: GroupAnalysis, explained: bool) -> str | None:
        size = group.breakdown.bytes_received_mean
        if size < LARGE_BYTES or size_explains(group) is not explained:
            return None
        return f"its replies have {size / 1024:.0f} KiB in the mean"

    stages = ("network_read", "decode", "to_dict")
    return by_stages(evidence, stages, lambda group: fits(group, False)) + by_stages(
        evidence, ("network_wait", *stages), lambda group: fits(group, True)
    )


def slow_writes(evidence: Evidence) -> list[Candidate]:
    """The kernel does not take the command off the client's hands."""
    return by_stages(evidence, ("network_write",))
