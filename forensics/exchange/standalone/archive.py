"""Unpacking a package's tar, of which there is exactly one form: whatever else a tar may say is refused before anything is written.

POSIX.1-1988 ustar: regular files, mode 0644, owner and time zero, one top folder, names sorted. Every header is **built again** from its
name and size and must be the same bytes; so links, devices, sparse files, long-name and pax tricks, base-256 numbers and bytes that one
reader sees and another does not cannot be there. A tar is not compressed, so nothing in it can be larger than the file itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from . import files
from .refusal import Refused

BLOCK = 512
_RECORD = 20 * BLOCK
_CHUNK = 1 << 20
_LARGEST = 8**11 - 1  # eleven octal digits
_ZERO = bytes(BLOCK)


def unpack(source: BinaryIO, size: int, folder: Path) -> str:
    """Write the files of the tar `source`, which has `size` bytes, into `folder` (empty). Returns the name of its top folder, which is
    **not** made: the files lie in `folder` itself. Raises Refused, OSError; then `folder` holds what was unpacked before."""
    top, last, number, made = "", "", 0, {""}
    for name, length in _members(source, size):
        first, slash, rest = name.partition("/")
        if not slash or not files.TOP.fullmatch(first) or (top and first != top):
            raise Refused("archive", f"{name[:200]!r}: not in the package's one top folder")
        if rest <= last:
            raise Refused("archive", f"{rest[:200]!r}: names are not sorted, or one stands there twice")
        files.check_name(rest, length)
        top, last, number = first, rest, number + 1
        if number > files.MOST:
            raise Refused("archive", f"more than {files.MOST} files")
        parent = rest.rpartition("/")[0]
        if parent not in made:
            (folder / parent).mkdir(mode=0o700, parents=True, exist_ok=True)
            made.add(parent)
        _write(source, length, f"{folder}/{rest}")
    if not top:
        raise Refused("archive", "it is empty")
    return top


def header(name: str, size: int, *, devices: bytes = bytes(8)) -> bytes:
    """The header block of a file (POSIX.1-1988, ustar). `devices` is how device numbers of no device are written. Raises Refused."""
    prefix = b""
    encoded = name.encode("ascii", "replace")
    if len(encoded) > 100:
        cut = encoded.find(b"/", len(encoded) - 101)  # the shortest prefix that leaves at most 100 bytes
        if not 0 < cut <= 155:
            raise Refused("archive", f"{name[:200]!r}: too long a name")
        prefix, encoded = encoded[:cut], encoded[cut + 1 :]
    if not 0 <= size <= _LARGEST:
        raise Refused("archive", f"{name[:200]!r}: too large")
    fields = (
        encoded.ljust(100, b"\0"), b"0000644\0", b"0000000\0" * 2, b"%011o\0" % size, b"00000000000\0", b" " * 8, b"0", bytes(100),
        b"ustar\x0000", bytes(64), devices * 2, prefix.ljust(155, b"\0"), bytes(12),
    )  # fmt: skip
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _members(source: BinaryIO, size: int) -> Iterator[tuple[str, int]]:
    """Name and size of each member; the caller has read exactly its bytes before the next is asked for."""
    at = 0
    while True:
        block = _exactly(source, BLOCK)
        at += BLOCK
        if block == _ZERO:
            break
        name, length = _parse(block)
        padded = -(-length // BLOCK) * BLOCK
        if at + padded > size:
            raise Refused("archive", f"{name[:200]!r}: says that it has {length} bytes, and the archive ends before")
        yield name, length
        if any(_exactly(source, padded - length)):
            raise Refused("archive", f"{name[:200]!r}: bytes hidden behind the end of the file")
        at += padded
    rest = source.read(_RECORD + 1)  # a second block of zeros, then zeros up to a whole record
    if len(rest) < BLOCK or len(rest) > _RECORD or any(rest):
        raise Refused("archive", "bytes behind the end of the archive, or none of its end")


def _parse(block: bytes) -> tuple[str, int]:
    try:
        name, prefix = (block[start:end].split(b"\0", 1)[0].decode("ascii") for start, end in ((0, 100), (345, 500)))
        octal = block[124:135]
        if not octal.isdigit() or block[135:136] != b"\0":
            raise ValueError("its size is not octal")
        length = int(octal, 8)
    except ValueError as error:
        raise Refused("archive", f"a header that is not of the form of a package's ({error})") from None
    full = f"{prefix}/{name}" if prefix else name
    if block != header(full, length) and block != header(full, length, devices=b"0000000\0"):
        what = block[156:157].decode("ascii", "backslashreplace")
        raise Refused("archive", f"{full[:200]!r}: not the header of a regular file in a package (type {what!r})")
    return full, length


def _write(source: BinaryIO, length: int, path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        left = length
        while left:
            chunk = source.read(min(left, _CHUNK))
            if not chunk:
                raise Refused("archive", f"{Path(path).name}: the archive ends within it")
            left -= len(chunk)
            while chunk:
                chunk = chunk[os.write(descriptor, chunk) :]
    finally:
        os.close(descriptor)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size) if size else b""
    if len(data) != size:
        raise Refused("archive", "it ends before its end mark")
    return data
