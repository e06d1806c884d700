"""A service that hands out features and profiles from Aerospike, with metrics and traces as its operators want them.

It shows where the client belongs in a FastAPI application: one ``AsyncClient`` for each worker process, made at import,
connected and closed by the lifespan. ``README.md`` says how to run it. Feature names and profiles are made up.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aerospike_py
import prometheus_client
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aerospike_py import BatchPolicy, ReadPolicy, WritePolicy

NAMESPACE = os.environ.get("AEROSPIKE_NAMESPACE", "test")
PROFILES = "profiles"
FEATURE_SETS = ("user_features", "session_features", "item_affinities")

# How long a request may wait for Aerospike; two attempts have to fit into that.
PATIENCE_MS = int(os.environ.get("PATIENCE_MS", "100"))
READ: ReadPolicy = {"socket_timeout": PATIENCE_MS // 2, "total_timeout": PATIENCE_MS, "max_retries": 1}
BATCH_READ: BatchPolicy = {"socket_timeout": PATIENCE_MS // 2, "total_timeout": PATIENCE_MS, "max_retries": 1}
WRITE: WritePolicy = {"socket_timeout": PATIENCE_MS, "total_timeout": 2 * PATIENCE_MS, "max_retries": 1}
PROFILE_TTL_SECONDS = 90 * 24 * 3600

RECORDS_SERVED = prometheus_client.Counter(
    "features_records", "Records that feature requests asked for.", ["set", "outcome"]
)


def hosts() -> list[tuple[str, int]]:
    """Read ``AEROSPIKE_HOSTS``, such as ``10.0.0.1:3000,10.0.0.2``."""
    entries = [entry.strip().partition(":") for entry in os.environ.get("AEROSPIKE_HOSTS", "127.0.0.1").split(",")]
    return [(host, int(port or 3000)) for host, _, port in entries]


# Making a client connects nothing, so this may happen before a server forks its workers.
client = aerospike_py.async_client(
    {"hosts": hosts(), "max_concurrent_operations": 256, "operation_queue_timeout_ms": 50}
)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Run in every worker: what connects or starts threads belongs here, behind the fork."""
    provider = start_tracing()
    await client.connect()
    try:
        yield
    finally:
        await client.close()
        stop_tracing(provider)


def start_tracing() -> TracerProvider | None:
    """Export spans if the environment says where to; OTEL_SERVICE_NAME and its like are read by the exporters."""
    if not any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT")):
        return None
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # The client's own spans, one for each operation, with its stages.
    aerospike_py.init_tracing()
    return provider


def stop_tracing(provider: TracerProvider | None) -> None:
    """Send what has not been sent yet."""
    if provider is not None:
        aerospike_py.shutdown_tracing()
        provider.shutdown()


app = FastAPI(title="Features", lifespan=lifespan)
FastAPIInstrumentor.instrument_app(app, excluded_urls="health,ready,metrics")


class Profile(BaseModel):
    """What is kept about a user."""

    name: str
    plan: str = "free"
    interests: list[str] = []


@app.get("/features/{user_id}")
async def features(user_id: str) -> dict[str, Any]:
    """Return a user's features from all sets: one batch, so one request per node, however many sets there are."""
    keys = [(NAMESPACE, set_name, user_id) for set_name in FEATURE_SETS]
    records = await client.batch_read(keys, policy=BATCH_READ)
    found: dict[str, Any] = {}
    failed: list[str] = []
    for set_name, entry in zip(FEATURE_SETS, records.batch_records, strict=True):
        if entry.record is not None:
            found[set_name] = entry.record.bins
        elif entry.result != aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND:
            failed.append(set_name)
        outcome = "found" if set_name in found else "failed" if set_name in failed else "missing"
        RECORDS_SERVED.labels(set_name, outcome).inc()
    return {"user_id": user_id, "features": found, "failed": failed}


@app.get("/profile/{user_id}")
async def read_profile(user_id: str) -> Profile:
    """Return a user's profile."""
    try:
        record = await client.get((NAMESPACE, PROFILES, user_id), READ)
    except aerospike_py.RecordNotFound:
        raise HTTPException(404, f"there is no profile of {user_id}") from None
    return Profile.model_validate(record.bins)


@app.put("/profile/{user_id}", status_code=204)
async def write_profile(user_id: str, profile: Profile) -> None:
    """Keep a user's profile."""
    await client.put((NAMESPACE, PROFILES, user_id), profile.model_dump(), {"ttl": PROFILE_TTL_SECONDS}, WRITE)


@app.get("/health")
async def health() -> dict[str, str]:
    """Tell that the process lives; whether Aerospike does is another question, and no reason to restart this."""
    return {"status": "ok"}


@app.get("/ready")
async def ready() -> dict[str, list[str]]:
    """Tell whether requests should come here: a node answers."""
    if not await client.ping():
        raise HTTPException(503, "no node of the cluster answers")
    return {"nodes": client.get_node_names()}


@app.get("/metrics")
async def metrics() -> Response:
    """Return the metrics of this worker: the service's own, and the client's behind them."""
    text = prometheus_client.generate_latest() + aerospike_py.get_metrics().encode()
    return Response(text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})


@app.exception_handler(aerospike_py.AerospikeError)
async def aerospike_failed(_request: Request, error: aerospike_py.AerospikeError) -> JSONResponse:
    """Answer in the words of HTTP what the client could not do; its messages say where to look."""
    status = 500
    if isinstance(error, aerospike_py.AerospikeTimeoutError):
        status = 504
    elif isinstance(error, (aerospike_py.BackpressureError, aerospike_py.ClusterError)):
        status = 503
    return JSONResponse({"detail": str(error)}, status)
