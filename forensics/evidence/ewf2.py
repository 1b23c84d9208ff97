"""EWF version 2 (Ex01): where the chunks of the medium lie, and what was stored of the acquisition.

Source: "Expert Witness Compression Format version 2 specification" (libewf documentation, J. Metz), cited by the names of its sections.
"""

import hashlib
import struct
import sys
from array import array
from collections.abc import Sequence
from functools import partial

from forensics.errors import Corrupt, LimitExceeded, Locked
from forensics.evidence import chunks, ewf_metadata
from forensics.evidence.chunks import Entries, Layout, Places, Table
from forensics.evidence.damage import DamageNotes
from forensics.evidence.ewf1 import LARGEST_CHUNK, LARGEST_MEDIUM
from forensics.evidence.ewf_sections import DONE, NEXT, Section, adler_holds, walk_v2
from forensics.evidence.files import Files

# "Section types"
_DEVICE, _CASE, _TABLE, _ERRORS, _MD5, _SHA1, _KEYS = 0x01, 0x02, 0x04, 0x05, 0x08, 0x09, 0x0B
# "Chunk data flags"
_COMPRESSED, _CHECKSUMED, _PATTERNFILL = 1, 2, 4
_HEADER = 32  # of a table, with its padding
_ENTRY = 16
_TEXT = 1 << 20


def read_layout(files: Files, numbers: Sequence[int], damage: DamageNotes, size: int | None = None) -> Layout:
    """Read all sections but the chunks. `numbers` are the segment numbers of `files`, ascending; a gap in them is damage.
    `size` is that of the medium where something else says it.

    Raises Locked where the image is encrypted, Corrupt where its geometry cannot be read, LimitExceeded where that is absurd.
    """
    device: dict[str, str] = {}
    case: dict[str, str] = {}
    stored: dict[str, str] = {}
    errors: list[tuple[int, int]] = []
    found: list[tuple[int, int, int, Section]] = []  # first chunk, count, segment, section
    reasons = _missing(files, numbers, damage)
    closing = 0
    method = int.from_bytes(files.read(0, 10, 2), "little")
    for index, name in enumerate(files.names):
        closing = 0
        for section in walk_v2(files, index, damage):
            if section.encrypted or section.kind == _KEYS:
                raise Locked(f"{name}: the image is encrypted by EnCase; decrypt it there and add the result")
            where = f"{name}: the section of type {section.kind} that ends at byte {section.at}"
            kind = int(section.kind)
            if kind in (NEXT, DONE):
                closing = kind
            elif kind in (_DEVICE, _CASE):
                target = device if kind == _DEVICE else case
                try:
                    fresh = _fields(_data(files, index, section, _TEXT), method)
                except Corrupt as error:
                    damage.note(f"{where} is damaged: {error}")
                    continue
                for tag, value in fresh.items():
                    target.setdefault(tag, value)
            elif kind in (_MD5, _SHA1):
                length, algorithm = (20, "md5") if kind == _MD5 else (24, "sha1")
                data = _data(files, index, section, length)
                if len(data) != length or not adler_holds(data):
                    damage.note(f"{where} ({algorithm}) is damaged: its checksum does not hold")
                elif any(data[:-4]):
                    stored[algorithm] = data[:-4].hex()
            elif kind == _ERRORS:
                errors.extend(_error_entries(files, index, section, where, damage))
            elif kind == _TABLE:
                head = _data(files, index, section, 20)
                first, count = struct.unpack_from("<QI", head) if len(head) == 20 else (0, 0)
                room = min(chunks.MOST_ENTRIES, (section.end - section.start - _HEADER) // _ENTRY)
                if len(head) != 20 or not adler_holds(head) or count > room:
                    damage.note(f"{where}, a chunk table, is damaged: its header does not hold")
                    reasons.append(f"a chunk table of {name} is damaged")
                elif count:
                    found.append((first, count, index, section))
        if not closing:
            reasons.append(f"{name} is cut short: it has neither a 'next' nor a 'done' section")
            damage.note(reasons[-1])
        elif closing == DONE and index < len(files.names) - 1:
            damage.note(f"{name}: says that it is the last segment, but {files.names[index + 1]} follows")
    if closing == NEXT:
        reasons.append(f"{files.names[-1]} is not the last segment of the image")
        damage.note(f"{reasons[-1]}; find the segments after it")
    size, chunk_size, sector = _geometry(files, device, case, size)
    tables = _placed(files, found, size, chunk_size, method, reasons, damage)
    for start, count in errors:
        length = min(count * sector, size - start * sector)
        if length > 0:
            damage.note(f"{count} sectors from sector {start} could not be read when the image was acquired", start * sector, length)
    metadata = ewf_metadata.named_v2({**device, **case})
    return Layout(format="EWF2-Ex01", size=size, chunk_size=chunk_size, tables=tables, stored=stored, metadata=metadata)


def _missing(files: Files, numbers: Sequence[int], damage: DamageNotes) -> list[str]:
    reasons = []
    expected = 1
    for name, number in zip(files.names, numbers, strict=True):
        if number != expected:
            reasons.append(f"segments {expected} to {number - 1} are missing")
            damage.note(f"segments {expected} to {number - 1} of the image are missing: find them and put them beside {name}")
        expected = number + 1
    identifiers = {files.read(index, 16, 16) for index in range(len(files.names))}
    if len(identifiers) > 1:
        damage.note("the segments do not all belong to the same set: their set identifiers differ")
    return reasons


def _data(files: Files, index: int, section: Section, most: int) -> bytes:
    return files.read(index, section.start, min(section.end - section.start, most))


def _fields(data: bytes, method: int) -> dict[str, str]:
    """The attributes of a serialised file object ("Serialized file object data"). Raises Corrupt."""
    raw = ewf_metadata.bunzip(data) if method == 2 else ewf_metadata.inflate(data)
    return ewf_metadata.fields(raw.decode("utf-16-be" if raw.startswith(b"\xfe\xff") else "utf-16-le", "backslashreplace"))


def _geometry(files: Files, device: dict[str, str], case: dict[str, str], stated: int | None) -> tuple[int, int, int]:
    """Size of the medium, of a chunk and of a sector in bytes. Raises Corrupt, LimitExceeded."""
    values = [device.get("ts", ""), device.get("bp", ""), case.get("sb", "")]
    if stated is not None:  # logical evidence need not describe a device
        values = ["0", values[1] or "512", values[2] or "64"]
    if not all(value.isascii() and value.isdecimal() and len(value) < 20 for value in values):
        raise Corrupt(f"{files.names[0]}: no section gives the size of the medium undamaged; copy the image again from its source")
    sectors, sector, per_chunk = map(int, values)
    size, chunk_size = stated if stated is not None else sectors * sector, per_chunk * sector
    if size == 0 and stated is None:
        raise Corrupt(f"{files.names[0]}: gives a medium of 0 bytes; copy the image again from its source")
    if not (0 < chunk_size <= LARGEST_CHUNK) or size > LARGEST_MEDIUM:
        raise LimitExceeded(f"{files.names[0]}: gives chunks of {chunk_size} bytes and a medium of {size} bytes; neither is credible")
    return size, chunk_size, sector


def _error_entries(files: Files, index: int, section: Section, where: str, damage: DamageNotes) -> list[tuple[int, int]]:
    """Sector and count of each entry of an "Error table"."""
    head = _data(files, index, section, 20)
    count = int.from_bytes(head[:4], "little")
    if len(head) != 20 or not adler_holds(head) or count * _ENTRY + _HEADER > section.end - section.start:
        damage.note(f"{where}, the list of sector errors, is damaged: errors are not known")
        return []
    data = files.read(index, section.start + _HEADER, count * _ENTRY + 4)
    if count and not adler_holds(data):
        damage.note(f"{where}, the list of sector errors, does not hold its checksum")
    return [(start, length) for start, length, _ in struct.iter_unpack("<QII", data[: count * _ENTRY])]


def _placed(
    files: Files,
    found: list[tuple[int, int, int, Section]],
    size: int,
    chunk_size: int,
    method: int,
    reasons: list[str],
    damage: DamageNotes,
) -> list[Table]:
    """The tables in order of their first chunk; what none of them covers is noted as lost."""
    total = -(-size // chunk_size)
    why = "; ".join(reasons) or "the chunk tables do not cover the medium"
    tables: list[Table] = []
    number = 0

    def lost(until: int) -> None:
        if until > number:
            offset = number * chunk_size
            damage.note(f"{why}; {until - number} chunks read as zeros", offset, min(until * chunk_size, size) - offset)

    for first, count, segment, section in sorted(found, key=lambda item: item[:2]):
        if first < number or first >= total:
            damage.note(
                f"{files.names[segment]}: a chunk table begins at chunk {first}, within another or beyond the medium; it is left out"
            )
            continue
        lost(first)
        if first + count > total:
            damage.note(
                f"{files.names[segment]}: a chunk table runs to chunk {first + count} of {total}; those beyond the medium are left out"
            )
        load = partial(_load, files, segment, section, first, count, chunk_size, method, damage)
        tables.append(Table(first, min(count, total - first), segment, load))
        number = first + count
    lost(total)
    return tables


def _load(
    files: Files, segment: int, section: Section, first: int, count: int, chunk_size: int, method: int, damage: DamageNotes
) -> Entries:
    """Read a table's entries: offset, size and flags of each chunk."""
    data = files.read(segment, section.start + _HEADER, count * _ENTRY + 4)
    sound = len(data) == count * _ENTRY + 4 and adler_holds(data)
    if not sound:
        damage.note(
            f"{files.names[segment]}: the chunk table at byte {section.start} (chunks {first} to {first + count - 1}) is damaged; "
            "chunks are used where their own checksums hold"
        )
    elif section.md5 and section.end - section.start <= count * _ENTRY + 4096:
        whole = files.read(segment, section.start, section.end - section.start)
        if hashlib.md5(whole, usedforsecurity=False).digest() != section.md5:
            damage.note(f"{files.names[segment]}: the chunk table at byte {section.start} does not match its integrity hash")
    raw = data[: count * _ENTRY].ljust(count * _ENTRY, b"\0")
    starts = array("Q")
    words = array("I")
    starts.frombytes(raw)
    words.frombytes(raw)
    if sys.byteorder == "big":
        starts.byteswap()
        words.byteswap()
    return _Entries(starts[::2], words[2::4], words[3::4], method, chunk_size, files.sizes[segment], sound)


class _Entries:
    """A table's entries: offset (or fill pattern), stored size and flags of each chunk."""

    def __init__(
        self,
        starts: "array[int]",
        sizes: "array[int]",
        flags: "array[int]",
        method: int,
        chunk_size: int,
        file_size: int,
        sound: bool,
    ) -> None:
        self._starts = starts
        self._sizes = sizes
        self._flags = flags
        self._method = method
        self._chunk_size = chunk_size
        self._file_size = file_size
        self._sound = sound

    def places(self, begin: int, end: int) -> Places:
        """Where chunks `begin` to `end` of the table lie."""
        kinds = [_kind(flags, self._method) for flags in self._flags[begin:end]]
        if not self._sound:  # nothing would show that a fill pattern or a chunk without checksum is wrong
            kinds = [chunks.BAD if kind in (chunks.PATTERN, chunks.BARE) else kind for kind in kinds]
        return chunks.checked(list(self._starts[begin:end]), list(self._sizes[begin:end]), kinds, self._chunk_size, self._file_size)


def _kind(flags: int, method: int) -> int:
    if flags & _COMPRESSED:
        # PATTERNFILL counts only together with COMPRESSED ("Chunk data flags")
        return chunks.PATTERN if flags & _PATTERNFILL else chunks.BZIP2 if method == 2 else chunks.DEFLATE
    return chunks.PLAIN if flags & _CHECKSUMED else chunks.BARE
