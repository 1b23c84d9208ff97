"""EWF version 1 (E01, S01): where the chunks of the medium lie, and what was stored of the acquisition.

Source: "Expert Witness Compression Format specification" (libewf documentation, J. Metz), cited by the names of its sections.
"""

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from forensics.errors import Corrupt, LimitExceeded
from forensics.evidence import chunks, ewf_metadata
from forensics.evidence.chunks import Entries, Layout, Places, Table
from forensics.evidence.damage import DamageNotes
from forensics.evidence.ewf_sections import Section, adler_holds, walk_v1
from forensics.evidence.files import Files

LARGEST_CHUNK = 128 << 20  # 32,768 sectors of 4,096 bytes; EnCase stops at 512 KiB
LARGEST_MEDIUM = 1 << 50
_TABLE_HEADER = 24
_OFFSET = 0x7FFFFFFF
_TEXT = 1 << 20  # compressed metadata beyond this is not metadata


class _Volume(Struct, frozen=True):
    """The geometry, out of a `volume`, `disk` or `data` section."""

    chunk_size: int
    size: int
    sector: int
    set_identifier: bytes
    smart: bool
    metadata: dict[str, str]


class _TablePlace(Struct, frozen=True):
    """A table of which the header holds: entries at `entries` of the segment file, offsets counted from `base`."""

    section: Section
    entries: int
    count: int
    base: int


class _Lost(Struct, frozen=True):
    """Chunks that no table leads to any more; `count` where it is known how many."""

    reason: str
    count: int | None = None


class _Found(Struct, frozen=True):
    """A table in its segment, with the copy that `table2` holds and where the sections of the segment begin."""

    segment: int
    place: _TablePlace
    mirror: _TablePlace | None
    boundaries: "array[int]"


def read_layout(files: Files, numbers: Sequence[int], damage: DamageNotes, size: int | None = None) -> Layout:
    """Read all sections but the chunks. `numbers` are the segment numbers of `files`, ascending; a gap in them is damage.
    `size` is that of the medium where something else says it.

    Raises Corrupt where no section gives the geometry, LimitExceeded where it is absurd.
    """
    reader = _Reader(files, damage)
    expected = 1
    for index, number in enumerate(numbers):
        if number != expected:
            reader.items.append(_Lost(f"segments {expected} to {number - 1} are missing"))
            damage.note(f"segments {expected} to {number - 1} of the image are missing: find them and put them beside {files.names[index]}")
        if closing := reader.segment(index):
            last = index == len(numbers) - 1
            if closing == "done" and not last:
                damage.note(f"{files.names[index]}: says that it is the last segment, but {files.names[index + 1]} follows")
        expected = number + 1
    if reader.closing != "done":
        reason = f"{files.names[-1]} is not the last segment of the image: it has no 'done' section"
        if not reader.cut:
            reason += f" and {'is followed by another' if reader.closing == 'next' else 'was not completed'}"
            reader.items.append(_Lost(reason))
        damage.note(f"{reason}; find the segments after it")
    volume = reader.geometry(size)
    tables = _placed(files, reader.items, volume, damage)
    _sector_errors(reader.errors, volume, files, damage)
    name = "EWF-S01" if volume.smart and files.paths[0].suffix.lower().startswith(".s") else "EWF-E01"
    metadata = {**volume.metadata, **reader.metadata}
    return Layout(format=name, size=volume.size, chunk_size=volume.chunk_size, tables=tables, stored=reader.stored, metadata=metadata)


class _Reader:
    """Gathers what the sections of all segments say, in order."""

    def __init__(self, files: Files, damage: DamageNotes) -> None:
        self.files = files
        self.damage = damage
        self.items: list[_Found | _Lost] = []
        self.volumes: list[tuple[str, _Volume | None]] = []
        self.stored: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self.errors: list[tuple[int, int]] = []
        self.closing = ""
        self.cut = False

    def segment(self, index: int) -> str:
        """Read the sections of one segment file. Returns the name of the one that closes it, or nothing."""
        sections = list(walk_v1(self.files, index, self.damage))
        boundaries = array("Q", [section.at for section in sections] + [self.files.sizes[index]])
        self.closing, self.cut = "", False
        waiting: Section | None = None  # a table whose table2 may follow
        previous: Section | None = None
        for section in sections:
            if waiting is not None:
                self._table(index, waiting, section if section.kind == "table2" else None, boundaries)
                if section.kind == "table2":
                    waiting, previous = None, section
                    continue
                waiting = None
            if section.kind in ("table", "table2"):
                waiting = section
            elif section.lost:
                self._break(index, section, previous)
            else:
                self._other(index, section)
            previous = section
        if waiting is not None:
            self._table(index, waiting, None, boundaries)
        if not self.closing and not self.cut:
            self.cut = True
            self.items.append(_Lost(f"{self.files.names[index]} ends without a 'next' or 'done' section: it is cut short"))
        return self.closing

    def _break(self, index: int, section: Section, previous: Section | None) -> None:
        """A stretch without a descriptor may have held a table, unless it is too short for one or was only a `sectors` descriptor."""
        if section.end - section.at >= 76 + _TABLE_HEADER + 4:
            self.items.append(_Lost(f"{self.files.names[index]} has no valid section descriptor from byte {section.at} to {section.end}"))
            self.cut = self.cut or section.end == self.files.sizes[index]

    def _other(self, index: int, section: Section) -> None:
        name, kind = self.files.names[index], str(section.kind)
        if kind in ("next", "done"):
            self.closing = kind
        elif kind in ("volume", "disk", "data"):
            self.volumes.append((f"{name}: the section '{kind}' at byte {section.at}", self._volume(index, section)))
        elif kind in ("header", "header2", "xhash"):
            self._text(index, section)
        elif kind in ("hash", "digest"):
            self._digests(index, section)
        elif kind == "error2":
            self._errors(index, section)
        elif kind == "incomplete":
            self.damage.note(f"{name}: has a section 'incomplete': the acquisition was broken off")

    def _data(self, index: int, section: Section, most: int) -> bytes:
        return self.files.read(index, section.start, min(section.end - section.start, most))

    def _volume(self, index: int, section: Section) -> _Volume | None:
        data = self._data(index, section, 1052)
        smart = len(data) == 94
        if len(data) not in (94, 1052) or not adler_holds(data):
            return None
        per_chunk, sector = struct.unpack_from("<II", data, 8)
        (sectors,) = struct.unpack_from("<I" if smart else "<Q", data, 16)
        metadata = {}
        if not smart:
            # specification, "Media type" and "Media flags"
            kind = {0: "removable", 1: "fixed", 3: "optical", 14: "logical", 16: "memory"}.get(data[0])
            if kind:
                metadata["media_type"] = kind
            if data[36] & 0x0C:
                metadata["write_blocker"] = "FastBloc" if data[36] & 0x04 else "Tableau"
        identifier = b"" if smart else data[64:80]
        return _Volume(per_chunk * sector, sectors * sector, sector, identifier, smart, metadata)

    def geometry(self, size: int | None = None) -> _Volume:
        """The first sound geometry; damaged ones and those of another set are noted. Raises Corrupt, LimitExceeded."""
        for where, volume in self.volumes:
            if volume is None:
                self.damage.note(f"{where} is damaged: its checksum does not hold")
        sound = [(where, volume) for where, volume in self.volumes if volume is not None]
        if not sound:
            raise Corrupt(f"{self.files.names[0]}: no section gives the size of the medium undamaged; copy the image again from its source")
        where, first = sound[0]
        if size is not None:
            first = replace(first, size=size)
        elif first.size == 0:
            raise Corrupt(f"{where} gives a medium of 0 bytes; copy the image again from its source")
        if not (0 < first.chunk_size <= LARGEST_CHUNK) or first.size > LARGEST_MEDIUM:
            raise LimitExceeded(f"{where} gives chunks of {first.chunk_size} bytes and a medium of {first.size} bytes; neither is credible")
        for place, other in sound[1:]:
            if any(other.set_identifier) and other.set_identifier != first.set_identifier:
                self.damage.note(f"{place} belongs to another set of segments than {where}")
            elif (other.size, other.chunk_size) != (sound[0][1].size, first.chunk_size):
                self.damage.note(f"{place} gives a medium of {other.size} bytes, {where} one of {sound[0][1].size}")
        return first

    def _text(self, index: int, section: Section) -> None:
        kind = str(section.kind)
        try:
            data = self._data(index, section, _TEXT)
            if kind == "xhash":
                self.stored = {**ewf_metadata.xhash(data), **self.stored}
                return
            found = ewf_metadata.header(data, kind == "header2")
        except Corrupt as error:
            self.damage.note(f"{self.files.names[index]}: the section '{kind}' at byte {section.at} is damaged: {error}")
            return
        # header2 keeps what the code page of header loses, and knows its dates' zone
        self.metadata = {**self.metadata, **found} if kind == "header2" else {**found, **self.metadata}

    def _digests(self, index: int, section: Section) -> None:
        kind = str(section.kind)
        length = 36 if kind == "hash" else 80
        data = self._data(index, section, length)
        if len(data) != length or not adler_holds(data):
            self.damage.note(f"{self.files.names[index]}: the section '{kind}' at byte {section.at} is damaged: its checksum does not hold")
            return
        found = {"md5": data[:16]} if kind == "hash" else {"md5": data[:16], "sha1": data[16:36]}
        for algorithm, digest in found.items():
            if not any(digest):  # zeros where none was computed
                continue
            before = self.stored.setdefault(algorithm, digest.hex())
            if before != digest.hex():
                self.damage.note(f"{self.files.names[index]}: two different digests are stored: {algorithm} {before} and {digest.hex()}")

    def _errors(self, index: int, section: Section) -> None:
        head = self._data(index, section, 520)
        count = int.from_bytes(head[:4], "little")
        room = (section.end - section.start - 520) // 8
        if len(head) != 520 or not adler_holds(head) or count > room:
            self.damage.note(f"{self.files.names[index]}: the list of sector errors at byte {section.at} is damaged: errors are not known")
            return
        entries = self.files.read(index, section.start + 520, count * 8 + 4)
        if count and not adler_holds(entries):
            self.damage.note(f"{self.files.names[index]}: the list of sector errors at byte {section.at} does not hold its checksum")
        self.errors.extend(struct.iter_unpack("<II", entries[: count * 8]))

    def _table(self, index: int, first: Section, second: Section | None, boundaries: "array[int]") -> None:
        name = self.files.names[index]
        places = [(section, self._table_header(index, section)) for section in (first, second) if section is not None]
        sound = [place for _, place in places if place is not None]
        for section, place in places:
            if place is None:
                copy = "; its copy is used" if sound else ""
                self.damage.note(f"{name}: the header of the section '{section.kind}' at byte {section.at} is damaged{copy}")
        if not sound:
            room = first.end - first.start - _TABLE_HEADER - 4
            small = first.end < self.files.sizes[index] and second is not None and second.end - second.start == first.end - first.start
            reason = f"{name}: the chunk table at byte {first.at} is damaged"
            self.items.append(_Lost(reason, room // 4 if small and room >= 0 else None))
            return
        if len(sound) == 2 and (sound[0].count, sound[0].base) != (sound[1].count, sound[1].base):
            self.damage.note(
                f"{name}: the headers of the sections 'table' and 'table2' at bytes {first.at} and {sound[1].section.at} differ"
            )
            sound = sound[:1]
        if sound[0].count:
            self.items.append(_Found(index, sound[0], sound[1] if len(sound) == 2 else None, boundaries))

    def _table_header(self, index: int, section: Section) -> _TablePlace | None:
        head = self._data(index, section, _TABLE_HEADER)
        if len(head) != _TABLE_HEADER or not adler_holds(head):
            return None
        count, base = struct.unpack_from("<I4xQ", head)
        if count > min(chunks.MOST_ENTRIES, (section.end - section.start - _TABLE_HEADER) // 4) or base > self.files.sizes[index]:
            return None
        return _TablePlace(section, section.start + _TABLE_HEADER, count, base)


def _placed(files: Files, items: list[_Found | _Lost], volume: _Volume, damage: DamageNotes) -> list[Table]:
    """Give each table the number of its first chunk: they stand in order, so what is lost in one place is known by what is left.

    Where chunks were lost in several places, those between the first and the last of them cannot be placed and read as zeros.
    """
    total = -(-volume.size // volume.chunk_size)
    known = sum(item.place.count if isinstance(item, _Found) else item.count or 0 for item in items)
    missing = total - known
    open_ended = [index for index, item in enumerate(items) if isinstance(item, _Lost) and item.count is None]
    if missing < 0:
        damage.note(f"the tables hold {known} chunks where the medium has {total}; those beyond its end are left out")
    if missing > 0 and not open_ended:
        items = [*items, _Lost("the tables end before the medium does")]
        open_ended = [len(items) - 1]
    first_open = open_ended[0] if open_ended and missing > 0 else len(items)
    last_open = open_ended[-1] if open_ended and missing > 0 else -1
    after = sum(item.place.count if isinstance(item, _Found) else item.count or 0 for item in items[last_open + 1 :])
    tables: list[Table] = []
    number = 0

    def lost(count: int, reason: str) -> None:
        offset = number * volume.chunk_size
        size = min(count * volume.chunk_size, volume.size - offset)
        if size > 0:
            damage.note(f"{reason}; {count} chunks read as zeros", offset, size)

    for index, item in enumerate(items):
        if first_open <= index <= last_open:
            if index == last_open:
                count = total - after - number
                reasons = "; ".join(items[place].reason for place in open_ended)  # type: ignore[union-attr]
                placeless = "" if first_open == last_open else ": what lies between them cannot be placed"
                lost(count, reasons + placeless)
                number += count
            continue
        if isinstance(item, _Lost):
            lost(item.count or 0, item.reason)
            number += item.count or 0
        else:
            count = min(item.place.count, total - number)
            if count > 0:
                tables.append(Table(number, count, item.segment, partial(_load, files, item, number, volume.chunk_size, damage)))
            number += item.place.count
    return tables


def _load(files: Files, found: _Found, first: int, chunk_size: int, damage: DamageNotes) -> Entries:
    """Read a table's entries, falling back to its copy where their checksum does not hold."""
    place = found.place
    raw, sound = _raw_entries(files, found.segment, place, found.boundaries)
    doubtful: bytes | None = None
    if not sound:
        last = first + place.count - 1
        where = f"{files.names[found.segment]}: the chunk table at byte {place.section.at} (chunks {first} to {last}) is damaged"
        copy, copy_sound = _raw_entries(files, found.segment, found.mirror, found.boundaries) if found.mirror else (b"", False)
        if copy_sound:
            damage.note(f"{where}; its copy is used")
            raw = copy
        elif copy:
            damage.note(f"{where}, and so is its copy; entries in which they agree are used")
            doubtful = bytes(raw[at : at + 4] != copy[at : at + 4] for at in range(0, place.count * 4, 4))
        else:
            damage.note(f"{where} and has no copy; chunks whose own checksums hold are used where it places them")
    entries = array("I", raw.ljust(place.count * 4, b"\xff"))
    if sys.byteorder == "big":
        entries.byteswap()
    return _Entries(entries, place.base, found.boundaries, chunk_size, files.sizes[found.segment], doubtful)


def _raw_entries(files: Files, segment: int, place: _TablePlace, boundaries: "array[int]") -> tuple[bytes, bool]:
    """A table's entries, and whether their checksum holds: none follows them where the chunks themselves do (SMART)."""
    size = place.count * 4
    data = files.read(segment, place.entries, size + 4)
    raw = data[:size]
    if len(raw) < size:
        return raw, False
    if adler_holds(data):
        return raw, True
    start = place.base + (int.from_bytes(raw[:4], "little") & _OFFSET)
    return raw, start == place.entries + size


class _Entries:
    """A table's entries: the highest bit says that the chunk is compressed, the next entry where it ends.

    EnCase 6.7 lets offsets run over into that bit ("Table entries offset overflow"): from entry `turn` on it says nothing.
    `doubtful` has a 1 for each entry in which the table and its copy, both damaged, differ.
    """

    def __init__(
        self, entries: "array[int]", base: int, boundaries: "array[int]", chunk_size: int, file_size: int, doubtful: bytes | None
    ) -> None:
        self._entries = entries
        self._base = base
        self._boundaries = boundaries
        self._chunk_size = chunk_size
        self._file_size = file_size
        self._doubtful = doubtful
        self._turn = len(entries)
        if file_size - base > _OFFSET:
            offsets = [entry & _OFFSET for entry in entries]
            descent = next((index for index, (before, after) in enumerate(pairwise(offsets), 1) if after < before), 0)
            if descent and 0 < entries[descent] - offsets[descent - 1] <= chunks.largest_stored(chunk_size):
                self._turn = descent

    def places(self, begin: int, end: int) -> Places:
        """Where chunks `begin` to `end` of the table lie."""
        low, high = max(begin - 1, 0), min(end + 1, len(self._entries))
        base, raw = self._base, self._entries[low:high]
        if high <= self._turn:
            starts = [base + (entry & _OFFSET) for entry in raw]
            kinds = [entry >> 31 for entry in raw]  # 0 is PLAIN, 1 is DEFLATE
        else:
            numbered = list(enumerate(raw, low))
            starts = [base + (entry & _OFFSET if index < self._turn else entry) for index, entry in numbered]
            kinds = [entry >> 31 if index < self._turn else chunks.EITHER for index, entry in numbered]
        if high == end:
            starts.append(_end(starts[-1], self._boundaries))
        else:
            kinds.pop()
        sizes = [after - before for before, after in pairwise(starts)]
        if min(sizes) <= 0:
            for index, size in enumerate(sizes):
                if size <= 0:  # entries ascend: one of the two is wrong, and a chunk read from a wrong place may well hold its checksum
                    kinds[index : index + 2] = [chunks.BAD] * len(kinds[index : index + 2])
        if self._doubtful:
            for index in range(len(kinds)):
                if any(self._doubtful[low + index : low + index + 2]):  # neither where it begins nor where it ends may be in doubt
                    kinds[index] = chunks.BAD
        skip, count = begin - low, end - begin
        return chunks.checked(starts[skip : skip + count], sizes[skip:], kinds[skip:], self._chunk_size, self._file_size)


def _end(start: int, boundaries: "array[int]") -> int:
    """Where the last chunk of a table ends at the latest: where the next section begins."""
    index = bisect_right(boundaries, start)
    return boundaries[index] if index < len(boundaries) else start


def _sector_errors(errors: list[tuple[int, int]], volume: _Volume, files: Files, damage: DamageNotes) -> None:
    for sector, count in errors:
        offset = sector * volume.sector
        size = min(count * volume.sector, volume.size - offset)
        if size > 0:
            damage.note(f"{count} sectors from sector {sector} could not be read when the image was acquired", offset, size)
        else:
            damage.note(f"{files.names[-1]}: its list of sector errors names {count} sectors from {sector}, beyond the end of the medium")
