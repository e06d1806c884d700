"""What the process of a client is asked for, over the protocol of `benchmark.processes.answering`.

Standard library only: it is imported by the Python of every client. The calls:

- `hello`: who answers (versions, interpreter, GIL, event loop);
- `verify`, `operations`: the results of the first operations of the first thread or task, as `plain` JSON;
- `round`, `seconds` or `operations`, and `load`: a closed loop (`{"kind": "closed"}`), or an open one (`{"kind":
  "open", "rate": R, "arrivals": A, "seed": S, "drain_seconds": D}`); what it took is in `docs/benchmark-format.md`;
- `end`: closes the client and leaves.

`benchmark/rust-core` speaks the same.
"""

from __future__ import annotations

import gc
from typing import Any

from benchmark.harness.jobs import Driver, Job, Limit
from benchmark.harness.lanes import Lane, lane_of
from benchmark.harness.pacing import schedule
from benchmark.processes.answering import Answer, Replies, converse, hello
from benchmark.processes.values import plain


def serve(driver: Driver) -> None:
    """Answer the parent until it says that this is the end. Does not return."""

    def prepare(text: str, replies: Replies) -> Answer:
        job = Job.parse(text)
        lane = lane_of(driver, job)
        return lambda request: _answer(request, lane, job, driver, replies)

    converse(prepare)


def _answer(request: dict[str, Any], lane: Lane, job: Job, driver: Driver, replies: Replies) -> dict[str, Any]:
    if request["call"] == "hello":
        return hello(driver.client, driver.version, lane.loop_name)
    if request["call"] == "verify":
        return {"results": [plain(result) for result in lane.verify(request["operations"])]}
    if request["call"] == "round":
        return _round(request, lane, job, replies)
    if request["call"] == "end":
        lane.close()
        driver.finish()
        return {"ended": True}
    raise ValueError(f"{request['call']!r} is no call of this protocol")


def _round(request: dict[str, Any], lane: Lane, job: Job, replies: Replies) -> dict[str, Any]:
    load = request["load"]
    lane.stages()
    gc.collect()
    gc.disable()
    try:
        if load["kind"] == "open":
            offsets = schedule(load["rate"], request["seconds"], load["arrivals"], load["seed"])
            result = lane.open(offsets, int(load["drain_seconds"] * 1e9), lambda tick: replies.send({"tick": tick}))
            result["arrivals"] = len(offsets)
        else:
            limit = Limit(request.get("seconds"), request.get("operations"), job.concurrency)
            result = lane.closed(limit, lambda tick: replies.send({"tick": tick}))
    finally:
        gc.enable()
    result["stages"] = lane.stages()
    return result
