"""AFF4 images: maps over compressed streams in zip volumes, each chunk checked as it is unpacked.

Own reader: the library of the format's authors does not install. Source: AFF4 Standard 1.0 (Schatz and Cohen, 2017).
"""

import hashlib
import struct
import threading
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import deflate

from forensics.errors import Corrupt, EvidenceError, Unsupported
from forensics.evidence import limits
from forensics.evidence.aff4_zip import SCHEMA, Volume
from forensics.evidence.damage import DamageNotes
from forensics.location import printable
from forensics.model import ImageDamage

_CACHE = 256  # chunks
_TILE = 1 << 20  # symbolic streams repeat every MiB (standard, 4.5)
_CHUNK = 64 << 20
_SIBLINGS = 256
_ALGORITHMS = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512"}
_METADATA = {"caseNumber": "case_number", "evidenceNumber": "evidence_number", "examiner": "examiner", "caseDescription": "description"}
_DISK = {"diskModel": "model", "diskSerial": "serial", "diskMake": "make"}


class _Range(NamedTuple):
    """A range of the medium and where it comes from: a stream and an offset in it, or a pattern."""

    first: int
    size: int
    stream: "_Stream | None"
    at: int
    pattern: bytes


def open_aff4(path: Path) -> "Aff4Image":
    """The image in an AFF4 volume; streams that lie in other volumes are looked for in those beside it.

    Raises EvidenceError where a volume is missing, Corrupt where it cannot be read, Unsupported for logical images and other versions.
    """
    volumes = [Volume(path)]
    damage = DamageNotes()
    maps = list(volumes[0].subjects("Map"))
    streams = [*volumes[0].subjects("ImageStream"), *volumes[0].subjects("stream")]
    chosen = _image(volumes[0], maps, streams)
    if chosen in maps:
        ranges = _map(volumes, chosen, path, damage)
    elif chosen is not None:
        stream = _Stream(volumes[0], chosen, damage)
        ranges = [_Range(0, stream.size, stream, 0, b"")]
    else:
        logical = any(True for _ in volumes[0].subjects("FileImage"))
        what = "a logical image of files" if logical else "no disk image"
        raise Unsupported(f"{printable(str(path))}: is an AFF4 volume with {what}, which is not read; export its files and add the folder")
    size = volumes[0].number(chosen, "size")
    if not 0 < size <= limits.MEDIUM:
        raise Corrupt(f"{printable(str(path))}: says that its medium has {size} bytes")
    return Aff4Image(volumes, chosen, size, ranges, damage)


def _image(volume: Volume, maps: list[str], streams: list[str]) -> str | None:
    """The map or stream that is the medium: that which a disk image names, else the only one."""
    for kind in ("DiskImage", "ContiguousImage", "DiscontiguousImage", "Image"):
        for image in volume.subjects(kind):
            stream = volume.value(image, "dataStream")
            if stream in maps or stream in streams:
                return stream
    return maps[0] if len(maps) == 1 else streams[0] if len(streams) == 1 and not maps else None


class Aff4Image:
    """An AFF4 image. Satisfies `forensics.evidence.image.Image`; chunks that cannot be unpacked are zeros, and damage."""

    def __init__(self, volumes: list[Volume], medium: str, size: int, ranges: list[_Range], damage: DamageNotes) -> None:
        self._volumes, self._medium, self._ranges, self._damage = volumes, medium, ranges, damage
        self._starts = [one.first for one in ranges]
        self._lock = threading.Lock()
        self.format = "AFF4"
        self.size = size
        self.files = tuple(path for volume in volumes for path in volume.files.paths)
        self.stored = _digests(volumes, medium)
        self.metadata = _metadata(volumes[0])
        self.damaged_reads = 0

    @property
    def damage(self) -> tuple[ImageDamage, ...]:
        return self._damage.all()

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of the medium from `offset`, short only at its end. Raises EvidenceError where the storage fails."""
        end = min(offset + size, self.size)
        if offset < 0 or offset >= end:
            return b""
        pieces: list[bytes] = []
        with self._lock:
            before = sum(one.struck for one in self._streams())
            while offset < end:
                piece = self._piece(offset, end)
                pieces.append(piece)
                offset += len(piece)
            self.damaged_reads += sum(one.struck for one in self._streams()) > before
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, offset: int, end: int) -> bytes:
        number = bisect_right(self._starts, offset) - 1
        found = self._ranges[number] if number >= 0 else None
        if found is None or offset >= found.first + found.size:
            until = self._starts[number + 1] if number + 1 < len(self._starts) else end
            return bytes(min(until, end, offset + _TILE) - offset)  # the map's gaps are zeros
        within = offset - found.first
        want = min(end - offset, found.size - within, _TILE)
        if found.stream is None:
            return _tiled(found.pattern, found.at + within, want)
        data = found.stream.read(found.at + within, want)
        if not data:
            self._damage.chunk(found.first, found.first, found.size, "the map names bytes beyond the end of their stream")
            return bytes(want)
        return data

    def _streams(self) -> "list[_Stream]":
        return list({id(one.stream): one.stream for one in self._ranges[:_SIBLINGS] if one.stream is not None}.values())

    def inner_digests(self) -> Iterator[tuple[str, str, str]]:
        """Digests that were stored of the image's parts: name, as stored, as computed. Reads every stream once."""
        for volume in self._volumes:
            for urn in volume.subjects("ImageStream"):
                stream = _Stream(volume, urn, DamageNotes())
                for value, kind in sorted(volume.facts[urn].get("hash", [])):
                    if kind in _ALGORITHMS:
                        yield f"{_ALGORITHMS[kind]} of stream {urn}", value, _hashed(_ALGORITHMS[kind], stream)
            for urn in volume.subjects("Map"):
                for name, member in (("mapPointHash", "map"), ("mapIdxHash", "idx"), ("mapPathHash", "mapPath")):
                    for value, kind in sorted(volume.facts[urn].get(name, [])):
                        if kind in _ALGORITHMS and volume.find(f"{urn}/{member}"):
                            computed = hashlib.new(_ALGORITHMS[kind], volume.whole(f"{urn}/{member}")).hexdigest()
                            yield f"{_ALGORITHMS[kind]} of {member} of {urn}", value, computed

    def close(self) -> None:
        """Close the volumes."""
        for volume in self._volumes:
            volume.files.close()


def _hashed(algorithm: str, stream: "_Stream") -> str:
    digest = hashlib.new(algorithm)
    offset = 0
    while data := stream.read(offset, _TILE):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()


def _tiled(pattern: bytes, at: int, size: int) -> bytes:
    """Part of a symbolic stream: the pattern again and again, begun anew every MiB."""
    if not any(pattern):
        return bytes(size)
    tile = (pattern * (_TILE // len(pattern) + 1))[:_TILE]
    phase = at % _TILE
    return (tile + tile)[phase : phase + size]


def _symbolic(urn: str) -> bytes | None:
    """The pattern of a symbolic stream, `None` for a stream of data (standard, 4.5)."""
    name = urn.removeprefix(SCHEMA).removeprefix("aff4:")
    if name == "Zero":
        return b"\0"
    if name == "UnknownData":
        return b"UNKNOWN"
    if name == "UnreadableData":
        return b"UNREADABLEDATA"
    if name.startswith("SymbolicStream") and len(name) == 16:
        try:
            return bytes.fromhex(name[14:])
        except ValueError:
            return None
    return None


def _map(volumes: list[Volume], urn: str, path: Path, damage: DamageNotes) -> list[_Range]:
    """The ranges of a map (standard, 4.4): 28 bytes each, and a list of the streams that they refer to."""
    volume = volumes[0]
    targets = volume.whole(f"{urn}/idx").decode("utf-8", "backslashreplace").split()
    streams: list[_Stream | bytes] = [_target(volumes, target, path, damage) for target in targets[:_SIBLINGS]]
    raw = volume.whole(f"{urn}/map")
    if len(raw) % 28:
        raise Corrupt(f"{volume.name}: the map has {len(raw)} bytes, which is no multiple of 28")
    gap = volume.value(urn, "mapGapDefaultStream")
    if gap is not None and _symbolic(gap) != b"\0":
        raise Unsupported(f"{volume.name}: gaps of its map are {gap}, which is not read")
    ranges: list[_Range] = []
    reached = 0
    for first, size, at, number in sorted(struct.iter_unpack("<QQQI", raw)):
        if number >= len(streams) or first < reached or size > limits.MEDIUM or first > limits.MEDIUM:
            raise Corrupt(f"{volume.name}: the map has an impossible range of {size} bytes at byte {first}")
        reached = first + size
        target = streams[number]
        if isinstance(target, bytes):
            ranges.append(_Range(first, size, None, at, target))
            if target in (b"UNKNOWN", b"UNREADABLEDATA"):
                damage.note("not acquired" if target == b"UNKNOWN" else "the medium could not be read here", first, size)
        else:
            ranges.append(_Range(first, size, target, at, b""))
    return ranges


def _target(volumes: list[Volume], urn: str, path: Path, damage: DamageNotes) -> "_Stream | bytes":
    symbol = _symbolic(urn)
    if symbol is not None:
        return symbol
    for volume in volumes:
        if volume.find(f"{urn}/00000000.index"):
            return _Stream(volume, urn, damage)
    for beside in sorted(path.parent.glob("*.aff4"))[:_SIBLINGS]:
        if any(beside in volume.files.paths for volume in volumes):
            continue
        try:
            other = Volume(beside)
        except EvidenceError:
            continue  # of another image, or damaged: the stream is missing then
        if other.find(f"{urn}/00000000.index"):
            volumes.append(other)
            return _Stream(other, urn, damage)
        other.files.close()
    raise EvidenceError(f"{printable(str(path))}: the volume that holds {urn} is missing; put all files of the image into one folder")


class _Stream:
    """A stream of chunks in bevies (standard, 4.3). `struck` counts chunks that could not be unpacked."""

    def __init__(self, volume: Volume, urn: str, damage: DamageNotes) -> None:
        self._volume, self._urn, self._damage = volume, urn, damage
        self.size = volume.number(urn, "size")
        self._chunk = volume.number(urn, "chunkSize")
        self._in_bevy = volume.number(urn, "chunksInSegment")
        method = volume.value(urn, "compressionMethod") or ""
        unpack = next((unpack for mark, unpack in _METHODS if mark in method.lower()), None)
        if unpack is None:
            raise Unsupported(f"{volume.name}: compressed by {method[:80]!r}, which is not read")
        if not (0 < self._chunk <= _CHUNK and 0 < self._in_bevy <= 1 << 20):
            raise Corrupt(f"{volume.name}: {urn} has chunks of {self._chunk} bytes, {self._in_bevy} in a bevy")
        self._unpack: Callable[[bytes, int], bytes] = unpack
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._bevies: OrderedDict[int, tuple[bytes, int | None, bytes]] = OrderedDict()
        self.struck = 0

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end."""
        end = min(offset + size, self.size)
        parts = []
        while offset < end:
            number, within = divmod(offset, self._chunk)
            part = self._one(number)[within : within + end - offset]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _one(self, number: int) -> bytes:
        data = self._cache.get(number)
        if data is None:
            wanted = min(self._chunk, self.size - number * self._chunk)
            try:
                data = self._decoded(number, wanted)
            except (Corrupt, ValueError, OSError, zlib.error, deflate.DeflateError) as error:
                self.struck += 1
                data = bytes(wanted)
                self._damage.note(f"chunk {number} of {self._urn} cannot be read, and is zeros: {error}")
            self._cache[number] = data
            if len(self._cache) > _CACHE:
                self._cache.popitem(last=False)
        return data

    def _decoded(self, number: int, wanted: int) -> bytes:
        bevy, within = divmod(number, self._in_bevy)
        index, start, whole = self._bevy(bevy)
        if 12 * within + 12 > len(index):
            raise Corrupt(f"the index of bevy {bevy} has no entry for it")
        at, size = struct.unpack_from("<QI", index, 12 * within)
        if size > 2 * self._chunk + 1024:
            raise Corrupt(f"it is said to take {size} bytes")
        raw = whole[at : at + size] if start is None else self._volume.read(start + at, size)
        data = raw if size == self._chunk else self._unpack(raw, self._chunk)  # standard, 4.3.2: what did not become smaller is stored
        if len(data) < wanted:
            raise Corrupt(f"it has {len(data)} bytes of {wanted}")
        return data[:wanted]

    def _bevy(self, number: int) -> tuple[bytes, int | None, bytes]:
        """Index of a bevy, where in the file its data begins, or (where it is compressed) all of its data."""
        found = self._bevies.get(number)
        if found is None:
            urn = f"{self._urn}/{number:08d}"
            info = self._volume.find(urn)
            if info is None:
                raise Corrupt(f"bevy {number} is missing")
            start = self._volume.place(info)
            found = self._bevies[number] = (self._volume.whole(f"{urn}.index"), start, self._volume.whole(urn) if start is None else b"")
            if len(self._bevies) > 16:
                self._bevies.popitem(last=False)
        return found


def _zlib(data: bytes, size: int) -> bytes:
    return bytes(deflate.zlib_decompress(data, size))


def _raw_deflate(data: bytes, size: int) -> bytes:
    return zlib.decompressobj(-15).decompress(data, size)


def _snappy(data: bytes, size: int) -> bytes:
    import cramjam

    out = bytearray(size)
    try:
        return bytes(out[: cramjam.snappy.decompress_raw_into(data, out)])
    except cramjam.DecompressionError as error:
        raise ValueError("the compressed data is damaged") from error


def _lz4(data: bytes, size: int) -> bytes:
    import cramjam

    out = bytearray(size)
    try:
        if data.startswith(b"\x04\x22\x4d\x18"):  # a frame; else a bare block
            return bytes(out[: cramjam.lz4.decompress_into(data, out)])
        return bytes(out[: cramjam.lz4.decompress_block_into(data, out, output_len=size)])
    except cramjam.DecompressionError as error:
        raise ValueError("the compressed data is damaged") from error


def _stored(data: bytes, size: int) -> bytes:
    return data[:size]


_METHODS: tuple[tuple[str, Callable[[bytes, int], bytes]], ...] = (
    ("rfc1950", _zlib),
    ("rfc1951", _raw_deflate),
    ("snappy", _snappy),
    ("lz4", _lz4),
    ("nullcompressor", _stored),
    ("stored", _stored),
)


# --- what was written of the acquisition --------------------------------------------------------------------------------------


def _digests(volumes: list[Volume], medium: str) -> dict[str, str]:
    """Digests of the whole medium: those that stand at the map or stream itself where it is no stream of parts, or at the image."""
    subjects = [medium] + [image for image in volumes[0].subjects("Image") if volumes[0].value(image, "dataStream") == medium]
    found: dict[str, str] = {}
    for subject in subjects:
        for value, kind in sorted(volumes[0].facts.get(subject, {}).get("hash", [])):
            if kind in _ALGORITHMS:
                found.setdefault(_ALGORITHMS[kind], value)
    return found


def _metadata(volume: Volume) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, names in (("CaseNotes", _METADATA), ("CaseDetails", _METADATA), ("DiskImage", _DISK), ("Image", _DISK)):
        for subject in volume.subjects(kind):
            for name, ours in names.items():
                value = volume.value(subject, name)
                if value is not None:
                    found.setdefault(ours, value)
    notes = {value for subject in volume.subjects("CaseNotes") for value, _ in volume.facts[subject].get("notes", [])}
    if notes:
        found["notes"] = "; ".join(sorted(notes))
    times = [volume.value(subject, "endTime") for subject in volume.subjects("TimeStamps")]
    if any(times):
        found["acquired_at"] = max(time for time in times if time)
    if volume.tool:
        found["software_version"] = volume.tool
    if "make" in found:
        found["model"] = f"{found.pop('make')} {found.get('model', '')}".strip()
    return dict(sorted(found.items()))
