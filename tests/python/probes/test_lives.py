"""Probes, observers and the life of a process: import, fork, exit."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from awaiting import FREE_THREADED

PREAMBLE = """\
import asyncio, gc, json, os, sys, threading, time
import aerospike_py
CONFIG = {"hosts": [tuple(host) for host in json.loads(os.environ["HOSTS"])]}


def measured(name):
    return sum(entry.count for entry in aerospike_py.probe_snapshot().probes if entry.probe == name)


def until(is_so):
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def main():
    async with await aerospike_py.async_client(CONFIG).connect() as client:
        await client.put(("test", "lives", "k"), {"n": 1})
        await asyncio.sleep(0.05)
        time.sleep(0.1)
        await asyncio.sleep(0.05)
"""

DELAY = "attach_delay" if FREE_THREADED else "gil_delay"


def run_script(script, config, **environment):
    """Run a script; it must end by itself, with code 0 and nothing to complain about."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        env={**os.environ, "HOSTS": json.dumps(config["hosts"]), **environment},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "os._exit(0)"])
def test_an_interpreter_ends_with_everything_on(server_config, ending):
    script = f"""
        aerospike_py.start_probes(interval_ms=1)
        asyncio.run(main())
        {ending}
        """
    variables = {"AEROSPIKE_PY_PROBES": "1", "AEROSPIKE_PY_LOOP_OBSERVER": "1", "AEROSPIKE_PY_INTERNAL_METRICS": "1"}
    run_script(script, server_config, **variables)


def test_an_interpreter_ends_while_a_thread_s_loop_is_observed(server_config):
    script = """
        def work():
            async def forever():
                observer = aerospike_py.observe_loop(slow_callback_ms=1)
                while True:
                    time.sleep(0.005)
                    await asyncio.sleep(0)

            asyncio.run(forever())

        aerospike_py.start_probes(interval_ms=1)
        threading.Thread(target=work, daemon=True).start()
        time.sleep(0.3)
        """
    run_script(script, server_config)


def test_the_environment_starts_everything(server_config):
    script = """
        assert aerospike_py.probe_snapshot().running
        asyncio.run(main())
        snapshot = aerospike_py.probe_snapshot()
        print(json.dumps([entry.name for entry in snapshot.slow_callbacks]))
        """
    names = json.loads(run_script(script, server_config, AEROSPIKE_PY_PROBES="1", AEROSPIKE_PY_LOOP_OBSERVER="on"))
    assert any(":main " in name for name in names)


def test_a_child_has_no_probes_until_it_starts_its_own(server_config):
    script = f"""
        aerospike_py.start_probes(interval_ms=1)
        until(lambda: measured("{DELAY}") > 3)
        child = os.fork()
        if child == 0:
            fine = not aerospike_py.probe_snapshot().running and aerospike_py.probe_snapshot().probes == ()
            gc.collect()
            aerospike_py.stop_probes()
            aerospike_py.start_probes(interval_ms=1)
            until(lambda: measured("{DELAY}") > 3)
            aerospike_py.stop_probes()
            os._exit(0 if fine else 1)
        assert os.waitpid(child, 0)[1] == 0
        before = measured("{DELAY}")
        until(lambda: measured("{DELAY}") > before)
        """
    run_script(script, server_config, PYTHONWARNINGS="ignore")


def test_a_child_whose_environment_asks_for_probes_has_them_when_it_connects(server_config):
    script = """
        child = os.fork()
        if child == 0:
            before = aerospike_py.probe_snapshot().running
            aerospike_py.client(CONFIG).connect()
            os._exit(0 if not before and aerospike_py.probe_snapshot().running else 1)
        assert os.waitpid(child, 0)[1] == 0
        """
    run_script(script, server_config, AEROSPIKE_PY_PROBES="1")


def test_a_fork_from_an_observed_loop_leaves_a_child_that_works(server_config):
    script = """
        async def forking():
            with aerospike_py.observe_loop(slow_callback_ms=1):
                await asyncio.sleep(0.01)
                child = os.fork()
                if child == 0:
                    asyncio.run(asyncio.sleep(0.01))
                    os._exit(0)
                time.sleep(0.01)
                assert os.waitpid(child, 0)[1] == 0

        asyncio.run(forking())
        """
    run_script(script, server_config)
