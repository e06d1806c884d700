"""The page about the stages is the one that the script writes from the table, and says everything about each stage."""

import importlib.util
import re
from pathlib import Path

import aerospike_py
import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "write_stage_docs.py"


@pytest.fixture
def writer():
    specification = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_script_writes(writer):
    for name, text in writer.pages().items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, writer.REMEDY
    assert writer.main(["--check"]) == 0


@pytest.mark.parametrize("name", ["stages.md", "slow.md"])
def test_a_page_that_differs_is_refused(writer, tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(writer, "DOCS", tmp_path / "docs")
    assert writer.main([]) == 0
    assert writer.main(["--check"]) == 0
    stale = tmp_path / "docs" / name
    stale.write_text(stale.read_text(encoding="utf-8").replace("network", "weather", 1), encoding="utf-8")
    assert writer.main(["--check"]) == 1
    assert f"{name} does not match" in capsys.readouterr().err
    stale.unlink()
    assert writer.main(["--check"]) == 1


def test_every_stage_has_every_part_and_every_link_has_a_target(writer):
    page = writer.page()
    sections = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^### |\Z)", page, re.DOTALL | re.MULTILINE))
    rows = aerospike_py.stage_table()
    assert list(sections) == [row.name for row in rows]
    for row in rows:
        text = sections[row.name]
        for heading, content in (
            ("Definition", row.definition),
            ("Interpretation", row.interpretation),
            ("What to do", row.action),
        ):
            assert f"**{heading}.** {content}\n" in text, row.name
        assert "**Example.** " in text
    links = set(re.findall(r"\]\(#(\w+)\)", page))
    assert links == set(sections)


def test_a_stage_without_an_example_stops_the_script(writer, monkeypatch):
    monkeypatch.delitem(writer.EXAMPLES, "decode")
    with pytest.raises(SystemExit, match="decode"):
        writer.page()


def test_the_questions_lead_to_every_stage_once_and_say_what_the_table_says(writer):
    page = writer.pages()["slow.md"]
    rows = {row.name: row for row in aerospike_py.stage_table()}
    led_to = re.findall(r"^\*\*\[`(\w+)`\]\(stages\.md#(\w+)\)", page, re.MULTILINE)
    assert sorted(name for name, _ in led_to) == sorted(rows)
    assert all(name == anchor for name, anchor in led_to)
    for row in rows.values():
        assert row.interpretation in page
        assert row.action in page


def test_a_stage_that_no_question_leads_to_stops_the_script(writer):
    rows = aerospike_py.stage_table()
    with pytest.raises(SystemExit, match=rows[0].name):
        writer.questions_page(rows[1:])
