"""What durations are labelled with: the set, several sets or none; misses, errors and time-outs; the node."""

import threading
import time

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from scraping import DURATION, Metrics

pytestmark = pytest.mark.embedded

COUNT = f"{DURATION}_count"


@pytest.fixture
def client(shared_node, connect):
    return connect(shared_node.config())


@pytest.fixture(params=[False, True], ids=["durations", "with stages"], autouse=True)
def _recording(request):
    before = aerospike_py.is_internal_stage_metrics_enabled()
    aerospike_py.set_internal_stage_metrics_enabled(request.param)
    yield
    aerospike_py.set_internal_stage_metrics_enabled(before)


def eventually(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def expected(client, server, operation, **more):
    ((host, port),) = server.hosts
    return {
        "db_system_name": "aerospike",
        "db_operation_name": operation,
        "lane": client.lane,
        "server_address": host,
        "server_port": str(port),
        **more,
    }


def test_a_single_record_is_of_its_set_and_node(client, shared_node, growth, key):
    client.put(key, {"n": 1})
    client.get(key)
    labels = {"db_namespace": "test", "db_collection_name": key[1]}
    grown = growth()
    for operation in ("put", "get"):
        (own,) = grown.label_sets(COUNT, **labels, db_operation_name=operation)
        assert own == expected(client, shared_node, operation, **labels)
        assert grown.of(COUNT, **own) == 1


def test_a_record_without_a_set_has_no_collection(client, shared_node, growth):
    client.put(("test", "", "nowhere"), {"n": 1})
    (own,) = growth().label_sets(COUNT, db_operation_name="put")
    assert own == expected(client, shared_node, "put", db_namespace="test")


def test_a_batch_is_labelled_as_what_it_is(client, shared_node, growth, fresh_set):
    one_set = [("test", fresh_set, number) for number in range(5)]
    other = [("test", f"{fresh_set}b", number) for number in range(2)]
    client.batch_read(one_set)
    client.batch_read(one_set + other)
    grown = growth()
    sets = grown.label_sets(COUNT, db_operation_name="batch_read")
    assert {own["db_collection_name"] for own in sets} == {fresh_set, "_several"}
    for own in sets:
        labels = {"db_namespace": "test", "db_collection_name": own["db_collection_name"]}
        # There is one node.
        assert own == expected(client, shared_node, "batch_read", **labels)
    size = {"db_operation_name": "batch_read", "lane": client.lane}
    assert grown.of("db_client_operation_batch_size_sum", **size) == 12
    assert grown.of("db_client_operation_batch_size_bucket", le="5.0", **size) == 1


@pytest.fixture(scope="module")
def three_nodes():
    with EmbeddedServer(nodes=3, process=True) as server:
        yield server


PARTS = "db_client_batch_node_duration_seconds"
FAILED_ROWS = "db_client_batch_rows_failed_total"


def test_a_batch_has_the_node_that_it_went_to_if_it_was_one(three_nodes, connect, growth, many):
    client = connect(three_nodes.config())
    by_node = {}
    for key in many:
        client.put(key, {"n": 1})
    for own in growth().label_sets(COUNT, db_operation_name="put", db_collection_name=many[0][1]):
        by_node[own["server_port"]] = own["server_address"]
    assert len(by_node) == 3
    client.batch_read(many)
    (several,) = growth().label_sets(COUNT, db_operation_name="batch_read", lane=client.lane)
    assert not {"server_address", "server_port"} & set(several)
    grown = growth()
    for port in by_node:
        assert grown.of(f"{PARTS}_count", server_port=port) == 1
    # A single key takes another way through the driver.
    client.batch_read(many[:1])
    (one,) = [own for own in growth().label_sets(COUNT, db_operation_name="batch_read") if "server_port" in own]
    assert one["server_port"] in by_node


def test_rows_of_a_batch_that_fail_are_counted_by_node(three_nodes, connect, growth, many):
    client = connect(three_nodes.config())
    client.batch_write([(key, {"n": 1}) for key in many])
    client.batch_read([*many, ("test", many[0][1], "missing")])
    assert not growth().of(FAILED_ROWS)
    with three_nodes.fault("error=8", node=1, command="batch_read"):
        answered = client.batch_read(many)
    failed = sum(1 for record in answered.batch_records if record.result == 8)
    grown = growth()
    ((host, port),) = {(own["server_address"], own["server_port"]) for own in grown.label_sets(FAILED_ROWS)}
    assert (host, int(port)) == three_nodes.hosts[1]
    assert grown.of(FAILED_ROWS, db_response_status_code="8", error_type="ServerError") >= 1
    assert grown.of(FAILED_ROWS) <= max(failed, 1)


def test_what_is_about_no_record_has_no_names(client, growth):
    client.ping()
    (own,) = growth().label_sets(COUNT, db_operation_name="ping")
    assert not {"db_namespace", "db_collection_name", "error_type"} & set(own)


def test_a_miss_is_no_error(client, growth, key):
    with pytest.raises(aerospike_py.RecordNotFound):
        client.get(key)
    grown = growth()
    (own,) = grown.label_sets(COUNT, db_operation_name="get")
    assert own["db_response_status_code"] == "2"
    assert "error_type" not in own
    assert grown.of("db_client_operations_total", outcome="not_found", db_operation_name="get") == 1
    assert grown.of("db_client_operations_total", db_operation_name="get") == 1


FAULTS = [
    ("error=4", aerospike_py.ServerError, "4"),
    ("error=8", aerospike_py.ServerError, "8"),
    ("error=13", aerospike_py.RecordTooBig, "13"),
    ("error=22", aerospike_py.ServerError, "22"),
    ("error=27", aerospike_py.FilteredOut, "27"),
    ("error=81", aerospike_py.AdminError, "81"),
    ("reset", aerospike_py.ClusterError, None),
    ("stall", aerospike_py.AerospikeTimeoutError, None),
]


@pytest.mark.parametrize(("fault", "raised", "code"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_the_error_is_the_exception_that_is_raised(client, shared_node, growth, key, fault, raised, code):
    policy = {"total_timeout": 150, "max_retries": 0}
    with shared_node.fault(fault, command="read"), pytest.raises(aerospike_py.AerospikeError) as caught:
        client.get(key, policy)
    (own,) = growth().label_sets(COUNT, db_operation_name="get")
    assert own["error_type"] == type(caught.value).__name__
    assert isinstance(caught.value, raised)
    assert own.get("db_response_status_code") == code
    assert own["db_collection_name"] == key[1]


REFUSED = [
    ("get", ("no key",)),
    ("get", (("test", "demo", 1.5),)),
    ("put", (("test", "demo", "k"), {"x" * 16: 1})),
    ("put", (("test", "demo", "k"), {"n": 2**70})),
    ("get", (("test", "demo", "k"), {"total_timeout": -1})),
]


@pytest.mark.parametrize(("operation", "arguments"), REFUSED, ids=[str(place) for place in range(len(REFUSED))])
def test_refused_arguments_are_counted_by_their_exception(client, growth, operation, arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one it is, is what is compared
        getattr(client, operation)(*arguments)
    (own,) = growth().label_sets(COUNT, db_operation_name=operation)
    assert own["error_type"] == type(caught.value).__name__


def test_a_full_limiter_is_an_error_of_its_own(shared_node, connect, growth, key):
    client = connect(shared_node.config(max_concurrent_operations=1, operation_queue_timeout_ms=30))
    client.put(key, {"n": 1})
    with shared_node.fault("stall", command="read"):
        slow = client.start("get", key, {"total_timeout": 20_000})
        eventually(lambda: Metrics.read().of("db_client_operations_in_flight") >= 1)
        with pytest.raises(aerospike_py.BackpressureError):
            client.exists(key)
    slow.result(20)
    grown = growth()
    assert grown.of(COUNT, error_type="BackpressureError", lane=client.lane) == 1
    assert grown.of("db_client_limiter_timeouts_total") == 1


def test_threads_lose_nothing(shared_node, growth, fresh_set):
    threads, rounds = 8, 150

    with aerospike_py.client(shared_node.config()).connect() as client:

        def work(number):
            for turn in range(rounds):
                client.put(("test", f"{fresh_set}-{number}", turn), {"n": turn})

        running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        seen = 0.0
        while any(thread.is_alive() for thread in running):
            now = Metrics.read().of(COUNT, db_operation_name="put", lane="sync")
            assert now >= seen
            seen = now
        for thread in running:
            thread.join()
    grown = growth()
    assert grown.of(COUNT, db_operation_name="put") == threads * rounds
    for number in range(threads):
        assert grown.of(COUNT, db_operation_name="put", db_collection_name=f"{fresh_set}-{number}") == rounds
