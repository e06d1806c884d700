"""Who is measured: the process of each client, the Python and the environment that it runs in, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmark.harness.workloads import Cell
from benchmark.processes.places import (
    CORE_BINARY,
    FREE_THREADED,
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
)

NO_PYTHON = "none"
"""The Python of a client that has none."""
_DRIVERS = "benchmark.harness.drive_"


@dataclass(frozen=True)
class Client:
    """A way to start the process of a client."""

    name: str
    what: str
    module: str | None = None
    """The driver, a module of this package; without one the client is a program of its own."""
    environments: dict[str, Path] = field(default_factory=dict)
    """Folder of the virtual environment by Python, relative to the checkout."""
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
        return tuple(self.environments) if self.module is not None else (NO_PYTHON,)

    def command(self, python: str) -> list[str]:
        """The command line without its last argument, the job."""
        if self.module is None:
            return [str(ROOT / CORE_BINARY), "--harness", *self.options]
        return [interpreter(self.environments[python]), "-m", self.module, *self.options]

    def environment(self) -> dict[str, str]:
        return variables(self.variables)

    def obstacle(self, cell: Cell, python: str) -> str | None:
        """Why it cannot be measured here, or nothing."""
        work = cell.workload.work
        if cell.lane not in self.lanes:
            return f"it has no lane {cell.lane}"
        if cell.lane == "sync" and work.mode == "gathered":
            return "blocking calls cannot be gathered"
        if work.result not in self.results:
            return f"it returns no batch as {work.result}"
        if work.kind == "nothing" and self.module != _DRIVERS + "null":
            return "only the null client does nothing"
        return missing(Path(self.command(python)[0]))


def known_clients(base: Path | None = None) -> list[Client]:
    """All clients, ours first; `base` is another checkout of ours, to be compared with."""
    ours = _DRIVERS + "aerospike_py"
    released = {"PYTHONPATH": str(ROOT / RELEASED)}
    recording = {**released, STAGES_VARIABLE: "1"}
    every, results = ("sync", "async", "pool"), ("dict", "list", "numpy")
    sdk = peers_of("aerospike-sdk", *PYTHONS)

    def our(name: str, what: str, *, extra: bool = False, slowdown: float = 0.0) -> Client:
        return Client(name, what, ours, OURS, every, released, results=results, extra=extra, slowdown=slowdown)

    clients = [
        our("ours", "this checkout"),
        Client("ours-stages", "this checkout, stages recorded", ours, OURS, every, recording, results=results),
        Client(
            "ours-traced",
            "this checkout, operations written to trace files",
            ours,
            OURS,
            every,
            recording,
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
            results=results,
        ),
        Client("aerospike-native", "the client in Rust by Aerospike", _DRIVERS + "aerospike_native", _peers("native")),
        Client(
            "aerospike-sdk",
            "the SDK on aerospike-native, by its builder",
            _DRIVERS + "aerospike_sdk",
            sdk,
            every,
        ),
        Client(
            "aerospike-sdk-fast",
            "the SDK on aerospike-native, by its fast path",
            _DRIVERS + "aerospike_sdk",
            sdk,
            every,
            options=("--fast",),
        ),
        Client("aerospike", "the official C client", _DRIVERS + "aerospike", peers_of("aerospike", GIL), ("sync",)),
        Client(
            "aerospike-executor",
            "the official C client in threads, awaited (run_in_executor)",
            _DRIVERS + "aerospike",
            peers_of("aerospike", GIL),
            ("async",),
        ),
        Client("rust-core", "aerospike-core without Python, default settings"),
        Client(
            "rust-core-lifted",
            "aerospike-core without Python, time-outs switched off and more connections than callers",
            options=("--lifted",),
        ),
        Client("null", "no client: answers from memory", _DRIVERS + "null", OURS, stores=False, extra=True),
    ]
    if base is not None:
        environments = {python: base / folder for python, folder in OURS.items()}
        variables_of_base = {"PYTHONPATH": str((base / RELEASED).resolve())}
        clients.insert(
            1, Client("base", f"the checkout {base}", ours, environments, every, variables_of_base, results=results)
        )
    return clients


def _peers(name: str) -> dict[str, Path]:
    return peers_of(f"aerospike-{name}", GIL, FREE_THREADED)


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
