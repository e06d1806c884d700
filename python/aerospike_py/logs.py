"""The level of the client's log records. Records of the client and of the driver below it reach Python's ``logging``
under ``aerospike_py``; the extension hands them over, this module sets the level.
"""

from __future__ import annotations

import logging

from aerospike_py import _aerospike
from aerospike_py.constants import (
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_INFO,
    LOG_LEVEL_OFF,
    LOG_LEVEL_TRACE,
    LOG_LEVEL_WARN,
)

__all__ = ["set_log_level"]

TRACE = 5
OFF = 60
LEVELS = {
    LOG_LEVEL_OFF: OFF,
    LOG_LEVEL_ERROR: logging.ERROR,
    LOG_LEVEL_WARN: logging.WARNING,
    LOG_LEVEL_INFO: logging.INFO,
    LOG_LEVEL_DEBUG: logging.DEBUG,
    LOG_LEVEL_TRACE: TRACE,
}

# The name that records of this level have, unless the program has given it another.
if logging.getLevelName(TRACE) == f"Level {TRACE}":
    logging.addLevelName(TRACE, "TRACE")


def set_log_level(level: int) -> None:
    """Set the level of the logger ``aerospike_py`` and have the client make records from this level on, at once.

    Without this function the client follows what Python's ``logging`` is configured to within two seconds.

    Args:
        level: ``LOG_LEVEL_OFF``, ``LOG_LEVEL_ERROR``, ``LOG_LEVEL_WARN``, ``LOG_LEVEL_INFO``, ``LOG_LEVEL_DEBUG`` or
            ``LOG_LEVEL_TRACE``.

    Raises:
        ValueError: It is none of these.

    Example:
        ```python
        aerospike_py.set_log_level(aerospike_py.LOG_LEVEL_WARN)
        ```
    """
    if level not in LEVELS:
        raise ValueError(
            f"the level must be one of the LOG_LEVEL_ constants, from -1 (off) to 4 (trace), not {level!r}"
        )
    logging.getLogger("aerospike_py").setLevel(LEVELS[level])
    _aerospike._refresh_log_levels()
