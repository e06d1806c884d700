"""Checks the built site: it loads nothing from elsewhere, and no markup is left that was not understood.

Links within the site are checked by the strict build; links to other sites are not followed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

LOADING = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
LOADING_RELATIONS = {"dns-prefetch", "icon", "modulepreload", "preconnect", "prefetch", "preload", "stylesheet"}
ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
STYLE_ADDRESS = re.compile(r"(?:@import\s+|url\()\s*[\"']?((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)
# Roles of docstrings, directives of the reference and fences, where they reach the reader as they are.
LEFT_OVER = re.compile(r":(?:class|meth|func|attr|exc|mod):`?|^::: \w|```|\]\[aerospike_py", re.MULTILINE)
LITERAL = {"code", "pre", "script", "style"}


class Page(HTMLParser):
    """Collects what a page loads and what it says outside of code."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.text: list[str] = []
        self._literal = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element loads."""
        values = {name: value or "" for name, value in attrs}
        if tag in LOADING:
            self.loaded.append(values.get(LOADING[tag], ""))
        elif tag == "link" and LOADING_RELATIONS & set(values.get("rel", "").split()):
            self.loaded.append(values.get("href", ""))
        self._literal += tag in LITERAL

    def handle_endtag(self, tag: str) -> None:
        """Leave code."""
        self._literal -= tag in LITERAL

    def handle_data(self, data: str) -> None:
        """Note text, but no code."""
        if not self._literal:
            self.text.append(data)


def faults(name: str, content: str) -> Iterator[str]:
    """Yield everything wrong with one file."""
    if name.endswith(".css"):
        for address in STYLE_ADDRESS.findall(content):
            yield f"loads {address}: keep the file in docs/assets"
        return
    page = Page()
    page.feed(content)
    for address in page.loaded:
        if ELSEWHERE.match(address):
            yield f"loads {address}: keep the file in docs/assets"
    for match in LEFT_OVER.finditer("".join(page.text)):
        yield f"shows {match.group()!r} to the reader: markup that was not understood"


def main(arguments: list[str] | None = None) -> int:
    """Print every fault; the exit code says whether there was one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path)
    site: Path = parser.parse_args(arguments).site
    pages = sorted([*site.rglob("*.html"), *site.rglob("*.css")])
    found = 0
    for path in pages:
        for fault in faults(path.name, path.read_text("utf-8")):
            found += 1
            print(f"{path.relative_to(site)}: {fault}", file=sys.stderr)
    if not pages:
        print(f"{site}: there is no page: build the site first", file=sys.stderr)
    else:
        print(f"site: {len(pages)} files, {found} fault(s)")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
