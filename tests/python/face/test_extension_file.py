"""The extension as a file: what its header asks of the process that loads it."""

import struct
import sys
from pathlib import Path

import pytest
from aerospike_py import _aerospike

DYNAMIC_SEGMENT = 2
FLAGS_ENTRY = 30
STATIC_TLS = 0x10

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")


def dynamic_entries(elf: bytes) -> dict[int, int]:
    """Return the dynamic section of a 64-bit little-endian ELF file."""
    assert elf[:6] == b"\x7fELF\x02\x01"
    (first,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for number in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, first + number * size)
        if kind == DYNAMIC_SEGMENT:
            return dict(struct.iter_unpack("<QQ", elf[offset : offset + length]))
    raise AssertionError("no dynamic segment")


def test_it_takes_nothing_of_the_little_room_for_static_thread_locals():
    """All modules of a process share a kilobyte or two; one that needs some of it fails to load when it is gone."""
    entries = dynamic_entries(Path(_aerospike.__file__).read_bytes())
    assert FLAGS_ENTRY in entries
    assert not entries[FLAGS_ENTRY] & STATIC_TLS
