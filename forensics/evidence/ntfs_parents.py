"""Which directory each record of an NTFS master file table says it is in: what a directory's index lacks, the records themselves tell.

Source: "New Technologies File System (NTFS)" of the libfsntfs documentation, "The Master File Table (MFT)".
"""

import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from zlib import crc32

from forensics.evidence import ntfs_names
from forensics.evidence.allocation import Marks
from forensics.evidence.directory_names import Content, Name, Trouble, attribute_of, is_stored_in_blocks
from forensics.evidence.tsk_constants import ALLOCATED, NTFS_DATA, NTFS_FILE_NAME, UNALLOCATED

_ATTRIBUTE_LIST = 0x20
_START = struct.Struct("<H")  # of a record: where its attributes begin
_ATTRIBUTE = struct.Struct("<IIB")  # type, length, whether its content lies elsewhere
_RESIDENT = struct.Struct("<IH")  # size of the content, and where it begins
_FIRST_SECTOR = 510  # bytes of a record before the first that its update sequence replaces


class Children:
    """Records that say they are in one directory, in the order of their numbers, with a check sum of the name: 13 bytes each."""

    def __init__(self) -> None:
        self._records, self._sums, self._seen = array("Q"), array("I"), bytearray()

    def add(self, record: int, name: bytes) -> None:
        """`record` says that it has this name there."""
        self._records.append(record)
        self._sums.append(crc32(name))
        self._seen.append(0)

    def see(self, record: int, name: bytes) -> None:
        """The index lists this record under this name, as in use."""
        index = bisect_left(self._records, record)
        while index < len(self._records) and self._records[index] == record:
            if self._sums[index] == crc32(name):
                self._seen[index] = 1
            index += 1

    def unseen(self) -> Iterator[int]:
        """The records that the index does not list as in use."""
        return (record for record, seen in zip(self._records, self._seen, strict=True) if not seen)


class Parents(NamedTuple):
    """Children by directory and the use of its record; the records that are but a part of another one."""

    children: dict[tuple[int, int], Children]
    parts: Marks


def read_parents(fs: Any, wanted: Callable[[int], bool]) -> Parents:
    """Read through the master file table once, and note the children of the directories that are wanted.

    What cannot be read of it is left out: the walk says of each name that its record cannot be read.
    """
    found = Parents({}, Marks())
    try:
        file = fs.open_meta(inode=0)
        attribute = attribute_of(file, NTFS_DATA)
        if attribute is None or not is_stored_in_blocks(attribute):
            return found
        content = Content(file, attribute, int(fs.info.block_size), int(fs.info.last_block))
        size = int.from_bytes(content.read(0, 32)[28:32], "little")
    except OSError:
        return found
    if not 512 <= size <= 65536 or size & (size - 1):
        return found
    rest = (0, b"")  # a record larger than a cluster may lie in two runs
    for piece in content.blocks(min(size, int(fs.info.block_size))):
        if isinstance(piece, Trouble):
            continue
        at, data = piece
        rest = (at, data) if at % size == 0 else (rest[0], rest[1] + data)
        at, data = rest
        if len(data) != size or data[:4] != b"FILE":
            continue
        number = at // size
        if data[32:38] != bytes(6):
            found.parts.mark(number)
            continue
        for parent, use, name in _names(fs, number, data):
            if wanted(parent):
                found.children.setdefault((parent, use), Children()).add(number, name)
    return found


def _names(fs: Any, number: int, data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Parent, use of its record and name, for each long name of a record."""
    at, fixed = _START.unpack_from(data, 20)[0], False
    own: list[ntfs_names.FileName | None] = []
    while at + 24 <= len(data):
        type_, length, elsewhere = _ATTRIBUTE.unpack_from(data, at)
        if type_ == _ATTRIBUTE_LIST:
            own = list(file_names(fs, number))  # some of them may lie in other records
            break
        if type_ > NTFS_FILE_NAME or length < 24 or at + length > len(data):
            break
        if at + length > _FIRST_SECTOR and not fixed:
            whole = bytearray(data)
            if ntfs_names.fix_up(whole) is not None:
                break
            data, fixed = bytes(whole), True
            continue
        if type_ == NTFS_FILE_NAME and not elsewhere:
            size, where = _RESIDENT.unpack_from(data, at + 16)
            own.append(ntfs_names.file_name(data[at + where : min(at + where + size, at + length)]))
        at += length
    for name in own:
        if name is not None and name.space != ntfs_names.DOS:
            yield name.parent, name.use, ntfs_names.text(name.name)


def file_names(fs: Any, number: int) -> Iterator[ntfs_names.FileName]:
    """The long names of a record, from all its parts; none where it cannot be read."""
    try:
        file = fs.open_meta(inode=number)
        for attribute in file:
            info = attribute.info
            if int(info.type) == NTFS_FILE_NAME and not is_stored_in_blocks(attribute):
                data = file.read_random(0, min(int(info.size), 1024), NTFS_FILE_NAME, int(info.id))
                name = ntfs_names.file_name(data)
                if name is not None and name.space != ntfs_names.DOS:
                    yield name
    except OSError:
        return


def missing(fs: Any, children: Children, directory: int) -> Iterator[Name]:
    """Names that records of the master file table say are in a directory, and that its index does not list as in use.

    A record that is no longer allocated was counted up when it was freed; its name is of the use before.
    """
    for record in children.unseen():
        try:
            meta = fs.open_meta(inode=record).info.meta
        except OSError:
            continue
        allocated = int(meta.flags) & ALLOCATED
        use = int(meta.seq) if allocated else int(meta.seq) - 1 & 0xFFFFFFFF
        for name in file_names(fs, record):
            if name.parent == directory:
                yield Name(ntfs_names.text(name.name), record, use, ALLOCATED if allocated else UNALLOCATED, 0, -1)
