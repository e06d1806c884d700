"""The rules, on recordings in which the cause is planted: the right verdict comes first and no wrong one comes at
all."""

from __future__ import annotations

from pathlib import Path

import pytest
from aerospike_py_analysis.analysis import analyse
from aerospike_py_analysis.verdicts import RULES
from situations import SITUATIONS, planted


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_planted_cause_comes_first(name: str, tmp_path: Path) -> None:
    planted(name).write(tmp_path)
    analysis, _ = analyse([tmp_path])
    _, expected, allowed = SITUATIONS[name]
    found = [verdict.rule for verdict in analysis.verdicts]
    assert found[:1] == ([expected] if expected else [])
    assert set(found[1:]) <= allowed
    assert {one.rule for one in analysis.not_found} == {rule.id for rule in RULES} - set(found)


def test_every_rule_has_a_situation_that_it_fits() -> None:
    expected = {first for _, first, _ in SITUATIONS.values() if first}
    assert expected == {rule.id for rule in RULES}


def test_verdicts_carry_evidence_an_action_and_an_effect_with_an_interval(tmp_path: Path) -> None:
    planted("heavy_tailed_server").write(tmp_path)
    (verdict, *_), _ = analyse([tmp_path])[0].verdicts, None
    assert "network_wait" in verdict.evidence[0]
    assert "histograms" in verdict.action
    assert "8." in verdict.effects[0] or "7." in verdict.effects[0]
    assert " to " in verdict.effects[0]
