"""Runs one scenario in this process: ``python -m scenarios.play NAME FOLDER``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aerospike_py.testing import EmbeddedServer

from scenarios.stage import Stage
from scenarios.table import SCENARIOS

NODES = 3


def main(name: str, folder: str, join: str | None = None) -> None:
    """Starts a server beside this process, joins the control group if there is one, and plays."""
    with EmbeddedServer(nodes=NODES, process=True) as server:
        if join is not None:
            Path(join).write_text(str(os.getpid()))
        SCENARIOS[name].play(Stage(Path(folder), server))


if __name__ == "__main__":
    main(*sys.argv[1:])
