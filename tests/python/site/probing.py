"""Asks one client what it does, in the environment that has it: ``python probing.py PROBES HOST PORT CLOSED_PORT``.

The probes are functions of a module beside this one, by the row of the migration guides that tells of them. What comes
out is JSON: what each returned, as text, or the name of the exception. Runs on clients that share our import name, so
nothing of this package is used here.
"""

import asyncio
import importlib
import inspect
import json
import os
import sys


def outcome(probe, arguments):
    """Run one probe and say in a word what came of it."""
    try:
        result = probe(*arguments)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except Exception as error:
        return type(error).__name__
    return result if isinstance(result, str) else repr(result)


def main(module, host, port, closed_port):
    """Print the outcomes of all probes of a module, and which of the names on standard input exist."""
    probes = importlib.import_module(module)
    arguments = [(host, int(port)), (host, int(closed_port))]
    outcomes = {row: outcome(probe, arguments) for row, probe in probes.PROBES.items()}
    names = {name: exists(name) for name in json.load(sys.stdin)}
    json.dump({"outcomes": outcomes, "names": names, "public": probes.public_names()}, sys.stdout)


def exists(name):
    """Whether a dotted name can be resolved: the longest module of it, then attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        try:
            for attribute in parts[length:]:
                found = getattr(found, attribute)
        except AttributeError:
            return False
        return True
    return False


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    # Without the end of the interpreter, which other clients do not always survive.
    os._exit(0)
