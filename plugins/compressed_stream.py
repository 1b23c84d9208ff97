"""Compressed streams, and the tar archives that stand in them or alone, read from front to back.

gzip (RFC 1952), bzip2, xz (its file format 1.2.1), LZMA alone, Zstandard (RFC 8878); tar as POSIX.1-2017 (pax), GNU and V7 write it.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Literal

import zstandard
from msgspec import Struct

from forensics.plugin import File, Finding, Inventory, LimitExceeded, Member, Times, Unsupported, container, stream_of

CHUNK = 1 << 16  # bytes read and given on at once
BLOCK = 512
MAX_MEMBERS = 1 << 22  # members listed of one archive
MAX_HEADER = 1 << 20  # bytes of a pax header or a long name
MAX_NAME = 64 << 10  # bytes of a member's path, or of what a link points to: far more than PATH_MAX of any system
MAX_DIGITS = 20  # of a number in a pax header: more than 64 bits
MAX_SPARSE = 1 << 16  # pieces of a sparse file
KEYS = frozenset(  # of a pax header that are read
    b"path linkpath size mtime atime ctime LIBARCHIVE.creationtime GNU.sparse.name GNU.sparse.map GNU.sparse.size GNU.sparse.major"
    b" GNU.sparse.realsize".split()
)
MAX_WINDOW = 128 << 20  # bytes of a decompressor's window
DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)
ZSTD = b"\x28\xb5\x2f\xfd"
FORMATS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", ZSTD: "Zstandard", b"]\0\0": "LZMA"}
SUFFIXES = {".gz": "", ".bz2": "", ".xz": "", ".zst": "", ".lzma": "", ".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".svgz": ".svg"}
TYPES = ("application/gzip", "application/x-gzip", "application/x-bzip2", "application/x-xz", "application/zstd", "application/x-lzma")


@container(version="1.0", mime=TYPES, needs=("content", "name"))
def compressed_stream(file: File) -> Iterator[Member | Finding]:
    """The file in a gzip, bzip2, xz, LZMA or Zstandard stream; tar archives in such are left to tar-archive.

    Raises Unsupported where the content is none or holds a tar archive, Corrupt after what could be decompressed of a damaged one.
    """
    with file.open() as stream:
        kind = _format(stream)
        if not kind:
            raise Unsupported("content that is no compressed stream of a known format")
        if _holds_tar(stream, kind):
            raise Unsupported(f"{kind} stream that holds a tar archive: tar-archive opens it")
        inventory = Inventory(f"{kind} stream")
        name, times = _gzip_name(stream) if kind == "gzip" else ("", Times())
        path = name or _without_suffix(file.name)
        inventory.note(path)
        yield Member(path=path, open=lambda: stream_of(_content(stream, kind, path, inventory)), times=times)
    yield from inventory.conclude()


@container(version="1.1", mime=("application/x-tar", "application/x-gtar", "application/x-ustar", *TYPES), names=("*.tar",))
def tar_archive(file: File) -> Iterator[Member | Finding]:
    """Files in tar archives, plain or compressed with gzip, bzip2, xz, LZMA or Zstandard; links, sparse files, pax names and times.

    Raises Unsupported where the content is no tar archive, Corrupt after the members that could be read, LimitExceeded past 4 million.
    """
    with file.open() as stream:
        kind = _format(stream)
        if not _holds_tar(stream, kind):
            raise Unsupported("content that is no tar archive: its first block has no valid checksum")
        what = f"tar archive in a {kind} stream" if kind else "tar archive"
        inventory = Inventory(what)
        source = _Source(_content(stream, kind, "", inventory))
        for number, member in enumerate(_members(source, inventory)):
            if number >= MAX_MEMBERS:
                raise LimitExceeded(f"{what} of more than {MAX_MEMBERS} members; the first were listed")
            yield member
    yield from inventory.conclude()


def _format(stream: BinaryIO) -> str:
    """The format of a compressed stream by its first bytes; empty for none."""
    stream.seek(0)
    head = stream.read(16)
    return next((name for magic, name in FORMATS.items() if head.startswith(magic)), "")


def _without_suffix(name: str) -> str:
    for suffix, instead in SUFFIXES.items():
        if name.casefold().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)] + instead
    return name


def _gzip_name(stream: BinaryIO) -> tuple[str, Times]:
    """The name and time that a gzip header may hold (RFC 1952, 2.3)."""
    stream.seek(0)
    head = stream.read(CHUNK)
    if len(head) < 10:
        return "", Times()
    flags, seconds = struct.unpack_from("<BI", head, 3)
    times = Times(modified=_moment(seconds)) if seconds else Times()
    at = 10
    if flags & 4 and len(head) >= 12:
        at += 2 + int(struct.unpack_from("<H", head, 10)[0])
    end = head.find(b"\0", at, at + 1024)
    return (head[at:end].decode("utf-8", "surrogateescape") if flags & 8 and end > at else ""), times


def _moment(seconds: int, fraction: str = "") -> str | None:
    """Seconds since 1970, with decimals as found, as text; `None` where no calendar holds them."""
    try:
        text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()  # noqa: DTZ001 - the zone is put on below
    except OverflowError:
        return None
    return f"{text}.{fraction[:9]}Z" if fraction else f"{text}Z"


# --- compressed streams -----------------------------------------------------------------------------------------------------


def _content(stream: BinaryIO, kind: str, path: str, inventory: Inventory) -> Iterator[bytes]:
    """The decompressed content to its end or to the first damage, which goes to the inventory."""
    count = 0
    try:
        for piece in _decompressed(stream, kind):
            yield piece
            count += len(piece)
    except DAMAGE as error:
        inventory.damaged(path, f"{kind} stream readable to byte {count} ({error or type(error).__name__})")


def _raw(stream: BinaryIO) -> Iterator[bytes]:
    stream.seek(0)
    while piece := stream.read(CHUNK):
        yield piece


def _decompressed(stream: BinaryIO, kind: str) -> Iterator[bytes]:
    """What the stream holds, in pieces of at most `CHUNK` bytes. Raises what the decompressor raises, EOFError where it is cut short."""
    if not kind:
        yield from _raw(stream)
    elif kind == "Zstandard":
        stream.seek(0)
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(stream, read_across_frames=True, closefd=False)
        while piece := reader.read(CHUNK):
            yield piece
        _whole_frames(stream)
    elif kind == "gzip":
        yield from _gunzipped(_raw(stream))
    else:
        yield from _streams(_raw(stream), kind)


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflater: Any = None
    for piece in pieces:
        while piece:
            if inflater is None:
                piece = piece.lstrip(b"\0")  # padding between and after members
                if not piece:
                    break
                inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
            if out := inflater.decompress(piece, CHUNK):
                yield out
            piece = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            while not inflater.eof and not piece and len(out) == CHUNK:  # more may be ready within
                if out := inflater.decompress(b"", CHUNK):
                    yield out
                piece = inflater.unused_data if inflater.eof else b""
            if inflater.eof:
                inflater = None
    if inflater is not None:
        raise EOFError("it is cut short")


def _streams(pieces: Iterator[bytes], kind: str) -> Iterator[bytes]:
    """bzip2, xz and LZMA streams, one after the other."""
    decompressor: Any = None
    for piece in pieces:
        while piece:
            if decompressor is None:
                piece = piece.lstrip(b"\0")  # stream padding (xz 2.2)
                if not piece:
                    break
                decompressor = _decompressor(kind)
            given = piece
            while True:
                if out := decompressor.decompress(given, CHUNK):
                    yield out
                if decompressor.eof or decompressor.needs_input:
                    break
                given = b""
            piece = decompressor.unused_data if decompressor.eof else b""
            decompressor = None if decompressor.eof else decompressor
    if decompressor is not None:
        raise EOFError("it is cut short")


def _decompressor(kind: str) -> Any:
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_XZ if kind == "xz" else lzma.FORMAT_ALONE, memlimit=2 * MAX_WINDOW)


def _whole_frames(stream: BinaryIO) -> None:
    """Walk a Zstandard stream's frames and blocks without decompressing them (RFC 8878, 3.1). Raises EOFError where the last is cut short.

    The library's reader says nothing of a frame that ends early.
    """
    size = stream.seek(0, 2)
    at = 0
    while at < size:
        stream.seek(at)
        head = stream.read(18)
        if len(head) >= 8 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:  # a frame to be skipped
            at += 8 + int(struct.unpack_from("<I", head, 4)[0])
            continue
        if len(head) < 6 or not head.startswith(ZSTD):
            raise EOFError("it is cut short, or followed by what is no frame")
        descriptor = head[4]
        single = descriptor >> 5 & 1
        at += 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + ((1 if single else 0), 2, 4, 8)[descriptor >> 6]
        last = False
        while not last:
            stream.seek(at)
            header = stream.read(3)
            if len(header) < 3:
                raise EOFError("it is cut short")
            block = int.from_bytes(header, "little")
            last = bool(block & 1)
            at += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
        at += 4 * (descriptor >> 2 & 1)
    if at > size:
        raise EOFError("it is cut short")


# --- tar --------------------------------------------------------------------------------------------------------------------


class _Source:
    """Reads from pieces: so many bytes, or so many in pieces; knows how many were read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.position = 0

    def pieces(self, length: int) -> Iterator[bytes]:
        """The next `length` bytes in pieces; fewer where the source ends."""
        while length > 0:
            self._rest = self._rest or next(self._pieces, b"")
            if not self._rest:
                return
            piece, self._rest = self._rest[:length], self._rest[length:]
            length -= len(piece)
            self.position += len(piece)
            yield piece

    def read(self, length: int) -> bytes:
        return b"".join(self.pieces(length))


class _Header(Struct, frozen=True, kw_only=True):
    """A header block: type, name, content's size as stored, time, link's target, sparse map and real size where it has one."""

    type: bytes
    name: bytes
    size: int
    seconds: int
    link: bytes
    sparse: tuple[tuple[int, int], ...] = ()
    real: int | None = None
    extended: bool = False


def _holds_tar(stream: BinaryIO, kind: str) -> bool:
    try:
        return _header(_Source(_decompressed(stream, kind)).read(BLOCK)) is not None
    except DAMAGE:
        return False


def _number(field: bytes) -> int:
    """An octal number, or one of base 256 where the first bit is set (GNU). Raises ValueError."""
    if field[0] & 0x80:
        return (
            int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big") if field[0] != 0xFF else int.from_bytes(field, "big", signed=True)
        )
    text = field.split(b"\0", 1)[0].strip()
    if not text.isdigit() and text:
        raise ValueError(f"{text!r} is no octal number")
    return int(text or b"0", 8)


def _header(block: bytes) -> _Header | None:
    """A header block (POSIX.1-2017, pax, "ustar Interchange Format"); `None` where the block has no valid checksum."""
    if len(block) < BLOCK or not block[0]:
        return None
    try:
        stated = _number(block[148:156])
        blank = block[:148] + b" " * 8 + block[156:]
        if stated not in (sum(blank), sum(blank) - 256 * sum(byte > 127 for byte in blank)):  # old writers summed signed bytes
            return None
        size, seconds = _number(block[124:136]), _number(block[136:148])
        name = block[:100].split(b"\0", 1)[0]
        if block[257:263] == b"ustar\0" and (prefix := block[345:500].split(b"\0", 1)[0]):
            name = prefix + b"/" + name
        kind = block[156:157]
        sparse: tuple[tuple[int, int], ...] = ()
        if kind == b"S":  # GNU: four pieces and the real size in the header
            sparse = tuple((_number(block[at : at + 12]), _number(block[at + 12 : at + 24])) for at in range(386, 482, 24) if block[at])
        real = _number(block[483:495]) if kind == b"S" else None
        link = block[157:257].split(b"\0", 1)[0]
    except ValueError:
        return None
    if size < 0:
        return None
    return _Header(
        type=kind, name=name, size=size, seconds=seconds, link=link, sparse=sparse, real=real, extended=kind == b"S" and block[482] > 0
    )


def _members(source: _Source, inventory: Inventory) -> Iterator[Member]:
    """The members in order. What the last headers said of the next member goes into it; after a broken block, the next valid is sought."""
    everywhere: dict[bytes, bytes] = {}
    own: dict[bytes, bytes] = {}
    lost = 0
    while block := source.read(BLOCK):
        at = source.position - len(block)
        header = _header(block)
        if header is None:
            if len(block) < BLOCK:
                inventory.damaged("", f"it ends within a block, at byte {at}")
            elif block.strip(b"\0") and not lost:  # empty blocks end an archive; another may have been put behind it
                inventory.damaged("", f"no valid header at byte {at}")
            lost += bool(block.strip(b"\0"))
            continue
        lost = 0
        if header.type in (b"x", b"g", b"L", b"K"):
            if header.size > MAX_HEADER:
                inventory.damaged("", f"a header of {header.size} bytes at byte {at} (limit {MAX_HEADER})")
                _skip(source, header.size)
                continue
            content = source.read(header.size)
            _skip(source, -header.size % BLOCK)
            if header.type in (b"x", b"g"):
                (own if header.type == b"x" else everywhere).update((key, value) for key, value in _pax(content) if key in KEYS)
            else:
                own[b"path" if header.type == b"L" else b"linkpath"] = content.split(b"\0", 1)[0]
            continue
        yield from _member(source, header, {**everywhere, **own}, inventory)
        own = {}


def _skip(source: _Source, length: int) -> None:
    for _ in source.pieces(length):
        pass


def _pax(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of a pax header, ``LENGTH KEY=VALUE\\n``. The pieces of a sparse file (GNU 0.0) come under one key, joined by commas."""
    at, pieces = 0, []
    while at < len(content):
        length, blank, _ = content[at : at + 20].partition(b" ")
        if not blank or not length.isdigit() or not len(length) + 2 < int(length) <= len(content) - at:
            break
        key, _, value = content[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            pieces.append(value)
        else:
            yield key, value
        at += int(length)
    if pieces:
        yield b"GNU.sparse.map", b",".join(pieces)


def _decimal(text: bytes) -> int:
    """A number of a pax header or of a sparse map. Raises ValueError."""
    if not text.isdigit() or len(text) > MAX_DIGITS:
        raise ValueError(f"{text[:40]!r} is no decimal number of at most {MAX_DIGITS} digits")
    return int(text)


def _named(name: bytes, inventory: Inventory) -> str:
    """A path, or what a link points to, as text; its beginning where it is longer than any system has."""
    if len(name) > MAX_NAME:
        inventory.damaged(name[:200].decode("utf-8", "surrogateescape"), f"a name of {len(name)} bytes (limit {MAX_NAME}): it is cut")
    return name[:MAX_NAME].decode("utf-8", "surrogateescape")


def _member(source: _Source, header: _Header, said: dict[bytes, bytes], inventory: Inventory) -> Iterator[Member]:
    path = _named(said.get(b"GNU.sparse.name") or said.get(b"path") or header.name, inventory)
    stored = header.size
    try:
        stored = _decimal(said[b"size"]) if said.get(b"size") else stored
    except ValueError as error:
        inventory.damaged(path[:200], f"its size cannot be read ({error})")
    kind: Literal["file", "directory", "link", "other"] = "file"
    if header.type == b"5" or (header.type in (b"0", b"\0") and path.endswith("/")):
        kind = "directory"
    elif header.type in (b"1", b"2"):
        kind = "link"
    elif header.type in (b"3", b"4", b"6", b"V", b"M", b"D", b"N"):
        kind = "other"
    if kind in ("link", "directory") or header.type in (b"3", b"4", b"6"):  # whatever size they state, no content follows
        stored = 0
    inventory.note(path, directory=kind == "directory")
    before = source.position
    sparse, real = header.sparse, header.real
    try:
        if header.extended:
            try:
                sparse += _extended(source)
            finally:
                before = source.position
        if b"GNU.sparse.map" in said:
            numbers = [_decimal(number) for number in said[b"GNU.sparse.map"].split(b",")]
            sparse, real = tuple(zip(numbers[::2], numbers[1::2], strict=True)), _decimal(said.get(b"GNU.sparse.size", b"0"))
        elif said.get(b"GNU.sparse.major") == b"1":
            sparse = _map(source, stored)
            real = _decimal(said.get(b"GNU.sparse.realsize", b"0"))
        if real is not None:
            _check(sparse, real, before + stored - source.position)
    except ValueError as error:
        inventory.damaged(path[:200], f"its sparse map cannot be read ({error})")
        sparse, real = (), None
    left = before + stored - source.position  # without the map that stands before the content
    target = _named(said.get(b"linkpath") or header.link, inventory) if kind == "link" else None

    def content() -> Iterator[bytes]:
        yield from _spread(source, sparse, real) if real is not None else source.pieces(left)

    yield Member(
        path=path,
        open=lambda: stream_of(content() if kind == "file" else ()),
        size=(left if real is None else real) if kind == "file" else None,
        times=_times(header, said),
        kind=kind,
        target=target,
    )
    _skip(source, before + stored - source.position)
    if source.position < before + stored:
        inventory.damaged(path[:200], f"{source.position - before} of {stored} bytes are there")
    _skip(source, before + stored + -stored % BLOCK - source.position)


def _check(sparse: tuple[tuple[int, int], ...], real: int, stored: int) -> None:
    """That the pieces of a sparse file stand in order, lie within it and have no more bytes than are stored. Raises ValueError."""
    if len(sparse) > MAX_SPARSE:
        raise ValueError(f"sparse file of {len(sparse)} pieces (limit {MAX_SPARSE})")
    if real < 0:
        raise ValueError(f"sparse file of {real} bytes")
    end = total = 0
    for offset, length in sparse:
        if offset < end or length < 0 or offset + length > real:
            raise ValueError(f"{length} bytes at byte {offset} of {real}, behind byte {end}")
        end, total = offset + length, total + length
    if total > stored:
        raise ValueError(f"pieces of {total} bytes, of which {stored} are stored")


def _extended(source: _Source) -> tuple[tuple[int, int], ...]:
    """The further blocks of an old GNU sparse map: 21 pieces each. Raises ValueError."""
    found: list[tuple[int, int]] = []
    more = True
    while more and len(found) <= MAX_SPARSE:
        block = source.read(BLOCK)
        if len(block) < BLOCK:
            raise ValueError("it is cut short")
        found += [(_number(block[at : at + 12]), _number(block[at + 12 : at + 24])) for at in range(0, 504, 24) if block[at]]
        more = block[504] > 0
    return tuple(found)


def _map(source: _Source, stored: int) -> tuple[tuple[int, int], ...]:
    """The map that stands before the content, as a part of what is stored (GNU 1.0): decimal numbers, one a line, in whole blocks.

    Raises ValueError.
    """
    blocks: list[bytes] = []
    lines, wanted = 0, 1
    while lines < wanted:
        if (len(blocks) + 1) * BLOCK > min(stored, MAX_HEADER):
            raise ValueError(f"it does not end within the {min(stored, MAX_HEADER)} bytes that it may have")
        block = source.read(BLOCK)
        if len(block) < BLOCK:
            raise ValueError("it is cut short")
        if not lines and b"\n" in block:
            wanted = 1 + 2 * _decimal(b"".join((*blocks, block[: block.index(b"\n")])))
        lines += block.count(b"\n")
        blocks.append(block)
    numbers = [_decimal(line) for line in b"".join(blocks).split(b"\n", wanted)[1:wanted]]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _spread(source: _Source, sparse: tuple[tuple[int, int], ...], real: int) -> Iterator[bytes]:
    """A sparse file as it was: its pieces where they belong, zeros between."""
    zeros = bytes(CHUNK)
    at = 0
    for offset, length in (*sparse, (real, 0)):
        while at < min(offset, real):
            gap = zeros[: min(offset, real) - at]
            at += len(gap)
            yield gap
        for piece in source.pieces(length):
            at += len(piece)
            yield piece


def _times(header: _Header, said: dict[bytes, bytes]) -> Times:
    """Times in UTC; pax gives fractions of a second, and times of access and change."""
    found: dict[str, str | None] = {}
    for key, field in ((b"mtime", "modified"), (b"atime", "accessed"), (b"ctime", "changed"), (b"LIBARCHIVE.creationtime", "born")):
        whole, _, fraction = said.get(key, b"").decode("ascii", "replace").partition(".")
        if whole.removeprefix("-").isdecimal() and whole.isascii() and len(whole) < 15:
            seconds = int(whole)
            found[field] = _moment(seconds, fraction if fraction.isdecimal() and not whole.startswith("-") else "")
    if "modified" not in found and header.seconds:
        found["modified"] = _moment(header.seconds)
    return Times(**found)
