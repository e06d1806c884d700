"""What the official client, the package ``aerospike``, does.

The names of the probes are first columns of tables in docs/migration; those of this client are in ``probes_package``.
"""

import aerospike
from aerospike import exception

KEY = ("test", "migration", "k")


def connected(open_port):
    client = aerospike.client({"hosts": [open_port]})
    client.put(KEY, {"a": 1})
    return client


def written(value):
    def probe(open_port, _):
        client = connected(open_port)
        client.put(KEY, {"v": value})
        return client.get(KEY)[2]["v"]

    return probe


def called(name, *arguments):
    return lambda open_port, _: getattr(connected(open_port), name)(*arguments)


def after_close(open_port, _):
    client = connected(open_port)
    client.close()
    client.get(KEY)


def code_of(open_port, _):
    try:
        connected(open_port).get(("test", "migration", "nobody"))
    except exception.RecordNotFound as error:
        return next(name for name in ("result_code", "code") if hasattr(error, name))


PROBES = {
    "`put` of a tuple": written((1, 2)),
    "`put` of `2**63`": written(2**63),
    "`put` without bins": called("put", KEY, {}),
    "what `put` returns": called("put", KEY, {"a": 1}),
    "a float as user key": called("get", ("test", "migration", 1.5)),
    "an unknown namespace": called("put", ("nowhere", "s", "k"), {"a": 1}),
    "`gen` in a meta, without a policy": called("put", KEY, {"a": 1}, {"gen": 77}),
    "whether making a client connects it": lambda open_port, _: aerospike.client({"hosts": [open_port]}).is_connected(),
    "nothing listens at the address": lambda _, closed: aerospike.client({"hosts": [closed]}),
    "a call after `close`": after_close,
    "what `get` returns": lambda open_port, _: type(connected(open_port).get(KEY)).__name__,
    "what `batch_read` returns": lambda open_port, _: type(connected(open_port).batch_read([KEY])).__name__,
    "what `info_all` returns": lambda open_port, _: type(connected(open_port).info_all("build")).__name__,
    "a node in `get_node_names`": lambda open_port, _: type(connected(open_port).get_node_names()[0]).__name__,
    "the code of an error": code_of,
    "`with` a client": lambda *_: "works" if hasattr(aerospike.Client, "__enter__") else "AttributeError",
}


def public_names():
    """The methods of the client."""
    return sorted(name for name in dir(aerospike.Client) if not name.startswith("_"))
