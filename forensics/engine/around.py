"""What lies around a file: others of the same file system, by the way from its folder; companions inside a container."""

import io
import re
from pathlib import Path
from typing import BinaryIO, cast

from forensics.engine import content as contents
from forensics.engine.guard import Failure, guarded
from forensics.errors import EvidenceError, TimedOut
from forensics.evidence.filesystem import FileSystem, Stream
from forensics.evidence.openfile import SourceFile
from forensics.location import Location
from forensics.plugin import Member, Neighbour

LARGEST = 1 << 30  # bytes of a companion inside a container


def neighbour(system: FileSystem, location: Location, path: str) -> Neighbour | None:
    """The allocated file at `path` from the folder of `location`, `None` where there is none or the way leads out of the file system.

    Raises EvidenceError where it is there and cannot be read.
    """
    folder, parts = location.path.split("/")[:-1], path.split("/")
    while parts[0] == ".." and len(parts) > 1 and len(folder) > 1:
        folder.pop()
        del parts[0]
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        return None
    found = system.sibling(Location(location.exhibit, location.layers, "/".join((*folder, *parts))), "")
    if found is None:
        return None
    stream = system.open(found)
    return Neighbour(stream.size, lambda: cast(BinaryIO, io.BufferedReader(SourceFile(stream), contents.CHUNK)))


class _Held:
    """The content of a companion, spooled, as a stream."""

    def __init__(self, content: contents.Content, size: int) -> None:
        self._file, self.size = content.open(), size
        self._content = content

    def read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def changed(self) -> bool:
        return False

    def __del__(self) -> None:
        self._file.close()
        self._content.close()


def companion(member: Member, location: Location, folder: Path, suffix: str) -> tuple[Location, Stream] | None:
    """The file whose name is the member's plus `suffix`, `None` where the container has none.

    Raises EvidenceError where it cannot be read.
    """
    below = folder / f"companion{suffix if re.fullmatch(r'[A-Za-z0-9-]+', suffix) else ''}"
    below.mkdir(exist_ok=True)
    for got in guarded(lambda: [_companion(member, suffix, below)]):
        if isinstance(got, Failure):
            raise (TimedOut if got.limit else EvidenceError)(got.message)
        if got is not None:
            return Location(location.exhibit, location.layers, f"{location.path}{suffix}"), got
    return None


def _companion(member: Member, suffix: str, folder: Path) -> _Held | None:
    found = member.companion(suffix) if member.companion else None
    if found is None or found.kind != "file":
        return None
    with found.open() as stream:
        size, _, _, content = contents.read_member(stream, LARGEST, folder)
    return _Held(content, size)
