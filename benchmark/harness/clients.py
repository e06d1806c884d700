"""Who is measured: the process of each client, the Python and the environment that it runs in, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmark.harness.workloads import Cell
from benchmark.processes.places import (
    CORE_BINARY,
    GIL,
    OURS,
    PYTHONS,
    RELEASED,
    ROOT,
    STAGES_VARIABLE,
    interpreter,
    missing,
    peers_of,
    variables,
    web_of,
)

NO_PYTHON = "none"
"""The Python of a client that has none."""
_DRIVERS = "benchmark.harness.drive_"
_SERVE = "benchmark.web.serve"
# Of linear algebra, so that a model takes one processor wherever it runs; and the event loop is the service's choice.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "AEROSPIKE_NO_UVLOOP": "1"}


@dataclass(frozen=True)
class Client:
    """A way to start the process of a client."""

    name: str
    what: str
    module: str | None = None
    """The driver, a module of this package; without one the client is a program of its own."""
    environments: dict[str, Path] = field(default_factory=dict)
    """Folder of the virtual environment by Python, relative to the checkout."""
    serving: dict[str, Path] = field(default_factory=dict)
    """The same with what a web service needs; without any there is no lane `http`."""
    lanes: tuple[str, ...] = ("sync", "async")
    variables: dict[str, str] = field(default_factory=dict)
    loop: str = "default"
    options: tuple[str, ...] = ()
    results: tuple[str, ...] = ("dict",)
    """What it makes of a batch."""
    slowdown: float = 0.0
    stores: bool = True
    """Whether what it writes can be read by others."""
    extra: bool = False
    """Whether it is measured only when it is asked for."""

    @property
    def pythons(self) -> tuple[str, ...]:
        return tuple(self.environments or self.serving) if self.module is not None else (NO_PYTHON,)

    def command(self, python: str, lane: str = "") -> list[str]:
        """The command line without its last argument, the job."""
        if lane == "http":
            return [interpreter(self.serving[python]), "-m", _SERVE, str(self.module), *self.options]
        if self.module is None:
            return [str(ROOT / CORE_BINARY), "--harness", *self.options]
        return [interpreter(self.environments[python]), "-m", self.module, *self.options]

    def environment(self, lane: str = "") -> dict[str, str]:
        return variables({**self.variables, **(_ONE_THREAD if lane == "http" else {})})

    def obstacle(self, cell: Cell, python: str) -> str | None:
        """Why it cannot be measured here, or nothing."""
        work = cell.workload.work
        if cell.lane == "http" and python not in self.serving:
            return "it is in no web service here"
        if cell.lane != "http" and cell.lane not in self.lanes:
            return f"it has no lane {cell.lane}"
        if cell.lane == "sync" and work.mode == "gathered":
            return "blocking calls cannot be gathered"
        if work.result not in self.results:
            return f"it returns no batch as {work.result}"
        if work.kind == "nothing" and self.module != _DRIVERS + "null":
            return "only the null client does nothing"
        return missing(Path(self.command(python, cell.lane)[0]))


def known_clients(base: Path | None = None) -> list[Client]:
    """All clients, ours first; `base` is another checkout of ours, to be compared with."""
    ours = _DRIVERS + "aerospike_py"
    released = {"PYTHONPATH": str(ROOT / RELEASED)}
    recording = {**released, STAGES_VARIABLE: "1"}
    every, results = ("sync", "async", "pool"), ("dict", "list", "numpy")
    sdk, our_web = peers_of("aerospike-sdk", *PYTHONS), web_of("ours", *PYTHONS)

    def our(name: str, what: str, *, extra: bool = False, slowdown: float = 0.0) -> Client:
        return Client(name, what, ours, OURS, our_web, every, released, results=results, extra=extra, slowdown=slowdown)

    clients = [
        our("ours", "this checkout"),
        Client("ours-stages", "this checkout, stages recorded", ours, OURS, our_web, every, recording, results=results),
        Client(
            "ours-traced",
            "this checkout, operations written to trace files",
            ours,
            OURS,
            lanes=every,
            variables=recording,
            options=("--trace",),
            results=results,
        ),
        our("ours-again", "this checkout once more: what must not differ", extra=True),
        our("ours-slowed", "this checkout, every operation 5 % longer: what must be found", extra=True, slowdown=0.05),
        Client(
            "ours-uvloop",
            "this checkout on uvloop, the event loop that aerospike-native installs",
            ours,
            peers_of("uvloop", *PYTHONS),
            lanes=("async",),
            variables=released,
            loop="uvloop",
            extra=True,
        ),
        Client(
            "aerospike-py",
            "the package of our import name from the package index",
            ours,
            peers_of("aerospike-py", *PYTHONS),
            web_of("aerospike-py", *PYTHONS),
            results=results,
        ),
        Client(
            "aerospike-native",
            "the client in Rust by Aerospike",
            _DRIVERS + "aerospike_native",
            peers_of("aerospike-native", *PYTHONS),
            web_of("aerospike-native", *PYTHONS),
        ),
        Client(
            "aerospike-sdk",
            "the SDK on aerospike-native, by its builder",
            _DRIVERS + "aerospike_sdk",
            sdk,
            lanes=every,
        ),
        Client(
            "aerospike-sdk-fast",
            "the SDK on aerospike-native, by its fast path",
            _DRIVERS + "aerospike_sdk",
            sdk,
            lanes=every,
            options=("--fast",),
        ),
        Client(
            "aerospike", "the official C client", _DRIVERS + "aerospike", peers_of("aerospike", GIL), lanes=("sync",)
        ),
        Client(
            "aerospike-executor",
            "the official C client in threads, awaited (run_in_executor)",
            _DRIVERS + "aerospike",
            peers_of("aerospike", GIL),
            web_of("aerospike", GIL),
            ("async",),
        ),
        Client("rust-core", "aerospike-core without Python, default settings"),
        Client(
            "rust-core-lifted",
            "aerospike-core without Python, time-outs switched off and more connections than callers",
            options=("--lifted",),
        ),
        Client("null", "no client: answers from memory", _DRIVERS + "null", OURS, our_web, stores=False, extra=True),
    ]
    if base is not None:
        environments = {python: base / folder for python, folder in OURS.items()}
        variables_of_base = {"PYTHONPATH": str((base / RELEASED).resolve())}
        what = f"the checkout {base}"
        clients.insert(1, Client("base", what, ours, environments, our_web, every, variables_of_base, results=results))
    return clients


def chosen(known: list[Client], names: list[str] | None) -> list[Client]:
    """The clients that are asked for, or those that are measured unless somebody asks for others.

    Raises:
        ValueError: A name is not known.
    """
    if not names:
        return [client for client in known if not client.extra]
    unknown = set(names) - {client.name for client in known}
    if unknown:
        raise ValueError(f"no client is called {', '.join(sorted(unknown))}; `list` names them")
    return [client for client in known if client.name in names]
