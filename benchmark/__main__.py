"""The command line of the benchmarks: `python -m benchmark --help`.

`run` measures, `list` says what there is to measure, `report` makes Markdown and HTML of result files, `compare` looks
for regressions, `self-check` measures the harness. The other programs of this folder have command lines of their own.
"""

from __future__ import annotations

import sys

from benchmark.harness.commands import main

if __name__ == "__main__":
    sys.exit(main())
