"""QCOW images of QEMU, versions 1 to 3: compressed clusters and backing files.

Own reader: libqcow 20260703 gives zeros, and no error, for some compressed clusters. Source: QEMU's docs/interop/qcow2.rst; version 1 as
QEMU's block/qcow.c reads it.
"""

import os
import struct
import threading
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence import limits
from forensics.evidence.damage import DamageNotes
from forensics.evidence.files import Files
from forensics.evidence.raw import RawImage
from forensics.evidence.virtual import beside
from forensics.location import printable
from forensics.model import ImageDamage

if TYPE_CHECKING:
    from forensics.evidence.image import Image

MAGIC = b"QFI\xfb"
_INCOMPATIBLE = {2: "an external data file", 4: "extended L2 entries"}  # what changes where the bytes are; 0, 1 and 3 are dealt with
_BACKING_FORMAT = 0xE2792ACA
_TABLES = 64  # second tables kept
_CLUSTERS = 16  # unpacked clusters kept
_COMPRESSED = 1 << 62
_OFFSET = 0x00FFFFFFFFFFFE00


class _Header(NamedTuple):
    """What of the header is needed: `cluster` and `second` are bits; `first_at` and `first` where the first table lies, its entries."""

    version: int
    size: int
    cluster: int
    second: int
    first_at: int
    first: int
    zstd: bool
    backing: str
    backing_format: str
    snapshots: int


def open_qcow(path: Path, open_other: "Callable[[Path], Image]", depth: int = 0) -> "QcowImage":
    """The image at `path`, and the backing files beside it, of whatever format; `open_other` opens one that is no QCOW image.

    Raises Locked for an encrypted one, Unsupported for features that are not read, EvidenceError where a backing file is missing.
    """
    files = Files([path])
    damage = DamageNotes()
    try:
        header = _header(files, damage)
        backing = _backing(path, header, open_other, depth)
        return QcowImage(files, header, damage, backing)
    except EvidenceError:
        files.close()
        raise


def _backing(path: Path, header: _Header, open_other: "Callable[[Path], Image]", depth: int) -> "Image | None":
    if not header.backing:
        return None
    if depth >= limits.NESTING:
        raise Unsupported(f"{printable(str(path))}: is a chain of more than {limits.NESTING} images; commit or convert it")
    found = beside(path, header.backing, "backing file")
    if header.backing_format == "raw":  # whatever it looks like: a guest writes what it likes to a raw disk
        return RawImage([found])
    with open(found, "rb") as file:
        head = file.read(4)
    return open_qcow(found, open_other, depth + 1) if head == MAGIC else open_other(found)


def _header(files: Files, damage: DamageNotes) -> _Header:
    name = printable(str(files.paths[0]))
    head = files.read(0, 0, 4096)
    if len(head) < 104:
        raise Corrupt(f"{name}: ends within its header")
    (version,) = struct.unpack_from(">I", head, 4)
    if version == 1:
        place, length, _, size, cluster, second, encryption, first_at = struct.unpack_from(">QIIQBBxxIQ", head, 8)
        features, snapshots = 0, 0
        first = -(-size >> (cluster + second)) if cluster + second < 64 else 0
    elif version in (2, 3):
        place, length, cluster, size, encryption, first, first_at, _, _, snapshots = struct.unpack_from(">QIIQIIQQII", head, 8)
        features = struct.unpack_from(">Q", head, 72)[0] if version == 3 else 0
        second = cluster - 3
    else:
        raise Unsupported(f"{name}: is a QCOW image of version {version}; versions 1 to 3 are read")
    if encryption:
        raise Locked(f"{name}: is encrypted; convert it with qemu-img and its key, and add the result")
    if features & ~0b1011:
        known = [text for bit, text in _INCOMPATIBLE.items() if features >> bit & 1] or [f"features {features:#x}"]
        raise Unsupported(f"{name}: is a QCOW image with {' and '.join(known)}, which is not read; convert it to raw with qemu-img")
    if features & 1:
        damage.note("the image was not closed properly (dirty)")
    if features & 2:
        damage.note("the image is marked as corrupt by QEMU")
    sound = 9 <= cluster <= 22 and 0 < second <= 20 and 0 < size <= limits.MEDIUM and length <= 1023 and place + length <= 4096 * 16
    if not sound or first << (cluster + second) < size or first > 1 << 24:
        raise Corrupt(f"{name}: its header says {size} bytes in clusters of 2^{cluster}, and {first} entries of its first table")
    backing = files.read(0, place, length) if place and length else b""
    format = _extension(head, struct.unpack_from(">I", head, 100)[0] if version == 3 else 72, place) if version >= 2 else ""
    zstd = bool(features & 8) and version == 3 and head[104] == 1
    if features & 8 and not zstd:
        raise Unsupported(f"{name}: its clusters are packed in a way that is not known (type {head[104]})")
    return _Header(version, size, cluster, second, first_at, first, zstd, os.fsdecode(backing), format, snapshots)


def _extension(head: bytes, at: int, end: int) -> str:
    """The format of the backing file, as a header extension says it; "" where none does."""
    while at + 8 <= min(len(head), end or len(head)):
        kind, length = struct.unpack_from(">II", head, at)
        if not kind or length > 4096:
            break
        if kind == _BACKING_FORMAT:
            return head[at + 8 : at + 8 + length].decode("ascii", "backslashreplace")
        at += 8 + -(-length // 8) * 8
    return ""


class QcowImage:
    """A QCOW image. Satisfies `forensics.evidence.image.Image`; clusters that cannot be read are zeros, and damage.

    Raises EvidenceError where the storage fails.
    """

    def __init__(self, files: Files, header: _Header, damage: DamageNotes, backing: "Image | None") -> None:
        self._files, self._header, self._damage, self._backing = files, header, damage, backing
        self._cluster = 1 << header.cluster
        self._first = _numbers(files.read(0, header.first_at, header.first * 8))
        if len(self._first) < header.first:
            raise Corrupt(f"{printable(str(files.paths[0]))}: ends within its first table, at entry {len(self._first)} of {header.first}")
        self._tables: OrderedDict[int, array[int] | None] = OrderedDict()
        self._unpacked: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._struck = False
        self.format = "QCOW" if header.version == 1 else "QCOW2"
        self.size = header.size
        self.files = (*files.paths, *(backing.files if backing else ()))
        self.stored: dict[str, str] = {}
        self.metadata = {"internal_snapshots": str(header.snapshots)} if header.snapshots else {}
        self.damaged_reads = 0

    @property
    def damage(self) -> tuple[ImageDamage, ...]:
        return (*self._damage.all(), *(self._backing.damage if self._backing else ()))

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of the medium from `offset`, short only at its end."""
        end = min(offset + size, self.size)
        if offset < 0 or offset >= end:
            return b""
        pieces: list[bytes] = []
        with self._lock:
            self._struck = False
            before = self._backing.damaged_reads if self._backing else 0
            while offset < end:
                within = offset % self._cluster
                want = min(self._cluster - within, end - offset)
                pieces.append(self._piece(offset >> self._header.cluster, within, want))
                offset += want
            self.damaged_reads += self._struck or (self._backing is not None and self._backing.damaged_reads > before)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, number: int, within: int, want: int) -> bytes:
        """Bytes of one cluster."""
        table = self._table(number >> self._header.second)
        if table is None:
            self._note(number, "the table that says where it lies cannot be read")
            return bytes(want)
        entry = table[number & ((1 << self._header.second) - 1)] if table else 0
        packed = entry >> 63 if self._header.version == 1 else entry & _COMPRESSED
        if packed:
            return self._unpack(number, entry)[within : within + want]
        at = entry if self._header.version == 1 else entry & _OFFSET
        if self._header.version == 3 and entry & 1:
            return bytes(want)
        if not at:
            return self._below((number << self._header.cluster) + within, want)
        data = self._files.read(0, at + within, want)
        if len(data) < want:
            self._note(number, f"the file ends at byte {at + within + len(data)}, within it")
            data += bytes(want - len(data))
        return data

    def _below(self, offset: int, size: int) -> bytes:
        """Bytes that were never written here: those of the backing file, zeros without one and beyond its end."""
        data = self._backing.read(offset, size) if self._backing else b""
        return data + bytes(size - len(data)) if len(data) < size else data

    def _table(self, number: int) -> "array[int] | None":
        """A second table, empty where there is none, `None` where it cannot be read."""
        if number in self._tables:
            self._tables.move_to_end(number)
            return self._tables[number]
        entry = self._first[number]
        at = entry if self._header.version == 1 else entry & _OFFSET
        found: array[int] | None = array("Q")
        if at:
            entries = 1 << self._header.second
            found = _numbers(self._files.read(0, at, entries * 8))
            found = found if len(found) == entries else None
        self._tables[number] = found
        if len(self._tables) > _TABLES:
            self._tables.popitem(last=False)
        return found

    def _unpack(self, number: int, entry: int) -> bytes:
        """A compressed cluster, whole."""
        data = self._unpacked.get(number)
        if data is not None:
            return data
        bits = 63 - self._header.cluster if self._header.version == 1 else 62 - (self._header.cluster - 8)
        at = entry & ((1 << bits) - 1)
        if self._header.version == 1:
            size = entry >> bits & (self._cluster - 1)
        else:
            size = ((entry & (_COMPRESSED - 1)) >> bits) * 512 + 512 - at % 512
        raw = self._files.read(0, at, size)
        try:
            if self._header.zstd:
                data = zstandard.ZstdDecompressor().decompressobj().decompress(raw) if len(raw) <= 2 * self._cluster else b""
            else:
                data = zlib.decompressobj(-15).decompress(raw, self._cluster)
        except (zlib.error, zstandard.ZstdError):
            data = b""
        if len(data) < self._cluster:
            self._note(number, f"its compressed data at byte {at} cannot be unpacked")
            data = data.ljust(self._cluster, b"\0")
        self._unpacked[number] = data
        if len(self._unpacked) > _CLUSTERS:
            self._unpacked.popitem(last=False)
        return data

    def _note(self, number: int, message: str) -> None:
        self._struck = True
        offset = number << self._header.cluster
        self._damage.chunk(number, offset, min(self._cluster, self.size - offset), f"cluster {number}: {message}")

    def close(self) -> None:
        """Close the files, those of the backing image too."""
        self._files.close()
        if self._backing is not None:
            self._backing.close()


def _numbers(raw: bytes) -> "array[int]":
    """Big-endian 64-bit numbers."""
    numbers = array("Q")
    numbers.frombytes(raw[: len(raw) // 8 * 8])
    if struct.pack("=H", 1) != struct.pack(">H", 1):
        numbers.byteswap()
    return numbers
