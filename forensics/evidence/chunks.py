"""Where each chunk of a compressed image lies in its segment files."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from msgspec import Struct

# how a chunk is stored
PLAIN = 0  # as it is, followed by its Adler-32
DEFLATE = 1  # zlib, which carries an Adler-32 of its own
EITHER = 2  # one of the two above: the table has no room to say which
BZIP2 = 3
BARE = 4  # as it is, without a checksum
PATTERN = 5  # eight bytes, repeated; they stand where the offset would
BAD = 6  # the table gives an impossible place

MOST_ENTRIES = 1 << 22  # of one table: EnCase writes 65,534; a table is loaded whole, 4 Mi entries take 60 MB


class Places(NamedTuple):
    """Offset in the segment file, stored bytes and kind of each of a run of chunks."""

    starts: list[int]
    sizes: list[int]
    kinds: list[int]


class Entries(Protocol):
    """A loaded table: the entries as they stand on disk (4 or 16 bytes a chunk), made into places when they are asked for."""

    def places(self, begin: int, end: int) -> Places:
        """Where chunks `begin` to `end` of the table lie."""


class Table(Struct, frozen=True):
    """`count` chunks from chunk `first` of the medium lie in segment file `segment`; `load` reads where."""

    first: int
    count: int
    segment: int
    load: Callable[[], Entries]


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


def checked(starts: list[int], sizes: list[int], kinds: list[int], chunk_size: int, file_size: int) -> Places:
    """The places, with every impossible one marked `BAD` and every size bounded."""
    most = largest_stored(chunk_size)
    if min(sizes) <= 0 or max(sizes) > most or max(starts) + most > file_size:
        for index, (start, size, kind) in enumerate(zip(starts, sizes, kinds, strict=True)):
            if kind == PATTERN:
                continue
            if size > most and kind != BARE and start < file_size:
                sizes[index] = min(most, file_size - start)  # what follows the chunk is not of it, or its checksum will tell
            elif size <= 0 or size > most or start + size > file_size:
                kinds[index] = BAD
    return Places(starts, sizes, kinds)
