"""Log records of the client and of the driver reach Python's logging, at its levels, from no thread that matters."""

import json
import logging
import os
import subprocess
import sys
import textwrap
import threading

import aerospike_py
import pytest
from awaiting import until

DRIVER = "aerospike_py.aerospike_core"


@pytest.fixture
def levels():
    """Return a function that sets the level; the state from before is restored."""
    logger = logging.getLogger("aerospike_py")
    before = logger.level
    yield aerospike_py.set_log_level
    logger.setLevel(before)
    aerospike_py._aerospike._refresh_log_levels()


@pytest.fixture
def records():
    """Collect what reaches the logger ``aerospike_py``."""
    found = []

    class Collecting(logging.Handler):
        def emit(self, record):
            found.append((record, threading.current_thread().name))

    handler = Collecting()
    logging.getLogger("aerospike_py").addHandler(handler)
    yield found
    logging.getLogger("aerospike_py").removeHandler(handler)


def of_driver(records):
    """The records of the driver."""
    return [record for record, _ in records if record.name.startswith(DRIVER)]


def test_the_driver_is_heard_at_its_level(server_config, levels, records):
    levels(aerospike_py.LOG_LEVEL_DEBUG)
    with aerospike_py.client(server_config).connect():
        until(lambda: of_driver(records))
    record = of_driver(records)[0]
    assert record.levelno in (logging.DEBUG, logging.INFO)
    assert record.getMessage()
    assert record.pathname.endswith(".rs")
    assert record.lineno > 0
    assert {thread for entry, thread in records if entry.name.startswith(DRIVER)} != {threading.current_thread().name}


def test_what_is_below_the_level_is_not_heard(server_config, levels, records):
    levels(aerospike_py.LOG_LEVEL_ERROR)
    with aerospike_py.client(server_config).connect() as client:
        client.put(("test", "logs", "k"), {"n": 1})
    levels(aerospike_py.LOG_LEVEL_OFF)
    with aerospike_py.client(server_config).connect():
        pass
    assert of_driver(records) == []


def test_python_s_own_configuration_is_followed(server_config, levels, records):
    """The level of one logger of the driver, as a program sets it; the client looks when it connects."""
    levels(aerospike_py.LOG_LEVEL_WARN)
    child = logging.getLogger(f"{DRIVER}.cluster")
    child.setLevel(logging.DEBUG)
    try:
        with aerospike_py.client(server_config).connect():
            until(lambda: of_driver(records))
        assert {record.name for record in of_driver(records)} <= {child.name, *(f"{child.name}.{n}" for n in CHILDREN)}
    finally:
        child.setLevel(logging.NOTSET)


CHILDREN = ["node", "node_validator", "partition_tokenizer", "peers", "partition"]


def test_logging_that_is_disabled_is_not_bothered(server_config, levels, records):
    # Disabled from before there is a level until after the look: clients of other tests write to the log at any time.
    logging.disable(logging.CRITICAL)
    try:
        levels(aerospike_py.LOG_LEVEL_DEBUG)
        aerospike_py._aerospike._refresh_log_levels()
        with aerospike_py.client(server_config).connect():
            pass
        assert of_driver(records) == []
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("level", [-2, 5, 10, "debug"])
def test_levels_are_constants_of_the_package(level):
    with pytest.raises(ValueError, match="LOG_LEVEL_"):
        aerospike_py.set_log_level(level)


@pytest.mark.parametrize(
    ("level", "number"),
    [
        ("LOG_LEVEL_OFF", 60),
        ("LOG_LEVEL_ERROR", logging.ERROR),
        ("LOG_LEVEL_WARN", logging.WARNING),
        ("LOG_LEVEL_INFO", logging.INFO),
        ("LOG_LEVEL_DEBUG", logging.DEBUG),
        ("LOG_LEVEL_TRACE", 5),
    ],
)
def test_the_logger_of_the_package_has_the_level(level, number, levels):
    levels(getattr(aerospike_py, level))
    assert logging.getLogger("aerospike_py").level == number
    assert logging.getLevelName(5) == "TRACE"


def test_a_handler_that_blocks_or_fails_hurts_no_operation(server_config, levels, records, monkeypatch):
    """The handler calls the client, too: nothing waits for itself."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    release, entered = threading.Event(), threading.Event()
    with aerospike_py.client(server_config).connect() as client:

        class Blocking(logging.Handler):
            def emit(self, record):
                client.put(("test", "logs", "handler"), {"n": 1})
                entered.set()
                release.wait(20)
                raise ValueError("a handler that fails")

        handler = Blocking()
        logger = logging.getLogger("aerospike_py")
        logger.addHandler(handler)
        try:
            levels(aerospike_py.LOG_LEVEL_DEBUG)
            with aerospike_py.client(server_config).connect() as other:
                assert entered.wait(20)
                for number in range(100):
                    other.put(("test", "logs", number), {"n": number})
        finally:
            logger.removeHandler(handler)
            release.set()


def run_script(script, config):
    """Run a script that finds the configuration in ``CONFIG``; return its output and errors."""
    preamble = "import json, logging, os, sys, threading, time\nCONFIG = json.loads(os.environ['CONFIG'])\n"
    preamble += "CONFIG['hosts'] = [tuple(host) for host in CONFIG['hosts']]\n"
    environment = {**os.environ, "CONFIG": json.dumps({"hosts": config["hosts"]})}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", preamble + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_the_last_records_are_handed_over_before_the_end(server_config):
    _, errors = run_script(
        """
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
        import aerospike_py
        client = aerospike_py.client(CONFIG).connect()
        """,
        server_config,
    )
    assert f":{DRIVER}.cluster:" in errors


def test_a_child_hears_its_own_records_only(server_config):
    output, _ = run_script(
        """
        import aerospike_py
        class Printing(logging.Handler):
            def emit(self, record):
                os.write(1, f"{os.getpid()} {record.name}\\n".encode())

        logging.getLogger("aerospike_py").addHandler(Printing())
        aerospike_py.set_log_level(aerospike_py.LOG_LEVEL_DEBUG)
        client = aerospike_py.client(CONFIG).connect()
        child = os.fork()
        if child == 0:
            own = aerospike_py.client(CONFIG).connect()
            own.close()
            time.sleep(0.3)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        os.write(1, f"child {child}\\n".encode())
        """,
        server_config,
    )
    child = next(line.split()[1] for line in output.splitlines() if line.startswith("child"))
    assert any(line.startswith(f"{child} {DRIVER}") for line in output.splitlines())
