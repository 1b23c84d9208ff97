"""Disk images that are a list of blocks and where each lies: VDI, Parallels, Android sparse. Own readers: no library has the first two."""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from forensics.errors import Corrupt, Unsupported
from forensics.evidence import limits
from forensics.evidence.damage import DamageNotes
from forensics.evidence.files import Files
from forensics.location import printable
from forensics.model import ImageDamage

VDI = b"\x7f\x10\xda\xbe"  # at 0x40
PARALLELS = (b"WithoutFreeSpace", b"WithouFreSpacExt")
ANDROID = b"\x3a\xff\x26\xed"

Place = tuple[int, int, int | bytes | None]  # first byte and size on the medium; byte of the file, a repeated pattern, or zeros
_ENTRIES = 1 << 26  # of a block map: 64 TiB in blocks of 1 MiB


class MappedImage:
    """An image in blocks. Satisfies `forensics.evidence.image.Image`; blocks beyond the file's end are zeros, and damage.

    `find` gives the place that holds an offset. Raises EvidenceError where the storage fails.
    """

    def __init__(self, format: str, files: Files, size: int, find: Callable[[int], Place], damage: DamageNotes) -> None:
        self._files, self._find, self._damage = files, find, damage
        self.format, self.size, self.files = format, size, files.paths
        self.stored: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self.damaged_reads = 0

    @property
    def damage(self) -> tuple[ImageDamage, ...]:
        return self._damage.all()

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of the medium from `offset`, short only at its end."""
        end = min(offset + size, self.size)
        if offset < 0 or offset >= end:
            return b""
        pieces: list[bytes] = []
        struck = False
        while offset < end:
            first, length, at = self._find(offset)
            within, want = offset - first, min(end, first + length) - offset
            if at is None:
                piece = bytes(want)
            elif isinstance(at, bytes):
                phase = within % len(at)
                piece = (at * (want // len(at) + 2))[phase : phase + want]
            else:
                piece = self._files.read(0, at + within, want)
                if len(piece) < want:
                    struck = True
                    self._damage.chunk(first, first, length, f"the file ends before byte {at + length} of this block")
                    piece += bytes(want - len(piece))
            pieces.append(piece)
            offset += want
        self.damaged_reads += struck
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Close the file."""
        self._files.close()


class _Blocks(NamedTuple):
    """Blocks of one size: entry `e` of the map lies at byte `base + e * scale`; from `empty` on (or 0, where that is 0) it is zeros."""

    block: int
    entries: "array[int]"
    base: int
    scale: int
    empty: int


def _image(format: str, files: Files, size: int, blocks: _Blocks) -> MappedImage:
    block, entries, base, scale, empty = blocks
    name = printable(str(files.paths[0]))
    if not 0 < size <= limits.MEDIUM or not 0 < block <= 1 << 30 or len(entries) * block < size:
        raise Corrupt(f"{name}: its header says {size} bytes in {len(entries)} blocks of {block}")

    def find(offset: int) -> Place:
        number = offset // block
        entry = entries[number]
        first = number * block
        nothing = entry >= empty if empty else entry == 0
        return first, min(block, size - first), None if nothing else base + entry * scale

    return MappedImage(format, files, size, find, DamageNotes())


def _map(files: Files, at: int, count: int) -> "array[int]":
    """`count` little-endian 32-bit numbers at byte `at`. Raises Corrupt where the file is shorter."""
    if not 0 < count <= _ENTRIES:
        raise Corrupt(f"{printable(str(files.paths[0]))}: its block map has {count} entries; 1 to {_ENTRIES} are read")
    raw = files.read(0, at, count * 4)
    if len(raw) < count * 4:
        raise Corrupt(f"{printable(str(files.paths[0]))}: ends within its block map, at byte {at + len(raw)}")
    numbers = array("I")
    numbers.frombytes(raw)
    if struct.pack("=H", 1) != struct.pack("<H", 1):
        numbers.byteswap()
    return numbers


def open_vdi(path: Path) -> MappedImage:
    """A VDI image of VirtualBox, fixed or dynamic (VDICore.h, VDIHEADER1PLUS). Raises Unsupported for a differencing one or version 0."""
    files = Files([path])
    name = printable(str(path))
    head = files.read(0, 0, 512)
    if len(head) < 512:
        raise Corrupt(f"{name}: ends within its header")
    minor, major, _, type_ = struct.unpack_from("<HHII", head, 0x44)
    if major != 1:
        raise Unsupported(f"{name}: is a VDI image of version {major}.{minor}; version 1 is read")
    if type_ not in (1, 2):
        raise Unsupported(f"{name}: is a differencing VDI image (type {type_}); clone it whole with VBoxManage, and add the result")
    blocks, data = struct.unpack_from("<II", head, 0x154)
    size, block, extra, count = struct.unpack_from("<QIII", head, 0x170)
    if extra > 1 << 20:
        raise Corrupt(f"{name}: its header says {extra} extra bytes a block")
    # 0xffffffff: never written; 0xfffffffe: written as zeros
    return _image("VDI", files, size, _Blocks(block, _map(files, blocks, count), data + extra, block + extra, 0xFFFFFFFE))


def open_parallels(path: Path) -> MappedImage:
    """An expanding image of Parallels (QEMU docs/interop/parallels.rst): the sole one, or the base, of a disk."""
    files = Files([path])
    name = printable(str(path))
    head = files.read(0, 0, 64)
    if len(head) < 64:
        raise Corrupt(f"{name}: ends within its header")
    version, _, _, track, count, sectors = struct.unpack_from("<IIIIIQ", head, 16)
    extended = head.startswith(PARALLELS[1])
    if version != 2:
        raise Unsupported(f"{name}: is a Parallels image of version {version}; version 2 is read")
    if not extended:
        sectors &= 0xFFFFFFFF
    block = track * 512
    return _image("Parallels", files, sectors * 512, _Blocks(block, _map(files, 64, count), 0, block if extended else 512, 0))


def open_android_sparse(path: Path) -> MappedImage:
    """An Android sparse image (libsparse/sparse_format.h), as fastboot and many extraction tools write them."""
    files = Files([path])
    name = printable(str(path))
    head = files.read(0, 0, 28)
    if len(head) < 28:
        raise Corrupt(f"{name}: ends within its header")
    major, minor, header, chunk_header, block, blocks, chunks, _ = struct.unpack_from("<HHHHIIII", head, 4)
    if major != 1 or header < 28 or chunk_header < 12 or block % 4 or not 0 < block <= 1 << 26:
        raise Unsupported(f"{name}: is an Android sparse image of version {major}.{minor}, blocks of {block} bytes; version 1 is read")
    size = blocks * block
    if not 0 < size <= limits.MEDIUM or chunks > _ENTRIES:
        raise Corrupt(f"{name}: its header says {blocks} blocks of {block} bytes in {chunks} chunks")
    places = list(_android_chunks(files, name, header, chunk_header, block, chunks))
    damage = DamageNotes()
    reached = places[-1][0] + places[-1][1] if places else 0
    if reached < size:
        damage.note(f"its chunks end at byte {reached} of {size}; zeros follow", reached, size - reached)
        places.append((reached, size - reached, None))
    starts = [place[0] for place in places]
    return MappedImage("Android sparse image", files, size, lambda offset: places[bisect_right(starts, offset) - 1], damage)


def _android_chunks(files: Files, name: str, at: int, chunk_header: int, block: int, chunks: int) -> Iterator[Place]:
    first = 0
    for number in range(chunks):
        raw = files.read(0, at, 12)
        if len(raw) < 12:
            return  # the caller notes what is missing
        type_, _, count, total = struct.unpack("<HHII", raw)
        body, length = total - chunk_header, count * block
        if type_ == 0xCAC1 and body == length:
            yield first, length, at + chunk_header
        elif type_ == 0xCAC2 and body == 4:
            yield first, length, files.read(0, at + chunk_header, 4).ljust(4, b"\0")
        elif type_ == 0xCAC3 and not body:
            yield first, length, None
        elif type_ != 0xCAC4:  # a CRC-32 of everything so far
            raise Corrupt(f"{name}: chunk {number} at byte {at} has type {type_:#06x} and {body} bytes for {count} blocks")
        first += length if type_ != 0xCAC4 else 0
        at += total
