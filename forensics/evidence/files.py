"""The files that an image consists of, read by position and never written."""

import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from forensics.errors import EvidenceError
from forensics.location import printable

_MOST_OPEN = 32  # a set may have thousands of segments, a process by default 1,024 descriptors


class Files:
    """A fixed list of files (or block devices), opened read-only as needed; `names` for messages, `sizes` in bytes.

    Reads are by position (`os.pread`), so a forked child may go on using it. Raises EvidenceError where a file cannot be opened,
    is empty, or is neither a file nor a block device.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.names = tuple(printable(path.name) for path in paths)
        self._open: OrderedDict[int, int] = OrderedDict()
        self._identity: list[tuple[int, int] | None] = [None] * len(self.paths)
        self.sizes = tuple(self._size(index) for index in range(len(self.paths)))

    def _size(self, index: int) -> int:
        path = printable(str(self.paths[index]))
        try:
            # before opening: opening a pipe would wait for ever
            mode = os.stat(self.paths[index]).st_mode
            if stat.S_ISDIR(mode):
                raise EvidenceError(f"{path}: is a folder and not an image")
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                raise EvidenceError(f"{path}: is neither a file nor a block device")
            size = os.lseek(self._descriptor(index), 0, os.SEEK_END)  # st_size of a block device is 0
        except OSError as error:
            raise EvidenceError(f"{path}: cannot be opened: {error.strerror}; check that it exists and may be read") from error
        if size == 0:
            raise EvidenceError(f"{path}: is empty (0 bytes); copy the image again")
        return size

    def _descriptor(self, index: int) -> int:
        descriptor = self._open.get(index)
        if descriptor is not None:
            self._open.move_to_end(index)
            return descriptor
        descriptor = os.open(self.paths[index], os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOCTTY", 0))
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        if self._identity[index] not in (None, identity):
            os.close(descriptor)
            raise EvidenceError(f"{printable(str(self.paths[index]))}: was replaced by another file while it was being read")
        self._identity[index] = identity
        self._open[index] = descriptor
        if len(self._open) > _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def read(self, index: int, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` of file `index`, short only at its end. Raises EvidenceError where the storage fails."""
        try:
            descriptor = self._descriptor(index)
            data = os.pread(descriptor, size, offset)
            if len(data) == size or not data:
                return data
            parts = [data]
            done = len(data)
            while done < size and (data := os.pread(descriptor, size - done, offset + done)):
                parts.append(data)
                done += len(data)
            return b"".join(parts)
        except OSError as error:
            raise EvidenceError(
                f"{printable(str(self.paths[index]))}: {size} bytes at byte {offset} cannot be read: {error.strerror}; check the storage"
            ) from error

    def close(self) -> None:
        """Close what is open. Reading again opens again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __del__(self) -> None:
        if "_open" in self.__dict__:
            self.close()
