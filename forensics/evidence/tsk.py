"""File systems that The Sleuth Kit reads: NTFS, FAT, exFAT, ext2-4, UFS, HFS+, ISO 9660, YAFFS2; deleted entries included.

The Sleuth Kit converts the local times of FAT and exFAT with the process's time zone. So the process's zone is set to UTC before a file
system is opened and before it is walked; the times come out as they stand on the medium, and are knowingly naive.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytsk3

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence import free_blocks, limits, shadow_files
from forensics.evidence.directories import Directories
from forensics.evidence.libyal import Part, Source
from forensics.evidence.slack import SlackStream, SlackWalk, slack_of
from forensics.evidence.tsk_constants import (
    ALLOCATED,
    DEFAULT,
    FAT,
    HFS_DATA,
    HFS_RESOURCE,
    KINDS,
    LOCAL_TIME,
    NTFS_DATA,
    NTFS_VOLUME_NAME,
    PART_ALLOCATED,
    PART_UNALLOCATED,
    SCHEMES,
)
from forensics.evidence.tsk_walk import Walk
from forensics.location import Layer, Location, decode, encode
from forensics.model import Entry, Fault, LayerInfo

_LABEL = b" (Volume Label Entry)"
_WHOLE = 1 << 60  # bytes: more than any medium has
_NO_LABEL = b"$EMPTY_VOLUME_LABEL"


class Medium(pytsk3.Img_Info):  # type: ignore[misc]
    """An image, or a layer's bytes, as The Sleuth Kit reads it: read-only. With a `size`, bytes beyond its end and up to that are zeros."""

    def __init__(self, image: Source, size: int = 0) -> None:
        self.image = image
        self._size = size or image.size
        self.failure: EvidenceError | None = None
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def read(self, offset: int, size: int) -> bytes:
        """Called by The Sleuth Kit. An exception cannot pass through it: a short read fails there, and `failure` says why."""
        try:
            data = self.image.read(offset, size)
        except EvidenceError as error:
            self.failure = error
            return b""
        if len(data) < size and self._size > self.image.size:
            return data + bytes(min(size, self._size - offset) - len(data))
        return data

    def get_size(self) -> int:
        """Called by The Sleuth Kit: bytes of the medium."""
        return self._size

    def close(self) -> None:
        """Called by The Sleuth Kit; the image is closed by whoever opened it."""


class Partition(NamedTuple):
    """A row of a volume system: byte offset and size on the medium, what the table says of it; `table` rows describe the others."""

    offset: int
    size: int
    description: str
    allocated: bool
    table: bool


class VolumeSystem(NamedTuple):
    """A partition table: its scheme ("dos", "gpt", "bsd", "sun", "mac"), whether only its backup could be read, its rows."""

    scheme: str
    backup: bool
    partitions: tuple[Partition, ...]


def open_volume_system(medium: Medium, offset: int, *, inside: bool) -> VolumeSystem | None:
    """The volume system that begins at byte `offset`, `None` where there is none; `inside` a volume, only those that are put there.

    The Sleuth Kit refuses a table whose volumes lie beyond the end of the image: see `open_cut_volume_system`. Raises Unsupported where
    several are recognised.
    """
    # inside a volume GPT is not asked for: The Sleuth Kit would find the backup at the end of the medium
    types = (pytsk3.TSK_VS_TYPE_BSD, pytsk3.TSK_VS_TYPE_SUN, pytsk3.TSK_VS_TYPE_DOS) if inside else (pytsk3.TSK_VS_TYPE_DETECT,)
    for type_ in types:
        try:
            return _volume_system(pytsk3.Volume_Info(medium, type_, offset))
        except OSError as error:
            _raise_failure(medium)
            if " or " in str(error):
                raise Unsupported(f"several partition tables are recognised at byte {offset}: {_said(error)}") from error
    return None


def open_cut_volume_system(medium: Medium) -> VolumeSystem | None:
    """The volume system of a medium of which the end was not acquired; `None` where there is none."""
    sector = medium.image.read(0, 1024)
    if sector.startswith(b"EFI PART", 512):
        type_ = pytsk3.TSK_VS_TYPE_GPT
    elif _is_boot_record(sector):
        type_ = pytsk3.TSK_VS_TYPE_DOS
    else:
        return None
    try:
        return _volume_system(pytsk3.Volume_Info(Medium(medium.image, _WHOLE), type_, 0))
    except OSError:
        return None


def _is_boot_record(sector: bytes) -> bool:
    """Whether the first sector holds a partition table, judged without a bound: signature, flags 00 or 80, and empty entries empty."""
    table = [sector[at : at + 16] for at in range(446, 510, 16)]
    used = [entry for entry in table if any(entry)]
    sound = all(entry[0] in (0, 0x80) and entry[4] and any(entry[8:12]) and any(entry[12:16]) for entry in used)
    return sector[510:512] == b"\x55\xaa" and bool(used) and sound


def _volume_system(volumes: Any) -> VolumeSystem:
    block = int(volumes.info.block_size)
    rows = []
    for part in volumes:
        flags = int(part.flags)
        description = decode(part.desc or b"").encode("utf-8", "backslashreplace").decode()
        rows.append(
            Partition(
                offset=int(volumes.info.offset) + int(part.start) * block,
                size=int(part.len) * block,
                description=description,
                # an Apple partition map lists itself, and free space, as partitions
                allocated=bool(flags & PART_ALLOCATED) and description not in ("Apple_partition_map", "Apple_Free"),
                table=not flags & (PART_ALLOCATED | PART_UNALLOCATED) or description == "Apple_partition_map",
            )
        )
    return VolumeSystem(SCHEMES.get(int(volumes.info.vstype), "unknown"), bool(volumes.info.is_backup), tuple(rows))


def open_file_systems(
    medium: Medium, exhibit: str, layers: tuple[Layer, ...], offset: int, size: int, description: str | None = None
) -> "tuple[TskFileSystem, ...]":
    """The file system that begins at byte `offset` of the medium; none where The Sleuth Kit recognises none.

    Where it recognises several, each that it can open is given: remains of an older one, and the one in use. `layers` are those below
    it. Raises Unsupported where several are recognised and none can be opened (naming them), Locked where it is encrypted. `description` is
    what the partition table says.
    """
    utc()
    try:
        fs = pytsk3.FS_Info(medium, offset)
    except OSError as error:
        _raise_failure(medium)
        said = _said(error)
        if " or " in said:
            several = f"several file systems are recognised: {said}"
            described = f"{description}; {several}" if description else several
            found = tuple(
                TskFileSystem(medium, each, exhibit, layers, KINDS[int(each.info.ftype)], offset, size, described)
                for name, type_ in _DETECT.items()
                if name in said and (each := _opened(medium, offset, type_)) is not None
            )
            if not found:
                raise Unsupported(several) from error
            return found
        if said.startswith("Encryption detected") or "BitLocker" in said:  # "possible encryption" is but high entropy
            raise Locked(said) from error
        return ()
    kind = KINDS.get(int(fs.info.ftype))
    if kind is None:
        return ()
    return (TskFileSystem(medium, fs, exhibit, layers, kind, offset, size, description),)


# what The Sleuth Kit calls the kinds that it finds, and how to ask for one of them
_DETECT = {
    "NTFS": pytsk3.TSK_FS_TYPE_NTFS_DETECT,
    "FAT": pytsk3.TSK_FS_TYPE_FAT_DETECT,
    "EXT2/3/4": pytsk3.TSK_FS_TYPE_EXT_DETECT,
    "UFS": pytsk3.TSK_FS_TYPE_FFS_DETECT,
    "HFS": pytsk3.TSK_FS_TYPE_HFS_DETECT,
    "ISO9660": pytsk3.TSK_FS_TYPE_ISO9660_DETECT,
    "YAFFS2": pytsk3.TSK_FS_TYPE_YAFFS2_DETECT,
}


def _opened(medium: Medium, offset: int, type_: Any) -> Any:
    """The file system of one kind at `offset`, `None` where it cannot be opened or is of a kind that is not walked."""
    try:
        fs = pytsk3.FS_Info(medium, offset, type_)
    except OSError:
        _raise_failure(medium)
        return None
    return fs if int(fs.info.ftype) in KINDS else None


def utc() -> None:
    """Set the process's time zone to UTC, which The Sleuth Kit applies to local times."""
    if os.environ.get("TZ") != "UTC" or time.tzname[0] != "UTC":
        os.environ["TZ"] = "UTC"
        time.tzset()


class TskFileSystem:
    """One file system, read with The Sleuth Kit. Satisfies `FileSystem`; one thread at a time."""

    def __init__(
        self, medium: Medium, fs: Any, exhibit: str, layers: tuple[Layer, ...], kind: str, offset: int, size: int, description: str | None
    ) -> None:
        self._medium, self._fs, self._kind, self._base = medium, fs, kind, offset
        self.exhibit, self.layers, self.source = exhibit, (*layers, Layer(kind)), medium.image
        self._recent: OrderedDict[int, Any] = OrderedDict()
        self._addresses: OrderedDict[str, int] = OrderedDict()
        self._names: tuple[int, dict[bytes, int]] = (-1, {})
        self._directories = Directories(fs, kind, self.source, offset)
        self._same: Callable[[], shadow_files.Compare] | None = None
        length = (int(fs.info.last_block) + 1) * int(fs.info.block_size)
        self.info = LayerInfo(
            location=str(Location(exhibit, self.layers)),
            kind=kind,
            offset=offset,
            size=min(length, size) if size else length,
            label=self._label(),
            description=description,
            examined=True,
            timezone="local" if kind in LOCAL_TIME else "utc",
        )

    def walk(self) -> Iterator[Entry | Fault]:
        """Allocated entries depth-first in the file system's own order, then deleted ones, then orphans. See `tsk_walk`."""
        utc()
        return self._walk(self._same() if self._same else None).run()

    def compare_with(self, live: "TskFileSystem", same: Callable[[], Callable[[int, int], bool]]) -> None:
        """Say of the files of this shadow copy which have the same blocks in `live`; `same` is asked for when the walk begins."""
        self._same = lambda: shadow_files.comparison(self._fs, live._fs, same())

    def _walk(self, same: shadow_files.Compare | None = None) -> Walk:
        directories = Directories(self._fs, self._kind, self.source, self._base)
        return Walk(self._fs, self._kind, self.info.location, self._base, directories, same)

    def walk_slack(self) -> Iterator[Entry | Fault]:
        """The slack of allocated files. See `slack`."""
        utc()
        return SlackWalk(self._fs, self._kind, self.info.location, self._base, self.source).run()

    def free_runs(self) -> Iterator[free_blocks.Run]:
        """The byte ranges, from where the file system begins, of blocks that it says no file has. Raises Unsupported, Corrupt."""
        return free_blocks.free_runs(self._kind, self._fs, Part(self.source, self._base, _WHOLE).read)

    def open(self, location: Location) -> "TskStream | SlackStream":
        """The content at a location of this file system, found by its meta address; with an offset, the slack behind it.

        Raises Corrupt where there is none.
        """
        if location.offset is not None:
            return self._slack(location)
        address, type_, number = self._meta(location)
        file = self._file(address, location)
        fallback = None
        for attribute in file:
            info = attribute.info
            if type_ is None:
                wanted = int(info.type) in ((HFS_RESOURCE,) if location.stream == "rsrc" else (DEFAULT, HFS_DATA, NTFS_DATA))
                fits = wanted and (self._kind != "ntfs" or (decode(info.name) if info.name else "") == location.stream)
            else:
                fits = int(info.type) == type_ and int(info.id) == number
            if fits:
                runs = [(run.addr, run.len) for run in attribute if not int(run.flags)] if self._kind in FAT else []
                single = self._one_piece(file, runs, info.size)
                return TskStream(self._medium, file, str(location), int(info.type), int(info.id), info.size, single)
            fallback = info
        meta = file.info.meta
        if type_ is None and not location.stream and meta.size == 0:
            return TskStream(self._medium, file, str(location), 0, 0, 0, None)  # no attribute at all: an empty content
        raise Corrupt(f"{location}: the metadata has no such stream" + ("" if fallback else "; its list of blocks cannot be read"))

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """The allocated file beside `location`, in the same directory, whose name is its name and `suffix`."""
        parent, _, name = location.path.rpartition("/")
        folder = self._directory(parent)
        if folder is None:
            return None
        address = self._child(folder, encode(name + suffix))
        if address is None:
            return None
        meta = str(address)
        if self._kind == "ntfs":
            for attribute in self._file(address, location):
                if int(attribute.info.type) == NTFS_DATA and not attribute.info.name:
                    meta = f"{address}-{NTFS_DATA}-{attribute.info.id}"
        return Location(self.exhibit, self.layers, f"{parent}/{name}{suffix}", meta)

    def _slack(self, location: Location) -> SlackStream:
        """The slack of the stream whose content ends at the location's offset."""
        address, _, _ = self._meta(location)
        for stream in self._walk().streams(self._file(address, location), address):
            if stream.meta == location.meta and stream.name == location.stream and stream.size == location.offset:
                return SlackStream(self.source, slack_of(stream, self._base, int(self._fs.info.block_size)))
        raise Corrupt(f"{location}: the metadata has no stream that ends at byte {location.offset}")

    def _meta(self, location: Location) -> tuple[int, int | None, int | None]:
        """Meta address, attribute type and attribute id, as far as the location says them."""
        parts = (location.meta or "").split("-")
        if len(parts) not in (1, 3) or not all(part.isascii() and part.isdecimal() and len(part) < 20 for part in parts):
            raise Corrupt(f"{location}: {location.meta!r} is no meta address of a file system of kind {self._kind}")
        if len(parts) == 1:
            return int(parts[0]), None, None
        return int(parts[0]), int(parts[1]), int(parts[2])

    def _file(self, address: int, location: Location) -> Any:
        file = self._recent.get(address)
        if file is not None:
            self._recent.move_to_end(address)
            return file
        try:
            file = self._fs.open_meta(inode=address)
        except (OSError, OverflowError) as error:
            _raise_failure(self._medium)
            raise Corrupt(f"{location}: there is no metadata at address {address}: {_said(error)}") from error
        if file.info.meta is None:
            raise Corrupt(f"{location}: there is no metadata at address {address}")
        self._recent[address] = file
        if len(self._recent) > limits.OPEN_FILES:
            self._recent.popitem(last=False)
        return file

    def _one_piece(self, file: Any, runs: list[tuple[int, int]], size: int) -> int | None:
        """Where on the medium to read a deleted FAT file that The Sleuth Kit gives up on: in one piece from its first cluster.

        It gives a single cluster where the first is in use again, or where there are too few free ones before the end of the volume.
        """
        if self._kind not in FAT or len(runs) != 1 or int(file.info.meta.flags) & ALLOCATED:
            return None
        block = int(self._fs.info.block_size)
        start, length = runs[0]
        if length * block >= size or start + -(-size // block) - 1 > int(self._fs.info.last_block):
            return None
        return self._base + start * block

    def _directory(self, path: str) -> int | None:
        """The meta address of the directory at `path`; `None` where there is none."""
        if not path:
            return int(self._fs.info.root_inum)
        if path in self._addresses:
            return self._addresses[path]
        parent, _, name = path.rpartition("/")
        above = self._directory(parent) if path.count("/") <= limits.PATH_DEPTH else None
        address = self._child(above, encode(name)) if above is not None else None
        if address is not None:
            self._addresses[path] = address
            if len(self._addresses) > 1024:
                self._addresses.popitem(last=False)
        return address

    def _child(self, folder: int, name: bytes) -> int | None:
        """The meta address of an allocated name in a directory."""
        try:
            if self._directories.names(folder) is not None:
                return self._directories.find(folder, name)
        except OSError:
            return None  # the walk says that this directory cannot be read
        return self._listing(folder).get(name)

    def _listing(self, address: int) -> dict[bytes, int]:
        """Allocated names of a directory and their meta addresses. The last one is kept: companions are asked for in a row."""
        if self._names[0] != address:
            names: dict[bytes, int] = {}
            try:
                for file in self._fs.open_dir(inode=address):
                    name = file.info.name
                    if int(name.flags) & ALLOCATED and name.name:
                        names.setdefault(name.name, name.meta_addr)
            except OSError:
                pass  # the walk says that this directory cannot be read
            self._names = (address, names)
        return self._names[1]

    def _label(self) -> str | None:
        """The volume's label, where the file system holds one."""
        if self._kind == "ntfs":
            return self._ntfs_label()
        if self._kind in FAT:
            for name in self._listing(int(self._fs.info.root_inum)):
                if name.endswith(_LABEL) and not name.startswith(_NO_LABEL):
                    return name[: -len(_LABEL)].rstrip().decode("utf-8", "backslashreplace") or None
            return None
        at, length = {"iso9660": (32768 + 40, 32)}.get(self._kind, (1024 + 120, 16))  # ECMA-119 8.4.7; ext4's s_volume_name
        if self._kind not in ("iso9660", "ext2", "ext3", "ext4"):
            return None
        label = self._medium.image.read(self._base + at, length).partition(b"\0")[0].rstrip()
        return label.decode("utf-8", "backslashreplace") or None

    def _ntfs_label(self) -> str | None:
        """$VOLUME_NAME of $Volume, record 3."""
        try:
            volume = self._fs.open_meta(inode=3)
            for attribute in volume:
                if int(attribute.info.type) == NTFS_VOLUME_NAME and attribute.info.size:
                    raw = volume.read_random(0, min(int(attribute.info.size), 512), NTFS_VOLUME_NAME, int(attribute.info.id))
                    return bytes(raw).decode("utf-16-le", "backslashreplace") or None
        except OSError:
            pass
        return None


class TskStream:
    """The content of one attribute. `single` is where on the medium it lies in one piece, if it is read from there."""

    def __init__(self, medium: Medium, file: Any, place: str, type_: int, number: int, size: int, single: int | None) -> None:
        self._medium, self._file, self._place = medium, file, place
        self._type, self._number, self._single = type_, number, single
        self.size = max(size, 0)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end. Raises Corrupt where The Sleuth Kit cannot read them."""
        size = min(size, self.size - offset)
        if size <= 0 or offset < 0:
            return b""
        if self._single is not None:
            return self._medium.image.read(self._single + offset, size)
        if size <= limits.READ:
            return self._piece(offset, size)
        return b"".join(self._piece(at, min(limits.READ, offset + size - at)) for at in range(offset, offset + size, limits.READ))

    def _piece(self, offset: int, size: int) -> bytes:
        try:
            data: bytes = self._file.read_random(offset, size, self._type, self._number)
        except OSError as error:
            _raise_failure(self._medium)
            raise Corrupt(f"{self._place}: {size} bytes at offset {offset} cannot be read: {_said(error)}") from error
        if len(data) != size:
            raise Corrupt(f"{self._place}: ends at offset {offset + len(data)}, but its size is {self.size}")
        return data

    def changed(self) -> bool:
        """Never: an image is read-only and its digest is taken."""
        return False


def _raise_failure(medium: Medium) -> None:
    """Raise what the image itself raised while The Sleuth Kit read from it."""
    failure, medium.failure = medium.failure, None
    if failure is not None:
        raise failure


def _said(error: Exception) -> str:
    """The Sleuth Kit's words alone, without pytsk3's function and line, which change with its version."""
    text = str(error)
    text = text.partition(") ")[2] or text
    return text.partition("with error: ")[2] or text
