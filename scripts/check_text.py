"""Checks the texts of the repository: openings, lengths, names, left-over markers, paths and addresses of one machine.

It reads the files that Git knows or would add, as text. What the code means is checked by compilers and linters.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# The longest file that still reads in one sitting. Stubs are the API's reference and may be longer.
LINE_LIMITS = {".rs": 700, ".py": 700, ".pyi": 3000}

# Files that name what they forbid or prove that it is found.
EXEMPT = frozenset({"scripts/check_text.py", "tests/tooling/test_check_text.py"})
# Pictures carry the script of the library that drew them.
MAY_CARRY_MARKERS = frozenset({".svg"})
# Cargo writes the address of its registry there by itself.
MAY_NAME_REGISTRIES = frozenset(
    {"Cargo.lock", "benchmark/rust-core/Cargo.lock", "runtime/fuzz/Cargo.lock", "server/fuzz/Cargo.lock"}
)

MACHINE_PATH = re.compile(r"(?<![\w./}>-])/(work|root|home|Users|tmp)/\w")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|crates\.io(?!-)|npmjs\.org|anaconda\.org"
    r"|--(extra-)?index-url\b(?!/)|--find-links[ =]|^-[if] ",
    re.MULTILINE,
)
MARKER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
EMPTY_NAMES = frozenset({"utils", "util", "misc", "imp", "helpers"})

REMEDIES = {
    "opening": "open the file with //! or a docstring: what lives here and what does not",
    "length": "split the file by what its parts are about",
    "name": "name the file after its content",
    "marker": "do it now, or describe the limit where users of the code read it",
    "path": "use a path relative to the checkout, or a temporary directory",
    "registry": "leave addresses of registries and options that name them to the machine's configuration",
}


def violations(name: str, text: str) -> Iterator[tuple[int, str, str]]:
    """Yields line, rule and description of everything wrong in one file."""
    path = PurePosixPath(name)
    lines = text.splitlines()
    limit = LINE_LIMITS.get(path.suffix)
    if limit is not None and len(lines) > limit:
        yield len(lines), "length", f"{len(lines)} lines, the limit is {limit}"
    if path.suffix in LINE_LIMITS and path.stem in EMPTY_NAMES:
        yield 1, "name", f"the name {path.stem!r} says nothing"
    if not opens_well(path, text):
        yield 1, "opening", "does not open with what the file is for"
    if name in EXEMPT:
        return
    for rule, pattern in (("marker", MARKER), ("path", MACHINE_PATH), ("registry", REGISTRY)):
        if rule == "registry" and name in MAY_NAME_REGISTRIES:
            continue
        if rule == "marker" and path.suffix in MAY_CARRY_MARKERS:
            continue
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, rule, f"contains {match.group().strip()!r}"


def opens_well(path: PurePosixPath, text: str) -> bool:
    """Whether a module says at its top what it is for."""
    if path.suffix == ".rs":
        return text.lstrip().startswith("//!")
    if path.suffix in (".py", ".pyi"):
        try:
            return bool(ast.get_docstring(ast.parse(text)))
        except SyntaxError:
            return False
    if text.startswith("#!"):
        return text.partition("\n")[2].startswith("#")
    return True


def tracked_texts(root: Path) -> Iterator[tuple[str, str]]:
    """Yields name and content of every text file that Git tracks or would add."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
    for name in sorted(filter(None, listing.split("\0"))):
        path = root / name
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            yield name, content.decode("utf-8", errors="replace")


def main() -> int:
    """Prints every violation; the exit code says whether there was one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    files = found = 0
    for name, text in tracked_texts(root):
        files += 1
        for line, rule, description in violations(name, text):
            found += 1
            print(f"{name}:{line}: {description}; {REMEDIES[rule]}", file=sys.stderr)
    if found:
        print(f"texts: {found} violation(s) in {files} files", file=sys.stderr)
        return 1
    print(f"texts: {files} files read well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
