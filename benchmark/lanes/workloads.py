"""What is measured, and what is wanted of it: the workloads, and the targets that our client has against its peers."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.processes.places import FREE_THREADED, GIL, PYTHONS


@dataclass(frozen=True)
class Workload:
    """A closed loop of one kind of operation on one lane."""

    name: str
    kind: str
    """What an operation is: see `serving.Job`."""
    lane: str
    """`sync` or `async`."""
    concurrency: int
    """Threads or tasks."""
    pythons: tuple[str, ...]
    """Where it is measured unless the caller says otherwise."""
    what: str


@dataclass(frozen=True)
class Quantity:
    """A figure of a round, and how two of them are compared."""

    name: str
    unit: str
    larger_is_better: bool


THROUGHPUT = Quantity("throughput", "op/s", larger_is_better=True)
P50 = Quantity("p50", "us", larger_is_better=False)
P99 = Quantity("p99", "us", larger_is_better=False)
CPU = Quantity("CPU per op", "us", larger_is_better=False)
QUANTITIES = (THROUGHPUT, P50, P99, CPU)


@dataclass(frozen=True)
class Target:
    """What the ratio of our client's figure to a peer's is to be: at least, or at most where less is better."""

    workload: str
    python: str
    against: str
    quantity: Quantity
    limit: float
    aim: float | None = None
    """What would be better still."""
    subject: str = "ours"

    def reached(self, ratio: float) -> bool:
        return ratio >= self.limit if self.quantity.larger_is_better else ratio <= self.limit

    def text(self) -> str:
        sign = ">=" if self.quantity.larger_is_better else "<="
        aim = "" if self.aim is None else f" (aim {self.aim:.2f})"
        return f"{sign} {self.limit:.2f}{aim}"


THREADS = (1, 2, 4, 8)

WORKLOADS = (
    Workload("get-sync-1", "get", "sync", 1, PYTHONS, "get, one thread"),
    *(
        Workload(f"get-sync-{threads}", "get", "sync", threads, (FREE_THREADED,), f"get, {threads} threads")
        for threads in THREADS[1:]
    ),
    Workload("get-sync-32", "get", "sync", 32, PYTHONS, "get, 32 threads"),
    *(
        Workload(
            f"put-sync-{threads}",
            "put",
            "sync",
            threads,
            (FREE_THREADED,),
            f"put, {threads} thread{'s' if threads > 1 else ''}",
        )
        for threads in THREADS
    ),
    Workload("get-async-1", "get", "async", 1, (GIL,), "get, one task"),
    Workload("get-async-32", "get", "async", 32, (GIL,), "get, 32 tasks"),
    Workload("mixed-async-32", "mixed", "async", 32, (GIL,), "get and put in turn, 32 tasks"),
    Workload("batch-sync-1", "batch", "sync", 1, (GIL,), "batch read of 200 records to a dictionary, one thread"),
    Workload(
        "gathered-async-10", "gathered", "async", 10, (GIL,), "9 gathered batch reads of 200 records, 10 requests"
    ),
    Workload("single-async-10", "single", "async", 10, (GIL,), "one batch read of 9 x 200 records, 10 requests"),
)

C_CLIENT, NATIVE, PYPI, CORE = "aerospike", "aerospike-native", "aerospike-py", "rust-core"

TARGETS = (
    Target("get-sync-1", GIL, C_CLIENT, THROUGHPUT, 1.0, aim=1.15),
    Target("get-sync-1", GIL, C_CLIENT, CPU, 1.0, aim=0.8),
    Target("get-sync-1", GIL, NATIVE, CPU, 0.7),
    Target("get-sync-32", GIL, C_CLIENT, THROUGHPUT, 1.0),
    Target("get-sync-32", GIL, C_CLIENT, P99, 1.0),
    Target("get-sync-32", FREE_THREADED, NATIVE, THROUGHPUT, 1.15),
    Target("get-sync-32", FREE_THREADED, NATIVE, P99, 1.0),
    Target("get-async-1", GIL, NATIVE, P50, 0.75),
    *(
        target
        for workload in ("get-async-32", "mixed-async-32")
        for target in (
            Target(workload, GIL, NATIVE, CPU, 0.7),
            Target(workload, GIL, NATIVE, THROUGHPUT, 1.2),
        )
    ),
    Target("batch-sync-1", GIL, C_CLIENT, THROUGHPUT, 1.6),
    Target("batch-sync-1", GIL, C_CLIENT, CPU, 0.6),
    Target("batch-sync-1", GIL, NATIVE, THROUGHPUT, 2.4),
    Target("batch-sync-1", GIL, NATIVE, CPU, 0.4),
    Target("gathered-async-10", GIL, NATIVE, THROUGHPUT, 2.2),
    Target("single-async-10", GIL, NATIVE, THROUGHPUT, 2.4),
    *(
        Target(f"{kind}-sync-{threads}", FREE_THREADED, CORE, THROUGHPUT, 0.9)
        for kind in ("get", "put")
        for threads in THREADS
    ),
)

RECORDING_LIMIT = 0.97
"""What is left of our throughput while stages are recorded, on every workload."""


def workload_named(name: str) -> Workload:
    for workload in WORKLOADS:
        if workload.name == name:
            return workload
    raise ValueError(f"no workload is called {name!r}; there are {', '.join(each.name for each in WORKLOADS)}")


def targets_of(workload: str, python: str) -> list[Target]:
    recording = Target(workload, python, "ours", THROUGHPUT, RECORDING_LIMIT, subject="ours-stages")
    return [*(target for target in TARGETS if (target.workload, target.python) == (workload, python)), recording]
