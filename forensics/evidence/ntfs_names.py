"""Names in directories of NTFS: the index entries of $INDEX_ROOT and $INDEX_ALLOCATION, in use and in the slack of their records.

Source: "New Technologies File System (NTFS)" of the libfsntfs documentation, "The index" and "The file name attribute".
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from forensics.evidence.directory_names import Content, Name, Names, Trouble
from forensics.evidence.tsk_constants import ALLOCATED, UNALLOCATED

_ENTRY = struct.Struct("<QHHIQ")  # file reference, length of the entry, of its key, flags; reference to the parent
_TAIL = struct.Struct("<QQQQQQIIBB")  # of a $FILE_NAME after the parent: four times, sizes allocated and in use, flags, length, name space
_LIST = struct.Struct("<III")  # offsets, from here, where the entries begin, where those in use end, where the room ends
_KEY, _NAME = 16, 66  # where in an entry the $FILE_NAME begins, and in that the name
_MASK = (1 << 48) - 1
DOS, _NAMESPACES = 2, 4
_DIRECTORY = 0x10000000
_SECTOR = 512
_SECOND = 10**7
_YEAR_1970, _YEAR_2100 = 11644473600 * _SECOND, 15746745600 * _SECOND
_FILE_NAME = 0x30
_REGION = 1 << 20  # bytes from one index record to the next: records have 4 KiB


class Bounds(NamedTuple):
    """What an entry of one directory must agree with: the directory's address, the lowest and highest there is, whether it is deleted."""

    parent: int
    first: int
    last: int
    deleted: bool


class FileName(NamedTuple):
    """A $FILE_NAME attribute: reference to the parent, use of its record, the name in UTF-16, the name space."""

    parent: int
    use: int
    name: bytes
    space: int


def file_name(data: bytes) -> FileName | None:
    """The content of a $FILE_NAME attribute; `None` where it is too short for the name that it says it has."""
    if len(data) < _NAME or len(data) < _NAME + 2 * data[64]:
        return None
    parent = int.from_bytes(data[:8], "little")
    return FileName(parent & _MASK, parent >> 48, data[_NAME : _NAME + 2 * data[64]], data[65])


def record_size(root: bytes) -> int:
    """Bytes of an index record, as $INDEX_ROOT says; 4096 where it says nothing sensible."""
    size = int.from_bytes(root[8:12], "little")
    return size if 512 <= size <= 65536 and not size & (size - 1) else 4096


def is_directory_index(root: bytes) -> bool:
    """Whether $INDEX_ROOT is that of an index of file names, whose lengths agree."""
    if len(root) < 32 or int.from_bytes(root[:4], "little") != _FILE_NAME:
        return False
    begin, used, room = _LIST.unpack_from(root, 16)
    return bool(begin <= used <= room <= len(root) - 16)


def names(root: bytes, content: Content | None, cluster: int, bounds: Bounds) -> Names:
    """Every name in the index, its root first, then its records in the order in which they lie."""
    begin, used, room = _LIST.unpack_from(root, 16)
    yield from entries(root[: 16 + room], 16 + begin, 16 + used, bounds, 0)
    if content is None:
        return
    for record in records(content, min(cluster, record_size(root))):
        if isinstance(record, Trouble):
            yield record
            continue
        at, data = record
        problem = fix_up(data)
        begin, used, _ = _LIST.unpack_from(data, 24)
        if problem is None and (24 + begin > len(data) or 24 + used > len(data) or used < begin):
            problem = "says that its entries lie outside of it"
        if problem is not None:
            yield Trouble(f"the index record at offset {at} {problem}")
            continue
        yield from entries(bytes(data), 24 + begin, 24 + used, bounds, at)


def records(content: Content, step: int) -> Iterator[tuple[int, bytearray] | Trouble]:
    """The index records with their offsets, each with what lies behind it up to the next one: that may be one that was given up."""
    start, region = 0, bytearray()
    for piece in content.blocks(step):
        if isinstance(piece, Trouble):
            yield piece
            continue
        at, data = piece
        if data.startswith(b"INDX") and len(data) >= 48:
            if region:
                yield start, region
            start, region = at, bytearray(data)
        elif region and len(region) < _REGION:
            region += data
    if region:
        yield start, region


def fix_up(record: bytearray) -> str | None:
    """Put back the last two bytes of each sector of a record, in place; what is wrong, where they do not fit."""
    offset, count = struct.unpack_from("<HH", record, 4)
    if offset + 2 * count > len(record) or (count - 1) * _SECTOR > len(record) or not count:
        return "has an update sequence that does not fit it"
    mark = record[offset : offset + 2]
    for number in range(1, count):
        end = number * _SECTOR
        if record[end - 2 : end] != mark:
            return f"is torn: sector {number - 1} of it was not written together with the others"
        record[end - 2 : end] = record[offset + 2 * number : offset + 2 * number + 2]
    return None


def entries(data: bytes, at: int, used: int, bounds: Bounds, base: int) -> Iterator[Name]:
    """The entries from byte `at`: those up to `used` are in use, behind it is slack. Short names of DOS are left out: each has a long one.

    What cannot be an entry of this directory is passed over four bytes at a time, so that no length leads out of the record or stops
    the search.
    """
    start, end = at, len(data)
    room = end - start
    parent, first, last, deleted = bounds
    while at + _KEY + _NAME + 2 < end:
        reference, length, key, _, above = _ENTRY.unpack_from(data, at)
        address = reference & _MASK
        if above & _MASK != parent or not first <= address <= last or length <= key or length & 3 or length > room:
            at += 4
            continue
        gone = not key or at + length > used
        born, modified, _, accessed, allocated, size, flags, _, count, space = _TAIL.unpack_from(data, at + _KEY + 8)
        name = data[at + _KEY + _NAME : at + _KEY + _NAME + 2 * count]
        if gone and not (space < _NAMESPACES and allocated >= size and count and name[0] and all(map(_sound, (born, modified, accessed)))):
            at += 4
            continue
        if space != DOS and at + _KEY + _NAME + 2 * count < end:
            state = UNALLOCATED if gone or deleted else ALLOCATED
            yield Name(text(name), address, reference >> 48, state, 3 if flags & _DIRECTORY else 5, base + at)
        at += length if key else _KEY + _NAME + 2 * count + 3 & ~3


def _sound(time: int) -> bool:
    """Whether a time of a deleted entry can be one, which tells entries from other bytes. The Sleuth Kit takes none after 2020."""
    return _YEAR_1970 <= time <= _YEAR_2100


def text(name: bytes) -> bytes:
    """A name of UTF-16 as The Sleuth Kit writes it: UTF-8, up to the first zero."""
    try:
        written = name.decode("utf-16-le").encode()
    except UnicodeDecodeError:
        written = name.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")
    return written.partition(b"\0")[0]
