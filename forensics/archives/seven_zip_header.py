"""The header of a 7z archive: its members, and the folders of coders in which their contents lie (7zFormat.txt of the LZMA SDK 24).

An archive's header may be packed, and encrypted, like a member.
"""

import struct
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import BinaryIO

from msgspec import Struct, structs

from forensics.archives.methods import DAMAGE
from forensics.errors import LimitExceeded, Locked
from forensics.model import Times

MAX_HEADER = 64 << 20  # bytes of the archive's header, unpacked
MAX_FILES = 1 << 20
MAX_CODERS = 32  # of a folder, as 7-Zip itself
BROKEN = (IndexError, struct.error, UnicodeDecodeError, *DAMAGE)  # what a header that cannot be read raises
AES = b"\x06\xf1\x07\x01"


class Coder(Struct, frozen=True):
    """One step of decompression: its method, its properties, how many bytes come out, where its bytes come from.

    A source that is not negative is a coder of the folder; -1 is the first packed stream, -2 the second, and so on.
    """

    method: bytes
    properties: bytes
    size: int
    sources: tuple[int, ...]


class Folder(Struct, frozen=True, kw_only=True):
    """A stream of members' contents, one after the other: its coders, which of them gives the contents, where packed streams lie.

    Without coders it cannot be read, and `why` says why. `sizes` and `checksums` are those of its contents, `whole` is its own checksum.
    """

    coders: tuple[Coder, ...]
    main: int
    why: str
    packed: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...] = ()
    checksums: tuple[int | None, ...] = ()

    @property
    def encrypted(self) -> bool:
        return any(coder.method == AES for coder in self.coders)


class Entry(Struct, frozen=True, kw_only=True):
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


def listing(stream: BinaryIO, size: int, unpack: Callable[[Folder], bytes | str]) -> tuple[list[Folder], list[Entry]]:
    """Folders and files. `unpack` gives the content of a folder, decrypted and checked, or why it stays locked.

    Raises one of `BROKEN`, LimitExceeded, or Locked where the list itself is encrypted.
    """
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
        if not folder.coders:
            raise ValueError(f"packed with {folder.why}, which is not read")
        if not folder.sizes:
            raise ValueError("a packed header without content")
        whole = folder.coders[folder.main].size  # what comes out, whatever contents it is said to hold
        if whole > MAX_HEADER:
            raise LimitExceeded(f"7z archive with a header of {whole} bytes (limit {MAX_HEADER})")
        unpacked = unpack(folder)
        if isinstance(unpacked, str):
            said = f" ({unpacked})" if unpacked else ""
            raise Locked(f"7z archive whose list of members is encrypted, opened by no password that was given{said}")
        data = unpacked
    raise ValueError("it is of no known kind")


def _header(reader: _Bytes) -> tuple[list[Folder], list[Entry]]:
    folders: list[Folder] = []
    files: list[Entry] = []
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


def _streams(reader: _Bytes) -> list[Folder]:
    """StreamsInfo: where packed streams lie, folders, and the contents in them."""
    position, packed = 0, [0]
    folders: list[Folder] = []
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


def _folders(reader: _Bytes, position: int, packed: list[int]) -> list[Folder]:
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
        coders, why = shape.tree(out)
        lengths = packed[stream : stream + shape.packed]
        places = []
        for length in lengths:
            places.append((position, length))
            position += length
        stream += shape.packed
        main = shape.main
        size = coders[main].size if coders else out[main]
        folders.append(Folder(coders=coders, main=main, why=why, packed=tuple(places), sizes=(size,), checksums=(checksum,)))
    return folders


class _Shape(Struct, frozen=True):
    """How a folder's coders hang together: method, properties and number of inputs of each; pairs of a bound input and the output that
    feeds it; the inputs that packed streams feed, in their order."""

    coders: tuple[tuple[bytes, bytes, int], ...]
    outputs: int
    pairs: tuple[tuple[int, int], ...]
    open: tuple[int, ...]

    @property
    def packed(self) -> int:
        return len(self.open)

    @property
    def main(self) -> int:
        """The output that feeds nothing: the folder's."""
        return next((place for place in range(self.outputs) if place not in {fed for _, fed in self.pairs}), 0)

    def tree(self, sizes: list[int]) -> tuple[tuple[Coder, ...], str]:
        """The coders, each with its sources; none, and why, where they do not make one tree of coders with an output each."""
        if self.outputs != len(self.coders):
            return (), "coders of several outputs"
        feeds = dict(self.pairs) | {place: -1 - number for number, place in enumerate(self.open)}
        found, first = [], 0
        for (method, properties, inputs), size in zip(self.coders, sizes, strict=True):
            found.append(
                Coder(method, properties, size, tuple(feeds.get(place, len(self.coders)) for place in range(first, first + inputs)))
            )
            first += inputs
        reached: list[int] = []
        todo = [self.main]
        while todo:
            place = todo.pop()
            if place in reached or place >= len(found):
                return (), "coders that do not hang together"
            reached.append(place)
            todo += [source for source in found[place].sources if source >= 0]
        if len(reached) != len(found):
            return (), "coders that do not hang together"
        return tuple(found), ""


def _shape(reader: _Bytes) -> _Shape:
    coders = []
    inputs, outputs = 0, 0
    for _ in range(_few(reader)):
        flags = reader.byte()
        method = reader.take(flags & 15)
        ins, outs = (_few(reader), _few(reader)) if flags & 16 else (1, 1)
        inputs, outputs = inputs + ins, outputs + outs
        coders.append((method, reader.take(reader.number()) if flags & 32 else b"", ins))
        if flags & 0x80:
            raise ValueError("a coder with alternatives")
    if not coders or outputs == 0 or inputs < outputs - 1:
        raise ValueError("a folder without coders")
    pairs = tuple((reader.number(), reader.number()) for _ in range(outputs - 1))
    if any(place >= inputs or fed >= outputs for place, fed in pairs):
        raise ValueError("a folder whose coders do not hang together")
    packed = inputs - len(pairs)
    bound = dict(pairs)
    free = tuple(place for place in range(inputs) if place not in bound)
    return _Shape(tuple(coders), outputs, pairs, tuple(reader.number() for _ in range(packed)) if packed > 1 else free[:1])


def _few(reader: _Bytes) -> int:
    count = reader.number()
    if count > MAX_CODERS:
        raise ValueError(f"{count} coders or streams in a folder (limit {MAX_CODERS})")
    return count


def _substreams(reader: _Bytes, folders: list[Folder]) -> list[Folder]:
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
    return [structs.replace(folder, sizes=tuple(sizes[place]), checksums=tuple(checksums[place])) for place, folder in enumerate(folders)]


def _files(reader: _Bytes) -> list[Entry]:
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
        entries.append(Entry(path=names[place], has_stream=not streamless[place], directory=directory, link=link, times=Times(**stamps)))
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
