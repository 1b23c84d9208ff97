"""The headers of a zip archive: those of the central directory, and the local ones (PKWARE APPNOTE 6.3.10)."""

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from msgspec import Struct

from forensics.archives import zip_encryption
from forensics.archives.methods import CHUNK
from forensics.archives.zip_encryption import Aes, aes_field
from forensics.errors import Corrupt
from forensics.model import Times

MAX_COMMENT = 0xFFFF  # bytes of the archive's comment (4.3.16)
LOCAL, CENTRAL, END, END64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06"
METHODS = {0: "stored", 8: "deflate", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}
OTHER_METHODS = {1: "shrink", 2: "reduce", 3: "reduce", 4: "reduce", 5: "reduce", 6: "implode", 99: "AES"}


class Header(Struct, frozen=True, kw_only=True):
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


class Directory(Struct, frozen=True):
    """Where the central directory starts and ends, and what to add to the offsets in it: the size of what was put before the archive."""

    start: int
    end: int
    shift: int


def directory(stream: BinaryIO, size: int) -> Directory | None:
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
                if 0 <= place < size - 56:
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
                return Directory(start, end, start - offset)
        at = tail.rfind(END, 0, at)
    return None


def central_headers(stream: BinaryIO, found: Directory) -> Iterator[Header]:
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
        yield Header(
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


def local_headers(stream: BinaryIO, size: int) -> Iterator[Header]:
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


def _local(stream: BinaryIO, position: int) -> tuple[Header, int] | None:
    """A local header and where its content begins; `None` where there is none. With bit 3 of the flags, sizes follow the content."""
    stream.seek(position)
    fixed = stream.read(30)
    if len(fixed) < 30 or fixed[:4] != LOCAL:
        return None
    flags, method, clock, day, crc, compressed, size, name_length, extra_length = struct.unpack_from("<6xHHHHIIIHH", fixed)
    name, extra = stream.read(name_length), stream.read(extra_length)
    if not name or len(name) < name_length or len(extra) < extra_length or not (method in METHODS or method in OTHER_METHODS):
        return None
    fields = dict(_extra(extra))
    later = bool(flags & 8) and not compressed
    size, compressed, _ = _wide(fields.get(1, b""), size, compressed, 0)
    header = Header(
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


def begin_of(stream: BinaryIO, size: int, header: Header) -> tuple[int, str]:
    """Where the content begins, and how the local header differs from the central one, in an archive of `size` bytes.

    Raises Corrupt where there is no local header.
    """
    if not 0 <= header.offset < size:  # no stream can be asked for every number of 64 bits
        raise Corrupt(f"its local header is said to be at byte {header.offset}, the archive has {size}")
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
