"""EnCase logical evidence (L01, Lx01): files, copied one after the other into the medium of an EWF image, and a list of what they are.

Sources: "Expert Witness Compression Format specification" and "... version 2 specification" (J. Metz), cited by the names of their
sections. The container is that of E01 and Ex01 (`ewf1`, `ewf2`), the list is read by `l01_tree`. Most entries carry their MD5, those of
EnCase 7 their SHA-1 too, so that what is read can be checked: `verify-image` does.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from msgspec.structs import replace

from forensics.errors import Corrupt, EvidenceError, LimitExceeded
from forensics.evidence import ewf1, ewf2, l01_tree, limits
from forensics.evidence.archive import Archive, Member
from forensics.evidence.chunks import Layout
from forensics.evidence.damage import DamageNotes
from forensics.evidence.ewf import EwfImage, segments
from forensics.evidence.files import Files
from forensics.evidence.l01_tree import Head, Problem, Record, Tree
from forensics.evidence.openfile import SourceFile
from forensics.evidence.tsk_times import Clock
from forensics.location import printable
from forensics.model import Entry, EntryKind, Fault, Times

SIGNATURE_V1 = b"LVF\x09\x0d\x0a\xff\x00"
SIGNATURE_V2 = b"LEF2\x0d\x0a\x81\x00"
# "File entry flags"
_LINK, _DELETED, _STREAM, _UNALLOCATED, _FOLDER, _SPARSE = 0x10, 0x80, 0x2000, 0x200000, 0x2000000, 0x4000000
_NOTES = ((_LINK, "symbolic link, junction or reparse point"), (_STREAM, "alternate stream"), (_UNALLOCATED, "unallocated clusters"))
_NAME = 4096  # characters; the longest names of file systems have 255
_PATHS = 256 << 20  # characters of all paths: the names of a few long folders, repeated in every path, would fill the memory
_EXTENTS = 65536
_PIECE = 1 << 20
_NO_LIST = "the list of files is missing or cannot be read"


class _Item(NamedTuple):
    """Content of an entry: ranges of the medium, or one byte that fills it; digests as stored; `problem` is why there is none."""

    path: str
    kind: EntryKind
    size: int
    extents: tuple[tuple[int, int], ...]
    fill: int | None
    md5: str
    sha1: str
    problem: str | None


class L01Image(EwfImage):
    """An L01 or Lx01 image. Its bytes are the content of all its files, one after the other; `members` are the files."""

    def __init__(self, files: Files, layout: Layout, damage: DamageNotes, tree: Tree | None, head: Head) -> None:
        super().__init__(files, layout, damage)
        self.format = "EWF2-Lx01" if layout.format.startswith("EWF2") else "EWF-L01"
        self.segment_files, self.tree, self.head = files, tree, head
        said = {"sources": "; ".join(head.sources.values()), "subjects": "; ".join(head.subjects.values())}
        self.metadata = layout.metadata | {name: text for name, text in said.items() if text}

    def members(self, exhibit: str) -> "L01System":
        """The files inside; all content as one file where the list of them is missing."""
        return L01System(exhibit, self)

    def inner_digests(self) -> Iterator[tuple[str, str, str]]:
        """The digests that were stored of the files, against those that they have: all in one, and each that differs."""
        items = [item for item in self.members("1").items if item.kind == "file" and (item.md5 or item.sha1)]
        rest = limits.EXPANSION_FLOOR + limits.EXPANSION * sum(self.segment_files.sizes)
        alike: dict[str, list[str]] = {"md5": [], "sha1": []}
        left = 0
        for item in items:
            if item.size > rest:  # entries that share content, or are a single byte repeated, can come to any size
                left += 1
                continue
            rest -= item.size
            found = _digests(self, item)
            for name, wanted in (("md5", item.md5), ("sha1", item.sha1)):
                if wanted and found[name] != wanted:
                    yield f"{name} of {printable(item.path)}", wanted, found[name]
                elif wanted:
                    alike[name].append(wanted)
        for name, values in alike.items():
            if values:
                digest = hashlib.sha256("".join(values).encode()).hexdigest()
                yield f"sha256 of the {name} digests of {len(values)} files that match", digest, digest
        if left:
            yield f"digests of {left} files", "stored", "not compared: the files are too large for what the image holds"


def _digests(image: L01Image, item: _Item) -> dict[str, str]:
    """MD5 and SHA-1 of an entry's content."""
    md5, sha1 = hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    try:
        content = Content(image, item)
        for offset in range(0, content.size, _PIECE):
            piece = content.read(offset, _PIECE)
            md5.update(piece)
            sha1.update(piece)
    except Corrupt:
        return {"md5": "unreadable", "sha1": "unreadable"}
    return {"md5": md5.hexdigest(), "sha1": sha1.hexdigest()}


def open_l01(path: Path) -> L01Image:
    """The image that `path` is a segment of; the others are found beside it by name.

    Raises EvidenceError, Corrupt where it cannot be read at all, Locked where it is encrypted.
    """
    damage = DamageNotes()
    with open(path, "rb") as file:
        version_2 = file.read(8) == SIGNATURE_V2
    paths = segments(path, SIGNATURE_V2 if version_2 else SIGNATURE_V1, damage)
    numbers = sorted(paths)
    files = Files([paths[number] for number in numbers])
    try:
        tree = l01_tree.find(files, version_2)
        head = l01_tree.head(files, tree) if tree else Head(None, {}, {})
        layout = (ewf2 if version_2 else ewf1).read_layout(files, numbers, damage, head.total)
    except EvidenceError:
        files.close()
        raise
    return L01Image(files, layout, damage, tree, head)


class L01System(Archive):
    """The files of an L01 or Lx01 image. Satisfies `FileSystem`."""

    def __init__(self, exhibit: str, image: L01Image) -> None:
        kind = "lx01" if image.format == "EWF2-Lx01" else "l01"
        super().__init__(exhibit, image, kind, "EnCase logical evidence")
        self.info = replace(self.info, timezone="utc")
        self.items: list[_Item] = []
        self._image = image
        self._clock = Clock(0, "Z")
        self._faults: list[Fault] = []
        self._list(self._each(image.tree) if image.tree else self._whole())

    def walk(self) -> Iterator[Entry | Fault]:
        """Every entry in the order of the list, then what is wrong with the list."""
        yield from super().walk()
        yield from self._faults

    def _fault(self, message: str, *, limit: bool = False) -> None:
        self._faults.append(Fault(location=self._prefix, kind="limit" if limit else "damaged", message=message))

    def _whole(self) -> Iterator[Member]:
        self._fault(f"{_NO_LIST}: all content is shown as one file; find the last segment, or copy the image again from its source")
        self.items.append(_Item("/content of all files", "file", self._image.size, ((0, self._image.size),), None, "", "", None))
        yield Member("/content of all files", "file", self._image.size, Times(), start=0, note=_NO_LIST)

    def _each(self, tree: Tree) -> Iterator[Member]:
        above: list[str] = []  # the path of each folder that is open; the root's is empty, whatever its name
        deep, characters = 0, 0
        for record in l01_tree.records(self._image.segment_files, tree):
            if isinstance(record, Problem):
                self._fault(record.message)
                continue
            if record.category != "entry":
                continue
            if record.depth > limits.PATH_DEPTH:
                deep += 1
                continue
            del above[record.depth :]
            if not record.depth:
                above.append("")
                continue
            notes = [record.problem] if record.problem else []
            path = f"{above[-1]}/{_name(record.values, notes)}"
            above.append(path)
            characters += len(path)
            if characters > _PATHS:
                raise LimitExceeded(f"{self._prefix}: the paths have more than {_PATHS} characters; entries after that are not listed")
            yield self._member(record, path, notes)
        if not self.items and self._faults:
            yield from self._whole()
        if deep:
            self._fault(f"{deep} entries lie more than {limits.PATH_DEPTH} folders deep; they are not listed", limit=True)

    def _member(self, record: Record, path: str, notes: list[str]) -> Member:
        values = record.values
        flags = l01_tree.number(values.get("opr", "")) or 0
        item = _item(path, values, flags)
        self.items.append(item)
        notes += [note for flag, note in _NOTES if flags & flag]
        if item.problem:
            notes.append(item.problem)
        sources = self._image.head.sources
        if len(sources) > 1 and (source := sources.get(values.get("src", ""))):
            notes.append(f"from {source}")
        if deleted := self._time(values.get("dl")):
            notes.append(f"deleted at {deleted}")
        return Member(
            path=path,
            kind=item.kind,
            size=item.size,
            times=Times(*(self._time(values.get(key)) for key in ("wr", "ac", "mo", "cr"))),
            start=item.extents[0][0] if item.extents else -1 if item.fill is None else item.fill,
            note="; ".join(notes) or None,
            state="deleted" if flags & _DELETED else "allocated",
        )

    def _time(self, text: str | None) -> str | None:
        """Seconds since 1970 in UTC ("EnCase 5 and 6 file entry type indicators"); nothing and 0 are no time."""
        try:
            return self._clock.text(int(text), 0) if text and len(text) < 16 and text.isascii() and text.lstrip("-").isdecimal() else None
        except (OverflowError, ValueError):
            return None

    def _stored(self, number: int) -> tuple[str, str]:
        return self.items[number].md5, self.items[number].sha1

    def _content(self, number: int, place: str) -> BinaryIO:
        try:
            return cast(BinaryIO, SourceFile(Content(self._image, self.items[number])))
        except Corrupt as error:
            raise Corrupt(f"{place}: {error}") from error


def _name(values: dict[str, str], notes: list[str]) -> str:
    """An entry's name; EnCase calls one without a name NoName ("File entry name")."""
    name = values.get("n", "")
    if not name:
        notes.append("it has no name")
        return "NoName"
    if len(name) > _NAME:
        notes.append(f"its name has {len(name)} characters, of which the first {_NAME} are shown")
    if "/" in name:
        notes.append("its name holds a slash")
    return name[:_NAME]


def _item(path: str, values: dict[str, str], flags: int) -> _Item:
    """Where an entry's content lies ("Binary extents value", "File entry flags")."""
    folder = values.get("p") == "1" or bool(flags & _FOLDER)
    size, extents, problem = l01_tree.number(values.get("ls", "")), _extents(values.get("be", "")), None
    stored = sum(length for _, length in extents) if extents else 0
    fill: int | None = None
    if folder or not size:
        size, extents = 0, ()
    elif size > limits.MEDIUM:
        problem, size, extents = f"its size is said to be {size} bytes", 0, ()
    elif extents is None:
        problem, extents = f"the place of its content cannot be understood: {printable(values['be'][:80])}", ()
    elif flags & _SPARSE and (copy := l01_tree.number(values.get("du", ""))) is not None:
        extents = ((copy, size),)
    elif flags & _SPARSE and stored == 1:
        fill, extents = extents[0][0], ()
    elif not stored:
        problem = "its content is not stored"
    elif stored < size:
        problem, size = f"{stored} of its {size} bytes are stored", stored
    kind: EntryKind = "directory" if folder else "link" if flags & _LINK and not size else "file"
    return _Item(path, kind, size, extents or (), fill, _digest(values.get("ha"), 32), _digest(values.get("sha"), 40), problem)


def _extents(text: str) -> tuple[tuple[int, int], ...] | None:
    """Offset and length of each range of the medium; `None` where they cannot be understood."""
    words = text.split(" ") if text else []
    if len(words) < 2:  # nothing, or the one value of the root
        return ()
    numbers = [l01_tree.number(word, 16) for word in words]
    if len(words) > 2 * _EXTENTS or numbers[0] != (len(words) - 1) / 2:
        return None
    pairs = tuple((start, length) for start, length in zip(numbers[1::2], numbers[2::2], strict=True) if start is not None and length)
    return pairs if len(pairs) == numbers[0] else None


def _digest(text: str | None, length: int) -> str:
    """A stored digest in lower case; nothing where none was taken, which zeros say."""
    value = (text or "").lower()
    return value if len(value) == length and not value.strip("0123456789abcdef") and value.strip("0") else ""


class Content:
    """The content of an entry out of the medium. Raises Corrupt where its place lies beyond it."""

    def __init__(self, image: L01Image, item: _Item) -> None:
        self._image, self._item, self.size = image, item, item.size
        for start, length in (*item.extents, *(((item.fill, 1),) if item.fill is not None else ())):
            if start + length > image.size:
                raise Corrupt(f"its content is said to lie at bytes {start} to {start + length} of a medium of {image.size}")
        if item.problem and not item.extents:
            raise Corrupt(item.problem)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end."""
        size = min(size, self.size - offset)
        if offset < 0 or size <= 0:
            return b""
        if self._item.fill is not None:
            return self._image.read(self._item.fill, 1) * size
        parts = []
        for start, length in self._item.extents:
            if offset < length and size > 0:
                piece = self._image.read(start + offset, min(size, length - offset))
                parts.append(piece)
                size -= len(piece)
                offset = 0
            elif size > 0:
                offset -= length
        return b"".join(parts)
