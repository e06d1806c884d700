"""The report of the benchmarks, on results made up for the purpose."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import bench_samples as samples
import pytest

from benchmark.harness import charts, report, results
from benchmark.harness.commands import main


def rounds(seed: str, factor: float, **arguments: Any) -> list[dict[str, Any]]:
    return [samples.a_round(number, seed, factor=factor, **arguments) for number in range(6)]


def with_stages(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    stages = {"network_wait": 600, "decode": 300, "unattributed": 100}
    entry = {"operation": "get", "count": 1, "wall_ns": 1_000, "stages": stages, "deferred_ns": 0}
    return [{**result, "stages": [entry]} for result in given]


def environment_a() -> dict[str, Any]:
    cells = []
    for mode, cost in (("gathered", 3.0), ("single", 1.5)):
        for size in (50, 200):
            name = f"a-{mode}-{size}/async-10/closed"
            speeds = {("aerospike-py", "3.11"): 2.0, ("ours", "3.11"): 1.0, ("ours", "3.14t"): 0.8}
            members = [
                samples.member(client, python, rounds(f"{name} {client} {python}", cost * size * speed))
                for (client, python), speed in speeds.items()
            ]
            members.append(samples.member("ours-stages", "3.11", with_stages(rounds(f"{name} on", cost * size * 1.1))))
            cells.append(samples.cell(name, members))
    return samples.document(cells)


def matrix() -> dict[str, Any]:
    cells = []
    for threads in (1, 4, 32):
        name = f"kv-read-features/sync-{threads}/closed"
        good = samples.member("ours", "3.11", rounds(f"{name} ours", 1.0))
        bad = samples.member("aerospike", "3.11", rounds(f"{name} c", 1.3, errors=1))
        failed = {**samples.member("aerospike-native", "3.11", []), "failure": "it crashed"}
        cell = samples.cell(name, [good, bad, failed])
        cell["left_out"] = [{"client": "aerospike-executor", "python": "3.11", "why": "it has no lane sync"}]
        cells.append(cell)
    return samples.document(cells, "two")


@pytest.fixture(scope="module")
def both() -> report.Report:
    return report.of_documents([environment_a(), matrix()], ["a.json", "matrix.json"])


def section(made: report.Report, title: str) -> Any:
    return next(each for each in made.sections if each.title == title)


def test_every_cell_has_a_section_with_all_clients_and_the_command_that_reruns_it(both: report.Report) -> None:
    for cell in [*environment_a()["cells"], *matrix()["cells"]]:
        found = section(both, cell["name"])
        assert [row[0] for row in found.tables[0].rows] == [
            f"{member['client']}@{member['python']}" for member in cell["members"] if member["rounds"]
        ]
        assert found.commands == ["rerun me"]


def test_failures_are_told(both: report.Report) -> None:
    found = section(both, "kv-read-features/sync-4/closed")
    assert "Not measured: aerospike-native@3.11: it crashed." in found.text
    assert "Left out: aerospike-executor@3.11: it has no lane sync." in found.text
    failed = {row[0]: row[-1] for row in found.tables[0].rows}
    assert failed == {"ours@3.11": "0.00%", "aerospike@3.11": "0.25%"}


def test_the_summary_says_who_is_better_where_and_what_is_doubtful(both: report.Report) -> None:
    text = "\n".join(both.sections[0].text)
    row = next(row for row in both.sections[0].tables[0].rows if row[0] == "aerospike" and "throughput" in row[1])
    assert row[2:6] == ["3", "3", "0", "0"]
    assert float(row[6]) > 1.2
    assert "the server is an in-memory double" in text
    assert "Operations failed" in text
    assert "could not be measured: aerospike-native@3.11 in" in text


def test_a_change_of_the_interpreter_and_of_recording_is_a_ratio(both: report.Report) -> None:
    gil = section(both, "With the GIL and without it").tables[0].rows
    assert {tuple(row[1:3]) for row in gil} == {("ours@3.14t", "ours@3.11")}
    assert all(float(row[4].split()[0]) == pytest.approx(0.8, abs=0.05) for row in gil)
    recording = section(both, "What recording costs").tables[0].rows
    assert all(float(row[4].split()[0]) == pytest.approx(1.1, abs=0.05) for row in recording)


def test_gathered_and_single_are_compared(both: report.Report) -> None:
    rows = section(both, "Gathered or single").tables[0].rows
    assert {row[0] for row in rows} == {"50", "200"}
    assert all(float(row[-1]) == pytest.approx(2.0, abs=0.1) for row in rows)


def test_the_waterfall_adds_one_change_after_the_other(both: report.Report) -> None:
    found = section(both, "One change after the other")
    shares = [float(row[-1]) for row in found.tables[0].rows if row[0] == "50"]
    assert shares == pytest.approx([1, 0.5, 0.25, 0.2], abs=0.03)
    assert len(found.pictures) == 2


def test_scaling_is_drawn_by_threads_and_by_size(both: report.Report) -> None:
    titles = [each.title for each in both.sections if each.title.startswith("Scaling")]
    assert titles == [
        "Scaling: kv-read-features, threads",
        "Scaling: a-gathered, async-10/closed",
        "Scaling: a-single, async-10/closed",
    ]


def test_stages_of_the_same_run_are_drawn(both: report.Report) -> None:
    pictures = section(both, "a-single-50/async-10/closed").pictures
    assert "network_wait 60.0%" in pictures[-1]


def test_the_page_has_charts_that_are_well_formed_and_needs_nothing_else(both: report.Report) -> None:
    page = both.html()
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) > 20
    for picture in pictures:
        assert len(ET.fromstring(picture)) > 2
    assert not re.findall(r'(?:src|href)="(?!#)', page)


def test_markdown_has_the_figures_and_the_facts(both: report.Report) -> None:
    text = both.markdown()
    assert "| results | a.json, then to later |" in text
    assert "commit 0123456789ab" in text
    assert "Rerun: `rerun me`" in text
    assert "nan" not in text


def test_the_same_cell_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="compare them instead"):
        report.of_documents([matrix(), matrix()], ["a", "b"])


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tmp_path / "run.json.gz"
    results.write(given, matrix())
    page, text = tmp_path / "page.html", tmp_path / "text.md"
    assert main(["report", str(given), "--html", str(page), "--markdown", str(text)]) == 0
    assert page.read_text().startswith("<!doctype html>")
    assert text.read_text().startswith("# Benchmarks")
    assert main(["report", str(given)]) == 0
    assert capsys.readouterr().out.startswith("# Benchmarks")


def test_labels_are_escaped() -> None:
    picture = charts.bars("a < b & c", [charts.Bar("<client>", 2.0, 1.0, 3.0)])
    assert ET.fromstring(picture)[0].text == "a < b & c"
