"""Sub-interpreters: a clear ImportError, never a crash, and the main interpreter goes on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scripted import ScriptRunner

# The private module and its arguments changed with almost every version of Python.
MAKERS = (
    {
        "isolated": "import _interpreters as made; new = lambda: made.create('isolated')",
        "sharing the GIL": "import _interpreters as made; new = lambda: made.create('legacy')",
    }
    if sys.version_info >= (3, 13)
    else {
        "isolated": "import _xxsubinterpreters as made; new = lambda: made.create(isolated=True)",
        "sharing the GIL": "import _xxsubinterpreters as made; new = lambda: made.create(isolated=False)",
    }
)


@pytest.mark.parametrize("kind", MAKERS)
def test_importing_says_why_not(script: ScriptRunner, kind: str) -> None:
    finished = script.run(
        f"""
        {MAKERS[kind]}

        INSIDE = '''
        import os
        try:
            import aerospike_py
        except BaseException as error:
            outcome = type(error).__name__ + (" interpreter" if "interpreter" in str(error) else str(error))
        else:
            outcome = "imported"
        os.write(1, outcome.encode() + bytes([10]))
        '''

        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {{"a": 1}})
        for _ in range(3):
            interpreter = new()
            made.run_string(interpreter, __import__("textwrap").dedent(INSIDE))
            made.destroy(interpreter)
        assert client.get(KEY).bins == {{"a": 1}}
        client.close()
        """
    )
    assert finished.lines() == ["ImportError interpreter"] * 3
