"""Which operations become spans: parents, samplers, and the tail."""

import asyncio

import aerospike_py
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

pytestmark = pytest.mark.embedded

ORDINARY = {"total_timeout": 60, "max_retries": 0}


@pytest.fixture
def trace(http_collector):
    """Return a function that starts tracing to a collector."""

    def start(**arguments):
        aerospike_py.init_tracing(
            endpoint=http_collector.endpoint, protocol="http/protobuf", schedule_delay_ms=50, **arguments
        )

    return start


def roots(collector):
    aerospike_py.shutdown_tracing()
    return collector.roots()


def test_the_applications_span_is_the_parent(trace, http_collector, client, key):
    tracer = TracerProvider().get_tracer("application")
    trace()
    with tracer.start_as_current_span("request") as outer:
        client.exists(key)
        with tracer.start_as_current_span("inner") as inner:
            client.exists(key)
    client.exists(key)
    first, second, third = roots(http_collector)
    trace_id = f"{outer.get_span_context().trace_id:032x}"
    assert (first.trace_id, first.parent_id) == (trace_id, f"{outer.get_span_context().span_id:016x}")
    assert (second.trace_id, second.parent_id) == (trace_id, f"{inner.get_span_context().span_id:016x}")
    assert third.trace_id != trace_id
    assert third.parent_id == ""


async def test_every_task_has_its_own_parent(trace, http_collector, server, keys):
    tracer = TracerProvider().get_tracer("application")
    parents = {}

    async def request(client, key):
        with tracer.start_as_current_span("request") as span:
            await asyncio.sleep(0)
            await client.exists(key)
            await client.exists(key)
        parents[f"{span.get_span_context().span_id:016x}"] = asyncio.current_task().get_name()

    async with await aerospike_py.async_client(server.config()).connect() as client:
        trace()
        await asyncio.gather(*(request(client, key) for key in keys))
    found = roots(http_collector)
    assert {span.parent_id for span in found} == set(parents)
    assert len(found) == 2 * len(keys)
    for span in found:
        assert span.attributes["aerospike.task_name"] == parents[span.parent_id]
    tasks = {(span.attributes["aerospike.task_id"], span.attributes["aerospike.task_name"]) for span in found}
    assert len(tasks) == len(keys)
    assert len({span.attributes["aerospike.loop_id"] for span in found}) == 1


def test_a_trace_that_the_application_drops_has_no_spans_of_ours(trace, http_collector, client, key):
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("application")
    trace(sampler="always_on")
    with tracer.start_as_current_span("request") as span:
        assert span.get_span_context().is_valid
        client.exists(key)
    assert roots(http_collector) == []


def test_a_remote_parent_is_marked(trace, http_collector, client, key):
    parent = otel.SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=otel.TraceFlags(1))
    token = otel_context.attach(otel.set_span_in_context(otel.NonRecordingSpan(parent)))
    trace(sampler="always_off")
    client.exists(key)
    otel_context.detach(token)
    (span,) = roots(http_collector)
    assert (span.trace_id, span.parent_id) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert span.flags & 0x300 == 0x300


def test_a_parent_can_be_named_without_the_package(trace, http_collector, client, key):
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    tracer = TracerProvider().get_tracer("application")
    trace()
    with tracer.start_as_current_span("request"):
        with aerospike_py.trace_context(f"00-{trace_id}-{span_id}-01"):
            client.exists(key)
            with aerospike_py.trace_context(None):
                client.exists(key)
        with aerospike_py.trace_context(f"00-{trace_id}-{span_id}-00"):
            client.exists(key)
    named, alone = roots(http_collector)
    assert (named.trace_id, named.parent_id) == (trace_id, span_id)
    assert alone.parent_id == ""
    with pytest.raises(ValueError, match="traceparent looks like"), aerospike_py.trace_context("00-1-2-3"):
        pass


@pytest.mark.parametrize(
    ("sampler", "argument", "least", "most"),
    [
        ("always_off", None, 0, 0),
        ("parentbased_always_off", None, 0, 0),
        ("parentbased_always_on", None, 400, 400),
        ("traceidratio", 0.0, 0, 0),
        ("traceidratio", 1.0, 400, 400),
        # Eight standard deviations to either side.
        ("parentbased_traceidratio", 0.5, 120, 280),
    ],
)
def test_the_sampler_decides_where_there_is_no_parent(
    trace, http_collector, client, key, sampler, argument, least, most
):
    trace(sampler=sampler, sampler_arg=argument, stage_spans=False)
    for _ in range(400):
        client.exists(key)
    assert least <= len(roots(http_collector)) <= most


def test_the_tail_keeps_failures_and_what_is_slow(trace, http_collector, client, faults, key):
    trace(slow_ms=150)
    for _ in range(20):
        client.exists(key)
    with faults.fault("delay=200ms", command="exists"):
        client.exists(key)
        with pytest.raises(aerospike_py.AerospikeTimeoutError):
            client.exists(key, policy=ORDINARY)
    with pytest.raises(aerospike_py.RecordNotFound):
        client.get(key)
    slow, failed = roots(http_collector)
    assert slow.attributes["aerospike.sampled_by"] == "slow"
    assert slow.duration > 150_000_000
    assert failed.attributes["aerospike.sampled_by"] == "failed"
    assert http_collector.below(slow)


def test_the_tail_is_limited_and_counts(trace, http_collector, client):
    trace(failures=True, per_second=3)
    for _ in range(50):
        with pytest.raises(TypeError):
            client.get("no key")
    dropped = aerospike_py.tracing_stats()["dropped_rate_limit"]
    kept = roots(http_collector)
    # The calls may lie in two seconds.
    assert 3 <= len(kept) <= 6
    assert dropped == 50 - len(kept)


def test_the_tail_respects_the_application_unless_told(trace, http_collector, client):
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("application")
    for override in (False, True):
        trace(failures=True, override_parent=override)
        with tracer.start_as_current_span("request") as parent, pytest.raises(TypeError):
            client.get("no key")
        found = roots(http_collector)
        assert len(found) == override
    assert found[0].parent_id == f"{parent.get_span_context().span_id:016x}"


def test_slow_can_be_a_percentile(trace, http_collector, client, faults, key):
    trace(slow_percentile=99, stage_spans=False)
    # So many that the slow ones below are less than a hundredth of all until the percentile is known.
    for _ in range(4000):
        client.exists(key)
    with faults.fault("delay=150ms", command="exists"):
        for _ in range(30):
            client.exists(key)
            if any(span.duration >= 150_000_000 for span in http_collector.spans):
                break
    found = roots(http_collector)
    assert any(span.duration >= 150_000_000 for span in found)
    assert all(span.attributes["aerospike.sampled_by"] == "slow" for span in found)
