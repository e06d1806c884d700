"""The embedded server's faults meet the calls of this client that they are aimed at, and no others."""

import aerospike_py
import pytest
from expectations import raises_exactly

pytestmark = pytest.mark.embedded

STEPS = [
    {"op": aerospike_py.OPERATOR_INCR, "bin": "n", "val": 1},
    {"op": aerospike_py.OPERATOR_READ, "bin": "n"},
]
CALLS = {
    "write": ("put", {"bins": {"n": 1}}),
    "read": ("get", {}),
    "exists": ("exists", {}),
    "touch": ("touch", {"val": 60}),
    "operate": ("operate", {"ops": STEPS}),
    "delete": ("remove", {}),
}


@pytest.mark.parametrize("aimed_at", CALLS)
def test_a_fault_meets_its_command_alone(connect, one_node, aimed_at):
    client = connect(one_node.config())
    key = ("test", "aimed", "k")
    client.put(key, {"n": 0})
    with one_node.fault("error=22", command=aimed_at):
        for command, (method, arguments) in CALLS.items():
            if command == aimed_at:
                with raises_exactly(aerospike_py.ServerError, match="does not allow this"):
                    getattr(client, method)(key=key, **arguments)
            else:
                getattr(client, method)(key=key, **arguments)
