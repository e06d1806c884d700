"""`make bench-conversion`: instructions that conversion between Python and Rust takes.

Counted by callgrind inside the functions that convert, and nothing else: a figure does not depend on the
network, on the server or on what else the machine does, and two runs agree within a fraction of a percent.
Set-up is not counted apart: each figure is the difference between two runs that differ only in how many
operations they do.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import aerospike_py
from aerospike_py import Client
from aerospike_py.testing import EmbeddedServer

KEYS = 200
BINS: dict[str, object] = {
    "user_id": 1234567890123,
    "age": 42,
    "score": 0.8125,
    "weight": -1.5e300,
    "name": "Ada Lovelace",
    "city": "São Paulo",
    "token": bytes(range(32)),
    "active": True,
    "tags": ["alpha", "beta", 3, 4.5],
    "limits": {"daily": 10, "monthly": 300},
}
KEY = ("test", "conversion", "user-00000042")
STRING_KEYS = [("test", "conversion", f"user-{n:08}") for n in range(KEYS)]
INT_KEYS = [("test", "conversion", 1_000_000 + n) for n in range(KEYS)]
MODULE = "_aerospike::"


@dataclass(frozen=True)
class Case:
    """Operations, which functions of theirs are looked at, and what a figure is per."""

    title: str
    function: str
    run: Callable[[Client], object]
    parts: int = 1
    few: int = 20
    many: int = 120


CASES = {
    "get-in": Case("get: key and policy in", "convert::arguments::get", lambda client: client.get(KEY)),
    "get-out": Case("get: record of 10 bins out", "lanes::convert", lambda client: client.get(KEY)),
    "put-in": Case("put: key and 10 bins in", "convert::arguments::put", lambda client: client.put(KEY, BINS)),
    "put-policy-in": Case(
        "put: key, 10 bins, meta and policy in",
        "convert::arguments::put",
        lambda client: client.put(KEY, BINS, {"ttl": 600}, {"total_timeout": 60_000, "max_retries": 1}),
    ),
    "string-keys": Case(
        "batch_read: one of 200 keys in, str",
        "convert::arguments::batch_read",
        lambda client: client.batch_read(STRING_KEYS),
        KEYS,
        few=2,
        many=12,
    ),
    "int-keys": Case(
        "batch_read: one of 200 keys in, int",
        "convert::arguments::batch_read",
        lambda client: client.batch_read(INT_KEYS),
        KEYS,
        few=2,
        many=12,
    ),
}
VALUES: dict[str, object] = {
    "int": 1234567890123,
    "float": 0.8125,
    "str, 12 bytes": "Ada Lovelace",
    "str, 10 bytes, not ASCII": "São Paulo",
    "bytes, 32": bytes(range(32)),
    "bool": True,
    "list of 100 ints": [*range(1000, 1100)],
    "list of 100 str": [f"value-{n}" for n in range(100)],
    "dict of 20 ints": {f"key-{n}": 1000 + n for n in range(20)},
}
COPIES = 9


def record_of(value: object, copies: int) -> dict[str, object]:
    return {f"b{n}": value for n in range(copies)}


def inclusive(profile: Iterable[str], function: str) -> int:
    """Instructions inside a function and all it calls, out of a file of callgrind's.

    Its own listing counts functions twice that have code of other files inlined, so the file is read here:
    lines of costs belong to the function that was named last, and a call's cost to its caller.
    """
    names: dict[str, str] = {}
    total, inside, found = 0, False, False
    for line in profile:
        if line.startswith("fn="):
            number, _, name = line[3:].strip().partition(" ")
            inside = names.setdefault(number, name).partition("'")[0] == function
            found = found or inside
        elif line.startswith("cfn="):
            number, _, name = line[4:].strip().partition(" ")
            names.setdefault(number, name)
        elif inside and line[:1] in "0123456789+-*":
            total += int(line.split()[1])
    if not found:
        raise RuntimeError(f"{function} was not called, or has no symbol")
    return total


def count(job: dict[str, object], function: str) -> int:
    """Instructions inside a function and all it calls, of a process that does a job."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={found}", sys.executable, __file__]
        finished = subprocess.run(
            [*command, "--counted", json.dumps(job)], capture_output=True, text=True, timeout=900, check=False
        )
        if finished.returncode != 0 or not found.exists():
            raise RuntimeError(f"callgrind failed:\n{finished.stderr[-2000:]}")
        with found.open() as profile:
            return inclusive(profile, MODULE + function)


def per_part(case: Case, name: str, hosts: list[tuple[str, int]]) -> float:
    few, many = (
        count({"case": name, "operations": number, "hosts": hosts}, case.function) for number in (case.few, case.many)
    )
    return (many - few) / (case.many - case.few) / case.parts


def per_value(value: str, function: str, hosts: list[tuple[str, int]]) -> float:
    """The difference between records with one and with several bins of a value."""
    job: dict[str, object] = {"value": value, "operations": Case.many, "hosts": hosts}
    one, several = (count({**job, "copies": copies}, function) for copies in (1, 1 + COPIES))
    return (several - one) / COPIES / Case.many


def run_counted(job: dict[str, object]) -> None:
    """What the process under callgrind does: connect, do some operations, leave."""
    hosts, operations = job["hosts"], job["operations"]
    assert isinstance(hosts, list)
    assert isinstance(operations, int)
    config: aerospike_py.ClientConfig = {
        "hosts": [(str(host), int(port)) for host, port in hosts],
        "tend_interval": 600_000,
    }
    patient: aerospike_py.WritePolicy = {"total_timeout": 60_000, "socket_timeout": 60_000}
    with aerospike_py.client(config).connect() as client:
        if "case" in job:
            case = CASES[str(job["case"])]
            client.put(KEY, BINS, policy=patient)
            for _ in range(operations):
                case.run(client)
            return
        copies = job["copies"]
        assert isinstance(copies, int)
        replacing: aerospike_py.WritePolicy = {"exists": aerospike_py.POLICY_EXISTS_REPLACE}
        record = record_of(VALUES[str(job["value"])], copies)
        for _ in range(operations):
            client.put(("test", "conversion", "value"), record, policy=replacing)
            client.get(("test", "conversion", "value"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-values", action="store_true", help="leave out the figures of single values")
    parser.add_argument("--counted", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.counted:
        run_counted(json.loads(arguments.counted))
        return
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed (Debian: apt-get install valgrind)")
    with EmbeddedServer(nodes=1, process=True) as server:
        print(f"{'instructions per call, record or key':<44} {'':>10}")
        for name, case in CASES.items():
            print(f"{case.title:<44} {per_part(case, name, server.hosts):>10,.0f}")
        if arguments.no_values:
            return
        print(f"\n{'instructions per bin, name included':<44} {'in':>10} {'out':>10}")
        for value in VALUES:
            put = per_value(value, "convert::arguments::put", server.hosts)
            got = per_value(value, "lanes::convert", server.hosts)
            print(f"{value:<44} {put:>10,.0f} {got:>10,.0f}")


if __name__ == "__main__":
    main()
