"""File systems that The Sleuth Kit does not read, through dfVFS: APFS, XFS, and HFS+ or ext where The Sleuth Kit fails.

The libraries behind dfVFS list what is there; they neither list nor recover deleted files, which each such layer says of itself.
"""

import stat
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from forensics.errors import Corrupt, Unsupported
from forensics.evidence import limits, xfs_free
from forensics.evidence.free_blocks import NO_MAP, Run
from forensics.evidence.keys import NAMES, Key
from forensics.evidence.libyal import FAILURES, OpenFile, Source, raise_failure, said
from forensics.evidence.unallocated import UnallocatedSpace
from forensics.location import Layer, Location, escape
from forensics.model import Entry, EntryKind, Fault, LayerInfo, Times

NO_DELETED = "deleted files are neither listed nor recovered"
_FORK = "com.apple.ResourceFork"
_MOST = 1 << 20  # bytes asked of a library at once


class _Kind(NamedTuple):
    """How dfVFS names a file system: type indicator, the attribute of a path specification, and the library's objects behind entries."""

    indicator: str
    identifier: str
    number: str
    handle: str
    keyword: str
    library: str


KINDS = {
    "xfs": _Kind("XFS", "inode", "inode_number", "GetXFSFileEntry", "fsxfs_file_entry", "libfsxfs"),
    "apfs": _Kind("APFS", "identifier", "identifier", "GetAPFSFileEntry", "fsapfs_file_entry", "libfsapfs"),
    "hfs+": _Kind("HFS", "identifier", "identifier", "GetHFSFileEntry", "fshfs_file_entry", "libfshfs"),
    "ext": _Kind("EXT", "inode", "inode_number", "GetEXTFileEntry", "fsext_file_entry", "libfsext"),
}


def recognise(source: Source, place: str) -> tuple[str, ...]:
    """The kinds of file systems that dfVFS recognises by signature and that are read here."""
    from dfvfs.analyzer import analyzer
    from dfvfs.lib import errors
    from dfvfs.resolver import context

    held = context.Context()
    file, specification = _root(source, place, held)
    try:
        found = analyzer.Analyzer.GetFileSystemTypeIndicators(specification, resolver_context=held)
    except (*FAILURES, errors.Error):
        raise_failure((file,))
        return ()
    return tuple(kind for kind, facts in KINDS.items() if facts.indicator in found and kind not in ("apfs", "xfs"))


class ApfsVolume(NamedTuple):
    """A volume of an APFS container: number from 1 on, name, identifier, whether it is encrypted; why it cannot be read, if so."""

    number: int
    name: str
    identifier: str
    locked: bool
    problem: str | None = None


def apfs_volumes(source: Source, name: str) -> list[ApfsVolume]:
    """The volumes of an APFS container. Raises Corrupt where it cannot be opened."""
    import pyfsapfs

    file = OpenFile(source)
    container = pyfsapfs.container()
    try:
        container.open_file_object(file)
        count = min(int(container.number_of_volumes), 100)  # NX_MAX_FILE_SYSTEMS
    except FAILURES as error:
        raise_failure((file,))
        raise Corrupt(f"{name}: the APFS container cannot be read: {said(error)}") from error
    found = []
    for number in range(1, count + 1):
        try:
            volume = container.get_volume(number - 1)
            found.append(ApfsVolume(number, volume.name or "", str(volume.identifier), bool(volume.is_locked())))
        except FAILURES as error:
            raise_failure((file,))
            found.append(ApfsVolume(number, "", "", False, said(error)))
    return found


def open_apfs(
    source: Source, exhibit: str, layers: tuple[Layer, ...], volume: ApfsVolume, keys: tuple[Key, ...]
) -> tuple["WideFileSystem", str] | None:
    """The file system of a volume of a container, and the kind of key that opened it; `None` where it stays locked. Raises Corrupt."""
    tries: list[Key | None] = [key for key in keys if key.kind != "file"] if volume.locked else [None]
    for key in tries:
        opened = f"encrypted (FileVault); opened with the {NAMES[key.kind]}" if key else None
        credential = {} if key is None else {"password" if key.kind == "password" else "recovery_password": key.text}
        try:
            found = WideFileSystem(
                source, exhibit, layers, "apfs", label=volume.name, volume=volume.number, credential=credential, description=opened
            )
        except Corrupt:
            if key is None:
                raise
            continue
        return found, key.kind if key else ""
    return None


def _root(source: Source, place: str, held: Any) -> tuple[OpenFile, Any]:
    """A source as dfVFS finds it: an open file, in the cache of a context under the path specification that is returned with it."""
    from dfvfs.path import fake_path_spec

    file = OpenFile(source)
    specification = fake_path_spec.FakePathSpec(location=f"/{place}")
    held.CacheFileObject(specification, file)  # the cache refers weakly: whoever holds the context holds the file
    return file, specification


class WideFileSystem:
    """A file system read through dfVFS. Satisfies `FileSystem`; one thread at a time. Raises Corrupt where it cannot be opened."""

    def __init__(
        self,
        source: Source,
        exhibit: str,
        layers: tuple[Layer, ...],
        kind: str,
        *,
        base: int = 0,
        description: str | None = None,
        label: str | None = None,
        volume: int | None = None,
        credential: dict[str, str] | None = None,
    ) -> None:
        from dfvfs.lib import errors
        from dfvfs.path import factory
        from dfvfs.resolver import context, resolver

        self._kind, self._facts, self._base, self._source = kind, KINDS[kind], base, source
        self._exhibit, self._layers = exhibit, (*layers, Layer(kind))
        self._prefix = str(Location(exhibit, self._layers))
        self._failures = (*FAILURES, errors.Error)
        self._held = context.Context()
        self._recent: OrderedDict[int, Any] = OrderedDict()
        self._new = factory.Factory.NewPathSpec
        self._file, parent = _root(source, self._prefix, self._held)
        if volume is not None:
            parent = self._new("APFS_CONTAINER", volume_index=volume - 1, location=f"/apfs{volume}", parent=parent)
        for name, secret in (credential or {}).items():
            resolver.Resolver.key_chain.SetCredential(parent, name, secret)
        self._parent = parent
        try:
            self._fs = resolver.Resolver.OpenFileSystem(self._new(self._facts.indicator, location="/", parent=parent), self._held)
            self._root_number = int(getattr(self._handle(self._fs.GetRootFileEntry()), self._facts.number))
        except self._failures as error:
            raise_failure((self._file,))
            raise Corrupt(f"{self._prefix} cannot be opened: {said(error)}") from error
        finally:
            if credential:
                resolver.Resolver.key_chain.Empty()
        read_by = f"read by {self._facts.library}: {NO_DELETED}"
        self.info = LayerInfo(
            location=self._prefix,
            kind=kind,
            offset=base,
            size=source.size,
            label=label or None,
            description=f"{description}; {read_by}" if description else read_by,
            examined=True,
            timezone="utc",
        )

    def walk(self) -> Iterator[Entry | Fault]:
        """Everything that is there, depth-first, each directory in the file system's own order."""
        seen = {self._root_number}
        stack = [self._names(self._fs.GetRootFileEntry(), "")]
        while stack:
            for item in stack[-1]:
                if isinstance(item, Fault):
                    yield item
                    continue
                path, entry = item
                try:
                    found = list(self._entries(path, entry))
                    number = int(getattr(self._handle(entry), self._facts.number))
                except self._failures as error:
                    raise_failure((self._file,))
                    yield self._fault(path, "corrupt", f"its metadata cannot be read: {said(error)}")
                    continue
                yield from found
                if found[0].kind != "directory":
                    continue
                if number in seen:
                    yield self._fault(path, "corrupt", "this directory was already found at another path; it is not entered again")
                elif len(stack) >= limits.PATH_DEPTH:
                    yield self._fault(path, "limit", f"more than {limits.PATH_DEPTH} directories deep; it is not entered")
                else:
                    seen.add(number)
                    stack.append(self._names(entry, path))
                    break
            else:
                stack.pop()

    def free_runs(self) -> Iterator[Run]:
        """The byte ranges that no file has; of APFS that is the container's to say. Raises Corrupt, Unsupported."""
        if self._kind != "xfs":
            raise Unsupported(NO_MAP)
        return xfs_free.free_runs(self._source)

    def space(self) -> UnallocatedSpace | None:
        """Where its unallocated space is; of a volume of APFS it is that of the container."""
        if self._kind == "apfs":
            return None
        layers = (*self._layers, Layer("unallocated"))
        return UnallocatedSpace(self._exhibit, layers, self._source, 0, self.free_runs, stated=False, place=self._base)

    def open(self, location: Location) -> "WideStream":
        """The content at a location of this file system, found by its meta address. Raises Corrupt where there is none."""
        meta = location.meta or ""
        if not (meta.isascii() and meta.isdecimal() and len(meta) < 20):
            raise Corrupt(f"{location}: {location.meta!r} is no meta address of a file system of kind {self._kind}")
        try:
            handle = self._handle(self._by_number(int(meta)))
            if location.stream:
                handle = self._fork(handle) if location.stream == "rsrc" else None
            if handle is None:
                raise Corrupt(f"{location}: there is no such stream")
            return WideStream(handle, str(location), self._file)
        except self._failures as error:
            raise_failure((self._file,))
            raise Corrupt(f"{location}: cannot be opened: {said(error)}") from error

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """The file beside `location`, in the same directory, whose name is its name and `suffix`."""
        path = location.path + suffix
        try:
            entry = self._fs.GetFileEntryByPathSpec(self._new(self._facts.indicator, location=path, parent=self._parent))
            handle = self._handle(entry) if entry is not None else None
            if handle is None or not stat.S_ISREG(int(handle.file_mode or 0)):
                return None
            return Location(self._exhibit, self._layers, path, str(getattr(handle, self._facts.number)))
        except self._failures:
            raise_failure((self._file,))
            return None

    def _by_number(self, number: int) -> Any:
        entry = self._recent.get(number)
        if entry is None:
            specification = self._new(self._facts.indicator, parent=self._parent, **{self._facts.identifier: number})
            entry = self._fs.GetFileEntryByPathSpec(specification)
            if entry is None:
                raise OSError(f"there is no metadata at address {number}")
            self._recent[number] = entry
            if len(self._recent) > limits.OPEN_FILES:
                self._recent.popitem(last=False)
        return entry

    def _handle(self, entry: Any) -> Any:
        """The library's own object of a dfVFS file entry."""
        return getattr(entry, self._facts.handle)()

    def _names(self, entry: Any, path: str) -> Iterator[tuple[str, Any] | Fault]:
        """The entries of a directory with their paths; a fault for each that cannot be read, after which it goes on."""
        handle = self._handle(entry)
        try:
            count = int(handle.number_of_sub_file_entries)
        except self._failures as error:
            raise_failure((self._file,))
            yield self._fault(path, "corrupt", f"the directory cannot be read: {said(error)}")
            return
        for number in range(count):
            try:
                below = handle.get_sub_file_entry(number)
                name = below.name
                if not name:
                    raise ValueError("it has no name")
                specification = self._new(
                    self._facts.indicator, parent=self._parent, **{self._facts.identifier: int(getattr(below, self._facts.number))}
                )
                made = type(entry)(self._held, self._fs, specification, **{self._facts.keyword: below})
            except self._failures as error:
                raise_failure((self._file,))
                yield self._fault(path, "corrupt", f"entry {number} of this directory cannot be read: {said(error)}")
                continue
            yield f"{path}/{escape(name, separators=True)}", made

    def _entries(self, path: str, entry: Any) -> Iterator[Entry]:
        handle = self._handle(entry)
        number = str(getattr(handle, self._facts.number))
        mode = int(handle.file_mode or 0)
        kind = _kind_of(mode)
        notes = []
        target = handle.symbolic_link_target if kind == "link" else None
        if target is not None and len(target) > limits.LINK_TARGET:
            notes.append(f"its target is longer than {limits.LINK_TARGET} characters; it is cut there")
        size = int(handle.size or 0) if kind in ("file", "link") else 0
        modified, born = entry.modification_time, entry.creation_time
        if self._kind == "apfs":
            # libfsapfs 20260921 (the version that is asked for) takes the one for the other: in an inode create_time stands at 16 and
            # mod_time at 24 (Apple File System Reference, j_inode_val_t)
            modified, born = born, modified
        times = Times(_text(modified), _text(entry.access_time), _text(entry.change_time), _text(born))
        shared = Entry(
            location=f"{self._prefix}{path};meta={number}",
            kind=kind,
            size=size,
            times=times,
            mode=stat.S_IMODE(mode),
            uid=handle.owner_identifier,
            gid=handle.group_identifier,
            target=escape(target[: limits.LINK_TARGET]) if target is not None else None,
            start=self._start(handle) if kind == "file" and size else -1,
            note="; ".join(notes) or None,
        )
        yield shared
        fork = self._fork(handle) if kind == "file" else None
        if fork is not None and fork.size:
            yield Entry(
                location=f"{self._prefix}{path};meta={number};stream=rsrc",
                kind="file",
                size=int(fork.size),
                times=times,
                mode=shared.mode,
                uid=shared.uid,
                gid=shared.gid,
            )

    def _fork(self, handle: Any) -> Any:
        """A file's resource fork, `None` where it has none."""
        if self._kind == "hfs+":
            return handle.get_resource_fork() if handle.has_resource_fork() else None
        if self._kind == "apfs" and handle.has_extended_attribute_by_name(_FORK):
            return handle.get_extended_attribute_by_name(_FORK)
        return None

    def _start(self, handle: Any) -> int:
        """Where the content begins, in bytes from the start of what holds the file system; -1 where nothing says so."""
        try:
            return self._base + int(handle.get_extent(0)[0]) if handle.number_of_extents else -1
        except self._failures:
            raise_failure((self._file,))
            return -1  # reading the content fails too, and says so

    def _fault(self, path: str, kind: Any, message: str) -> Fault:
        return Fault(location=f"{self._prefix}{path or '/'}", kind=kind, message=message)


class WideStream:
    """The content of a file or of a fork."""

    def __init__(self, handle: Any, place: str, file: OpenFile) -> None:
        self._handle, self._place, self._file = handle, place, file
        self.size = max(int(handle.size or 0), 0)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end. Raises Corrupt where the library cannot read them."""
        size = min(size, self.size - offset)
        parts: list[bytes] = []
        while size > 0 and offset >= 0:
            try:
                self._handle.seek(offset)
                data: bytes = self._handle.read(min(size, _MOST))
            except FAILURES as error:
                raise_failure((self._file,))
                raise Corrupt(f"{self._place}: {size} bytes at offset {offset} cannot be read: {said(error)}") from error
            if not data:
                raise Corrupt(f"{self._place}: ends at offset {offset}, but its size is {self.size}")
            parts.append(data)
            offset, size = offset + len(data), size - len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def changed(self) -> bool:
        """Never: an image is read-only and its digest is taken."""
        return False


def _kind_of(mode: int) -> EntryKind:
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "link"
    return "file" if stat.S_ISREG(mode) or not stat.S_IFMT(mode) else "other"


def _text(when: Any) -> str | None:
    """A time of dfdatetime as ISO 8601 text; `None` for the epoch itself, which is how a missing time reads."""
    try:
        text = when.CopyToDateTimeString() if when is not None else None
    except (ValueError, OverflowError, TypeError):
        return None  # no calendar holds it
    if not text or (text.startswith(("1970-01-01 00:00:00", "1904-01-01 00:00:00")) and not text[19:].strip(".0")):
        return None
    whole, _, fraction = text.partition(".")
    return f"{whole.replace(' ', 'T')}.{fraction}Z" if fraction.strip("0") else f"{whole.replace(' ', 'T')}Z"
