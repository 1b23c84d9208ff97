"""The headers of RAR archives, versions 1.5 to 4 (technote.txt of RAR 4.x)."""

import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from msgspec import structs

from forensics.archives import rar_keys
from forensics.archives.rar_entry import MAX_TARGET, Entry, Lock, said
from forensics.archives.tried import Tried
from forensics.errors import Corrupt, Locked
from forensics.model import Times

MAGIC = b"Rar!\x1a\x07\x00"
_MAIN = struct.pack("<BHH", 0x73, 0, 13) + bytes(6)
BEGIN = MAGIC + struct.pack("<H", zlib.crc32(_MAIN) & 0xFFFF) + _MAIN  # of an archive that is made of one member


def entries(stream: BinaryIO, size: int, tried: Tried) -> Iterator[Entry]:
    """The members, header by header. Raises Corrupt where one is broken, Locked where they are encrypted and no password fits.

    Of encrypted headers each has its salt before it, and zeros behind it up to whole blocks of 16 bytes.
    """
    at = len(MAGIC)
    solid, password = False, None
    encrypted = False
    while at < size:
        stream.seek(at)
        if encrypted:
            salt, blocks = stream.read(8), stream.read(16)
            if len(blocks) < 16:
                raise Corrupt(f"it is cut short at byte {at}")
            password = rar_keys.names4(salt, blocks, tried) if password is None else password
            if password is None:
                raise Locked(f"RAR archive whose headers are encrypted, opened by no password that was given{said(tried)}")
            key = rar_keys.derived4(password, salt)
            length = int.from_bytes(rar_keys.decrypted(key, blocks)[5:7], "little")
            rest = max(0, -(-length // 16) * 16 - 16)
            more = stream.read(rest)
            if len(more) < rest:
                raise Corrupt(f"the header at byte {at} is cut short")
            header, begin = rar_keys.decrypted(key, blocks + more)[:length], at + 8 + 16 + len(more)
        else:
            header = stream.read(7)
            length = int.from_bytes(header[5:7], "little")
            header += stream.read(max(0, length - 7))
            begin = at + length
        if len(header) < 7:
            raise Corrupt(f"it is cut short at byte {at}")
        checksum, kind, flags, length = struct.unpack_from("<HBHH", header)
        if length < 7 or len(header) < length:
            raise Corrupt(f"the header at byte {at} is cut short")
        commented = flags & (2 if kind == 0x73 else 8)  # its checksum leaves the comment out
        if kind in (0x73, 0x74) and not commented and zlib.crc32(header[2:]) & 0xFFFF != checksum:
            raise Corrupt(f"the header at byte {at} has a wrong checksum")
        if kind == 0x7B:
            return
        if kind == 0x73:
            encrypted, solid = bool(flags & 0x80), bool(flags & 8)
        added = 0
        if kind == 0x74 or flags & 0x8000:
            if length < 11:
                raise Corrupt(f"the header at byte {at} is too short")
            (added,) = struct.unpack_from("<I", header, 7)
        if kind == 0x74:
            entry = _entry(header, flags, at, begin, solid)
            added = entry.packed
            if entry.kind == "link" and entry.stored and entry.lock is None:  # its content is what it points to
                stream.seek(entry.begin)
                target = stream.read(min(entry.packed, MAX_TARGET)).decode("utf-8", "surrogateescape")
                entry = structs.replace(entry, target=target)
            yield entry
        at = begin + added


def _entry(header: bytes, flags: int, at: int, begin: int, solid: bool) -> Entry:
    if len(header) < 32:
        raise Corrupt(f"the header at byte {at} is too short")
    packed, size, system, crc, clock, version, method, name_length, attributes = struct.unpack_from("<IIBIIBBHI", header, 7)
    start = 32
    if flags & 0x100 and len(header) >= 40:
        high_packed, high_size = struct.unpack_from("<II", header, 32)
        packed, size, start = packed | high_packed << 32, size | high_size << 32, 40
    name = header[start : start + name_length]
    path = _name(name) if flags & 0x200 else name.decode("utf-8", "surrogateescape")
    link = system == 3 and attributes & 0xF000 == 0xA000
    directory = flags & 0xE0 == 0xE0 or (system != 3 and bool(attributes & 0x10)) or (system == 3 and attributes & 0xF000 == 0x4000)
    salt = header[start + name_length : start + name_length + 8] if flags & 0x400 else b""
    return Entry(
        form=4,
        path=path.replace("\\", "/"),  # the separator of RAR 4 is the backslash, on every system
        begin=begin,
        packed=packed,
        size=size,
        crc=None if flags & 3 else crc,
        stored=method == 0x30 or packed == size == 0,
        lock=Lock(form=4, salt=salt if version >= 29 else b"", rounds=1 << 18) if flags & 4 else None,
        split=bool(flags & 3),
        kind="directory" if directory else "link" if link else "file",
        target=None,
        times=Times(modified=_dos(clock)),
        why="" if version >= 29 and not solid else "a solid archive of RAR 4" if version >= 29 else "compressed by RAR 2 or older",
        header=_made(flags, packed, size, crc, version, method),
    )


def _made(flags: int, packed: int, size: int, crc: int, version: int, method: int) -> bytes:
    """A header of the member that says how it is compressed and nothing else, for an archive of it alone."""
    mask = 0xFFFFFFFF
    body = struct.pack("<IIBIIBBHI", packed & mask, size & mask, 3, crc, 0, version, method, 1, 0x81A4)
    body += struct.pack("<II", packed >> 32, size >> 32) + b"x"
    body = struct.pack("<BHH", 0x74, 0x8100 | flags & 0xE0, 7 + len(body)) + body
    return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body


def _dos(value: int) -> str | None:
    """Local time of an unknown zone in two-second steps, as MS-DOS keeps it."""
    day, clock = value >> 16, value & 0xFFFF
    try:
        return datetime(1980 + (day >> 9), day >> 5 & 15, day & 31, clock >> 11, clock >> 5 & 63, (clock & 31) * 2).isoformat()  # noqa: DTZ001
    except ValueError:
        return None


def _name(field: bytes) -> str:
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
