"""Where documents and archives end: PDF (ISO 32000-1), ZIP and what is made of it, as OOXML (PKWARE APPNOTE 6.3.10)."""

import re
import struct
import zlib
from bisect import bisect_left

from forensics.carving.content import WINDOW, Content, Extent, Pattern

PDF_MOST = 128 << 20  # bytes within which the end of a PDF is looked for
MEMBERS = 1 << 16  # headers of an archive that are compared
OBJECTS = 64  # objects of a cross-reference table that are looked at
_EOF = Pattern(rb"%%EOF", 5)
_END = Pattern(rb"PK\x05\x06", 4)
_STARTXREF = re.compile(rb"startxref[\x00\t\n\x0c\r ]+(\d{1,12})[\x00\t\n\x0c\r ]+\Z")
_TABLE = re.compile(rb"xref[\x00\t\n\x0c\r ]+(\d{1,9}) +(\d{1,9})[\x00\t\n\x0c\r ]+")
_ENTRY = re.compile(rb"(\d{10}) (\d{5}) ([nf])[ \r\n]{2}")
_STREAM = re.compile(rb"\d{1,9}[\x00\t\n\x0c\r ]+\d{1,5}[\x00\t\n\x0c\r ]+obj")


class Documents:
    """Finds the ends once for all beginnings in one content."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._eofs: list[int] | None = None
        self._archives: dict[int, tuple[int, str]] | None = None

    # --- PDF ------------------------------------------------------------------------------------------------------------------

    def pdf(self, content: Content, start: int) -> Extent | None:
        """Up to the last %%EOF whose startxref leads to a cross-reference table, or stream, that leads to objects. Refused without one."""
        if self._eofs is None:
            self._eofs = [offset for offset, _ in content.matches(_EOF, 0)]
        end, where = 0, ""
        for place in self._eofs[bisect_left(self._eofs, start) :]:
            if place - start > PDF_MOST:
                break
            before = content.read(max(start, place - 64), min(64, place - start))
            said = _STARTXREF.search(before)
            if said and (what := _leads(content, start, int(said[1]), place)):
                end, where = place, what
            elif end and content.read(place - 1, 1) in (b"\n", b"\r") and said and int(said[1]):
                break  # the end of another document
        if not end:
            return None
        after = content.read(end + 5, 2)
        size = end + 5 + (2 if after == b"\r\n" else 1 if after[:1] in (b"\r", b"\n") else 0) - start
        return Extent(size, f"startxref leads to {where}", suffix="pdf")

    # --- ZIP ------------------------------------------------------------------------------------------------------------------

    def archive(self, content: Content, start: int) -> Extent | None:
        """From the first local header to the end record, where both and the central directory agree; else members with right CRC."""
        if self._archives is None:
            self._archives = {}
            for place, _ in content.matches(_END, 0):
                found = _described(content, place)
                if found:
                    self._archives.setdefault(found[0], (found[1], found[2]))
        if start in self._archives:
            end, suffix = self._archives[start]
            return Extent(end - start, "end record, central directory and local headers agree", suffix=suffix)
        return _members(content, start)


def _leads(content: Content, start: int, offset: int, end: int) -> str | None:
    """What stands where startxref leads: a table whose first objects are where it says, or an object; `None` where neither does."""
    if not 0 < offset < end - start:
        return None
    raw = content.read(start + offset, 40 + OBJECTS * 20)
    table = _TABLE.match(raw)
    if table is None:
        return "a cross-reference stream" if _STREAM.match(raw) and b"/XRef" in raw else None
    first, count, at, seen = int(table[1]), int(table[2]), table.end(), 0
    for number in range(first, first + min(count, OBJECTS)):
        entry = _ENTRY.match(raw, at)
        if entry is None:
            return None
        at += 20
        if entry[3] == b"n":
            seen += 1
            if not re.match(rb"\s*%d\s+\d+\s+obj" % number, content.read(start + int(entry[1]), 32)):
                return None
    return f"a cross-reference table, and that to {seen} objects" if seen or count == 0 or first else None


def _described(content: Content, end: int) -> tuple[int, int, str] | None:
    """First byte, end and suffix of the archive whose end record stands at `end` (4.3.16, 4.3.14), if its headers agree."""
    record = content.read(end, 22)
    if len(record) < 22:
        return None
    disks = struct.unpack_from("<HH", record, 4)
    count, size, offset, comment = struct.unpack_from("<HIIH", record, 10)
    directory_end = end
    if 0xFFFFFFFF in (size, offset) or count == 0xFFFF:
        wide = content.read(end - 20 - 56, 56)
        if wide[:4] == b"PK\x06\x06" and content.read(end - 20, 4) == b"PK\x06\x07":
            count, size, offset = struct.unpack_from("<QQQ", wide, 32)
            directory_end = end - 76
    start = directory_end - size - offset
    if disks != (0, 0) or start < 0 or not count or end + 22 + comment > content.size:
        return None
    at, names, lowest = start + offset, [], size + offset
    for _ in range(min(count, MEMBERS)):
        header = content.read(at, 46)
        if len(header) < 46 or header[:4] != b"PK\x01\x02":
            return None
        name_length, extra, comment_length = struct.unpack_from("<HHH", header, 28)
        (local,) = struct.unpack_from("<I", header, 42)
        name = content.read(at + 46, name_length)
        if local != 0xFFFFFFFF:
            own = content.read(start + local, 30)
            if own[:4] != b"PK\x03\x04" or content.read(start + local + 30, int.from_bytes(own[26:28], "little")) != name:
                return None
            lowest = min(lowest, local)
        names.append(name)
        at += 46 + name_length + extra + comment_length
    if lowest or (count <= MEMBERS and at != directory_end):
        return None
    return start, end + 22 + comment, _suffix(names)


def _suffix(names: list[bytes]) -> str:
    if b"[Content_Types].xml" in names:
        for folder, suffix in ((b"word/", "docx"), (b"xl/", "xlsx"), (b"ppt/", "pptx")):
            if any(name.startswith(folder) for name in names):
                return suffix
    if b"AndroidManifest.xml" in names:
        return "apk"
    return "jar" if b"META-INF/MANIFEST.MF" in names else "zip"


def _members(content: Content, start: int) -> Extent | None:
    """The members from the start on that say their size and have the checksum that they say: an archive whose end is lost."""
    at, members = start, 0
    for _ in range(MEMBERS):
        header = content.read(at, 30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            break
        flags, method, crc, packed, size, name, extra = struct.unpack_from("<6xHH4xIIIHH", header)
        begin = at + 30 + name + extra
        if (
            flags & 9
            or method not in (0, 8)
            or not name
            or begin + packed > content.size
            or not _right(content, begin, packed, method, size, crc)
        ):
            break
        at, members = begin + packed, members + 1
    if not members:
        return None
    return Extent(at - start, f"CRC-32 of {members} members", "its central directory is lost", suffix="zip")


def _right(content: Content, at: int, packed: int, method: int, size: int, crc: int) -> bool:
    """Whether a member's content has the size and the CRC-32 that its header says; never more than that size is made of it."""
    inflate = zlib.decompressobj(-15)
    found = count = 0
    try:
        for offset in range(0, packed, WINDOW):
            piece = content.read(at + offset, min(WINDOW, packed - offset))
            if method == 8:
                while piece and not inflate.eof:
                    out = inflate.decompress(piece, WINDOW)
                    piece = inflate.unconsumed_tail
                    count += len(out)
                    found = zlib.crc32(out, found)
                    if count > size:
                        return False
            else:
                count += len(piece)
                found = zlib.crc32(piece, found)
    except zlib.error:
        return False
    return (found, count) == (crc, size)
