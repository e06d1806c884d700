"""The queue of an observed event loop: a deque that takes attributes, which the plain one does not.

The extension puts it in place of the loop's own when a loop is observed for the first time.
"""

from collections import deque
from typing import Any


class ReadyQueue(deque[Any]):
    """What the event loop is going to run next."""
