"""Which blocks of an APFS container no volume has: the bitmaps of its space manager.

Blocks that were freed a moment before wait in a queue, and count as in use; so do those that a snapshot still holds. Source: Apple File
System Reference (2020-06-22): nx_superblock_t, checkpoint_map_phys_t, spaceman_phys_t, cib_addr_block_t, chunk_info_block_t, obj_phys_t.
"""

import struct
from collections.abc import Iterator

from forensics.errors import Corrupt, Unsupported
from forensics.evidence.apfs import block_at, container_of
from forensics.evidence.free_blocks import Run, joined, zero_bits
from forensics.evidence.libyal import Source

_TREE = 1 << 31  # of the number of blocks of the checkpoint descriptors: they are a tree, and not one range
_MAP, _MANAGER, _CAB, _CIB = 0xC, 0x5, 0x6, 0x7  # types of objects
_MOST_CHUNKS = 1 << 24  # 512 TiB in blocks of 4 KiB
_MOST_MANAGER = 1 << 20  # bytes
_MODULUS = (1 << 32) - 1


def free_runs(source: Source) -> Iterator[Run]:
    """Free byte ranges (offset, size), in order. Raises Corrupt where a bitmap has not as many free blocks as are counted, Unsupported."""
    head, size = container_of(source)
    return joined((first * size, number * size) for first, number in _free(source, head, size))


def _free(source: Source, head: bytes, size: int) -> Iterator[Run]:
    manager = _manager(source, head, size)
    block, per_chunk = struct.unpack_from("<II", manager, 32)
    blocks, chunks, blocks_of_infos, tables, free, at = struct.unpack_from("<QQIIQI", manager, 48)
    if struct.unpack_from("<Q", manager, 96)[0]:
        raise Unsupported("it lies on two devices (Fusion); the map of its blocks is not read")
    (all_blocks,) = struct.unpack_from("<Q", head, 40)
    if block != size or per_chunk != size * 8 or blocks != all_blocks or chunks != -(-blocks // per_chunk) or chunks > _MOST_CHUNKS:
        raise Corrupt(f"its space manager says {blocks} blocks of {block} bytes in {chunks} chunks of {per_chunk}")
    count = tables or blocks_of_infos
    if at + 8 * count > len(manager):
        raise Corrupt(f"the space manager has {count} addresses at byte {at}, beyond its end")
    addresses: Iterator[int] = iter(struct.unpack_from(f"<{count}Q", manager, at))
    if tables:
        addresses = _listed(source, addresses, size)
    found = start = 0
    for number, address in enumerate(addresses):
        infos = _object(source, address, size, _CIB)
        index, held = struct.unpack_from("<II", infos, 32)
        if index != number or held > (size - 40) // 32:
            raise Corrupt(f"block {address} is number {index} of the lists of chunks, with {held} chunks; number {number} is expected")
        for _, first, length, left, bitmap in struct.iter_unpack("<QQIIQ", infos[40 : 40 + 32 * held]):
            if first != start or length != min(per_chunk, blocks - start) or left > length:
                raise Corrupt(f"a chunk of {length} blocks, {left} of them free, begins at block {first}; one at {start} is expected")
            runs = [(0, length)] if not bitmap else list(zero_bits([block_at(source, bitmap, size)], length))
            if sum(each for _, each in runs) != left:
                raise Corrupt(f"the bitmap at block {bitmap} has {sum(each for _, each in runs)} free blocks, and {left} are counted")
            yield from ((start + place, each) for place, each in runs)
            start, found = start + length, found + left
    if start != blocks or found != free:
        raise Corrupt(f"{found} of {start} blocks are free by the bitmaps, {free} of {blocks} by the space manager")


def _listed(source: Source, tables: Iterator[int], size: int) -> Iterator[int]:
    """The addresses of the lists of chunks, which stand in blocks of their own in a large container."""
    for number, address in enumerate(tables):
        table = _object(source, address, size, _CAB)
        index, count = struct.unpack_from("<II", table, 32)
        if index != number or count > (size - 40) // 8:
            raise Corrupt(f"block {address} is number {index} of the tables of lists, with {count} addresses")
        yield from struct.unpack_from(f"<{count}Q", table, 40)


def _manager(source: Source, head: bytes, size: int) -> bytes:
    """The space manager of the checkpoint in force, whose maps say where its objects lie."""
    blocks, _, base, _, _, _, index, length = struct.unpack_from("<IIQQIIII", head, 104)
    (wanted,) = struct.unpack_from("<Q", head, 152)
    if blocks & _TREE:
        raise Unsupported("the descriptors of its checkpoints are a tree; the map of its blocks is not read")
    for number in range(min(length, blocks)):
        block = block_at(source, base + (index + number) % blocks, size)
        if struct.unpack_from("<I", block, 24)[0] & 0xFFFF != _MAP or not sound(block):
            continue
        count = min(struct.unpack_from("<I", block, 36)[0], (size - 40) // 40)
        for _, _, bytes_, _, _, identifier, address in struct.iter_unpack("<IIIIQQQ", block[40 : 40 + 40 * count]):
            if identifier == wanted and 0 < bytes_ <= _MOST_MANAGER and address < 1 << 52:
                return _object(source, address, -(-bytes_ // size) * size, _MANAGER, size)
    raise Corrupt("the maps of its checkpoint do not say where its space manager is")


def _object(source: Source, address: int, size: int, kind: int, block: int | None = None) -> bytes:
    """An object of `size` bytes at a block. Raises Corrupt where it is of another type, or its checksum does not hold."""
    data = source.read(address * (block or size), size) if address < 1 << 52 else b""
    if len(data) < size or struct.unpack_from("<I", data, 24)[0] & 0xFFFF != kind or not sound(data):
        raise Corrupt(f"block {address} is no object of type {kind}, or its checksum does not hold")
    return data


def sound(data: bytes) -> bool:
    """Whether the checksum of an object holds (Fletcher's, over words of 32 bits modulo 2^32 - 1, after the checksum itself)."""
    words = struct.unpack(f"<{len(data) // 4 - 2}I", data[8 : len(data) // 4 * 4])
    low = sum(words) % _MODULUS
    high = sum(number * word for number, word in zip(range(len(words), 0, -1), words, strict=True)) % _MODULUS
    first = _MODULUS - (low + high) % _MODULUS
    second = _MODULUS - (low + first) % _MODULUS
    return bool(second << 32 | first == int.from_bytes(data[:8], "little"))
