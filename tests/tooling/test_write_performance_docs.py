"""The pages of measurements say what the result files say, and nothing else."""

import gzip
import json

import bench_samples
import pytest
import write_performance_docs as writer
from overhead_pages import BEGIN, END


def rounds(*figures):
    return [
        {"operations": operations, "wall_ns": 10**9, "cpu_ns": operations * 2_000, "p50_ns": p50, "p99_ns": 9_000}
        for operations, p50 in figures
    ]


def results():
    comparison = {"workload": "get-sync-1", "python": "3.11", "client": "ours", "against": "other"}
    ratio = {"median": 1.25, "low": 1.1, "high": 1.3, "confidence": 0.96}
    return {
        "stamp": {
            "time": "2026-01-01T00:00:00+00:00",
            "processor": "A processor",
            "cores": 2,
            "load_average": [0.5, 0.25, 0.125],
            "commit": "0123456789abcdef",
            "uncommitted_changes": True,
            "build_profile": "wheel",
        },
        "comparisons": [
            {**comparison, "quantity": "throughput", "target": 1.0, "ratio": ratio, "reached": True, "obstacle": None},
            {**comparison, "quantity": "p99", "target": 1.2, "ratio": ratio, "reached": False, "obstacle": None},
            {**comparison, "quantity": "p50", "target": 1.0, "ratio": None, "reached": None, "obstacle": "not there"},
            {**comparison, "quantity": "CPU per op", "target": None, "ratio": ratio, "reached": None, "obstacle": None},
        ],
        "cells": [
            {
                "workload": {"name": "get-sync-1", "what": "get, one thread"},
                "python": "3.11",
                "clients": {
                    "ours": {"rounds": rounds((1000, 10_000), (3000, 20_000), (2000, 30_000))},
                    "ours-stages": {"rounds": rounds((900, 11_000), (2700, 22_000), (2000, 33_000))},
                    "other": {"rounds": rounds((500, 40_000), (500, 40_000), (500, 40_000))},
                    "broken": {"rounds": []},
                },
            }
        ],
    }


@pytest.fixture
def docs(tmp_path, monkeypatch):
    (tmp_path / "measurements").mkdir()
    (tmp_path / "measurements" / "lanes.json").write_text(json.dumps(results()))
    (tmp_path / "measurements" / "other.json").write_text(json.dumps({"figures": []}))
    (tmp_path / "production").mkdir()
    (tmp_path / "production" / "overhead.md").write_text(f"# Costs\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    monkeypatch.setattr(writer, "DOCS", tmp_path)
    return tmp_path


def test_the_committed_pages_are_what_the_script_writes(capsys):
    assert writer.main(["--check"]) == 0, capsys.readouterr().err


def test_the_tables_have_the_figures(docs):
    assert writer.main([]) == 0
    page = (docs / "performance" / "lanes.md").read_text()
    assert "| get-sync-1 | 3.11 | other | throughput | ≥ 1.00 | 1.250&nbsp;[1.100,&nbsp;1.300] | yes |" in page
    assert "| get-sync-1 | 3.11 | other | p99 | ≤ 1.20 | 1.250&nbsp;[1.100,&nbsp;1.300] | no (unsure) |" in page
    assert "| p50 | ≤ 1.00 | not measured: not there |  |" in page
    assert page.count("| other |") == 4  # A comparison without a target is not listed.
    assert "| get-sync-1 | 3.11 | 0.900 | 1.100 | 1.000 | 1.000 |" in page
    assert '| other | <span class="bar" style="width: 2.00rem"></span> | 500 | 40.0 | 9.0 | 2.0 |' in page
    assert "broken" not in page
    index = (docs / "performance" / "index.md").read_text()
    assert "[lanes](lanes.md), [lanes.json](../measurements/lanes.json)" in index
    assert "`0123456789ab` with changes" in index
    assert "| [other.json](../measurements/other.json) |" in index


def test_pages_that_differ_are_refused_and_replaced(docs, capsys):
    assert writer.main(["--check"]) == 1
    assert writer.main([]) == 0
    assert writer.main(["--check"]) == 0
    page = docs / "performance" / "lanes.md"
    page.write_text(page.read_text().replace("1.250", "1.500"))
    (docs / "performance" / "old.md").write_text("gone")
    capsys.readouterr()
    assert writer.main(["--check"]) == 1
    errors = capsys.readouterr().err
    assert "lanes.md, old.md" in errors
    assert writer.main([]) == 0
    assert not (docs / "performance" / "old.md").exists()
    assert writer.main(["--check"]) == 0


def test_result_files_of_the_benchmarks_become_pages_with_charts(docs):
    text = json.dumps(bench_samples.web())
    (docs / "measurements" / "web.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    assert writer.main([]) == 0
    assert writer.main(["--check"]) == 0
    page = (docs / "performance" / "web.md").read_text()
    assert page.startswith("# Web, measured\n")
    assert "| C | the model off the loop |" in page
    assert page.count('<div class="chart"><svg') > 10
    assert "Rerun: `rerun me`" in page
    index = (docs / "performance" / "index.md").read_text()
    assert "[web](web.md), [web.json.gz](../measurements/web.json.gz)" in index
