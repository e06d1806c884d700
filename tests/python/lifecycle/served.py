"""The services that ``test_web_servers.py`` deploys: one for ASGI and one for WSGI, with little beside the client.

Every worker prints what becomes of its client. With ``CONNECT_EARLY`` set, a client is connected at import, which with
preloading happens in the process that the workers are forked from.
"""

from __future__ import annotations

import json
import os
from typing import Any

import aerospike_py

CONFIG: Any = {"hosts": [tuple(host) for host in json.loads(os.environ["HOSTS"])]}
FOR_EVER: Any = {"total_timeout": 0, "socket_timeout": 0, "max_retries": 0}
KEY = ("test", "served", "k")

client = aerospike_py.async_client(CONFIG)
sync_client = aerospike_py.client(CONFIG)
early = aerospike_py.client(CONFIG).connect() if os.environ.get("CONNECT_EARLY") else None
if early is not None:
    early.put(KEY, {"early": os.getpid()})


def say(text: str) -> None:
    """Print one line; with one write, because several processes print."""
    os.write(1, f"{text} in process {os.getpid()}\n".encode())


def early_outcome() -> str:
    """What becomes of using the client that was connected early."""
    if early is None:
        return "there is none"
    try:
        return f"read {sorted(early.get(KEY).bins)}"
    except aerospike_py.ClientError as error:
        return f"refused: {error}"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve the client over ASGI."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["path"] == "/stalled":
        say("waits")
        await client.get(KEY, FOR_EVER)
    key = ("test", "served", os.getpid())
    await client.put(key, {"pid": os.getpid()})
    body = json.dumps({"pid": (await client.batch_read([key])).to_dict()[os.getpid()]["pid"]}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive: Any, send: Any) -> None:
    """Connect and close the client."""
    await receive()
    await client.connect()
    say("connected")
    say(f"early client: {early_outcome()};")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await client.close()
    say("closed")
    await send({"type": "lifespan.shutdown.complete"})


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    """Serve the client over WSGI; the worker has connected it (see ``gunicorn_hooks.py``)."""
    key = ("test", "served", os.getpid())
    sync_client.put(key, {"pid": os.getpid()})
    body = json.dumps(sync_client.get(key).bins).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
