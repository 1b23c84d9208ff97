"""The snapshots of APFS volumes: how many, their names and times, which libfsapfs does not give; and a volume without them.

Source: Apple File System Reference (2020-06-22): nx_superblock_t, omap_phys_t, btree_node_phys_t, apfs_superblock_t, j_snap_metadata_val_t.
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from forensics.errors import Corrupt
from forensics.evidence import limits
from forensics.evidence.libyal import Source

_CONTAINER, _VOLUME = b"NXSB", b"APSB"
_LEAF, _FIXED = 2, 4  # flags of a node
_SNAPSHOT = 1  # the type of a record of a snapshot's metadata, in the top four bits of its key
_SNAPSHOT_TREE = 152  # where a volume's superblock names the block of its tree of snapshots
_DEPTH = 16
_NODES = limits.SNAPSHOTS * _DEPTH  # of a tree of snapshots: each leaf holds one at least
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Snapshot(NamedTuple):
    """A snapshot: its name, and when it was made (ISO 8601, UTC)."""

    name: str
    created: str


def snapshots(source: Source, number: int) -> list[Snapshot]:
    """The snapshots of volume `number` (from 1 on) of a container. Raises Corrupt where what leads to them cannot be read."""
    _, volume, size = _superblock(source, number)
    (count,) = struct.unpack_from("<Q", volume, 216)
    if not count:
        return []
    (at,) = struct.unpack_from("<Q", volume, _SNAPSHOT_TREE)
    found = list(_records(source, at, size, set()))
    if len(found) != min(count, limits.SNAPSHOTS):
        raise Corrupt(f"the volume counts {count} snapshots, and {len(found)} can be read")
    return found


class _Over:
    """A source one block of which is replaced."""

    def __init__(self, source: Source, at: int, block: bytes) -> None:
        self._source, self._at, self._block = source, at, block
        self.size = source.size

    def read(self, offset: int, size: int) -> bytes:
        data = self._source.read(offset, size)
        first, last = max(offset, self._at), min(offset + len(data), self._at + len(self._block))
        if first >= last:
            return data
        return data[: first - offset] + self._block[first - self._at : last - self._at] + data[last - offset :]


def without_snapshots(source: Source, number: int) -> Source:
    """The container as if volume `number` had no tree of snapshots, for libfsapfs, which looks the nodes of one of several levels up in the
    object map, though they are named by their blocks, and then opens nothing of the volume. Raises Corrupt."""
    at, volume, size = _superblock(source, number)
    return _Over(source, at * size, _sealed(volume[:_SNAPSHOT_TREE] + bytes(8) + volume[_SNAPSHOT_TREE + 8 :]))


def _sealed(block: bytes) -> bytes:
    """A block with its checksum: Fletcher's, of 64 bits, over all that follows it (obj_phys_t)."""
    low = high = 0
    for (word,) in struct.iter_unpack("<I", block[8:]):
        low = (low + word) % 0xFFFFFFFF
        high = (high + low) % 0xFFFFFFFF
    first = 0xFFFFFFFF - (low + high) % 0xFFFFFFFF
    second = 0xFFFFFFFF - (low + first) % 0xFFFFFFFF
    return struct.pack("<II", first, second) + block[8:]


def _superblock(source: Source, number: int) -> tuple[int, bytes, int]:
    """Where the superblock of volume `number` lies (its block), the superblock, and the size of a block. Raises Corrupt."""
    container, size = container_of(source)
    identifiers = [each for each in struct.unpack_from("<100Q", container, 184) if each]
    if number > len(identifiers):
        raise Corrupt(f"the container lists {len(identifiers)} volumes")
    (map_at,) = struct.unpack_from("<Q", container, 160)
    (tree,) = struct.unpack_from("<Q", block_at(source, map_at, size), 48)
    at = _resolve(source, tree, identifiers[number - 1], size)
    volume = block_at(source, at, size)
    if volume[32:36] != _VOLUME:
        raise Corrupt("the volume's superblock is not where the object map says")
    return at, volume, size


def container_of(source: Source) -> tuple[bytes, int]:
    """The container's superblock in force, that of the highest transaction, and the size of a block."""
    first = source.read(0, 4096).ljust(4096, b"\0")
    size, blocks, base = (
        *struct.unpack_from("<I", first, 36),
        *struct.unpack_from("<I", first, 104),
        *struct.unpack_from("<Q", first, 112),
    )
    if first[32:36] != _CONTAINER or size not in (4096, 8192, 16384, 32768, 65536):
        raise Corrupt("the container's superblock cannot be read")
    best = first
    for number in range(min(blocks & 0x7FFFFFFF, 4096)):
        block = source.read((base + number) * size, size)
        if block[32:36] == _CONTAINER and len(block) == size and block[16:24][::-1] > best[16:24][::-1]:
            best = block
    return best.ljust(1288, b"\0"), size


def block_at(source: Source, at: int, size: int) -> bytes:
    block = source.read(at * size, size) if at < 1 << 52 else b""
    if len(block) < size:
        raise Corrupt(f"block {at} lies beyond the end")
    return block


def _entries(node: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a node, each to where the node ends; what reads them knows how long they are."""
    flags, _, count, start, length = struct.unpack_from("<HHIHH", node, 32)
    table = 56 + start
    keys, end = table + length, len(node) - (40 if flags & 1 else 0)  # a root ends with what is said of the whole tree
    step, form = (4, "<HH") if flags & _FIXED else (8, "<HHHH")
    for number in range(count):
        if table + step * (number + 1) > len(node):
            raise Corrupt("a node's table passes its end")
        places = struct.unpack_from(form, node, table + step * number)
        key, value = places[0], places[1] if flags & _FIXED else places[2]
        yield node[keys + key :], node[max(0, end - value) : end]


def _resolve(source: Source, at: int, identifier: int, size: int) -> int:
    """The block of a virtual object, by the object map: the newest version of it."""
    for _ in range(_DEPTH):
        node = block_at(source, at, size)
        best: bytes | None = None
        for key, value in _entries(node):
            if len(key) < 16 or len(value) < 8 or struct.unpack_from("<Q", key)[0] > identifier:
                break
            best = value if not node[32] & _LEAF or struct.unpack_from("<Q", key)[0] == identifier else None
        if best is None:
            raise Corrupt(f"the object map does not know object {identifier}")
        if node[32] & _LEAF:
            if len(best) < 16:
                raise Corrupt("an entry of the object map is cut")
            return int(struct.unpack_from("<Q", best, 8)[0])
        (at,) = struct.unpack_from("<Q", best)
    raise Corrupt(f"the object map is more than {_DEPTH} levels deep")


def _records(source: Source, at: int, size: int, seen: set[int], depth: int = 0) -> Iterator[Snapshot]:
    """The snapshots in a tree of their metadata, in order of their transactions; `seen` are the blocks that were visited."""
    if depth > _DEPTH:
        raise Corrupt(f"the tree of snapshots is more than {_DEPTH} levels deep")
    if at in seen or len(seen) >= _NODES:
        raise Corrupt(f"the tree of snapshots leads to block {at} again, or to more than {_NODES} blocks")
    seen.add(at)
    node = block_at(source, at, size)
    count = 0
    for key, value in _entries(node):
        if count >= limits.SNAPSHOTS:
            return
        if not node[32] & _LEAF:
            if len(value) < 8:
                raise Corrupt("an entry of the tree of snapshots is cut")
            for found in _records(source, struct.unpack_from("<Q", value)[0], size, seen, depth + 1):
                count += 1
                yield found
        elif len(key) >= 8 and len(value) >= 50 and struct.unpack_from("<Q", key)[0] >> 60 == _SNAPSHOT:
            count += 1
            nanoseconds, length = struct.unpack_from("<Q", value, 16)[0], struct.unpack_from("<H", value, 48)[0]
            name = value[50 : 50 + length].partition(b"\0")[0].decode("utf-8", "backslashreplace")
            yield Snapshot(name, _time(nanoseconds))


def _time(nanoseconds: int) -> str:
    try:
        text = (_EPOCH + timedelta(seconds=nanoseconds // 10**9)).isoformat()[:19]
    except OverflowError:
        return "unknown"
    return f"{text}.{nanoseconds % 10**9:09d}Z" if nanoseconds % 10**9 else f"{text}Z"
