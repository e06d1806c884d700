"""Golden files: what the analysis says of fixed recordings. ``BLESS=1`` writes them anew; a missing one fails."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from aerospike_py_analysis import stages
from aerospike_py_analysis.analysis import analyse
from aerospike_py_analysis.flamegraph import folded
from aerospike_py_analysis.report import markdown
from aerospike_py_analysis.report.document import document
from aerospike_py_analysis.verdicts import RULES
from situations import planted

GOLDEN = Path(__file__).parent / "golden"
DOCS = Path(__file__).parents[2] / "docs"
NAMES = ("slow_node", "slow_callback", "gather")


def expect(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("BLESS") == "1":
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{name} is missing: BLESS=1 writes it"
    assert text == path.read_text(encoding="utf-8")


def rounded(value: Any) -> Any:
    """Numbers with nine digits: summing in another order must not change a golden file."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value


@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_as_blessed(name: str, tmp_path: Path) -> None:
    planted(name).write(tmp_path)
    analysis, summed = analyse([tmp_path])
    expect(f"{name}.folded", "\n".join(folded(summed)) + "\n")
    expect(f"{name}.tail.folded", "\n".join(folded(summed, tail=0.99)) + "\n")
    analysis.sources = [name]
    expect(f"{name}.md", markdown.render(document(analysis)))
    value = analysis.as_json()
    # A few of many are enough.
    for group in value["groups"]:
        group["trend"]["slices"] = group["trend"]["slices"][:3]
        group["exemplars"] = group["exemplars"][:1]
        for one in (one for dimension in group["dimensions"] for one in dimension["values"]):
            one["tail"]["parts"] = one["tail"]["parts"][:2]
    expect(f"{name}.json", json.dumps(rounded(value), indent=1) + "\n")


def test_a_missing_golden_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BLESS", raising=False)
    with pytest.raises(AssertionError, match="BLESS=1"):
        expect("absent.md", "")


def test_the_stages_are_those_of_the_client() -> None:
    text = (DOCS / "stages.md").read_text(encoding="utf-8")
    parts = text.split("\n### `")[1:]
    documented = {part.split("`")[0]: part.split("*Family*: ")[1].split(".")[0] for part in parts}
    assert documented == stages.FAMILIES
    assert list(documented) == list(stages.ORDER)


def test_the_table_of_rules_is_documented() -> None:
    text = (DOCS / "analysis" / "reports.md").read_text(encoding="utf-8")
    for rule in RULES:
        assert f"| `{rule.id}` | {rule.looks_for} | {rule.action} |" in text
