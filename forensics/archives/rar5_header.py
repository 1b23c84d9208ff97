"""The headers of RAR archives of version 5 ("RAR 5.0 archive format")."""

import struct
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import BinaryIO

from forensics.archives import rar_keys
from forensics.archives.rar_entry import Entry, Lock, said
from forensics.archives.tried import Tried
from forensics.errors import Corrupt, LimitExceeded, Locked
from forensics.model import Times

MAGIC = b"Rar!\x1a\x07\x01\x00"
MAX_HEADER = 2 << 20  # bytes of a header, as in RAR itself


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


def entries(stream: BinaryIO, size: int, tried: Tried) -> Iterator[Entry]:
    """The members, header by header. Raises Corrupt where one is broken, Locked where they are encrypted and no password fits.

    Of encrypted headers each has its vector before it, and zeros behind it up to whole blocks of 16 bytes.
    """
    at = len(MAGIC)
    key: bytes | None = None
    solid = False
    while at < size:
        data, begin = _read(stream, at, key)
        header = _Bytes(data)
        kind, flags = header.vint(), header.vint()
        extra = header.vint() if flags & 1 else 0
        packed = header.vint() if flags & 2 else 0
        if kind == 4 and key is None:
            header.vint()  # the version
            lock = _lock(header, header.vint(), vector=False)
            try:
                password = rar_keys.by_check(lock, tried)
            except LimitExceeded as error:
                raise Locked(f"RAR archive whose headers are encrypted, not opened: {error}") from error
            if password is None:
                raise Locked(f"RAR archive whose headers are encrypted, opened by no password that was given{said(tried)}")
            key = rar_keys.derived5(password, lock.salt, lock.rounds)
        if kind == 5:
            return
        at = begin
        if kind == 1:
            solid = bool(header.vint() & 4)
        if kind == 2:
            yield _entry(header, flags, extra, at, packed, solid)
        at += packed


def _read(stream: BinaryIO, at: int, key: bytes | None) -> tuple[bytes, int]:
    """A header's bytes behind its length, decrypted, and where it ends. Raises Corrupt."""
    stream.seek(at)
    vector = b"" if key is None else stream.read(16)
    first = stream.read(7 if key is None else 16)  # a header is at most 2 MiB, so three bytes hold its length
    if key is not None:
        if len(first) < 16:
            raise Corrupt(f"it is cut short at byte {at}")
        first = rar_keys.decrypted((key, vector), first)
    start = _Bytes(first[:7])
    checksum, length = start.four(), start.vint()
    if not 0 < length <= MAX_HEADER:
        raise Corrupt(f"a header of {length} bytes at byte {at}")
    whole = start.at + length
    begin = at + len(vector)
    end = begin + (whole if key is None else -(-whole // 16) * 16)
    stream.seek(begin)
    data = stream.read(end - begin)
    if len(data) < end - begin:
        raise Corrupt(f"the header at byte {at} is cut short")
    data = (data if key is None else rar_keys.decrypted((key, vector), data))[:whole]
    if zlib.crc32(data[4:]) != checksum:
        raise Corrupt(f"the header at byte {at} has a wrong checksum")
    return data[start.at :], end


def _lock(record: _Bytes, flags: int, *, vector: bool) -> Lock:
    """How a password is made a key: powers of two of rounds, salt, the vector of a member, what the password is checked by."""
    power = record.take(1)[0]
    salt = record.take(16)
    start = record.take(16) if vector else b""
    check = record.take(12)[:8] if flags & 1 else b""
    return Lock(form=5, salt=salt, rounds=1 << power, vector=start, check=check, tweaked=bool(flags & 2) and vector)


def _entry(header: _Bytes, flags: int, extra: int, begin: int, packed: int, solid: bool) -> Entry:
    own, size, _ = header.vint(), header.vint(), header.vint()  # the last: attributes
    modified = _filetime(unix=header.four()) if own & 2 else None
    crc = header.four() if own & 4 else None
    method, _ = header.vint(), header.vint()  # the second: the system it was made on
    path = header.take(header.vint()).decode("utf-8", "surrogateescape")
    times, target, redirected = Times(modified=modified), None, 0
    lock, digest = None, b""
    area = _Bytes(header.data[len(header.data) - extra :] if 0 < extra <= len(header.data) else b"")
    while area.at < len(area.data):
        record = _Bytes(area.take(area.vint()))
        what = record.vint()
        if what == 1:
            record.vint()  # the version
            lock = _lock(record, record.vint(), vector=True)
        elif what == 2:
            digest = record.data
        elif what == 3:
            times = _times(record, times)
        elif what == 5:
            redirected, _ = record.vint(), record.vint()
            target = record.take(record.vint()).decode("utf-8", "surrogateescape")
    digest = b"" if lock else digest
    return Entry(
        form=5,
        path=path,
        begin=begin,
        packed=packed,
        size=None if own & 8 else size,
        crc=None if flags & 0x18 else crc,
        stored=method >> 7 & 7 == 0 or packed == size == 0,
        lock=lock,
        split=bool(flags & 0x18),
        kind="link" if redirected else "directory" if own & 1 else "file",
        target=target,
        times=times,
        why="" if method & 0x3F == 0 else "compressed by RAR 7",
        header=_made(own & 8, packed, size, method, digest),
        method=method,
        solid=solid,
    )


def _vint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _whole(body: bytes) -> bytes:
    data = _vint(len(body)) + body
    return struct.pack("<I", zlib.crc32(data)) + data


def begin_of(solid: bool) -> bytes:
    """The start of an archive that is made of one member, or of those of a solid one."""
    return MAGIC + _whole(b"\x01\0" + _vint(4 if solid else 0))


def shorter(entry: Entry, packed: int) -> bytes:
    """The made header of a member that is encrypted, for its content without what encryption added at the end."""
    return _made(8 if entry.size is None else 0, packed, entry.size or 0, entry.method, b"")


END = _whole(b"\x05\0\0")  # without it libarchive takes the last member for cut


def _made(unknown: int, packed: int, size: int, method: int, digest: bytes) -> bytes:
    """A header of the member that says how it is compressed, its digest (BLAKE2sp) and nothing else."""
    extra = _vint(len(digest)) + digest if digest else b""
    body = b"\x02" + (b"\x03" + _vint(len(extra)) if extra else b"\x02") + _vint(packed)
    return _whole(body + _vint(unknown) + _vint(size) + b"\0" + _vint(method) + b"\x01\x01x" + extra)


def _times(record: _Bytes, times: Times) -> Times:
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
