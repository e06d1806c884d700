"""Checks a built wheel: one stripped extension of bearable size, stubs on board, importable in a fresh environment.

Works with nothing but the standard library, so that it can judge a wheel of any Python it runs on.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

PACKAGE = "aerospike_py"
EXTENSION_LIMIT_BYTES = 20 * 1024 * 1024
REQUIRED = (f"{PACKAGE}/__init__.py", f"{PACKAGE}/py.typed", f"{PACKAGE}/_aerospike.pyi")

IMPORT_CHECK = f"""
import {PACKAGE}, {PACKAGE}._aerospike as extension, sys
assert extension.__file__.startswith(sys.prefix), extension.__file__
print(extension.__file__)
"""


def elf_sections(content: bytes) -> list[str]:
    """The names of the sections of a 64-bit little-endian ELF file."""
    if content[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    (offset,) = struct.unpack_from("<Q", content, 0x28)
    size, count, names_index = struct.unpack_from("<HHH", content, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", content, offset + index * size) for index in range(count)]
    names_offset, names_size = headers[names_index][4], headers[names_index][5]
    names = content[names_offset : names_offset + names_size]
    return [names[header[0] : names.index(b"\0", header[0])].decode() for header in headers]


def content_violations(wheel: Path) -> list[str]:
    """What is wrong inside the archive."""
    found = []
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        extensions = [name for name in names if name.endswith(".so")]
        if len(extensions) != 1:
            found.append(f"holds {len(extensions)} extension modules instead of one: {extensions}")
        found += [f"lacks {name}" for name in REQUIRED if name not in names]
        for name in extensions:
            content = archive.read(name)
            if len(content) >= EXTENSION_LIMIT_BYTES:
                found.append(f"{name} has {len(content)} bytes, the limit is {EXTENSION_LIMIT_BYTES}")
            leftovers = [s for s in elf_sections(content) if s == ".symtab" or s.startswith(".debug_")]
            if leftovers:
                found.append(f"{name} is not stripped: {', '.join(leftovers)}")
            print(f"wheel: {name} has {len(content) / 1e6:.1f} MB")
    return found


def import_violations(wheel: Path) -> list[str]:
    """What goes wrong when the wheel is installed into a fresh environment and imported there."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        venv.create(environment, with_pip=True)
        python = str(environment / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel.resolve())]
        for action, command in (("install", install), ("import", [python, "-I", "-c", IMPORT_CHECK])):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                return [f"cannot {action} it:\n{done.stdout}{done.stderr}"]
    return []


def main() -> int:
    """Prints every violation; the exit code says whether there was one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--contents-only", action="store_true", help="do not install and import it")
    arguments = parser.parse_args()
    found = content_violations(arguments.wheel)
    if not found and not arguments.contents_only:
        found = import_violations(arguments.wheel)
    for violation in found:
        print(f"{arguments.wheel.name}: {violation}", file=sys.stderr)
    if found:
        print(
            "wheel: not fit to ship. Build it with `make wheel`, which uses the profile `wheel` of Cargo.toml "
            "(stripped, link-time optimised); look for large new dependencies with `cargo bloat` if it is too big.",
            file=sys.stderr,
        )
        return 1
    print(f"wheel: {arguments.wheel.name} is stripped, small enough and importable")
    return 0


if __name__ == "__main__":
    sys.exit(main())
