"""Makes the scripts of the project importable for the tests that prove that they find what they should."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

sys.path.insert(0, str(ROOT / "scripts"))
