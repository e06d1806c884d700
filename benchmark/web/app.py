"""The endpoints of environments B and C, the same for every client.

`/predict/{client}/sample` looks up the records of a request's candidates, makes features of them and, in environment C,
scores; `/health`, `/ready` and `/metrics` are what operators ask. Connecting and ending are those of the process, in
`serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import HistogramMetricFamily

from benchmark.harness.histogram import Histogram, middle_of
from benchmark.harness.operations import Work
from benchmark.harness.sessions import AsyncSession
from benchmark.harness.workloads import WEB_MODES
from benchmark.web import marks as stages
from benchmark.web.marks import Marks, Recorder
from benchmark.web.model import Array, Predict
from benchmark.web.sample import Batch, Sample, batches_of, digest_of, features_of, fetched

RECEIVED, MARKS = "benchmark.received_ns", "benchmark.marks"
"""Where a request's scope says when its first bytes were read, and how its time was spent."""
BEST = 10
_BOUNDS_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

ModeName = Literal["single", "gather", "sequential", "merge_gather"]
Placement = Literal["loop", "thread"]


@dataclass
class Service:
    """What the endpoints work with: one client, and one model or none."""

    client: str
    work: Work
    connect: Callable[[], Awaitable[AsyncSession]]
    predict: Predict | None = None
    threads: int = 1
    """Threads for inference off the loop."""
    recorder: Recorder = field(default_factory=Recorder)
    session: AsyncSession | None = None
    batch: Batch | None = None
    client_metrics: Callable[[], str] = str
    """What the client says of itself, in the format of Prometheus."""

    def __post_init__(self) -> None:
        self.steps = itertools.count()
        self.executor = ThreadPoolExecutor(self.threads, "inference")

    def begin(self) -> None:
        """Forget what has been; the next request is the first one."""
        self.recorder.clear()
        self.steps = itertools.count()

    async def answer(self, marks: Marks, mode: str, placement: str, step: int | None) -> dict[str, Any]:
        """Look up, make features, score."""
        assert self.session is not None
        assert self.batch is not None
        sample = Sample(self.work, next(self.steps) if step is None else step)
        keys = sample.keys()
        prepared = [self.session.prepare_batch(batch) for batch in batches_of(keys, mode)]
        marks.end(stages.KEY_EXTRACTION)
        found = await fetched(self.batch, prepared, mode)
        marks.end(stages.FETCH)
        dense, sparse = features_of(found, keys)
        answer = {"client": self.client, "records": len(found), "features": digest_of(dense, sparse)}
        marks.end(stages.FEATURE_BUILD)
        if self.predict is not None:
            scores = await self._scored(self.predict, marks, dense, sparse, placement)
            best = np.argsort(-scores)[:BEST]
            answer["best"] = [[keys[0][place][2], round(float(scores[place]), 6)] for place in best]
        return answer

    async def _scored(self, predict: Predict, marks: Marks, dense: Array, sparse: Array, placement: str) -> Array:
        if placement == "loop":
            scores = predict(dense, sparse)
            marks.end(stages.INFERENCE)
            return scores

        def timed() -> tuple[Array, int, int]:
            began = time.perf_counter_ns()
            return predict(dense, sparse), began, time.perf_counter_ns()

        scores, began, ended = await asyncio.get_running_loop().run_in_executor(self.executor, timed)
        marks.until(stages.INFERENCE_WAIT, began)
        marks.until(stages.INFERENCE, ended)
        marks.end(stages.INFERENCE_WAIT)
        return scores


class Accounting:
    """Around the application: a request's time begins with its first bytes and ends with the last of the response."""

    def __init__(self, app: Any, recorder: Recorder) -> None:
        self.app, self._recorder = app, recorder

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/predict/"):
            await self.app(scope, receive, send)
            return
        marks = scope[MARKS] = Marks(scope.get(RECEIVED) or time.perf_counter_ns())

        async def sent(message: Any) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                marks.end(stages.RESPONSE)
                self._recorder.add(marks)

        self._recorder.under_way += 1
        try:
            await self.app(scope, receive, sent)
        finally:
            self._recorder.under_way -= 1


class StageMetrics:
    """The stages of the requests since the last round has begun, for Prometheus."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily("predict_stage_seconds", "Time by stage of a request.", labels=["stage"])
        for name, histogram in self._service.recorder.histograms().items():
            family.add_metric([name], cumulative(histogram), histogram.sum / 1e9)
        yield family


def cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """How many values each bound of Prometheus' buckets holds."""
    counts = [
        (str(bound), float(sum(n for index, n in histogram.counts.items() if middle_of(index) <= bound * 1e9)))
        for bound in _BOUNDS_SECONDS
    ]
    return [*counts, ("+Inf", float(histogram.count))]


def application(service: Service) -> Accounting:
    """The service as an ASGI application; its lifespan connects the client and closes it."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.session = await service.connect()
        service.batch = service.session.batch_as(service.work)
        try:
            yield
        finally:
            await service.session.close()
            service.executor.shutdown()

    app = FastAPI(title="Recommendations", lifespan=lifespan)
    registry = CollectorRegistry()
    registry.register(StageMetrics(service))

    @app.get("/predict/{client}/sample")
    async def sample(
        request: Request,
        client: str,
        mode: ModeName = "single",
        inference: Placement = "loop",
        step: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        marks: Marks = request.scope[MARKS]
        if client != service.client:
            raise HTTPException(404, f"this process serves {service.client}, not {client}: each has one of its own")
        marks.end(stages.RECEIVE)
        return JSONResponse(await service.answer(marks, WEB_MODES[mode], inference, step))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> dict[str, Any]:
        assert service.session is not None
        key = Sample(service.work, 0).keys()[0][0]
        if await service.session.get(service.session.prepare(key)) is None:
            raise HTTPException(503, f"the record {key} is not there: load the records first")
        return {"client": service.client, "model": service.predict is not None}

    @app.get("/metrics")
    async def metrics() -> Response:
        text = exposition.generate_latest(registry).decode() + service.client_metrics()
        return Response(text, headers={"Content-Type": exposition.CONTENT_TYPE_LATEST})

    return Accounting(app, service.recorder)
