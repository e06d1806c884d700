"""``aerospike-py serve``, ``demo`` and ``doctor``: the embedded server, the demo, and what this installation has."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import os
import platform
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aerospike_py_analysis.commands.client import NoClientError, client
from aerospike_py_analysis.record import SWITCHES

DEMO_CALLS = 4000
DEMO_KEYS = 60


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describes the commands."""
    command = commands.add_parser(
        "serve",
        help="run the embedded server",
        description="Runs the embedded server, a test double in memory; options are those of python -m"
        " aerospike_py.testing.",
        add_help=False,
    )
    command.add_argument("arguments", nargs=argparse.REMAINDER)
    command.set_defaults(run=serve)
    command = commands.add_parser(
        "demo", help="see it work", description="Runs reads on an embedded cluster with a slow node and explains them."
    )
    command.add_argument("--output", "-o", type=Path, help="keep the recording and the HTML report in this folder")
    command.set_defaults(run=demo)
    command = commands.add_parser(
        "doctor", help="say what this installation has", description="Says what this installation has."
    )
    command.set_defaults(run=doctor)


def serve(options: argparse.Namespace) -> int:
    """Runs the server until it is told to end."""
    client("the embedded server")
    status: int = importlib.import_module("aerospike_py.testing.__main__").main(
        [entry for entry in options.arguments if entry != "--"]
    )
    return status


def demo(options: argparse.Namespace) -> int:
    """Records reads on three nodes, one of them slow now and then, and explains them."""
    from aerospike_py_analysis import cli

    aerospike = client("the demo")
    testing = importlib.import_module("aerospike_py.testing")
    folder: Path = options.output or Path(tempfile.mkdtemp(prefix="aerospike-py-demo-"))
    keys = [("test", "demo", f"key-{number}") for number in range(DEMO_KEYS)]
    print("Reading from an embedded cluster of three nodes, one of which is 5 ms late now and then ...")
    with (
        testing.EmbeddedServer(nodes=3, process=True) as server,
        aerospike.client(server.config()).connect() as connected,
    ):
        for number, key in enumerate(keys):
            connected.put(key, {"number": number})
        server.fault("delay=5ms@0.3", node=1, command="read")
        with aerospike.trace_recorder(folder):
            for number in range(DEMO_CALLS):
                connected.get(keys[number % DEMO_KEYS])
    report = ["report", str(folder), "--short"]
    status = cli.main([*report, "--html", str(folder / "report.html")] if options.output else report)
    print(f"The recording is in {folder}: aerospike-py report {folder}")
    return status


def doctor(options: argparse.Namespace) -> int:
    """Prints facts and what is wrong; the exit status says whether anything is."""
    del options
    wrong = False
    for name, value, good in facts():
        wrong = wrong or not good
        print(f"{'  ' if good else '! '}{name + ':':<24}{value}")
    return 1 if wrong else 0


def facts() -> Iterator[tuple[str, str, bool]]:
    """What there is: name, value, whether it is as it should be."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    yield "Python", f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}", True
    build = "free-threaded build" if free_threaded else "build with the GIL"
    try:
        aerospike = client("doctor")
    except NoClientError as error:
        yield "GIL", f"{'on' if gil else 'off'} ({build})", True
        yield "client", str(error), False
        return
    # Importing an extension that does not declare itself safe would have switched the GIL on.
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    yield "GIL", f"{'on' if gil else 'off'} ({build})", free_threaded != gil
    native = importlib.import_module("aerospike_py._aerospike")
    yield "client", f"aerospike-py {aerospike.__version__}, {native.__file__}", True
    try:
        native._self_check()
        yield "driver's stages", "are seen: the patched runtime is active", True
    except Exception as error:
        yield "driver's stages", f"are not seen: {error}", False
    yield "event loop", f"{asyncio.new_event_loop.__module__}; uvloop {installed('uvloop')}", True
    yield "NumPy", installed("numpy"), True
    quota = native._cpu_quota_cores()
    limit = f"a control group allows {quota:g} of them" if quota else "no limit by a control group"
    yield "processors", f"{os.cpu_count()}, {len(os.sched_getaffinity(0))} for this process; {limit}", True
    yield "stages", "on" if aerospike.is_internal_stage_metrics_enabled() else "off", True
    switches = {name for name in os.environ if name.startswith("AEROSPIKE_PY_")} | set(SWITCHES)
    for name in sorted(switches):
        yield name, os.environ.get(name, "not set"), True


def installed(name: str) -> str:
    """Whether a module is there."""
    return "is installed" if importlib.util.find_spec(name) else "is not installed"
