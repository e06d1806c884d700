"""Values at the sizes where their encoding changes, and text of every plane: what is put is what is got."""

import math
import struct
import sys

import aerospike_py
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PATIENT = {"total_timeout": 60_000, "socket_timeout": 60_000}
EDGES = (15, 16, 31, 32, 127, 128, 255, 256, 65_535, 65_536)
SIZES = sorted({0, 1, *(edge + near for edge in EDGES for near in (-1, 0, 1))})
INTEGER_EDGES = sorted(
    {
        sign * (2**bits + near)
        for bits in (0, 5, 7, 8, 15, 16, 31, 32, 62, 63)
        for near in (-1, 0, 1)
        for sign in (1, -1)
        if -(2**63) <= sign * (2**bits + near) < 2**63
    }
)
FLOAT_EDGES = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1]
# One of each length in UTF-8 and of each width in memory, the ends of the planes, and what looks like an end of text.
CHARACTERS = "\0\x7f\x80ÿĀ\u07ff\u0800\ud7ff\ue000\ufeff\ufffd\uffff\U00010000\U0001f600\U000e0001\U0010ffff"
ONE_OF_EACH_PLANE = "".join(chr(plane * 0x10000 + 0x1234) for plane in range(17))


def bits(number):
    return struct.pack("d", number)


def round_trip(client, value, key=("test", "sizes", "value")):
    """What comes back of a value from a bin, and from the inside of a list and of a map."""
    client.put(key, {"v": value, "l": [value], "m": {"k": value}}, policy=PATIENT)
    bins = client.get(key, PATIENT).bins
    assert set(bins) == {"v", "l", "m"}
    [inner] = bins["l"]
    return bins["v"], inner, bins["m"]["k"]


@pytest.mark.parametrize("number", INTEGER_EDGES)
def test_integers(client, number):
    for found in round_trip(client, number):
        assert (type(found), found) == (int, number)
    key = ("test", "sizes", "map-key")
    client.put(key, {"v": {number: number}})
    assert client.get(key).bins == {"v": {number: number}}


@pytest.mark.parametrize("number", FLOAT_EDGES, ids=repr)
def test_floats_to_the_bit(client, number):
    for found in round_trip(client, number):
        assert type(found) is float
        assert bits(found) == bits(number)


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
@pytest.mark.parametrize("count", [1, 2, 31, 32, 300])
def test_text_of_every_width(client, character, count):
    for text in (character * count, "a" * count + character, character + "é" * count):
        for found in round_trip(client, text):
            assert (type(found), found) == (str, text)
            assert hash(found) == hash(text)
            assert found.encode() == text.encode()


def test_text_of_all_planes_at_once(client):
    text = ONE_OF_EACH_PLANE.replace(chr(0xD800), "")
    for found in round_trip(client, text):
        assert found == text
        assert {found: 1}[text] == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [bytes, bytearray, lambda n: memoryview(bytes(n))], ids=["bytes", "array", "view"])
def test_blobs(client, make, size):
    for found in round_trip(client, make(size)):
        assert (type(found), found) == (bytes, bytes(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("character", ["x", "ÿ", "€", "\U0001f600"], ids=ascii)
def test_text_by_its_length_in_utf8(client, character, size):
    width = len(character.encode())
    text = character * (size // width) + "x" * (size % width)
    assert len(text.encode()) == size
    for found in round_trip(client, text):
        assert found == text


@pytest.mark.parametrize("size", SIZES)
def test_lists(client, size):
    value = [*range(size)]
    key = ("test", "sizes", "list")
    client.put(key, {"v": value, "deep": [[value]]}, policy=PATIENT)
    assert client.get(key, PATIENT).bins == {"v": value, "deep": [[value]]}


@pytest.mark.parametrize("size", SIZES)
def test_maps(client, size):
    value = {n: n for n in range(size)}
    key = ("test", "sizes", "map")
    client.put(key, {"v": value, "deep": [{"k": value}]}, policy=PATIENT)
    assert client.get(key, PATIENT).bins == {"v": value, "deep": [{"k": value}]}


@pytest.mark.parametrize("size", [1_000_000, 1024 * 1024 - 1024])
def test_a_megabyte(client, size):
    key = ("test", "sizes", "megabyte")
    for value in (bytes(size), "x" * size, "é" * (size // 2)):
        client.put(key, {"v": value}, policy=PATIENT)
        assert client.get(key, PATIENT).bins == {"v": value}


@pytest.mark.parametrize("count", [1, 5, 6, 8, 10, 11, 16, 17, 100, 255, 256, 300])
def test_records_of_many_bins_keep_their_names_and_their_order_of_writing(client, count):
    key = ("test", "sizes", f"bins-{count}")
    bins = {f"bin-{n}": n for n in range(count)}
    client.put(key, bins, policy=PATIENT)
    found = client.get(key, PATIENT).bins
    assert found == bins
    # A name from the source of a program is interned, and is then the very same string.
    assert all(name is sys.intern(name) for name in found)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15).filter(
    lambda name: len(name.encode()) <= 15
)


@given(names=st.lists(NAMES, min_size=1, max_size=300, unique=True))
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_more_names_than_are_kept(client, names):
    key = ("test", "sizes", "names")
    bins = {name: place for place, name in enumerate(names)}
    client.put(key, bins, policy={**PATIENT, "exists": aerospike_py.POLICY_EXISTS_REPLACE})
    assert client.get(key, PATIENT).bins == bins


@given(
    user_keys=st.lists(
        st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])) | st.binary(),
        min_size=1,
        max_size=20,
        unique_by=lambda key: (type(key), key),
    ),
    set_name=st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=63),
)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_batches_digest_keys_like_single_reads(client, user_keys, set_name):
    keys = [("test", set_name, user_key) for user_key in user_keys]
    one_by_one = [client.exists(key).key for key in keys]
    together = [record.key for record in client.batch_read(keys, bins=[]).batch_records]
    assert [key.digest for key in together] == [key.digest for key in one_by_one]
    assert together == one_by_one
