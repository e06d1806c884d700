"""A clock, and servers with a queue each. It knows nothing of operations."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from itertools import count

Action = Callable[[], None]


class Server:
    """Something that serves so many at a time, first come first served."""

    __slots__ = ("busy", "capacity", "queue")

    def __init__(self, capacity: float = 1) -> None:
        self.capacity = capacity
        self.busy = 0
        self.queue: deque[tuple[Servers, int, Action]] = deque()

    @property
    def idle(self) -> bool:
        """Whether nobody is served."""
        return not self.busy


Servers = tuple[Server, ...]


class Engine:
    """Runs actions in the order of their times; times are nanoseconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, Action]] = []
        self._number = count()

    def at(self, when: float, action: Action) -> None:
        """Has something done later, or now after what is due already."""
        heapq.heappush(self._waiting, (max(when, self.now), next(self._number), action))

    def acquire(self, servers: Servers, then: Action) -> None:
        """Waits for several servers, in their order; all users must name them in the same order."""
        self._acquire(servers, 0, then)

    def _acquire(self, servers: Servers, position: int, then: Action) -> None:
        while position < len(servers):
            server = servers[position]
            if server.busy >= server.capacity:
                server.queue.append((servers, position, then))
                return
            server.busy += 1
            position += 1
        then()

    def release(self, servers: Servers) -> None:
        """Lets go of servers; who waits longest for each has it then."""
        for server in reversed(servers):
            if server.queue:
                waiting, position, then = server.queue.popleft()
                self._acquire(waiting, position + 1, then)
            else:
                server.busy -= 1

    def hold(self, servers: Servers, duration: float, then: Action) -> None:
        """Waits for servers, keeps them for some time, lets go of them and goes on."""

        def granted() -> None:
            self.at(self.now + duration, ended)

        def ended() -> None:
            self.release(servers)
            then()

        self.acquire(servers, granted)

    def run(self, until: float = math.inf, enough: Callable[[], bool] = lambda: False) -> None:
        """Goes on until nothing is left to do, a time is over, or there is enough."""
        while self._waiting and self._waiting[0][0] <= until and not enough():
            self.now, _, action = heapq.heappop(self._waiting)
            action()
