"""Unpack one block of a file system that compresses (SquashFS, Btrfs, F2FS), never to more bytes than it may have."""

import lzma
import zlib
from typing import Literal

from forensics.errors import Corrupt
from forensics.evidence import lzo

Method = Literal["zlib", "lzma", "xz", "lzo", "lz4", "zstd"]
_MEMORY = 64 << 20  # what xz may take: eight times the largest block of SquashFS, which is its dictionary at most


def unpack(method: Method, data: bytes, limit: int) -> bytes:
    """`data` unpacked: at most `limit` bytes. Raises Corrupt where it is damaged or gives more."""
    try:
        out = _METHODS[method](data, limit)
    except (zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        raise Corrupt(f"packed by {method}, and cannot be unpacked: {error}") from error
    if len(out) > limit:
        raise Corrupt(f"packed by {method}: gives more than the {limit} bytes that it may have")
    return out


def _zlib(data: bytes, limit: int) -> bytes:
    return zlib.decompressobj().decompress(data, limit + 1)


def _lzma(data: bytes, limit: int) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY).decompress(data, limit + 1)


def _xz(data: bytes, limit: int) -> bytes:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY).decompress(data, limit + 1)


def _lz4(data: bytes, limit: int) -> bytes:
    import cramjam

    into = bytearray(limit)
    try:
        count: int = cramjam.lz4.decompress_block_into(data, into, output_len=limit)
    except cramjam.DecompressionError as error:
        raise ValueError(str(error)) from error
    return bytes(into[:count])


def _zstd(data: bytes, limit: int) -> bytes:
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=_MEMORY).stream_reader(data) as reader:
            return reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


_METHODS = {"zlib": _zlib, "lzma": _lzma, "xz": _xz, "lzo": lzo.unpack, "lz4": _lz4, "zstd": _zstd}
