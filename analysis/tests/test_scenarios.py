"""A few planted scenarios, from the embedded server to the verdict; ``make verdicts`` plays all of them."""

from __future__ import annotations

import sys

import pytest
from aerospike_py_analysis.verdicts import RULES
from scenarios import simulate_check
from scenarios.scenario import CAUSES, Scenario
from scenarios.score import has_gil, score
from scenarios.simulate_check import CASES, Compared, Sides
from scenarios.table import SCENARIOS

# What is planted is found every time; what else a busy machine does to a recording is not planted.
REPETITIONS = 3


@pytest.mark.parametrize("name", [name for name, one in SCENARIOS.items() if one.quick])
def test_the_planted_cause_is_found(name: str) -> None:
    results = []
    for _ in range(REPETITIONS):
        results.append(score(SCENARIOS[name], sys.executable, has_gil(sys.executable)))
        if not results[-1].mistakes:
            return
    pytest.fail("\n".join(f"{result.mistakes}: {result.evidence}" for result in results))


def test_scenarios_speak_of_rules_that_exist() -> None:
    rules = {rule.id for rule in RULES}
    assert rules >= CAUSES
    for one in SCENARIOS.values():
        assert {*one.first, *one.also, *one.fits, *one.never} <= rules, one.name
        assert one.first or one.also or one.healthy, one.name
    assert len(SCENARIOS) >= 20


def test_predictions_are_compared_on_the_least_disturbed_rounds() -> None:
    rounds = [
        Compared(rate, 2 * rate, 1.5 * (1100 - rate), rate, (1 / rate,), (2.0,), (4.0,))
        for rate in (100.0, 900.0, 1000.0, 500.0, 300.0, 200.0, 400.0, 600.0)
    ]
    found = Sides.of(rounds, simulate_check.rate)
    assert (found.before, found.predicted, found.measured) == (950, 1900, 1425)
    assert found.error == pytest.approx(1 / 3)
    assert Sides.of(rounds, simulate_check.percentile(0)).error == -0.5
    assert len({case.name for case in CASES}) == len(CASES)


def test_mistakes_are_named() -> None:
    one = Scenario(
        "one", "a cause", lambda stage: None, ("gil", "limiter"), also=frozenset({"timer"}),
        never=frozenset({"busy_loop"}), says="hog", gil=True,
    )  # fmt: skip
    assert one.mistakes(["gil", "limiter", "timer"], "the hog", True, False) == []
    assert one.mistakes(["limiter", "gil", "timer"], "the hog", True, False) == ["gil, limiter must come first"]
    assert one.mistakes(["gil", "limiter"], "the hog", True, False) == ["timer is missing"]
    assert one.mistakes(["gil", "limiter", "timer", "busy_loop", "gather"], "the hog", True, False) == [
        "busy_loop was not planted",
        "gather was not planted",
    ]
    assert one.mistakes(["gil", "limiter", "timer"], "nobody", True, False) == ["hog is not named"]
    assert "gil was not planted" in one.mistakes(["gil", "timer"], "the hog", False, False)
    healthy = Scenario("healthy", "nothing", lambda stage: None, healthy=True)
    assert healthy.mistakes(["conversion"], "", True, False) == ["conversion was not planted"]
    assert healthy.mistakes(["conversion"], "", True, True) == []
