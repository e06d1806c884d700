"""What the server refuses: every code has its exception, its number, and a message that says what to check."""

import aerospike_py as asp
import pytest
from aerospike_py.testing import EmbeddedServer
from expectations import eventually, open_connections, raises_exactly, results

pytestmark = pytest.mark.embedded

CODES = [
    (1, asp.ServerError, "Server error"),
    (2, asp.RecordNotFound, "record not found"),
    (3, asp.RecordGenerationError, "read it again and retry"),
    (4, asp.ServerError, "check the policy, the bins and the values"),
    (5, asp.RecordExistsError, "use another `exists` policy"),
    (6, asp.BinExistsError, "Bin"),
    (8, asp.ServerError, "out of memory or at its stop-writes limit"),
    (9, asp.AerospikeTimeoutError, "overloaded"),
    (11, asp.ServerError, "retry when the cluster has settled"),
    (12, asp.BinTypeError, "the operation does not work on"),
    (13, asp.RecordTooBig, "max-record-size"),
    (14, asp.ServerError, "too many operations on this one record"),
    (16, asp.ServerError, "does not have the feature"),
    (17, asp.BinNotFound, "Bin not found"),
    (18, asp.ServerError, "storage device cannot keep up"),
    (20, asp.ServerError, "check the name"),
    (21, asp.BinNameError, "at most 15 bytes"),
    (22, asp.ServerError, "does not allow this at the moment"),
    (27, asp.FilteredOut, "filter expression excludes it"),
    (80, asp.AdminError, "give them to connect"),
    (81, asp.AdminError, "lacks the privilege"),
    (100, asp.UDFError, "(?i)udf"),
    (150, asp.ServerError, "batches are disabled"),
    (200, asp.IndexFoundError, "Index"),
    (201, asp.IndexNotFound, "Index"),
    (210, asp.QueryAbortedError, "aborted"),
    (251, asp.ServerError, "251"),
]
NOT_SENT_AGAIN = {"max_retries": 0}


@pytest.fixture(scope="module")
def server():
    """One server for all codes; every test ends its faults."""
    with EmbeddedServer() as running:
        yield running


@pytest.fixture
def client(server, connect):
    """A client of that server."""
    return connect(server.config())


@pytest.mark.parametrize(("code", "expected", "message"), CODES, ids=[str(case[0]) for case in CODES])
def test_reads(server, client, key, code, expected, message):
    client.put(key, {"n": 1})
    with (
        server.fault(f"error={code}", command="read"),
        raises_exactly(expected, match=message) as caught,
    ):
        client.get(key, NOT_SENT_AGAIN)
    assert caught.value.result_code == code
    assert caught.value.in_doubt is False
    assert f"code {code}" in str(caught.value)
    assert key[1] in str(caught.value)
    assert client.get(key).bins == {"n": 1}


@pytest.mark.parametrize(("code", "expected", "message"), CODES, ids=[str(case[0]) for case in CODES])
def test_writes(server, client, key, code, expected, message):
    with (
        server.fault(f"error={code}", command="write"),
        raises_exactly(expected, match=message) as caught,
    ):
        client.put(key, {"n": 1}, policy=NOT_SENT_AGAIN)
    assert caught.value.result_code == code
    # The server may have applied a write that it gave up waiting for; everything else it has refused.
    assert caught.value.in_doubt is (code == 9)
    client.put(key, {"n": 2})
    assert client.get(key).bins == {"n": 2}


# Codes 2, 27 and 100 are about a row even if they come alone.
@pytest.mark.parametrize("code", [case[0] for case in CODES if case[0] not in (2, 27, 100)])
def test_whole_batches_that_one_server_refuses_raise(server, client, keys, code):
    expected = next(case[1] for case in CODES if case[0] == code)
    with server.fault(f"error={code}", command="batch_read"), raises_exactly(expected, match=f"code {code}") as caught:
        client.batch_read(keys, policy=NOT_SENT_AGAIN)
    assert caught.value.result_code == code
    with server.fault(f"error={code}", command="batch_write"), raises_exactly(expected, match=f"code {code}") as caught:
        client.batch_write([(key, {"n": 1}) for key in keys])
    assert caught.value.result_code == code
    assert results(client.batch_write([(key, {"n": 1}) for key in keys])) == [0] * len(keys)


@pytest.mark.parametrize("name", ["exists", "touch", "remove", "operate"])
def test_every_kind_of_command_reports_codes(server, client, key, name):
    client.put(key, {"n": 1})
    arguments = ([{"op": asp.OPERATOR_INCR, "bin": "n", "val": 1}],) if name == "operate" else ()
    command = {"remove": "delete", "exists": "read"}.get(name, name)
    with (
        server.fault("error=22", command="any" if name in ("exists", "operate") else command),
        raises_exactly(asp.ServerError, match="code 22"),
    ):
        getattr(client, name)(key, *arguments)
    assert client.get(key).bins == {"n": 1}


def test_no_failure_leaks_a_connection(three_nodes, connect, keys):
    client = connect(three_nodes.config())
    client.batch_write([(key, {"n": "text"}) for key in keys])
    for key in keys:
        client.get(key)
    before = open_connections(three_nodes)
    patient = {"total_timeout": 20_000}
    failures = [
        (asp.RecordNotFound, "get", ("test", keys[0][1], "nobody")),
        (asp.RecordExistsError, "put", keys[0], {"n": 1}, None, {"exists": asp.POLICY_EXISTS_CREATE_ONLY}),
        (asp.RecordGenerationError, "put", keys[0], {"n": 1}, {"gen": 9}),
        (asp.BinTypeError, "increment", keys[0], "n", 1),
        (asp.RecordTooBig, "put", keys[0], {"n": bytes(2 * 1024 * 1024)}, None, patient),
        (asp.InvalidArgError, "put", keys[0], {"n": bytes(140 * 1024 * 1024)}, None, patient),
        (asp.ServerError, "get", ("nowhere", "s", 1)),
        (asp.ServerError, "batch_read", [("nowhere", "s", 1)]),
        (asp.BinNameError, "put", keys[0], {"b" * 16: 1}),
        (OverflowError, "put", keys[0], {"n": 2**64}),
        (TypeError, "put", keys[0], {"n": object()}),
        (TypeError, "batch_read", [1.5]),
    ]
    for expected, name, *arguments in failures * 3:
        with pytest.raises(expected):
            getattr(client, name)(*arguments)
    assert client.batch_read(keys).found_count() == len(keys)
    eventually(lambda: open_connections(three_nodes) <= before, "the end of surplus connections")
    client.close()
    eventually(lambda: open_connections(three_nodes) == 0, "the end of all connections")


def test_connections_are_reused_after_errors(server, client, key):
    client.put(key, {"n": 1})
    before = open_connections(server)
    accepted = server.stats().connections_accepted
    with server.fault("error=22", command="read"):
        for _ in range(50):
            with pytest.raises(asp.ServerError):
                client.get(key)
    for _ in range(50):
        with pytest.raises(asp.RecordNotFound):
            client.get(("test", key[1], "nobody"))
    eventually(lambda: open_connections(server) <= before, "the end of surplus connections")
    # A look at the cluster may have opened one meanwhile; fifty failures have not opened fifty.
    assert server.stats().connections_accepted - accepted <= 5
