"""Btrfs on one device: all subvolumes and snapshots, each a directory under its path, whichever is mounted by default.

Source: btrfs.readthedocs.io, "On-disk Format". The meta address is ``SUBVOLUME-INODE``. Checksums of data are verified where there are
some. Content on devices that are not here, and what a log that was not replayed adds, are named and not read.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence import btrfs_free, free_blocks, limits
from forensics.evidence.btrfs_volume import LAST, BtrfsVolume, Tree, read_super
from forensics.evidence.inodes import Content, InodeSystem, Node, when
from forensics.evidence.libyal import Source
from forensics.evidence.packed import Method, unpack
from forensics.evidence.unallocated import UnallocatedSpace
from forensics.location import Layer, Location, decode, escape
from forensics.model import Fault, Times

_TOP = 5
_EXTENT_TREE, _ROOT_DIRECTORIES, _CHECKSUM_TREE = 2, 6, 7
_FIRST_INODE = 256
_EMPTY = 2  # the inode of a directory that stands for a subvolume which is not here
_INODE_ITEM, _DIR_ITEM, _DIR_INDEX, _EXTENT, _ROOT_ITEM, _ROOT_REF = 1, 84, 96, 108, 132, 156
_INLINE, _REGULAR, _PREALLOCATED = 0, 1, 2
_METHODS: dict[int, Method] = {1: "zlib", 2: "lzo", 3: "zstd"}
_PACKED = 1 << 20  # bytes of a packed extent, and of what comes out: Linux writes 128 KiB at most
_PAGE = 4096


class Inode(NamedTuple):
    """Key of an inode: the subvolume that it is in, and its number there."""

    subvolume: int
    number: int


class _Extent(NamedTuple):
    """An extent of a file: `size` bytes at `at`. Data in the item (`inline`), or at an address (0: a hole), `skip` bytes into it."""

    at: int
    size: int
    kind: int
    method: int
    unpacked: int
    inline: bytes
    address: int
    stored: int
    skip: int


class Btrfs(InodeSystem[Inode]):
    """A Btrfs. Raises Corrupt where neither superblock nor the trees of chunks and roots can be read, Unsupported for some features."""

    def __init__(self, source: Source, exhibit: str, layers: tuple[Layer, ...], *, base: int = 0, description: str | None = None) -> None:
        place = str(Location(exhibit, (*layers, Layer("btrfs"))))
        head, problem = read_super(source, place)
        self._head, self._sector = head, head.sector
        self._trees: dict[int, Tree] = {}
        try:
            self._volume = BtrfsVolume(source, head)
            self._roots = head.root
            self._tree(_TOP)
        except EvidenceError as error:
            raise type(error)(f"{place}: {error}" if type(error) is not EvidenceError else str(error)) from error
        said = f"Btrfs, device {head.device} of {head.devices}, checksums {self._volume.checksum}"
        said += "" if self._volume.verified else " (not verified)"
        default = self._default()
        said += f"; mounted by default: subvolume {default}" if default not in (None, _TOP) else ""
        super().__init__(
            source,
            exhibit,
            layers,
            "btrfs",
            Inode(_TOP, _FIRST_INODE),
            base=base,
            description="; ".join(filter(None, (description, said))),
            label=escape(decode(head.label)),
        )
        if problem:
            self._problems.append(Fault(location=self._prefix, kind="damaged", message=problem))
        if head.log:
            message = "a log of what was written last was not replayed; not read: files are as the last full commit left them"
            self._problems.append(Fault(location=self._prefix, kind="unsupported", message=message))
        try:
            self._volume.checksums = self._tree(_CHECKSUM_TREE)
        except (Corrupt, Unsupported) as error:
            self._problems.append(self._fault("", Corrupt(f"checksums of data cannot be verified: {error}")))

    def _last_problems(self) -> Iterator[Fault]:
        mended = self._volume.mended
        if mended:
            message = f"{len(mended)} blocks, the first at address {min(mended)}, have a damaged copy; another copy of each was read"
            yield Fault(location=self._prefix, kind="damaged", message=message)

    def free_runs(self) -> Iterator[free_blocks.Run]:
        """The byte ranges of this device that no file has. Raises Corrupt, Unsupported where that cannot be told."""
        if self._head.log:
            raise Unsupported("a log was not replayed, and what it put to use since the last full commit stands in no map")
        size = min(self._source.size, self._head.size)
        return btrfs_free.free_runs(self._volume, self._tree(_EXTENT_TREE), self._head.node, size)

    def space(self) -> UnallocatedSpace:
        """Where its unallocated space is."""
        layers = (*self._layers, Layer("unallocated"))
        return UnallocatedSpace(self._exhibit, layers, self._source, 0, self.free_runs, stated=False, place=self._base)

    # --- trees ------------------------------------------------------------------------------------------------------------

    def _tree(self, number: int) -> Tree:
        """The tree of a subvolume. Raises Corrupt where there is none."""
        found = self._trees.get(number)
        if found is None:
            data = None
            for item in self._volume.items(self._roots, (number, _ROOT_ITEM, 0), (number, _ROOT_ITEM, LAST)):
                if isinstance(item, Exception):
                    raise item
                data = item[1]
            if data is None or len(data) < 239:
                raise Corrupt(f"there is no tree of number {number}")
            generation, _, at = struct.unpack_from("<QQQ", data, 160)
            found = self._trees[number] = Tree(at, data[238], generation)
        return found

    def _default(self) -> int | None:
        """The subvolume that is mounted where none is asked for."""
        for item in self._volume.items(self._roots, (_ROOT_DIRECTORIES, _DIR_ITEM, 0), (_ROOT_DIRECTORIES, _DIR_ITEM, LAST)):
            if not isinstance(item, Exception) and item[1][30:] == b"default":
                return int.from_bytes(item[1][:8], "little")
        return None

    # --- inodes -----------------------------------------------------------------------------------------------------------

    def _meta(self, key: Inode) -> str:
        return f"{key.subvolume}-{key.number}"

    def _key(self, meta: str) -> Inode | None:
        subvolume, _, number = meta.partition("-")
        if not all(text.isascii() and text.isdecimal() and len(text) < 20 for text in (subvolume, number)):
            return None
        return Inode(int(subvolume), int(number))

    def _node(self, key: Inode) -> Node:
        if key.number == _EMPTY:
            note = f"stands for subvolume {key.subvolume}, which is not part of this one: snapshots do not hold subvolumes"
            return Node(mode=0o040555, size=0, times=Times(), note=note, entered=False)
        data = self._volume.item(self._tree(key.subvolume), (key.number, _INODE_ITEM, 0))
        if data is None or len(data) < 160:
            raise Corrupt(f"there is no inode {key.number} in subvolume {key.subvolume}")
        size = int.from_bytes(data[16:24], "little")
        uid, gid, mode = struct.unpack_from("<III", data, 44)
        accessed, changed, modified, born = (when(*struct.unpack_from("<qI", data, at)) for at in (112, 124, 136, 148))
        if size > limits.MEDIUM:
            raise Corrupt(f"inode {key.number} is said to have {size} bytes")
        node = Node(mode, size, Times(modified, accessed, changed, born), uid, gid)
        if node.kind == "link":
            if size > _PAGE:
                raise Corrupt(f"the symbolic link of inode {key.number} is said to have a target of {size} bytes")
            return node._replace(target=_File(self, key, size).read(0, size))
        return node._replace(start=self._start(key)) if node.kind == "file" and size else node

    def _start(self, key: Inode) -> int:
        try:
            for extent in self.extents(key, 0, 1):
                if extent.kind == _REGULAR and extent.address:
                    place = self._volume.places(extent.address, 1)[0]
                    return place if place <= limits.MEDIUM else -1
        except (Corrupt, Locked, Unsupported):
            return -1  # reading the content fails too, and says so
        return -1

    def _names(self, key: Inode) -> Iterator[tuple[bytes, Inode] | Exception]:
        if key.number == _EMPTY:
            return
        tree = self._tree(key.subvolume)
        for item in self._volume.items(tree, (key.number, _DIR_INDEX, 0), (key.number, _DIR_INDEX, LAST)):
            if isinstance(item, Exception):
                yield item
                continue
            address, data = item
            if len(data) < 30:
                yield Corrupt(f"entry {address[2]} of the directory has {len(data)} bytes")
                continue
            number, kind = struct.unpack_from("<QB", data)
            name = data[30 : 30 + int.from_bytes(data[27:29], "little")]
            if kind == _ROOT_ITEM:
                yield name, self._subvolume(key, number)
            elif kind == _INODE_ITEM:
                yield name, Inode(key.subvolume, number)
            else:
                yield Corrupt(f"entry {address[2]} of the directory leads to an item of type {kind}")

    def _subvolume(self, above: Inode, number: int) -> Inode:
        """The directory that a subvolume is; an empty one where the name was copied into a snapshot, and the subvolume was not."""
        data = self._volume.item(self._roots, (above.subvolume, _ROOT_REF, number))
        here = data is not None and int.from_bytes(data[:8], "little") == above.number
        return Inode(number, _FIRST_INODE if here else _EMPTY)

    # --- content ----------------------------------------------------------------------------------------------------------

    def _content(self, key: Inode, node: Node) -> Content:
        return _File(self, key, node.size)

    def extents(self, key: Inode, begin: int, end: int) -> Iterator[_Extent]:
        """The extents that hold bytes `begin` to `end` of a file, in order. Raises Corrupt, Locked, Unsupported."""
        tree = self._tree(key.subvolume)
        first = self._volume.floor(tree, (key.number, _EXTENT, begin))
        if first is None or first[:2] != (key.number, _EXTENT):
            first = (key.number, _EXTENT, begin)
        for item in self._volume.items(tree, first, (key.number, _EXTENT, max(end - 1, 0))):
            if isinstance(item, Exception):
                raise item
            (_, _, at), data = item
            yield _extent(at, data)

    def data(self, address: int, size: int) -> bytes:
        """`size` bytes of data at an address."""
        return self._volume.read(address, size)

    @property
    def sector(self) -> int:
        return self._sector


def _extent(at: int, data: bytes) -> _Extent:
    if len(data) < 21:
        raise Corrupt(f"the extent of offset {at} is described in {len(data)} bytes")
    unpacked, method, secret, other, kind = struct.unpack_from("<QBBHB", data, 8)
    if secret:
        raise Locked(f"the extent of offset {at} is encrypted")
    if other or (method and method not in _METHODS):
        raise Unsupported(f"the extent of offset {at} is packed by method {method}/{other}, which is not known here")
    if method and unpacked > _PACKED:
        raise Corrupt(f"the extent of offset {at} is said to unpack to {unpacked} bytes")
    if kind == _INLINE:
        return _Extent(at, unpacked if method else len(data) - 21, kind, method, unpacked, data[21:], 0, 0, 0)
    if kind not in (_REGULAR, _PREALLOCATED) or len(data) < 53:
        raise Corrupt(f"the extent of offset {at} is of type {kind}, in {len(data)} bytes")
    address, stored, skip, size = struct.unpack_from("<QQQQ", data, 21)
    if max(stored, skip, size) > limits.MEDIUM or (method and stored > _PACKED):
        raise Corrupt(f"the extent of offset {at} is said to have {size} bytes, stored in {stored}")
    return _Extent(at, size, kind, method, unpacked, b"", address, stored, skip)


class _File:
    """The content of a file: extents, and zeros between them."""

    def __init__(self, system: Btrfs, key: Inode, size: int) -> None:
        self._system, self._key, self._size = system, key, size
        self._last: tuple[int, bytes] | None = None

    def read(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self._size)
        out = bytearray(max(0, end - offset))
        for extent in self._system.extents(self._key, offset, end):
            begin, stop = max(offset, extent.at), min(end, extent.at + extent.size)
            if begin < stop:
                data = self._some(extent, begin - extent.at, stop - begin)
                out[begin - offset : begin - offset + len(data)] = data
        return bytes(out)

    def _some(self, extent: _Extent, offset: int, size: int) -> bytes:
        """Bytes of an extent; nothing where it is a hole, or space that was reserved and not written."""
        if extent.kind == _PREALLOCATED or (extent.kind == _REGULAR and not extent.address):
            return b""
        if not extent.method:
            if extent.kind == _INLINE:
                return extent.inline[offset : offset + size]
            return self._system.data(extent.address + extent.skip + offset, size)
        identity = extent.address or -1
        if self._last is None or self._last[0] != identity:
            stored = extent.inline if extent.kind == _INLINE else self._system.data(extent.address, extent.stored)
            try:
                self._last = identity, _unpacked(extent, stored, self._system.sector)
            except Corrupt as error:
                raise Corrupt(f"the extent of offset {extent.at} (address {extent.address}) is {error}") from error
        data = self._last[1][extent.skip + offset : extent.skip + offset + size]
        return data.ljust(size, b"\0")  # a short last extent: the rest of its sector is zeros


def _unpacked(extent: _Extent, data: bytes, sector: int) -> bytes:
    method = _METHODS[extent.method]
    return _lzo(data, extent.unpacked, sector) if method == "lzo" else unpack(method, data, max(extent.unpacked, sector))


def _lzo(data: bytes, limit: int, sector: int) -> bytes:
    """LZO as Btrfs frames it ("Compression"): a total length, then lengths and packed pieces of a sector each.

    A length is never cut by the end of a sector: it goes into the next one.
    """
    total, at = int.from_bytes(data[:4], "little"), 4
    if total > len(data):
        raise Corrupt(f"packed by LZO in {total} bytes, and has {len(data)}")
    out: list[bytes] = []
    while at < total and sector * len(out) < limit:
        if sector - at % sector < 4:
            at += sector - at % sector
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > total:
            raise Corrupt(f"packed by LZO: a piece of {size} bytes at byte {at} goes on beyond the end")
        out.append(unpack("lzo", data[at + 4 : at + 4 + size], sector))
        at += 4 + size
    return b"".join(out)
