"""Walking a file system with The Sleuth Kit: every stream of every name, allocated, deleted and orphan.

Two passes. The first goes down from the root and yields what is allocated, in the file system's own order; by the way it collects which
blocks every file owns, deleted ones too. The second goes again to the folders that hold deleted names, and to the orphans, and
yields these, each checked against what the first has collected. Memory holds the folder paths and some 30 bytes a run, nothing else.
"""

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

from forensics.evidence import limits
from forensics.evidence.allocation import Claims, Marks, Owners
from forensics.evidence.deleted import Judge, Verdict
from forensics.evidence.directories import Directories
from forensics.evidence.directory_names import Trouble
from forensics.evidence.reparse import SIZE, Reparse, read_reparse
from forensics.evidence.shadow_files import SAME, Compare
from forensics.evidence.tsk_constants import (
    ALLOCATED,
    DEFAULT,
    DIGITS,
    ENCRYPTED,
    FAT,
    HFS_DATA,
    HFS_RESOURCE,
    KIND_OF_META,
    KIND_OF_NAME,
    LOCAL_TIME,
    NON_RESIDENT,
    NTFS_DATA,
    NTFS_INDEX_ROOT,
    NTFS_REPARSE,
    POSIX,
    VIRTUAL_DIRECTORY,
)
from forensics.evidence.tsk_times import Clock
from forensics.location import decode, escape
from forensics.model import Entry, EntryKind, Fault, State, Times

_DOTS = (b".", b"..")
_STRANGE = Times()  # times that no calendar holds
_MAIN = (DEFAULT, HFS_DATA)
_PLACED = ("file", "directory", "virtual")
_NO_SIZE = "how large its own content was is not known"
_LABEL = b" (Volume Label Entry)"
_FAST_LINK = 60  # ext4: a shorter target stands in the inode in place of block addresses (struct ext4_inode.i_block)

Run = tuple[int, int, int]  # offset in the stream, first block, number of blocks


class Found(NamedTuple):
    """One stream of a file, as its attributes say."""

    meta: str
    name: str
    size: int
    runs: list[Run]
    flags: int
    reparse: Reparse | None = None


class _Folder:
    """A directory that is being read: its names to come, its path, and whether deleted names were seen in it."""

    __slots__ = ("address", "deleted", "names", "number", "path")

    def __init__(self, names: Iterator[Any], path: str, address: int, number: int) -> None:
        self.names, self.path, self.address, self.number = names, path, address, number
        self.deleted = False


class Walk:
    """One walk of one file system.

    `fs` is a pytsk3.FS_Info, `prefix` the text of the locations, `base` its byte offset on the medium, `directories` gives the names.
    `same` tells which allocated streams of a shadow copy the live volume has in the same blocks.
    """

    def __init__(self, fs: Any, kind: str, prefix: str, base: int, directories: Directories, same: Compare | None = None) -> None:
        self._directories = directories
        self._fs, self._kind, self._prefix, self._base = fs, kind, prefix, base
        self._block = int(fs.info.block_size)
        self._ntfs, self._fat, self._posix = kind == "ntfs", kind in FAT, kind in POSIX
        self._clock = Clock(DIGITS.get(kind, 9), "" if kind in LOCAL_TIME else "Z")
        self._same = same
        self._owners, self._claims = Owners(), Claims()
        self._live, self._named, self._entered = Marks(), Marks(), Marks()
        self._folders: list[tuple[int, str]] = []
        self._revisit: list[int] = []
        self._recent: dict[int, dict[int, bytes]] = {}
        self._incomplete = False
        self._judge: Judge | None = None

    # --- first pass: what is allocated ---------------------------------------------------------------------------------------

    def run(self) -> Iterator[Entry | Fault]:
        """Every entry, and a fault for each directory that could not be read or was too deep."""
        root = int(self._fs.info.root_inum)
        self._own_hidden()
        yield from self._root(root)
        first = yield from self._enter(root, "")
        stack = [first] if first else []
        while stack:
            folder = stack[-1]
            for file in folder.names:
                if isinstance(file, Fault):
                    self._incomplete = True
                    yield file
                    continue
                info = file.info
                name, meta = info.name, info.meta
                raw = name.name or b""
                if raw in _DOTS:
                    continue
                if not int(name.flags) & ALLOCATED or (meta is not None and not int(meta.flags) & ALLOCATED):
                    self._note_deleted(folder, file, len(stack))
                    continue
                path = f"{folder.path}/{escape(decode(raw), separators=True)}"
                if meta is None:
                    yield from self._without_meta(path, name)
                    continue
                kind = self._kind_of(raw, meta, name)
                address = meta.addr
                seen = self._live.mark(address)
                yield from self._allocated(file, path, kind, meta, address, folder.number if not seen else None)
                virtual = int(meta.type) == VIRTUAL_DIRECTORY
                if kind != "directory" and not virtual:
                    continue
                if virtual:
                    self._revisit_orphans(address, path)
                    continue
                if seen:
                    yield self._fault(
                        path, str(address), "corrupt", "this directory was already found at another path; it is not entered again"
                    )
                    self._incomplete = True
                elif len(stack) >= limits.PATH_DEPTH:
                    yield self._fault(path, str(address), "limit", f"more than {limits.PATH_DEPTH} directories deep; it is not entered")
                    self._incomplete = True
                else:
                    below = yield from self._enter(address, path)
                    if below:
                        stack.append(below)
                        break
            else:
                stack.pop()
        yield from self._second()

    def _enter(self, address: int, path: str) -> Generator[Fault, None, _Folder | None]:
        """Open a directory; the generator's value is the folder, or `None` after a fault."""
        try:
            names = _names(self._directories.open(address), self, path, address)
        except OSError as error:
            self._incomplete = True
            yield self._fault(path, str(address), "corrupt", f"the directory cannot be read: {_said(error)}")
            return None
        self._folders.append((address, path))
        return _Folder(names, path, address, len(self._folders) - 1)

    def _root(self, root: int) -> Iterator[Entry]:
        """Alternate data streams of the root directory itself, which has no name of its own; its blocks."""
        self._live.mark(root)
        try:
            file = self._fs.open_meta(inode=root)
        except OSError:
            return  # opening the root as a directory fails too, and says so
        streams, others, _ = self._streams(file, root, True)
        self._own(root, [*others, *(run for stream in streams for run in stream.runs)], 0)
        if self._ntfs:
            for stream in streams:
                yield self._entry(stream, "/", "file", file, "allocated", self._times(file.info.meta))

    def _own_hidden(self) -> None:
        """The blocks of inodes without a name: ext's journal and resize inode (ext4 documentation, "Special inodes" 1 to 10)."""
        if self._kind not in ("ext2", "ext3", "ext4"):
            return
        for address in range(3, 11):
            try:
                file = self._fs.open_meta(inode=address)
            except OSError:
                continue
            streams, others, _ = self._streams(file, address, False)
            self._own(address, [*others, *(run for stream in streams for run in stream.runs)], 0)

    def _own(self, address: int, runs: list[Run], folder: int) -> None:
        for _, start, length in runs:
            self._owners.add(start, length, address, folder)

    def _allocated(self, file: Any, path: str, kind: EntryKind, meta: Any, address: int, folder: int | None) -> Iterator[Entry]:
        """The entries of an allocated name; its blocks are noted once, under the `folder` where it was first found."""
        directory = kind == "directory"
        streams, others, index = self._streams(file, address, directory)
        times = self._times(meta)
        if folder is not None and not (kind == "link" and meta.size < _FAST_LINK) and kind != "other":
            add = self._owners.add
            for stream in streams:
                for _, start, length in stream.runs:
                    add(start, length, address, folder)
            for _, start, length in others:
                add(start, length, address, folder)
            if not streams and meta.size and not directory:
                self._incomplete = True  # its block list could not be read
        if directory or not streams:
            first = streams[0].runs if streams and not self._ntfs else others
            yield self._entry(Found(index, "", meta.size, first, 0), path, kind, file, "allocated", times)
            if not self._ntfs:
                return
        for stream in streams:
            # $BadClus:$Bad is as long as the volume, sparse but for bad clusters, and TSK reads nothing of it: a list, no content
            bad = self._ntfs and stream.name == "$Bad" and stream.meta.startswith("8-")
            yield self._entry(stream, path, "other" if bad else "file" if directory else kind, file, "allocated", times)

    def _without_meta(self, path: str, name: Any) -> Iterator[Entry | Fault]:
        """An allocated name whose metadata cannot be had: it is listed, and it is a fault."""
        self._incomplete = True
        address = str(name.meta_addr)
        message = f"its name is in use, but the metadata at address {address} cannot be read or belongs to another file"
        yield Entry(location=self._location(path, address), kind=KIND_OF_NAME.get(int(name.type), "file"), size=0, note=message)
        yield self._fault(path, address, "corrupt", message)

    def _note_deleted(self, folder: _Folder, file: Any, depth: int) -> None:
        """A deleted name: its folder is visited again, its blocks and those of all beneath are noted as claimed."""
        if not folder.deleted:
            folder.deleted = True
            self._revisit.append(folder.number)
        below = self._claim(file)
        if below is not None:
            self._claim_below(below, depth)

    def _revisit_orphans(self, address: int, path: str) -> None:
        self._folders.append((address, path))
        self._revisit.append(len(self._folders) - 1)
        self._directories.search_orphans(lambda number: number in self._live or number in self._named, self._quiet)
        self._claim_below(address, 1)

    def _claim(self, file: Any) -> int | None:
        """Note the blocks of a deleted file. Its address when it is a directory that is not allocated to something else."""
        info = file.info
        meta, address = info.meta, info.name.meta_addr
        if meta is None:
            try:
                file = self._fs.open_meta(inode=address)
            except OSError:
                return None
            meta = file.info.meta
        if meta is None or int(meta.flags) & ALLOCATED:
            return None
        self._named.mark(address)
        directory = KIND_OF_META.get(int(meta.type)) == "directory"
        streams, others, _ = self._streams(file, address, directory)
        latest = max(meta.mtime, meta.ctime, meta.crtime)
        for runs in (others, *(stream.runs for stream in streams)):
            for _, start, length in runs:
                self._claims.add(start, length, address, latest)
        return address if directory else None

    def _claim_below(self, address: int, depth: int) -> None:
        """Note the blocks of everything under a deleted directory or under $OrphanFiles."""
        if self._entered.mark(address):
            return
        stack = [self._quiet(address)]
        while stack:
            for file in stack[-1]:
                if (file.info.name.name or b"") in _DOTS:
                    continue
                below = self._claim(file)
                if below is not None and not self._entered.mark(below) and len(stack) + depth < limits.PATH_DEPTH:
                    stack.append(self._quiet(below))
                    break
            else:
                stack.pop()

    def _quiet(self, address: int) -> Iterator[Any]:
        """The names in a deleted directory; none where it cannot be read, which the second pass says."""
        try:
            names = self._directories.open(address)
        except OSError:
            return
        for file in _names(names, self, "", address):
            if not isinstance(file, Fault):
                yield file

    # --- second pass: what is deleted ----------------------------------------------------------------------------------------

    def _second(self) -> Iterator[Entry | Fault]:
        self._entered = Marks()
        orphans = int(self._fs.info.last_inum)
        for number in self._revisit:
            address, path = self._folders[number]
            yield from self._deleted(address, path, path.count("/") + 1, "orphan" if address == orphans else "deleted")

    def _deleted(self, address: int, path: str, depth: int, state: State) -> Iterator[Entry | Fault]:
        """The deleted names of one folder, and all beneath them."""
        first = yield from self._enter(address, path)
        stack = [first] if first else []
        while stack:
            folder = stack[-1]
            inside = len(stack) > 1 or state == "orphan"  # under a deleted directory everything is deleted
            for file in folder.names:
                if isinstance(file, Fault):
                    yield file
                    continue
                info = file.info
                raw = info.name.name or b""
                meta = info.meta
                if raw in _DOTS:
                    continue
                if not inside and int(info.name.flags) & ALLOCATED and (meta is None or int(meta.flags) & ALLOCATED):
                    continue
                name = f"{folder.path}/{escape(decode(raw), separators=True)}"
                below = yield from self._lost(file, name, raw, state)
                if below is None or self._entered.mark(below):
                    continue
                if len(stack) + depth >= limits.PATH_DEPTH:
                    yield self._fault(name, str(below), "limit", f"more than {limits.PATH_DEPTH} directories deep; it is not entered")
                    continue
                opened = yield from self._enter(below, name)
                if opened:
                    stack.append(opened)
                    break
            else:
                stack.pop()

    def _lost(self, file: Any, path: str, raw: bytes, state: State) -> Generator[Entry, None, int | None]:
        """The entries of a deleted name. The generator's value is the address of a deleted directory that can be entered."""
        name = file.info.name
        address, meta = name.meta_addr, file.info.meta
        kind = KIND_OF_NAME.get(int(name.type), "file")
        if meta is None:
            try:
                file = self._fs.open_meta(inode=address)
                meta = file.info.meta
            except OSError:
                meta = None
            if meta is None or not address:
                note = "nothing but its name is left: the file system no longer says which metadata it had"
                yield Entry(location=self._location(path, str(address)), kind=kind, size=0, state=state, content="unknown", note=note)
                return None
        taken = self._taken(name, meta, address)
        if taken is not None:
            yield Entry(
                location=self._location(path, str(address)),
                kind=kind,
                size=0,
                state=state,
                content="reallocated",
                reallocated_to=taken[0],
                note=taken[1],
            )
            return None
        kind = self._kind_of(raw, meta, name)
        directory = kind == "directory"
        streams, others, index = self._streams(file, address, directory)
        times = self._times(meta)
        judge = self._judged()
        enter = directory
        if directory or not streams:
            if directory:
                runs = [run for stream in streams for run in stream.runs] if not self._ntfs else others
                flags = NON_RESIDENT if runs or not self._ntfs else 0
                whole = Found(index, "", meta.size, runs, flags)
            else:
                whole = Found(index, "", meta.size, [], NON_RESIDENT)
            verdict = judge(whole, address, meta.crtime, directory)
            enter = enter and verdict.content != "reallocated"
            yield self._entry(whole, path, kind, file, state, times, verdict)
            if not self._ntfs:
                return address if enter else None
        for stream in streams:
            short = kind == "link" and meta.size < _FAST_LINK and meta.link  # its target stands in the metadata
            verdict = Verdict("intact") if short else judge(stream, address, meta.crtime, False)
            yield self._entry(stream, path, "file" if directory else kind, file, state, times, verdict)
        return address if enter else None

    def _judged(self) -> Judge:
        """The judge of deleted contents; the maps are sorted when the first is to be judged."""
        if self._judge is None:
            self._owners.settle()
            self._claims.settle()
            self._judge = Judge(self._kind, self._block, self._owners, self._claims, self._incomplete, self.place)
        return self._judge

    def _taken(self, name: Any, meta: Any, address: int) -> tuple[str, str] | None:
        """Where the metadata of a deleted name has gone, if another file has it now, and how that is known.

        NTFS counts the uses of a record (sequence number, at offset 16 of the record's header); the count goes up by one when the
        record is freed, some drivers do it when it is used again.
        """
        allocated = bool(int(meta.flags) & ALLOCATED)
        if allocated and address in self._live:
            return self.place(address, None), f"its metadata is that of a file that is there; {_NO_SIZE}"
        if not self._ntfs:
            return None
        was, now = int(name.meta_seq), int(meta.seq)
        if now == was or (not allocated and now == (was + 1) & 0xFFFF):
            return None
        return self._location(
            "", str(address)
        ), f"its record was used again, by a file that is deleted too (use {now} of it, the name is of use {was}); {_NO_SIZE}"

    # --- entries -------------------------------------------------------------------------------------------------------------

    def _kind_of(self, raw: bytes, meta: Any, name: Any) -> EntryKind:
        if self._fat and raw.endswith(_LABEL):
            return "virtual"
        return KIND_OF_META.get(int(meta.type)) or KIND_OF_NAME.get(int(name.type), "file")

    def streams(self, file: Any, address: int) -> list[Found]:
        """The streams of one file."""
        return self._streams(file, address, False)[0]

    def _streams(self, file: Any, address: int, directory: bool) -> tuple[list[Found], list[Run], str]:
        """The streams of a file, the runs of its other attributes, and the meta address of the file itself."""
        streams: list[Found] = []
        others: list[Run] = []
        index = str(address)
        reparse = None
        try:
            for attribute in file:
                info = attribute.info
                type_, flags = int(info.type), int(info.flags)
                # runs that are sparse (2) or filled in (1) lie nowhere
                runs = [(run.offset, run.addr, run.len) for run in attribute if not int(run.flags)] if flags & NON_RESIDENT else []
                if type_ in _MAIN:
                    streams.append(Found(str(address), "", info.size, runs, flags))
                elif type_ == NTFS_DATA and self._ntfs:
                    name = info.name
                    streams.append(Found(f"{address}-128-{info.id}", decode(name) if name else "", info.size, runs, flags))
                elif type_ == HFS_RESOURCE:
                    streams.append(Found(str(address), "rsrc", info.size, runs, flags))
                else:
                    others += runs
                    if type_ == NTFS_INDEX_ROOT and directory:
                        index = f"{address}-144-{info.id}"
                    elif type_ == NTFS_REPARSE and self._ntfs:
                        reparse = _reparse(file, info)
        except OSError:
            self._incomplete = True  # reading the content fails too, and says so
        if reparse is not None:
            streams = [stream if stream.name else stream._replace(reparse=reparse) for stream in streams]
        return streams, others, index

    def _times(self, meta: Any) -> Times:
        try:
            return self._clock.of(meta)
        except OverflowError:
            return _STRANGE

    def _entry(
        self, stream: Found, path: str, kind: EntryKind, file: Any, state: State, times: Times, verdict: Verdict | None = None
    ) -> Entry:
        runs, meta = stream.runs, file.info.meta
        link = _target(file) if kind == "link" and (verdict is None or verdict.content == "intact") else None
        notes = [verdict.note] if verdict and verdict.note else []
        if times is _STRANGE:
            notes.append("its times lie outside the years 1 to 9999")
        if stream.flags & ENCRYPTED:
            notes.append("encrypted by the file system (EFS): its content is read as it lies on the medium")
        if link is not None and len(link) > limits.LINK_TARGET:
            notes.append(f"its target is longer than {limits.LINK_TARGET} bytes; it is cut there")
        same = self._same is not None and verdict is None and kind == "file" and bool(runs) and self._same(stream.meta, runs)
        if same:
            notes.append(SAME)
        target = escape(decode(link[: limits.LINK_TARGET])) if link is not None else None
        if stream.reparse:
            target = escape(stream.reparse.target) if stream.reparse.target else target
            notes += [stream.reparse.note] if stream.reparse.note else []
        posix = self._posix and kind != "virtual"
        return Entry(
            location=self._location(path, stream.meta, stream.name),
            kind=kind,
            size=max(stream.size, 0),
            state=state,
            content=verdict.content if verdict else None,
            holes=verdict.holes if verdict else (),
            reallocated_to=verdict.owner if verdict else None,
            times=times,
            mode=int(meta.mode) if posix else None,
            uid=meta.uid if posix else None,
            gid=meta.gid if posix else None,
            target=target,
            start=self._base + runs[0][1] * self._block if runs and kind in _PLACED else -1,
            note="; ".join(notes) or None,
            same_blocks=same,
        )

    def _location(self, path: str, meta: str, stream: str = "") -> str:
        """The text of a location; `path` is escaped already, as `Location.inner` does it."""
        if stream:
            return f"{self._prefix}{path};meta={meta};stream={escape(stream, separators=True)}"
        return f"{self._prefix}{path};meta={meta}"

    def place(self, address: int, folder: int | None) -> str:
        """The location of an allocated file, with its path where it is found in `folder`."""
        meta, path = str(address), ""
        if folder is not None and folder < len(self._folders):
            name = self._name_in(folder, address)
            path = f"{self._folders[folder][1]}/{escape(decode(name), separators=True)}" if name else ""
        if self._ntfs:
            try:
                streams, _, index = self._streams(self._fs.open_meta(inode=address), address, True)
                meta = next((stream.meta for stream in streams if not stream.name), index)
            except OSError:
                pass
        return self._location(path, meta)

    def _name_in(self, folder: int, address: int) -> bytes | None:
        """The allocated name of a meta address in a folder."""
        try:
            if self._directories.names(self._folders[folder][0]) is not None:
                return self._directories.name_in(self._folders[folder][0], address)
        except OSError:
            return None
        return self._names_in(folder).get(address)

    def _names_in(self, folder: int) -> dict[int, bytes]:
        """The allocated names of a folder by meta address. The last ones are kept, they are asked for in a row."""
        names = self._recent.get(folder)
        if names is None:
            names = {}
            for file in self._quiet(self._folders[folder][0]):
                name = file.info.name
                if int(name.flags) & ALLOCATED and name.name and name.name not in _DOTS:
                    names.setdefault(name.meta_addr, name.name)
            if sum(map(len, self._recent.values())) + len(names) > limits.NAMES:
                self._recent.clear()
            self._recent[folder] = names
        return names

    def _fault(self, path: str, meta: str, kind: Any, message: str) -> Fault:
        return Fault(location=self._location(path or "/", meta), kind=kind, message=message)

    def trouble(self, path: str, address: int, trouble: Trouble) -> Fault:
        """The fault for a part of a directory that cannot be read."""
        return self._fault(path, str(address), "corrupt", f"in this directory, {trouble.message}")

    def broken(self, path: str, address: int, error: OSError) -> Fault:
        """The fault for a name that cannot be read in a directory that can."""
        return self._fault(path, str(address), "corrupt", f"a name in this directory cannot be read: {_said(error)}")


def _names(directory: Any, walk: Walk, path: str, address: int) -> Iterator[Any]:
    """The files of a pytsk3.Directory; a fault for a name that cannot be read, after which it goes on."""
    names = iter(directory)
    while True:
        try:
            for name in names:
                yield walk.trouble(path, address, name) if isinstance(name, Trouble) else name
            return
        except OSError as error:
            yield walk.broken(path, address, error)


def _reparse(file: Any, info: Any) -> Reparse | None:
    try:
        return read_reparse(file.read_random(0, min(info.size, SIZE), NTFS_REPARSE, info.id))
    except OSError:
        return None


def _target(file: Any) -> bytes | None:
    """The target of a symbolic link, `None` if it cannot be read. The Sleuth Kit leaves out those that lie in an extent of ext4."""
    meta = file.info.meta
    link: bytes | None = meta.link
    if link is None and meta.size > 0:
        try:
            link = file.read_random(0, min(meta.size, limits.LINK_TARGET + 1))
        except OSError:
            return None
    return link


def _said(error: OSError) -> str:
    """The Sleuth Kit's words alone, without pytsk3's function and line, which change with its version."""
    text = str(error)
    return text.partition(") ")[2] or text
