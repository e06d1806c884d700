"""Arguments of exporters as the extension takes them: texts that stand for the variables of the same meaning."""

from __future__ import annotations

import os
from collections.abc import Mapping


def texts(given: Mapping[str, object]) -> dict[str, str]:
    """What was given, as it would stand in the environment."""
    return {name: _text(value) for name, value in given.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        escaped = {name: str(one).replace("%", "%25").replace(",", "%2C") for name, one in value.items()}
        return ",".join(f"{name}={one}" for name, one in escaped.items())
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
