"""What the migration guides say about other clients is what those clients do, run against the same server."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aerospike_py.testing import EmbeddedServer
from pages import ROOT

pytestmark = [pytest.mark.embedded, pytest.mark.peers]

MIGRATION = ROOT / "docs" / "migration"
PEERS = ROOT / "build" / "peers"
PROBING = Path(__file__).with_name("probing.py")
DOTTED = re.compile(r"`((?:aerospike|aerospike_py|aerospike_helpers)(?:\.\w+)+)`")
# Exporters: what is there of them is told by their own pages. The rest is no part of what that package offers.
EXPORTERS = {
    "dropped_log_count",
    "init_tracing",
    "set_log_level",
    "shutdown_tracing",
    "start_metrics_server",
    "stop_metrics_server",
}
NOT_OFFERED = {"PackageNotFoundError", "logger"}
# They exist, but are made only when asked for, because they hide builtins.
RENAMED = {"IndexError", "TimeoutError"}


def rows(page, heading):
    """The rows of the first table below a heading."""
    text = (MIGRATION / page).read_text()
    section = re.split(r"^## ", text.partition(f"## {heading}\n")[2] if heading else text, maxsplit=1, flags=re.M)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def asked(python, probes, names=()):
    """Ask the client of an environment."""
    with EmbeddedServer() as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # Bound and not listening: nobody else gets the port, and it refuses.
        (host, port), closed_port = server.hosts[0], closed.getsockname()[1]
        answered = subprocess.run(
            [python, str(PROBING), probes, host, str(port), str(closed_port)],
            input=json.dumps(list(names)),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert answered.returncode == 0, answered.stderr
    return json.loads(answered.stdout)


def peer(name):
    python = PEERS / name / "bin" / "python"
    if not python.is_file():
        pytest.fail(f"there is no environment of {name}: run make peers")
    return str(python)


@pytest.fixture(scope="module")
def names():
    """The dotted names of the official guide, by the column they stand in."""
    columns = list(zip(*rows("official-client.md", "Names"), strict=True))
    return {"theirs": DOTTED.findall(" ".join(columns[0])), "ours": DOTTED.findall(" ".join(columns[1]))}


@pytest.fixture(scope="module")
def ours(names):
    return asked(sys.executable, "probes_package", names["ours"])


@pytest.fixture(scope="module")
def package():
    return asked(peer("aerospike-py"), "probes_package")


@pytest.fixture(scope="module")
def official(names):
    return asked(peer("aerospike"), "probes_official", names["theirs"])


def check_table(page, theirs, ours):
    table = rows(page, "What differs")
    assert len(table) > 10
    wrong = []
    for row, their_cell, our_cell in table:
        for who, cell, client in (("theirs", their_cell, theirs), ("ours", our_cell, ours)):
            outcome = client["outcomes"][row]
            if outcome not in cell:
                wrong.append(f"{row}, {who}: the page says {cell!r}, the client does {outcome!r}")
    assert wrong == []


def test_the_differences_to_the_package_of_the_same_name_are_as_the_guide_says(package, ours):
    check_table("aerospike-py.md", package, ours)


def test_what_differs_from_the_package_of_the_same_name_is_in_the_guide(package, ours):
    listed = {row for row, _, _ in rows("aerospike-py.md", "What differs")}
    differing = {row for row, outcome in ours["outcomes"].items() if outcome != package["outcomes"][row]}
    assert differing == listed


def test_the_differences_to_the_official_client_are_as_the_guide_says(official, ours):
    check_table("official-client.md", official, ours)


def test_the_names_of_the_official_guide_exist_on_their_sides(official, ours, names):
    assert len(names["theirs"]) > 10
    assert len(names["ours"]) > 10
    assert [name for name, there in {**official["names"], **ours["names"]}.items() if not there] == []


def test_what_is_missing_is_listed_and_what_is_listed_is_missing(package, ours):
    missing = set(package["public"]) - set(ours["public"]) - EXPORTERS - NOT_OFFERED - RENAMED
    listed = {name for _, cell in rows("missing.md", "") for name in re.findall(r"`(\w+)`", cell)}
    assert listed - {"filter_expression"} == missing
