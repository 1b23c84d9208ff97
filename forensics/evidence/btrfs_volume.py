"""The lower half of Btrfs: where the bytes of its address space lie on this device, whether their checksums hold, and its trees.

Source: btrfs.readthedocs.io, "On-disk Format" and "Checksumming"; the Linux kernel's include/uapi/linux/btrfs_tree.h as field list.
"""

import hashlib
import struct
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from forensics.errors import Corrupt, LimitExceeded, Unsupported
from forensics.evidence.inodes import exact
from forensics.evidence.libyal import Source

Address = tuple[int, int, int]
"""A key of an item: object, type, offset."""

Item = tuple[Address, bytes] | Corrupt | Unsupported
"""An item with its key, or why a block of items cannot be read."""

LAST = (1 << 64) - 1
_SUPER_AT = (64 << 10, 64 << 20, 256 << 30)
_SUPER = 4096
_MAGIC = b"_BHRfS_M"
_CHUNK_ITEM, _FIRST_CHUNK_TREE = 228, 256
_CSUM_OBJECT, _CSUM_ITEM = LAST - 9, 128  # objects of Btrfs itself are negative numbers: this one is -10
_HEADER = 101
_LEVELS = 8
_KEPT = 256  # tree blocks in memory
_CHUNKS = 1 << 20
_STRIPED = {8: "RAID0", 64: "RAID10", 128: "RAID5", 256: "RAID6"}
_PLAIN = 0x10000 | 0xFFF  # features that change nothing of what is read here
_FEATURES = {0x1000: "zoned", 0x2000: "extent tree version 2", 0x4000: "RAID stripe tree"}


class Tree(NamedTuple):
    """The root of a tree: its address, level, and the generation that wrote it."""

    at: int
    level: int
    generation: int


class _Chunk(NamedTuple):
    """`size` bytes of addresses from `start`: where copies of them begin on this device; `problem` where none can be read."""

    start: int
    size: int
    copies: tuple[int, ...]
    problem: str | None
    striped: bool = False


class _Block(NamedTuple):
    """A tree block: its entries (key, then offset and size of data; or key, then address and generation), and its bytes."""

    entries: list[tuple[int, int, int, int, int]]
    data: bytes


class Super(NamedTuple):
    """A superblock, and the byte at which it lies."""

    at: int
    identifier: bytes
    root: Tree
    chunks: Tree
    log: int
    devices: int
    sector: int
    node: int
    features: int
    method: int
    device: int
    size: int
    label: bytes
    array: bytes


def _crc32c(data: bytes) -> bytes:
    import google_crc32c

    return int(google_crc32c.value(data)).to_bytes(4, "little")


# Checksums by number: size, function. XXHASH64 (1) is read, and not verified: nothing that is installed computes it.
_CHECKSUMS: dict[int, tuple[str, int, Callable[[bytes], bytes] | None]] = {
    0: ("CRC-32C", 4, _crc32c),
    1: ("xxHash64", 8, None),
    2: ("SHA-256", 32, lambda data: hashlib.sha256(data).digest()),
    3: ("BLAKE2b", 32, lambda data: hashlib.blake2b(data, digest_size=32).digest()),
}


def _in_order(chunks: Iterable[_Chunk]) -> list[_Chunk]:
    """Chunks by address; of two that begin at the same, the later one."""
    found = {chunk.start: chunk for chunk in chunks}
    return [found[start] for start in sorted(found)]


def read_super(source: Source, place: str) -> tuple[Super, str | None]:
    """The superblock, and what was wrong with the first copy if it is another. Raises Corrupt where no copy holds, Unsupported."""
    problem = None
    for at in _SUPER_AT:
        data = source.read(at, _SUPER)
        if len(data) < _SUPER or data[64:72] != _MAGIC:
            problem = problem or f"the superblock at byte {at} is not there"
            continue
        method = int.from_bytes(data[196:198], "little")
        if method not in _CHECKSUMS:
            problem = problem or f"the superblock at byte {at} has checksums of type {method}, which is not known here"
            continue
        _, size, function = _CHECKSUMS[method]
        if function is not None and function(data[32:]) != data[:size]:
            problem = problem or f"the checksum of the superblock at byte {at} does not hold"
            continue
        return _super(data, at, place), problem and f"{problem}; its copy at byte {at} was used"
    raise Corrupt(f"{place}: {problem}, nor does a copy of it hold")


def _super(data: bytes, at: int, place: str) -> Super:
    generation, root, chunks, log = struct.unpack_from("<QQQQ", data, 72)
    devices, sector, node, _, _, size, chunk_generation = struct.unpack_from("<QIIIIIQ", data, 136)
    features, method, root_level, chunk_level = struct.unpack_from("<QHBB", data, 188)
    refused = [name for bit, name in _FEATURES.items() if features & bit] or ([hex(features)] if features & ~_PLAIN else [])
    if refused:
        raise Unsupported(f"{place}: Btrfs with features that are not read ({', '.join(refused)}); mount it, and add its files as a folder")
    if sector not in (512 << shift for shift in range(8)) or node not in (sector << shift for shift in range(8)) or node > 1 << 16:
        raise Corrupt(f"{place}: has sectors of {sector} bytes and tree blocks of {node}")
    return Super(
        at=at,
        identifier=data[32:48],
        root=Tree(root, root_level, generation),
        chunks=Tree(chunks, chunk_level, chunk_generation),
        log=log,
        devices=devices,
        sector=sector,
        node=node,
        features=features,
        method=method,
        device=int.from_bytes(data[201:209], "little"),
        size=int.from_bytes(data[209:217], "little"),
        label=data[299:555].partition(b"\0")[0],
        array=data[811 : 811 + min(size, 2048)],
    )


class BtrfsVolume:
    """The address space of a Btrfs, as far as this device holds it. Raises Corrupt where the tree of chunks cannot be read."""

    def __init__(self, source: Source, head: Super) -> None:
        self._source, self._head = source, head
        self.checksum, self._width, self._function = _CHECKSUMS[head.method]
        self._chunks: list[_Chunk] = []
        self._kept: OrderedDict[int, _Block] = OrderedDict()
        self.checksums: Tree | None = None
        self.mended: set[int] = set()
        """Addresses whose first copy is damaged, and that were read from another."""
        self._chunks = _in_order(self._bootstrap())
        self._chunks = _in_order((*self._chunks, *self._chunk_items()))

    @property
    def verified(self) -> bool:
        """Whether checksums of this kind are verified."""
        return self._function is not None

    # --- chunks -----------------------------------------------------------------------------------------------------------

    def _bootstrap(self) -> Iterator[_Chunk]:
        """The chunks that the superblock itself lists: they hold the tree of chunks."""
        array, at = self._head.array, 0
        while at + 17 + 48 <= len(array):
            _, kind, start = struct.unpack_from("<QBQ", array, at)
            if kind != _CHUNK_ITEM:
                raise Corrupt(f"the superblock's list of chunks has an item of type {kind}")
            count = int.from_bytes(array[at + 17 + 44 : at + 17 + 46], "little")
            yield self._chunk(start, array[at + 17 : at + 17 + 48 + 32 * count])
            at += 17 + 48 + 32 * count

    def _chunk_items(self) -> Iterator[_Chunk]:
        first, last = (_FIRST_CHUNK_TREE, _CHUNK_ITEM, 0), (_FIRST_CHUNK_TREE, _CHUNK_ITEM, LAST)
        for number, item in enumerate(self.items(self._head.chunks, first, last)):
            if isinstance(item, Exception):
                raise item
            if number >= _CHUNKS:
                raise LimitExceeded(f"more than {_CHUNKS} chunks")
            yield self._chunk(item[0][2], item[1])

    def _chunk(self, start: int, data: bytes) -> _Chunk:
        if len(data) < 80:
            raise Corrupt(f"the chunk at address {start} is described in {len(data)} bytes")
        size, _, _, kind, _, _, _, count, _ = struct.unpack_from("<QQQQIIIHH", data)
        if not size or not count or len(data) < 48 + 32 * count:
            raise Corrupt(f"the chunk at address {start} has {size} bytes in {count} stripes")
        stripes = [struct.unpack_from("<QQ", data, 48 + 32 * number) for number in range(count)]
        mine = tuple(offset for device, offset in stripes if device == self._head.device)
        problem = None
        profile = next((name for bit, name in _STRIPED.items() if kind & bit), None)
        if profile is not None and count > 1:
            problem = f"lies in a chunk of profile {profile} over {count} devices, of which one is here"
        elif not mine:
            others = ", ".join(str(device) for device in sorted({device for device, _ in stripes})[:8])
            problem = f"lies on device {others}, and this is device {self._head.device}"
        return _Chunk(start, size, mine, problem, profile is not None and count > 1)

    def _chunk_of(self, address: int) -> _Chunk:
        number = bisect_right(self._chunks, address, key=lambda chunk: chunk.start) - 1
        if number < 0 or address >= self._chunks[number].start + self._chunks[number].size:
            raise Corrupt(f"address {address} lies in no chunk")
        return self._chunks[number]

    def places(self, address: int, size: int) -> tuple[int, ...]:
        """The bytes of this device at which copies of `size` bytes at `address` lie. Raises Unsupported where they are on another."""
        chunk = self._chunk_of(address)
        if chunk.problem is not None:
            raise Unsupported(f"address {address} {chunk.problem}: not read")
        if address + size > chunk.start + chunk.size:
            raise Corrupt(f"{size} bytes at address {address} go on beyond their chunk")
        return tuple(copy + address - chunk.start for copy in chunk.copies)

    def stretches(self) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Address and size of every chunk, in order, and where its copies begin on this device. Raises Corrupt, Unsupported (stripes)."""
        end = 0
        for chunk in self._chunks:
            if chunk.start < end:
                raise Corrupt(f"two chunks have address {chunk.start}")
            if chunk.striped:
                raise Unsupported(f"address {chunk.start} {chunk.problem}: what is free on this device is not told")
            end = chunk.start + chunk.size
            yield chunk.start, chunk.size, chunk.copies

    # --- trees ------------------------------------------------------------------------------------------------------------

    def _block(self, tree: Tree) -> _Block:
        found = self._kept.get(tree.at)
        if found is not None and found.data[100] == tree.level:
            self._kept.move_to_end(tree.at)
            return found
        if tree.level >= _LEVELS:
            raise Corrupt(f"the tree block at address {tree.at} is on level {tree.level}, above the highest")
        problem = ""
        for number, place in enumerate(self.places(tree.at, self._head.node)):
            try:
                found = self._parsed(exact(self._source, place, self._head.node, "a tree block"), tree)
            except Corrupt as error:
                problem = problem or f"the tree block at address {tree.at} (byte {place}): {error}"
                continue
            if number:
                self.mended.add(tree.at)
            self._kept[tree.at] = found
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return found
        raise Corrupt(problem)

    def _parsed(self, data: bytes, tree: Tree) -> _Block:
        if self._function is not None and self._function(data[32:]) != data[: self._width]:
            raise Corrupt("its checksum does not hold")
        at, generation, count, level = *struct.unpack_from("<Q24xQ", data, 48), *struct.unpack_from("<IB", data, 96)
        if (at, level, generation) != (tree.at, tree.level, tree.generation):
            raise Corrupt(f"is of address {at}, level {level}, generation {generation}; {tree.level}, {tree.generation} are expected")
        form, width = ("<QBQQQ", 33) if level else ("<QBQII", 25)
        if count > (len(data) - _HEADER) // width:
            raise Corrupt(f"is said to have {count} entries")
        entries = list(struct.iter_unpack(form, data[_HEADER : _HEADER + count * width]))
        if any(first[:3] >= second[:3] for first, second in pairwise(entries)):
            raise Corrupt("its entries are out of order")
        if not level and any(_HEADER + entry[3] + entry[4] > len(data) for entry in entries):
            raise Corrupt("an item lies beyond its end")
        return _Block(entries, data)

    def items(self, tree: Tree, first: Address, last: Address) -> Iterator[Item]:
        """The items from `first` to `last`, in order; an error for each block that cannot be read, after which it goes on."""
        yield from self._below(tree, first, last, None)

    def _below(self, tree: Tree, first: Address, last: Address, key: Address | None) -> Iterator[Item]:
        try:
            block = self._block(tree)
        except (Corrupt, Unsupported) as error:
            yield error
            return
        entries = block.entries
        if key is not None and (not entries or entries[0][:3] != key):
            # so that no block is visited twice in one walk, whatever its parent says
            yield Corrupt(f"the tree block at address {tree.at} does not begin with the key that its parent has for it")
            return
        start = max(bisect_right(entries, (*first, 1 << 64)) - 1, 0) if tree.level else bisect_left(entries, (*first, 0))
        for number in range(start, len(entries)):
            one, two, three, at, size = entries[number]
            if (one, two, three) > last:
                return
            if tree.level:
                yield from self._below(Tree(at, tree.level - 1, size), first, last, (one, two, three))
            else:
                yield (one, two, three), block.data[_HEADER + at : _HEADER + at + size]

    def item(self, tree: Tree, key: Address) -> bytes | None:
        """The item with a key, `None` where there is none. Raises Corrupt, Unsupported."""
        for found in self.items(tree, key, key):
            if isinstance(found, Exception):
                raise found
            return found[1]
        return None

    def floor(self, tree: Tree, key: Address) -> Address | None:
        """The largest key that is not larger than `key`. Raises Corrupt, Unsupported."""
        while True:
            entries = self._block(tree).entries
            number = bisect_right(entries, (*key, 1 << 64)) - 1
            if number < 0:
                return None
            found = entries[number]
            if not tree.level:
                return found[:3]
            tree = Tree(found[3], tree.level - 1, found[4])

    # --- content ----------------------------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes of data, verified where there are checksums. Raises Corrupt naming the sector that no copy of holds."""
        sector = self._head.sector
        begin = address - address % sector
        end = -(-(address + size) // sector) * sector
        places = self.places(begin, end - begin)
        data = exact(self._source, places[0], end - begin, "data") if len(places) == 1 else self._first_copy(places, end - begin)
        if self.checksums is None or self._function is None:
            return data[address - begin : address - begin + size]
        mended: bytearray | None = None
        for number, wanted in self._sums(begin, end):
            at = number * sector
            if self._function(data[at : at + sector]) == wanted:
                continue
            mended = mended or bytearray(data)
            mended[at : at + sector] = self._other_copy(places[1:], begin, at, wanted, places[0] + at)
        return bytes(mended if mended is not None else data)[address - begin : address - begin + size]

    def _first_copy(self, places: tuple[int, ...], size: int) -> bytes:
        """The first copy that is there: a cut image may have lost one of them."""
        for place in places[:-1]:
            try:
                return exact(self._source, place, size, "data")
            except Corrupt:
                continue
        return exact(self._source, places[-1], size, "data")

    def _other_copy(self, places: tuple[int, ...], begin: int, at: int, wanted: bytes, first: int) -> bytes:
        for place in places:
            data = self._source.read(place + at, self._head.sector)
            if self._function is not None and self._function(data) == wanted:
                self.mended.add(begin + at)
                return data
        raise Corrupt(f"the checksum of the sector at byte {first} (address {begin + at}, {self._head.sector} bytes) does not hold")

    def _sums(self, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
        """The checksums of the sectors between two addresses, numbered from `begin`; those that have none are left out."""
        tree, sector, width = self.checksums, self._head.sector, self._width
        if tree is None:
            return
        start = self.floor(tree, (_CSUM_OBJECT, _CSUM_ITEM, begin))
        if start is None or start[:2] != (_CSUM_OBJECT, _CSUM_ITEM):
            start = (_CSUM_OBJECT, _CSUM_ITEM, begin)
        for item in self.items(tree, start, (_CSUM_OBJECT, _CSUM_ITEM, end - 1)):
            if isinstance(item, Exception):
                raise item
            (_, _, first), data = item
            for address in range(max(first, begin), min(first + len(data) // width * sector, end), sector):
                at = (address - first) // sector * width
                yield (address - begin) // sector, data[at : at + width]
