"""Where each chunk of a compressed image lies in its segment files."""

from array import array
from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

# how a chunk is stored
PLAIN = 0  # as it is, followed by its Adler-32
DEFLATE = 1  # zlib, which carries an Adler-32 of its own
EITHER = 2  # one of the two above: the table has no room to say which
BZIP2 = 3
BARE = 4  # as it is, without a checksum
PATTERN = 5  # eight bytes, repeated; they stand where the offset would
BAD = 6  # the table gives an impossible place


class Chunks(NamedTuple):
    """A loaded table: offset in the segment file, stored bytes and kind of each chunk; 13 bytes of memory a chunk."""

    starts: "array[int]"
    sizes: "array[int]"
    kinds: bytes


class Table(Struct, frozen=True):
    """`count` chunks from chunk `first` of the medium lie in segment file `segment`; `load` reads where."""

    first: int
    count: int
    segment: int
    load: Callable[[], Chunks]


class Layout(Struct, frozen=True, kw_only=True):
    """A chunked image as its sections describe it; `tables` sorted by `first`, without overlap, holes between them being lost chunks."""

    format: str
    size: int
    chunk_size: int
    tables: list[Table]
    stored: dict[str, str]
    metadata: dict[str, str]


def largest_stored(chunk_size: int) -> int:
    """The most bytes that a chunk can sensibly take: incompressible data grows by under two per cent in zlib and bzip2."""
    return chunk_size + chunk_size // 50 + 1024


def checked(starts: "array[int]", sizes: list[int], kinds: bytes, chunk_size: int, file_size: int) -> Chunks:
    """A loaded table in which every impossible place is marked `BAD`."""
    most = largest_stored(chunk_size)
    if sizes and (min(sizes) <= 0 or max(sizes) > most or starts[-1] + sizes[-1] > file_size or max(starts) > file_size):
        marked = bytearray(kinds)
        for index, (start, size, kind) in enumerate(zip(starts, sizes, kinds, strict=True)):
            if kind == PATTERN:
                continue
            if size > most and kind in (DEFLATE, EITHER) and start < file_size:
                sizes[index] = min(most, file_size - start)  # what follows the chunk is not of it
            elif size <= 0 or size > most or start + size > file_size:
                marked[index] = BAD
                sizes[index] = max(0, min(size, 0xFFFFFFFF))
        kinds = bytes(marked)
    return Chunks(starts, array("I", sizes), kinds)
