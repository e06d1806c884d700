"""The protocol between the parent and the process of a client, from the client's side: lines of JSON over pipes.

Standard library only: it is imported by the Python of every client. The job is one JSON object on the command line.
Then one line on standard input is a request, `{"call": NAME, ...}`, and one line on standard output its reply. An
exception is answered with `{"error": ...}`, a job that the client cannot do at all with `{"unsupported": ...}`.
`{"call": "end"}` is the last request. While a request is worked on, lines of the form `{"tick": ...}` may come before
its reply. What the calls are is said where `converse` is called.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig
import threading
from collections.abc import Callable
from typing import IO, Any

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class UnsupportedError(RuntimeError):
    """A client cannot do what it is started for, and never could: it is left out rather than failed."""


class Replies:
    """The way back to the parent. Ticks come from a thread of their own, so lines are written one at a time."""

    def __init__(self) -> None:
        # Standard output belongs to the protocol: what a client's library prints goes to standard error.
        self._out: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def send(self, reply: dict[str, Any]) -> None:
        with self._lock:
            self._out.write(json.dumps(reply) + "\n")
            self._out.flush()


def converse(prepare: Callable[[str, Replies], Answer]) -> None:
    """Answer the parent until it says that this is the end. Does not return.

    `prepare` makes, from the job and the way back, what answers requests.
    """
    replies = Replies()
    try:
        answer = prepare(sys.argv[1], replies)
    except UnsupportedError as error:
        replies.send({"unsupported": str(error)})
        os._exit(0)
    except Exception as error:  # whatever it is, the parent is to know
        replies.send({"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            replies.send(answer(request))
        except Exception as error:  # whatever it is, the parent is to know
            replies.send({"error": f"{type(error).__name__}: {error}"})
        if request["call"] == "end":
            break
    # One of the clients aborts while its interpreter exits, when everything that it was asked for has succeeded.
    os._exit(0)


def hello(client: str, version: str, loop_name: str) -> dict[str, Any]:
    """Who answers: versions, interpreter, GIL, event loop."""
    gil_enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    return {
        "client": client,
        "version": version,
        "python": platform.python_version(),
        "build": " ".join(platform.python_build()),
        "compiler": platform.python_compiler(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil": gil_enabled,
        "loop": loop_name,
        "pid": os.getpid(),
    }
