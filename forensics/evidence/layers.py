"""What is in an exhibit: volumes, file systems, what could not be opened and why; a folder or a single file as well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytsk3
from msgspec import Struct

from forensics.errors import EvidenceError
from forensics.evidence.folder import Folder
from forensics.evidence.image import Image, open_image
from forensics.evidence.limits import LAYERS
from forensics.evidence.tsk import ImageBridge, TskFileSystem
from forensics.location import Layer, Location
from forensics.model import Entry, Fault, LayerInfo

# Signatures of what is not read: offset in the volume, bytes, name, whether a key would open it.
_SIGNATURES: tuple[tuple[int, bytes, str, bool], ...] = (
    (3, b"-FVE-FS-", "BitLocker", True),
    (0, b"LUKS\xba\xbe\x00\x01", "LUKS1", True),
    (0, b"LUKS\xba\xbe\x00\x02", "LUKS2", True),
    (88, b"CS", "Apple CoreStorage", True),
    (536, b"LVM2 001", "LVM2 physical volume", False),
    (24, b"LVM2 001", "LVM2 physical volume", False),
    (32, b"NXSB", "APFS container", False),
    (0, b"XFSB", "XFS", False),
    (0x10040, b"_BHRfS_M", "Btrfs", False),
    (1024, b"\x10\x20\xf5\xf2", "F2FS", False),
    (0, b"hsqs", "SquashFS", False),
    (3, b"ReFS\0\0\0\0", "ReFS", False),
    (4086, b"SWAPSPACE2", "Linux swap", False),
)
_HEAD = 0x10048
_SECTOR = 512


class Stream(Protocol):
    """Bytes of one stream."""

    size: int

    def read(self, offset: int, size: int) -> bytes: ...


class FileSystem(Protocol):
    """One file system, or what is walked like one."""

    info: LayerInfo

    def walk(self) -> Iterator[Entry | Fault]: ...
    def open(self, location: Location) -> Stream: ...
    def sibling(self, location: Location, suffix: str) -> Location | None: ...


class Opened(Struct, frozen=True):
    """An exhibit with all of its layers."""

    image: Any  # an Image, or None for a folder
    layers: tuple[LayerInfo, ...]
    file_systems: tuple[Any, ...]  # of FileSystem
    faults: tuple[Fault, ...]


def open_exhibit(exhibit: str, path: Path) -> Opened:
    """Open a folder, an image, or a single file. Raises EvidenceError and its kinds where it cannot be opened at all."""
    if path.is_dir():
        folder = Folder(exhibit, path)
        return Opened(None, (folder.info,), (folder,), ())
    image = open_image(path)
    opened = _open_layers(exhibit, image)
    if not opened.file_systems and image.format == "raw" and len(opened.layers) == 1 and opened.faults[0].kind == "unsupported":
        head = image.read(0, _HEAD)
        if not _named(head) and not _looks_partitioned(head):
            single = Folder(exhibit, path.parent, path.name)
            return Opened(None, (single.info,), (single,), () if image.size % _SECTOR else opened.faults)
    return opened


def _looks_partitioned(head: bytes) -> bool:
    return head[510:512] == b"\x55\xaa"


def _named(head: bytes) -> tuple[str, bool] | None:
    for offset, magic, name, locked in _SIGNATURES:
        if head[offset : offset + len(magic)] == magic:
            return name, locked
    return None


def _open_layers(exhibit: str, image: Image) -> Opened:
    bridge = ImageBridge(image)
    layers: list[LayerInfo] = []
    systems: list[TskFileSystem] = []
    faults: list[Fault] = []
    try:
        table = pytsk3.Volume_Info(bridge)
    except OSError as error:
        table = None
        if "multiple" in str(error).lower():
            faults.append(
                Fault(
                    location=str(Location(exhibit)),
                    kind="unsupported",
                    message=f"the partition table is ambiguous: {str(error).splitlines()[0]}",
                )
            )
    if table is None:
        _volume(exhibit, (), image, bridge, 0, image.size, None, layers, systems, faults)
        return Opened(image, tuple(layers), tuple(systems), tuple(faults))
    block = int(table.info.block_size)
    for number, part in enumerate(table):
        offset, size = int(part.start) * block, int(part.len) * block
        description = bytes(part.desc or b"").decode("utf-8", "backslashreplace")
        flags = int(part.flags)
        place = (Layer("volume", str(offset)),)
        if flags & int(pytsk3.TSK_VS_PART_FLAG_META):
            continue
        if number > LAYERS:
            faults.append(
                Fault(location=str(Location(exhibit)), kind="limit", message=f"more than {LAYERS} partitions; the rest was not opened")
            )
            break
        if flags & int(pytsk3.TSK_VS_PART_FLAG_UNALLOC):
            layers.append(
                LayerInfo(
                    location=str(Location(exhibit, (Layer("unallocated", str(offset)),))),
                    kind="unallocated",
                    offset=offset,
                    size=size,
                    description=description,
                    reason="space outside every partition",
                )
            )
            continue
        _volume(exhibit, place, image, bridge, offset, size, description, layers, systems, faults)
    return Opened(image, tuple(layers), tuple(systems), tuple(faults))


def _volume(
    exhibit: str,
    place: tuple[Layer, ...],
    image: Image,
    bridge: ImageBridge,
    offset: int,
    size: int,
    description: str | None,
    layers: list[LayerInfo],
    systems: list[TskFileSystem],
    faults: list[Fault],
) -> None:
    """Open the file system at `offset`, or say what is there instead."""
    where = str(Location(exhibit, place))
    named = _named(image.read(offset, _HEAD))
    if named is None or named[0] == "Apple CoreStorage":
        try:
            system = TskFileSystem(exhibit, place, image, bridge, offset, size)
        except OSError as error:
            reason = f"no file system recognised ({str(error).partition(chr(10))[0][:200]})"
            if "multiple" in str(error).lower():
                reason = f"ambiguous: {str(error).partition(chr(10))[0][:300]}"
            kind = "unsupported"
        else:
            systems.append(system)
            if description:
                system.info = type(system.info)(**{**_fields(system.info), "description": description})
            layers.append(system.info)
            return
    else:
        reason = f"{named[0]}: encrypted, and no key can be given yet" if named[1] else f"{named[0]} is not read yet"
        kind = "locked" if named[1] else "unsupported"
    layers.append(LayerInfo(location=where, kind="volume", offset=offset, size=size, description=description, reason=reason))
    faults.append(Fault(location=where, kind="locked" if kind == "locked" else "unsupported", message=f"not examined: {reason}"))


def _fields(info: LayerInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in info.__struct_fields__}


__all__ = ["EvidenceError", "FileSystem", "Opened", "Stream", "open_exhibit"]
