"""F2FS, the file system for flash memory of most Android phones: as of the last checkpoint, compressed files unpacked.

Files and names that fscrypt encrypts are listed and locked; such names are shown in base64. What was written after the last checkpoint
is named and not read. Source: the Linux kernel's documentation, filesystems/f2fs.rst, and include/linux/f2fs_fs.h as field list.
"""

import base64
import struct
from collections.abc import Iterator
from typing import NamedTuple

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence import limits
from forensics.evidence.f2fs_volume import RESERVED, F2fsVolume, Feature, crc, read_super
from forensics.evidence.inodes import Content, InodeSystem, Node, when
from forensics.evidence.libyal import Source
from forensics.evidence.packed import Method, unpack
from forensics.location import Layer, Location, escape
from forensics.model import Fault, Times

_AREA = 360  # of an inode: where the addresses of data, or what stands in their place, begin
_NODES, _FOOTER = 20, 24
_INLINE_XATTR, _INLINE_DATA, _INLINE_NAMES, _EXTRA = 0x01, 0x02, 0x04, 0x20
_ENCRYPTED = 0x04
_COMPRESSED = 0x04
_PACKED = 0xFFFFFFFE  # in place of the first address of a cluster: what follows is compressed
_XATTR_WORDS = 50
_METHODS: dict[int, Method] = {0: "lzo", 1: "lz4", 2: "zstd", 3: "lzo"}
_HEADER = 24
_LOCKED = "encrypted by fscrypt; its key is not in the file system"


class Inode(NamedTuple):
    """An inode as it stands on disk: `area` and `words` say where addresses of data lie in its block, and how many there are."""

    number: int
    data: bytes
    mode: int
    size: int
    inline: int
    encrypted: bool
    area: int
    words: int
    xattr: int
    cluster: int
    """log2 of the blocks of a cluster; 0 where the file is not of the compressed kind."""


class F2fs(InodeSystem[int]):
    """An F2FS. Raises Corrupt where neither superblock or neither checkpoint holds."""

    def __init__(self, source: Source, exhibit: str, layers: tuple[Layer, ...], *, base: int = 0, description: str | None = None) -> None:
        place = str(Location(exhibit, (*layers, Layer("f2fs"))))
        head, problem = read_super(source, place)
        try:
            self.volume = F2fsVolume(source, head)
        except EvidenceError as error:
            raise type(error)(f"{place}: {error}" if type(error) is not EvidenceError else str(error)) from error
        said = f"F2FS, checkpoint {self.volume.checkpoint.version}"
        super().__init__(
            source,
            exhibit,
            layers,
            "f2fs",
            head.root,
            base=base,
            description="; ".join(filter(None, (description, said))),
            label=escape(head.label),
        )
        self._seed = crc(head.identifier, 0xFFFFFFFF)
        self._per_node = (self.volume.size - _FOOTER) // 4
        for message in filter(None, (problem, *self.volume.problems)):
            self._problems.append(Fault(location=self._prefix, kind="damaged", message=message))
        if not self.volume.unmounted:
            message = "was not unmounted: what was written after the last checkpoint is not read"
            self._problems.append(Fault(location=self._prefix, kind="unsupported", message=message))
        if head.devices > 1:
            message = f"is the first of {head.devices} devices: content on the others is not read"
            self._problems.append(Fault(location=self._prefix, kind="unsupported", message=message))

    # --- inodes -----------------------------------------------------------------------------------------------------------

    def _meta(self, key: int) -> str:
        return str(key)

    def _key(self, meta: str) -> int | None:
        return int(meta) if meta.isascii() and meta.isdecimal() and len(meta) < 11 else None

    def _inode(self, key: int) -> Inode:
        data = self.volume.node(key, key, 0)
        features = self.volume.head.features
        mode, advice, inline = struct.unpack_from("<HBB", data)
        extra = int.from_bytes(data[_AREA : _AREA + 2], "little") if inline & _EXTRA else 0
        most = (self.volume.size - _AREA - _NODES - _FOOTER) // 4
        if extra % 4 or extra // 4 >= most:
            raise Corrupt(f"inode {key} is said to have {extra} bytes of further attributes")
        if features & Feature.FLEXIBLE_XATTR and inline & _EXTRA:
            xattr = int.from_bytes(data[_AREA + 2 : _AREA + 4], "little")
        else:
            xattr = _XATTR_WORDS if inline & (_INLINE_XATTR | _INLINE_NAMES) else 0
        words = most - extra // 4 - xattr
        if words < 1:
            raise Corrupt(f"inode {key} is said to have {xattr} words of extended attributes")
        regular = mode & 0o170000 == 0o100000
        flags = int.from_bytes(data[80:84], "little")
        cluster = data[393] if features & Feature.COMPRESSION and flags & _COMPRESSED and regular and extra >= 36 else 0
        if cluster > 8:
            raise Corrupt(f"inode {key} is said to have clusters of 2^{cluster} blocks")
        size = int.from_bytes(data[16:24], "little")
        if size > limits.MEDIUM:
            raise Corrupt(f"inode {key} is said to have {size} bytes")
        return Inode(key, data, mode, size, inline, bool(advice & _ENCRYPTED), _AREA + extra, words, xattr, cluster)

    def _node(self, key: int) -> Node:
        inode = self._inode(key)
        data, extra = inode.data, inode.area - _AREA
        accessed, changed, modified = (
            when(seconds, nanoseconds)
            for seconds, nanoseconds in zip(struct.unpack_from("<qqq", data, 32), struct.unpack_from("<III", data, 56), strict=True)
        )
        born = when(*struct.unpack_from("<qI", data, 372)) if self.volume.head.features & Feature.BORN and extra >= 24 else None
        uid, gid = struct.unpack_from("<II", data, 4)
        notes = [_LOCKED] if inode.encrypted else []
        if not self._holds(inode, extra):
            notes.append("the checksum of its inode does not hold")
        node = Node(inode.mode, inode.size, Times(modified, accessed, changed, born), uid, gid, note="; ".join(notes) or None)
        if node.kind == "link" and not inode.encrypted:
            if inode.size > self.volume.size:
                raise Corrupt(f"the symbolic link of inode {key} is said to have a target of {inode.size} bytes")
            return node._replace(target=_File(self, inode).read(0, inode.size))
        if node.kind == "file" and inode.size and not inode.inline & _INLINE_DATA:
            first = int.from_bytes(data[inode.area : inode.area + 4], "little")
            return node._replace(start=first << self.volume.head.shift if 0 < first < _PACKED else -1)
        return node

    def _holds(self, inode: Inode, extra: int) -> bool:
        """Whether an inode's checksum holds, or there is none."""
        if not self.volume.head.features & Feature.CHECKSUM_OF_INODES or extra < 12:
            return True
        data = inode.data
        found = crc(data[68:72], crc(inode.number.to_bytes(4, "little"), self._seed))
        return crc(data[372:], crc(bytes(4), crc(data[:368], found))) == int.from_bytes(data[368:372], "little")

    # --- directories ------------------------------------------------------------------------------------------------------

    def _names(self, key: int) -> Iterator[tuple[bytes, int] | Exception]:
        inode = self._inode(key)
        if inode.inline & _INLINE_NAMES:
            start = inode.area + 4
            yield from _entries(inode.data[start : start + 4 * (inode.words - 1)], inode.encrypted)
            return
        for item in self.addresses(inode, 0, -(-inode.size // self.volume.size)):
            if isinstance(item, Exception):
                yield item
                continue
            if item[1] == RESERVED:
                continue
            try:
                block = self.volume.data(item[1], 1)
            except Corrupt as error:
                yield error
                continue
            yield from _entries(block, inode.encrypted)

    # --- content ----------------------------------------------------------------------------------------------------------

    def _content(self, key: int, node: Node) -> Content:
        return _File(self, self._inode(key))

    def addresses(self, inode: Inode, first: int, last: int) -> Iterator[tuple[int, int] | Corrupt]:
        """(number of a block of the file, where it lies), for those from `first` to before `last` that lie anywhere.

        A node that cannot be read is an error, after which it goes on.
        """
        whole = inode.words >> inode.cluster << inode.cluster  # a cluster never goes on in the next node
        words = struct.unpack_from(f"<{whole}I", inode.data, inode.area)
        for number in range(first, min(last, whole)):
            if words[number]:
                yield number, words[number]
        each = self._per_node >> inode.cluster << inode.cluster
        nodes = struct.unpack_from("<5I", inode.data, self.volume.size - _FOOTER - _NODES)
        start, count = whole, self._per_node
        for node, level, offset in zip(nodes, (1, 1, 2, 2, 3), (1, 2, 3, 4 + count, 5 + 2 * count), strict=True):
            yield from self._below(inode, node, level, offset, each, start, first, last)
            start += each * count ** (level - 1)

    def _below(
        self, inode: Inode, node: int, level: int, offset: int, each: int, start: int, first: int, last: int
    ) -> Iterator[tuple[int, int] | Corrupt]:
        """The same for one node: direct (level 1) or indirect. `start` is the file's block that it begins with."""
        count = self._per_node
        if not node or start >= last or start + each * count ** (level - 1) <= first:
            return
        try:
            data = self.volume.node(node, inode.number, offset)
        except Corrupt as error:
            yield error
            return
        words = struct.unpack_from(f"<{count}I", data)
        if level == 1:
            for number in range(max(0, first - start), min(each, last - start)):
                if words[number]:
                    yield start + number, words[number]
            return
        below = each * count ** (level - 2)
        step = 1 if level == 2 else count + 1
        for number in range(max(0, (first - start) // below), min(count, -(-(last - start) // below))):
            yield from self._below(inode, words[number], level - 1, offset + 1 + number * step, each, start + number * below, first, last)


def _entries(data: bytes, encrypted: bool) -> Iterator[tuple[bytes, int] | Exception]:
    """The names in a block of a directory, or in an inode: a bitmap, entries of 11 bytes, and names in slots of 8."""
    count = 8 * len(data) // (19 * 8 + 1)
    base = len(data) - 19 * count
    names = base + 11 * count
    number = 0
    while number < count:
        if not data[number >> 3] >> (number & 7) & 1:
            number += 1
            continue
        _, inode, length = struct.unpack_from("<IIH", data, base + 11 * number)
        name = data[names + 8 * number : names + 8 * number + length]
        if not 0 < length <= 255 or len(name) < length:
            yield Corrupt(f"entry {number} of a block of the directory has a name of {length} bytes")
            number += 1
            continue
        if name not in (b".", b".."):
            yield base64.urlsafe_b64encode(name).rstrip(b"=") if encrypted else name, inode
        number += -(-length // 8)


class _File:
    """The content of a file: in its inode, in blocks, or in clusters of blocks that may be compressed."""

    def __init__(self, system: F2fs, inode: Inode) -> None:
        if inode.encrypted:
            raise Locked(_LOCKED)
        self._system, self._inode, self._volume = system, inode, system.volume
        self._last: tuple[int, bytes] | None = None

    def read(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self._inode.size)
        if end <= offset:
            return b""
        if self._inode.inline & _INLINE_DATA:
            start, most = self._inode.area + 4, 4 * (self._inode.words - 1)
            if self._inode.size > most:
                raise Corrupt(f"is said to have {self._inode.size} bytes within its inode, which has room for {most}")
            return self._inode.data[start + offset : start + end]
        block, shift = self._volume.size, self._inode.cluster
        first, last = offset // block >> shift << shift, -(-end // block)
        last = -(-last // (1 << shift)) << shift
        out = bytearray((last - first) * block)
        for begin, addresses in self._runs(first, last):
            data = self._unpacked(begin, addresses) if addresses[0] == _PACKED else self._volume.data(addresses[0], len(addresses))
            out[(begin - first) * block : (begin - first) * block + len(data)] = data
        return bytes(out[offset - first * block : end - first * block])

    def _runs(self, first: int, last: int) -> Iterator[tuple[int, list[int]]]:
        """Blocks that follow each other on the medium; a compressed cluster is one run, which begins with `_PACKED`."""
        begin, run = first, list[int]()
        for item in self._system.addresses(self._inode, first, last):
            if isinstance(item, Exception):
                raise item
            number, address = item
            packed = bool(run) and run[0] == _PACKED and number >> self._inode.cluster == begin >> self._inode.cluster
            if address == RESERVED:
                continue
            if packed or (run and run[0] != _PACKED and address == run[-1] + 1 != _PACKED and number == begin + len(run)):
                run.append(address)
                continue
            if run:
                yield begin, run
            begin, run = number, [address]
        if run:
            yield begin, run

    def _unpacked(self, begin: int, addresses: list[int]) -> bytes:
        """A compressed cluster: length, checksum, and what a whole cluster was packed to."""
        shift, data = self._inode.cluster, self._inode.data
        if self._last is not None and self._last[0] == begin:
            return self._last[1]
        if not shift or begin & (1 << shift) - 1:
            raise Corrupt(f"block {begin} is said to be compressed, where it cannot be")
        if data[392] not in _METHODS:
            raise Unsupported(f"is compressed by method {data[392]}, which is not known here")
        packed = b"".join(self._volume.data(address, 1) for address in addresses[1:])
        length, checksum = struct.unpack_from("<II", packed) if len(packed) >= _HEADER else (1, 0)
        if length > len(packed) - _HEADER:
            raise Corrupt(f"the cluster of block {begin} is said to have {length} bytes, in {len(packed)}")
        packed = packed[_HEADER : _HEADER + length]
        if data[394] & 1 and crc(packed) != checksum:
            raise Corrupt(f"the checksum of the cluster of block {begin} does not hold")
        try:
            found = unpack(_METHODS[data[392]], packed, self._volume.size << shift)
        except Corrupt as error:
            raise Corrupt(f"the cluster of block {begin} is {error}") from error
        self._last = begin, found
        return found
