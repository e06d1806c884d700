"""Other clients on the embedded server: what one client writes, the others read, over one node and over three.

Each peer runs in a process of its own with the Python of its own environment, and is judged by the JSON that it
prints. ``aerospike-py`` 0.14.4 can abort while its interpreter exits, when everything it was asked for has succeeded;
its driver leaves with ``os._exit``, and the exit status of none of them is looked at once the report is there.
"""

import json
import os
import subprocess
from pathlib import Path

import aerospike_py
import pytest
from aerospike_py.testing import EmbeddedServer
from interchange import BATCH, BYTES_KEY, NAMESPACE, OURS, THEIRS, bins_of, plain, user_key

pytestmark = [pytest.mark.peers, pytest.mark.timeout(960)]

NOT_FOUND = aerospike_py.AEROSPIKE_ERR_RECORD_NOT_FOUND

# What only some of the peers can be asked for: a key of bytes, one that is a blob, the same batch from the other of
# their two halves, blocking or asynchronous.
EXPECTED = {"by_bytes": plain(bins_of(7)), "by_blob": plain(bins_of(8)), "other_half_is_equal": True}
ALSO = {
    "aerospike": ["by_bytes", "by_blob"],
    "aerospike-native": ["by_blob", "other_half_is_equal"],
    "aerospike-py": ["by_bytes", "other_half_is_equal"],
}


@pytest.fixture(scope="module", params=[1, 3], ids=["one-node", "three-nodes"])
def server(request):
    with EmbeddedServer(nodes=request.param) as embedded:
        yield embedded


@pytest.fixture(scope="module")
def ours(server):
    with aerospike_py.client(server.config()).connect() as client:
        for number in range(BATCH):
            client.put((NAMESPACE, OURS, user_key(number)), bins_of(number))
        client.put((NAMESPACE, OURS, BYTES_KEY), bins_of(7))
        client.put((NAMESPACE, OURS, bytearray(BYTES_KEY)), bins_of(8))
        yield client


def drive(python, server, name):
    """Run a driver and return its report."""
    script = Path(__file__).with_name(f"drive_{name.replace('-', '_')}.py")
    # Nothing of this environment may reach into that of the peer: one of them shares our import name.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AEROSPIKE"))}
    seeds = [f"{host}:{port}" for host, port in server.hosts]
    finished = subprocess.run(
        [python, script, *seeds], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.stdout, f"{name} reported nothing (status {finished.returncode}):\n{finished.stderr}"
    return json.loads(finished.stdout)


@pytest.mark.parametrize("peer", ALSO)
def test_a_peer_reads_our_records_and_we_read_its(peer_python, server, ours, peer):
    server.truncate(NAMESPACE, THEIRS)
    before = [server.stats(node).commands for node in range(len(server.hosts))]

    found = drive(peer_python[peer], server, peer)

    assert found["nodes"] == len(server.hosts)
    assert found["generation"] >= 1
    assert found["got"] == plain(bins_of(5))
    assert dict(found["operated"]["map"]) == {"n": 42, "text": "ab"}
    assert found["missing"] == NOT_FOUND
    assert found["batch_codes"] == [0] * BATCH + [NOT_FOUND]
    assert found["batch"] == [plain(bins_of(number)) for number in range(BATCH)]
    assert {name: found[name] for name in ALSO[peer]} == {name: EXPECTED[name] for name in ALSO[peer]}

    keys = [(NAMESPACE, THEIRS, user_key(number)) for number in range(BATCH)]
    rows = ours.batch_read(keys).batch_records
    assert [row.result for row in rows] == [0] * BATCH
    assert [row.record.bins for row in rows] == [bins_of(number) for number in range(BATCH)]
    assert ours.get((NAMESPACE, THEIRS, "counter")).bins == {"n": 42, "text": "ab"}
    assert server.record_count(NAMESPACE, THEIRS) == BATCH + 1
    for node, then in enumerate(before):
        statistics = server.stats(node)
        assert statistics.malformed_frames == 0
        # The batch and the writes reached every node, each with its part.
        for kind in ("write", "batch-read"):
            assert statistics.commands[kind] > then.get(kind, 0), f"node {node} saw no {kind}"
