"""Draws the head of a report as the README shows it: ``python scripts/draw_report.py [REPORT.html] [PICTURE.png]``.

Run ``make demo`` first, on a machine with nothing else to do: the picture shows what that run measured. A browser that
knows ``--headless`` is needed (Chromium or Chrome); it loads nothing from elsewhere.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZE = (1160, 1160)
# What a page should not take longer to load than.
MOST_BYTES = 300_000
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--hide-scrollbars", "--blink-settings=preferredColorScheme=1",
)  # fmt: skip


def main() -> int:
    """The exit status: 1 if there is no browser, no report or the picture is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, nargs="?", default=ROOT / "demo-output" / "report.html")
    parser.add_argument("picture", type=Path, nargs="?", default=ROOT / "docs" / "images" / "demo-report.png")
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no browser: install one of {', '.join(BROWSERS)}", file=sys.stderr)
        return 1
    if not options.report.is_file():
        print(f"{options.report} is not there: make demo writes it", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                *OPTIONS,
                f"--user-data-dir={profile}",
                f"--window-size={SIZE[0]},{SIZE[1]}",
                f"--screenshot={options.picture.resolve()}",
                options.report.resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=300,
        )
    size = options.picture.stat().st_size
    print(f"wrote {options.picture}, {size / 1000:.0f} kB")
    return 1 if size > MOST_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
