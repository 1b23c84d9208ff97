"""Zip archives: their members, by the central directory, or by the local headers where that is lost (PKWARE APPNOTE 6.3.10).

Office Open XML and OpenDocument files are such archives too: their members are the text, the pictures and what was embedded.
"""

import bz2
import lzma
import struct
import zlib
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import zstandard
from msgspec import Struct

from forensics.plugin import Corrupt, File, Finding, Inventory, LimitExceeded, Member, Times, Unsupported, container, shown, stream_of

CHUNK = 1 << 16  # bytes read and given on at once
MAX_COMMENT = 0xFFFF  # bytes of the archive's comment (4.3.16)
MAX_MEMBERS = 1 << 22  # members listed of one archive
MAX_WINDOW = 128 << 20  # bytes of a decompressor's window
MAX_EXAMPLES = 10
LOCAL, CENTRAL, END, END64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06"
METHODS = {0: "stored", 8: "deflate", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz"}
OTHER_METHODS = {1: "shrink", 2: "reduce", 3: "reduce", 4: "reduce", 5: "reduce", 6: "implode", 9: "deflate64", 98: "PPMd", 99: "AES"}
DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class _Header(Struct, frozen=True, kw_only=True):
    """A member as a header says it: `offset` of its local header and `size` of its content; `None` where the header does not say."""

    path: str
    flags: int
    method: int
    crc: int | None
    compressed: int | None
    size: int | None
    offset: int
    times: Times
    link: bool = False

    @property
    def directory(self) -> bool:
        return self.path.endswith("/")

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & 1) or self.method == 99


@container(
    version="1.0",
    mime=(
        "application/zip",
        "application/x-zip*",
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/epub+zip",
        "application/vnd.openxmlformats-officedocument*",
        "application/vnd.oasis.opendocument.*",
        "application/vnd.ms-visio*",
    ),
)
def zip_archive(file: File) -> Iterator[Member | Finding]:
    """Files in zip archives, JAR, APK and Office files among them; members that overlap, are described in two ways, or encrypted.

    Where the central directory is lost, members are found by their local headers. Raises Unsupported where the content is no zip
    archive, Corrupt after the members that could be read, Locked where members are encrypted, LimitExceeded past 4 million members.
    """
    inventory = Inventory("zip archive")
    with file.open() as stream:
        found = _directory(stream, file.size)
        overlaps = None if found is None else _overlaps(stream, found)
        if found is None or overlaps is None:
            stream.seek(0)
            if stream.read(4) not in (LOCAL, b"PK\x07\x08"):
                raise Unsupported("content that is no zip archive: it has neither a central directory nor a local header at its start")
            inventory.damaged("", "its central directory is lost or broken; members were found by their local headers")
            yield from _members(file, _local_headers(stream, file.size), inventory, {})
        else:
            yield from overlaps
            differences: dict[str, str] = {}
            yield from _members(file, _central_headers(stream, found), inventory, differences)
            if differences:
                yield Finding(
                    kind="archive-mismatch",
                    summary=f"Zip archive whose two headers of a member differ: {shown(next(iter(differences)))}",
                    data={"format": "zip archive", "examples": [shown(f"{path}: {what}") for path, what in differences.items()]},
                    level="notable",
                )
    yield from inventory.conclude()


def _members(file: File, headers: Iterator[_Header], inventory: Inventory, differences: dict[str, str]) -> Iterator[Member]:
    for number, header in enumerate(headers):
        if number >= MAX_MEMBERS:
            raise LimitExceeded(f"zip archive of more than {MAX_MEMBERS} members; the first were listed")
        inventory.note(header.path, directory=header.directory)
        if header.directory:
            yield Member(path=header.path, open=lambda: stream_of(()), times=header.times, kind="directory")
            continue
        if header.encrypted or header.method not in METHODS:
            if header.encrypted:
                inventory.locked(header.path)
            else:
                inventory.unread(header.path, f"compressed by method {OTHER_METHODS.get(header.method, header.method)}")
            yield Member(path=header.path, open=lambda: stream_of(()), size=header.size, times=header.times, kind="other")
            continue
        with file.open() as stream:
            try:
                begin, difference = _begin(stream, header)
            except Corrupt as error:
                inventory.damaged(header.path, str(error))
                continue
            if difference and len(differences) < MAX_EXAMPLES:
                differences[header.path] = difference
            kind, target = ("link", _target(stream, header, begin)) if header.link else ("file", None)
            content = _content(stream, header, begin, inventory) if kind == "file" else ()
            yield Member(
                path=header.path,
                open=lambda content=content: stream_of(content),  # type: ignore[misc]
                size=header.size,
                times=header.times,
                kind="link" if kind == "link" else "file",
                target=target,
            )


def _target(stream: BinaryIO, header: _Header, begin: int) -> str:
    """What a symbolic link points to: its content (Info-ZIP), at most 4096 bytes."""
    taken = b""
    for piece in _content(stream, header, begin, Inventory("zip archive")):
        taken += piece
        if len(taken) >= 4096:
            break
    return taken[:4096].decode("utf-8", "surrogateescape")


def _content(stream: BinaryIO, header: _Header, begin: int, inventory: Inventory) -> Iterator[bytes]:
    """The member's content in pieces; what ends it early, and a wrong checksum, go to the inventory."""
    count, crc = 0, 0
    try:
        for piece in _decompressed(stream, header, begin):
            yield piece
            count += len(piece)
            crc = zlib.crc32(piece, crc)
            if header.size is not None and count > header.size:
                inventory.damaged(header.path, f"holds more than the {header.size} bytes that it states")
                return
    except DAMAGE as error:
        inventory.damaged(header.path, f"readable to byte {count} ({error or type(error).__name__})")
        return
    if header.size is not None and count < header.size:
        inventory.damaged(header.path, f"ends at byte {count} of {header.size}")
    elif header.crc is not None and crc != header.crc:
        inventory.damaged(header.path, f"checksum {crc:08x}, stated {header.crc:08x}")


# --- the two kinds of header ------------------------------------------------------------------------------------------------


class _Directory(Struct, frozen=True):
    """Where the central directory starts and ends, and what to add to the offsets in it: the size of what was put before the archive."""

    start: int
    end: int
    shift: int


def _directory(stream: BinaryIO, size: int) -> _Directory | None:
    """The central directory, by the record at the archive's end (4.3.16, 4.3.14, 4.3.15). The count in it may be wrong, and is not used."""
    tail_at = max(0, size - MAX_COMMENT - 22 - 76)
    stream.seek(tail_at)
    tail = stream.read(size - tail_at)
    at = tail.rfind(END, 0, max(0, len(tail) - 18))
    while at >= 0:
        count, length, offset = struct.unpack_from("<HII", tail, at + 10)
        end = tail_at + at
        locator = tail.rfind(b"PK\x06\x07", max(0, at - 20), at)
        if locator >= 0 and (count == 0xFFFF or 0xFFFFFFFF in (length, offset)):
            (where,) = struct.unpack_from("<Q", tail, locator + 8)
            for place in (where, tail_at + locator - 56):
                if place < size - 56:
                    stream.seek(place)
                    record = stream.read(56)
                    if record[:4] == END64 and len(record) == 56:
                        count, length, offset = struct.unpack_from("<QQQ", record, 32)
                        end = place
                        break
        if length <= end:
            start = end - length
            stream.seek(start)
            if length == 0 or stream.read(4) == CENTRAL:
                return _Directory(start, end, start - offset)
        at = tail.rfind(END, 0, at)
    return None


def _central_headers(stream: BinaryIO, found: _Directory) -> Iterator[_Header]:
    """The headers of the central directory (4.3.12). Raises Corrupt where one cannot be read."""
    position = found.start
    while position < found.end:
        stream.seek(position)
        fixed = stream.read(46)
        if len(fixed) < 46 or fixed[:4] != CENTRAL:
            raise Corrupt(f"no header in the central directory at byte {position}")
        flags, method, clock, day, crc, compressed, size, name_length, extra_length, comment_length = struct.unpack_from(
            "<8xHHHHIIIHHH", fixed
        )
        attributes, offset = struct.unpack_from("<II", fixed, 38)
        name, extra = stream.read(name_length), stream.read(extra_length)
        if len(name) < name_length or len(extra) < extra_length:
            raise Corrupt(f"the header in the central directory at byte {position} is cut short")
        fields = dict(_extra(extra))
        size, compressed, offset = _wide(fields.get(1, b""), size, compressed, offset)
        yield _Header(
            path=_path(name, fields),
            flags=flags,
            method=method,
            crc=crc,
            compressed=compressed,
            size=size,
            offset=offset + found.shift,
            times=_times(fields, day, clock),
            link=fixed[5] == 3 and (attributes >> 16) & 0xF000 == 0xA000,  # made on Unix: the upper half is st_mode
        )
        position += 46 + name_length + extra_length + comment_length


def _local_headers(stream: BinaryIO, size: int) -> Iterator[_Header]:
    """Every local header that can be found, from the start on (4.3.7)."""
    position: int | None = 0
    while position is not None:
        read = _local(stream, position)
        if read is None:
            position = _next(stream, position + 1)
            continue
        header, begin = read
        yield header
        end = None if header.compressed is None else begin + header.compressed
        position = _next(stream, end if end is not None and end <= size else begin)


def _next(stream: BinaryIO, position: int) -> int | None:
    """The next place at or after `position` where a local header's signature stands."""
    stream.seek(position)
    kept = b""
    while piece := stream.read(CHUNK):
        if (found := (kept + piece).find(LOCAL)) >= 0:
            return position - len(kept) + found
        position += len(piece)
        kept = (kept + piece)[-3:]
    return None


def _local(stream: BinaryIO, position: int) -> tuple[_Header, int] | None:
    """A local header and where its content begins; `None` where there is none. With bit 3 of the flags, sizes follow the content."""
    stream.seek(max(position, 0))
    fixed = stream.read(30)
    if len(fixed) < 30 or fixed[:4] != LOCAL or position < 0:
        return None
    flags, method, clock, day, crc, compressed, size, name_length, extra_length = struct.unpack_from("<6xHHHHIIIHH", fixed)
    name, extra = stream.read(name_length), stream.read(extra_length)
    if not name or len(name) < name_length or len(extra) < extra_length or not (method in METHODS or method in OTHER_METHODS):
        return None
    fields = dict(_extra(extra))
    later = bool(flags & 8) and not compressed
    size, compressed, _ = _wide(fields.get(1, b""), size, compressed, 0)
    header = _Header(
        path=_path(name, fields),
        flags=flags,
        method=method,
        crc=None if later else crc,
        compressed=None if later else compressed,
        size=None if later else size,
        offset=position,
        times=_times(fields, day, clock),
    )
    return header, position + 30 + name_length + extra_length


def _begin(stream: BinaryIO, header: _Header) -> tuple[int, str]:
    """Where the content begins, and how the local header differs from the central one. Raises Corrupt where there is no local header."""
    read = _local(stream, header.offset)
    if read is None:
        raise Corrupt(f"no local header at byte {header.offset}")
    local, begin = read
    told = {
        "name": (header.path, local.path),
        "method": (header.method, local.method),
        "encrypted": (header.encrypted, local.encrypted),
        "size": (header.size, header.size if local.size is None else local.size),
    }
    return begin, ", ".join(
        f"{what} {central} in the directory, {own} at the content" for what, (central, own) in told.items() if central != own
    )


def _extra(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The extra fields of a header: number and bytes (4.5.1)."""
    at = 0
    while at + 4 <= len(extra):
        number, length = struct.unpack_from("<HH", extra, at)
        yield number, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _wide(field: bytes, size: int, compressed: int, offset: int) -> tuple[int, int, int]:
    """The three numbers, those that did not fit in 32 bits from the Zip64 field, in which they follow each other (4.5.3)."""
    numbers = [size, compressed, offset]
    at = 0
    for place, number in enumerate(numbers):
        if number == 0xFFFFFFFF and at + 8 <= len(field):
            (numbers[place],) = struct.unpack_from("<Q", field, at)
            at += 8
    return numbers[0], numbers[1], numbers[2]


def _path(name: bytes, fields: dict[int, bytes]) -> str:
    """The name: UTF-8, in the header or (Info-ZIP's field, 4.6.9) in place of it; other code pages as undecodable bytes."""
    wide = fields.get(0x7075, b"")
    if len(wide) > 5 and wide[0] == 1 and struct.unpack_from("<I", wide, 1)[0] == zlib.crc32(name):
        name = wide[5:]
    return name.decode("utf-8", "surrogateescape")


def _times(fields: dict[int, bytes], day: int, clock: int) -> Times:
    """NTFS times (4.5.5) or Unix time (Info-ZIP 0x5455), both UTC, else the local time of two-second steps that every header has."""
    ntfs, unix = fields.get(0x000A, b""), fields.get(0x5455, b"")
    if len(ntfs) >= 32 and struct.unpack_from("<HH", ntfs, 4) == (1, 24):
        modified, accessed, born = (_filetime(value) for value in struct.unpack_from("<QQQ", ntfs, 8))
        return Times(modified=modified, accessed=accessed, born=born)
    if len(unix) >= 5 and unix[0] & 1:
        return Times(modified=(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=struct.unpack_from("<i", unix, 1)[0])).strftime(_UTC))
    try:
        local = datetime(1980 + (day >> 9), day >> 5 & 15, day & 31, clock >> 11, clock >> 5 & 63, (clock & 31) * 2)  # noqa: DTZ001
    except ValueError:
        return Times()
    return Times(modified=local.isoformat())


_UTC = "%Y-%m-%dT%H:%M:%SZ"


def _filetime(value: int) -> str | None:
    """A FILETIME (100 ns since 1601) as text; `None` for zero and for what no calendar holds."""
    try:
        return (datetime(1601, 1, 1) + timedelta(seconds=value // 10**7)).isoformat() + f".{value % 10**7:07}Z" if value else None  # noqa: DTZ001
    except OverflowError:
        return None


def _overlaps(stream: BinaryIO, found: _Directory) -> tuple[Finding, ...] | None:
    """Members that claim the same bytes of the archive: how a zip bomb makes much of little (Fifield, WOOT 2019).

    `None` where a header of the central directory cannot be read.
    """
    starts, ends = array("q"), array("q")
    try:
        for header in _central_headers(stream, found):
            if header.compressed is not None and header.compressed < 1 << 62 and header.offset < 1 << 62 and len(starts) < MAX_MEMBERS:
                starts.append(header.offset)
                ends.append(header.offset + 30 + header.compressed)
    except Corrupt:
        return None
    count, reached = 0, -1
    for place in sorted(range(len(starts)), key=starts.__getitem__):
        count += starts[place] < reached
        reached = max(reached, ends[place])
    if not count:
        return ()
    said = Finding(
        kind="overlapping-members",
        summary=f"Zip archive in which {count} of {len(starts)} members lie over others: a sign of a zip bomb",
        data={"format": "zip archive", "members": len(starts), "overlapping": count},
        level="alert",
    )
    return (said,)


# --- the content ------------------------------------------------------------------------------------------------------------


def _stored(stream: BinaryIO, begin: int, length: int | None) -> Iterator[bytes]:
    """The bytes as they lie in the archive: `length` of them, or all to its end."""
    stream.seek(begin)
    left = length
    while left is None or left > 0:
        piece = stream.read(CHUNK if left is None else min(CHUNK, left))
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece


def _decompressed(stream: BinaryIO, header: _Header, begin: int) -> Iterator[bytes]:
    """The content, in pieces of at most `CHUNK` bytes. Raises what the decompressor raises, and EOFError where it is cut short."""
    if header.method == 0:
        yield from _stored(stream, begin, header.compressed)
        return
    if header.method == 93:
        stream.seek(begin)
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(stream, closefd=False)
        while piece := reader.read(CHUNK):
            yield piece
        return
    pieces = _stored(stream, begin, header.compressed)
    if header.method == 8:
        yield from _inflated(pieces)
        return
    if header.method == 12:
        decompressor: Any = bz2.BZ2Decompressor()
    elif header.method == 95:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2 * MAX_WINDOW)
    else:
        stream.seek(begin)
        decompressor = _lzma(stream.read(9), header.size)
        pieces = _stored(stream, begin + 9, None if header.compressed is None else max(0, header.compressed - 9))
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


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
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


def _lzma(start: bytes, size: int | None) -> lzma.LZMADecompressor:
    """LZMA as zip stores it: version, length of properties (5), properties (5.8.8). A window larger than the content is of no use."""
    if len(start) < 9 or struct.unpack_from("<H", start, 2)[0] != 5 or start[4] >= 225:
        raise EOFError("no LZMA properties")
    (window,) = struct.unpack_from("<I", start, 5)
    window = max(4096, min(window, MAX_WINDOW if size is None else size))
    if window > MAX_WINDOW:
        raise ValueError(f"LZMA window of {window} bytes (limit {MAX_WINDOW})")
    rest, lc = divmod(start[4], 9)
    pb, lp = divmod(rest, 5)
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": window}])
