"""The sections of EWF segment files: walked along their chain, and searched for where the chain is broken.

Sources: "Expert Witness Compression Format specification" and "... version 2 specification" (libewf documentation, J. Metz),
sections "Section descriptor". Every descriptor carries an Adler-32 of itself.
"""

import re
import struct
import zlib
from collections.abc import Iterator

from msgspec import Struct

from forensics.errors import LimitExceeded
from forensics.evidence.damage import DamageNotes
from forensics.evidence.files import Files

_MOST_SECTIONS = 1_000_000  # of one segment file: EnCase writes three for each half GiB
_WINDOW = 4 << 20

DESCRIPTOR_V1 = 76
HEADER_V1 = 13
_NAMES = (
    "header2",
    "header",
    "volume",
    "disk",
    "data",
    "sectors",
    "table2",
    "table",
    "next",
    "done",
    "hash",
    "digest",
    "error2",
    "session",
    "incomplete",
    "xheader",
    "xhash",
    "ltree",
    "ltypes",
    "map",
)
_SEARCH_V1 = re.compile(b"|".join(re.escape(name.encode().ljust(16, b"\0")) for name in _NAMES))

DESCRIPTOR_V2 = 64
HEADER_V2 = 32
NEXT, DONE = 0x0D, 0x0F
_MD5_SET, _ENCRYPTED = 1, 2
# type below 0x40, flags below 4, any previous offset and data size, then the descriptor's own size
_SEARCH_V2 = re.compile(rb"[\x01-\x3f]\0\0\0[\0-\x03]\0\0\0.{16}\x40\0\0\0", re.DOTALL)


class Section(Struct, frozen=True):
    """`kind` (name, or number in version 2), where its descriptor stands, where its data begins and ends in the segment file.

    `lost` is True for a stretch without a readable descriptor: its data is whatever stood there.
    """

    kind: str | int
    at: int
    start: int
    end: int
    md5: bytes = b""
    encrypted: bool = False
    lost: bool = False


def adler_holds(data: bytes) -> bool:
    """Whether the last four bytes are the Adler-32 of those before."""
    return len(data) > 4 and zlib.adler32(data[:-4]) == int.from_bytes(data[-4:], "little")


# --- version 1: the descriptor stands before its data and says where the next one is ------------------------------------------


def walk_v1(files: Files, index: int, damage: DamageNotes) -> Iterator[Section]:
    """The sections of a segment file in order. Breaks of the chain are noted and yielded as `lost` sections."""
    name, size = files.names[index], files.sizes[index]
    at, count = HEADER_V1, 0
    while at < size:
        count += 1
        if count > _MOST_SECTIONS:
            raise LimitExceeded(f"{name}: has more than {_MOST_SECTIONS} sections; the file is damaged or made to exhaust a reader")
        raw = files.read(index, at, DESCRIPTOR_V1)
        kind, following, length = struct.unpack_from("<16sQQ", raw) if len(raw) == DESCRIPTOR_V1 else (b"", 0, 0)
        text = kind.rstrip(b"\0").decode("ascii", "replace")
        if not adler_holds(raw) or text not in _NAMES:
            found = _search_v1(files, index, at + 1)
            where = f"the next one is at byte {found}" if found < size else "there is none after it"
            damage.note(f"{name}: no valid section descriptor at byte {at}; {where}")
            yield Section("", at, at, found, lost=True)
            at = found
            continue
        if text in ("next", "done"):
            yield Section(text, at, at + DESCRIPTOR_V1, at + DESCRIPTOR_V1)
            return
        if following < at + DESCRIPTOR_V1:
            # an acquisition that was broken off writes the descriptor first and completes it afterwards
            damage.note(f"{name}: the section '{text}' at byte {at} does not say where it ends; the next is searched for")
            following = at + length if length >= DESCRIPTOR_V1 else _search_v1(files, index, at + DESCRIPTOR_V1)
        elif length and length != following - at:
            # two images can hide in one file where a reader follows only one of the two (specification, "Dual image")
            damage.note(f"{name}: the section '{text}' at byte {at} gives {length} bytes as its size, but ends at byte {following}")
        if following > size:
            damage.note(f"{name}: the file ends at byte {size}, within the section '{text}' that runs to byte {following}: it is cut short")
        yield Section(text, at, at + DESCRIPTOR_V1, min(following, size))
        at = following


def _search_v1(files: Files, index: int, at: int) -> int:
    """Where the next descriptor that holds its checksum stands, or the end of the file."""
    size = files.sizes[index]
    while at < size:
        window = files.read(index, at, _WINDOW)
        for match in _SEARCH_V1.finditer(window):
            raw = window[match.start() : match.start() + DESCRIPTOR_V1]
            if len(raw) < DESCRIPTOR_V1:
                raw = files.read(index, at + match.start(), DESCRIPTOR_V1)
            if len(raw) == DESCRIPTOR_V1 and adler_holds(raw):
                return at + match.start()
        if len(window) < _WINDOW:
            break
        at += _WINDOW - 15
    return size


# --- version 2: the descriptor stands after its data and says where the previous one is ---------------------------------------


def walk_v2(files: Files, index: int, damage: DamageNotes) -> list[Section]:
    """The sections of a segment file in order; where the chain is broken, all that a search of the file finds."""
    name, size = files.names[index], files.sizes[index]
    sections: list[Section] = []
    at = size - DESCRIPTOR_V2
    while True:
        section, previous = _descriptor_v2(files.read(index, at, DESCRIPTOR_V2) if at >= HEADER_V2 else b"", at)
        if section is None or (previous and previous > section.start - DESCRIPTOR_V2) or len(sections) > _MOST_SECTIONS:
            break
        sections.append(section)
        if not previous:
            return sections[::-1]
        at = previous
    damage.note(f"{name}: no valid section descriptor at byte {max(at, 0)}; the file was searched for the others")
    return list(_search_v2(files, index))


def _descriptor_v2(raw: bytes, at: int) -> tuple[Section | None, int]:
    if len(raw) < DESCRIPTOR_V2 or not adler_holds(raw):
        return None, 0
    kind, flags, previous, length, own = struct.unpack_from("<IIQQI", raw)
    if own != DESCRIPTOR_V2 or length > at - HEADER_V2:
        return None, 0
    md5 = raw[32:48] if flags & _MD5_SET else b""
    return Section(kind, at, at - length, at, md5=md5, encrypted=bool(flags & _ENCRYPTED)), previous


def _search_v2(files: Files, index: int) -> Iterator[Section]:
    at, count, last = HEADER_V2, 0, -1
    while at < files.sizes[index]:
        window = files.read(index, at, _WINDOW)
        for match in _SEARCH_V2.finditer(window):
            where = at + match.start()
            raw = window[match.start() : match.start() + DESCRIPTOR_V2]
            section, _ = _descriptor_v2(raw if len(raw) == DESCRIPTOR_V2 else files.read(index, where, DESCRIPTOR_V2), where)
            if section is not None and where > last and count < _MOST_SECTIONS:
                count, last = count + 1, where
                yield section
        if len(window) < _WINDOW:
            return
        at += _WINDOW - 27
