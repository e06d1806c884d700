"""The service of the benchmarks' environments B and C with our client, on the embedded server."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

sys.path.append(str(Path(__file__).resolve().parents[3]))

from benchmark.harness import drive_aerospike_py, servers
from benchmark.harness.data import FEATURES, Space
from benchmark.harness.jobs import Job
from benchmark.harness.operations import Work
from benchmark.harness.workloads import WEB_MODES
from benchmark.web import verifying
from benchmark.web.app import Service, application
from benchmark.web.model import model_named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORK = Work("predict", Space(3, 60, FEATURES), 20, "merged")
WITH_MODEL = Work(**{**asdict(WORK), "space": WORK.space, "model": "numpy", "inference": "loop"})


@pytest.fixture(scope="module")
def hosts(server_config: Any) -> list[tuple[str, int]]:
    found = [tuple(host) for host in server_config["hosts"]]
    servers.load(found, WORK.space)
    return found


def serving(hosts: list[tuple[str, int]], work: Work) -> Service:
    job = Job(hosts, work, "http", 1, client="ours")
    predict = model_named(work.model, work.space.sets) if work.model else None
    service = Service("ours", work, lambda: drive_aerospike_py.connect_async(job), predict)
    service.client_metrics = drive_aerospike_py.metrics
    return service


@pytest.fixture
def service(hosts: list[tuple[str, int]]) -> Service:
    return serving(hosts, WITH_MODEL)


@contextlib.asynccontextmanager
async def asking(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Ask the application without a server around it."""
    made = application(service)
    async with (
        made.app.router.lifespan_context(made.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://here") as client,
    ):
        yield client


@pytest.fixture
async def asked(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(service) as client:
        yield client


@pytest.mark.parametrize("inference", ["loop", "thread"])
@pytest.mark.parametrize("mode", WEB_MODES)
async def test_every_mode_scores_what_is_stored(
    service: Service, asked: httpx.AsyncClient, mode: str, inference: str
) -> None:
    service.begin()
    answer = await asked.get("/predict/ours/sample", params={"mode": mode, "inference": inference, "step": 3})
    assert answer.status_code == 200
    assert verifying.difference(answer.json(), verifying.expected(WITH_MODEL, 3)) is None
    found = service.recorder.result()
    assert found["totals"] == [sum(stage["sum"] for stage in found["stages"].values())]
    assert ("inference_wait" in found["stages"]) == (inference == "thread")


async def test_without_a_model_features_are_the_answer(hosts: list[tuple[str, int]]) -> None:
    async with asking(serving(hosts, WORK)) as asked:
        answer = (await asked.get("/predict/ours/sample")).json()
    assert answer["records"] == 60
    assert "best" not in answer
    assert verifying.difference(answer, verifying.expected(WORK, 0)) is None


async def test_requests_ask_for_one_sample_after_the_other(service: Service, asked: httpx.AsyncClient) -> None:
    service.begin()
    digests = [(await asked.get("/predict/ours/sample")).json()["features"] for _ in range(3)]
    service.begin()
    assert (await asked.get("/predict/ours/sample")).json()["features"] == digests[0]
    assert digests[0] != digests[1] != digests[2]


async def test_what_operators_ask(service: Service, asked: httpx.AsyncClient) -> None:
    service.begin()
    assert (await asked.get("/health")).json() == {"status": "ok"}
    assert (await asked.get("/ready")).json() == {"client": "ours", "model": True}
    await asked.get("/predict/ours/sample")
    text = (await asked.get("/metrics")).text
    assert 'predict_stage_seconds_bucket{le="+Inf",stage="fetch"} 1.0' in text
    assert "db_client_operation_duration_seconds" in text


async def test_other_clients_and_modes_are_refused(asked: httpx.AsyncClient) -> None:
    other = await asked.get("/predict/aerospike/sample")
    assert (other.status_code, "one of its own" in other.json()["detail"]) == (404, True)
    assert (await asked.get("/predict/ours/sample", params={"mode": "all"})).status_code == 422


async def test_without_records_it_is_not_ready(hosts: list[tuple[str, int]]) -> None:
    empty = Work("predict", Space(3, 61, FEATURES), 20, "merged")
    async with asking(serving(hosts, empty)) as asked:
        answer = await asked.get("/ready")
    assert (answer.status_code, "load the records" in answer.json()["detail"]) == (503, True)
