"""Writes docs/stages.md and docs/slow.md, the pages about the stages, from the table that the extension has of them.

The table gives every stage its boundaries, its meaning and what to do; the introduction and one example per stage are
written by hand below, the questions that lead to a stage in ``stage_questions``. ``--check`` compares instead of
writing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aerospike_py import StageDescription, stage_table

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stage_questions import questions_page

DOCS = Path(__file__).resolve().parent.parent / "docs"
REMEDY = "run scripts/write_stage_docs.py with the Python that the extension is built for, and commit what it writes"

HEAD = """\
# Stages

<!-- Written by scripts/write_stage_docs.py; change the table in src/stages or the script, not this file. -->

The wall time of an operation runs from the moment Python calls the method to the moment the caller has its result. The
client splits it into stages. One of them is always running and none overlaps another, so they add up to the wall
time to the nanosecond; what no event explains is a stage as well, `unattributed`, and is never hidden.

Switch recording on with `AEROSPIKE_PY_INTERNAL_METRICS=1`, with `set_internal_stage_metrics_enabled(True)`, or for a
block of code:

```python
keys = [("test", "users", "ann"), ("test", "users", "bob")]
with aerospike_py.internal_stage_profiling():
    client.batch_read(keys)
print(aerospike_py.stage_snapshot().table())
```

## Reading the numbers

- **`count`** is the number of operations that spent time in the stage. Not every operation has every stage: one that
  found a connection at once has no `backoff`.
- **`mean`, `p50` to `p99.9` and `max`** are taken over those operations, not over all of them. Percentiles come from a
  histogram and are within 2 % of the exact value; sums and means are exact.
- **`share`** is the stage's sum divided by the sum of the wall times of all operations of this kind, so shares add up
  to 100 %. Percentiles do not add up: the operation with the slowest network is seldom the one with the slowest GIL.
- **A stage of the tail is not a stage of the mean.** Compare `p99` with `p50` of each stage. The stage whose distance
  is largest makes the tail, even if its share is small.
- **Lanes** are counted apart: `sync` is driven by the calling thread, `asyncio` by the thread of the event loop, its
  batches by threads of the runtime. [Lanes](lanes.md) says more.
- **A batch** talks to several nodes at once. Only the node that finished last made the caller wait, so only its time is
  counted, and no nanosecond twice. `nodes` in the snapshot says at which node the network stages were spent.
- **After the call**: a lazy batch becomes Python objects when it is asked for. That is listed as `deferred`, under the
  operation it belongs to, and is no part of its wall time.
- **Failures** are recorded like successes. `errors` counts them by outcome, and `failed_in` by the stage they were in.
  A record that does not exist has the outcome `not_found`, which the metrics do not count as an error.

`get_metrics()` has the same figures for Prometheus: `db_client_internal_stage_seconds` per operation, lane and stage,
and `db_client_operation_duration_seconds` by operation, set, node and error. [metrics.md](production/metrics.md) lists
all metrics, and what their quantiles are worth.

[Why is my call slow?](slow.md) leads from a table to the stage, and from the stage to the cause.
"""

# What the tests do to make a stage grow, where a test does; no figures that no command reproduces.
EXAMPLES = {
    "key_parse": "A `batch_read` whose last key is no key is refused: nothing was sent, and all of its time is here.",
    "dispatch": "On asyncio it is the way to a runtime thread; while large batches keep all of them busy, it is long.",
    "limiter_wait": "With `max_concurrent_operations=1`, a `get` behind a `put` that takes 60 ms waits for it here.",
    "pool_acquire": "A batch of 100,000 keys is sorted by node here before the first byte is sent.",
    "encode": "A `put` of a large value copies it into the command here.",
    "tokio_timer": "It is small for a single read and stays so; that it is seen at all is its point.",
    "network_write": "A `put` of a megabyte to a server that reads slowly waits here for room in the send buffer.",
    "network_wait": "A server that replies 40 ms late adds 40 ms here and nothing anywhere else.",
    "network_read": "A reply in two pieces with 30 ms between them has those 30 ms here.",
    "decode": "A record with a list of 50,000 numbers is decoded here, and becomes Python objects in `to_dict`.",
    "wake_delay": "With every core busy, a reply that is there already has to wait for a turn of the scheduler.",
    "backoff": "A connection that is reset, with `sleep_between_retries` of 40 ms, costs 40 ms here.",
    "fan_in": "A batch of three nodes, one of them 60 ms late, has the 60 ms in `network_wait` and next to none here.",
    "gil_reacquire": "A thread of pure Python keeps the GIL for the switch interval, 5 ms unless it is changed.",
    "loop_wait": "A callback that calls `time.sleep(0.04)` while the reply arrives adds 40 ms here.",
    "event_loop_resume": "Five reads end together and each reader then works 15 ms: the last has waited 60 ms here.",
    "to_dict": "A read of a list of 50,000 numbers makes 50,000 Python integers here, with the GIL held.",
    "unattributed": "No operation of the test-suite has more than 2 % of it, at the median or at the 99th percentile.",
}


def section(row: StageDescription) -> str:
    """Describe one stage."""
    where = "both lanes" if row.lanes == "both" else f"{row.lanes} only"
    return f"""\
### `{row.name}`

*From*: {row.start}. *To*: {row.end}. *Lanes*: {where}. *Family*: {row.family}.

**Definition.** {row.definition}

**Interpretation.** {row.interpretation}

**What to do.** {row.action}

**Example.** {EXAMPLES[row.name]}
"""


def overview(rows: list[StageDescription]) -> str:
    """List the stages in the order in which an operation goes through them."""
    lines = ["## The stages", "", "| stage | from | to | lanes |", "|---|---|---|---|"]
    lines += [f"| [`{row.name}`](#{row.name}) | {row.start} | {row.end} | {row.lanes} |" for row in rows]
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the whole page."""
    rows = stage_table()
    names = {row.name for row in rows}
    if names != set(EXAMPLES):
        raise SystemExit(f"examples and stages differ: {sorted(names ^ set(EXAMPLES))}; add or remove the example")
    return "\n".join([HEAD, overview(rows), *map(section, rows)])


def pages() -> dict[str, str]:
    """Return the pages by the names of their files."""
    return {"stages.md": page(), "slow.md": questions_page(stage_table())}


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the pages with the table, write nothing")
    options = parser.parse_args(arguments)
    stale = 0
    for name, wanted in pages().items():
        path = DOCS / name
        if not options.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != wanted:
            print(f"{name} does not match the table of stages: {REMEDY}", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
