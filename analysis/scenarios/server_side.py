"""Scenarios whose cause lies in the server or the network: nodes, replies, errors."""

from __future__ import annotations

import time

from scenarios.scenario import Scenario
from scenarios.stage import Stage, background, key

SINGLE_ATTEMPT = {"max_retries": 0}


def slow_node(stage: Stage) -> None:
    """Single reads, one node of three 25 ms late."""
    with stage.client() as client, stage.server.fault("delay=25ms", node=1, command="read"), stage.recording():
        stage.threads(lambda number: client.get(key(number)), 6)


def slow_node_in_batches(stage: Stage) -> None:
    """Batches over three nodes, one of them 25 ms late."""
    keys = [key(number) for number in range(60)]
    with stage.client() as client:
        stage.threads(lambda _: client.batch_read(keys), 4, calls=5)
        with stage.server.fault("delay=25ms", node=2, command="batch_read"), stage.recording():
            stage.threads(lambda _: client.batch_read(keys), 4)


def heavy_tailed_server(stage: Stage) -> None:
    """Log-normal delays on all nodes alike."""
    with stage.client() as client, stage.server.fault("delay=heavy:3ms,80ms", command="read"), stage.recording():
        stage.threads(lambda number: client.get(key(number)), 6)


def slow_server(stage: Stage) -> None:
    """Every reply 25 ms late."""
    with stage.client() as client, stage.server.fault("delay=25ms", command="read"), stage.recording():
        stage.threads(lambda number: client.get(key(number)), 6)


def dribbled_replies(stage: Stage) -> None:
    """Replies of some hundred bytes in pieces of 16 with pauses."""
    with stage.client(size=200) as client, stage.server.fault("dribble=16,3ms", command="read"), stage.recording():
        stage.threads(lambda number: client.get(key(number)), 6)


def retry_storm(stage: Stage) -> None:
    """Three of ten attempts break."""
    policy = {"max_retries": 6, "sleep_between_retries": 20, "total_timeout": 5000}
    with stage.client() as client, stage.server.fault("reset@0.3", command="read"), stage.recording():
        stage.threads(lambda number: client.get(key(number), policy), 6)


def timeouts(stage: Stage) -> None:
    """One of five replies never comes."""
    policy = {"max_retries": 0, "socket_timeout": 100, "total_timeout": 100}
    with stage.client() as client, stage.server.fault("stall@0.2", command="read"), stage.recording():
        stage.threads(lambda number: client.get(key(number), policy), 8)


def server_errors(stage: Stage) -> None:
    """Three of ten replies are an error of the device."""
    with stage.client() as client, stage.server.fault("error=18@0.3", command="read"), stage.recording():
        stage.threads(lambda number: client.get(key(number), SINGLE_ATTEMPT), 2, pause=0.002)


def failing_node(stage: Stage) -> None:
    """One of three nodes breaks every connection."""
    with stage.client() as client, stage.server.fault("reset", node=1, command="read"), stage.recording():
        stage.threads(lambda number: client.get(key(number), SINGLE_ATTEMPT), 2, pause=0.002)


def huge_values(stage: Stage) -> None:
    """Records of 900 KB."""
    with stage.client(size=900_000, warm=False) as client:
        stage.threads(lambda number: client.get(key(number)), 2, calls=20)
        with stage.recording():
            stage.threads(lambda number: client.get(key(number)), 2)


def slow_stretch(stage: Stage) -> None:
    """For a tenth of the time, every reply is 40 ms late."""
    with stage.client() as client, stage.recording():
        stage.threads(lambda number: client.get(key(number)), 4, seconds=1.8, pause=0.006)
        with stage.server.fault("delay=40ms", command="read"):
            stage.threads(lambda number: client.get(key(number)), 4, seconds=0.4, pause=0.006, fewest=0)
        stage.threads(lambda number: client.get(key(number)), 4, seconds=1.8, pause=0.006)


def cold_start(stage: Stage) -> None:
    """A new client without warm connections; the server's cache is cold for the first reads."""
    with stage.client(warm=False) as client, stage.recording():
        with stage.server.fault("delay=60ms", command="read"):
            stage.threads(lambda number: client.get(key(number)), 4, seconds=0.5, fewest=0)
        stage.threads(lambda number: client.get(key(number)), 4, seconds=2.5, pause=0.004)


def migrating(stage: Stage) -> None:
    """Two nodes of three are late together, from time to time: no node stands out."""
    nodes = (0, 1, 2)

    def storm() -> None:
        faults = [stage.server.fault("delay=50ms@0.1", node=node, command="read") for node in nodes]
        time.sleep(0.05)
        for fault in faults:
            fault.clear()
        time.sleep(0.01)

    with stage.client() as client, background(storm), stage.recording():
        stage.threads(lambda number: client.get(key(number)), 4, pause=0.002)


TAIL = frozenset({"heavy_tailed_server", "slow_server"})

SCENARIOS = (
    Scenario("slow node", "one node of three is 25 ms late", slow_node, ("slow_node",), never=TAIL, quick=True),
    Scenario(
        "slow node in batches", "one node of three is 25 ms late in batches", slow_node_in_batches, ("slow_node",),
        never=TAIL,
    ),
    Scenario(
        "heavy-tailed server", "log-normal delays, 3 ms at p50, 80 ms at p99", heavy_tailed_server,
        ("heavy_tailed_server",), never=frozenset({"slow_server"}),
    ),
    Scenario(
        "slow moments of all nodes", "a tenth of the replies 50 ms late, anywhere", migrating, ("heavy_tailed_server",),
        never=frozenset({"slow_server"}),
    ),
    Scenario("slow server", "every reply is 25 ms late", slow_server, ("slow_server",),
             never=frozenset({"heavy_tailed_server"})),
    Scenario("dribbled replies", "16 bytes at a time, 3 ms apart", dribbled_replies, ("slow_replies",), quick=True),
    Scenario("retry storm", "three of ten attempts break", retry_storm, ("retry_storm",),
             fits=frozenset({"failures"})),
    Scenario("time-outs", "one of five replies never comes", timeouts, ("timeouts",), quick=True),
    Scenario("server errors", "three of ten replies are errors", server_errors, ("failures",)),
    Scenario("failing node", "one of three nodes breaks connections", failing_node, ("failures",),
             fits=frozenset({"retry_storm"})),
    Scenario("huge values", "records of 900 KB", huge_values, ("large_replies",)),
    Scenario("slow stretch", "40 ms late during 0.4 of 4 seconds", slow_stretch, ("slow_stretches",),
             fits=frozenset({"slow_node"})),
    Scenario("cold start", "the first half second is 60 ms late", cold_start, ("cold_start",)),
)  # fmt: skip
