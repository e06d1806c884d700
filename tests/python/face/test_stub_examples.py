"""Every example in the docstrings of the API runs, against an embedded server."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import aerospike_py
import pytest

PACKAGE = Path(aerospike_py.__file__).parent
SOURCES = [
    "_aerospike.pyi",
    "__init__.py",
    "async_pool.py",
    "logs.py",
    "probes.py",
    "stages.py",
    "testing/server.py",
    "tracing.py",
]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def documented(tree, prefix=""):
    """Yield dotted names and docstrings of everything below a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}{node.name}"
            yield name, ast.get_docstring(node) or ""
            yield from documented(node, f"{name}.")


def examples():
    for source in SOURCES:
        tree = ast.parse((PACKAGE / source).read_text())
        for name, docstring in documented(tree):
            for block in BLOCK.findall(docstring):
                yield pytest.param(textwrap.dedent(block), id=f"{source}:{name}")


EXAMPLES = list(examples())


@pytest.mark.parametrize("example", EXAMPLES)
async def test_the_example_runs(example, server_config):
    code = compile(example, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    aerospike_py.stage_snapshot(reset=True)
    with aerospike_py.client(server_config).connect() as client:
        async_client = await aerospike_py.async_client(server_config).connect()
        names = {
            "aerospike_py": aerospike_py,
            "async_client": async_client,
            "client": client,
            "hosts": server_config["hosts"],
        }
        try:
            running = eval(code, names)
            if inspect.iscoroutine(running):
                await running
        finally:
            await async_client.close()


@pytest.mark.parametrize("name", ["Client", "AsyncClient"])
def test_every_method_of_the_clients_has_an_example(name):
    described = {parameter.id.partition(":")[2] for parameter in EXAMPLES}
    methods = [method for method in vars(getattr(aerospike_py, name)) if not method.startswith("_")]
    assert methods
    assert [method for method in methods if f"{name}.{method}" not in described] == []
