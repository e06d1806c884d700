"""All scenarios."""

from __future__ import annotations

from typing import Final

from scenarios import client_side, python_side, server_side, several
from scenarios.scenario import Scenario

SCENARIOS: Final[dict[str, Scenario]] = {
    one.name: one
    for one in (*server_side.SCENARIOS, *client_side.SCENARIOS, *python_side.SCENARIOS, *several.SCENARIOS)
}
