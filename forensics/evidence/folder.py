"""A folder, or a single file, as an exhibit: read-only, links never followed, special files never opened."""

import errno
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forensics.errors import Corrupt, EvidenceError
from forensics.evidence import limits
from forensics.location import Layer, Location, decode, encode, escape
from forensics.model import Entry, EntryKind, Fault, LayerInfo, Times

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FolderSystem:
    """The files of a folder. Satisfies `FileSystem`. Locations have the path below the folder, ``1:folder:/a/b.txt``.

    Raises EvidenceError where `path` is no folder or cannot be read.
    """

    def __init__(self, exhibit: str, path: Path) -> None:
        self._exhibit = exhibit
        self._layers = (Layer("folder"),)
        self._root = os.fsencode(path)
        try:
            os.close(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError as error:
            raise EvidenceError(f"{escape(decode(self._root))}: cannot be read as a folder: {error.strerror}") from error
        self.info = LayerInfo(location=str(Location(exhibit, self._layers)), kind="folder", offset=0, size=0, examined=True, timezone="utc")

    def walk(self) -> Iterator[Entry | Fault]:
        """Everything in the folder, depth-first, each directory in order of its names' bytes."""
        prefix = self.info.location
        stack = [iter(self._listing(b""))]
        while stack:
            for item in stack[-1]:
                if isinstance(item, Fault):
                    yield item
                    continue
                path, status = item
                text = escape(decode(path), separators=True)
                try:
                    yield self._entry(f"{prefix}{text}", path, status)
                except OSError as error:
                    yield Fault(location=f"{prefix}{text}", kind="error", message=f"cannot be looked at: {error.strerror}")
                    continue
                if stat.S_ISDIR(status.st_mode):
                    if len(stack) >= limits.PATH_DEPTH:
                        message = f"more than {limits.PATH_DEPTH} directories deep; it is not entered"
                        yield Fault(location=f"{prefix}{text}", kind="limit", message=message)
                        continue
                    stack.append(iter(self._listing(path)))
                    break
            else:
                stack.pop()

    def open(self, location: Location) -> "FolderStream":
        """The content of a regular file. Raises Corrupt where it is gone, is none, or may not be read."""
        path = encode(location.path)
        parts = path.split(b"/")[1:]
        if not path.startswith(b"/") or b".." in parts or b"." in parts or b"" in parts or b"\0" in path:
            raise Corrupt(f"{location}: is no path below the folder")
        return FolderStream(open_beneath(self._root, parts, str(location)), str(location))

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """The regular file beside it whose name is its name and `suffix`."""
        path = location.path + suffix
        beside = self._root + encode(path)
        try:
            found = stat.S_ISREG(os.lstat(beside).st_mode)
        except (OSError, ValueError):
            return None
        return Location(self._exhibit, self._layers, path) if found else None

    def _listing(self, below: bytes) -> Iterator[tuple[bytes, os.stat_result] | Fault]:
        place = self.info.location + escape(decode(below or b"/"), separators=True)
        try:
            with os.scandir(self._root + below) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            yield Fault(location=place, kind="error", message=f"the folder cannot be read: {error.strerror}; check the permissions")
            return
        for name in names:
            path = below + b"/" + name
            try:
                yield path, os.lstat(self._root + path)
            except OSError as error:
                where = self.info.location + escape(decode(path), separators=True)
                yield Fault(location=where, kind="error", message=f"cannot be looked at: {error.strerror}")

    def _entry(self, location: str, path: bytes, status: os.stat_result) -> Entry:
        kind = _kind(status.st_mode)
        target = note = None
        if kind == "link":
            link = os.readlink(self._root + path)
            target = escape(decode(link[: limits.LINK_TARGET]))
            if len(link) > limits.LINK_TARGET:
                note = f"its target has {len(link)} bytes; it is cut at {limits.LINK_TARGET}"
        return Entry(
            location=location,
            kind=kind,
            size=status.st_size if kind in ("file", "link") else 0,
            times=_times(status),
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            target=target,
            note=note,
        )


class FileSystemOfOne:
    """A single file that is no image of a medium. Satisfies `FileSystem`; its one location is ``1:file:/name``."""

    def __init__(self, exhibit: str, path: Path) -> None:
        self._path = path
        name = os.fsencode(path.name)
        self._location = Location(exhibit, (Layer("file"),), "/" + decode(name))
        try:
            self._size = os.stat(path).st_size
        except OSError as error:
            raise EvidenceError(f"{escape(decode(os.fsencode(path)))}: cannot be read: {error.strerror}") from error
        self.info = LayerInfo(
            location=str(Location(exhibit, (Layer("file"),))), kind="file", offset=0, size=self._size, examined=True, timezone="utc"
        )

    def walk(self) -> Iterator[Entry | Fault]:
        """The one entry."""
        try:
            status = os.stat(self._path)
        except OSError as error:
            yield Fault(location=str(self._location), kind="error", message=f"cannot be looked at: {error.strerror}")
            return
        yield Entry(
            location=str(self._location),
            kind="file",
            size=status.st_size,
            times=_times(status),
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
        )

    def open(self, location: Location) -> "FolderStream":
        """Its content. Raises Corrupt for any other location, or where it may not be read."""
        if location.path != self._location.path:
            raise Corrupt(f"{location}: the exhibit is the single file {self._location}")
        try:
            # the examiner named this path, so a link is followed here and nowhere else
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise Corrupt(f"{location}: cannot be opened: {error.strerror}") from error
        return FolderStream(descriptor, str(location))

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """None: what lies beside the file is not part of the exhibit."""
        return None


class FolderStream:
    """A regular file's content. Takes over `descriptor`. Raises Corrupt where it is no regular file.

    `allocated` are the bytes of it that lie on the disk: fewer than its size where it has holes.
    """

    def __init__(self, descriptor: int, place: str) -> None:
        self._descriptor, self._place = descriptor, place
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Corrupt(f"{place}: is no regular file any more")
        self._before = _state(status)
        self.size = status.st_size
        self.allocated = status.st_blocks * 512  # stat(2): in units of 512 bytes, whatever the disk's are

    def hole(self, offset: int) -> int:
        """Bytes from `offset` on that are a hole, and read as zeros; 0 where data stands there, or the file system does not say."""
        try:
            return min(os.lseek(self._descriptor, offset, os.SEEK_DATA), self.size) - offset
        except OSError as error:
            return max(0, self.size - offset) if error.errno == errno.ENXIO else 0  # nothing but a hole follows

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end. Raises Corrupt where the storage fails or the file became shorter."""
        size = min(size, self.size - offset)
        if size <= 0 or offset < 0:
            return b""
        parts: list[bytes] = []
        while size:
            try:
                data = os.pread(self._descriptor, size, offset)
            except OSError as error:
                raise Corrupt(f"{self._place}: {size} bytes at offset {offset} cannot be read: {error.strerror}") from error
            if not data:
                raise Corrupt(f"{self._place}: ends at offset {offset}, but had {self.size} bytes when it was opened")
            parts.append(data)
            offset, size = offset + len(data), size - len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def changed(self) -> bool:
        """Whether size, times of modification and change, or the file itself differ from when it was opened."""
        return _state(os.fstat(self._descriptor)) != self._before

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_beneath(root: bytes, parts: list[bytes], place: str) -> int:
    """A descriptor of the file at `parts` below `root`, no component of which is a link. Raises Corrupt naming `place`."""
    # Component by component, so that a link put there after the walk is not followed out of the exhibit. O_NONBLOCK: a pipe does not wait.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts[:-1]:
                below = os.open(part, flags | os.O_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = below
            if not stat.S_ISREG(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):
                raise Corrupt(f"{place}: is no regular file")
            return os.open(parts[-1], flags | os.O_NONBLOCK, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Corrupt(f"{place}: cannot be opened: {error.strerror}") from error


def _state(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _kind(mode: int) -> EntryKind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def _times(status: os.stat_result) -> Times:
    return Times(_text(status.st_mtime_ns), _text(status.st_atime_ns), _text(status.st_ctime_ns))


def _text(nanoseconds: int) -> str | None:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    try:
        text = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    except OverflowError:
        return None
    return f"{text}.{rest:09d}Z" if rest else f"{text}Z"
