"""The command line of the embedded server: what it understands, what it refuses, how it ends."""

import argparse
import re
import signal
import subprocess
import sys

import aerospike_py
import pytest
from aerospike_py.testing.__main__ import FaultOption, fault_option, main


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("delay=5ms", FaultOption("delay=5ms", None, "any")),
        ("delay=heavy:1ms,50ms", FaultOption("delay=heavy:1ms,50ms", None, "any")),
        ("node=1:stall", FaultOption("stall", 1, "any")),
        ("command=read:error=9@0.1", FaultOption("error=9@0.1", None, "read")),
        ("node=0, command=batch_read:delay=heavy:1ms,50ms", FaultOption("delay=heavy:1ms,50ms", 0, "batch_read")),
    ],
)
def test_a_fault_may_be_aimed(text, option):
    assert fault_option(text) == option


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("node=one:stall", "not the position"),
        ("node=-1:stall", "not the position"),
        ("node=1,node=2:stall", "twice"),
        ("node=:stall", "is not"),
        ("node=1:", "is not"),
    ],
)
def test_a_fault_that_is_aimed_wrongly_is_refused(text, reason):
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        fault_option(text)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--nodes", "three"], "--nodes"),
        (["--nodes", "0", "--port", "0"], "node"),
        (["--port", "70000"], "port|65535|range"),
        (["--host", "not an address", "--port", "0"], "address"),
        (["--port", "0", "--fault", "delay"], "duration"),
        (["--port", "0", "--fault", "node=7:stall"], "node"),
        (["--port", "0", "--fault", "command=reed:stall"], "reed"),
        (["--unknown"], "unrecognized"),
    ],
)
def test_arguments_that_make_no_sense_end_with_advice(arguments, reason, capsys, monkeypatch):
    monkeypatch.setattr(signal, "sigwait", lambda _: pytest.fail("it took the arguments and waits"))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert re.search(reason, capsys.readouterr().err, re.IGNORECASE)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == blocked


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_what_it_is_and_ends_when_told_to(ending):
    command = [sys.executable, "-m", "aerospike_py.testing", "--nodes", "2", "--port", "0", "--namespace", "bar"]
    command += ["--fault", "node=1,command=read:delay=1ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            greeting = []
            while not greeting or "Ctrl-C" not in greeting[-1]:
                line = process.stdout.readline()
                assert line, "it ended before it listened"
                greeting.append(line)
            text = "".join(greeting)
            assert "without persistence" in text
            assert "Namespaces: bar." in text
            assert "Fault on node 1, read: delay=1ms" in text
            ports = [int(port) for port in re.findall(r"^  127\.0\.0\.1:(\d+)  \w+$", text, re.MULTILINE)]
            assert len(ports) == 2
            with aerospike_py.client({"hosts": [("127.0.0.1", ports[0])]}).connect() as client:
                assert len(client.get_node_names()) == 2
            process.send_signal(ending)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
