"""Which bytes of a volume a shadow copy shows as the volume has them today: its copy-on-write lists, read for what they name.

A shadow copy keeps 16 KiB blocks of the volume as they were before they were written again. To show one, the lists of its store and of
all newer stores are laid over the volume of today; a block that none of them names, and that none of their bitmaps calls unused, is read
from the volume. Here only the names are collected, every one: what a list says is never weighed, so that a block is called the same too
seldom, and never once too often. Source: libyal, "Volume Shadow Snapshot (VSS) format", sections 2 to 4.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from forensics.errors import Corrupt
from forensics.evidence.libyal import Source

BLOCK_SHIFT = 14
BLOCK = 1 << BLOCK_SHIFT
_HEADER = 128  # bytes of the header of each block of a list
_VOLUME_HEADER = 0x1E00
_IDENTIFIER = UUID("3808876b-c176-4e48-b7ae-04046e6cc752").bytes_le
_VOLUME, _CATALOG, _DESCRIPTORS, _RANGES, _BITMAP = 1, 2, 3, 5, 6  # record types
_UNUSED, _COPY, _PLACES = 1, 2, 3  # catalogue entries
_FORWARDER = 1  # flag of a descriptor
_MOST_CATALOG = 1 << 12  # blocks
_MOST_LIST = 1 << 18  # blocks of one list: 133 million copied blocks, 2 TiB
_MOST_VOLUME = 1 << 46  # bytes: 64 TiB, for which 512 MiB of marks are needed


class Places(NamedTuple):
    """What the catalogue says of one store: its identifier, when it was made (FILETIME), where its lists begin (bytes; 0: none)."""

    identifier: str
    created: int
    descriptors: int
    ranges: int
    bitmap: int


class Differing:
    """One bit for every 16 KiB block of a volume: whether a shadow copy may show other bytes there than the volume has."""

    def __init__(self, size: int) -> None:
        self.blocks = -(-size // BLOCK)
        self._bits = bytearray(-(-self.blocks // 8))

    def mark(self, offset: int, size: int = 1) -> None:
        """Every block that bytes `offset` to `offset + size` touch; what lies beyond the volume is no block of it."""
        first, last = offset >> BLOCK_SHIFT, min((offset + size - 1) >> BLOCK_SHIFT, self.blocks - 1)
        if last - first < 16:
            for block in range(first, last + 1):
                self._bits[block >> 3] |= 1 << (block & 7)
            return
        start, stop = first >> 3, (last >> 3) + 1
        wanted = ((1 << (last - first + 1)) - 1) << (first & 7)
        self._join(start, wanted.to_bytes(stop - start, "little"))

    def mark_bits(self, first: int, bits: bytes) -> None:
        """The blocks from number `first` (a multiple of eight) on whose bit is set."""
        self._join(first >> 3, bits[: max(0, len(self._bits) - (first >> 3))])

    def _join(self, start: int, bits: bytes) -> None:
        end = start + len(bits)
        joined = int.from_bytes(self._bits[start:end], "little") | int.from_bytes(bits, "little")
        self._bits[start:end] = joined.to_bytes(len(bits), "little")

    def same(self, offset: int, size: int) -> bool:
        """Whether bytes `offset` to `offset + size` are the volume's own, all of them."""
        if offset < 0 or size <= 0:
            return False
        first, last = offset >> BLOCK_SHIFT, (offset + size - 1) >> BLOCK_SHIFT
        if last >= self.blocks:
            return False
        bits = int.from_bytes(self._bits[first >> 3 : (last >> 3) + 1], "little") >> (first & 7)
        return not bits & ((1 << (last - first + 1)) - 1)


def differing(volume: Source, identifier: str) -> Differing:
    """What store `identifier` may show otherwise than `volume` has it. Raises Corrupt where a list cannot be read to its end."""
    if volume.size > _MOST_VOLUME:
        raise Corrupt(f"a volume of {volume.size} bytes is larger than shadow copies are compared for ({_MOST_VOLUME})")
    stores = catalogue(volume)
    own = next((each for each in stores if each.identifier == identifier), None)
    if own is None:
        raise Corrupt(f"the catalogue of shadow copies has no store {identifier}")
    marks = Differing(volume.size)
    for store in stores:
        if store.created >= own.created:
            _mark_store(volume, store, marks)
    return marks


def _mark_store(volume: Source, store: Places, marks: Differing) -> None:
    if not store.descriptors:
        raise Corrupt(f"the lists of the store {store.identifier} are not on this volume")
    for _, block in _chain(volume, store.descriptors, _DESCRIPTORS, _MOST_LIST):
        for original, relative, place, flags, _ in struct.iter_unpack("<QQQII", block):
            if original or relative or place or flags:
                marks.mark(original, BLOCK)
                if place:
                    marks.mark(place, BLOCK)
                if flags & _FORWARDER:
                    marks.mark(relative, BLOCK)
    for _, block in _chain(volume, store.ranges, _RANGES, _MOST_LIST) if store.ranges else ():
        for offset, _, size in struct.iter_unpack("<QQQ", block[: len(block) // 24 * 24]):
            if size and offset < volume.size:
                marks.mark(offset, min(size, volume.size - offset))
    for number, block in _chain(volume, store.bitmap, _BITMAP, _MOST_LIST) if store.bitmap else ():
        marks.mark_bits(number * len(block) * 8, block)


def catalogue(volume: Source) -> list[Places]:
    """What the volume's catalogue says of its stores, in the catalogue's order. Raises Corrupt for what is no catalogue."""
    header = volume.read(_VOLUME_HEADER, 56)
    if len(header) < 56 or header[:16] != _IDENTIFIER or int.from_bytes(header[20:24], "little") != _VOLUME:
        raise Corrupt("its volume header names no shadow copies")
    made: dict[bytes, int] = {}
    lists: dict[bytes, tuple[int, int, int]] = {}
    first = int.from_bytes(header[48:56], "little")
    for _, block in _chain(volume, first, _CATALOG, _MOST_CATALOG):
        for at in range(0, len(block), 128):
            kind, number, name, _, ranges, fifth = struct.unpack_from("<QQ16sQQQ", block, at)
            if kind == _COPY and name not in made:
                made[name] = fifth
            elif kind == _PLACES and name not in lists:
                lists[name] = (number, ranges, fifth)
            elif kind not in (0, _UNUSED):
                raise Corrupt(f"the catalogue of shadow copies has an entry of type {kind}, or two for store {UUID(bytes_le=name)}")
    return [Places(str(UUID(bytes_le=name)), created, *lists.get(name, (0, 0, 0))) for name, created in made.items()]


def _chain(volume: Source, offset: int, record: int, most: int) -> Iterator[tuple[int, bytes]]:
    """Number and body of each block of a list, from byte `offset` of the volume on."""
    seen: set[int] = set()
    for number in range(most):
        if offset in seen:
            raise Corrupt(f"a list of the shadow copies goes round: it comes to byte {offset} a second time")
        seen.add(offset)
        block = volume.read(offset, BLOCK) if 0 < offset < volume.size else b""
        if len(block) < BLOCK:
            raise Corrupt(f"a list of the shadow copies goes on at byte {offset}, which the volume does not have")
        name, _, kind, _, here, following = struct.unpack_from("<16sIIQQQ", block)
        if name != _IDENTIFIER or kind != record or here != offset:
            raise Corrupt(f"a list of the shadow copies goes on at byte {offset}; what is there is no block of type {record}")
        yield number, block[_HEADER:]
        if not following:
            return
        offset = following
    raise Corrupt(f"a list of the shadow copies has more than {most} blocks")
