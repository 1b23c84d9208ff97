"""What is in an exhibit: volume systems, volumes and gaps, file systems; what is not examined, and why.

The openers of a volume's content are tried in a fixed order (`_OPENERS`); a format that gets a reader is one more line there.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct

from forensics.errors import EvidenceError, Locked, Unsupported
from forensics.evidence import limits, signatures
from forensics.evidence.filesystem import FileSystem, Stream
from forensics.evidence.folder import FileSystemOfOne, FolderSystem
from forensics.evidence.image import Image, open_image
from forensics.evidence.tsk import Medium, Partition, VolumeSystem, open_cut_volume_system, open_file_system, open_volume_system
from forensics.evidence.tsk_constants import SCHEME_NAMES
from forensics.filetype import UNKNOWN, mime_of
from forensics.location import Layer, Location
from forensics.model import Fault, LayerInfo

__all__ = ["FileSystem", "Layers", "Opened", "Stream", "open_exhibit", "open_layers"]

_HEAD = 64 << 10
NOT_RECOGNISED = "no file system recognised"
_SAFETY = "GPT Safety Partition"  # what The Sleuth Kit calls the entry that guards a GPT from tools that know only the MBR
GAP = "space outside any volume"
# The boot sector belongs to these file systems; the others leave it to a partition table, as a hybrid ISO image does.
_OWN_BOOT_SECTOR = {"ntfs", "fat12", "fat16", "fat32", "exfat"}


class Layers(Struct, frozen=True):
    """The layers of an image: its file systems to walk, every volume and gap (examined or not, and why not), and what failed."""

    file_systems: tuple[FileSystem, ...]
    layers: tuple[LayerInfo, ...]
    faults: tuple[Fault, ...] = ()


class Opened(Struct, frozen=True):
    """An exhibit that is open. `image` is `None` for a folder and for a single file."""

    image: Image | None
    file_systems: tuple[FileSystem, ...]
    layers: tuple[LayerInfo, ...]
    faults: tuple[Fault, ...] = ()

    def close(self) -> None:
        """Close the image's files."""
        if self.image is not None:
            self.image.close()


class _Volume(Struct, frozen=True):
    """A range of the medium that may hold something: `layers` are those that lead to it, `depth` how many volume systems."""

    offset: int
    size: int
    layers: tuple[Layer, ...] = ()
    depth: int = 0
    description: str | None = None


class _Search:
    """The search of one image, and what it has found so far."""

    def __init__(self, exhibit: str, image: Image) -> None:
        self.exhibit, self.image, self.medium = exhibit, image, Medium(image)
        self.file_systems: list[FileSystem] = []
        self.layers: list[LayerInfo] = []
        self.faults: list[Fault] = []
        self.recognised = False
        self._cut = False

    def add(self, info: LayerInfo) -> None:
        if len(self.layers) < limits.LAYERS:
            self.layers.append(info)
        elif not self._cut:
            self._cut = True
            message = f"more than {limits.LAYERS} layers; this one and those after it are not examined"
            self.faults.append(Fault(location=info.location, kind="limit", message=message))

    @property
    def full(self) -> bool:
        return len(self.layers) >= limits.LAYERS

    def refuse(self, volume: _Volume, kind: str, reason: str, fault: Fault) -> None:
        """A volume that is not examined, and the fault that says so."""
        layers = volume.layers if volume.layers else (Layer(kind),)
        self.add(
            LayerInfo(
                location=str(Location(self.exhibit, layers)),
                kind=kind,
                offset=volume.offset,
                size=volume.size,
                description=volume.description,
                reason=reason,
            )
        )
        self.faults.append(fault)

    def fault(self, volume: _Volume, kind: str, failure: Exception | str) -> Fault:
        layers = volume.layers if volume.layers else (Layer(kind),)
        return Fault(
            location=str(Location(self.exhibit, layers)),
            kind="locked" if isinstance(failure, Locked) else "unsupported",
            message=f"not examined: {failure}",
        )

    def read(self, volume: _Volume, offset: int, size: int) -> bytes:
        return self.image.read(volume.offset + offset, max(0, min(size, volume.size - offset)))


def open_layers(exhibit: str, image: Image) -> Layers:
    """The layers of `image`. What is not read is a layer with a reason and a fault; raises EvidenceError where the storage fails."""
    search = _search(exhibit, image)
    return Layers(tuple(search.file_systems), tuple(search.layers), tuple(search.faults))


def open_exhibit(exhibit: str, path: Path) -> Opened:
    """Open what was received: a folder, an image of a medium, or a single file.

    A single file with neither volume system nor file system is one file (kind "file"); one that looks like no known type either gets a
    fault and a layer that is not examined, since it may be a medium that nothing here can read. Raises Unsupported for an image format
    that is recognised and not read, EvidenceError where the path cannot be read.
    """
    if path.is_dir():
        folder = FolderSystem(exhibit, path)
        return Opened(None, (folder,), (folder.info,))
    image = open_image(path)
    try:
        search = _search(exhibit, image)
        strange = image.size >= _HEAD and mime_of(image.read(0, _HEAD)) == UNKNOWN
    except EvidenceError:
        image.close()
        raise
    if search.recognised or image.format != "raw":
        return Opened(image, tuple(search.file_systems), tuple(search.layers), tuple(search.faults))
    image.close()
    one = FileSystemOfOne(exhibit, path)
    return Opened(None, (one,), (one.info, *search.layers) if strange else (one.info,), tuple(search.faults) if strange else ())


def _search(exhibit: str, image: Image) -> _Search:
    search = _Search(exhibit, image)
    _examine(search, _Volume(0, image.size))
    return search


def _examine(search: _Search, volume: _Volume) -> None:
    """Find out what `volume` holds, in the order of `_OPENERS`."""
    for opener in _OPENERS:
        if opener(search, volume):
            return


def _bitlocker(search: _Search, volume: _Volume) -> bool:
    if not signatures.is_bitlocker(partial(search.read, volume)):
        return False
    _refuse_signature(search, volume, signatures.BITLOCKER)
    return True


def _file_system(search: _Search, volume: _Volume) -> bool:
    """A file system; the partition table that one without its own boot sector may share the medium with is examined beside it."""
    try:
        found = open_file_system(search.medium, search.exhibit, volume.layers, volume.offset, volume.size, volume.description)
    except (Unsupported, Locked) as error:
        signature = signatures.recognise(partial(search.read, volume))
        if signature is not None:
            _refuse_signature(search, volume, signature)
            return True
        kind = "encrypted" if isinstance(error, Locked) else "ambiguous"
        search.recognised = True
        search.refuse(volume, kind, str(error), search.fault(volume, kind, error))
        return True
    if found is None:
        return False
    if search.full:
        search.add(found.info)
        return True
    search.recognised = True
    search.add(found.info)
    search.file_systems.append(found)
    if found.info.kind == "ntfs" and signatures.has_shadow_copies(partial(search.read, volume)):
        failure = Unsupported("volume shadow copies: not read; examine them with another tool, or give an image of each")
        shadows = _Volume(volume.offset, volume.size, (*volume.layers, Layer("ntfs"), Layer("vss")))
        search.refuse(shadows, "vss", str(failure), search.fault(shadows, "vss", failure))
    if not volume.layers and found.info.kind not in _OWN_BOOT_SECTOR:
        _volume_system(search, volume)
    return True


def _volume_system(search: _Search, volume: _Volume) -> bool:
    if volume.depth >= limits.NESTING:
        message = f"volume systems within volume systems more than {limits.NESTING} deep"
        search.refuse(volume, "unknown", message, search.fault(volume, "unknown", message))
        return True
    try:
        system = open_volume_system(search.medium, volume.offset, inside=volume.depth > 0)
    except Unsupported as error:
        search.recognised = True
        search.refuse(volume, "ambiguous", str(error), search.fault(volume, "ambiguous", error))
        return True
    if not volume.depth and (system is None or all(part.description.startswith(_SAFETY) for part in system.partitions if part.allocated)):
        system = open_cut_volume_system(search.medium) or system
    if system is None or not any(part.allocated for part in system.partitions):
        return False
    if volume.depth and not all(_lies_in(part, volume) for part in system.partitions if part.allocated):
        return False  # chance bytes, or the table of the whole medium seen again
    search.recognised = True
    layers = (*volume.layers, Layer(system.scheme))
    place = str(Location(search.exhibit, layers))
    search.add(
        LayerInfo(
            location=place,
            kind=system.scheme,
            offset=volume.offset,
            size=volume.size,
            description=SCHEME_NAMES.get(system.scheme),
            examined=True,
        )
    )
    if system.backup:
        message = "the first copy of the partition table cannot be read; its backup at the end of the medium was used"
        search.faults.append(Fault(location=place, kind="damaged", message=message))
    for part in system.partitions:
        _partition(search, volume, system, part)
    return True


def _lies_in(part: Partition, volume: _Volume) -> bool:
    return volume.offset < part.offset and part.offset + part.size <= volume.offset + volume.size


def _partition(search: _Search, volume: _Volume, system: VolumeSystem, part: Partition) -> None:
    end = volume.offset + volume.size
    inside = Layer("volume" if part.allocated else "unallocated", str(part.offset - volume.offset))
    child = _Volume(
        offset=part.offset,
        size=max(0, min(part.size, end - part.offset)),
        layers=(*volume.layers, inside),
        depth=volume.depth + 1,
        description=part.description or None,
    )
    if part.table:
        return  # the tables themselves: they lie within the gaps, or around the volumes that they describe
    if not part.allocated and not child.size:
        return  # beyond what was acquired
    if not part.allocated:
        place = str(Location(search.exhibit, child.layers))
        search.add(LayerInfo(location=place, kind="unallocated", offset=child.offset, size=child.size, reason=GAP))
    elif part.offset < volume.offset or part.offset >= end:
        message = f"the volume lies at byte {part.offset}, outside of what was acquired (bytes {volume.offset}-{end - 1})"
        search.refuse(child, "volume", message, search.fault(child, "volume", message))
    elif part.offset == volume.offset and search.file_systems and search.file_systems[-1].info.offset == volume.offset:
        return  # a hybrid image: this volume is the file system that was found at its start
    else:
        if part.size > child.size:
            message = f"the volume has {part.size} bytes by the partition table, and {child.size} were acquired"
            search.faults.append(Fault(location=str(Location(search.exhibit, child.layers)), kind="damaged", message=message))
        _examine(search, child)


def _signature(search: _Search, volume: _Volume) -> bool:
    signature = signatures.recognise(partial(search.read, volume))
    if signature is None:
        return False
    _refuse_signature(search, volume, signature)
    return True


def _refuse_signature(search: _Search, volume: _Volume, signature: signatures.Signature) -> None:
    search.recognised = True
    if signature.state == "locked":
        failure: Exception = Locked(f"{signature.name}: encrypted; give an image of the decrypted volume")
    else:
        failure = Unsupported(f"{signature.name}: not read; examine it with another tool, or give its files as a folder")
    search.refuse(volume, signature.kind, str(failure), search.fault(volume, signature.kind, failure))


def _nothing(search: _Search, volume: _Volume) -> bool:
    search.refuse(volume, "unknown", NOT_RECOGNISED, search.fault(volume, "unknown", NOT_RECOGNISED))
    return True


_OPENERS: tuple[Callable[[_Search, _Volume], bool], ...] = (_bitlocker, _file_system, _signature, _volume_system, _nothing)
