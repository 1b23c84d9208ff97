"""Zip archives: their members, by the central directory, or by the local headers where that is lost (PKWARE APPNOTE 6.3.10).

Office Open XML and OpenDocument files are such archives too: their members are the text, the pictures and what was embedded.
"""

import struct
import zlib
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from msgspec import Struct

from forensics.archives import libarchive, methods, zip_encryption
from forensics.archives.methods import CHUNK, DAMAGE
from forensics.archives.tried import Tried, as_bytes, unlocked
from forensics.archives.zip_encryption import Aes, Pieces, aes_field
from forensics.plugin import (
    Corrupt,
    File,
    Finding,
    Inventory,
    LimitExceeded,
    Member,
    Times,
    Unsupported,
    container,
    passwords,
    shown,
    stream_of,
)

MAX_COMMENT = 0xFFFF  # bytes of the archive's comment (4.3.16)
MAX_MEMBERS = 1 << 22  # members listed of one archive
MAX_UNSTATED = 1 << 40  # bytes of a member whose size is not stated
MAX_TRIES = {False: 200_000, True: 5_000}  # of passwords on one archive, by whether a key is derived of each: seconds
MAX_EXAMPLES = 10
LOCAL, CENTRAL, END, END64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06"
METHODS = {0: "stored", 8: "deflate", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}
OTHER_METHODS = {1: "shrink", 2: "reduce", 3: "reduce", 4: "reduce", 5: "reduce", 6: "implode", 99: "AES"}


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
    clock: int = 0
    link: bool = False
    aes: Aes | None = None

    @property
    def directory(self) -> bool:
        return self.path.endswith("/")

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & 1) or self.method == 99

    @property
    def compression(self) -> int:
        """The method of compression, within the encryption too."""
        return self.method if self.aes is None else self.aes.method

    @property
    def added(self) -> int:
        """Bytes of the stored content that encryption added."""
        return self.aes.added if self.aes is not None else zip_encryption.START if self.encrypted else 0


@container(
    version="1.1",
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
    prepare=passwords,
)
def zip_archive(file: File, known: tuple[bytes, ...], *, passwords_file: str = "") -> Iterator[Member | Finding]:
    """Files in zip archives, JAR, APK and Office files among them; encrypted ones with a password out of `passwords_file`.

    Members that overlap, are described in two ways or stay locked are named. Where the central directory is lost, members are found by
    their local headers. Raises Unsupported where the content is no zip archive, Corrupt after the members that could be read, Locked where
    members stay encrypted, LimitExceeded past 4 million members.
    """
    inventory = Inventory("zip archive")
    tried = {derived: Tried(known, tries) for derived, tries in MAX_TRIES.items()}
    with file.open() as stream:
        found = _directory(stream, file.size)
        overlaps = None if found is None else _overlaps(stream, found)
        if found is None or overlaps is None:
            stream.seek(0)
            if stream.read(4) not in (LOCAL, b"PK\x07\x08"):
                raise Unsupported("content that is no zip archive: it has neither a central directory nor a local header at its start")
            inventory.damaged("", "its central directory is lost or broken; members were found by their local headers")
            yield from _members(file, _local_headers(stream, file.size), inventory, {}, tried)
        else:
            yield from overlaps
            differences: dict[str, str] = {}
            yield from _members(file, _central_headers(stream, found), inventory, differences, tried)
            if differences:
                yield Finding(
                    kind="archive-mismatch",
                    summary=f"Zip archive whose two headers of a member differ: {shown(next(iter(differences)))}",
                    data={"format": "zip archive", "examples": [shown(f"{path}: {what}") for path, what in differences.items()]},
                    level="notable",
                )
    yield from unlocked(inventory.what, *tried.values())
    yield from inventory.conclude()


def _members(
    file: File, headers: Iterator[_Header], inventory: Inventory, differences: dict[str, str], tried: dict[bool, Tried]
) -> Iterator[Member]:
    for number, header in enumerate(headers):
        if number >= MAX_MEMBERS:
            raise LimitExceeded(f"zip archive of more than {MAX_MEMBERS} members; the first were listed")
        inventory.note(header.path, directory=header.directory)
        if header.directory:
            yield Member(path=header.path, open=lambda: stream_of(()), times=header.times, kind="directory")
            continue
        with file.open() as stream:
            try:
                begin, difference = _begin(stream, header)
            except Corrupt as error:
                inventory.damaged(header.path, str(error))
                continue
            if difference and len(differences) < MAX_EXAMPLES:
                differences[header.path] = difference
            pieces: Iterator[bytes] | str = ""
            if header.compression not in METHODS:
                inventory.unread(header.path, f"compressed by method {OTHER_METHODS.get(header.compression, header.compression)}")
            elif header.compression == 98 and not libarchive.there():
                inventory.unread(header.path, f"compressed by method PPMd; {libarchive.MISSING}")
            elif not header.encrypted:
                pieces = _stored(stream, begin, header.compressed)
            elif isinstance(pieces := _unlocked(stream, header, begin, tried[header.aes is not None]), str):
                inventory.locked(header.path + (f": {pieces}" if pieces else ""))
            if isinstance(pieces, str):
                yield Member(path=header.path, open=lambda: stream_of(()), size=header.size, times=header.times, kind="other")
                continue
            content = _content(pieces, header, inventory)
            target = _target(content) if header.link else None
            yield Member(
                path=header.path,
                open=lambda content=content if target is None else (): stream_of(content),  # type: ignore[misc]
                size=header.size,
                times=header.times,
                kind="file" if target is None else "link",
                target=target,
            )


def _target(content: Iterator[bytes]) -> str:
    """What a symbolic link points to: its content (Info-ZIP), at most 4096 bytes."""
    taken = b""
    for piece in content:
        taken += piece
        if len(taken) >= 4096:
            break
    return taken[:4096].decode("utf-8", "surrogateescape")


def _content(pieces: Iterator[bytes], header: _Header, inventory: Inventory) -> Iterator[bytes]:
    """The member's content in pieces; what ends it early, and a wrong checksum, go to the inventory."""
    count, crc = 0, 0
    try:
        for piece in _decompressed(pieces, header):
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
    elif header.crc is not None and crc != header.crc and (header.aes is None or header.aes.version == 1):
        inventory.damaged(header.path, f"checksum {crc:08x}, stated {header.crc:08x}")


# --- encryption ---------------------------------------------------------------------------------------------------------


def _unlocked(stream: BinaryIO, header: _Header, begin: int, tried: Tried) -> Iterator[bytes] | str:
    """An encrypted member's compressed bytes, by the first password that fits; else why it stays locked."""
    length = header.compressed
    if length is None:
        return "where its content ends is not stated"
    if header.aes is None and (header.method == 99 or header.flags & 0x40):
        return "strong encryption of PKWARE, which is not read"
    if not tried:
        return ""

    def pieces(place: int, count: int) -> Iterator[bytes]:
        return _stored(stream, begin + place, count)

    try:
        if header.aes is not None:
            return _unlocked_aes(header.aes, length, pieces, tried) or tried.said
        if not libarchive.there():
            return libarchive.MISSING
        start = b"".join(pieces(0, zip_encryption.START))
        if len(start) < zip_encryption.START:
            return "it is cut short"
        checks = {header.clock >> 8 if header.flags & 8 else -1, -1 if header.crc is None else header.crc >> 24}
        for password in tried.candidates():
            for form in as_bytes(password):
                check = zip_encryption.check_byte(start, form)
                if check in checks and (tried.fitted(password) or _right(header, _traditional(pieces, length, form, check))):
                    if header.size:  # a wrong one makes of nothing the right content
                        tried.fits(password)
                    return _traditional(pieces, length, form, check)
    except EOFError as error:
        return str(error)
    return tried.said


def _traditional(pieces: Pieces, length: int, password: bytes, check: int) -> Iterator[bytes]:
    return zip_encryption.traditional(pieces(0, length), length, password, check)


def _right(header: _Header, compressed: Iterator[bytes]) -> bool:
    """Whether what a password makes of a member unpacks to its size and checksum."""
    count = crc = 0
    try:
        for piece in _decompressed(compressed, header):
            count += len(piece)
            crc = zlib.crc32(piece, crc)
            if header.size is not None and count > header.size:
                return False
    except DAMAGE:
        return False
    return crc == header.crc


def _unlocked_aes(aes: Aes, length: int, pieces: Pieces, tried: Tried) -> Iterator[bytes] | None:
    """By a password whose authentication code is right, or by one that opened another member, though this one's code is not."""
    start, count = zip_encryption.encrypted(aes, length)
    head = b"".join(pieces(0, start))
    for password in tried.candidates():
        for form in as_bytes(password):
            key = zip_encryption.aes_key(aes, head[: aes.salt], head[aes.salt :], form)
            if key is None:
                continue
            authentic = zip_encryption.authentic(pieces, start, count, key)
            if authentic or tried.fitted(password):
                tried.fits(password)
                return _authenticated(zip_encryption.decrypted(pieces(start, count), key), authentic)
    return None


def _authenticated(plain: Iterator[bytes], authentic: bool) -> Iterator[bytes]:
    """The bytes; at their end or before, raises ValueError where their authentication code is wrong."""
    yield from plain
    if not authentic:
        raise ValueError("its authentication code is wrong")


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
        if locator >= 0:
            (where,) = struct.unpack_from("<Q", tail, locator + 8)
            for place in (where, tail_at + locator - 56):
                if place < size - 56:
                    stream.seek(place)
                    record = stream.read(56)
                    if record[:4] != END64 or len(record) < 56:
                        continue
                    wide = struct.unpack_from("<QQQ", record, 32)  # Info-ZIP writes it behind every stream, beside numbers that fit
                    if count == 0xFFFF or 0xFFFFFFFF in (length, offset) or wide == (count, length, offset):
                        count, length, offset = wide
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
            clock=clock,
            aes=aes_field(fields.get(0x9901, b"")) if method == 99 else None,
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
        clock=clock,
        aes=aes_field(fields.get(0x9901, b"")) if method == 99 else None,
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


def _decompressed(pieces: Iterator[bytes], header: _Header) -> Iterator[bytes]:
    """The content, in pieces of at most `CHUNK` bytes or so. Raises one of `DAMAGE`."""
    method, size = header.compression, header.size
    if method == 0:
        return pieces
    if method == 12:
        return methods.bzip2(pieces)
    if method == 14:
        return methods.lzma_of_zip(pieces, size)
    if method == 98:
        length = MAX_UNSTATED if header.compressed is None else max(0, header.compressed - header.added)
        return methods.ppmd_of_zip(pieces, length, MAX_UNSTATED if size is None else size)
    return {8: methods.inflated, 9: methods.inflated64, 93: methods.zstd, 95: methods.xz}[method](pieces)
