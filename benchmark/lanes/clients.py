"""Who is measured: the process of each client, the Python and the environment that it runs in, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmark.lanes.workloads import C_CLIENT, CORE, NATIVE, PYPI, Workload
from benchmark.processes.places import (
    CORE_BINARY,
    FREE_THREADED,
    GIL,
    OURS,
    RELEASED,
    ROOT,
    STAGES_VARIABLE,
    interpreter,
    missing,
    peers_of,
    variables,
)


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
    only_with_targets: bool = False
    """Whether it is left out, unless asked for, where nothing is wanted of us against it."""

    def command(self, python: str) -> list[str]:
        """The command line without its last argument, the job."""
        if self.module is None:
            return [str(ROOT / CORE_BINARY), *self.options]
        return [interpreter(self.environments[python]), "-m", self.module, *self.options]

    def environment(self) -> dict[str, str]:
        """The variables of its process."""
        return variables(self.variables)

    def obstacle(self, workload: Workload, python: str) -> str | None:
        """Why it cannot be measured here, or nothing."""
        if workload.lane not in self.lanes:
            return f"{self.name} has no {workload.lane} lane"
        if self.module is not None and python not in self.environments:
            return f"{self.name} has no wheel for {python}"
        return missing(Path(self.command(python)[0]))


_DRIVERS = "benchmark.lanes.drive_"


def known_clients(*, stages: bool = False, base: Path | None = None) -> list[Client]:
    """All clients, ours first.

    `stages` makes our client record; `base` is another checkout of ours, to be compared with.
    """
    ours = _DRIVERS + "aerospike_py"
    released = {"PYTHONPATH": str(ROOT / RELEASED)}
    recording = {**released, STAGES_VARIABLE: "1"}
    clients = [
        Client("ours", "this checkout", ours, OURS, variables=recording if stages else released),
        Client("ours-stages", "this checkout, stages recorded", ours, OURS, variables=recording),
        Client(
            "ours-uvloop",
            "this checkout on uvloop, the event loop that aerospike-native installs",
            ours,
            {GIL: Path("build/peers/uvloop"), FREE_THREADED: Path("build/peers-3.14t/uvloop")},
            lanes=("async",),
            variables=released,
            loop="uvloop",
        ),
        Client(C_CLIENT, "the official C client", _DRIVERS + "aerospike", peers_of(C_CLIENT, GIL), lanes=("sync",)),
        Client(NATIVE, "aerospike-native", _DRIVERS + "aerospike_native", peers_of(NATIVE, GIL, FREE_THREADED)),
        Client(
            f"{NATIVE}-asyncio",
            "aerospike-native kept from installing uvloop",
            _DRIVERS + "aerospike_native",
            peers_of(NATIVE, GIL, FREE_THREADED),
            lanes=("async",),
            variables={"AEROSPIKE_NO_UVLOOP": "1"},
        ),
        Client(PYPI, "the package of our import name", ours, peers_of(PYPI, GIL, FREE_THREADED)),
        Client(CORE, "aerospike-core without Python: threads block on one shared runtime", only_with_targets=True),
        Client(
            f"{CORE}-own-runtimes",
            "aerospike-core without Python: a runtime and a client per thread",
            lanes=("sync",),
            options=("--own-runtimes",),
            only_with_targets=True,
        ),
    ]
    if base is not None:
        environments = {python: base / folder for python, folder in OURS.items()}
        released_base = {"PYTHONPATH": str((base / RELEASED).resolve())}
        clients.insert(1, Client("base", f"the checkout {base}", ours, environments, variables=released_base))
    return [client for client in clients if not (stages and client.name == "ours-stages")]
