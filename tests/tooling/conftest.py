"""Makes the scripts and the benchmarks importable for the tests that prove that they find what they should."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]
