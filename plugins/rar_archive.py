"""RAR archives, versions 1.5 to 5: what they hold, by their headers (technote.txt of RAR 4.x; "RAR 5.0 archive format").

Members that are stored without compression are opened. For the others there is no freely usable reader: they are listed, and said to be
unread.
"""

import struct
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import BinaryIO, Literal

from msgspec import Struct, structs

from forensics.plugin import Corrupt, File, Finding, Inventory, LimitExceeded, Locked, Member, Times, Unsupported, container, stream_of

CHUNK = 1 << 16
MAX_HEADER = 2 << 20  # bytes of a header, as in RAR itself
MAX_MEMBERS = 1 << 22
MAX_TARGET = 4096  # bytes of a link's target
MAGIC4, MAGIC5 = b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00"


class _Entry(Struct, frozen=True, kw_only=True):
    """A member as its header says it; `begin` and `packed` are where its bytes lie."""

    path: str
    begin: int
    packed: int
    size: int | None
    crc: int | None
    stored: bool
    encrypted: bool
    split: bool
    kind: Literal["file", "directory", "link", "other"]
    target: str | None
    times: Times


@container(version="1.0", mime=("application/x-rar", "application/x-rar-compressed", "application/vnd.rar"), magic=(MAGIC4, MAGIC5))
def rar_archive(file: File) -> Iterator[Member | Finding]:
    """Files in RAR archives: all are listed, stored ones are opened, compressed and encrypted ones are named.

    Raises Unsupported where the content is no RAR archive or members are compressed, Corrupt after what could be read of a damaged one,
    Locked where members or their names are encrypted, LimitExceeded past 4 million members.
    """
    inventory = Inventory("RAR archive")
    with file.open() as stream:
        head = stream.read(8)
        if head == MAGIC5:
            entries = _entries5(stream, file.size)
        elif head[:7] == MAGIC4:
            entries = _entries4(stream, file.size)
        else:
            raise Unsupported("content that is no RAR archive")
        try:
            for number, entry in enumerate(entries):
                if number >= MAX_MEMBERS:
                    raise LimitExceeded(f"RAR archive of more than {MAX_MEMBERS} members; the first were listed")
                yield _member(stream, entry, inventory)
        except Locked:
            yield Finding(
                kind="locked-members",
                summary="Encrypted RAR archive: names and contents",
                data={"format": inventory.what, "examples": ["names and contents"]},
                level="notable",
            )
            raise
        except Corrupt as error:
            inventory.damaged("", str(error))
    yield from inventory.conclude()


def _member(stream: BinaryIO, entry: _Entry, inventory: Inventory) -> Member:
    inventory.note(entry.path, directory=entry.kind == "directory")
    kind = entry.kind
    if kind == "file":
        if entry.encrypted:
            inventory.locked(entry.path)
        elif not entry.stored:
            inventory.unread(entry.path, "compressed, for which there is no freely usable reader")
        elif entry.split:
            inventory.unread(entry.path, "a part of it lies in another volume")
        if entry.encrypted or not entry.stored or entry.split:
            kind = "other"
    return Member(
        path=entry.path,
        open=lambda: stream_of(_content(stream, entry, inventory) if kind == "file" else ()),
        size=entry.size if kind in ("file", "other") else None,
        times=entry.times,
        kind=kind,
        target=entry.target,
    )


def _content(stream: BinaryIO, entry: _Entry, inventory: Inventory) -> Iterator[bytes]:
    """A stored member's bytes; what is missing, and a wrong checksum, go to the inventory."""
    count, crc = 0, 0
    while count < entry.packed:
        stream.seek(entry.begin + count)
        piece = stream.read(min(CHUNK, entry.packed - count))
        if not piece:
            inventory.damaged(entry.path, f"{count} of {entry.packed} bytes are there")
            return
        yield piece
        count += len(piece)
        crc = zlib.crc32(piece, crc)
    if entry.crc is not None and crc != entry.crc:
        inventory.damaged(entry.path, f"checksum {crc:08x}, stated {entry.crc:08x}")


# --- RAR 1.5 to 4 -----------------------------------------------------------------------------------------------------------


def _entries4(stream: BinaryIO, size: int) -> Iterator[_Entry]:
    """The members, header by header. Raises Corrupt where one is broken, Locked where they are encrypted."""
    at = len(MAGIC4)
    while at < size:
        stream.seek(at)
        fixed = stream.read(7)
        if len(fixed) < 7:
            raise Corrupt(f"it is cut short at byte {at}")
        checksum, kind, flags, length = struct.unpack("<HBHH", fixed)
        header = fixed + stream.read(max(0, length - 7))
        if length < 7 or len(header) < length:
            raise Corrupt(f"the header at byte {at} is cut short")
        commented = flags & (2 if kind == 0x73 else 8)  # its checksum leaves the comment out
        if kind in (0x73, 0x74) and not commented and zlib.crc32(header[2:]) & 0xFFFF != checksum:
            raise Corrupt(f"the header at byte {at} has a wrong checksum")
        if kind == 0x7B:
            return
        if kind == 0x73 and flags & 0x80:
            raise Locked("RAR archive whose headers are encrypted; no password was given")
        added = 0
        if kind == 0x74 or flags & 0x8000:
            if length < 11:
                raise Corrupt(f"the header at byte {at} is too short")
            (added,) = struct.unpack_from("<I", header, 7)
        if kind == 0x74:
            entry = _entry4(header, flags, at)
            added = entry.packed
            if entry.kind == "link" and entry.stored and not entry.encrypted:  # its content is what it points to
                stream.seek(entry.begin)
                target = stream.read(min(entry.packed, MAX_TARGET)).decode("utf-8", "surrogateescape")
                entry = structs.replace(entry, target=target)
            yield entry
        at += length + added


def _entry4(header: bytes, flags: int, at: int) -> _Entry:
    if len(header) < 32:
        raise Corrupt(f"the header at byte {at} is too short")
    packed, size, system, crc, clock, _, method, name_length, attributes = struct.unpack_from("<IIBIIBBHI", header, 7)
    start = 32
    if flags & 0x100 and len(header) >= 40:
        high_packed, high_size = struct.unpack_from("<II", header, 32)
        packed, size, start = packed | high_packed << 32, size | high_size << 32, 40
    name = header[start : start + name_length]
    path = _name4(name) if flags & 0x200 else name.decode("utf-8", "surrogateescape")
    link = system == 3 and attributes & 0xF000 == 0xA000
    directory = flags & 0xE0 == 0xE0 or (system != 3 and bool(attributes & 0x10)) or (system == 3 and attributes & 0xF000 == 0x4000)
    return _Entry(
        path=path.replace("\\", "/"),  # the separator of RAR 4 is the backslash, on every system
        begin=at + len(header),
        packed=packed,
        size=size,
        crc=None if flags & 3 else crc,
        stored=method == 0x30 or packed == size == 0,
        encrypted=bool(flags & 4),
        split=bool(flags & 3),
        kind="directory" if directory else "link" if link else "file",
        target=None,
        times=Times(modified=_dos(clock)),
    )


def _dos(value: int) -> str | None:
    """Local time of an unknown zone in two-second steps, as MS-DOS keeps it."""
    day, clock = value >> 16, value & 0xFFFF
    try:
        return datetime(1980 + (day >> 9), day >> 5 & 15, day & 31, clock >> 11, clock >> 5 & 63, (clock & 31) * 2).isoformat()  # noqa: DTZ001
    except ValueError:
        return None


def _name4(field: bytes) -> str:
    """The two forms of a name: in a code page, a zero, then how its UTF-16 differs from that; or UTF-8 without a zero."""
    plain, zero, encoded = field.partition(b"\0")
    if not zero or not encoded:
        return plain.decode("utf-8", "surrogateescape")
    out = bytearray()
    high, at, flags, bits = encoded[0], 1, 0, 0
    while at < len(encoded) and len(out) < 2 * len(field) + 512:
        if not bits:
            flags, bits, at = encoded[at], 8, at + 1
            if at >= len(encoded):
                break
        bits -= 2
        how = flags >> bits & 3
        if how == 0:
            out += bytes((encoded[at], 0))
            at += 1
        elif how == 1:
            out += bytes((encoded[at], high))
            at += 1
        elif how == 2:
            out += encoded[at : at + 2].ljust(2, b"\0")
            at += 2
        else:
            count, at = encoded[at], at + 1
            change = encoded[at] if count & 0x80 and at < len(encoded) else None
            at += change is not None
            for _ in range((count & 0x7F) + 2):
                place = len(out) // 2
                char = plain[place] if place < len(plain) else 0
                out += bytes((char, 0)) if change is None else bytes(((char + change) & 0xFF, high))
    return out.decode("utf-16-le", "backslashreplace")


# --- RAR 5 ------------------------------------------------------------------------------------------------------------------


class _Bytes:
    """A header's bytes, taken one after the other. Raises Corrupt past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise Corrupt(f"a header of {len(self.data)} bytes ends within a field")
        self.at += length
        return self.data[self.at - length : self.at]

    def vint(self) -> int:
        """Seven bits a byte, the lowest first; the eighth says that another follows."""
        value = 0
        for shift in range(0, 70, 7):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise Corrupt("a number of more than ten bytes")

    def four(self) -> int:
        return int.from_bytes(self.take(4), "little")


def _entries5(stream: BinaryIO, size: int) -> Iterator[_Entry]:
    """The members, header by header. Raises Corrupt where one is broken, Locked where they are encrypted."""
    at = len(MAGIC5)
    while at < size:
        stream.seek(at)
        start = _Bytes(stream.read(4 + 3))  # a header is at most 2 MiB, so three bytes hold its length
        checksum, length = start.four(), start.vint()
        if not 0 < length <= MAX_HEADER:
            raise Corrupt(f"a header of {length} bytes at byte {at}")
        begin = at + start.at
        stream.seek(begin)
        data = stream.read(length)
        if len(data) < length:
            raise Corrupt(f"the header at byte {at} is cut short")
        if zlib.crc32(data, zlib.crc32(start.data[4 : start.at])) != checksum:
            raise Corrupt(f"the header at byte {at} has a wrong checksum")
        header = _Bytes(data)
        kind, flags = header.vint(), header.vint()
        extra = header.vint() if flags & 1 else 0
        packed = header.vint() if flags & 2 else 0
        if kind == 4:
            raise Locked("RAR archive whose headers are encrypted; no password was given")
        if kind == 5:
            return
        at = begin + length
        if kind == 2:
            yield _entry5(header, flags, extra, at, packed)
        at += packed


def _entry5(header: _Bytes, flags: int, extra: int, begin: int, packed: int) -> _Entry:
    own, size, _ = header.vint(), header.vint(), header.vint()  # the last: attributes
    modified = _filetime(unix=header.four()) if own & 2 else None
    crc = header.four() if own & 4 else None
    method, _ = header.vint(), header.vint()  # the second: the system it was made on
    path = header.take(header.vint()).decode("utf-8", "surrogateescape")
    times, encrypted, target, redirected = Times(modified=modified), False, None, 0
    area = _Bytes(header.data[len(header.data) - extra :] if 0 < extra <= len(header.data) else b"")
    while area.at < len(area.data):
        record = _Bytes(area.take(area.vint()))
        what = record.vint()
        if what == 1:
            encrypted = True
        elif what == 3:
            times = _times5(record, times)
        elif what == 5:
            redirected, _ = record.vint(), record.vint()
            target = record.take(record.vint()).decode("utf-8", "surrogateescape")
    return _Entry(
        path=path,
        begin=begin,
        packed=packed,
        size=None if own & 8 else size,
        crc=None if flags & 0x18 or encrypted else crc,
        stored=method >> 7 & 7 == 0 or packed == size == 0,
        encrypted=encrypted,
        split=bool(flags & 0x18),
        kind="link" if redirected else "directory" if own & 1 else "file",
        target=target,
        times=times,
    )


def _times5(record: _Bytes, times: Times) -> Times:
    """Unix seconds, then their nanoseconds; or FILETIMEs: all UTC."""
    flags = record.vint()
    fields = [field for bit, field in ((2, "modified"), (4, "born"), (8, "accessed")) if flags & bit]
    if not flags & 1:
        found = {field: _filetime(int.from_bytes(record.take(8), "little")) for field in fields}
    else:
        seconds = [record.four() for _ in fields]
        nanoseconds = [record.four() if flags & 0x10 else 0 for _ in fields]
        found = {field: _filetime(unix=one, nanoseconds=nano) for field, one, nano in zip(fields, seconds, nanoseconds, strict=True)}
    return Times(**{"modified": times.modified, **found})


def _filetime(value: int = 0, *, unix: int | None = None, nanoseconds: int = 0) -> str | None:
    """A FILETIME (100 ns since 1601) or Unix time as text; `None` for what no calendar holds."""
    start, seconds = (datetime(1601, 1, 1), value // 10**7) if unix is None else (datetime(1970, 1, 1), unix)  # noqa: DTZ001
    fraction = f".{value % 10**7:07}" if unix is None else f".{nanoseconds:09}" if nanoseconds else ""
    try:
        return f"{(start + timedelta(seconds=seconds)).isoformat()}{fraction}Z"
    except OverflowError:
        return None
