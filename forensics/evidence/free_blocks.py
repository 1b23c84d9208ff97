"""Which blocks of a file system no file has, by its own map of them: FAT, exFAT, NTFS, ext2-4, HFS+. Others have modules of their own.

Numbers are those of the file system's own specification. Runs are given in bytes from where the file system begins, in order, and never
touch each other. The map is read in pieces, so that memory stays flat.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from forensics.errors import Corrupt, EvidenceError, Unsupported
from forensics.evidence.tsk_constants import HFS_DATA, NTFS_DATA

Run = tuple[int, int]  # first and number: bytes or blocks
Read = Callable[[int, int], bytes]

_PIECE = 1 << 20  # bytes of a map read at once
_SAME = re.compile(rb"\x00+|\xff+|[^\x00\xff]+")
_LOW = bytes(byte & 0x0F for byte in range(256))  # the upper four bits of a FAT32 entry are reserved
_NTFS_BITMAP = HFS_ALLOCATION = 6  # record of $Bitmap; CNID of the allocation file
_MOST_CHAIN = 1 << 16  # clusters of exFAT's root folder and of its map that are followed
_MOST_CLUSTERS = {"fat12": 4084, "fat16": 65524, "fat32": 0x0FFFFFF5}  # of a volume of the kind
NO_MAP = "which of its blocks are free is not read for this kind of file system"


def free_runs(kind: str, fs: Any, read: Read) -> Iterator[Run]:
    """The free byte ranges (offset, size) of a file system that The Sleuth Kit opened; `read` reads from where it begins.

    Raises Unsupported for a kind whose map is not read, Corrupt for a map that does not hold together.
    """
    if kind == "iso9660":
        return iter(())  # it is written once, and whole
    if kind in ("fat12", "fat16", "fat32"):
        return _fat(kind, read)
    if kind == "exfat":
        return _exfat(read)
    if kind in ("ext2", "ext3", "ext4"):
        return _ext(read)
    if kind in ("ntfs", "hfs+"):
        return _bitmap_file(kind, fs)
    raise Unsupported(NO_MAP)


def zero_bits(pieces: Iterable[bytes], count: int, *, high_first: bool = False) -> Iterator[Run]:
    """Runs of zeros among the first `count` bits; the least significant bit of a byte comes first, unless `high_first`."""
    in_byte = [list(_zeros_of(byte, high_first)) for byte in range(256)]

    def found() -> Iterator[Run]:
        at = 0
        for piece in pieces:
            for match in _SAME.finditer(piece):
                first, last = match.span()
                if piece[first] == 0:
                    yield at + first * 8, (last - first) * 8
                elif piece[first] != 0xFF:
                    for place in range(first, last):
                        for bit, length in in_byte[piece[place]]:
                            yield at + place * 8 + bit, length
            at += len(piece) * 8

    yield from joined((first, min(length, count - first)) for first, length in found() if first < count)


def _zeros_of(byte: int, high_first: bool) -> Iterator[Run]:
    text = f"{byte:08b}" if high_first else f"{byte:08b}"[::-1]
    for match in re.finditer("0+", text):
        yield match.start(), match.end() - match.start()


def joined(runs: Iterable[Run]) -> Iterator[Run]:
    """Runs in order, with those that touch each other made one."""
    start = end = 0
    for first, length in runs:
        if first != end:
            if end > start:
                yield start, end - start
            start = first
        end = first + length
    if end > start:
        yield start, end - start


def _scaled(runs: Iterable[Run], base: int, block: int) -> Iterator[Run]:
    for first, length in runs:
        yield base + first * block, length * block


# --- FAT (Microsoft, "FAT: General Overview of On-Disk Format", 1.03) ---------------------------------------------------------------


def _fat(kind: str, read: Read) -> Iterator[Run]:
    boot = read(0, 512)
    sector, per_cluster, reserved, copies, roots, small, _, fat16 = struct.unpack_from("<HBHBHHBH", boot, 11)
    large, fat32 = struct.unpack_from("<II", boot, 32)
    total, fat = small or large, fat16 or fat32
    if sector not in (512, 1024, 2048, 4096) or not per_cluster or not copies or not fat:
        raise Corrupt(f"its boot sector says sectors of {sector} bytes, {per_cluster} in a cluster, {copies} tables of {fat} sectors")
    data = reserved + copies * fat + -(-roots * 32 // sector)
    clusters = max(0, min((total - data) // per_cluster, fat * sector * 8 // int(kind[3:]) - 2, _MOST_CLUSTERS[kind]))
    runs = joined(_fat_free(kind, read, reserved * sector, clusters))
    cluster = sector * per_cluster
    rest = (data * sector + clusters * cluster, (total - data - clusters * per_cluster) * sector)  # sectors too few for a cluster
    yield from joined(_then(_scaled(runs, data * sector, cluster), rest))


def _then(runs: Iterable[Run], last: Run) -> Iterator[Run]:
    yield from runs
    if last[1] > 0:
        yield last


def _fat_free(kind: str, read: Read, start: int, clusters: int) -> Iterator[Run]:
    """Runs of entries that are zero; the first cluster is the table's entry 2, and is numbered 0 here."""
    if kind == "fat12":
        table = read(start, (clusters + 2) * 3 // 2 + 1)
        for number in range(clusters):
            at = (number + 2) * 3 // 2
            pair = int.from_bytes(table[at : at + 2], "little")
            if not (pair >> 4 if number % 2 else pair & 0xFFF):
                yield number, 1
        return
    width = 4 if kind == "fat32" else 2
    for done in range(0, clusters, _PIECE):
        number = min(_PIECE, clusters - done)
        table = read(start + (done + 2) * width, number * width)
        if len(table) < number * width:
            raise Corrupt(f"its allocation table ends at entry {done + 2 + len(table) // width} of {clusters + 2}")
        columns = [table[place::width] for place in range(width)]
        if width == 4:
            columns[3] = columns[3].translate(_LOW)
        used = 0
        for column in columns:
            used |= int.from_bytes(column, "little")
        for match in re.finditer(rb"\x00+", used.to_bytes(number, "little")):
            yield done + match.start(), match.end() - match.start()


# --- exFAT (Microsoft, "exFAT file system specification", 3.1, 7.1) -------------------------------------------------------------------


def _exfat(read: Read) -> Iterator[Run]:
    boot = read(0, 512)
    fat, _, heap, count, root = struct.unpack_from("<IIIII", boot, 80)
    sector_shift, cluster_shift = boot[108], boot[109]
    if not 9 <= sector_shift <= 12 or cluster_shift > 25 - sector_shift:
        raise Corrupt(f"its boot sector says sectors of 2^{sector_shift} bytes, and 2^{cluster_shift} in a cluster")
    sector, cluster = 1 << sector_shift, 1 << (sector_shift + cluster_shift)

    def chain(first: int) -> Iterator[int]:
        for _ in range(_MOST_CHAIN):
            if not 2 <= first < count + 2:
                return
            yield heap * sector + (first - 2) * cluster
            first = int.from_bytes(read(fat * sector + first * 4, 4), "little")

    for place in chain(root):
        folder = read(place, cluster)
        for at in range(0, len(folder), 32):
            if folder[at] == 0x81 and not folder[at + 1] & 1:  # the map in use, not that of TexFAT
                (first, size) = struct.unpack_from("<IQ", folder, at + 20)
                if size < -(-count // 8):
                    raise Corrupt(f"its allocation bitmap has {size} bytes for {count} clusters")
                yield from _scaled(zero_bits((read(each, cluster) for each in chain(first)), count), heap * sector, cluster)
                return
    raise Corrupt("its root folder names no allocation bitmap")


# --- NTFS, HFS+: a map that is a file -------------------------------------------------------------------------------------------------


def _bitmap_file(kind: str, fs: Any) -> Iterator[Run]:
    block, count = int(fs.info.block_size), int(fs.info.last_block) + 1
    type_ = NTFS_DATA if kind == "ntfs" else HFS_DATA
    wanted = -(-count // 8)

    def pieces() -> Iterator[bytes]:
        try:
            file = fs.open_meta(inode=_NTFS_BITMAP)
            for at in range(0, wanted, _PIECE):
                piece = file.read_random(at, min(_PIECE, wanted - at), type_)
                yield piece
                if len(piece) < min(_PIECE, wanted - at):
                    raise Corrupt(f"its allocation bitmap ends at byte {at + len(piece)} of {wanted}")
        except OSError as error:
            raise Corrupt(f"its allocation bitmap cannot be read: {error}") from error

    return _scaled(zero_bits(pieces(), count, high_first=kind == "hfs+"), 0, block)


# --- ext2, ext3, ext4 (Linux, Documentation/filesystems/ext4) --------------------------------------------------------------------------

_META_BG, _64BIT = 0x10, 0x80  # s_feature_incompat
_SPARSE_SUPER, _GDT_CSUM, _BIGALLOC, _METADATA_CSUM = 0x1, 0x10, 0x200, 0x400  # s_feature_ro_compat
_SPARSE_SUPER2 = 0x200  # s_feature_compat
_BLOCK_UNINIT = 0x2  # bg_flags: the group's bitmap was never written


def _ext(read: Read) -> Iterator[Run]:
    super_block = read(1024, 1024)
    if len(super_block) < 1024:
        raise Corrupt("its super block cannot be read")
    count, first, log = struct.unpack_from("<4xI12xII", super_block, 0)
    per_group, _, inodes_per_group = struct.unpack_from("<III", super_block, 32)
    compatible, incompatible, read_only = struct.unpack_from("<III", super_block, 92)
    if incompatible & _64BIT:
        count |= struct.unpack_from("<I", super_block, 0x150)[0] << 32
    if log > 6 or not per_group or per_group > 8 << (10 + log):
        raise Corrupt(f"its super block says blocks of 2^{10 + log} bytes, {per_group} in a group")
    if read_only & _BIGALLOC:
        raise Unsupported("its blocks are allocated in clusters (bigalloc); its map of them is not read")
    if incompatible & _META_BG:
        raise Unsupported("its group descriptors are spread (meta_bg); its map of blocks is not read")
    block = 1024 << log
    length = (struct.unpack_from("<H", super_block, 254)[0] or 32) if incompatible & _64BIT else 32
    if not 32 <= length <= 1024:
        raise Corrupt(f"its super block says group descriptors of {length} bytes")
    groups = -(-(count - first) // per_group)
    inode_size = struct.unpack_from("<H", super_block, 88)[0] or 128
    table_blocks = -(-inodes_per_group * inode_size // block)
    described = -(-groups * length // block)
    reserved = struct.unpack_from("<H", super_block, 0xCE)[0]
    flagged = bool(read_only & (_GDT_CSUM | _METADATA_CSUM))
    backups = struct.unpack_from("<II", super_block, 0x24C) if compatible & _SPARSE_SUPER2 else None

    def descriptor(group: int) -> tuple[int, int, int, int]:
        raw = read((first + 1) * block + group * length, length)
        if len(raw) < 32:
            raise Corrupt(f"the descriptor of its group {group} cannot be read")
        places = list(struct.unpack_from("<III", raw, 0))
        if length >= 64:
            places = [place | high << 32 for place, high in zip(places, struct.unpack_from("<III", raw, 0x20), strict=True)]
        return (*places, struct.unpack_from("<H", raw, 18)[0])

    def unwritten(group: int, start: int, size: int) -> Iterator[Run]:
        """A group whose bitmap was never written holds nothing but the file system's own blocks."""
        taken = [(start, 1 + described + reserved)] if _has_super(group, read_only, backups) else []
        bitmap, inodes, table, _ = descriptor(group)
        taken += [(bitmap, 1), (inodes, 1), (table, table_blocks)]
        at = start
        for place, blocks in sorted(taken):
            if at < place < start + size:
                yield at, place - at
            if place < start + size:
                at = max(at, place + blocks)
        if at < start + size:
            yield at, start + size - at

    def found() -> Iterator[Run]:
        for group in range(groups):
            start = first + group * per_group
            size = min(per_group, count - start)
            bitmap, _, _, flags = descriptor(group)
            if flagged and flags & _BLOCK_UNINIT:
                yield from unwritten(group, start, size)
                continue
            raw = read(bitmap * block, -(-size // 8))
            if not 0 < bitmap < count or len(raw) < -(-size // 8):
                raise Corrupt(f"the bitmap of its group {group} is said to be block {bitmap}, which cannot be read")
            yield from ((start + place, blocks) for place, blocks in zero_bits([raw], size))

    yield from _scaled(joined(found()), 0, block)


def _has_super(group: int, read_only: int, backups: tuple[int, int] | None) -> bool:
    """Whether a group begins with a copy of the super block and of the group descriptors."""
    if group == 0:
        return True
    if backups is not None:
        return group in backups
    if not read_only & _SPARSE_SUPER or group == 1:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False


def total(runs: Iterable[Run]) -> int | None:
    """Bytes of all runs; `None` where the map cannot be read."""
    try:
        return sum(size for _, size in runs)
    except EvidenceError:
        return None
