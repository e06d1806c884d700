"""What gunicorn calls in its own process and in its workers; see ``test_web_servers.py``."""

from __future__ import annotations

import os
from typing import Any


def post_worker_init(worker: Any) -> None:
    """In a worker, once the application is loaded: connect the synchronous client."""
    import served

    if os.environ.get("CONNECT_SYNC"):
        served.sync_client.connect()
        served.say("connected")
        served.say(f"early client: {served.early_outcome()};")


def worker_exit(server: Any, worker: Any) -> None:
    """In a worker, at its end."""
    import served

    if os.environ.get("CONNECT_SYNC"):
        served.sync_client.close()
        served.say("closed")


def on_exit(server: Any) -> None:
    """In gunicorn's own process, at its end: its own client has outlived all workers."""
    if os.environ.get("CONNECT_EARLY"):
        import served

        served.say(f"at the end, {served.early_outcome()};")
