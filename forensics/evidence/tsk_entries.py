"""What is said of one file that The Sleuth Kit reads: its streams with their blocks, its times, its entry."""

from typing import Any, NamedTuple

from forensics.evidence import limits
from forensics.evidence.deleted import Verdict
from forensics.evidence.reparse import SIZE, Reparse, read_reparse
from forensics.evidence.shadow_files import SAME, Compare
from forensics.evidence.tsk_constants import (
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
)
from forensics.evidence.tsk_times import Clock
from forensics.location import decode, escape
from forensics.model import Entry, EntryKind, Fault, State, Times

_STRANGE = Times()  # times that no calendar holds
_MAIN = (DEFAULT, HFS_DATA)
_PLACED = ("file", "directory", "virtual")
_LABEL = b" (Volume Label Entry)"

Run = tuple[int, int, int]  # offset in the stream, first block, number of blocks


class Found(NamedTuple):
    """One stream of a file, as its attributes say."""

    meta: str
    name: str
    size: int
    runs: list[Run]
    flags: int
    reparse: Reparse | None = None


class Entries:
    """Makes the entries of one file system.

    `fs` is a pytsk3.FS_Info, `prefix` the text of the locations, `base` its byte offset on the medium. `same` tells which allocated streams
    of a shadow copy the live volume has in the same blocks.
    """

    def __init__(self, fs: Any, kind: str, prefix: str, base: int, same: Compare | None = None) -> None:
        self._fs, self._kind, self._prefix, self._base = fs, kind, prefix, base
        self._block = int(fs.info.block_size)
        self._ntfs, self._fat, self._posix = kind == "ntfs", kind in FAT, kind in POSIX
        self._clock = Clock(DIGITS.get(kind, 9), "" if kind in LOCAL_TIME else "Z")
        self._same = same
        self._incomplete = False

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

    def _fault(self, path: str, meta: str, kind: Any, message: str) -> Fault:
        return Fault(location=self._location(path or "/", meta), kind=kind, message=message)


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


def said(error: OSError) -> str:
    """The Sleuth Kit's words alone, without pytsk3's function and line, which change with its version."""
    text = str(error)
    return text.partition(") ")[2] or text
