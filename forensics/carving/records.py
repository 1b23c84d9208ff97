"""Where databases, logs and programs end: SQLite, Windows event logs, registry hives, PE."""

import struct
import zlib

from forensics.carving.content import Content, Extent

SIZE_MOST = 1 << 40
_TREES = (2, 5, 10, 13)  # first byte of a b-tree page (SQLite file format, 1.6)
_PE_MOST = 1 << 30
_MACHINES = {0x14C, 0x8664, 0x1C0, 0x1C4, 0xAA64, 0x200, 0xEBC}


def sqlite(content: Content, start: int) -> Extent | None:
    """Page size times page count; pages that can be none of the database are not more than it has free ones, else it breaks there."""
    head = content.read(start, 108)
    if len(head) < 108:
        return None
    page = int.from_bytes(head[16:18], "big")
    page = 65536 if page == 1 else page
    changes, pages, _, free = struct.unpack_from(">IIII", head, 24)
    (current,) = struct.unpack_from(">I", head, 92)
    encoding = int.from_bytes(head[56:60], "big")
    if (
        page < 512
        or page & (page - 1)
        or head[21:24] != b"\x40\x20\x20"
        or head[18] not in (1, 2)
        or encoding > 3
        or head[100] not in _TREES
    ):
        return None
    known = bool(pages) and current == changes  # else the count was written by a version that did not keep it (1.3.8)
    most = pages if known else SIZE_MOST // page
    foreign, first, number = 0, 0, 1
    why = None
    while number < most:
        at = start + number * page
        if at + page > content.size:
            why = f"the space ends in page {number + 1}"
            break
        if not _page(content.read(at, 8), page, most if known else 1 << 31):
            foreign, first = foreign + 1, first or number
            if not known or foreign > free:
                why, number = f"page {first + 1} is none of a database", first
                break
        number += 1
    if not known and why:
        return Extent(
            number * page, f"header, {number} pages of {page} bytes", f"its header does not count its pages; {why}", suffix="sqlite"
        )
    checked = f"header, {number} of {pages} pages of {page} bytes"
    return Extent(number * page, checked, why, suffix="sqlite")


def _page(head: bytes, size: int, count: int) -> bool:
    """Whether a page begins as one of a b-tree, or with the number of another page, as overflow and free pages and the map of pages do."""
    if len(head) == 8 and head[0] in _TREES:
        cells, begin = struct.unpack_from(">HH", head, 3)
        return 8 + 2 * cells <= size and (begin or 65536) <= size
    return len(head) == 8 and (int.from_bytes(head[:4], "big") <= count or 1 <= head[0] <= 5)


def event_log(content: Content, start: int) -> Extent | None:
    """A header with its checksum, and chunks of 64 KiB with theirs (libevtx, "Windows XML Event Log format")."""
    head = content.read(start, 128)
    if len(head) < 128 or struct.unpack_from("<H", head, 40)[0] != 4096 or struct.unpack_from("<I", head, 124)[0] != zlib.crc32(head[:120]):
        return None
    (stated,) = struct.unpack_from("<H", head, 42)
    found = 0
    while found < 0x10000:  # chunks that the header does not count (yet, or any more) belong to the log where they hold
        chunk = content.read(start + 4096 + found * 65536, 512)
        whole = start + 4096 + (found + 1) * 65536 <= content.size
        if len(chunk) < 512 or not whole or chunk[:8] != b"ElfChnk\0":
            break
        if struct.unpack_from("<I", chunk, 124)[0] != zlib.crc32(chunk[128:], zlib.crc32(chunk[:120])):
            break
        found += 1
    if not found:
        return None
    why = None if found >= stated else f"{found} of {stated} chunks are there"
    return Extent(4096 + found * 65536, f"checksums of the header and of {found} chunks", why, suffix="evtx")


def hive(content: Content, start: int) -> Extent | None:
    """A base block with its checksum, and bins that say where they stand (Windows registry file format, "Base block", "Hive bin")."""
    base = content.read(start, 512)
    if len(base) < 512:
        return None
    checksum = 0
    for (word,) in struct.iter_unpack("<I", base[:508]):
        checksum ^= word
    checksum = {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(checksum, checksum)
    (size,) = struct.unpack_from("<I", base, 40)
    if checksum != struct.unpack_from("<I", base, 508)[0] or size % 4096 or not size:
        return None
    at = bins = 0
    why = None
    while at < size:
        bin = content.read(start + 4096 + at, 12)
        if len(bin) < 12:
            why = "the space ends"
            break
        magic, place, length = struct.unpack("<4sII", bin)
        if magic != b"hbin" or place != at or length % 4096 or not 0 < length <= size - at:
            why = f"no bin at byte {4096 + at}"
            break
        if start + 4096 + at + length > content.size:
            why = "the space ends in a bin"
            break
        at, bins = at + length, bins + 1
    return Extent(4096 + at, f"checksum of the base block, {bins} bins", why, suffix="hive") if bins else None


def program(content: Content, start: int) -> Extent | None:
    """What the headers, the sections and the table of certificates reach to (Microsoft, "PE Format"). Only at the beginning of a sector."""
    if start % 512:
        return None
    (at,) = struct.unpack("<I", content.read(start + 60, 4).ljust(4, b"\0"))
    if not 64 <= at <= 1 << 16:
        return None
    head = content.read(start + at, 24)
    if len(head) < 24 or head[:4] != b"PE\0\0":
        return None
    machine, sections = struct.unpack_from("<HH", head, 4)
    (length,) = struct.unpack_from("<H", head, 20)
    optional = content.read(start + at + 24, length)
    magic = int.from_bytes(optional[:2], "little")
    if machine not in _MACHINES or not 1 <= sections <= 96 or magic not in (0x10B, 0x20B) or length < 96 or len(optional) < length:
        return None
    (headers,) = struct.unpack_from("<I", optional, 60)
    table = content.read(start + at + 24 + length, sections * 40)
    if len(table) < sections * 40 or headers < at + 24 + length + len(table):
        return None
    end = headers
    for number in range(sections):
        size, place = struct.unpack_from("<II", table, number * 40 + 16)
        if size and (place < headers or place + size > _PE_MOST):
            return None
        end = max(end, place + size if size else 0)
    entry = (96 if magic == 0x10B else 112) + 4 * 8  # of the table of certificates, which is the only one that counts in file offsets
    if length >= entry + 8:
        place, size = struct.unpack_from("<II", optional, entry)
        if size and end <= place <= end + 4096 and place + size <= _PE_MOST:
            end = place + size
    why = "the space ends in a section" if start + end > content.size else None
    suffix = "dll" if head[23] & 0x20 else "exe"
    return Extent(min(end, content.size - start), f"headers, extents of {sections} sections", why, opaque=True, suffix=suffix)
