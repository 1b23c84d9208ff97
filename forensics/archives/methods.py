"""Decompression, method by method: bytes come in as pieces and go out as pieces of at most `CHUNK` or so, whatever the input claims.

Each raises one of `DAMAGE` where its input is not valid or is cut short, and ValueError for a window or a model beyond `MAX_WINDOW`.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import inflate64
import zstandard

from forensics.archives import libarchive
from forensics.members import stream_of

CHUNK = 1 << 16  # bytes read and given on at once
MAX_WINDOW = 256 << 20  # bytes of a decompressor's window or model
DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)
_SPARING = 256  # bytes that go at once into what bounds no output: Deflate64 makes at most some 100 KB of them


def inflated(pieces: Iterator[bytes], bits: int = -zlib.MAX_WBITS) -> Iterator[bytes]:
    """Deflate (RFC 1951); with `bits` of `zlib.MAX_WBITS`, as zlib wraps it (RFC 1950)."""
    inflater = zlib.decompressobj(bits)
    for piece in pieces:
        while True:
            out = inflater.decompress(piece, CHUNK)
            if out:
                yield out
            if inflater.eof:
                return
            piece = inflater.unconsumed_tail
            if not piece and len(out) < CHUNK:
                break
    raise EOFError("the compressed data is cut short")


def inflated64(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Deflate64 (PKWARE APPNOTE 4.4.5, method 9)."""
    inflater = inflate64.Inflater()
    for piece in pieces:
        for at in range(0, len(piece), _SPARING):
            if out := inflater.inflate(piece[at : at + _SPARING]):
                yield out
            if inflater.eof:
                return
    raise EOFError("the compressed data is cut short")


def zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Zstandard (RFC 8878), one frame or several."""
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(stream_of(pieces), read_across_frames=True)
    while piece := reader.read(CHUNK):
        yield piece


def bzip2(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """bzip2: one stream or, as 7-Zip writes it from several threads, several."""
    decompressor = bz2.BZ2Decompressor()
    for piece in pieces:
        while piece:
            yield from fed(iter((piece,)), decompressor)
            piece = decompressor.unused_data if decompressor.eof else b""
            decompressor = bz2.BZ2Decompressor() if decompressor.eof else decompressor


def xz(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """xz, in its own format."""
    return fed(pieces, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2 * MAX_WINDOW))


def raw_lzma(properties: bytes, size: int | None) -> list[dict[str, int]]:
    """liblzma's filter for five bytes of LZMA properties. A window is never larger than the content."""
    if len(properties) < 5 or properties[0] >= 225:
        raise ValueError("LZMA properties are not valid")
    rest, lc = divmod(properties[0], 9)
    pb, lp = divmod(rest, 5)
    (stated,) = struct.unpack_from("<I", properties, 1)
    return [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": window(stated, size)}]


def lzma_of_zip(pieces: Iterator[bytes], size: int | None) -> Iterator[bytes]:
    """LZMA as zip stores it: version, length of properties (5), properties, data (APPNOTE 5.8.8)."""
    start, rest = taken(pieces, 9)
    if len(start) < 9 or struct.unpack_from("<H", start, 2)[0] != 5:
        raise ValueError("LZMA properties are not valid")
    yield from fed(rest, lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=raw_lzma(start[4:], size)))


def window(stated: int, size: int | None) -> int:
    """The bytes of window to give a decompressor. Raises ValueError where they are more than is sensible."""
    bounded = max(4096, stated if size is None else min(stated, size))
    if bounded > MAX_WINDOW:
        raise ValueError(f"decompression needs a window of {bounded} bytes (limit {MAX_WINDOW})")
    return bounded


def fed(pieces: Iterator[bytes], decompressor: Any) -> Iterator[bytes]:
    """What a decompressor of the standard library makes of the pieces, to its end or theirs."""
    for piece in pieces:
        given = piece
        while True:
            if out := decompressor.decompress(given, CHUNK):
                yield out
            if decompressor.eof:
                return
            if decompressor.needs_input:
                break
            given = b""
    while out := decompressor.decompress(b"", CHUNK) if not decompressor.eof and not decompressor.needs_input else b"":
        yield out


def ppmd_of_7z(pieces: Iterator[bytes], properties: bytes, length: int, size: int) -> Iterator[bytes]:
    """PPMd variant H: `size` bytes out of `length`; properties are the order and the bytes of the model."""
    if len(properties) < 5:
        raise ValueError("PPMd properties are not valid")
    order, memory = struct.unpack_from("<BI", properties)
    if not 2 <= order <= 64 or not 2048 <= memory <= MAX_WINDOW:
        raise ValueError(f"PPMd of order {order} with a model of {memory} bytes (limit {MAX_WINDOW})")
    return libarchive.ppmd_of_7z(pieces, length, size, properties)


def ppmd_of_zip(pieces: Iterator[bytes], length: int, size: int) -> Iterator[bytes]:
    """PPMd variant I as zip stores it (APPNOTE 5.10); its model has at most 256 MiB."""
    return libarchive.zip_member(pieces, length, size, 98)


def taken(pieces: Iterator[bytes], count: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `count` bytes, or what there is of them, and the pieces that follow."""
    held = b""
    while len(held) < count and (piece := next(pieces, b"")):
        held += piece

    def rest() -> Iterator[bytes]:
        if len(held) > count:
            yield held[count:]
        yield from pieces

    return held[:count], rest()
