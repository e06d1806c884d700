"""Runs the blocks of a page one after the other: Python in one namespace on one event loop, shell commands in bash.

Both work in a folder of the page's own. The address that the pages connect to is replaced by that of the tests' server.
Run as a program it takes a page, the name that tracebacks give it and the server's hosts as JSON; its folder is the one
that it is started in.
"""

import ast
import asyncio
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aerospike_py
from pages import Block, blocks

ADDRESS = '[("127.0.0.1", 3000)]'
COMMAND_SECONDS = 60
# The name under which a page notes which of its ``try`` statements have caught something, by line.
CAUGHT = "_caught"


class Expecting(ast.NodeTransformer):
    """Notes every ``except`` that is reached: an example that catches an exception says that it is raised.

    Functions are left alone: they may be called with and without it.
    """

    def __init__(self) -> None:
        self.lines: set[int] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_Try(self, node: ast.Try) -> ast.AST:
        self.generic_visit(node)
        if node.handlers:
            self.lines.add(node.lineno)
        for handler in node.handlers:
            handler.body[:0] = ast.parse(f"{CAUGHT}.add({node.lineno})").body
        return node


class Page:
    """The blocks that have been run so far, and the names they have left."""

    def __init__(self, name: str, folder: Path, names: dict[str, Any]) -> None:
        self.name = name
        self.folder = folder
        self.names = names

    def connecting(self, code: str) -> str:
        """Return the code, connecting to the tests' server."""
        return code.replace(ADDRESS, repr(self.names["hosts"]))

    async def run(self, block: Block) -> None:
        """Run a block, or write it if it is a file."""
        if block.title is not None:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.connecting(block.code))
        elif block.is_python:
            await self.run_python(block)
        else:
            for command in block.commands():
                await asyncio.to_thread(self.run_command, command)

    async def run_python(self, block: Block) -> None:
        tree = ast.parse(self.connecting(block.code), self.name)
        ast.increment_lineno(tree, block.line - 1)
        expecting = Expecting()
        tree = ast.fix_missing_locations(expecting.visit(tree))
        code = compile(tree, self.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        self.names[CAUGHT] = caught = set()
        running = eval(code, self.names)
        if inspect.iscoroutine(running):
            await running
        assert expecting.lines <= caught, f"{self.name}: nothing was raised at {sorted(expecting.lines - caught)}"

    def run_command(self, command: str) -> None:
        environment = dict(os.environ)
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"


async def run_page(parts: list[Block], name: str, hosts: list[tuple[str, int]]) -> None:
    """Run all of a page that can be run, with the names that every page has."""
    config: aerospike_py.ClientConfig = {"hosts": hosts}
    with aerospike_py.client(config).connect() as client:
        async with await aerospike_py.async_client(config).connect() as async_client:
            names = {
                "__name__": "example",
                "aerospike_py": aerospike_py,
                "async_client": async_client,
                "client": client,
                "hosts": hosts,
            }
            page = Page(name, Path.cwd(), names)
            for block in parts:
                if block.reason is None:
                    await page.run(block)


def main() -> None:
    """Run the page that the arguments name."""
    path, name, hosts = sys.argv[1:]
    # The files that a page writes are modules of the blocks after them.
    sys.path.insert(0, str(Path.cwd()))
    asyncio.run(run_page(blocks(Path(path).read_text()), name, [(host, port) for host, port in json.loads(hosts)]))


if __name__ == "__main__":
    main()
