"""Deployed under uvicorn and gunicorn: several workers, preloading, reloading, and ends with requests in flight."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from aerospike_py.testing import EmbeddedServer

HERE = Path(__file__).parent
CONNECTED = r"^connected in process (\d+)"
CLOSED = r"^closed in process (\d+)"

UVICORN = ["-m", "uvicorn", "--host", "127.0.0.1", "--port", "0", "--timeout-graceful-shutdown", "1", "served:app"]
GUNICORN = ["-m", "gunicorn", "--bind", "127.0.0.1:0", "--config", "gunicorn_hooks.py", "--graceful-timeout", "1"]
WORKERS = {
    "uvicorn": [*UVICORN, "--workers", "2"],
    "gunicorn with uvicorn's worker": [*GUNICORN, "-w", "2", "-k", "uvicorn_worker.UvicornWorker", "served:app"],
    "gunicorn with its own asyncio worker": [*GUNICORN, "-w", "2", "-k", "asgi", "served:app"],
    "gunicorn with threads": [*GUNICORN, "-w", "2", "-k", "gthread", "--threads", "4", "served:wsgi"],
}
PRELOADING = [name for name in WORKERS if name.startswith("gunicorn")]


@pytest.fixture
def serve(server: EmbeddedServer, tmp_path: Path) -> Callable[..., Serving]:
    """Start the services, from a folder of the test's own, with stages recorded."""
    for name in ("served.py", "gunicorn_hooks.py"):
        shutil.copy(HERE / name, tmp_path)

    def start(command: list[str], **environment: str) -> Serving:
        if "gthread" in command:
            environment["CONNECT_SYNC"] = "1"
        always = {"HOSTS": json.dumps(server.hosts), "AEROSPIKE_PY_INTERNAL_METRICS": "1", "PYTHONFAULTHANDLER": "1"}
        # A control socket in the home folder is of no use here.
        always["HOME"] = str(tmp_path)
        return Serving(command, {**always, **environment}, tmp_path)

    return start


@pytest.mark.parametrize("name", WORKERS)
def test_workers_connect_answer_and_close(serve: Callable[..., Serving], name: str) -> None:
    with serve(WORKERS[name]) as serving:
        workers = set(serving.wait_for(CONNECTED, 2))
        assert len(workers) == 2
        assert {str(serving.get("/").json()["pid"]) for _ in range(10)} <= workers
        serving.signal(signal.SIGTERM)
        assert set(serving.wait_for(CLOSED, 2)) == workers
        assert serving.ended() in (0, -signal.SIGTERM)
        assert "Traceback" not in serving.output, serving.output


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_that_is_killed_is_replaced(serve: Callable[..., Serving], name: str) -> None:
    with serve(WORKERS[name]) as serving:
        first, second = serving.wait_for(CONNECTED, 2)
        os.kill(int(first), signal.SIGKILL)
        third = serving.wait_for(CONNECTED, 3)[2]
        assert third not in (first, second)
        assert str(serving.get("/").json()["pid"]) in (second, third)
        # To gunicorn this means to end at once, without asking the applications to close anything.
        serving.signal(signal.SIGINT)
        serving.ended()


@pytest.mark.parametrize("name", PRELOADING)
def test_preloading_with_a_client_that_is_connected_before_the_fork(serve: Callable[..., Serving], name: str) -> None:
    """Workers are told, their own clients work, and the process that they were forked from is none the worse for it."""
    with serve([*WORKERS[name], "--preload"], CONNECT_EARLY="1") as serving:
        workers = set(serving.wait_for(CONNECTED, 2))
        outcomes = serving.wait_for(r"early client: (.*);", 2)
        assert all("before the process forked" in outcome for outcome in outcomes), outcomes
        assert {str(serving.get("/").json()["pid"]) for _ in range(5)} <= workers
        serving.signal(signal.SIGHUP)
        replaced = set(serving.wait_for(CONNECTED, 4))
        assert len(replaced) == 4
        serving.wait_for(CLOSED, 2)
        assert {str(serving.get("/").json()["pid"]) for _ in range(5)} <= replaced
        serving.signal(signal.SIGTERM)
        assert serving.wait_for(r"at the end, (.*); in process (\d+)") == [("read ['early']", str(serving.process.pid))]
        assert serving.ended() == 0


@pytest.mark.parametrize("name", [name for name in WORKERS if "threads" not in name])
def test_requests_that_are_never_answered_do_not_hold_up_the_end(
    serve: Callable[..., Serving], server: EmbeddedServer, name: str
) -> None:
    with serve(WORKERS[name]) as serving, server.fault("stall", command="read"):
        serving.wait_for(CONNECTED, 2)
        address = serving.address

        def ask() -> None:
            try:
                httpx.get(f"{address}/stalled", timeout=60)
            except httpx.HTTPError as error:
                failures.append(error)

        failures: list[Exception] = []
        requests = [threading.Thread(target=ask) for _ in range(4)]
        for request in requests:
            request.start()
        serving.wait_for("^waits in process", 4)
        serving.signal(signal.SIGTERM)
        serving.ended()
        for request in requests:
            request.join(60)
        assert not any(request.is_alive() for request in requests)


def test_reloading(serve: Callable[..., Serving], tmp_path: Path) -> None:
    with serve([*UVICORN, "--reload", "--reload-delay", "0.1"]) as serving:
        (first,) = serving.wait_for(CONNECTED)
        for count in (2, 3):
            (tmp_path / "served.py").write_text((tmp_path / "served.py").read_text() + "\n")
            assert len(set(serving.wait_for(CONNECTED, count))) == count
            assert len(serving.wait_for(CLOSED, count - 1)) == count - 1
        assert str(serving.get("/").json()["pid"]) != first
        serving.signal(signal.SIGINT)
        serving.ended()
