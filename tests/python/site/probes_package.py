"""What a client of the import name ``aerospike_py`` does: this one, and the one of that name on PyPI.

The names of the probes are first columns of tables in docs/migration.
"""

import asyncio
import inspect

import aerospike_py

KEY = ("test", "migration", "k")


def connected(open_port):
    client = aerospike_py.client({"hosts": [open_port]}).connect()
    client.put(KEY, {"a": 1})
    return client


def written(value):
    def probe(open_port, _):
        client = connected(open_port)
        client.put(KEY, {"v": value})
        return client.get(KEY).bins["v"]

    return probe


def called(name, *arguments, **named):
    return lambda open_port, _: getattr(connected(open_port), name)(*arguments, **named)


def configured(**config):
    return lambda *_: str(type(aerospike_py.client(config)).__name__)


def doubt(open_port, _):
    try:
        connected(open_port).get(("test", "migration", "nobody"))
    except aerospike_py.RecordNotFound as error:
        return "yes" if hasattr(error, "in_doubt") else "no"


def twice(open_port, _):
    records = connected(open_port).batch_read([KEY])
    return "the same object" if records.to_dict() is records.to_dict() else "two objects"


def after_close(open_port, _):
    client = connected(open_port)
    client.close()
    client.get(KEY)


async def asynchronously(open_port, argument):
    client = aerospike_py.AsyncClient({"hosts": [open_port]})
    await client.connect()
    try:
        return await argument(client)
    finally:
        await client.close()


async def awaitable_kind(client):
    call = client.exists(KEY)
    await call
    return type(call).__name__


async def wrong_argument(client):
    try:
        call = client.get("k")
    except TypeError:
        return "at the call"
    try:
        await call
    except TypeError:
        return "at `await`"


async def started_by_itself(client):
    """Whether the request is sent although nobody has awaited the call."""
    call = client.put(KEY, {"started": 1})
    for _ in range(50):
        await asyncio.sleep(0.01)
    record = await client.get(KEY)
    await call
    return "at the call" if "started" in record.bins else "at `await`"


PROBES = {
    "`put` of a tuple": written((1, 2)),
    "`put` of `2**63`": written(2**63),
    "a bin name of 16 bytes": called("put", KEY, {"v" * 16: 1}),
    "`put` without bins": called("put", KEY, {}),
    "what `put` returns": called("put", KEY, {"a": 1}),
    "a float as user key": called("get", ("test", "migration", 1.5)),
    "a key of two items": called("get", ("test", "migration")),
    "an entry of a policy out of range": called("put", KEY, {"a": 1}, policy={"exists": 99}),
    "an unknown namespace": called("put", ("nowhere", "s", "k"), {"a": 1}),
    "`gen` in a meta, without a policy": called("put", KEY, {"a": 1}, {"gen": 77}),
    "`operate` without operations": called("operate", KEY, []),
    "`truncate` in an unknown namespace": called("truncate", "nowhere", "s"),
    "`connect` of a connected client": lambda open_port, _: connected(open_port).connect().is_connected(),
    "a configuration without `hosts`": configured(),
    "a number of the configuration as text": configured(hosts=[("127.0.0.1", 3000)], timeout="x"),
    "whether making a client connects it": lambda open_port, _: aerospike_py.client(
        {"hosts": [open_port]}
    ).is_connected(),
    "nothing listens at the address": lambda _, closed: aerospike_py.client({"hosts": [closed]}).connect(),
    "a call after `close`": after_close,
    "whether errors have `in_doubt`": doubt,
    "`InvalidArgError` is a `ValueError`": lambda *_: str(issubclass(aerospike_py.InvalidArgError, ValueError)),
    "`to_dict()` twice": twice,
    "what `get` returns": lambda open_port, _: type(connected(open_port).get(KEY)).__name__,
    "what `batch_read` returns": lambda open_port, _: type(connected(open_port).batch_read([KEY])).__name__,
    "what `info_all` returns": lambda open_port, _: type(connected(open_port).info_all("build")).__name__,
    "a node in `get_node_names`": lambda open_port, _: type(connected(open_port).get_node_names()[0]).__name__,
    "the code of an error": lambda *_: next(
        name for name in ("result_code", "code") if hasattr(aerospike_py.AerospikeError("x"), name)
    ),
    "what an asynchronous method returns": lambda open_port, _: asynchronously(open_port, awaitable_kind),
    "a wrong argument of an asynchronous method raises": lambda open_port, _: asynchronously(open_port, wrong_argument),
    "an asynchronous call is sent": lambda open_port, _: asynchronously(open_port, started_by_itself),
    "`with` a client": lambda open_port, _: "works" if hasattr(aerospike_py.Client, "__enter__") else "AttributeError",
}


def public_names():
    """The public names of the package and of its clients that say what the client can do."""
    names = {name for name in dir(aerospike_py) if not name.startswith("_") and not name.isupper()}
    names -= {name for name in names if inspect.ismodule(getattr(aerospike_py, name)) and name in ("logging", "types")}
    for owner in (aerospike_py.Client, aerospike_py.AsyncClient):
        names |= {name for name in dir(owner) if not name.startswith("_")}
    return sorted(names)
