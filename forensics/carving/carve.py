"""Files in bytes that no file system describes: found by signature, bounded by their own structure, one inside another left in it."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from forensics.carving import media, pictures, records
from forensics.carving.content import Content, Extent, Pattern
from forensics.carving.documents import Documents

SECTOR = 512
_SIGNATURES = Pattern(
    rb"\xff\xd8\xff[\xc0\xc1\xc2\xc4\xdb\xdd\xe0-\xef\xfe]"
    rb"|\x89PNG\r\n\x1a\n|GIF8[79]a|ftyp[ -~]{4}|%PDF-[12]\.|PK\x03\x04|SQLite format 3\x00"
    rb"|ElfFile\x00|regf|MZ",
    16,
)
_MOST_IN_FRONT = 4  # bytes of a file before its signature


class Carved(Struct, frozen=True):
    """A file that was found: its format, where it begins, how far it goes."""

    format: str
    start: int
    extent: Extent


def carve(content: Content, end: int) -> Iterator[Carved]:
    """The files that begin before byte `end`, in order. Raises LimitExceeded where looking for them took too much reading.

    What lies inside a file that was found is left to those who open that file; where nothing tells that its bytes are its own to the end,
    files that begin with a sector are looked for in it nevertheless.
    """
    documents = Documents(content)
    walkers: dict[bytes, tuple[str, int, Callable[[Content, int], Extent | None]]] = {
        b"\xff\xd8": ("JPEG", 0, pictures.jpeg),
        b"\x89P": ("PNG", 0, pictures.png),
        b"GI": ("GIF", 0, pictures.gif),
        b"ft": ("ISO media", _MOST_IN_FRONT, media.iso_media),
        b"%P": ("PDF", 0, documents.pdf),
        b"PK": ("ZIP", 0, documents.archive),
        b"SQ": ("SQLite", 0, records.sqlite),
        b"El": ("EVTX", 0, records.event_log),
        b"re": ("registry hive", 0, records.hive),
        b"MZ": ("PE", 0, records.program),
    }
    closed = opaque = 0
    for place, found in content.matches(_SIGNATURES, 0, end + _MOST_IN_FRONT + 16):
        format, before, walk = walkers[found[:2]]
        start = place - before
        if not closed <= start < end or (start < opaque and start % SECTOR):
            continue
        extent = walk(content, start)
        if extent is None:
            continue
        if extent.opaque:
            opaque = max(opaque, start + extent.size)
        else:
            closed = start + extent.size
        yield Carved(format, start, extent)
