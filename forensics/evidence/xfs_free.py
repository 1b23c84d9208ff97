"""Which blocks of an XFS no file has: its B+trees of free space by block number, one in each allocation group.

A log that was not replayed is not replayed here either: what is free is what the trees say. Source: XFS Algorithms & Data Structures, 3rd
edition, chapters "Superblocks", "AG Free Space Management" and "Self-Describing Metadata"; all numbers are big-endian.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from forensics.errors import Corrupt
from forensics.evidence.free_blocks import Run, joined
from forensics.evidence.libyal import Source

_NEEDS_REPAIR = 0x10  # sb_features_incompat
_LEVELS = 9  # more than the largest group's tree can have
_MAGIC = {4: b"ABTB", 5: b"AB3B"}
_HEADER = {4: 16, 5: 56}
_CHECKSUM_AT = {"tree": 52, "group": 216}


class _Geometry(NamedTuple):
    """Bytes of a block and of a sector, blocks in all, in a group, number of groups, version 4 or 5."""

    block: int
    sector: int
    blocks: int
    per_group: int
    groups: int
    version: int


def free_runs(source: Source) -> Iterator[Run]:
    """Free byte ranges (offset, size), in order. Raises Corrupt where the trees do not hold together or do not add up."""
    head = _geometry(source)
    return joined(_all(source, head))


def _geometry(source: Source) -> _Geometry:
    head = source.read(0, 512)
    if len(head) < 512 or head[:4] != b"XFSB":
        raise Corrupt("its superblock cannot be read")
    block, blocks = struct.unpack_from(">IQ", head, 4)
    per_group, groups = struct.unpack_from(">II", head, 84)
    version, sector = struct.unpack_from(">HH", head, 100)
    found = _Geometry(block, sector, blocks, per_group, groups, version & 0xF)
    if (
        block not in (512 << shift for shift in range(8))
        or sector not in (512 << shift for shift in range(7))
        or found.version not in _MAGIC
    ):
        raise Corrupt(f"its superblock says blocks of {block} bytes, sectors of {sector}, version {found.version}")
    if not per_group or not (groups - 1) * per_group < blocks <= groups * per_group:
        raise Corrupt(f"its superblock says {blocks} blocks in {groups} groups of {per_group}")
    if found.version == 5 and struct.unpack_from(">I", head, 216)[0] & _NEEDS_REPAIR:
        raise Corrupt("it says itself that it needs to be repaired")
    return found


def _all(source: Source, head: _Geometry) -> Iterator[Run]:
    for group in range(head.groups):
        start = group * head.per_group
        for first, number in _group(source, head, group):
            yield (start + first) * head.block, number * head.block


def _group(source: Source, head: _Geometry, group: int) -> list[Run]:
    """The free blocks of one group, numbered from its start. They are held until they are seen to add up."""
    base = group * head.per_group * head.block
    record = source.read(base + head.sector, head.sector)
    if len(record) < head.sector or record[:4] != b"XAGF":
        raise Corrupt(f"the header of free space of group {group} cannot be read")
    _check(record, "group", head, f"the header of free space of group {group}")
    number, length, root = struct.unpack_from(">III", record, 8)
    (level,), (free,) = struct.unpack_from(">I", record, 28), struct.unpack_from(">I", record, 52)
    most = min(head.per_group, head.blocks - group * head.per_group)
    if number != group or length != most or free > length or not 0 < level <= _LEVELS:
        raise Corrupt(f"group {group} has {length} blocks, {free} of them free, in a tree of {level} levels; it says that it is {number}")
    found: list[Run] = []
    end = 0
    for first, count in _tree(source, head, group, root, level - 1):
        if first < end or not count or first + count > length:
            raise Corrupt(f"group {group} lists {count} free blocks from {first} on, after block {end} and of {length}")
        found.append((first, count))
        end = first + count
    if sum(count for _, count in found) != free:
        raise Corrupt(f"group {group} counts {free} free blocks, and lists {sum(count for _, count in found)}")
    return found


def _tree(source: Source, head: _Geometry, group: int, at: int, level: int) -> Iterator[Run]:
    """The records of a tree in order: first block and number of blocks. What is out of order ends it above."""
    place = f"block {at} of the tree of group {group}"
    data = source.read((group * head.per_group + at) * head.block, head.block) if at < head.per_group else b""
    if len(data) < head.block or data[:4] != _MAGIC[head.version]:
        raise Corrupt(f"{place} cannot be read")
    _check(data, "tree", head, place)
    own, count = struct.unpack_from(">HH", data, 4)
    start, width = _HEADER[head.version], 12 if level else 8
    most = (head.block - start) // width
    if own != level or count > most or (head.version == 5 and struct.unpack_from(">I", data, 48)[0] != group):
        raise Corrupt(f"{place} is on level {own}, not {level}, or of another group, or has {count} entries of {most}")
    if not level:
        yield from struct.iter_unpack(">II", data[start : start + 8 * count])
        return
    firsts = [first for first, _ in struct.iter_unpack(">II", data[start : start + 8 * count])]
    below = struct.unpack_from(f">{count}I", data, start + 8 * most)
    for number, child in enumerate(below):
        known = False
        for first, length in _tree(source, head, group, child, level - 1):
            if not known and first != firsts[number]:  # so that no block is visited twice, whatever its parent says
                raise Corrupt(f"{place} has {firsts[number]} as the first block of a branch that begins with {first}")
            known = True
            yield first, length
        if not known:
            raise Corrupt(f"{place} leads to block {child}, a branch without a record; only the root may have none")


def _check(data: bytes, kind: str, head: _Geometry, place: str) -> None:
    """Version 5 has checksums (CRC-32C, little-endian, over the structure with the checksum itself zero)."""
    if head.version != 5:
        return
    import google_crc32c

    at = _CHECKSUM_AT[kind]
    if int(google_crc32c.value(data[:at] + bytes(4) + data[at + 4 :])) != int.from_bytes(data[at : at + 4], "little"):
        raise Corrupt(f"{place}: its checksum does not hold")
