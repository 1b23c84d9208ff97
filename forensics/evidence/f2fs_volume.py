"""The lower half of F2FS: superblock, the newer of two checkpoints, and where the node of a number lies.

Source: the Linux kernel's documentation, filesystems/f2fs.rst, and include/linux/f2fs_fs.h as field list.
"""

import struct
import zlib
from collections import OrderedDict
from typing import NamedTuple

from forensics.errors import Corrupt
from forensics.evidence.inodes import exact
from forensics.evidence.libyal import Source

_MAGIC = b"\x10\x20\xf5\xf2"
_SEED = 0xF2F52010
_SUPER, _SUPER_AT = 3072, (1024, 4096 + 1024)
_FOOTER = 24
_UNMOUNTED, _COMPACT, _LARGE_BITMAP = 0x1, 0x4, 0x400
_VERSIONS = 192  # of a checkpoint: where its bitmaps begin
_SUMMARIES = 512 * 7
_KEPT = 256  # blocks of metadata in memory
UNUSED, RESERVED = 0, 0xFFFFFFFF


class Feature:
    """Bits of the superblock's features."""

    CHECKSUM_OF_INODES = 0x20
    FLEXIBLE_XATTR = 0x40
    BORN = 0x100
    CHECKSUM_OF_SUPERBLOCK = 0x800
    COMPRESSION = 0x2000


class Super(NamedTuple):
    """A superblock: shifts, and the block numbers at which its areas begin."""

    shift: int
    segment_shift: int
    blocks: int
    checkpoints: int
    nat: int
    nat_segments: int
    main: int
    main_segments: int
    root: int
    identifier: bytes
    label: str
    payload: int
    features: int
    devices: int


class Checkpoint(NamedTuple):
    """A checkpoint: the block at which it begins, its version, and its first block."""

    at: int
    version: int
    data: bytes

    @property
    def flags(self) -> int:
        return int.from_bytes(self.data[132:136], "little")


def crc(data: bytes, seed: int = _SEED) -> int:
    """CRC-32 as F2FS has it: begun with a number of its own, and not inverted at the end."""
    return zlib.crc32(data, seed ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def read_super(source: Source, place: str) -> tuple[Super, str | None]:
    """The superblock, and what was wrong with the first copy if it is the second. Raises Corrupt where neither holds."""
    problem = None
    for at in _SUPER_AT:
        data = source.read(at, _SUPER)
        try:
            return _super(data), problem and f"{problem}; its copy at byte {at} was used"
        except Corrupt as error:
            problem = problem or f"the superblock at byte {at} {error}"
    raise Corrupt(f"{place}: {problem}, nor does its copy hold")


def _super(data: bytes) -> Super:
    if len(data) < _SUPER or not data.startswith(_MAGIC):
        raise Corrupt("is not there")
    features = int.from_bytes(data[2180:2184], "little")
    shift, segment_shift = struct.unpack_from("<II", data, 16)
    at = int.from_bytes(data[32:36], "little")
    if features & Feature.CHECKSUM_OF_SUPERBLOCK and (at > _SUPER - 4 or crc(data[:at]) != int.from_bytes(data[at : at + 4], "little")):
        raise Corrupt("has a checksum that does not hold")
    if not 12 <= shift <= 16 or not 9 <= segment_shift <= 11:
        raise Corrupt(f"has blocks of 2^{shift} bytes in segments of 2^{segment_shift}")
    return Super(
        shift=shift,
        segment_shift=segment_shift,
        blocks=int.from_bytes(data[36:44], "little"),
        checkpoints=int.from_bytes(data[76:80], "little"),
        nat=int.from_bytes(data[84:88], "little"),
        nat_segments=int.from_bytes(data[60:64], "little"),
        main=int.from_bytes(data[92:96], "little"),
        main_segments=int.from_bytes(data[68:72], "little"),
        root=int.from_bytes(data[96:100], "little"),
        identifier=data[108:124],
        label=data[124:1148].decode("utf-16-le", "backslashreplace").partition("\0")[0],
        payload=int.from_bytes(data[1664:1668], "little"),
        features=features,
        devices=sum(1 for number in range(8) if data[2201 + 68 * number]),
    )


class F2fsVolume:
    """The blocks and nodes of an F2FS as of its newer checkpoint that holds. Raises Corrupt where there is none."""

    def __init__(self, source: Source, head: Super) -> None:
        self._source, self.head, self.size = source, head, 1 << head.shift
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._entries = self.size // 9
        packs: list[Checkpoint] = []
        self.problems: list[str] = []
        for at in (head.checkpoints, head.checkpoints + (1 << head.segment_shift)):
            try:
                packs.append(self._checkpoint(at))
            except Corrupt as error:
                self.problems.append(f"the checkpoint at block {at} {error}")
        if not packs:
            raise Corrupt("; ".join(self.problems))
        # versions wrap around: the newer one is ahead by less than half of all numbers
        self.checkpoint = packs[-1] if (packs[-1].version - packs[0].version) % (1 << 64) < 1 << 63 else packs[0]
        self.unmounted = bool(self.checkpoint.flags & _UNMOUNTED)
        self._bitmap = self._versions()
        self._journal = self._newest()

    # --- blocks -----------------------------------------------------------------------------------------------------------

    def block(self, number: int) -> bytes:
        """A block of metadata. Raises Corrupt."""
        data = self._kept.get(number)
        if data is None:
            data = self._kept[number] = exact(self._source, number << self.head.shift, self.size, f"block {number}")
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(number)
        return data

    def data(self, number: int, count: int) -> bytes:
        """`count` blocks of the main area. Raises Corrupt where they lie outside of it."""
        first, end = self.head.main, self.head.main + (self.head.main_segments << self.head.segment_shift)
        if not first <= number <= number + count <= end:
            raise Corrupt(f"block {number} lies outside of the main area (blocks {first}-{end - 1})")
        return exact(self._source, number << self.head.shift, count << self.head.shift, f"block {number}")

    # --- checkpoint -------------------------------------------------------------------------------------------------------

    def _checkpoint(self, at: int) -> Checkpoint:
        """A checkpoint whose first and last block hold and are of one version."""
        first = exact(self._source, at << self.head.shift, self.size, "a checkpoint")
        count = int.from_bytes(first[136:140], "little")
        if not 2 <= count <= 1 << self.head.segment_shift:
            raise Corrupt(f"is said to have {count} blocks")
        last = exact(self._source, (at + count - 1) << self.head.shift, self.size, "the end of a checkpoint")
        for data in (first, last):
            where = int.from_bytes(data[164:168], "little")
            if not _VERSIONS <= where <= self.size - 4 or where % 4:
                raise Corrupt(f"has its checksum at byte {where}")
            found = crc(data[:where])
            found = crc(data[where + 4 :], found) if where < self.size - 4 else found
            if found != int.from_bytes(data[where : where + 4], "little"):
                raise Corrupt("has a checksum that does not hold")
        if first[:8] != last[:8]:
            raise Corrupt("was not written to its end")
        return Checkpoint(at, int.from_bytes(first[:8], "little"), first)

    def _versions(self) -> bytes:
        """The bitmap that says which of two blocks of the node address table is in force."""
        data = self.checkpoint.data
        other, size = struct.unpack_from("<II", data, 156)
        start = _VERSIONS + (4 if self.checkpoint.flags & _LARGE_BITMAP else 0 if self.head.payload else other)
        if start + size > len(data):
            raise Corrupt(f"the checkpoint's bitmap of {size} bytes goes on beyond its block")
        return data[start : start + size]

    def _newest(self) -> dict[int, int]:
        """Blocks of nodes that are newer than the table has them: the journal in the checkpoint's summaries."""
        start = int.from_bytes(self.checkpoint.data[140:144], "little")
        data = self.block(self.checkpoint.at + min(start, 1 << self.head.segment_shift))
        base = 0 if self.checkpoint.flags & _COMPACT else self.size // 8 * 7
        count = int.from_bytes(data[base : base + 2], "little")
        if base + 2 + 13 * count > self.size:
            self.problems.append(f"the checkpoint's journal is said to have {count} entries; it is left out")
            return {}
        found = (struct.unpack_from("<IxII", data, base + 2 + 13 * number) for number in range(count))
        return {node: block for node, _, block in found}

    # --- nodes ------------------------------------------------------------------------------------------------------------

    def _place(self, node: int) -> int:
        """The block of a node."""
        found = self._journal.get(node)
        if found is not None:
            return found
        number, within = divmod(node, self._entries)
        if number >= (self.head.nat_segments >> 1) << self.head.segment_shift or number >> 3 >= len(self._bitmap):
            raise Corrupt(f"node {node} lies beyond the node address table")
        segment, rest = divmod(number, 1 << self.head.segment_shift)
        second = self._bitmap[number >> 3] >> (7 - (number & 7)) & 1
        data = self.block(self.head.nat + (2 * segment + second << self.head.segment_shift) + rest)
        return int.from_bytes(data[9 * within + 5 : 9 * within + 9], "little")

    def node(self, number: int, inode: int, offset: int) -> bytes:
        """The block of a node, which says that it is node `number`, of that inode, and the one at `offset` of its nodes.

        So no node stands at two places, whatever the tables say. Raises Corrupt.
        """
        place = self._place(number)
        if place in (UNUSED, RESERVED):
            raise Corrupt(f"node {number} is not in use")
        first, end = self.head.main, self.head.main + (self.head.main_segments << self.head.segment_shift)
        if not first <= place < end:
            raise Corrupt(f"node {number} is said to lie at block {place}, outside of the main area")
        data = self.block(place)
        own, owner, flags = struct.unpack_from("<III", data, self.size - _FOOTER)
        if (own, owner, flags >> 3) != (number, inode, offset):
            wanted = f"node {number} of inode {inode} at {offset}"
            raise Corrupt(f"block {place} has node {own} of inode {owner} at offset {flags >> 3}; {wanted} is expected")
        return data
