"""The client, for the commands that need it."""

from __future__ import annotations

import importlib
from types import ModuleType


class NoClientError(Exception):
    """The client is not installed beside the analysis; the message says what for it is needed."""


def client(needed_for: str) -> ModuleType:
    """The module ``aerospike_py``."""
    try:
        return importlib.import_module("aerospike_py")
    except ImportError as error:
        raise NoClientError(f"{needed_for} needs the client: pip install aerospike-py ({error})") from error
