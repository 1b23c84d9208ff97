"""Which bytes of a device no file of a Btrfs has: what of its chunks the extent tree does not list, and what lies in no chunk.

What lies in no chunk is the file system's to give out, and never was, or is no more, in use; the first MiB is left alone by Btrfs, and so
are the 64 KiB of each copy of the superblock: neither counts as free. Source: btrfs.readthedocs.io, "On-disk Format".
"""

from collections.abc import Iterator

from forensics.errors import Corrupt
from forensics.evidence.btrfs_volume import LAST, BtrfsVolume, Tree
from forensics.evidence.free_blocks import Run, joined

_EXTENT, _METADATA = 168, 169  # types of items
_RESERVED = ((0, 1 << 20), (64 << 20, 64 << 10), (256 << 30, 64 << 10))
_MOST = 1 << 24  # free ranges


def free_runs(volume: BtrfsVolume, extents: Tree, node: int, size: int) -> Iterator[Run]:
    """Free byte ranges (offset, size) of this device, of `size` bytes, in order; `node` is the size of a tree block.

    Raises Corrupt where the extent tree cannot be read or does not hold together, Unsupported for chunks that lie in stripes.
    """
    free = list(_in_chunks(volume, extents, node))
    taken = [place for _, length, places in volume.stretches() for place in ((start, length) for start in places)]
    free += _between(sorted(taken), size)
    return joined(_without(sorted(free), sorted(_RESERVED), size))


def _in_chunks(volume: BtrfsVolume, extents: Tree, node: int) -> Iterator[Run]:
    """What no extent has of each chunk, once for each copy of the chunk on this device."""
    held = _extents(volume, extents, node)
    begin, end = next(held, (LAST, LAST))
    count = 0
    for start, length, places in volume.stretches():
        at = start
        while begin < start + length:
            if begin < at or end > start + length:
                raise Corrupt(f"the extent of {end - begin} bytes at address {begin} overlaps another, or goes beyond its chunk")
            if begin > at:
                yield from ((place + at - start, begin - at) for place in places)
                count += 1
            at = end
            begin, end = next(held, (LAST, LAST))
        if at < start + length:
            yield from ((place + at - start, start + length - at) for place in places)
            count += 1
        if count > _MOST:
            raise Corrupt(f"more than {_MOST} free ranges")
    if begin != LAST:
        raise Corrupt(f"the extent at address {begin} lies in no chunk")


def _extents(volume: BtrfsVolume, extents: Tree, node: int) -> Iterator[tuple[int, int]]:
    """Where each extent begins and ends, by the tree of extents."""
    for item in volume.items(extents, (0, 0, 0), (LAST, 255, LAST)):
        if isinstance(item, Exception):
            raise item
        (address, kind, offset), _ = item
        if kind in (_EXTENT, _METADATA):
            yield address, address + (offset if kind == _EXTENT else node)


def _between(taken: list[Run], size: int) -> Iterator[Run]:
    at = 0
    for start, length in taken:
        if start < at:
            raise Corrupt(f"two chunks lie at byte {start} of the device")
        if start > at:
            yield at, start - at
        at = start + length
    if at < size:
        yield at, size - at


def _without(runs: list[Run], taken: list[Run], size: int) -> Iterator[Run]:
    """The runs without the ranges that are taken from them, and without what lies beyond the device."""
    for start, length in runs:
        at, end = start, min(start + length, size)
        for first, number in taken:
            if first >= end:
                break
            if at < first:
                yield at, first - at
            at = max(at, first + number)
        if at < end:
            yield at, end - at
