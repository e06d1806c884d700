"""Commands beside reports: flamegraphs, the server, the doctor, the demo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aerospike_py_analysis.cli import main
from aerospike_py_analysis.flamegraph import folded
from aerospike_py_analysis.profile import profile
from aerospike_py_analysis.recording import Recording
from situations import planted

ANALYSIS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trace")
    planted("slow_node").write(folder)
    return folder


def weights(lines: list[str]) -> dict[str, int]:
    return {stack: int(weight) for stack, _, weight in (line.rpartition(" ") for line in lines)}


def test_folded_stacks_add_up_to_the_wall_time(trace: Path) -> None:
    summed = profile(Recording([trace]))
    for by in (("operation", "lane", "stage", "node"), ("stage",), ("node", "stage")):
        assert sum(weights(folded(summed, by)).values()) == pytest.approx(summed.total_ns, rel=1e-6)
    (group, *_) = summed.groups
    by_stage = weights(folded(summed, ("operation", "stage")))
    position = group.stages.index("network_wait")
    assert by_stage[f"{group.operation};network_wait"] == pytest.approx(float(group.sums[position]), abs=1)


def test_the_tail_holds_only_slow_operations(trace: Path) -> None:
    summed = profile(Recording([trace]))
    slow, all_of_them = (sum(weights(folded(summed, tail=tail, each=True)).values()) for tail in (0.99, None))
    assert slow > 2 * all_of_them


def test_flamegraphs_are_drawn(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "flame.svg"
    assert main(["flamegraph", str(trace), "-o", str(output), "--tail", "0.99", "--by", "stage,node"]) == 0
    assert "network_wait" in output.read_text()
    assert main(["flamegraph", str(trace), "-o", str(output), "--diff", str(trace)]) == 0
    assert "network_wait" in output.read_text()
    capsys.readouterr()
    assert main(["flamegraph", str(trace), "--format", "folded", "--by", "stage"]) == 0
    assert "network_wait " in capsys.readouterr().out
    assert main(["flamegraph", str(trace), "--format", "folded", "--by", "stage", "--diff", str(trace)]) == 0
    for line in capsys.readouterr().out.splitlines():
        _, before, after = line.rsplit(" ", 2)
        assert before == after
    with pytest.raises(SystemExit):
        main(["flamegraph", str(trace), "--by", "colour"])


def test_the_doctor_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "the patched runtime is active" in said
    assert "GIL:" in said


def test_serve_passes_options_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--nodes", "no number"])
    assert "--nodes" in capsys.readouterr().err


def test_the_demo_finds_its_slow_node(tmp_path: Path) -> None:
    # A process of its own, as people run it: one process tells a limited number of nodes apart, and those of all tests
    # are more. A crowded machine delays all nodes; it is not crowded three times on end.
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        done = subprocess.run(
            [sys.executable, "-m", "aerospike_py_analysis", "demo", "-o", str(folder)],
            env={**os.environ, "PYTHONPATH": str(ANALYSIS)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert (folder / "report.html").exists()
        if "One node is slow" in done.stdout:
            return
    pytest.fail(f"the slow node was not found\n{done.stdout}")


def test_bench_hands_everything_to_the_checkout_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "benchmark" / "harness").mkdir(parents=True)
    (tmp_path / "benchmark" / "harness" / "__init__.py").touch()
    (tmp_path / "benchmark" / "__main__.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(3)\n")
    below = tmp_path / "docs" / "pages"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert main(["bench", "run", "--suite", "web"]) == 3
    assert capfd.readouterr().out == "['run', '--suite', 'web']\n"


def test_bench_outside_of_a_checkout_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "list"]) == 2
    assert "in no checkout" in capsys.readouterr().err
