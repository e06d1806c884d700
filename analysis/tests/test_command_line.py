"""The command line: reports, comparisons with their exit status, exports that others can read, recorded programs."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
from aerospike_py_analysis.cli import main
from aerospike_py_analysis.culprits import place_of
from aerospike_py_analysis.fanout import node_skew
from aerospike_py_analysis.profile import profile
from aerospike_py_analysis.recording import Recording as Reader
from recordings import MS, Recording
from situations import planted

VOID = {"meta", "br", "link", "img"}
SCRIPT = """
import os, pathlib, sys
sys.path.insert(0, {tests!r})
from situations import planted
folder = pathlib.Path(os.environ["AEROSPIKE_PY_TRACE"])
assert os.environ["AEROSPIKE_PY_INTERNAL_METRICS"] == "1"
planted("slow_node").write(folder)
sys.exit(3)
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trace")
    planted("slow_node_of_batches").write(folder)
    return folder


class Page(HTMLParser):
    """Reads a page, holding on to what must fit together."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids |= {named["id"] or ""} if "id" in named else set()
        self.links += [named["href"] or ""] if tag == "a" else []
        self.loads += [tag] if tag in ("script", "link", "img", "iframe") or "src" in named else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_is_kept_in_every_form(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = {name: tmp_path / f"report.{name}" for name in ("html", "md", "json")}
    assert (
        main(["report", str(trace), *(text for name, path in kept.items() for text in (f"--{name}", str(path)))]) == 0
    )
    printed = capsys.readouterr().out
    assert "One node is slow" in printed
    assert "Looked for and not found" in printed
    assert "| stage |" in kept["md"].read_text()
    value = json.loads(kept["json"].read_text())
    assert value["verdicts"][0]["rule"] == "slow_node"
    tail = value["groups"][0]["tails"][0]
    assert sum(part["ns"] for part in tail["parts"]) == pytest.approx(tail["to_ns"] - tail["from_ns"])


def test_the_page_needs_nothing_from_elsewhere_and_its_links_lead_somewhere(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert main(["report", str(trace), "--html", str(path)]) == 0
    text = path.read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.loads == []
    assert page.links
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    assert set(re.findall(r"https?://[^\"' <]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in text
    assert text.count("<svg") >= 5
    assert "Flamegraph of the stages" in text


def test_names_from_a_recording_are_text_in_the_page(tmp_path: Path) -> None:
    recording = Recording()
    for _ in range(100):
        recording.add(recording.healthy(), operation="<script>alert(1)</script>")
    recording.write(tmp_path)
    assert main(["report", str(tmp_path), "--html", str(tmp_path / "report.html")]) == 0
    assert "<script" not in (tmp_path / "report.html").read_text()


def test_a_comparison_ends_with_a_status_for_continuous_integration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more in (("a", 0), ("b", MS)):
        recording = Recording(seed=more)
        for _ in range(400):
            recording.add(recording.healthy(to_dict=more))
        (tmp_path / name).mkdir()
        recording.write(tmp_path / name)
    before, after, page = str(tmp_path / "a"), str(tmp_path / "b"), tmp_path / "c.html"
    assert main(["compare", before, after, "--threshold", "20", "--html", str(page)]) == 1
    assert "slower: get (sync)" in capsys.readouterr().out
    assert "to_dict" in page.read_text()
    assert main(["compare", after, before, "--threshold", "20"]) == 0
    assert main(["compare", before, after]) == 0
    assert main(["compare", before, str(tmp_path / "absent")]) == 2
    assert "absent: there is no such file" in capsys.readouterr().err


def test_recordings_with_and_without_the_gil_are_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for pid, on in ((1, True), (2, False)):
        recording = Recording(seed=pid, pid=pid, gil_enabled=on)
        for _ in range(100):
            recording.add(recording.healthy(gil_reacquire=MS if on else 0))
        recording.write(tmp_path)
    before, after = (str(tmp_path / f"rec-host-a-{pid}") for pid in (1, 2))
    page = tmp_path / "page.html"
    assert main(["compare", before, after, "--html", str(page)]) == 0
    assert "p95 without the GIL" in capsys.readouterr().out
    assert "<h1>With the GIL and without it</h1>" in page.read_text()
    assert main(["report", str(tmp_path), "--html", str(page)]) == 0
    assert "p95 goes from" in capsys.readouterr().out
    assert "From with the GIL to without the GIL" in page.read_text()


def test_an_export_to_otlp_can_be_read_again(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "spans.json"
    assert main(["export", str(trace), "--to", "otlp", "-o", str(path)]) == 0
    before, after = profile(Reader([trace])), profile(Reader([path]))
    (old,), (new,) = before.groups, after.groups
    assert (new.name, new.count, new.total_ns) == (old.name, old.count, old.total_ns)
    sums = dict(zip(new.stages, new.sums.tolist(), strict=True))
    assert sums == {name: value for name, value in zip(old.stages, old.sums.tolist(), strict=True) if value}
    assert main(["report", str(path)]) == 0
    # The nodes of batches, those that nobody waited for included.
    assert node_skew(after) == node_skew(before)
    places = [place_of(group, 0) for group in (old, new)]
    (was,), (now,) = (
        one.recording.details([place]).values() for one, place in zip((before, after), places, strict=True)
    )
    assert len(was.tracks) == 3
    assert now.tracks == was.tracks
    assert now.segments == was.segments


def test_conversions_survive_an_export_to_otlp(tmp_path: Path) -> None:
    recording = Recording()
    for _ in range(10):
        recording.add(recording.healthy(), "batch_read", keys=5)
        recording.add({"to_dict": 7000}, "batch_read", kind="conversion", segments=[])
    recording.write(tmp_path)
    path = tmp_path / "spans.jsonl"
    assert main(["export", str(tmp_path), "--to", "otlp", "-o", str(path)]) == 0
    summed = profile(Reader([path]))
    assert [(group.name, group.count) for group in summed.groups] == [("batch_read (sync)", 10)]
    assert (summed.deferred["batch_read"].count, summed.deferred["batch_read"].total_ns) == (10, 70_000)


def test_an_export_to_chrome_is_balanced(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    assert main(["export", str(trace), "--to", "chrome", "-o", str(path), "--limit", "20"]) == 0
    events = json.loads(path.read_text())["traceEvents"]
    begins = [event for event in events if event["ph"] == "b"]
    assert len(begins) == len([event for event in events if event["ph"] == "e"])
    assert len([event for event in begins if event["name"] == "batch_read"]) == 20
    assert len([event for event in begins if event["name"].startswith("node ")]) == 60


def test_an_export_to_speedscope_weighs_all_time(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "stages.json"
    assert main(["export", str(trace), "--to", "speedscope", "-o", str(path)]) == 0
    value = json.loads(path.read_text())["profiles"][0]
    assert sum(value["weights"]) == value["endValue"] == profile(Reader([trace])).total_ns


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_tables_have_a_row_per_operation(kind: str, trace: Path, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{kind}"
    assert main(["export", str(trace), "--to", kind, "-o", str(path), "--limit", "700"]) == 0
    table = pyarrow.parquet.read_table(path) if kind == "parquet" else pyarrow.csv.read_csv(path)
    assert table.num_rows == 700
    assert set(table["operation"].to_pylist()) == {"batch_read"}
    assert min(table["stage_network_wait_ns"].to_pylist()) > 2 * MS


def test_a_recorded_program_is_reported_and_keeps_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "app.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    assert main(["record", "-o", str(tmp_path / "out"), "--", sys.executable, str(script)]) == 3
    printed = capsys.readouterr().out
    assert "One node is slow" in printed
    assert "aerospike-py report" in printed


def test_a_program_that_records_nothing_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "-o", str(tmp_path), "--", sys.executable, "-c", ""]) == 2
    assert "wrote no recording" in capsys.readouterr().err
    assert main(["record"]) == 2


def test_a_recording_without_operations_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Recording().write(tmp_path)
    assert main(["report", str(tmp_path), "--html", str(tmp_path / "report.html")]) == 0
    assert "holds no operation" in capsys.readouterr().out
