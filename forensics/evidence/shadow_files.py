"""Which files of a shadow copy are, to the byte, what the volume has: an equal attribute record, in blocks that nobody wrote since.

The content of an NTFS attribute follows from its record (size, initialised size, compression, list of runs) and from the bytes of its
runs. So the records of both file records are compared as they stand, and the runs against the lists of the shadow copies. What stands in
the file record itself, and what is spread over several of them, is read again. Source: Microsoft, "NTFS on-disk structures" as libfsntfs
describes them: file record segment, attribute record.
"""

from collections.abc import Callable, Iterable
from typing import Any

from forensics.evidence.tsk_constants import NTFS_DATA

SAME = "same blocks as the live volume"
_ATTRIBUTE_LIST, _END = 0x20, 0xFFFFFFFF
_MFT = 0
_IN_USE = 1
_SECTOR = 512  # bytes after which an update sequence number stands, whatever the medium's sectors
_SIZES = (1024, 2048, 4096)  # bytes of a file record

Runs = Iterable[tuple[int, int, int]]  # offset in the stream, first cluster, number of clusters
Compare = Callable[[str, Runs], bool]


def comparison(store: Any, live: Any, same: Callable[[int, int], bool]) -> Compare:
    """Tells of a stream of file system `store`, by its address and runs, whether it lies in the same blocks in `live`.

    Both are pytsk3.FS_Info of NTFS. `same` tells of a range of bytes whether the shadow copy shows there what the volume has.
    """
    cluster = int(store.info.block_size)
    if cluster != int(live.info.block_size):
        return lambda meta, runs: False
    records, live_records = _Records(store), _Records(live)

    def compare(meta: str, runs: Runs) -> bool:
        number, type_, id_ = (int(part) for part in meta.split("-"))
        if type_ != NTFS_DATA or not all(same(first * cluster, length * cluster) for _, first, length in runs):
            return False
        here = attribute(records.read(number), type_, id_, cluster)
        return here is not None and here == attribute(live_records.read(number), type_, id_, cluster)

    return compare


class _Records:
    """The file records of an NTFS."""

    def __init__(self, fs: Any) -> None:
        self._size = 0
        try:
            self._file = fs.open_meta(inode=_MFT)
            size = int.from_bytes(self._file.read_random(0, _SIZES[0], NTFS_DATA)[28:32], "little")
        except OSError:
            return
        self._size = size if size in _SIZES else 0

    def read(self, number: int) -> bytes:
        """A file record as it stands; nothing where it cannot be read."""
        if not self._size:
            return b""
        try:
            return bytes(self._file.read_random(number * self._size, self._size, NTFS_DATA))
        except OSError:
            return b""


def attribute(record: bytes, type_: int, id_: int, cluster: int) -> bytes | None:
    """The record of an attribute whose content lies in clusters, and which this file record describes whole; else `None`."""
    fixed = _fixed(record)
    if fixed is None or fixed[32:40] != bytes(8) or not fixed[22] & _IN_USE:
        return None
    at, found = int.from_bytes(fixed[20:22], "little"), None
    while True:
        kind, length = int.from_bytes(fixed[at : at + 4], "little"), int.from_bytes(fixed[at + 4 : at + 8], "little")
        if kind == _END:
            break
        if kind == _ATTRIBUTE_LIST or length < 24 or length % 8 or at + length > len(fixed) - 8:
            return None
        if kind == type_ and int.from_bytes(fixed[at + 14 : at + 16], "little") == id_:
            if found is not None:
                return None
            found = fixed[at : at + length]
        at += length
    if found is None or found[8] != 1 or len(found) < 64:
        return None
    first, last = int.from_bytes(found[16:24], "little"), int.from_bytes(found[24:32], "little")
    return found if first == 0 and int.from_bytes(found[40:48], "little") == (last + 1) * cluster else None


def _fixed(record: bytes) -> bytes | None:
    """A file record with the last two bytes of its sectors put back, `None` where they do not bear the record's number of the write."""
    at, count = int.from_bytes(record[4:6], "little"), int.from_bytes(record[6:8], "little")
    if record[:4] != b"FILE" or len(record) not in _SIZES or count != len(record) // _SECTOR + 1 or not 40 <= at <= _SECTOR - 2 * count:
        return None
    out = bytearray(record)
    for number in range(1, count):
        end = number * _SECTOR
        if out[end - 2 : end] != record[at : at + 2]:
            return None
        out[end - 2 : end] = record[at + 2 * number : at + 2 * number + 2]
    return bytes(out)
