"""The table of rules. A rule is a row: adding one means a row here, a check, and a test that it fits and one that it
does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aerospike_py_analysis.analysis import Analysis
from aerospike_py_analysis.profile import Profile
from aerospike_py_analysis.verdicts import client, interpreter, server
from aerospike_py_analysis.verdicts.rule import Evidence, Finding, Rule

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "slow_node", "One node is slow",
        "one node whose operations take half as long again as the others', in a network stage",
        "Look at that node: hot keys, storage, a noisy neighbour, its network path.",
        "dimensions", server.slow_node,
    ),
    Rule(
        "heavy_tailed_server", "The server has a heavy tail",
        "network_wait making the tail on all nodes alike, with a p99 of more than a millisecond",
        "Compare with the server's own latency histograms; if those are fine, it is the network path.",
        "tail", server.heavy_tailed_server,
    ),
    Rule(
        "slow_server", "Replies come late",
        "network_wait of more than a millisecond making most of the time, in the median as in the tail",
        "Bring client and server closer together, or look at the server's load; nothing in the client is slow.",
        "breakdown", server.slow_server,
    ),
    Rule(
        "slow_replies", "Replies come in pieces",
        "small replies with a long network_read",
        "Check the network for loss and the node for load; the reply is small enough to come at once.",
        "tail", server.slow_replies,
    ),
    Rule(
        "large_replies", "Replies are large",
        "large replies with long network_read, decode and to_dict",
        "Read fewer bins or records per call, or store smaller values.",
        "tail", server.large_replies,
    ),
    Rule(
        "slow_writes", "Commands are taken slowly",
        "a long network_write",
        "Write less per call; look at the server's load and the send buffers.",
        "tail", server.slow_writes,
    ),
    Rule(
        "small_pool", "The connection pool is too small",
        "pool_acquire and backoff without retries",
        "Raise max_conns_per_node, keep min_conns_per_node warm, or ask for less at once.",
        "tail", client.small_pool,
    ),
    Rule(
        "retry_storm", "Operations are tried again",
        "operations with more than one attempt",
        "Find the failures behind the retries in the server's log; lower max_retries, raise the"
        " time-outs that cut attempts off.",
        "breakdown", client.retry_storm,
    ),
    Rule(
        "limiter", "The limit of concurrent operations is too low",
        "limiter_wait in the tail",
        "Raise max_concurrent_operations, or ask for less at once; if the server is the bottleneck, leave it.",
        "tail", client.limiter,
    ),
    Rule(
        "timeouts", "Operations run out of time",
        "outcomes that are time-outs",
        "Look at the stage in which they ended; raise the time-out only if the stage is meant to be that long.",
        "breakdown", client.timeouts,
    ),
    Rule(
        "failures", "Operations fail",
        "outcomes that are errors of the server or the connection",
        "Look at the status codes and the server's log first: failed operations distort every other figure.",
        "breakdown", client.failures,
    ),
    Rule(
        "gil", "Threads wait for the GIL",
        "gil_reacquire in the tail",
        "Move CPU-bound Python work to another process, or use free-threaded Python.",
        "blame", interpreter.gil,
    ),
    Rule(
        "slow_callback", "A callback blocks the event loop",
        "a callback that typically takes ten milliseconds or more and ran while operations waited for the loop",
        "Move that callback's work off the loop (a thread, a process), or break it up.",
        "blame", interpreter.slow_callback,
    ),
    Rule(
        "busy_loop", "The event loop is busy",
        "loop_wait and event_loop_resume in the tail without a slow callback or gathered calls behind them",
        "Move CPU work off the loop, or spread the work over several loops with AsyncPool.",
        "blame", interpreter.busy_loop,
    ),
    Rule(
        "gather", "Single operations are gathered instead of one batch",
        "single operations of one loop that start together and overlap",
        "Replace the gather with one batch_read (or batch_write) of the same keys.",
        "fanout", interpreter.gather,
    ),
    Rule(
        "small_batches", "Many small batches instead of one",
        "small batches of one loop that start together and overlap",
        "Merge them: one batch may hold keys of several sets.",
        "fanout", interpreter.small_batches,
    ),
    Rule(
        "conversion", "Conversion takes the time",
        "key_parse, decode and to_dict making a quarter of the time or a fifth of the p99",
        "Select fewer bins, read numbers with to_numpy, convert lazily and only what is needed.",
        "breakdown", client.conversion,
    ),
    Rule(
        "scheduling", "Ready operations wait for a thread",
        "dispatch, wake_delay and fan_in",
        "Give the process more CPU, lower the concurrency, or move CPU-bound work off its cores.",
        "tail", client.scheduling,
    ),
    Rule(
        "throttled", "The CPU quota stops the process",
        "seconds of throttling in the control group",
        "Raise the CPU limit of the container, or use fewer threads than its quota has cores.",
        "trends", client.throttled,
    ),
    Rule(
        "cold_start", "The first operations are slow",
        "first slices of time that take twice as long as later ones, for 100 ms or at a tenth of all the time",
        "Connect and warm up before serving: min_conns_per_node, a few reads of every kind.",
        "trends", client.cold_start,
    ),
    Rule(
        "slow_stretches", "Slow operations come in stretches",
        "slices of time whose p99 is three times that of the typical slice",
        "Find what else happens at these times: the pictures over time show the stage.",
        "trends", interpreter.slow_stretches,
    ),
    Rule(
        "timer", "Deadlines are expensive",
        "tokio_timer in the tail",
        "Fewer operations in flight per process, or more processes.",
        "tail", client.timer,
    ),
    Rule(
        "unattributed", "Time is unexplained",
        "more than a twentieth of the time in no stage",
        "The instrumentation has a hole: report it with this recording.",
        "breakdown", client.unattributed,
    ),
    Rule(
        "dropped", "The recording is incomplete",
        "missing numbers of operations: dropped by the recorder, left out by sampling, or in files that are gone",
        "Without sampling, record to a faster disk or raise the recorder's limits; counts and concurrency are too low.",
        "frame", client.dropped,
    ),
)  # fmt: skip

# A finding below this score is not worth anybody's time.
LEAST: Final = 0.005


@dataclass(frozen=True)
class NotFound:
    """A rule that was looked for and did not fit."""

    rule: str
    looks_for: str


def judge(analysis: Analysis, profile: Profile) -> tuple[list[Finding], list[NotFound]]:
    """Findings by how much they matter, and the rules that did not fit."""
    evidence = Evidence(analysis, profile)
    findings, rest = [], []
    for rule in RULES:
        candidates = sorted(rule.check(evidence), key=lambda candidate: -candidate.score)
        score = sum(candidate.score for candidate in candidates)
        if score < LEAST:
            rest.append(NotFound(rule.id, rule.looks_for))
            continue
        findings.append(
            Finding(
                rule.id,
                rule.title,
                score,
                list(dict.fromkeys(text for candidate in candidates[:3] for text in candidate.evidence)),
                rule.action,
                [str(candidate.effect) for candidate in candidates[:3] if candidate.effect is not None],
                [candidate.group for candidate in candidates if candidate.group is not None],
                rule.picture,
            )
        )
    return sorted(findings, key=lambda finding: -finding.score), rest
