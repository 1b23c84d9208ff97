"""Raw images: a medium's bytes as they are, in one file, in several (.001 .002, .aa .ab), or on a block device."""

import errno
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from forensics.errors import EvidenceError
from forensics.evidence.damage import DamageNotes
from forensics.evidence.files import Files
from forensics.model import ImageDamage

_SECTOR = 4096  # the grain at which a failing device is asked again


class RawImage:
    """Bytes of the medium, file after file. Satisfies `forensics.evidence.image.Image`.

    Raises EvidenceError where a file cannot be opened, or is empty.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = Files(paths)
        self._starts = [0, *accumulate(self._files.sizes)]
        self._damage = DamageNotes()
        self.format = "raw" if len(paths) == 1 else "split raw"
        self.size = self._starts[-1]
        self.files = self._files.paths
        self.stored: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self.damaged_reads = 0

    @property
    def damage(self) -> tuple[ImageDamage, ...]:
        return self._damage.all()

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of the medium from `offset`, short only at its end; what a device cannot read is zeros, and is damage.

        Raises EvidenceError where the storage fails in another way.
        """
        end = min(offset + size, self.size)
        if offset < 0 or offset >= end:
            return b""
        pieces: list[bytes] = []
        damaged = False
        while offset < end:
            number = bisect_right(self._starts, offset) - 1
            within = offset - self._starts[number]
            want = min(end, self._starts[number + 1]) - offset
            piece = self._piece(number, within, want)
            if piece is None:
                # The device refuses the range: ask again sector by sector, so that only the bad sectors are lost.
                want = min(want, _SECTOR - within % _SECTOR)
                piece = self._piece(number, within, want)
            if not piece:
                damaged = True
                start = offset - within % _SECTOR if piece is None else self._starts[number] + within
                until = min(start + _SECTOR, self._starts[number + 1]) if piece is None else offset + want
                why = "the device could not read this" if piece is None else f"the file ends before its {self._files.sizes[number]} bytes"
                self._damage.chunk(start, start, until - start, f"{self._files.names[number]}: {why}")
                piece = bytes(want)
            pieces.append(piece)
            offset += len(piece)
        self.damaged_reads += damaged
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, number: int, offset: int, size: int) -> bytes | None:
        """Bytes of one file, None where the device says that it cannot read them."""
        try:
            return self._files.read(number, offset, size)
        except EvidenceError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO:
                return None
            raise

    def close(self) -> None:
        """Close the files."""
        self._files.close()
