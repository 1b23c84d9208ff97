"""Blocks are unpacked to no more than they may have, and LZO as the kernel's documentation has it."""

import lzma
import random
import zlib

import cramjam
import pytest
import zstandard

from forensics.errors import Corrupt
from forensics.evidence import lzo
from forensics.evidence.packed import Method, unpack

TEXT = b"what repeats packs well; " * 400
END = b"\x11\x00\x00"  # staging/lzo.rst: distance 16384 ends the stream
PACKED: dict[Method, bytes] = {
    "zlib": zlib.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "lzma": lzma.compress(TEXT, lzma.FORMAT_ALONE),
    "lz4": bytes(cramjam.lz4.compress_block(TEXT, store_size=False)),
    "zstd": zstandard.compress(TEXT),
    "lzo": bytes([17 + 25]) + TEXT[:25] + b"\x20" + bytes(3) + b"\x60\x60\x00" + END,
}


@pytest.mark.parametrize("method", [method for method in PACKED if method != "lzo"])
def test_what_was_packed_comes_back_and_no_more_than_may(method: Method) -> None:
    data = PACKED[method]
    assert unpack(method, data, len(TEXT)) == TEXT
    assert unpack(method, data, 1 << 20) == TEXT
    with pytest.raises(Corrupt, match=method):
        unpack(method, data, len(TEXT) - 1)


@pytest.mark.parametrize("method", ["zlib", "xz", "lzma", "lz4", "zstd", "lzo"])
def test_noise_and_damage_are_corrupt_or_short(method: Method) -> None:
    chance = random.Random(3)
    for number in range(300):
        data = bytearray(PACKED[method] if number % 2 else chance.randbytes(200))
        for _ in range(3):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            assert len(unpack(method, bytes(data[: chance.randrange(1, len(data) + 1)]), 20_000)) <= 20_000
        except Corrupt:
            continue


@pytest.mark.parametrize(
    ("stream", "wanted"),
    [
        (bytes([17 + 4]) + b"abcd" + END, b"abcd"),  # four literals at the start
        (bytes([17 + 2]) + b"ab" + b"\x00\x00" + END, b"ab" + b"bb"),  # after one to three: two bytes from distance 1
        (b"\x01abcd" + END, b"abcd"),  # a run of literals: 3 + 1
        (b"\x00\x00\x01" + b"x" * (3 + 15 + 255 + 1) + END, b"x" * 274),  # 15 and 255 for each zero byte
        (bytes([17 + 4]) + b"abcd" + b"\x6c\x00" + END, b"abcdabcd"),  # 011 D=3: four bytes from distance 4
        (bytes([17 + 4]) + b"abcd" + b"\x8d\x00Z" + END, b"abcdabcdaZ"),  # 1 00: five bytes from distance 4, then one literal
        (bytes([17 + 4]) + b"abcd" + b"\x28\x0c\x00" + END, b"abcd" + b"abcdabcdab"),  # 001: ten bytes, more than the distance
        (bytes([17 + 4]) + b"abcd" + b"\x20\x02\x0c\x00" + END, b"abcd" + (b"abcd" * 9)[:35]),  # its length in a byte of its own
        (b"\x11\x01" + bytes([17 + 4]) + b"abcd" + b"\x1a\xfc\xff\x05" + END, b"abcd" + bytes((5 << 3 | 2) + 4)),  # version 1: zeros
    ],
)
def test_lzo_is_read_as_it_is_documented(stream: bytes, wanted: bytes) -> None:
    assert lzo.unpack(stream, 1 << 16) == wanted
    with pytest.raises(Corrupt):
        lzo.unpack(stream, len(wanted) - 1)
    for size in range(len(stream) - 1):
        with pytest.raises(Corrupt):
            lzo.unpack(stream[:size], 1 << 16)


def test_lzo_does_not_copy_from_before_its_start() -> None:
    with pytest.raises(Corrupt, match="from 5 bytes before byte 4"):
        lzo.unpack(bytes([17 + 4]) + b"abcd" + b"\x70\x00" + END, 100)
