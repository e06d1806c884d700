"""The FastAPI example as its users run it: under uvicorn, in processes of its own."""

from __future__ import annotations

import signal
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from prometheus_client.parser import text_string_to_metric_families
from serving import Serving
from spans import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[3] / "examples" / "fastapi"
UVICORN = ["-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", "0"]


def environment(hosts: list[tuple[str, int]], **more: str) -> dict[str, str]:
    named = ",".join(f"{host}:{port}" for host, port in hosts)
    return {"AEROSPIKE_HOSTS": named, "AEROSPIKE_PY_INTERNAL_METRICS": "1", "PATIENCE_MS": "10000", **more}


@pytest.fixture(scope="module")
def hosts(server_config: Any) -> list[tuple[str, int]]:
    return [tuple(host) for host in server_config["hosts"]]


@pytest.fixture(scope="module")
def service(hosts: list[tuple[str, int]]) -> Iterator[Serving]:
    """The example with one worker, shared by the tests that only ask."""
    with Serving(UVICORN, environment(hosts), EXAMPLE) as serving:
        yield serving
        serving.signal(signal.SIGTERM)
        assert serving.ended() in (0, -signal.SIGTERM)
        assert "Application shutdown complete" in serving.output
        assert "Traceback" not in serving.output, serving.output


@pytest.fixture
def user() -> str:
    return f"user-{uuid.uuid4().hex}"


def samples(service: Serving) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = service.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(response.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family is there twice"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_features_of_several_sets_in_one_batch(service: Serving, hosts: list[tuple[str, int]], user: str) -> None:
    with aerospike_py.client({"hosts": hosts}).connect() as client:
        client.put(("test", "user_features", user), {"age_bucket": 3, "embedding": [0.25, 0.5]})
        client.put(("test", "item_affinities", user), {"books": 0.75})
    response = service.get(f"/features/{user}")
    assert response.status_code == 200
    assert response.json() == {
        "user_id": user,
        "features": {
            "user_features": {"age_bucket": 3, "embedding": [0.25, 0.5]},
            "item_affinities": {"books": 0.75},
        },
        "failed": [],
    }
    assert service.get(f"/features/{user}-unknown").json()["features"] == {}


def test_a_profile_is_written_and_read(service: Serving, user: str) -> None:
    path = f"/profile/{user}"
    missing = service.get(path)
    assert (missing.status_code, user in missing.json()["detail"]) == (404, True)
    profile = {"name": "Ada", "plan": "paid", "interests": ["engines", "poetry"]}
    assert service.put(path, profile).status_code == 204
    assert service.get(path).json() == profile
    assert service.put(path, {"plan": "paid"}).status_code == 422


def test_health_and_readiness(service: Serving) -> None:
    assert service.get("/health").json() == {"status": "ok"}
    assert service.get("/ready").json()["nodes"]


def test_metrics_of_the_service_and_of_the_client(service: Serving, user: str) -> None:
    before = samples(service)
    for _ in range(3):
        service.get(f"/features/{user}")
    after = samples(service)

    def grown(name: str, **labels: str) -> float:
        matching = [key for key in after if key[0] == name and labels.items() <= dict(key[1]).items()]
        return sum(after[key] - before.get(key, 0) for key in matching)

    assert grown("features_records_total", outcome="missing") == 9
    assert grown("db_client_operation_duration_seconds_count", db_operation_name="batch_read") == 3
    stages = {name for name, labels in after if dict(labels).get("stage") == "network_wait"}
    assert any(grown(name, db_operation_name="batch_read", stage="network_wait") > 0 for name in stages)
    assert ("python_info",) in {key[:1] for key in after}


@pytest.mark.embedded
def test_what_aerospike_cannot_do_is_said_in_the_words_of_http() -> None:
    with EmbeddedServer() as server, Serving(UVICORN, environment(server.hosts, PATIENCE_MS="200"), EXAMPLE) as serving:
        assert serving.get("/ready").status_code == 200
        with server.fault("stall"):
            answer = serving.get("/profile/x")
            assert (answer.status_code, "time" in answer.json()["detail"]) == (504, True)
            assert serving.get("/health").status_code == 200
        with server.fault("error=18", command="read"):
            assert serving.get("/profile/x").status_code == 500
        server.node_down(0)
        assert serving.get("/ready").status_code == 503
        assert serving.get("/profile/x").status_code in (503, 504)


@pytest.mark.embedded
def test_the_end_waits_for_requests_and_closes_the_client() -> None:
    with EmbeddedServer() as server, Serving(UVICORN, environment(server.hosts), EXAMPLE) as serving:
        assert serving.get("/ready").status_code == 200
        with server.fault("delay=700ms", command="batch_read"):
            request = serving.get_later("/features/late")
            deadline = time.monotonic() + 30
            while not server.stats().faults_fired:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            serving.signal(signal.SIGTERM)
            assert request.result(60).json()["user_id"] == "late"
        assert serving.ended() in (0, -signal.SIGTERM)
        assert server.stats().connections_open == 0


def test_two_workers(hosts: list[tuple[str, int]], user: str) -> None:
    with Serving([*UVICORN, "--workers", "2"], environment(hosts), EXAMPLE) as serving:
        serving.wait_for("Application startup complete", 2)
        assert serving.put(f"/profile/{user}", {"name": "Ada"}).status_code == 204
        assert {serving.get(f"/profile/{user}").json()["name"] for _ in range(10)} == {"Ada"}
        serving.signal(signal.SIGTERM)
        assert serving.ended() in (0, -signal.SIGTERM)
        serving.wait_for("Application shutdown complete", 2)


@pytest.mark.skipif(not hasattr(aerospike_py, "init_tracing"), reason="this build exports no spans")
def test_spans_of_requests_and_of_their_operations(hosts: list[tuple[str, int]], user: str) -> None:
    with Collector() as collector:
        tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "OTEL_SERVICE_NAME": "features"}
        tracing["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
        with Serving(UVICORN, environment(hosts, **tracing), EXAMPLE) as serving:
            assert serving.get(f"/features/{user}").status_code == 200
            assert serving.get("/health").status_code == 200
            serving.signal(signal.SIGTERM)
            assert serving.ended() in (0, -signal.SIGTERM)
        spans = collector.spans()
    (request,) = [span for span in spans if span.name == "GET /features/{user_id}"]
    assert not [span for span in spans if "health" in span.name]
    operations = [span for span in spans if span.attributes.get("db.system.name") == "aerospike"]
    reads = [span for span in operations if span.attributes.get("db.operation.name") == "batch_read"]
    assert len(reads) == 1
    assert reads[0].trace_id == request.trace_id
    assert {span.service for span in spans} == {"features"}
