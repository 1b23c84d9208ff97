"""7z archives: their members, streamed folder by folder (7zFormat.txt of the LZMA SDK 24).

Read are: stored, LZMA, LZMA2, bzip2, Deflate and Zstandard, with the branch and delta filters. Not read, and said so, are PPMd, BCJ2 and
Deflate64; what is encrypted is named, not opened.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import zstandard
from msgspec import Struct

from forensics.plugin import File, Finding, Inventory, LimitExceeded, Locked, Member, Times, Unsupported, container, stream_of

CHUNK = 1 << 16  # bytes read and given on at once
MAX_HEADER = 64 << 20  # bytes of the archive's header, unpacked
MAX_WINDOW = 256 << 20  # bytes of a decompressor's window
MAX_FILES = 1 << 20
MAX_CODERS = 32  # of a folder, as 7-Zip itself
MAGIC = b"7z\xbc\xaf\x27\x1c"
LZMA1, LZMA2, DELTA, AES = b"\x03\x01\x01", b"\x21", b"\x03", b"\x06\xf1\x07\x01"
STORED, DEFLATE, BZIP2, ZSTD = b"\0", b"\x04\x01\x08", b"\x04\x02\x02", b"\x04\xf7\x11\x01"
BRANCH = {
    b"\x03\x03\x01\x03": lzma.FILTER_X86,
    b"\x03\x03\x02\x05": lzma.FILTER_POWERPC,
    b"\x03\x03\x04\x01": lzma.FILTER_IA64,
    b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x03\x03\x07\x01": lzma.FILTER_ARMTHUMB,
    b"\x03\x03\x08\x05": lzma.FILTER_SPARC,
    b"\x04": lzma.FILTER_X86,
    b"\x05": lzma.FILTER_POWERPC,
    b"\x06": lzma.FILTER_IA64,
    b"\x07": lzma.FILTER_ARM,
    b"\x08": lzma.FILTER_ARMTHUMB,
    b"\x09": lzma.FILTER_SPARC,
}
OTHERS = {b"\x03\x03\x01\x1b": "BCJ2", b"\x03\x04\x01": "PPMd", b"\x04\x01\x09": "Deflate64", b"\x0a": "ARM64", b"\x0b": "RISC-V"}
DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class _Coder(Struct, frozen=True):
    """One step of decompression: its method, its properties, how many bytes come out."""

    method: bytes
    properties: bytes
    size: int


class _Folder(Struct, frozen=True, kw_only=True):
    """A stream of members' contents, one after the other: steps in order, where its packed bytes lie, sizes and checksums of contents.

    `steps` is empty where the steps branch (BCJ2) or are of a method that is not read; `why` says which.
    """

    steps: tuple[_Coder, ...]
    why: str
    encrypted: bool
    begin: int
    packed: int
    sizes: tuple[int, ...] = ()
    checksums: tuple[int | None, ...] = ()

    @property
    def readable(self) -> bool:
        return bool(self.steps) and not self.encrypted


@container(version="1.0", mime=("application/x-7z-compressed",), magic=(MAGIC,))
def seven_zip(file: File) -> Iterator[Member | Finding]:
    """Files in 7z archives; members that are encrypted or compressed in a way that is not read are named.

    Raises Unsupported where the content is no 7z archive, Corrupt after the members that could be read, Locked where members or the
    list of them are encrypted, LimitExceeded for a header beyond what is sensible.
    """
    inventory = Inventory("7z archive")
    with file.open() as stream:
        if stream.read(6) != MAGIC:
            raise Unsupported("content that is no 7z archive")
        try:
            folders, files = _listing(stream, file.size)
        except (IndexError, struct.error, UnicodeDecodeError, *DAMAGE) as error:
            inventory.damaged("", f"its header cannot be read ({error or type(error).__name__})")
            folders, files = [], []
        except Locked:
            yield Finding(
                kind="locked-members",
                summary="Encrypted 7z archive: names and contents",
                data={"format": inventory.what, "examples": ["names and contents"]},
                level="notable",
            )
            raise
        yield from _members(stream, folders, files, inventory)
    yield from inventory.conclude()


def _members(stream: BinaryIO, folders: list[_Folder], files: list["_Entry"], inventory: Inventory) -> Iterator[Member]:
    contents = _contents(stream, folders, inventory)
    for entry in files:
        inventory.note(entry.path, directory=entry.directory)
        if not entry.has_stream:
            yield Member(path=entry.path, open=lambda: stream_of(()), times=entry.times, kind="directory" if entry.directory else "file")
            continue
        found = next(contents, None)
        if found is None:
            inventory.damaged(entry.path, "no content is recorded for it")
            continue
        size = found.size
        if not found.folder.readable:
            if found.folder.encrypted:
                inventory.locked(entry.path)
            else:
                inventory.unread(entry.path, f"compressed with {found.folder.why}")
            yield Member(path=entry.path, open=lambda: stream_of(()), size=size, times=entry.times, kind="other")
            continue
        reader = _checked(found.pieces, entry.path, size, found.checksum, inventory)
        target = b"".join(reader)[:4096].decode("utf-8", "surrogateescape") if entry.link and size <= 4096 else None
        content = () if target is not None else reader
        yield Member(
            path=entry.path,
            open=lambda content=content: stream_of(content),  # type: ignore[misc]
            size=size,
            times=entry.times,
            kind="file" if target is None else "link",
            target=target,
        )


class _Content(Struct, frozen=True):
    """A member's content: its folder, its size, its pieces, its checksum."""

    folder: _Folder
    size: int
    pieces: Iterator[bytes]
    checksum: int | None


def _contents(stream: BinaryIO, folders: list[_Folder], inventory: Inventory) -> Iterator[_Content]:
    """The contents in order. What was not read of one is read past before the next begins."""
    for folder in folders:
        source = _Source(_unpacked(stream, folder) if folder.readable else iter(()))
        for size, checksum in zip(folder.sizes, folder.checksums, strict=True):
            end = source.position + size
            yield _Content(folder, size, source.pieces(size), checksum)
            if folder.readable:
                source.skip(end - source.position)


def _checked(pieces: Iterator[bytes], path: str, size: int, checksum: int | None, inventory: Inventory) -> Iterator[bytes]:
    count, crc, why = 0, 0, "cut short"
    try:
        for piece in pieces:
            yield piece
            count += len(piece)
            crc = zlib.crc32(piece, crc)
    except DAMAGE as error:
        why = str(error) or type(error).__name__
    if count < size:
        inventory.damaged(path, f"readable to byte {count} of {size} ({why})")
    elif checksum is not None and crc != checksum:
        inventory.damaged(path, f"checksum {crc:08x}, stated {checksum:08x}")


class _Source:
    """A folder's stream, of which members are taken one after the other; after damage it gives nothing more."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.position = 0

    def pieces(self, length: int) -> Iterator[bytes]:
        while length > 0:
            self._rest = self._rest or next(self._pieces, b"")
            if not self._rest:
                return
            piece, self._rest = self._rest[:length], self._rest[length:]
            length -= len(piece)
            self.position += len(piece)
            yield piece

    def skip(self, length: int) -> None:
        """Pass over what was not read; damage there is met again by the next member, which has nothing."""
        try:
            for _ in self.pieces(length):
                pass
        except DAMAGE:
            return


# --- decompression ----------------------------------------------------------------------------------------------------------


def _unpacked(stream: BinaryIO, folder: _Folder) -> Iterator[bytes]:
    """A folder's stream, in pieces of at most `CHUNK` bytes or so. Raises one of `DAMAGE`."""
    pieces = _packed(stream, folder.begin, folder.packed)
    for coder in folder.steps:
        pieces = _limited(_step(pieces, coder), coder.size)
    yield from pieces


def _packed(stream: BinaryIO, begin: int, length: int) -> Iterator[bytes]:
    at = begin
    while at < begin + length:
        stream.seek(at)
        piece = stream.read(min(CHUNK, begin + length - at))
        if not piece:
            raise EOFError("the archive is cut short")
        at += len(piece)
        yield piece


def _limited(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            return


def _step(pieces: Iterator[bytes], coder: _Coder) -> Iterator[bytes]:
    if coder.method == STORED:
        return pieces
    if coder.method == DEFLATE:
        return _inflated(pieces)
    if coder.method == ZSTD:
        return _zstd(pieces)
    if coder.method == BZIP2:
        return _bzip2(pieces)
    window = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(coder))
    return _fed(_as_chunks(pieces) if coder.method == DELTA or coder.method in BRANCH else pieces, window)


def _filters(coder: _Coder) -> list[dict[str, int]]:
    """A coder's liblzma filters. A window larger than what comes out is of no use, so a claim of one costs nothing."""
    if coder.method == DELTA:
        distance = coder.properties[0] + 1 if coder.properties else 1
        return [{"id": lzma.FILTER_DELTA, "dist": distance}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]
    if coder.method in BRANCH:
        return [{"id": BRANCH[coder.method]}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]
    if coder.method == LZMA2:
        bits = coder.properties[0] if coder.properties else 0
        window = 0xFFFFFFFF if bits >= 40 else (2 | bits & 1) << (bits // 2 + 11)
        return [{"id": lzma.FILTER_LZMA2, "dict_size": _window(window, coder.size)}]
    if len(coder.properties) < 5 or coder.properties[0] >= 225:
        raise ValueError("LZMA properties are not valid")
    rest, lc = divmod(coder.properties[0], 9)
    pb, lp = divmod(rest, 5)
    window = _window(struct.unpack_from("<I", coder.properties, 1)[0], coder.size)
    return [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": window}]


def _window(stated: int, size: int) -> int:
    window = max(4096, min(stated, size))
    if window > MAX_WINDOW:
        raise ValueError(f"decompression needs a window of {window} bytes (limit {MAX_WINDOW})")
    return window


def _as_chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes as uncompressed LZMA2 chunks: liblzma runs its filters only before LZMA2 (xz file format 1.2.1, 5.3.1)."""
    first = True
    for piece in pieces:
        for at in range(0, len(piece), CHUNK):
            part = piece[at : at + CHUNK]
            yield (b"\x01" if first else b"\x02") + struct.pack(">H", len(part) - 1) + part
            first = False
    yield b"\0"


def _fed(pieces: Iterator[bytes], decompressor: Any) -> Iterator[bytes]:
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
    while out := decompressor.decompress(b"", CHUNK) if not decompressor.eof and not decompressor.needs_input else b"":
        yield out


def _bzip2(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """bzip2 as 7-Zip writes it: one stream or, from several threads, several."""
    decompressor = bz2.BZ2Decompressor()
    for piece in pieces:
        while piece:
            yield from _fed(iter((piece,)), decompressor)
            piece = decompressor.unused_data if decompressor.eof else b""
            decompressor = bz2.BZ2Decompressor() if decompressor.eof else decompressor


def _zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(stream_of(pieces), read_across_frames=True)
    while piece := reader.read(CHUNK):
        yield piece


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


# --- the header -------------------------------------------------------------------------------------------------------------


class _Entry(Struct, frozen=True, kw_only=True):
    """A file of the list: path, whether content is stored for it, what it is, its times."""

    path: str
    has_stream: bool
    directory: bool
    link: bool
    times: Times


class _Bytes:
    """The header's bytes, taken one after the other. Raises IndexError or struct.error past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise EOFError(f"{length} bytes wanted at byte {self.at} of {len(self.data)}")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self) -> int:
        """A number: as many bytes follow as the first has leading ones, its other bits are the highest."""
        first = self.byte()
        mask, value = 0x80, 0
        for place in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << (8 * place)
            value |= self.byte() << (8 * place)
            mask >>= 1
        return value

    def count(self) -> int:
        """A number of things, each of which takes a bit of the header at the least."""
        value = self.number()
        if value > min(8 * len(self.data), MAX_FILES):
            raise ValueError(f"{value} things in a header of {len(self.data)} bytes")
        return value

    def bits(self, count: int) -> list[bool]:
        data = self.take((count + 7) // 8)
        return [bool(data[place >> 3] & 0x80 >> (place & 7)) for place in range(count)]

    def some_bits(self, count: int) -> list[bool]:
        """Which of them are defined; a first byte other than zero means all."""
        return [True] * count if self.byte() else self.bits(count)

    def checksums(self, count: int) -> list[int | None]:
        return [struct.unpack("<I", self.take(4))[0] if defined else None for defined in self.some_bits(count)]


def _listing(stream: BinaryIO, size: int) -> tuple[list[_Folder], list[_Entry]]:
    """Folders and files. Raises one of `DAMAGE`, IndexError, struct.error, or Locked where the list itself is encrypted."""
    stream.seek(8)
    start = stream.read(24)
    checksum, offset, length, header_checksum = struct.unpack("<IQQI", start)
    if zlib.crc32(start[4:]) != checksum:
        raise ValueError("the checksum of its first 32 bytes is wrong")
    if length == 0:
        return [], []
    if offset + length > size - 32:
        raise EOFError(f"it should stand at byte {32 + offset}, the archive ends at {size}")
    if length > MAX_HEADER:
        raise LimitExceeded(f"7z archive with a header of {length} bytes (limit {MAX_HEADER})")
    stream.seek(32 + offset)
    data = stream.read(length)
    if zlib.crc32(data) != header_checksum:
        raise ValueError("its checksum is wrong")
    for _ in range(8):  # a packed header may hold a packed header
        reader = _Bytes(data)
        kind = reader.byte()
        if kind == 1:
            return _header(reader)
        if kind != 0x17:
            break
        folders = _streams(reader)
        if len(folders) != 1:
            raise ValueError("a packed header in no single folder")
        (folder,) = folders
        if folder.encrypted:
            raise Locked("7z archive whose list of members is encrypted; no password was given")
        if not folder.steps:
            raise ValueError(f"packed with {folder.why}, which is not read")
        if sum(folder.sizes) > MAX_HEADER:
            raise LimitExceeded(f"7z archive with a header of {sum(folder.sizes)} bytes (limit {MAX_HEADER})")
        data = b"".join(_unpacked(stream, folder))
    raise ValueError("it is of no known kind")


def _header(reader: _Bytes) -> tuple[list[_Folder], list[_Entry]]:
    folders: list[_Folder] = []
    files: list[_Entry] = []
    while kind := reader.byte():
        if kind == 4:
            folders = _streams(reader)
        elif kind == 5:
            files = _files(reader)
        elif kind == 2:  # properties of the archive, of which none is defined
            while reader.number():
                reader.take(reader.number())
        elif kind == 3:
            _streams(reader)
        else:
            raise ValueError(f"property {kind} where none such belongs")
    return folders, files


def _streams(reader: _Bytes) -> list[_Folder]:
    """StreamsInfo: where packed streams lie, folders, and the contents in them."""
    position, packed = 0, [0]
    folders: list[_Folder] = []
    while kind := reader.byte():
        if kind == 6:
            position = 32 + reader.number()
            packed = [0] * reader.count()
            while inner := reader.byte():
                if inner == 9:
                    packed = [reader.number() for _ in packed]
                elif inner == 10:
                    reader.checksums(len(packed))
        elif kind == 7:
            folders = _folders(reader, position, packed)
        elif kind == 8:
            folders = _substreams(reader, folders)
        else:
            raise ValueError(f"property {kind} where none such belongs")
    return folders


def _folders(reader: _Bytes, position: int, packed: list[int]) -> list[_Folder]:
    if reader.byte() != 11:
        raise ValueError("no folders where folders belong")
    count = reader.count()
    if reader.byte():
        raise ValueError("its folders are stored elsewhere")
    shapes = [_shape(reader) for _ in range(count)]
    if reader.byte() != 12:
        raise ValueError("no sizes where sizes belong")
    sizes = [[reader.number() for _ in range(shape.outputs)] for shape in shapes]
    checksums: list[int | None] = [None] * count
    while inner := reader.byte():
        if inner == 10:
            checksums = reader.checksums(count)
    folders = []
    stream = 0
    for shape, out, checksum in zip(shapes, sizes, checksums, strict=True):
        steps, why = shape.chain(out)
        begin = position
        length = packed[stream] if stream < len(packed) else 0
        position += sum(packed[stream : stream + shape.packed])
        stream += shape.packed
        last = steps[-1].size if steps else out[shape.main]
        encrypted = any(method == AES for method, _ in shape.coders)
        folders.append(_Folder(steps=steps, why=why, encrypted=encrypted, begin=begin, packed=length, sizes=(last,), checksums=(checksum,)))
    return folders


class _Shape(Struct, frozen=True):
    """How a folder's coders hang together: (method, properties) of each, pairs of a bound input and the output that feeds it."""

    coders: tuple[tuple[bytes, bytes], ...]
    simple: bool
    outputs: int
    pairs: tuple[tuple[int, int], ...]
    packed: int

    @property
    def main(self) -> int:
        """The output that feeds nothing: the folder's."""
        return next((place for place in range(self.outputs) if place not in {fed for _, fed in self.pairs}), 0)

    def chain(self, sizes: list[int]) -> tuple[tuple[_Coder, ...], str]:
        """The coders in the order in which they decompress; none, and why, where they branch or one is not read."""
        for method, _ in self.coders:
            if method not in (STORED, LZMA1, LZMA2, DELTA, DEFLATE, BZIP2, ZSTD, AES) and method not in BRANCH:
                return (), OTHERS.get(method, f"method {method.hex()}")
        if not self.simple or self.packed != 1:
            return (), "branching steps"
        feeds = {fed: place for place, fed in self.pairs}
        place = next((place for place in range(len(self.coders)) if place not in dict(self.pairs)), 0)
        steps: list[_Coder] = []
        while len(steps) < len(self.coders):
            steps.append(_Coder(*self.coders[place], sizes[place]))
            if place not in feeds:
                break
            place = feeds[place]
        if len(steps) != len(self.coders):
            return (), "steps that do not follow each other"
        return tuple(steps), ""


def _shape(reader: _Bytes) -> _Shape:
    coders = []
    simple, inputs, outputs = True, 0, 0
    for _ in range(_few(reader)):
        flags = reader.byte()
        method = reader.take(flags & 15)
        ins, outs = (_few(reader), _few(reader)) if flags & 16 else (1, 1)
        simple = simple and (ins, outs) == (1, 1)
        inputs, outputs = inputs + ins, outputs + outs
        coders.append((method, reader.take(reader.number()) if flags & 32 else b""))
        if flags & 0x80:
            raise ValueError("a coder with alternatives")
    if not coders or outputs == 0 or inputs < outputs - 1:
        raise ValueError("a folder without coders")
    pairs = tuple((reader.number(), reader.number()) for _ in range(outputs - 1))
    if any(place >= inputs or fed >= outputs for place, fed in pairs):
        raise ValueError("a folder whose coders do not hang together")
    packed = inputs - len(pairs)
    if packed > 1:
        for _ in range(packed):
            reader.number()
    return _Shape(tuple(coders), simple, outputs, pairs, packed)


def _few(reader: _Bytes) -> int:
    count = reader.number()
    if count > MAX_CODERS:
        raise ValueError(f"{count} coders or streams in a folder (limit {MAX_CODERS})")
    return count


def _substreams(reader: _Bytes, folders: list[_Folder]) -> list[_Folder]:
    """How many contents each folder holds, their sizes (the last of a folder is what remains) and checksums."""
    counts = [1] * len(folders)
    kind = reader.byte()
    if kind == 13:
        counts = [reader.count() for _ in folders]
        kind = reader.byte()
    if sum(counts) > MAX_FILES:
        raise LimitExceeded(f"7z archive of {sum(counts)} members (limit {MAX_FILES})")
    sizes: list[list[int]] = []
    for folder, count in zip(folders, counts, strict=True):
        stated = [reader.number() for _ in range(count - 1)] if kind == 9 and count > 1 else [0] * max(0, count - 1)
        rest = folder.sizes[0] - sum(stated)
        if rest < 0:
            raise ValueError("contents that are larger than their folder")
        sizes.append([*stated, rest][:count] if count else [])
    kind = reader.byte() if kind == 9 else kind
    known = [folder.checksums[0] if count == 1 else None for folder, count in zip(folders, counts, strict=True)]
    checksums: list[list[int | None]] = [[own] if count == 1 else [None] * count for own, count in zip(known, counts, strict=True)]
    while kind:
        if kind == 10:
            wanted = [(place, number) for place, sums in enumerate(checksums) for number, own in enumerate(sums) if own is None]
            for (place, number), value in zip(wanted, reader.checksums(len(wanted)), strict=True):
                checksums[place][number] = value
        else:
            raise ValueError(f"property {kind} where none such belongs")
        kind = reader.byte()
    return [
        _Folder(
            steps=folder.steps,
            why=folder.why,
            encrypted=folder.encrypted,
            begin=folder.begin,
            packed=folder.packed,
            sizes=tuple(sizes[place]),
            checksums=tuple(checksums[place]),
        )
        for place, folder in enumerate(folders)
    ]


def _files(reader: _Bytes) -> list[_Entry]:
    count = reader.count()
    names: list[str] = []
    streamless, empty = [False] * count, [False] * count
    times: dict[int, list[int | None]] = {}
    attributes: list[int | None] = [None] * count
    while kind := reader.number():
        inner = _Bytes(reader.take(reader.number()))
        if kind == 14:
            streamless = inner.bits(count)
        elif kind == 15:
            empty = inner.bits(sum(streamless))
        elif kind == 17 and not inner.byte():
            # A lone half of a pair has no text form: it is shown as its bytes.
            names = inner.take(len(inner.data) - 1).decode("utf-16-le", "backslashreplace").split("\0")[:count]
        elif kind in (18, 19, 20):
            times[kind] = _values(inner, count, "<Q")
        elif kind == 21:
            attributes = _values(inner, count, "<I")
    if len(names) < count:
        raise ValueError(f"{len(names)} names for {count} files")
    entries = []
    number = 0
    for place in range(count):
        directory = streamless[place] and not (number < len(empty) and empty[number])
        number += streamless[place]
        value = attributes[place] or 0
        stamps = {
            field: _filetime(times[kind][place]) for kind, field in ((18, "born"), (19, "accessed"), (20, "modified")) if kind in times
        }
        link = bool(value & 0x8000 and (value >> 16) & 0xF000 == 0xA000)  # a Unix mode in the upper half (p7zip)
        entries.append(_Entry(path=names[place], has_stream=not streamless[place], directory=directory, link=link, times=Times(**stamps)))
    return entries


def _values(reader: _Bytes, count: int, form: str) -> list[int | None]:
    defined = reader.some_bits(count)
    if reader.byte():
        raise ValueError("properties of files that are stored elsewhere")
    return [struct.unpack(form, reader.take(struct.calcsize(form)))[0] if one else None for one in defined]


def _filetime(value: int | None) -> str | None:
    """A FILETIME (100 ns since 1601, UTC) as text; `None` for zero and for what no calendar holds."""
    try:
        return f"{(datetime(1601, 1, 1) + timedelta(seconds=value // 10**7)).isoformat()}.{value % 10**7:07}Z" if value else None  # noqa: DTZ001
    except OverflowError:
        return None
