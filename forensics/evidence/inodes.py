"""Walk a file system of inodes that is read here (SquashFS, Btrfs, F2FS): names, loops and bounds, whatever lies on disk.

A reader says what an inode is, which names a directory holds, and what the content is; this gives the rest of `FileSystem`.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

from forensics.errors import Corrupt, EvidenceError, LimitExceeded, Locked, Unsupported
from forensics.evidence import limits
from forensics.evidence.libyal import Source
from forensics.evidence.tsk_times import Clock
from forensics.location import Layer, Location, decode, escape
from forensics.model import Entry, EntryKind, Fault, FaultKind, LayerInfo, Times

NO_DELETED = "deleted files are neither listed nor recovered"
_PIECE = 1 << 20
_KINDS: dict[int, EntryKind] = {0o040000: "directory", 0o120000: "link", 0o100000: "file"}
_clock = Clock(9, "Z")

Key = TypeVar("Key", bound=Hashable)


class Node(NamedTuple):
    """What an inode says of itself: `mode` with the file type's bits, `target` as bytes, `start` in bytes on the medium.

    A directory with `entered` false is empty, and may stand at several paths.
    """

    mode: int
    size: int
    times: Times
    uid: int | None = None
    gid: int | None = None
    target: bytes | None = None
    start: int = -1
    note: str | None = None
    entered: bool = True

    @property
    def kind(self) -> EntryKind:
        return _KINDS.get(self.mode & 0o170000, "other")


class Content(Protocol):
    """A file's content. `read` raises Corrupt, Unsupported or Locked in words that begin small and do not name the place."""

    def read(self, offset: int, size: int) -> bytes: ...


def when(seconds: int, nanoseconds: int = 0) -> str | None:
    """A time as ISO 8601 text; `None` where it is the epoch, which is how a missing time reads, or where no calendar holds it."""
    try:
        return _clock.text(seconds, nanoseconds if 0 <= nanoseconds < 10**9 else 0)
    except OverflowError:
        return None


def exact(source: Source, offset: int, size: int, what: str) -> bytes:
    """`size` bytes of `what` at `offset`. Raises Corrupt where the medium ends before them."""
    data = source.read(offset, size) if 0 <= offset <= limits.MEDIUM else b""
    if len(data) < size:
        raise Corrupt(f"{what} at byte {offset} ({size} bytes) lies beyond the end of the volume, which has {source.size}")
    return data


class InodeSystem(Generic[Key]):
    """A file system of inodes. Satisfies `FileSystem`; one thread at a time. `Key` leads to an inode, and is equal for hard links."""

    def __init__(
        self,
        source: Source,
        exhibit: str,
        layers: tuple[Layer, ...],
        kind: str,
        root: Key,
        *,
        base: int = 0,
        description: str | None = None,
        label: str | None = None,
    ) -> None:
        self._source, self._exhibit, self._layers, self._base = source, exhibit, (*layers, Layer(kind)), base
        self._prefix = str(Location(exhibit, self._layers))
        self._root: Key = root
        self._problems: list[Fault] = []
        self._folders: OrderedDict[str, Key] = OrderedDict()
        self.info = LayerInfo(
            location=self._prefix,
            kind=kind,
            offset=base,
            size=source.size,
            label=label or None,
            description="; ".join(filter(None, (description, NO_DELETED))),
            examined=True,
            timezone="utc",
        )

    # --- what a reader says -----------------------------------------------------------------------------------------------

    def _node(self, key: Key) -> Node:
        raise NotImplementedError

    def _names(self, key: Key) -> Iterator[tuple[bytes, Key] | Exception]:
        """The names in a directory. What is yielded as an exception is a fault after which it goes on; what is raised ends it."""
        raise NotImplementedError

    def _content(self, key: Key, node: Node) -> Content:
        raise NotImplementedError

    def _meta(self, key: Key) -> str:
        """A key's text form, as a location holds it."""
        raise NotImplementedError

    def _key(self, meta: str) -> Key | None:
        """The key that has a text form; `None` where there can be none."""
        raise NotImplementedError

    def _last_problems(self) -> Iterator[Fault]:
        """What was noticed during the walk, and is true of the whole."""
        return iter(())

    # --- what follows from it ---------------------------------------------------------------------------------------------

    def walk(self) -> Iterator[Entry | Fault]:
        """Everything that is there, depth-first, each directory in the file system's own order."""
        yield from self._problems
        seen = {self._root}
        stack = [("", self._names(self._root))]
        count = 0
        while stack:
            path, names = stack[-1]
            try:
                item = next(names, None)
            except EvidenceError as error:
                yield self._fault(path, error)
                item = None
            if item is None:
                stack.pop()
                continue
            if isinstance(item, Exception):
                yield self._fault(path, item)
                continue
            count += 1
            if count > limits.TREE_NAMES:
                yield self._fault(path, LimitExceeded(f"more than {limits.TREE_NAMES} names; those after them are not listed"))
                return
            path, key = f"{path}/{escape(decode(item[0]), separators=True)}", item[1]
            try:
                node = self._node(key)
            except EvidenceError as error:
                yield self._fault(f"{path};meta={self._meta(key)}", error)
                continue
            yield self._entry(path, key, node)
            if node.kind != "directory" or not node.entered:
                continue
            if key in seen:
                yield self._fault(path, Corrupt("this directory was already found at another path; it is not entered again"))
            elif len(stack) >= limits.PATH_DEPTH:
                yield self._fault(path, LimitExceeded(f"more than {limits.PATH_DEPTH} directories deep; it is not entered"))
            else:
                seen.add(key)
                stack.append((path, self._names(key)))
        yield from self._last_problems()

    def open(self, location: Location) -> "NodeStream":
        """The content at a location that the walk gave. Raises Corrupt where nothing is there; Unsupported, Locked for what is not read."""
        key = self._key(location.meta or "")
        if key is None or location.stream:
            raise Corrupt(f"{location}: there is no such stream")
        try:
            node = self._node(key)
            if node.kind == "link" and node.target is not None:
                return NodeStream(_Bytes(node.target), len(node.target), str(location))
            if node.kind != "file":
                raise Corrupt("is no file, and has no content")
            return NodeStream(self._content(key, node), node.size, str(location))
        except EvidenceError as error:
            raise placed(error, str(location)) from error

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """The file beside `location`, in the same directory, whose name is its name and `suffix`."""
        folder, _, name = location.path.rpartition("/")
        try:
            above = self._folder(folder)
            found = self._named(above, name + suffix) if above is not None else None
            if found is None or self._node(found).kind != "file":
                return None
        except EvidenceError as error:
            _raise_storage(error)
            return None
        return Location(self._exhibit, self._layers, location.path + suffix, self._meta(found))

    def _folder(self, path: str) -> Key | None:
        """The directory of a path; the last ones are remembered, since companions are asked for folder by folder."""
        found = self._folders.get(path)
        if found is not None:
            return found
        key: Key | None = self._root
        for name in path.split("/")[1:][: limits.PATH_DEPTH]:
            key = self._named(key, name) if key is not None and self._node(key).kind == "directory" else None
        if key is not None:
            self._folders[path] = key
            if len(self._folders) > limits.OPEN_FILES:
                self._folders.popitem(last=False)
        return key

    def _named(self, folder: Key, name: str) -> Key | None:
        for item in self._names(folder):
            if not isinstance(item, Exception) and decode(item[0]) == name:
                return item[1]
        return None

    def _entry(self, path: str, key: Key, node: Node) -> Entry:
        notes = [node.note] if node.note else []
        target = decode(node.target) if node.target is not None else None
        if target is not None and len(target) > limits.LINK_TARGET:
            notes.append(f"its target is longer than {limits.LINK_TARGET} characters; it is cut there")
        return Entry(
            location=f"{self._prefix}{path};meta={self._meta(key)}",
            kind=node.kind,
            size=node.size if node.kind in ("file", "link") else 0,
            times=node.times,
            mode=node.mode & 0o7777,
            uid=node.uid,
            gid=node.gid,
            target=escape(target[: limits.LINK_TARGET]) if target is not None else None,
            start=self._base + node.start if node.kind == "file" and node.size and node.start >= 0 else -1,
            note="; ".join(notes) or None,
        )

    def _fault(self, inner: str, error: Exception) -> Fault:
        """A fault at a place; raises what the storage itself raised, which is no fault of this file system."""
        if isinstance(error, EvidenceError):
            _raise_storage(error)
        return Fault(location=f"{self._prefix}{inner or '/'}", kind=_fault_kind(error), message=str(error))


class NodeStream:
    """The content of a file."""

    def __init__(self, content: Content, size: int, place: str) -> None:
        self._content, self.size, self._place = content, size, place

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end. Raises Corrupt that names the location and the offset."""
        size = min(size, self.size - offset)
        if offset < 0 or size <= 0:
            return b""
        parts = []
        for at in range(offset, offset + size, _PIECE):
            wanted = min(_PIECE, offset + size - at)
            try:
                data = self._content.read(at, wanted)
            except EvidenceError as error:
                raise placed(error, f"{self._place}: {wanted} bytes at offset {at} cannot be read") from error
            if len(data) < wanted:
                raise Corrupt(f"{self._place}: ends at offset {at + len(data)}, but its size is {self.size}")
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def changed(self) -> bool:
        """Never: an image is read-only and its digest is taken."""
        return False


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


def placed(error: EvidenceError, place: str) -> EvidenceError:
    """The same error with the place before its words; what the storage itself raised stays as it is."""
    return error if type(error) is EvidenceError else type(error)(f"{place}: {error}")


def _raise_storage(error: EvidenceError) -> None:
    if type(error) is EvidenceError:
        raise error


def _fault_kind(error: Exception) -> FaultKind:
    if isinstance(error, Locked):
        return "locked"
    if isinstance(error, LimitExceeded):
        return "limit"
    return "unsupported" if isinstance(error, Unsupported) else "corrupt"
