"""Why is my call slow? The questions that lead from a table of stages to one stage, as a page.

What a large value of a stage means and what to do about it is not said here: the page takes it from the table of
stages. Every stage is led to by exactly one question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Described(Protocol):
    """What the page needs to know of a stage."""

    @property
    def name(self) -> str:
        """The stage."""

    @property
    def interpretation(self) -> str:
        """What a large value means."""

    @property
    def action(self) -> str:
        """What to do about a large value."""


@dataclass(frozen=True)
class Question:
    """A fork of the tree: how to answer it, and the stages that it leads to when the answer is yes."""

    text: str
    how: str
    stages: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


QUESTIONS = (
    Question(
        "Is the time spent outside of the calls?",
        "Compare the p99 of `wall` with the p99 of your requests. If the calls are fast and the requests are slow, the "
        "time goes elsewhere.",
        hints=(
            "`after the call` in the table: a lazy batch that becomes Python objects when it is asked for.",
            "The code between calls: models, templates, serialisation.",
            "More calls than you think: `count` divided by the number of requests.",
        ),
    ),
    Question(
        "Is it the network or the server?",
        "One of the three `network_` stages makes the difference between a fast call and a slow one.",
        ("network_wait", "network_read", "network_write"),
        (
            "One node stands out in `nodes` of the snapshot: a hot key, a slow disk, a noisy neighbour. Look there.",
            "All nodes are slow alike, and the server's own histograms are fast: it is the path between you.",
        ),
    ),
    Question(
        "Did it wait for something of the client?",
        "The call stood in a queue: for a permit, for a connection, for its turn to try again.",
        ("limiter_wait", "backoff", "pool_acquire"),
        (
            "`failed_in` of the snapshot, and the server's log, tell retries from a pool that has nothing to spare.",
            "[Pools and time-outs](guides/pools-and-timeouts.md) has an example of each.",
        ),
    ),
    Question(
        "Did it wait for a processor?",
        "These grow together when there are more threads than cores, or when a container is throttled.",
        ("wake_delay", "dispatch", "fan_in"),
    ),
    Question(
        "Did it wait for Python?",
        "The result was there, and your process was not ready to take it.",
        ("gil_reacquire", "loop_wait", "event_loop_resume"),
        ("`gil_reacquire` is about threads, the other two about the event loop; `observe_loop()` names what it ran.",),
    ),
    Question(
        "Is it the work itself?",
        "These grow with the number of keys, bins and bytes. They are the mean more often than the tail.",
        ("key_parse", "encode", "decode", "to_dict", "tokio_timer"),
    ),
    Question(
        "Is it none of them?",
        "Then the instrumentation has a hole.",
        ("unattributed",),
    ),
)

HEAD = """\
# Why is my call slow?

<!-- Written by scripts/write_stage_docs.py; change the table in src/stages or scripts/stage_questions.py. -->

Take a table of the slow period, find the stage that makes the difference, and follow it.

## 1. Take a table

Record while it is slow. In production that is `AEROSPIKE_PY_INTERNAL_METRICS=1` and Prometheus; here it is a block of
code, and a server of which one reply in ten is 30 ms late:

```python
import aerospike_py
from aerospike_py.testing import EmbeddedServer

key = ("test", "users", "ann")
with EmbeddedServer(process=True) as server, aerospike_py.client(server.config()).connect() as slow:
    slow.put(key, {"n": 1})
    aerospike_py.stage_snapshot(reset=True)
    with server.fault("delay=30ms@0.1", command="read"), aerospike_py.internal_stage_profiling():
        for _ in range(200):
            slow.get(key)

snapshot = aerospike_py.stage_snapshot()
print(snapshot.table())
```

## 2. Find the stage of the tail

Not the stage with the largest share: the one whose p99 is farthest from its p50.

```python
get = snapshot.operation("get", "sync")
distance = {name: stage.p99_ns - stage.p50_ns for name, stage in get.stages.items()}
assert max(distance, key=distance.get) == "network_wait"
```

## 3. Follow it

Go through the questions from the top and stop at the first *yes*.
"""


def questions_page(rows: Sequence[Described]) -> str:
    """Return the page; a stage that no question leads to, or two do, stops the script."""
    by_name = {row.name: row for row in rows}
    led_to = [stage for question in QUESTIONS for stage in question.stages]
    if sorted(led_to) != sorted(by_name):
        differing = sorted({*led_to} ^ {*by_name}) or sorted({name for name in led_to if led_to.count(name) > 1})
        raise SystemExit(f"questions and stages differ: {differing}; lead to every stage once in stage_questions.py")
    parts = [HEAD, overview()]
    parts += [part(number, question, by_name) for number, question in enumerate(QUESTIONS, 1)]
    return "\n".join(parts)


def overview() -> str:
    """Draw the tree: one line per question, with what it leads to."""
    lines = ['<div class="tree" markdown>', ""]
    for number, question in enumerate(QUESTIONS, 1):
        stages = " ".join(f"[`{stage}`](#{stage})" for stage in question.stages) or "it is not the client"
        lines.append(f"{number}. [{question.text}](#question-{number})")
        lines.append("")
        lines.append(f"    yes: {stages}")
        lines.append("")
    return "\n".join([*lines, "</div>", ""])


def part(number: int, question: Question, rows: dict[str, Described]) -> str:
    """Describe one question and the stages that it leads to."""
    lines = [f"### {number}. {question.text} {{ #question-{number} }}", "", question.how, ""]
    lines += [f"- {hint}" for hint in question.hints]
    lines += [""] if question.hints else []
    for name in question.stages:
        row = rows[name]
        lines.append(f'<a id="{name}"></a>')
        lines.append(f"**[`{name}`](stages.md#{name})** {row.interpretation}")
        lines.append(f"*What to do:* {row.action}")
        lines.append("")
    return "\n".join(lines)
