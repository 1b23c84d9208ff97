"""Where pictures end: JPEG (ITU-T T.81), PNG (ISO/IEC 15948), GIF (GIF89a specification)."""

import struct
import zlib

from forensics.carving.content import WINDOW, Content, Extent, Pattern

SEGMENTS = 4096  # of a JPEG before its scans are through
BLOCKS = 1 << 20  # data blocks of a GIF
LEAST_SCAN = 64  # bytes of a scan below which a broken JPEG is nothing to look at
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HEADERS = _FRAMES | {0xC4, 0xCC, 0xDB, 0xDD, 0xDA, 0xDC, 0xFE, *range(0xE0, 0xF0)}
# What ends a scan: a marker that is neither a stuffed byte (00), nor a fill byte, nor a restart marker (B.1.1.2, B.1.1.5)
_MARKER = Pattern(rb"\xff[^\x00\xff\xd0-\xd7]", 2)


def jpeg(content: Content, start: int) -> Extent | None:
    """Marker segments, entropy-coded scans up to the next marker, EOI. Broken before its first scan it is refused."""
    at, frame, scans, reached = start + 2, False, 0, 0
    why = "more marker segments than are followed"
    for _ in range(SEGMENTS):
        head = content.read(at, 4)
        if len(head) >= 2 and head[0] == 0xFF and head[1] == 0xD9 and scans:
            checked = f"markers, frame header, {scans} entropy-coded {'scan' if scans == 1 else 'scans'} up to EOI"
            return Extent(at + 2 - start, checked, suffix="jpg")
        if len(head) >= 2 and head[:2] == b"\xff\xff":
            at += 1  # fill byte (B.1.1.2)
            continue
        if len(head) < 4 or head[0] != 0xFF or head[1] not in _HEADERS or not _sound(content, at, head, frame):
            why = "the space ends" if len(head) < 4 else f"no marker that may stand there at byte {at - start}"
            break
        frame = frame or head[1] in _FRAMES
        at += 2 + int.from_bytes(head[2:4], "big")
        if head[1] == 0xDA:
            scans += 1
            found = next(content.matches(_MARKER, at), None)
            begun, at = at, found[0] if found else content.size
            if at - begun < LEAST_SCAN and not (found and (found[1][1] == 0xD9 or found[1][1] in _HEADERS)):
                return None
            reached = at
            if not found:
                why = "the space ends in a scan"
                break
    if not scans or not reached:
        return None
    return Extent(reached - start, f"markers, frame header, {scans} entropy-coded scans", why, suffix="jpg")


def _sound(content: Content, at: int, head: bytes, frame: bool) -> bool:
    """Whether a marker segment's length and first fields are possible (B.2.2, B.2.3)."""
    marker, length = head[1], int.from_bytes(head[2:4], "big")
    if length < 2:
        return False
    if marker in _FRAMES:
        body = content.read(at + 4, 6)
        return len(body) == 6 and body[0] in (2, 8, 12, 16) and any(body[3:5]) and 1 <= body[5] <= 4 and length == 8 + 3 * body[5]
    if marker == 0xDA:
        count = content.number(at + 4, 1)
        return frame and 1 <= count <= 4 and length == 6 + 2 * count
    if marker == 0xDB:
        return length >= 67
    return marker != 0xDD or length == 4


def png(content: Content, start: int) -> Extent | None:
    """Chunks, each with its CRC-32, from IHDR to IEND. One whose first data chunk is not whole is refused."""
    at, data, chunks = start + 8, 0, 0
    why = "the space ends"
    while head := content.read(at, 8):
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        if length > 0x7FFFFFFF or not kind.isalpha() or (chunks == 0 and (kind, length) != (b"IHDR", 13)):
            why = f"no chunk at byte {at - start}"
            break
        if at + 12 + length > content.size:
            break
        if not _crc_holds(content, at, length):
            why = f"wrong CRC of the chunk at byte {at - start}"
            break
        at, chunks, data = at + 12 + length, chunks + 1, data + (kind == b"IDAT")
        if kind == b"IEND":
            return Extent(at - start, f"CRC-32 of {chunks} chunks from IHDR to IEND", suffix="png") if data else None
    return Extent(at - start, f"CRC-32 of {chunks} chunks", why, suffix="png") if data else None


def _crc_holds(content: Content, at: int, length: int) -> bool:
    crc = 0
    for offset in range(0, length + 4, WINDOW):
        crc = zlib.crc32(content.read(at + 4 + offset, min(WINDOW, length + 4 - offset)), crc)
    return content.number(at + 8 + length, 4, "big") == crc


def gif(content: Content, start: int) -> Extent | None:
    """Screen descriptor, colour tables, extensions and images with their data blocks, trailer. Broken in its first image it is refused."""
    head = content.read(start, 13)
    if len(head) < 13 or not any(head[6:8]) or not any(head[8:10]):
        return None
    at = start + 13 + _table(head[10])
    images = 0
    why = "more data blocks than are followed"
    left = BLOCKS
    while left > 0:
        kind = content.read(at, 1)
        if kind == b";" and images:
            return Extent(at + 1 - start, f"screen descriptor, data blocks of {images} images, trailer", suffix="gif")
        if kind == b"!":
            body: int | None = at + 2
        elif kind == b",":
            descriptor = content.read(at + 1, 10)
            whole = len(descriptor) == 10 and any(descriptor[4:6]) and any(descriptor[6:8]) and 2 <= descriptor[9] <= 11
            # the last byte read there is the size of LZW codes: behind a local colour table if there is one
            table = _table(descriptor[8]) if len(descriptor) == 10 else 0
            if table:
                whole = len(descriptor) == 10 and 2 <= content.number(at + 10 + table, 1) <= 11
            body = at + 11 + table if whole else None
        else:
            body = None
        if body is None:
            why = f"no block at byte {at - start}" if kind else "the space ends"
            break
        end, left = _blocks(content, body, left)
        if end is None:
            why = "the space ends in a data block" if left else why
            break
        images += kind == b","
        at = end
    return Extent(at - start, f"screen descriptor, data blocks of {images} images", why, suffix="gif") if images else None


def _table(flags: int) -> int:
    """Bytes of the colour table that these flags say follows."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(content: Content, at: int, left: int) -> tuple[int | None, int]:
    """Where data blocks end, and how many more may be followed."""
    while left > 0:
        size = content.read(at, 1)
        if not size or at + 1 + size[0] > content.size:
            return None, left
        left -= 1
        at += 1 + size[0]
        if not size[0]:
            return at, left
    return None, 0
