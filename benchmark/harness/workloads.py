"""What is measured: workloads, cells (a workload, a way of calling it, a load), and suites of cells.

The name of a cell says everything about it: `kv-read-features/async-32/closed`, `a-single-200/sync-10/closed`,
`kv-ru50-1xint/pool-4x64/closed`, `kv-read-features/async-32/open-2000-poisson`, `c-single-loop/http-10/closed`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from benchmark.harness.data import FEATURES, Space
from benchmark.harness.operations import Work
from benchmark.harness.pacing import ARRIVALS

KEYS = 100_000
BATCHES_OF_A = (50, 100, 200, 500)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
SHAPES = (FEATURES, "1xint", "10xint", "1xstr100", "1xstr1000", "1xbytes100", "1xbytes1000", "1xbytes10000")
MIXES = {"read": (1.0, 0.0), "ru90": (0.9, 0.0), "ru50": (0.5, 0.0), "update": (0.0, 0.0), "missing10": (1.0, 0.1)}
_MODES = {"gathered": "gathered", "sequential": "sequential", "single": "merged"}
WEB_MODES = {"single": "merged", "gather": "gathered", "sequential": "sequential", "merge_gather": "split"}
"""How a web service does its lookups: what it is called in names and addresses, and in `Work`."""
MODELS = {"": "numpy", "-torch": "torch"}
"""Models of environment C, by what the names of their workloads end with."""
BATCH_OF_WEB = 200
_PLACES = ("loop", "thread")
DRAIN_SECONDS = 2.0
_LANE = re.compile(r"(sync|async|http)-(\d+)|pool-(\d+)x(\d+)")
_LOAD = re.compile(r"closed|open-(\d+(?:\.\d+)?)-(\w+)")


@dataclass(frozen=True)
class Workload:
    """What every operation does."""

    name: str
    what: str
    work: Work


@dataclass(frozen=True)
class Load:
    """A closed loop, or arrivals at a rate."""

    rate: float | None = None
    arrivals: str = ""

    @property
    def name(self) -> str:
        return "closed" if self.rate is None else f"open-{self.rate:g}-{self.arrivals}"

    def request(self, seed: int) -> dict[str, Any]:
        """The load as the protocol carries it."""
        if self.rate is None:
            return {"kind": "closed"}
        arrivals = {"rate": self.rate, "arrivals": self.arrivals, "seed": seed, "drain_seconds": DRAIN_SECONDS}
        return {"kind": "open", **arrivals}


@dataclass(frozen=True)
class Cell:
    """A workload, how it is called, and how often."""

    workload: Workload
    lane: str
    """`sync`, `async`, `pool` or `http`."""
    concurrency: int
    """Threads or tasks, of all loops together, or connections to a web service."""
    threads: int
    """Loops of the lane `pool`."""
    load: Load

    @property
    def calling(self) -> str:
        if self.lane == "pool":
            return f"pool-{self.threads}x{self.concurrency // self.threads}"
        return f"{self.lane}-{self.concurrency}"

    @property
    def name(self) -> str:
        return f"{self.workload.name}/{self.calling}/{self.load.name}"


def _mix_text(reads: float, missing: float, shape: str) -> str:
    kinds = {1.0: "reads", 0.0: "updates"}.get(reads, f"{reads:.0%} reads, {1 - reads:.0%} updates")
    absent = f", {missing:.0%} of them of records that do not exist" if missing else ""
    return f"{kinds} of single records{absent}; {KEYS:,} keys, bins: {shape}"


def _workloads() -> dict[str, Workload]:
    found = [Workload("nothing", "nothing at all", Work("nothing", Space(1, 1, "1xint")))]
    nine = Space(9, 2_000, FEATURES)
    for mode, internal in _MODES.items():
        how = {"gathered": "nine gathered batch reads", "sequential": "nine batch reads, one after the other"}
        for size in BATCHES_OF_A:
            what = f"{how.get(mode, 'one batch read over nine sets')}, {size} records of each set"
            found.append(Workload(f"a-{mode}-{size}", what, Work("request", nine, size, internal)))
    for shape in SHAPES:
        for mix, (reads, missing) in MIXES.items():
            what = _mix_text(reads, missing, shape)
            work = Work("single", Space(1, KEYS, shape), reads=reads, missing=missing)
            found.append(Workload(f"kv-{mix}-{shape}", what, work))
    for size in BATCH_SIZES:
        what = f"batch read of {size} out of {KEYS:,} records"
        found.append(Workload(f"kv-batch-{size}", what, Work("batch", Space(1, KEYS, FEATURES), size)))
    for shape in ("10xfloat", "10xint", "10xstr100", FEATURES):
        space = Space(1, 2_000, shape)
        for result in ("dict", "list", "numpy") if space.numeric() else ("dict", "list"):
            what = f"batch read of 200 records of {shape}, as {result}"
            found.append(Workload(f"conversion-{result}-{shape}", what, Work("batch", space, 200, result=result)))
    found += _web_workloads(nine)
    cold = Work("cold", Space(1, 2_000, FEATURES))
    found.append(Workload("cold-start", "connect, read one record, close", cold))
    return {workload.name: workload for workload in found}


def _web_workloads(space: Space) -> list[Workload]:
    found, lookups = [], f"{space.sets} x {BATCH_OF_WEB} lookups behind FastAPI"
    for mode, internal in WEB_MODES.items():
        how = {
            "single": "in one batch",
            "gather": "in nine gathered batches",
            "sequential": "in nine batches, one after the other",
            "merge_gather": "merged, in nine gathered batches over all sets",
        }[mode]
        work = Work("predict", space, BATCH_OF_WEB, internal)
        found.append(Workload(f"b-{mode}", f"{lookups} {how}, features, no model", work))
        for placement in _PLACES:
            where = "on the event loop" if placement == "loop" else "off the event loop"
            for ending, model in MODELS.items():
                what = f"{lookups} {how}, features, a recommender ({model}) {where}"
                with_model = replace(work, model=model, inference=placement)
                found.append(Workload(f"c-{mode}-{placement}{ending}", what, with_model))
    return found


WORKLOADS = _workloads()


def cell_named(name: str) -> Cell:
    """Read the name of a cell.

    Raises:
        ValueError: There is no such cell.
    """
    workload, _, rest = name.partition("/")
    calling, _, load = rest.partition("/")
    if workload not in WORKLOADS:
        raise ValueError(f"no workload is called {workload!r}; `list` names them")
    lane, pace = _LANE.fullmatch(calling), _LOAD.fullmatch(load or "closed")
    if lane is None:
        raise ValueError(
            f"{calling!r} is no way of calling: sync-<threads>, async-<tasks>, pool-<loops>x<tasks each>, "
            "http-<connections>"
        )
    if pace is None or (pace[2] is not None and pace[2] not in ARRIVALS):
        raise ValueError(f"{load!r} is no load: closed, open-<per second>-poisson, open-<per second>-constant")
    loops = int(lane[3] or 0)
    concurrency = int(lane[2]) if lane[2] else loops * int(lane[4])
    if concurrency < 1:
        raise ValueError(f"{calling!r} calls nothing")
    if (lane[1] == "http") != (WORKLOADS[workload].work.kind == "predict"):
        raise ValueError(f"{name!r}: workloads of web services, and no others, are called http-<connections>")
    if lane[1] == "http" and pace[2] not in (None, "constant"):
        raise ValueError(f"{load!r}: the load generator of web services sends at constant intervals")
    chosen = Load() if pace[1] is None else Load(float(pace[1]), str(pace[2]))
    return Cell(WORKLOADS[workload], lane[1] or "pool", concurrency, loops, chosen)


def _suites() -> dict[str, list[str]]:
    a = [f"a-{mode}-{size}/async-10/closed" for size in BATCHES_OF_A for mode in ("gathered", "single")]
    a += [f"a-single-{size}/sync-10/closed" for size in BATCHES_OF_A]
    a += ["a-sequential-200/async-10/closed", "a-sequential-200/sync-10/closed"]
    core = [f"kv-read-{FEATURES}/{calling}/closed" for calling in _CALLING]
    core += [f"kv-ru50-{FEATURES}/{calling}/closed" for calling in _ENDS]
    core += [f"kv-ru50-1xint/{calling}/closed" for calling in ("sync-1", "async-32")]
    core += [f"kv-batch-{size}/sync-1/closed" for size in (1, 8, 32, 128)]
    core += [f"kv-missing10-{FEATURES}/async-32/closed", "cold-start/sync-1/closed"]
    core += [f"kv-read-{FEATURES}/{calling}/open-1000-poisson" for calling in ("sync-32", "async-32")]
    matrix = [f"kv-{mix}-{shape}/{calling}/closed" for shape in SHAPES for mix in MIXES for calling in _CALLING]
    matrix += [f"kv-{mix}-{FEATURES}/pool-{size}/closed" for mix in ("read", "ru50") for size in ("4x64", "8x64")]
    matrix += [f"kv-batch-{size}/{calling}/closed" for size in BATCH_SIZES for calling in ("sync-1", "async-32")]
    matrix += [f"cold-start/{calling}/closed" for calling in ("sync-1", "async-1")]
    matrix += [
        f"kv-read-{FEATURES}/{calling}/open-{rate}-{arrivals}"
        for rate in (500, 1_000, 2_000, 4_000)
        for arrivals in ARRIVALS
        for calling in ("sync-32", "async-32")
    ]
    conversion = [f"{name}/sync-1/closed" for name in WORKLOADS if name.startswith("conversion-")]
    rates = [f"http-32/open-{rate}-constant" for rate in _WEB_RATES]
    web_b = [f"b-{mode}/http-10/closed" for mode in WEB_MODES]
    web_b += ["b-single/http-1/closed", f"b-single/{rates[0]}"]
    web_c = [f"c-{mode}-loop/http-10/closed" for mode in ("single", "gather")]
    web_c += ["c-single-thread/http-10/closed", "c-single-loop/http-1/closed"]
    web_c += [f"c-single-{place}/{rates[0]}" for place in _PLACES]
    web_whole = [f"c-{mode}-{place}/http-10/closed" for mode in WEB_MODES for place in _PLACES]
    web_whole += [f"c-single-{place}{model}/http-10/closed" for place in _PLACES for model in MODELS if model]
    web_whole += [f"{name}/{rates[1]}" for name in ("b-single", *(f"c-single-{place}" for place in _PLACES))]
    null = [f"nothing/{calling}/closed" for calling in _CALLING]
    null += [f"kv-read-{FEATURES}/{calling}/{load}" for calling in _CALLING for load in ("closed", "open-1000-poisson")]
    return {
        "environment-a": a,
        "matrix-core": core,
        "matrix": matrix,
        "conversion": conversion,
        "standard": [*a, *core],
        "web-b": web_b,
        "web-c": web_c,
        "web": [*web_b, *web_c],
        "web-whole": list(dict.fromkeys([*web_b, *web_c, *web_whole])),
        "null": null,
    }


_CALLING = ("sync-1", "sync-4", "sync-32", "async-1", "async-4", "async-32")
_WEB_RATES = (25, 50)
_ENDS = ("sync-1", "sync-32", "async-1", "async-32")
SUITES = _suites()
