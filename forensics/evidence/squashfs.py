"""SquashFS version 4: the compressed, read-only file system of live media, firmware, snaps and backups.

Source: "Squashfs Binary Format" (dr-emann.github.io/squashfs), and the Linux kernel's documentation, filesystems/squashfs.rst. Version 4 is
little-endian whatever the machine; earlier versions are named and not read. The meta address is the number of the inode and, since a
number leads nowhere without an export table, its place in the inode table: ``NUMBER-REFERENCE``.
"""

import struct
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from forensics.errors import Corrupt, Unsupported
from forensics.evidence import limits
from forensics.evidence.inodes import Content, InodeSystem, Node, exact, when
from forensics.evidence.libyal import Source
from forensics.evidence.packed import Method, unpack
from forensics.location import Layer, Location
from forensics.model import Times

_COMPRESSORS: dict[int, Method] = {1: "zlib", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
_META = 8192
_RAW = 1 << 24  # of a data block's size: it is stored as it is
_NONE = 0xFFFFFFFF
_KEPT = 64  # metadata blocks in memory
_STEP = 1024  # data blocks between two whose place is remembered
_TYPES = {
    1: 0o040000, 2: 0o100000, 3: 0o120000, 4: 0o060000, 5: 0o020000, 6: 0o010000, 7: 0o140000,
    8: 0o040000, 9: 0o100000, 10: 0o120000, 11: 0o060000, 12: 0o020000, 13: 0o010000, 14: 0o140000,
}  # fmt: skip


class _Super(NamedTuple):
    magic: bytes
    inodes: int
    modified: int
    block: int
    fragments: int
    compressor: int
    log: int
    flags: int
    owners: int
    major: int
    minor: int
    root: int
    used: int
    owner_table: int
    xattr_table: int
    inode_table: int
    directory_table: int
    fragment_table: int
    export_table: int


class _Place(NamedTuple):
    """A place in metadata: where the block lies on the medium, and the byte in what it unpacks to."""

    block: int
    offset: int


class Inode(NamedTuple):
    """Key of an inode: its number, and its reference (block of the inode table << 16 | byte in it)."""

    number: int
    reference: int


class _Facts(NamedTuple):
    """An inode's own part: `first` is where data begins, `blocks` where the list of block sizes lies, `list` where a directory's does."""

    size: int = 0
    first: int = 0
    fragment: int = _NONE
    fragment_offset: int = 0
    blocks: _Place = _Place(0, 0)
    list: _Place = _Place(0, 0)
    target: bytes | None = None


class SquashFs(InodeSystem[Inode]):
    """A SquashFS. Raises Corrupt where its superblock cannot be read, Unsupported for versions before 4 and unknown compressors."""

    def __init__(self, source: Source, exhibit: str, layers: tuple[Layer, ...], *, base: int = 0, description: str | None = None) -> None:
        place = str(Location(exhibit, (*layers, Layer("squashfs"))))
        data = exact(source, 0, 96, f"{place}: the superblock")
        head = _Super(*struct.unpack("<4sIIIIHHHHHHQQQQQQQQ", data))
        if head.magic != b"hsqs" or head.major != 4:
            version = head.major if head.magic == b"hsqs" else int.from_bytes(data[28:30], "big")
            raise Unsupported(f"{place}: SquashFS of version {version}; version 4 is read: unpack it with unsquashfs, and add the folder")
        if head.compressor not in _COMPRESSORS:
            raise Unsupported(f"{place}: is compressed by method {head.compressor}, which is not known here")
        if not 12 <= head.log <= 20 or head.block != 1 << head.log:
            raise Corrupt(f"{place}: its blocks are said to have {head.block} bytes")
        self._head, self._method = head, _COMPRESSORS[head.compressor]
        self._kept: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        self._fragments: OrderedDict[int, bytes] = OrderedDict()
        self._owners: dict[int, int] = {}
        self._source = source
        try:
            root = Inode(int.from_bytes(self.read_metadata(self._place(Inode(0, head.root)), 16)[0][12:], "little"), head.root)
        except Corrupt as error:
            raise Corrupt(f"{place}: the inode of the root directory: {error}") from error
        made = when(head.modified)
        said = f"SquashFS 4.{head.minor}, {self._method}, blocks of {head.block} bytes" + (f", made {made}" if made else "")
        super().__init__(
            source,
            exhibit,
            layers,
            "squashfs",
            root,
            base=base,
            description="; ".join(filter(None, (description, said))),
        )
        if head.used > source.size:
            message = f"the file system has {head.used} bytes by its superblock, and the volume {source.size}: it was cut"
            self._problems.append(self._fault("", Corrupt(message)))

    # --- metadata ---------------------------------------------------------------------------------------------------------

    def _block(self, at: int) -> tuple[bytes, int]:
        """The metadata block at byte `at`, unpacked, and where the next one begins."""
        found = self._kept.get(at)
        if found is None:
            header = int.from_bytes(exact(self._source, at, 2, "a metadata block"), "little")
            size = header & 0x7FFF
            if not 0 < size <= _META:
                raise Corrupt(f"the metadata block at byte {at} is said to have {size} bytes")
            data = exact(self._source, at + 2, size, "a metadata block")
            try:
                found = data if header & 0x8000 else unpack(self._method, data, _META), at + 2 + size
            except Corrupt as error:
                raise Corrupt(f"the metadata block at byte {at} is {error}") from error
            self._kept[at] = found
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(at)
        return found

    def read_metadata(self, place: _Place, size: int) -> tuple[bytes, _Place]:
        """`size` bytes of metadata, and the place after them. Raises Corrupt."""
        block, offset = place
        parts = []
        while size > 0:
            data, following = self._block(block)
            if offset < len(data):
                part = data[offset : offset + size]
                parts.append(part)
                offset, size = offset + len(part), size - len(part)
            elif not offset or len(data) < _META:
                raise Corrupt(f"metadata ends within its block at byte {block}")
            if offset >= _META and size > 0:
                block, offset = following, offset - _META
        return b"".join(parts), _Place(block, offset)

    def _looked_up(self, table: int, number: int, count: int, width: int, what: str) -> bytes:
        """Element `number` of a table whose metadata blocks are listed at byte `table`."""
        if number >= count:
            raise Corrupt(f"{what} {number} of {count} is asked for")
        block, within = divmod(number * width, _META)
        place = int.from_bytes(exact(self._source, table + 8 * block, 8, f"the list of the table of {what}s"), "little")
        return self.read_metadata(_Place(place, within), width)[0]

    def _owner(self, number: int) -> int:
        if number not in self._owners:
            self._owners[number] = int.from_bytes(self._looked_up(self._head.owner_table, number, self._head.owners, 4, "owner"), "little")
        return self._owners[number]

    # --- inodes -----------------------------------------------------------------------------------------------------------

    def _meta(self, key: Inode) -> str:
        return f"{key.number}-{key.reference}"

    def _key(self, meta: str) -> Inode | None:
        number, _, reference = meta.partition("-")
        if not all(text.isascii() and text.isdecimal() and len(text) < 20 for text in (number, reference)):
            return None
        return Inode(int(number), int(reference))

    def _place(self, key: Inode) -> _Place:
        return _Place(self._head.inode_table + (key.reference >> 16), key.reference & 0xFFFF)

    def _node(self, key: Inode) -> Node:
        data, after = self.read_metadata(self._place(key), 16)
        kind, mode, uid, gid, modified, number = struct.unpack("<HHHHII", data)
        if number != key.number:
            raise Corrupt(f"the inode at reference {key.reference} has the number {number}, not {key.number}")
        if kind not in _TYPES:
            raise Corrupt(f"inode {number} is of type {kind}, which there is not")
        facts = self._facts(kind, after)
        return Node(
            mode=_TYPES[kind] | mode & 0o7777,
            size=facts.size,
            times=Times(modified=when(modified)),
            uid=self._owner(uid),
            gid=self._owner(gid),
            target=facts.target,
            start=facts.first if facts.first else -1,
        )

    def _facts(self, kind: int, at: _Place) -> _Facts:
        """The part of an inode that depends on its type."""
        if kind in (1, 8):
            data, _ = self.read_metadata(at, 16 if kind == 1 else 24)
            if kind == 1:
                block, _, size, offset, _ = struct.unpack("<IIHHI", data)
            else:
                _, size, block, _, _, offset, _ = struct.unpack("<IIIIHHI", data)
            return _Facts(max(size - 3, 0), list=_Place(self._head.directory_table + block, offset))
        if kind == 2:
            data, after = self.read_metadata(at, 16)
            first, fragment, offset, size = struct.unpack("<IIII", data)
            return _Facts(size, first, fragment, offset, after)
        if kind == 9:
            data, after = self.read_metadata(at, 40)
            first, size, _, _, fragment, offset, _ = struct.unpack("<QQQIIII", data)
            if max(first, size) > limits.MEDIUM:
                raise Corrupt(f"a file is said to have {size} bytes of content from byte {first} on, more than there can be")
            return _Facts(size, first, fragment, offset, after)
        if kind in (3, 10):
            data, after = self.read_metadata(at, 8)
            size = int.from_bytes(data[4:], "little")
            if size > 1 << 16:
                raise Corrupt(f"a symbolic link is said to have a target of {size} bytes")
            return _Facts(size, target=self.read_metadata(after, size)[0])
        return _Facts()

    def _names(self, key: Inode) -> Iterator[tuple[bytes, Inode] | Exception]:
        data, after = self.read_metadata(self._place(key), 16)
        facts = self._facts(int.from_bytes(data[:2], "little"), after)
        left, place = facts.size, facts.list
        while left > 0:
            data, place = self.read_metadata(place, 12)
            count, block, first = struct.unpack("<III", data)
            left -= 12
            if count > 255:
                raise Corrupt(f"a part of the directory is said to have {count + 1} names, more than the 256 that it can have")
            for _ in range(count + 1):
                data, place = self.read_metadata(place, 8)
                offset, step, _, length = struct.unpack("<HhHH", data)
                if length > 255:
                    raise Corrupt(f"a name in the directory is said to have {length + 1} bytes")
                name, place = self.read_metadata(place, length + 1)
                left -= 8 + length + 1
                if left < 0:
                    raise Corrupt("the directory's list goes on beyond its size")
                yield name, Inode((first + step) & _NONE, block << 16 | offset)

    # --- content ----------------------------------------------------------------------------------------------------------

    def _content(self, key: Inode, node: Node) -> Content:
        data, after = self.read_metadata(self._place(key), 16)
        facts = self._facts(int.from_bytes(data[:2], "little"), after)
        return _Blocks(self, facts, self._head.block)

    def unpacked(self, at: int, word: int, limit: int) -> bytes:
        """The data block at byte `at` whose size word is `word`."""
        size = word & (_RAW - 1)
        if size > self._head.block:
            raise Corrupt(f"the data block at byte {at} is said to have {size} bytes")
        data = exact(self._source, at, size, "a data block")
        if word & _RAW:
            return data
        try:
            return unpack(self._method, data, limit)
        except Corrupt as error:
            raise Corrupt(f"the data block at byte {at} is {error}") from error

    def fragment(self, number: int) -> bytes:
        """The block that holds the ends of several files."""
        data = self._fragments.get(number)
        if data is None:
            start, word, _ = struct.unpack("<QII", self._looked_up(self._head.fragment_table, number, self._head.fragments, 16, "fragment"))
            data = self._fragments[number] = self.unpacked(start, word, self._head.block)
            if len(self._fragments) > 4:
                self._fragments.popitem(last=False)
        return data


class _Blocks:
    """The content of a file: whole blocks, one after another on the medium, and an end that may lie in a fragment."""

    def __init__(self, system: SquashFs, facts: _Facts, block: int) -> None:
        self._system, self._facts, self._size = system, facts, block
        whole, rest = divmod(facts.size, block)
        self._count = whole + (1 if rest and facts.fragment == _NONE else 0)
        # Where block 0, _STEP, 2 * _STEP ... lies on the medium, and its size word in the metadata (block and byte)
        self._marks = array("Q", (facts.first, *facts.blocks))
        self._group: tuple[int, tuple[int, ...], tuple[int, ...]] = (-1, (), ())
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def read(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self._facts.size)
        parts = []
        while offset < end:
            number, within = divmod(offset, self._size)
            part = self._part(number)[within : within + end - offset]
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _part(self, number: int) -> bytes:
        wanted = min(self._size, self._facts.size - number * self._size)
        if number >= self._count:
            begin = self._facts.fragment_offset
            return self._system.fragment(self._facts.fragment)[begin : begin + wanted]
        data = self._kept.get(number)
        if data is None:
            at, word = self._where(number)
            data = self._system.unpacked(at, word, wanted) if word else bytes(wanted)
            if len(data) != wanted:
                raise Corrupt(f"the data block at byte {at} has {len(data)} bytes of {wanted}")
            self._kept[number] = data
            if len(self._kept) > 2:
                self._kept.popitem(last=False)
        return data

    def _where(self, number: int) -> tuple[int, int]:
        """Where a block lies on the medium, and its size word."""
        group, within = divmod(number, _STEP)
        while len(self._marks) // 3 <= group:
            self._marks.extend(self._after(len(self._marks) // 3 - 1))
        if self._group[0] != group:
            at, place = self._mark(group)
            count = min(_STEP, self._count - group * _STEP)
            words = struct.unpack(f"<{count}I", self._system.read_metadata(place, 4 * count)[0])
            self._group = group, words, tuple(accumulate((word & (_RAW - 1) for word in words), initial=at))
        return self._group[2][within], self._group[1][within]

    def _mark(self, group: int) -> tuple[int, _Place]:
        at, block, offset = self._marks[3 * group : 3 * group + 3]
        return at, _Place(block, offset)

    def _after(self, group: int) -> tuple[int, int, int]:
        at, place = self._mark(group)
        data, after = self._system.read_metadata(place, 4 * _STEP)
        return at + sum(word & (_RAW - 1) for word in struct.unpack(f"<{_STEP}I", data)), after.block, after.offset
