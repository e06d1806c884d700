"""Trouble for a cluster: faults that come and go, nodes that fall over, partitions that move."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aerospike_py.testing import EmbeddedServer

# Command kind and fault. Probabilities keep most calls successful: failing fast would make a soak easy.
FAULTS = (
    ("read", "delay=0ms..3ms@0.1"),
    ("write", "delay=0ms..3ms@0.1"),
    ("batch_read", "delay=heavy:1ms,20ms@0.1"),
    ("operate", "delay=heavy:1ms,20ms@0.1"),
    ("read", "dribble=64,1ms@0.01"),
    ("batch_read", "dribble=256,1ms@0.02"),
    ("read", "reset@0.005"),
    ("write", "reset@0.005"),
    ("operate", "reset@0.005"),
    ("delete", "reset@0.01"),
    ("read", "reset-mid-reply@0.005"),
    ("batch_read", "reset-mid-reply@0.01"),
    ("batch_write", "reset@0.01"),
    ("read", "error=18@0.01"),
    ("write", "error=18@0.01"),
    ("write", "error=14@0.01"),
    ("operate", "error=9@0.01"),
    ("batch_write", "error=18@0.01"),
    ("write", "refuse@0.005"),
    ("info", "delay=0ms..50ms@0.2"),
    ("read", "stall@0.001x3"),
    ("write", "stall@0.001x3"),
)
AT_ONCE = 5
SECONDS_EACH = 0.4


class Chaos:
    """A thread that makes trouble from ``start`` to ``end``."""

    def __init__(self, cluster: EmbeddedServer, nodes: int, seed: int) -> None:
        self._cluster = cluster
        self._nodes = nodes
        self._rng = random.Random(seed)
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="chaos")
        self.outages = 0
        self.moves = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop, and leave the cluster whole."""
        self._ending.set()
        self._thread.join(timeout=60)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self._one_round()
        except BaseException as error:
            self._failure = error
        finally:
            self._cluster.clear_faults()

    def _one_round(self) -> None:
        for command, fault in self._rng.sample(FAULTS, AT_ONCE):
            node = self._rng.choice([None, *range(self._nodes)])
            self._cluster.fault(fault, node=node, command=command)
        self._ending.wait(SECONDS_EACH)
        self._cluster.clear_faults()
        dice = self._rng.random()
        if dice < 0.1:
            node = self._rng.randrange(self._nodes)
            self._cluster.node_down(node)
            self._ending.wait(SECONDS_EACH / 2)
            self._cluster.node_up(node)
            self.outages += 1
        elif dice < 0.3:
            self._cluster.move_partitions()
            self.moves += 1
