"""AD1 logical images of FTK Imager, versions 2 to 4: a tree of files, their metadata, and the digests taken at acquisition.

Its maker publishes no specification. The layout is as others found it in images: AD1-tools (al3ks1s), and the article "Dissecting the
AD1 file format" (T. Mairi). Every file carries its MD5 and SHA-1, so that what is read can be checked: `verify-image` does.
"""

import hashlib
import re
import stat
import struct
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from msgspec.structs import replace

from forensics.errors import Corrupt, EvidenceError, Unsupported
from forensics.evidence import limits
from forensics.evidence.archive import Archive, Member
from forensics.evidence.naming import siblings
from forensics.evidence.openfile import SourceFile
from forensics.evidence.raw import RawImage
from forensics.location import decode, printable
from forensics.model import EntryKind, Times

MAGIC = b"ADSEGMENTEDFILE\0"
_LOGICAL = b"ADLOGICALIMAGE\0"
_FOLDER = 5
_NAME = 1 << 16
_VALUE = 1 << 20
_VALUES = 256
_CHUNK = 16 << 20
_CHUNKS = 1 << 24
# keys of an item's values
_ACCESSED, _BORN, _MODIFIED, _CHANGED = 0x07, 0x08, 0x09, 0xC003
_KIND, _MODE, _UID, _GID, _MD5, _SHA1 = 0x02, 0x2001, 0x2002, 0x2003, 0x5001, 0x5002
_SLACK, _LINK = "6", "9"  # values of _KIND
_TIME = re.compile(r"(\d{8}T\d{6})(?:\.(\d{1,9}))?")


class _Item(NamedTuple):
    """An item: where the next and its first child lie, its values by key, where its chunk table lies (0: none), its size."""

    path: str
    following: int
    child: int
    values: dict[int, str]
    table: int
    size: int
    type: int


class Ad1Image(RawImage):
    """The files of an AD1 image. Its bytes are those of its segments; `members` are the files inside."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(paths)
        self.name = printable(str(paths[0]))
        self.format = "AD1"
        head = self.read(0, 64)
        if len(head) < 64:
            raise Corrupt(f"{self.name}: ends within its header")
        count, header = struct.unpack_from("<I", head, 0x1C)[0], struct.unpack_from("<I", head, 0x28)[0]
        if len(paths) < count:
            raise EvidenceError(f"{self.name}: has {count} segments, and {len(paths)} are here; put the others beside it")
        if not 64 <= header <= 1 << 16:
            raise Corrupt(f"{self.name}: its segments are said to begin with {header} bytes of header")
        self._header = header
        sizes = [path.stat().st_size for path in paths]
        self._begins = [0, *accumulate(sizes)]
        self._bodies = [0, *accumulate(max(0, size - header) for size in sizes)]
        logical = self.body(0, 64).ljust(64, b"\0")
        if not logical.startswith(_LOGICAL):
            raise Corrupt(f"{self.name}: has no logical image after its header")
        version, _, self.chunk, _, self.first = struct.unpack_from("<IIIQQ", logical, 16)
        if version not in (2, 3, 4):
            raise Unsupported(f"{self.name}: is an AD1 image of version {version}; 2 to 4 are read")
        if not 0 < self.chunk <= _CHUNK:
            raise Corrupt(f"{self.name}: its chunks are said to have {self.chunk} bytes")

    def body(self, offset: int, size: int) -> bytes:
        """Bytes of the logical image, which runs through all segments without their headers."""
        parts = []
        while size > 0 and 0 <= offset < self._bodies[-1]:
            number = bisect_right(self._bodies, offset) - 1
            piece = min(size, self._bodies[number + 1] - offset)
            parts.append(self.read(self._begins[number] + self._header + offset - self._bodies[number], piece))
            offset, size = offset + piece, size - piece
        return b"".join(parts)

    def members(self, exhibit: str) -> "Ad1System":
        """The files inside. Raises Corrupt where their tree cannot be read."""
        return Ad1System(exhibit, self)

    def inner_digests(self) -> Iterator[tuple[str, str, str]]:
        """The digests that were stored of the files, against those that they have: all in one, and each that differs."""
        system = self.members("1")
        for key, name in ((_MD5, "md5"), (_SHA1, "sha1")):
            count, stored, computed = 0, hashlib.sha256(), hashlib.sha256()
            for item in system.items:
                wanted = item.values.get(key, "").lower()
                if not wanted or system.kind_of(item) != "file":
                    continue
                found = _digest(name, self, item)
                count += 1
                stored.update(wanted.encode())
                computed.update(found.encode())
                if found != wanted:
                    yield f"{name} of {printable(item.path)}", wanted, found
            if count:
                yield f"sha256 of the {name} digests of {count} files", stored.hexdigest(), computed.hexdigest()


def _digest(name: str, image: Ad1Image, item: _Item) -> str:
    digest = hashlib.new(name)
    try:
        content = Content(image, item)
        for offset in range(0, content.size, _VALUE):
            digest.update(content.read(offset, _VALUE))
    except Corrupt:
        return "unreadable"
    return digest.hexdigest()


def open_ad1(path: Path) -> Ad1Image:
    """The image that `path` is a segment of: .ad1, .ad2 ... in order of their numbers. Raises EvidenceError where one is missing."""
    found: dict[int, Path] = {}
    if re.fullmatch(r"\.ad\d{1,5}", path.suffix, re.IGNORECASE | re.ASCII):
        for item in siblings(path):
            if re.fullmatch(r"\.ad\d{1,5}", item.suffix, re.IGNORECASE | re.ASCII):
                found[int(item.suffix[3:])] = item
    with open(path, "rb") as file:
        count = int.from_bytes(file.read(64)[0x1C:0x20], "little")
    if not found:
        return Ad1Image([path])
    missing = [number for number in range(1, min(max(count, 1), 1 << 16) + 1) if number not in found]
    if missing:
        raise EvidenceError(
            f"{printable(str(path))}: segment {missing[0]} of {count} (.ad{missing[0]}) is missing; put it beside the others"
        )
    return Ad1Image([found[number] for number in range(1, max(count, 1) + 1)])


class Ad1System(Archive):
    """The files of an AD1 image. Satisfies `FileSystem`."""

    def __init__(self, exhibit: str, image: Ad1Image) -> None:
        super().__init__(exhibit, image, "ad1", "AD1 logical image")
        self.info = replace(self.info, timezone="utc")  # as FTK Imager writes its times
        self._image = image
        self.items: list[_Item] = []
        self._list(self._each())

    def _each(self) -> Iterator[Member]:
        seen: set[int] = set()
        stack = [(self._image.first, "")]
        while stack:
            at, above = stack.pop()
            if not at:
                continue
            if at in seen:
                raise Corrupt(f"the item at byte {at} was already found at another path")
            if len(stack) > 2 * limits.PATH_DEPTH or above.count("/") > limits.PATH_DEPTH:
                raise Corrupt(f"more than {limits.PATH_DEPTH} folders deep")
            seen.add(at)
            item = self._item(at, above)
            self.items.append(item)
            yield self._member(item)
            stack.append((item.following, above))
            stack.append((item.child, item.path))

    def _item(self, at: int, above: str) -> _Item:
        head = self._image.body(at, 48)
        if len(head) < 48:
            raise Corrupt(f"the item at byte {at} lies beyond the end")
        following, child, first, table, size, type_, length = struct.unpack("<QQQQQII", head)
        if length > _NAME:
            raise Corrupt(f"the item at byte {at} has a name of {length} bytes")
        name = decode(self._image.body(at + 48, length))
        return _Item(f"{above}/{name}", following, child, self._values(first), table, size, type_)

    def _values(self, at: int) -> dict[int, str]:
        found: dict[int, str] = {}
        for _ in range(_VALUES):
            head = self._image.body(at, 20) if at else b""
            if len(head) < 20:
                break
            following, category, key, length = struct.unpack("<QIII", head)
            if length <= _VALUE and 0 < category < 0x100:
                found.setdefault(key, decode(self._image.body(at + 20, length).rstrip(b"\0")))
            at = following
        return found

    def kind_of(self, item: _Item) -> EntryKind:
        """What an item is: by its permissions where its file system had them, else by its type."""
        mode = item.values.get(_MODE, "")[:1]
        if item.type == _FOLDER or mode == "d":
            return "directory"
        if mode == "l" or item.values.get(_KIND) == _LINK:
            return "link"
        return "other" if mode and mode in "bcps" else "file"

    def _member(self, item: _Item) -> Member:
        values, kind = item.values, self.kind_of(item)
        notes = ["slack of the file of this name"] if values.get(_KIND) == _SLACK else []
        if item.size > limits.MEDIUM:
            notes.append(f"its size is said to be {item.size} bytes, and its content is not read")
        return Member(
            path=item.path,
            kind=kind,
            size=0 if kind == "directory" or item.size > limits.MEDIUM else item.size,
            times=Times(*(_time(values.get(key)) for key in (_MODIFIED, _ACCESSED, _CHANGED, _BORN))),
            mode=_mode(values.get(_MODE, "")),
            uid=_number(values.get(_UID)),
            gid=_number(values.get(_GID)),
            start=item.table if 0 < item.table <= limits.MEDIUM else -1,
            note="; ".join(notes) or None,
        )

    def _content(self, number: int, place: str) -> BinaryIO:
        try:
            return cast(BinaryIO, SourceFile(Content(self._image, self.items[number])))
        except Corrupt as error:
            raise Corrupt(f"{place}: {error}") from error


class Content:
    """The content of an item: chunks, each packed by zlib. Raises Corrupt where its table, or a chunk, cannot be read."""

    def __init__(self, image: Ad1Image, item: _Item) -> None:
        self._image, self.size = image, item.size
        count = -(-item.size // image.chunk)
        if count > _CHUNKS or (item.size and not item.table):
            raise Corrupt(f"{item.size} bytes of content, and no table of its chunks that could be")
        raw = image.body(item.table, 8 * (count + 2)) if count else b""
        if count and (len(raw) < 8 * (count + 2) or int.from_bytes(raw[:8], "little") != count):
            raise Corrupt(f"the table of its chunks does not hold the {count} that its size asks for")
        self._places: tuple[int, ...] = struct.unpack_from(f"<{count + 1}Q", raw, 8) if count else ()
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end."""
        end = min(offset + size, self.size)
        parts = []
        while offset < end:
            number, within = divmod(offset, self._image.chunk)
            part = self._chunk(number)[within : within + end - offset]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _chunk(self, number: int) -> bytes:
        data = self._kept.get(number)
        if data is not None:
            return data
        wanted = min(self._image.chunk, self.size - number * self._image.chunk)
        at, length = self._places[number], self._places[number + 1] - self._places[number]
        if not 0 < length <= 2 * self._image.chunk + 1024:
            raise Corrupt(f"chunk {number} is said to take {length} bytes")
        raw = self._image.body(at, length)
        try:
            data = zlib.decompressobj().decompress(raw, wanted)
        except zlib.error:
            data = raw  # one that did not become smaller is stored as it is
        if len(data) != wanted:
            raise Corrupt(f"chunk {number} has {len(data)} bytes of {wanted}")
        self._kept[number] = data
        if len(self._kept) > 4:
            self._kept.popitem(last=False)
        return data


def _time(text: str | None) -> str | None:
    """``20190314T031653.123`` as ISO 8601; FTK Imager writes UTC."""
    found = _TIME.match(text or "")
    if found is None:
        return None
    try:
        whole = datetime.strptime(found[1], "%Y%m%dT%H%M%S").isoformat()  # noqa: DTZ007 - the zone is put after it
    except ValueError:
        return None
    return f"{whole}.{found[2]}Z" if found[2] and found[2].strip("0") else f"{whole}Z"


def _mode(text: str) -> int | None:
    """``-rwxr-x---`` as permissions."""
    if not re.fullmatch(r"[-a-zA-Z?]([-r][-w][-xsS]){2}[-r][-w][-xtT]", text, re.ASCII):
        return None
    bits = 0
    for place, (char, bit) in enumerate(zip(text[1:], (1 << shift for shift in range(8, -1, -1)), strict=True)):
        bits |= bit if char not in "-ST" else 0
        bits |= (stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX)[place // 3] if char in "sStT" else 0
    return bits


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None
