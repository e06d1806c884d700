"""The process of a service: a client's driver behind uvicorn, and the parent's protocol beside it.

Run by the Python of the client's serving environment with the module of its driver and the job as arguments. uvicorn
runs in a thread with an event loop of its own; the main thread waits for the parent and sleeps while requests are
served. The calls:

- `hello`: who answers, and the `port` that the service listens on;
- `begin`: forget what has been, collect garbage and collect no more until the round ends;
- `finish`: what the requests since then took;
- `end`: closes the client and leaves.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from benchmark.harness.jobs import Driver, Job
from benchmark.harness.lanes import name_of
from benchmark.harness.usage import Meter, Tally, Ticker
from benchmark.processes.answering import Answer, Replies, UnsupportedError, converse, hello
from benchmark.web.app import RECEIVED, Service, application
from benchmark.web.model import Predict, model_named

PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.002


class Dated(H11Protocol):
    """uvicorn's protocol, which remembers when the event loop has read a request's bytes."""

    def data_received(self, data: bytes) -> None:
        at_ns = time.perf_counter_ns()
        super().data_received(data)
        # The request's task has been created by now, but has not run.
        scope: Any = self.scope
        if scope is not None:
            scope.setdefault(RECEIVED, at_ns)


class Web:
    """The service, running in a thread."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._failure: BaseException | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        # The same event loop for all clients: the choice is the service's, not the client's.
        self.loop = asyncio.SelectorEventLoop(selectors.DefaultSelector())
        config = uvicorn.Config(
            application(service), http=Dated, ws="none", lifespan="on", log_level="warning", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="event loop")
        self._thread.start()
        self._wait(lambda: self._server.started, "the service did not start")

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._server.serve([self._socket]))
        except BaseException as error:  # it is raised again where somebody sees it
            self._failure = error

    def _wait(self, is_so: Callable[[], bool], failure: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            if not self._thread.is_alive():
                raise RuntimeError(f"{failure}: see standard error") from self._failure
            if time.monotonic() > deadline:
                raise TimeoutError(failure)
            time.sleep(_LOOK_SECONDS)

    def idle(self) -> None:
        """Wait until no request is under way."""
        self._wait(lambda: not self.service.recorder.under_way, "requests are still under way")

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_SECONDS)
        self.loop.close()


class Rounds:
    """Answers the parent."""

    def __init__(self, web: Web, driver: Driver, replies: Replies) -> None:
        self._web, self._driver, self._replies = web, driver, replies
        self._tally = Tally()
        self._meter: Meter | None = None
        self._ticker: Ticker | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        call = request["call"]
        if call == "hello":
            said = hello(self._driver.client, self._driver.version, name_of(self._web.loop))
            return {**said, "port": self._web.port, "server": f"uvicorn {uvicorn.__version__}"}
        if call == "begin":
            return self._begin()
        if call == "finish":
            return self._finish()
        if call == "end":
            self._web.close()
            self._driver.finish()
            return {"ended": True}
        raise ValueError(f"{call!r} is no call of this protocol")

    def _begin(self) -> dict[str, Any]:
        self._web.idle()
        self._web.service.begin()
        self._stages()
        gc.collect()
        gc.disable()
        self._tally = Served(self._web.service)
        self._ticker = Ticker([self._tally], lambda tick: self._replies.send({"tick": tick}))
        self._ticker.__enter__()
        self._meter = Meter()
        return {"begun": True}

    def _finish(self) -> dict[str, Any]:
        meter, ticker = self._meter, self._ticker
        if meter is None or ticker is None:
            raise ValueError("no round has begun")
        self._web.idle()
        self._tally.ended_ns = time.perf_counter_ns()
        result = meter.result([self._tally], ticker.ticks)
        ticker.__exit__(None, None, None)
        gc.enable()
        self._meter = self._ticker = None
        recorder = self._web.service.recorder
        return {
            **result,
            "ticks": ticker.ticks,
            "samples_bytes": recorder.bytes(),
            "pipeline": recorder.result(),
            "stages": self._stages(),
        }

    def _stages(self) -> list[dict[str, Any]] | None:
        session = self._web.service.session
        return None if session is None else session.stages()


class Served(Tally):
    """The requests of a round as the ticker counts them; their latencies are the load generator's."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service

    def done(self) -> int:
        return self._service.recorder.count()


def model_of(job: Job) -> Predict | None:
    """The model of a job, if it has one.

    Raises:
        UnsupportedError: What the model needs is not installed here.
    """
    if not job.work.model:
        return None
    try:
        return model_named(job.work.model, job.work.space.sets)
    except ImportError as error:
        raise UnsupportedError(f"{job.work.model} is not installed in its environment ({error})") from error


def main() -> None:
    """Serve until the parent says that this is the end. Does not return."""
    module = importlib.import_module(sys.argv.pop(1))
    driver: Driver = module.DRIVER

    def prepare(text: str, replies: Replies) -> Answer:
        job = Job.parse(text)
        connect = driver.connect_async
        if connect is None:
            raise UnsupportedError(f"{driver.client} has no calls that can be awaited")
        service = Service(job.client, job.work, lambda: connect(job), model_of(job), threads=job.threads or 1)
        service.client_metrics = getattr(module, "metrics", str)
        return Rounds(Web(service), driver, replies).answer

    converse(prepare)


if __name__ == "__main__":
    main()
