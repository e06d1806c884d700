"""Reloading the package, and importing it once more after it was taken out of ``sys.modules``, as notebooks do.

What was made before goes on working, and old and new names go together. Results keep the classes that the first of them
had, which are tuples to everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scripted import ScriptRunner

RECORDED = {"AEROSPIKE_PY_INTERNAL_METRICS": "1"}

AGAIN = {
    "importlib.reload": """
        import importlib

        def again():
            return importlib.reload(aerospike_py)
    """,
    "importlib.reload of every module": """
        import importlib

        def again():
            names = {name for name in sys.modules if name.startswith("aerospike_py.")}
            for name in sorted(names - {"aerospike_py._aerospike"}):
                importlib.reload(sys.modules[name])
            return importlib.reload(aerospike_py)
    """,
    "importing after sys.modules was cleared of the package": """
        import importlib

        def again():
            for name in [name for name in sys.modules if name.partition(".")[0] == "aerospike_py"]:
                del sys.modules[name]
            return importlib.import_module("aerospike_py")
    """,
    "importing after only the extension was taken out": """
        import importlib

        def again():
            del sys.modules["aerospike_py._aerospike"]
            importlib.import_module("aerospike_py._aerospike")
            return importlib.reload(aerospike_py)
    """,
}


@pytest.mark.parametrize("way", AGAIN)
def test_old_and_new_go_together(script: ScriptRunner, way: str) -> None:
    finished = script.run(
        AGAIN[way]
        + """
        first, Record = aerospike_py, aerospike_py.Record
        old = first.client(CONFIG).connect()
        old.put(KEY, {"a": 1})
        assert isinstance(old.get(KEY), Record)
        MISSING = ("test", "scripts", "missing")

        async def use(package, client):
            await client.put(KEY, {"a": 2})
            records = await asyncio.gather(*(client.get(KEY) for _ in range(5)))
            assert all(type(record).__name__ == "Record" and record.bins == {"a": 2} for record in records)
            try:
                await client.get(MISSING)
            except package.RecordNotFound:
                pass
            assert (await client.batch_read([KEY])).to_dict() == {"k": {"a": 2}}

        async def both(second):
            async with await first.async_client(CONFIG).connect() as one:
                for package in (first, second):
                    async with await package.async_client(CONFIG).connect() as other:
                        await use(package, other)
                        await use(first, one)
                        await use(second, one)

        for _ in range(3):
            second = again()
            assert isinstance(old, second.Client) and second.is_internal_stage_metrics_enabled()
            new = second.client(CONFIG).connect()
            for client in (old, new):
                client.put(KEY, {"a": 2})
                record = client.get(KEY)
                assert record == (record.key, record.meta, {"a": 2})
                assert isinstance(record, Record)
                for package in (first, second):
                    try:
                        client.get(MISSING)
                    except package.RecordNotFound as error:
                        assert isinstance(error, first.AerospikeError) and isinstance(error, second.AerospikeError)
                    try:
                        client.put(KEY, {"a" * 16: 1})
                    except package.AerospikeError:
                        pass
                assert client.batch_read([KEY]).to_dict() == {"k": {"a": 2}}
            asyncio.run(both(second))
            assert "db_client_operation_duration_seconds" in second.get_metrics()
            assert second.stage_snapshot().operations
            new.close()
        old.close()
        """,
        options=("-X", "dev", "-W", "error"),
        **RECORDED,
    )
    assert finished.lines() == []
