"""EWF images (E01, S01, Ex01): the medium's bytes out of compressed chunks, each checked against its checksum.

The chunks are inflated by libdeflate, which releases the interpreter's lock and checks the Adler-32 of every zlib stream.
"""

import bz2
import re
import zlib
from bisect import bisect_right
from collections import OrderedDict
from pathlib import Path

import deflate

from forensics.errors import Corrupt, EvidenceError
from forensics.evidence import chunks, ewf1, ewf2
from forensics.evidence.chunks import Entries, Layout, Table
from forensics.evidence.damage import DamageNotes
from forensics.evidence.files import Files
from forensics.location import printable
from forensics.model import ImageDamage

SIGNATURE_V1 = b"EVF\x09\x0d\x0a\xff\x00"
SIGNATURE_V2 = b"EVF2\x0d\x0a\x81\x00"
_CACHE = 8 << 20  # bytes of decoded chunks
_TABLES = 4 << 20  # chunks whose table entries are kept: 16 MiB of them, 128 GiB of a medium in chunks of 32 KiB
_SMALL = 128  # stored bytes of a chunk that can only be a repetition
_RUN = 8 << 20  # bytes read at once
_EXTENSION = re.compile(r"\.([A-Za-z])(\d\d|[A-Za-z]{2})")
_EXTENSION_V2 = re.compile(r"\.([EeLl])([Xx]\d\d|[XYZxyz][A-Za-z]{2})")

Buffer = bytes | bytearray | memoryview


class _Bad(Exception):
    """Why a chunk cannot be decoded."""


class EwfImage:
    """An EWF image. Damaged and missing chunks read as zeros and are noted in `damage`. Raises EvidenceError where the storage fails."""

    def __init__(self, files: Files, layout: Layout, damage: DamageNotes) -> None:
        self._files = files
        self._damage = damage
        self._chunk = layout.chunk_size
        self._tables = layout.tables
        self._firsts = [table.first for table in layout.tables]
        self._loaded: OrderedDict[int, Entries] = OrderedDict()
        self._held = 0
        self._cache: OrderedDict[int, Buffer] = OrderedDict()
        self._repeated: dict[bytes, Buffer] = {}
        self._cached = max(2, _CACHE // layout.chunk_size)
        self._zeros = bytes(layout.chunk_size)  # this very object stands for a chunk that could not be read
        self._blank = bytes(bytearray(layout.chunk_size))  # and this one for a chunk that is zeros
        self._struck = False
        self.format = layout.format
        self.size = layout.size
        self.files = files.paths
        self.stored = layout.stored
        self.metadata = layout.metadata
        self.damaged_reads = 0

    @property
    def damage(self) -> tuple[ImageDamage, ...]:
        return self._damage.all()

    def close(self) -> None:
        self._files.close()
        self._cache.clear()

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of the medium from `offset`, short only at its end. Raises EvidenceError where the storage fails."""
        self._struck = False
        data = self._read(offset, size)
        self.damaged_reads += self._struck
        return data

    def _read(self, offset: int, size: int) -> bytes:
        if offset < 0 or size <= 0 or offset >= self.size:
            return b""
        size = min(size, self.size - offset)
        first, skip = divmod(offset, self._chunk)
        last = (offset + size - 1) // self._chunk
        if first == last:
            return bytes(memoryview(self._one(first))[skip : skip + size])
        parts: list[Buffer] = []
        rest = size
        whole_first, whole_last = first, last
        if skip:
            parts.append(memoryview(self._one(first))[skip:])
            rest -= self._chunk - skip
            whole_first += 1
        tail = rest - (last - whole_first) * self._chunk
        if tail < self._chunk:
            whole_last -= 1
        if whole_first <= whole_last:
            parts.extend(self._many(whole_first, whole_last))
        if tail < self._chunk:
            parts.append(memoryview(self._one(last))[:tail])
        return b"".join(parts)

    def _one(self, number: int) -> Buffer:
        """One chunk, kept for the next small read: file systems read near where they read before."""
        data = self._cache.get(number)
        if data is not None:
            self._cache.move_to_end(number)
            self._struck = self._struck or data is self._zeros
            return data
        data = self._many(number, number)[0]
        self._cache[number] = data
        if len(self._cache) > self._cached:
            self._cache.popitem(last=False)
        return data

    def _many(self, first: int, last: int) -> list[Buffer]:
        """Chunks `first` to `last`, each whole."""
        out: list[Buffer] = []
        while first <= last:
            place = bisect_right(self._firsts, first) - 1
            table = self._tables[place] if place >= 0 else None
            if table is None or first >= table.first + table.count:
                until = self._firsts[place + 1] if place + 1 < len(self._firsts) else last + 1
                count = min(until, last + 1) - first
                out.extend([self._zeros] * count)
                self._struck = True
                first += count
                continue
            end = min(last + 1, table.first + table.count)
            self._read_run(table, self._entries(place, table), first - table.first, end - table.first, out)
            first = end
        return out

    def _entries(self, place: int, table: Table) -> Entries:
        found = self._loaded.get(place)
        if found is None:
            found = self._loaded[place] = table.load()
            self._held += table.count
            while self._held > _TABLES and len(self._loaded) > 1:
                self._held -= self._tables[self._loaded.popitem(last=False)[0]].count
        else:
            self._loaded.move_to_end(place)
        return found

    def _read_run(self, table: Table, entries: Entries, begin: int, end: int, out: list[Buffer]) -> None:
        """Chunks `begin` to `end` of a table: those that stand next to one another are read at once."""
        starts, sizes, kinds = entries.places(begin, end)
        first, index, count = table.first + begin, 0, end - begin
        while index < count:
            start = starts[index]
            if kinds[index] >= chunks.PATTERN:
                out.append(self._without_data(first + index, kinds[index], start, sizes[index]))
                index += 1
                continue
            stop = start + sizes[index]
            after = index + 1
            while (
                after < count
                and kinds[after] < chunks.PATTERN
                and 0 <= starts[after] - stop <= 4096
                and starts[after] + sizes[after] - start <= _RUN
            ):
                stop = starts[after] + sizes[after]
                after += 1
            data = memoryview(self._files.read(table.segment, start, stop - start))
            for inner in range(index, after):
                at = starts[inner] - start
                number = first + inner
                try:
                    out.append(self._decoded(kinds[inner], data[at : at + sizes[inner]], number))
                except _Bad as error:
                    self._note(number, f"{error} (at byte {starts[inner]} of {self._files.names[table.segment]})")
                    out.append(self._zeros)
            index = after

    def _without_data(self, number: int, kind: int, start: int, size: int) -> Buffer:
        if kind == chunks.PATTERN:
            pattern = start.to_bytes(8, "little")
            return (pattern * (self._chunk // 8 + 1))[: self._chunk] if any(pattern) else self._blank
        self._note(number, f"the chunk table gives an impossible place: {size} bytes at byte {start}")
        return self._zeros

    def _decoded(self, kind: int, data: memoryview, number: int) -> Buffer:
        """The bytes of a chunk, checked. Raises _Bad."""
        wanted = min(self._chunk, self.size - number * self._chunk)
        if kind == chunks.DEFLATE:
            if len(data) > _SMALL:
                return _inflated(data, wanted, self._chunk)
            key = bytes(data)  # empty space: the same few bytes, again and again
            known = self._repeated.get(key)
            if known is None or len(known) < wanted:
                known = self._repeated[key] = _inflated(data, wanted, self._chunk)
                if len(self._repeated) > self._cached // 4:
                    del self._repeated[next(iter(self._repeated))]
            return known
        if kind == chunks.PLAIN:
            return _plain(data, wanted, self._chunk)
        if kind == chunks.EITHER:
            try:
                return _plain(data, wanted, self._chunk)
            except _Bad:
                return _inflated(data, wanted, self._chunk)
        if kind == chunks.BZIP2:
            return _bunzipped(data, wanted, self._chunk)
        if len(data) < wanted:
            raise _Bad(f"the chunk has {len(data)} bytes of {wanted}")
        return data[: self._chunk]

    def _note(self, number: int, message: str) -> None:
        self._struck = True
        offset = number * self._chunk
        self._damage.chunk(number, offset, min(self._chunk, self.size - offset), f"chunk {number}: {message}")


def _inflated(data: memoryview, wanted: int, chunk_size: int) -> Buffer:
    try:
        decoded: bytearray = deflate.zlib_decompress(data, chunk_size)
    except deflate.DeflateError:
        raise _Bad("the compressed data is damaged or its checksum does not hold") from None
    if len(decoded) < wanted:
        raise _Bad(f"the chunk has {len(decoded)} bytes of {wanted}")
    return decoded


def _plain(data: memoryview, wanted: int, chunk_size: int) -> Buffer:
    # the medium's last chunk is stored short by most tools, whole by some, in whole sectors where the medium does not end with one
    for length in dict.fromkeys((wanted, chunk_size, min(len(data) - 4, chunk_size))):
        if wanted <= length <= len(data) - 4 and zlib.adler32(data[:length]) == int.from_bytes(data[length : length + 4], "little"):
            return data[:length]
    if len(data) < wanted + 4:
        raise _Bad(f"the chunk has {len(data)} bytes of {wanted} and a checksum")
    raise _Bad("the checksum of the data does not hold")


def _bunzipped(data: memoryview, wanted: int, chunk_size: int) -> Buffer:
    # EnCase leaves out the stream's header, and what follows its last block (version 2 specification, "Bzip2 compression")
    stream = bz2.BZ2Decompressor()
    try:
        raw = bytes(data)
        decoded = stream.decompress(raw if raw.startswith(b"BZh") else b"BZh9" + raw, chunk_size)
    except (OSError, ValueError) as error:
        raise _Bad(f"the compressed data is damaged or its checksum does not hold ({error})") from None
    if len(decoded) < wanted:
        raise _Bad(f"the chunk has {len(decoded)} bytes of {wanted}")
    return decoded


# --- the set of segment files -------------------------------------------------------------------------------------------------


def open_ewf(path: Path) -> EwfImage:
    """The EWF image that `path` is a segment of; the others are found beside it by name.

    Raises EvidenceError, Corrupt where it cannot be read at all, Locked where it is encrypted.
    """
    damage = DamageNotes()
    version_2 = _head(path).startswith(SIGNATURE_V2)
    paths = segments(path, SIGNATURE_V2 if version_2 else SIGNATURE_V1, damage)
    files = Files([paths[number] for number in sorted(paths)])
    try:
        layout = (ewf2 if version_2 else ewf1).read_layout(files, sorted(paths), damage)
    except EvidenceError:
        files.close()
        raise
    return EwfImage(files, layout, damage)


def segments(path: Path, signature: bytes, damage: DamageNotes) -> dict[int, Path]:
    """Segment number -> file, of all segments beside `path` that bear its signature and whose name and header agree on the number."""
    given = segment_number(path.suffix, path.suffix)
    own = _number(_head(path))
    if given is None:
        if own != 1:
            raise Corrupt(
                f"{printable(str(path))}: is segment {own} of an image by its header; name the segments .E01, .E02 ... and open the first"
            )
        return {1: path}
    found: dict[int, Path] = {}
    strange: dict[int, Path] = {}
    try:
        siblings = sorted(path.parent.iterdir())
    except OSError as error:
        raise EvidenceError(f"{printable(str(path.parent))}: cannot be listed to find the image's segments: {error.strerror}") from error
    family = ".l01" if signature.startswith(b"LVF") and segment_number(path.suffix, ".l01") else path.suffix
    # .SAA is a segment of .S01 if there is one, else of .E01
    for letter in "es" if signature == SIGNATURE_V1 else "":
        if any(other.stem == path.stem and other.suffix.lower() == f".{letter}01" for other in siblings) and segment_number(
            path.suffix, f".{letter}01"
        ):
            family = f".{letter}01"
    for other in siblings:
        if other.stem != path.stem:
            continue
        number = segment_number(other.suffix, family)
        if number is None or (number in found and other != path) or not other.is_file():
            continue
        head = _head(other)
        if not head.startswith(signature):
            strange[number] = other
            continue
        if _number(head) != number:
            raise Corrupt(
                f"{printable(str(other))}: is segment {number} by its name and segment {_number(head)} by its header; "
                "give the segments their original names"
            )
        found[number] = other
    for number, other in sorted(strange.items()):
        # image.raw beside image.E01 is no segment, though the sequence of extensions would come to it in the end
        if number <= max(found, default=0) + 1:
            damage.note(f"{printable(other.name)}: does not begin as a segment of the image does; it is not read")
    return found


def segment_number(suffix: str, family: str) -> int | None:
    """The number of a segment by its extension, in the family of `family` (.E01, .S01, .L01, .Ex01, .Lx01); None where it is not of it.

    E01 to E99, EAA to EZZ, FAA to ZZZ; Ex01 to Ex99, ExAA to EzZZ (specifications, "Segment file extensions").
    """
    if match := _EXTENSION_V2.fullmatch(suffix):
        kind = _EXTENSION_V2.fullmatch(family)
        if not kind or kind[1].lower() != match[1].lower():
            return None
        text = match[2].lower()
        if text[1:].isdecimal():
            return int(text[1:]) or None
        return 100 + ((ord(text[0]) - ord("x")) * 26 + ord(text[1]) - ord("a")) * 26 + ord(text[2]) - ord("a")
    match, kin = _EXTENSION.fullmatch(suffix), _EXTENSION.fullmatch(family)
    if not match or not kin:
        return None
    first = kin[1].lower() if kin[2].isdecimal() else "e"
    letter, text = match[1].lower(), match[2].lower()
    if text.isdecimal():
        return (int(text) or None) if letter == first else None
    if letter < first:
        return None
    return 100 + ((ord(letter) - ord(first)) * 26 + ord(text[0]) - ord("a")) * 26 + ord(text[1]) - ord("a")


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(32)
    except OSError as error:
        raise EvidenceError(f"{printable(str(path))}: cannot be opened: {error.strerror}; check that it exists and may be read") from error


def _number(head: bytes) -> int:
    """The segment number in a segment's file header."""
    if head[3:4] == b"2":  # EVF2, LEF2
        return int.from_bytes(head[12:16], "little")
    return int.from_bytes(head[9:11], "little")
