"""Raw images: a medium's bytes as they are, in one file, in several (.001 .002, .aa .ab), or on a block device."""

import errno
import os
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from forensics.errors import EvidenceError
from forensics.model import ImageDamage

_SECTOR = 4096  # the grain at which a failing device is asked again


class RawImage:
    """Bytes of the medium, file after file. Satisfies `forensics.evidence.image.Image`; one thread at a time.

    Raises EvidenceError when a file cannot be opened, or is empty.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.format = "raw" if len(files) == 1 else "split raw"
        self.files = tuple(files)
        self.stored: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self.damaged_reads = 0
        self._damage: dict[int, ImageDamage] = {}
        self._handles: list[int] = []
        self._starts = [0]
        try:
            for path in files:
                self._handles.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
                self._starts.append(self._starts[-1] + os.lseek(self._handles[-1], 0, os.SEEK_END))
        except OSError as error:
            self.close()
            raise EvidenceError(f"{path}: cannot be opened ({error.strerror}); check the path and the permission to read it") from error
        self.size = self._starts[-1]
        for number, path in enumerate(files):
            if self.segment_size(number) == 0:
                self.close()
                raise EvidenceError(f"{path}: is empty (0 bytes); copy the image again")

    @property
    def damage(self) -> tuple[ImageDamage, ...]:
        """Ranges that could not be read so far, in order of offset."""
        return tuple(self._damage[offset] for offset in sorted(self._damage))

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of the medium from `offset`, short only at its end; what a device cannot read is zeros, and is damage."""
        end = min(offset + size, self.size)
        if offset < 0 or offset >= end:
            return b""
        pieces: list[bytes] = []
        failed = False
        while offset < end:
            number = bisect_right(self._starts, offset) - 1
            want = min(end, self._starts[number + 1]) - offset
            piece = self._pread(number, want, offset - self._starts[number])
            if piece is None:
                # The device refuses the range: ask again sector by sector, so that only the bad sectors are lost.
                want = min(want, _SECTOR - offset % _SECTOR)
                piece = self._pread(number, want, offset - self._starts[number])
                if piece is None:
                    failed = True
                    self._damage.setdefault(offset, ImageDamage(offset, want, f"{self.files[number].name}: the device could not read this"))
                    piece = bytes(want)
            elif not piece:
                failed = True
                message = f"{self.files[number].name}: ends before its size of {self.segment_size(number)} bytes"
                self._damage.setdefault(offset, ImageDamage(offset, want, message))
                piece = bytes(want)
            pieces.append(piece)
            offset += len(piece)
        self.damaged_reads += failed
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def segment_size(self, number: int) -> int:
        """Bytes of the file at `number` in `files`."""
        return self._starts[number + 1] - self._starts[number]

    def _pread(self, number: int, size: int, offset: int) -> bytes | None:
        try:
            return os.pread(self._handles[number], size, offset)
        except OSError as error:
            if error.errno == errno.EIO:
                return None
            raise EvidenceError(f"{self.files[number]}: reading {size} bytes at {offset} failed ({error.strerror})") from error

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        while self._handles:
            os.close(self._handles.pop())
