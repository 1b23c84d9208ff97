"""File systems that The Sleuth Kit reads: every stream of every name, live, deleted and orphan, with where it lies."""

import os
import time
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

import msgspec
import pytsk3

from forensics.errors import Corrupt
from forensics.evidence.image import Image
from forensics.evidence.limits import LINK_TARGET, PATH_DEPTH
from forensics.location import Layer, Location, decode, printable
from forensics.model import ContentState, Entry, EntryKind, Fault, LayerInfo, State, Times

_FS_TYPES = {
    "NTFS": "ntfs", "FAT12": "fat12", "FAT16": "fat16", "FAT32": "fat32", "EXFAT": "exfat", "EXT2": "ext2", "EXT3": "ext3", "EXT4": "ext4",
    "HFS": "hfs+", "ISO9660": "iso9660", "FFS1": "ufs1", "FFS1B": "ufs1", "FFS2": "ufs2", "YAFFS2": "yaffs2",
}  # fmt: skip
_LOCAL = {"fat12", "fat16", "fat32", "exfat"}
# Attribute types that are content (sleuthkit/tsk/fs/tsk_fs.h, TSK_FS_ATTR_TYPE_ENUM): default, NTFS $DATA
# and the named indexes of its metadata files ($ObjId:$O), HFS data and resource fork
_DEFAULT, _NTFS_DATA, _NTFS_INDEX_ROOT, _HFS_DATA, _HFS_RSRC = 1, 128, 144, 4352, 4353
_ALLOCATED = int(pytsk3.TSK_FS_NAME_FLAG_ALLOC)
_META_ALLOCATED = int(pytsk3.TSK_FS_META_FLAG_ALLOC)
_SPARSE = int(pytsk3.TSK_FS_ATTR_RUN_FLAG_SPARSE) | int(pytsk3.TSK_FS_ATTR_RUN_FLAG_FILLER)
_ORPHANS = b"$OrphanFiles"
_META_KINDS: dict[int, EntryKind] = {1: "file", 2: "directory", 6: "link", 10: "virtual", 11: "virtual"}
_NAME_KINDS: dict[int, EntryKind] = {3: "directory", 5: "file", 6: "link", 10: "virtual", 11: "virtual"}


class ImageBridge(pytsk3.Img_Info):  # type: ignore[misc]
    """What The Sleuth Kit reads from: our own image, read-only."""

    def __init__(self, image: Image) -> None:
        self._image = image
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def close(self) -> None:
        return None

    def read(self, offset: int, size: int) -> bytes:
        return self._image.read(offset, size)

    def get_size(self) -> int:
        return self._image.size


class TskStream:
    """One attribute of one meta entry."""

    def __init__(self, file: Any, location: Location, type: int, id: int, size: int) -> None:
        self._file, self._location, self._type, self._id, self.size = file, location, type, id, size

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; short only at the end. Raises Corrupt naming the offset."""
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        try:
            return bytes(self._file.read_random(offset, size, self._type, self._id))
        except OSError as error:
            raise Corrupt(f"{self._location}: cannot be read at byte {offset} ({_first_line(error)})") from error


class TskFileSystem:
    """One file system of an image, opened at a byte offset. Raises OSError from the constructor where there is none."""

    def __init__(self, exhibit: str, layers: tuple[Layer, ...], image: Image, bridge: ImageBridge, offset: int, size: int) -> None:
        os.environ["TZ"] = "UTC"  # FAT times are converted by the process's zone
        time.tzset()
        self._image, self._bridge = image, bridge
        self._fs = pytsk3.FS_Info(bridge, offset=offset)
        name = next((text for text in _FS_TYPES if int(getattr(pytsk3, f"TSK_FS_TYPE_{text}")) == int(self._fs.info.ftype)), None)
        kind = _FS_TYPES[name] if name else f"tsk-{int(self._fs.info.ftype)}"
        self._kind, self._offset, self._block = kind, offset, int(self._fs.info.block_size)
        self._exhibit, self._layers = exhibit, (*layers, Layer(kind))
        self._zone = "" if kind in _LOCAL else "Z"
        self.info = LayerInfo(
            location=str(Location(exhibit, self._layers)),
            kind=kind,
            offset=offset,
            size=min(int(self._fs.info.block_count) * self._block, size),
            examined=True,
            timezone="local" if kind in _LOCAL else "utc",
        )
        self._meta = lru_cache(maxsize=64)(self._open_meta)

    def _open_meta(self, address: int) -> Any:
        return self._fs.open_meta(address)

    # --- opening ------------------------------------------------------------------------------------------------------------

    def open(self, location: Location) -> TskStream:
        """The stream that `location.meta` names. Raises Corrupt where there is no such stream."""
        parts = (location.meta or "").split("-")
        if not all(part.isdecimal() for part in parts):
            raise Corrupt(f"{location}: {location.meta!r} is no meta address of this file system")
        try:
            file = self._meta(int(parts[0]))
        except OSError as error:
            raise Corrupt(f"{location}: meta entry {parts[0]} cannot be opened ({_first_line(error)})") from error
        for attribute in _attributes(file):
            kind, id, name = int(attribute.info.type), int(attribute.info.id), attribute.info.name
            if len(parts) == 3 and (str(kind), str(id)) != (parts[1], parts[2]):
                continue
            if len(parts) == 1 and not _is_content(kind, name, location.stream):
                continue
            return TskStream(file, location, kind, id, int(attribute.info.size))
        if location.stream or len(parts) == 3:
            raise Corrupt(f"{location}: the meta entry has no such stream")
        return TskStream(file, location, 0, 0, 0)

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """The live file beside it whose name is its own plus `suffix`, or `None`."""
        path = f"{location.path}{suffix}"
        try:
            file = self._fs.open(printable(path))
        except OSError:
            return None
        meta = file.info.meta
        if meta is None or not int(meta.flags) & _META_ALLOCATED:
            return None
        for attribute in _attributes(file):
            if _is_content(int(attribute.info.type), attribute.info.name, ""):
                return Location(self._exhibit, self._layers, path, self._address(int(meta.addr), attribute))
        return None

    def _address(self, address: int, attribute: Any) -> str:
        if self._kind != "ntfs":
            return str(address)
        return f"{address}-{int(attribute.info.type)}-{int(attribute.info.id)}"

    # --- walking ------------------------------------------------------------------------------------------------------------

    def walk(self) -> Iterator[Entry | Fault]:
        """Every stream of every name, depth first, in the file system's own order."""
        owners: _Owners | None = None
        for item in self._names(None):
            if isinstance(item, Entry) and item.state in ("deleted", "orphan") and item.kind in ("file", "virtual"):
                if owners is None:
                    owners = _Owners()
                    for _ in self._names(owners):
                        pass
                    owners.sort()
                item = self._judged(item, owners)
            yield item

    def _names(self, owners: "_Owners | None") -> Iterator[Entry | Fault]:
        """The walk itself; with `owners`, only to learn which blocks live content owns."""
        yield from self._directory(int(self._fs.info.root_inum), "", 0, set(), "allocated", owners)

    def _directory(
        self, address: int, path: str, depth: int, above: set[int], state: State, owners: "_Owners | None"
    ) -> Iterator[Entry | Fault]:
        place = str(Location(self._exhibit, self._layers, path or "/", str(address)))
        if depth > PATH_DEPTH:
            yield Fault(location=place, kind="limit", message=f"more than {PATH_DEPTH} folders deep; not listed")
            return
        try:
            directory = self._fs.open_dir(inode=address)
        except OSError as error:
            yield Fault(location=place, kind="corrupt", message=f"the folder cannot be listed ({_first_line(error)})")
            return
        entries = iter(directory)
        while True:
            try:
                found = next(entries)
            except StopIteration:
                return
            except OSError as error:
                yield Fault(location=place, kind="corrupt", message=f"the folder's listing ends early ({_first_line(error)})")
                return
            raw = found.info.name.name
            if raw in (b".", b"..", None):
                continue
            yield from self._name(found, raw, path, depth, above, state, owners)

    def _name(
        self, found: Any, raw: bytes, path: str, depth: int, above: set[int], state: State, owners: "_Owners | None"
    ) -> Iterator[Entry | Fault]:
        below = f"{path}/{decode(raw)}"
        name = found.info.name
        address = int(name.meta_addr)
        live = bool(int(name.flags) & _ALLOCATED)
        here: State = state if state == "orphan" else "allocated" if live and state == "allocated" else "deleted"
        file = found
        if found.info.meta is None and address:
            try:
                file = self._fs.open_meta(address)
            except OSError:
                file = found
        meta = file.info.meta
        kind = _META_KINDS.get(int(meta.type)) if meta is not None else None
        kind = kind or _NAME_KINDS.get(int(name.type), "other")
        yield from self._streams(file, meta, below, address, kind, here, owners)
        if kind not in ("directory", "virtual") or meta is None or address in above:
            return
        if kind == "virtual" and raw != _ORPHANS:
            return
        if here == "allocated" or raw == _ORPHANS or int(meta.flags) & _META_ALLOCATED == 0:
            inside: State = "orphan" if raw == _ORPHANS else here
            yield from self._directory(address, below, depth + 1, above | {address}, inside, owners)

    def _streams(
        self, file: Any, meta: Any, path: str, address: int, kind: EntryKind, state: State, owners: "_Owners | None"
    ) -> Iterator[Entry]:
        times = self._times(meta) if meta is not None else Times()
        mode, uid, gid = (int(meta.mode), int(meta.uid), int(meta.gid)) if meta is not None else (None, None, None)
        target = printable(decode((meta.link or b"")[:LINK_TARGET])) if kind == "link" and meta is not None and meta.link else None
        common = {"state": state, "times": times, "mode": mode, "uid": uid, "gid": gid}
        listed = False
        for attribute in _attributes(file) if meta is not None else ():
            type, raw_name, size = int(attribute.info.type), attribute.info.name, int(attribute.info.size)
            runs = [(int(run.addr), int(run.len), int(run.offset), int(run.flags)) for run in attribute]
            if owners is not None and state == "allocated":
                owners.add(address, runs)
            stream = "rsrc" if type == _HFS_RSRC else decode(raw_name) if raw_name and type in (_NTFS_DATA, _NTFS_INDEX_ROOT) else ""
            if type not in (_DEFAULT, _NTFS_DATA, _NTFS_INDEX_ROOT, _HFS_DATA, _HFS_RSRC) or (
                kind == "directory" and not (type == _NTFS_DATA and stream)
            ):
                continue
            place = Location(self._exhibit, self._layers, path, self._address(address, attribute), stream)
            start = next((self._offset + run[0] * self._block for run in runs if not run[3] & _SPARSE), -1)
            listed = listed or not stream
            bad = (
                self._kind == "ntfs" and address == 8 and stream == "$Bad"
            )  # as long as the volume, and nothing but a list of bad clusters
            note = "marks bad clusters; it has no content of its own" if bad else None
            shown: EntryKind = "file" if kind == "directory" else kind
            yield Entry(location=str(place), kind=shown, size=0 if bad else size, start=start, target=target, note=note, **common)  # type: ignore[arg-type]
        if not listed:
            place = Location(self._exhibit, self._layers, path, str(address) if address else None)
            note = None if meta is not None or kind == "directory" else "the meta entry is gone: only the name is left"
            yield Entry(location=str(place), kind=kind, size=0, target=target, note=note, **common)  # type: ignore[arg-type]

    def _times(self, meta: Any) -> Times:
        return Times(
            modified=self._time(int(meta.mtime), int(meta.mtime_nano)),
            accessed=self._time(int(meta.atime), int(meta.atime_nano)),
            changed=self._time(int(meta.ctime), int(meta.ctime_nano)),
            born=self._time(int(meta.crtime), int(meta.crtime_nano)),
        )

    def _time(self, seconds: int, nanoseconds: int) -> str | None:
        if not seconds:
            return None
        try:
            text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        except (ValueError, OverflowError, OSError):
            return None
        fraction = f".{nanoseconds:09d}".rstrip("0") if 0 < nanoseconds < 10**9 else ""
        return f"{text}{fraction}{self._zone}"

    # --- deleted content against the allocation map -------------------------------------------------------------------------

    def _judged(self, entry: Entry, owners: "_Owners") -> Entry:
        location = Location.parse(entry.location)
        try:
            stream = self.open(location)
            file = self._meta(int((location.meta or "").split("-")[0]))
        except (Corrupt, ValueError):
            return msgspec.structs.replace(entry, content="unknown", note=entry.note or "the meta entry cannot be opened")
        wanted = (stream._type, stream._id)
        runs = [
            (int(run.addr), int(run.len), int(run.offset))
            for attribute in _attributes(file)
            if (int(attribute.info.type), int(attribute.info.id)) == wanted
            for run in attribute
            if not int(run.flags) & _SPARSE
        ]
        if not runs:
            resident = self._kind == "ntfs" and 0 < entry.size <= 4096
            if entry.size == 0 or resident:
                return msgspec.structs.replace(entry, content="intact")
            return msgspec.structs.replace(entry, content="unknown", note="the file system no longer says where the content lay")
        holes: list[tuple[int, int]] = []
        owner = 0
        for address, length, offset in runs:
            for first, last, whose in owners.within(address, address + length):
                owner = owner or whose
                begin = (offset + first - address) * self._block
                end = min((offset + last - address) * self._block, entry.size)
                if begin < end:
                    holes.append((begin, end - begin))
        if not holes:
            jumps = self._kind in _LOCAL and any(a[0] + a[1] != b[0] for a, b in pairwise(runs))
            state: ContentState = "unknown" if jumps else "intact"
            note = "the chain of clusters is a guess: it was freed, and the clusters do not follow each other" if jumps else entry.note
            return msgspec.structs.replace(entry, content=state, note=note)
        belongs = str(Location(self._exhibit, self._layers, "", str(owner)))
        whole = sum(size for _, size in holes) >= entry.size
        state = "reallocated" if whole else "partly-reallocated"
        return msgspec.structs.replace(entry, content=state, holes=() if whole else tuple(sorted(holes)), reallocated_to=belongs)


class _Owners:
    """Which blocks live content owns: sorted, compact."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int]] = []
        self._starts = array("Q")

    def add(self, address: int, runs: list[tuple[int, int, int, int]]) -> None:
        self._rows.extend((start, start + length, address) for start, length, _, flags in runs if length and not flags & _SPARSE)

    def sort(self) -> None:
        self._rows.sort()
        self._starts = array("Q", (row[0] for row in self._rows))

    def within(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """The owned ranges inside blocks `first` to `last` (exclusive), with their owner."""
        number = max(bisect_right(self._starts, first) - 1, 0)
        for start, end, owner in self._rows[number:]:
            if start >= last:
                return
            if end > first:
                yield max(start, first), min(end, last), owner
                first = max(first, min(end, last))


def _attributes(file: Any) -> list[Any]:
    """The attributes of a meta entry; none where it cannot be read."""
    try:
        return list(file)
    except OSError:
        return []


def _is_content(type: int, name: bytes | None, stream: str) -> bool:
    if type == _HFS_RSRC:
        return stream == "rsrc"
    if type == _NTFS_DATA:
        return decode(name or b"") == stream
    return type in (_DEFAULT, _HFS_DATA) and not stream


def _first_line(error: OSError) -> str:
    return str(error).partition("\n")[0][:300]
