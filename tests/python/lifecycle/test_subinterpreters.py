"""Sub-interpreters: a clear ImportError, never a crash, and the main interpreter goes on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scripted import ScriptRunner

pytestmark = pytest.mark.skipif(sys.version_info < (3, 13), reason="Python 3.13 has the module that makes them")


@pytest.mark.parametrize("config", ["isolated", "legacy"])
def test_importing_says_why_not(script: ScriptRunner, config: str) -> None:
    finished = script.run(
        f"""
        import _interpreters

        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {{"a": 1}})
        for _ in range(3):
            interpreter = _interpreters.create("{config}")
            failure = _interpreters.run_string(interpreter, "import aerospike_py")
            print(failure.type.__name__ if failure else "imported")
            _interpreters.destroy(interpreter)
        assert client.get(KEY).bins == {{"a": 1}}
        client.close()
        """
    )
    assert finished.lines() == ["ImportError"] * 3
