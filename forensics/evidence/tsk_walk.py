"""Walking a file system with The Sleuth Kit: every stream of every name, allocated, deleted and orphan.

Two passes. The first goes down from the root and yields what is allocated, in the file system's own order; by the way it collects which
blocks every file owns, deleted ones too. The second goes again to the folders that hold deleted names, and to the orphans, and
yields these, each checked against what the first has collected. Memory holds the folder paths and some 30 bytes a run, nothing else.
"""

from collections.abc import Generator, Iterator
from typing import Any

from forensics.evidence import limits
from forensics.evidence.allocation import Claims, Marks, Owners
from forensics.evidence.deleted import Judge, Verdict
from forensics.evidence.directories import Directories
from forensics.evidence.shadow_files import Compare
from forensics.evidence.tsk_constants import (
    ALLOCATED,
    KIND_OF_META,
    KIND_OF_NAME,
    NON_RESIDENT,
    VIRTUAL_DIRECTORY,
)
from forensics.evidence.tsk_entries import Found, Run
from forensics.evidence.tsk_folders import DOTS, Folder, Folders
from forensics.location import decode, escape
from forensics.model import Entry, EntryKind, Fault, State

_NO_SIZE = "how large its own content was is not known"
_FAST_LINK = 60  # ext4: a shorter target stands in the inode in place of block addresses (struct ext4_inode.i_block)


class Walk(Folders):
    """One walk of one file system. See `Entries` and `Folders` for what it is made of."""

    def __init__(self, fs: Any, kind: str, prefix: str, base: int, directories: Directories, same: Compare | None = None) -> None:
        super().__init__(fs, kind, prefix, base, directories, same)
        self._owners, self._claims = Owners(), Claims()
        self._live, self._named, self._entered = Marks(), Marks(), Marks()
        self._revisit: list[int] = []
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
                if raw in DOTS:
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

    def _note_deleted(self, folder: Folder, file: Any, depth: int) -> None:
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
                if (file.info.name.name or b"") in DOTS:
                    continue
                below = self._claim(file)
                if below is not None and not self._entered.mark(below) and len(stack) + depth < limits.PATH_DEPTH:
                    stack.append(self._quiet(below))
                    break
            else:
                stack.pop()

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
                if raw in DOTS:
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
