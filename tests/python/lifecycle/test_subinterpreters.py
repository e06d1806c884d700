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


@pytest.mark.parametrize("kind", MAKERS)
def test_one_that_imports_first_does_not_take_the_package_from_the_main_interpreter(
    script: ScriptRunner, kind: str
) -> None:
    finished = script.run(
        f"""
        {MAKERS[kind]}

        INSIDE = "try: import aerospike_py\\nexcept ImportError: import os; os.write(1, b'refused' + bytes([10]))"
        for name in [name for name in sys.modules if name.partition(".")[0] == "aerospike_py"]:
            raise AssertionError(name)
        interpreter = new()
        made.run_string(interpreter, INSIDE)
        made.destroy(interpreter)
        import aerospike_py
        with aerospike_py.client(CONFIG).connect() as client:
            client.put(KEY, {{"a": 1}})
            print(client.get(KEY).bins)
        """,
        imports_package=False,
    )
    assert finished.lines() == ["refused", "{'a': 1}"]


@pytest.mark.parametrize("kind", MAKERS)
def test_they_come_and_go_while_operations_are_in_flight(script: ScriptRunner, kind: str) -> None:
    finished = script.run(
        f"""
        {MAKERS[kind]}

        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {{"a": 1}})
        stop = threading.Event()

        def read():
            while not stop.is_set():
                assert client.get(KEY).bins == {{"a": 1}}

        async def read_too():
            async with await aerospike_py.async_client(CONFIG).connect() as own:
                while not stop.is_set():
                    await asyncio.gather(*(own.get(KEY) for _ in range(5)))

        threads = [threading.Thread(target=read) for _ in range(3)]
        threads.append(threading.Thread(target=lambda: asyncio.run(read_too())))
        for thread in threads:
            thread.start()
        for _ in range(5):
            interpreter = new()
            made.run_string(interpreter, "try: import aerospike_py\\nexcept ImportError: pass")
            made.destroy(interpreter)
        stop.set()
        for thread in threads:
            thread.join()
        print(client.get(KEY).bins)
        client.close()
        """,
        AEROSPIKE_PY_INTERNAL_METRICS="1",
    )
    assert finished.lines() == ["{'a': 1}"]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters is new in Python 3.14")
def test_an_executor_of_interpreters_says_why_not(script: ScriptRunner) -> None:
    finished = script.run(
        """
        from concurrent.futures import InterpreterPoolExecutor
        from concurrent.interpreters import create

        client = aerospike_py.client(CONFIG).connect()
        client.put(KEY, {"a": 1})
        try:
            create().exec("import aerospike_py")
        except Exception as error:
            print("interpreter" in str(error), "ImportError" in str(error))
        with InterpreterPoolExecutor(2) as executor:
            error = executor.submit(__import__, "aerospike_py").exception()
            print("interpreter" in str(error))
        print(client.get(KEY).bins)
        client.close()
        """
    )
    assert finished.lines() == ["True True", "True", "{'a': 1}"]
