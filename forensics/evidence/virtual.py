"""Disk images of virtual machines and of Apple's tools, read through libyal: what all of them share as an `Image`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forensics.errors import EvidenceError, Unsupported
from forensics.evidence import limits
from forensics.evidence.damage import DamageNotes
from forensics.evidence.files import Files
from forensics.evidence.libyal import FAILURES, Derived, OneFile, OpenFile, Part, said
from forensics.location import printable
from forensics.model import ImageDamage

_PIECE = 64 << 10  # the grain at which an unreadable range is asked for again


class VirtualImage:
    """An image that a libyal handle decodes. Satisfies `forensics.evidence.image.Image`.

    What the library cannot read is zeros, and is damage. Raises EvidenceError where the storage fails.
    """

    def __init__(
        self,
        format: str,
        handle: Any,
        files: Files,
        below: Sequence[OpenFile],
        keep: Sequence[Any] = (),
        *,
        notes: Sequence[str] = (),
        metadata: dict[str, str] | None = None,
    ) -> None:
        self._files = files
        self._damage = DamageNotes()
        for note in notes:
            self._damage.note(note)
        self.format = format
        self.size = _media_size(handle, files, tuple(below))
        self.files = files.paths
        self.stored: dict[str, str] = {}
        self.metadata = metadata or {}
        self.damaged_reads = 0
        self._bytes = Derived(handle, self.size, files.names[0], tuple(below), tuple(keep))

    @property
    def damage(self) -> tuple[ImageDamage, ...]:
        return self._damage.all()

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of the medium from `offset`, short only at its end; what cannot be decoded is zeros, and is damage."""
        size = min(size, self.size - offset)
        if offset < 0 or size <= 0:
            return b""
        try:
            return self._bytes.read(offset, size)
        except EvidenceError as error:
            _raise_storage(error)
        pieces: list[bytes] = []
        end = offset + size
        while offset < end:
            until = min(end, offset - offset % _PIECE + _PIECE)
            try:
                pieces.append(self._bytes.read(offset, until - offset))
            except EvidenceError as error:
                _raise_storage(error)
                start = offset - offset % _PIECE
                self._damage.chunk(start, start, min(_PIECE, self.size - start), said(error.__cause__ or error))
                pieces.append(bytes(until - offset))
            offset = until
        self.damaged_reads += 1
        return b"".join(pieces)

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def _raise_storage(error: EvidenceError) -> None:
    """Raise `error` on where it is the storage that failed, and not the image's own structure."""
    if type(error) is EvidenceError:
        raise error


def _media_size(handle: Any, files: Files, below: tuple[OpenFile, ...]) -> int:
    try:
        size = int(handle.media_size)
    except FAILURES as error:
        raise Unsupported(f"{printable(str(files.paths[0]))}: does not say how large its medium is: {said(error)}") from error
    if not 0 < size <= limits.MEDIUM:
        raise Unsupported(
            f"{printable(str(files.paths[0]))}: says that its medium has {size} bytes; more than {limits.MEDIUM} are not read"
        )
    return size


def open_files(files: Files) -> list[OpenFile]:
    """Each of an image's files as an open file for libyal."""
    return [OpenFile(OneFile(files, index)) for index in range(len(files.paths))]


def cut(file: OpenFile, size: int) -> OpenFile:
    """The first `size` bytes of an open file."""
    return OpenFile(Part(file.source, 0, size))


def beside(path: Path, name: str, role: str) -> Path:
    """The file called `name` in the folder of `path`, whatever folder the image says that it lay in.

    Evidence must not name files elsewhere on the examiner's machine, so that folders in `name` are dropped. Raises EvidenceError naming the
    file that is missing.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    where = printable(str(path))
    if not last or last in (".", "..") or "\0" in last:
        raise EvidenceError(f"{where}: names {printable(name)!r} as its {role}, which is no file name")
    found = path.parent / last
    if not os.path.isfile(found):
        matching = [item for item in path.parent.iterdir() if item.name.lower() == last.lower() and item.is_file()]
        if not matching:
            raise EvidenceError(f"{where}: its {role} {printable(last)!r} is missing; put it beside the image, under that name")
        found = sorted(matching)[0]
    return found
