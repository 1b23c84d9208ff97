"""A folder, or a single file, as an exhibit: read-only, no link followed, nothing opened that is not a regular file."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from forensics.errors import Corrupt
from forensics.evidence.limits import LINK_TARGET, PATH_DEPTH
from forensics.location import Layer, Location, decode, encode, printable
from forensics.model import Entry, EntryKind, Fault, LayerInfo, Times


class FileStream:
    """A regular file, opened without following a link."""

    def __init__(self, path: bytes, location: Location) -> None:
        self._location = location
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise Corrupt(f"{location}: cannot be opened ({error.strerror})") from error
        self._before = os.fstat(self._descriptor)
        if not stat.S_ISREG(self._before.st_mode):
            os.close(self._descriptor)
            raise Corrupt(f"{location}: is no regular file any more")
        self.size = self._before.st_size

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; short only at the end. Raises Corrupt naming the offset."""
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise Corrupt(f"{self._location}: cannot be read at byte {offset} ({error.strerror})") from error

    def changed(self) -> bool:
        """Whether the file was written to since it was opened."""
        now = os.fstat(self._descriptor)
        return (now.st_size, now.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns)

    def __del__(self) -> None:
        if hasattr(self, "_before"):
            os.close(self._descriptor)


class Folder:
    """A folder as a file system; with `only`, one file of it."""

    def __init__(self, exhibit: str, root: Path, only: str | None = None) -> None:
        kind = "file" if only else "folder"
        self._layers = (Layer(kind),)
        self._exhibit, self._root, self._only = exhibit, os.fsencode(root), only
        place = Location(exhibit, self._layers, "")
        self.info = LayerInfo(location=str(place), kind=kind, offset=0, size=0, examined=True, timezone="utc")

    def _place(self, path: str) -> Location:
        return Location(self._exhibit, self._layers, path)

    def walk(self) -> Iterator[Entry | Fault]:
        """Every name below, in order of its bytes, depth first; what cannot be listed is a fault."""
        if self._only:
            yield self._entry(f"/{self._only}", os.path.join(self._root, encode(self._only)))
            return
        yield from self._directory("", self._root, 0)

    def _directory(self, path: str, real: bytes, depth: int) -> Iterator[Entry | Fault]:
        if depth > PATH_DEPTH:
            yield Fault(location=str(self._place(path)), kind="limit", message=f"more than {PATH_DEPTH} folders deep; not listed")
            return
        try:
            with os.scandir(real) as listing:
                names = sorted((each.name, each.is_dir(follow_symlinks=False)) for each in listing)
        except OSError as error:
            yield Fault(location=str(self._place(path or "/")), kind="error", message=f"the folder cannot be listed ({error.strerror})")
            return
        for name, is_directory in names:
            below, there = f"{path}/{decode(name)}", os.path.join(real, name)
            try:
                yield self._entry(below, there)
            except OSError as error:
                yield Fault(location=str(self._place(below)), kind="error", message=f"cannot be examined ({error.strerror})")
                continue
            if is_directory:
                yield from self._directory(below, there, depth + 1)

    def _entry(self, path: str, real: bytes) -> Entry:
        found = os.lstat(real)
        mode = found.st_mode
        kind: EntryKind = "other"
        target = None
        if stat.S_ISREG(mode):
            kind = "file"
        elif stat.S_ISDIR(mode):
            kind = "directory"
        elif stat.S_ISLNK(mode):
            kind, target = "link", printable(decode(os.readlink(real)[:LINK_TARGET]))
        return Entry(
            location=str(self._place(path)),
            kind=kind,
            size=found.st_size if kind == "file" else 0,
            times=Times(modified=_time(found.st_mtime_ns)),  # the other times are those of this copy, not of the exhibit
            target=target,
        )

    def open(self, location: Location) -> FileStream:
        """The file's content. Raises Corrupt."""
        parts = location.path.split("/")
        if ".." in parts:
            raise Corrupt(f"{location}: leads out of the folder")
        return FileStream(os.path.join(self._root, encode(location.path.lstrip("/"))), location)

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """The file beside it whose name is its own plus `suffix`, or `None`."""
        beside = msgspec.structs.replace(location, path=location.path + suffix)
        real = os.path.join(self._root, encode(beside.path.lstrip("/")))
        return beside if os.path.isfile(real) and not os.path.islink(real) else None


def _time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"
