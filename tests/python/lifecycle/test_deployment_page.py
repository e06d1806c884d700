"""The Python on the page about deployment does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scripted import ScriptRunner

PAGE = Path(__file__).parents[3] / "docs" / "production" / "deployment.md"
BLOCK = re.compile(r"^## (?P<heading>.+?)$|^```python\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL)

# What uses a block that only defines things.
USES = {
    "uvicorn": """
from fastapi.testclient import TestClient

with aerospike_py.client(CONFIG).connect() as writer:
    writer.put(("test", "users", "ann"), {"age": 30})
with TestClient(app) as service:
    assert service.get("/users/ann").json() == {"age": 30}
    assert client.is_connected()
assert not client.is_connected()
""",
    "gunicorn": """
post_worker_init(None)
assert client.is_connected()
worker_exit(None, None)
assert not client.is_connected()
""",
}


def blocks() -> dict[str, str]:
    found: dict[str, str] = {}
    heading = ""
    for match in BLOCK.finditer(PAGE.read_text()):
        heading = match["heading"] or heading
        if match["source"]:
            assert heading not in found, "one block under each heading, so that a failure has a name"
            found[heading] = match["source"]
    return found


def test_every_block_is_used() -> None:
    assert set(USES) < set(blocks())


@pytest.mark.parametrize("heading", blocks())
def test_the_block_works(script: ScriptRunner, heading: str) -> None:
    source = f"hosts = CONFIG['hosts']\n{blocks()[heading]}\n{USES.get(heading, '')}"
    # Forks warn on Python 3.12 and later, as the page says; the web framework's test client has warnings of its own.
    finished = script.run(source, options=("-W", "ignore"), imports_package=False)
    assert finished.lines() == []
