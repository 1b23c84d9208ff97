"""What is in an exhibit: volume systems, volumes and gaps, file systems; what is not examined, and why.

The openers of a volume's content are tried in a fixed order (`_OPENERS`); a format that gets a reader is one more line there. What
lies within something that decrypts, joins or restores bytes (LUKS, a logical volume, a shadow copy) is examined in the same way again.
"""

import errno
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence import archive, limits, read_here, signatures, wide
from forensics.evidence.ad1 import Ad1Image
from forensics.evidence.apple_image import is_sparse_bundle, open_sparse_bundle
from forensics.evidence.filesystem import FileSystem, Stream
from forensics.evidence.folder import FileSystemOfOne, FolderSystem
from forensics.evidence.holders import apfs_container, core_storage_group, lvm_member, shadow_copies_of, volume_groups
from forensics.evidence.image import Image, open_image
from forensics.evidence.keys import Keys
from forensics.evidence.l01 import L01Image
from forensics.evidence.locked import bitlocker_volume, luks_volume
from forensics.evidence.search import Search, Volume, raise_storage, read_volume
from forensics.evidence.slack import SlackSpace
from forensics.evidence.space import Space
from forensics.evidence.tsk import (
    Medium,
    Partition,
    TskFileSystem,
    VolumeSystem,
    open_cut_volume_system,
    open_file_systems,
    open_volume_system,
)
from forensics.evidence.tsk_constants import SCHEME_NAMES
from forensics.evidence.unallocated import UnallocatedSpace
from forensics.filetype import UNKNOWN, mime_of
from forensics.location import Layer, Location
from forensics.model import Fault, LayerInfo

__all__ = ["FileSystem", "Layers", "Opened", "Stream", "open_exhibit", "open_layers"]

_HEAD = 64 << 10
NOT_RECOGNISED = "no file system recognised"
_SAFETY = "GPT Safety Partition"  # what The Sleuth Kit calls the entry that guards a GPT from tools that know only the MBR
GAP = "space outside any volume"
# The boot sector belongs to these file systems; the others leave it to a partition table, as a hybrid ISO image does.
# What a reader raises on bytes that nobody foresaw, beside errors of ours. No broad catch: memory and storage are the machine's.
_UNFORESEEN = (TypeError, ValueError, LookupError, struct.error, ArithmeticError, RecursionError, OSError)
_OF_NUMBERS = (None, errno.EINVAL, errno.EOVERFLOW, errno.EFBIG)  # errors of a library without a number, or of a place that cannot be
_OWN_BOOT_SECTOR = {"ntfs", "fat12", "fat16", "fat32", "exfat"}
NO_KEYS = Keys()
NO_SPACE = Space()


class Layers(Struct, frozen=True):
    """The layers of an image: its file systems to walk, every volume and gap (examined or not, and why not), and what failed."""

    file_systems: tuple[FileSystem, ...]
    layers: tuple[LayerInfo, ...]
    faults: tuple[Fault, ...] = ()


class Opened(Struct, frozen=True):
    """An exhibit that is open. `image` is `None` for a folder and for a single file.

    `spaces` are where there may be unallocated space; they stand behind the `file_systems` too where it is to be examined.
    """

    image: Image | None
    file_systems: tuple[FileSystem, ...]
    layers: tuple[LayerInfo, ...]
    faults: tuple[Fault, ...] = ()
    spaces: tuple[UnallocatedSpace, ...] = ()

    def close(self) -> None:
        """Close the image's files."""
        if self.image is not None:
            self.image.close()


def open_layers(exhibit: str, image: Image, keys: Keys = NO_KEYS) -> Layers:
    """The layers of `image`. What is not read is a layer with a reason and a fault; raises EvidenceError where the storage fails."""
    search = _search(exhibit, image, keys, True)
    return Layers(tuple(search.file_systems), tuple(search.layers), tuple(search.faults))


def open_exhibit(exhibit: str, path: Path, *, keys: Keys = NO_KEYS, shadow_copies: bool = True, space: Space = NO_SPACE) -> Opened:
    """Open what was received: a folder, an image of a medium, an archive of files, or a single file; `keys` open what is locked in it.

    Each shadow copy of a volume is as large as the volume. With `shadow_copies` false they are named, and not examined. `space` says
    whether unallocated space and slack stand behind the file systems, as file systems of their own.

    A single file with neither volume system nor file system is one file (kind "file"); one that looks like no known type either gets a
    fault and a layer that is not examined, since it may be a medium that nothing here can read. Raises Unsupported for an image format
    that is recognised and not read, EvidenceError where the path cannot be read.
    """
    if path.is_dir() and not is_sparse_bundle(path):
        folder = FolderSystem(exhibit, path)
        return Opened(None, (folder,), (folder.info,))
    image = open_sparse_bundle(path) if path.is_dir() else open_image(path)
    try:
        if isinstance(image, (Ad1Image, L01Image)):
            files = image.members(exhibit)
            return Opened(image, (files,), (files.info,))
        if image.format == "raw" and archive.is_archive(path, image):
            return _archive(exhibit, path, image)
        search = _search(exhibit, image, keys, shadow_copies)
        strange = image.size >= _HEAD and mime_of(image.read(0, _HEAD)) == UNKNOWN
    except EvidenceError:
        image.close()
        raise
    spaces = tuple(search.spaces)
    if search.recognised or image.format != "raw":
        systems = (*search.file_systems, *_beside(search.file_systems, spaces, space))
        return Opened(image, systems, _examined(search.layers, space), tuple(search.faults), spaces)
    one = FileSystemOfOne(exhibit, path)
    if strange and space.unallocated:  # an unknown or wiped medium: the file as such, and what can be found in it
        return Opened(image, (one, *spaces), (one.info, *search.layers), tuple(search.faults), spaces)
    image.close()
    return Opened(None, (one,), (one.info, *search.layers) if strange else (one.info,), tuple(search.faults) if strange else ())


def _beside(systems: list[FileSystem], spaces: tuple[UnallocatedSpace, ...], space: Space) -> tuple[FileSystem, ...]:
    """What is walked beside the file systems."""
    slack = [SlackSpace(system) for system in systems if isinstance(system, TskFileSystem)] if space.slack else []
    return (*(spaces if space.unallocated else ()), *slack)


def _examined(layers: list[LayerInfo], space: Space) -> tuple[LayerInfo, ...]:
    """The layers, with the gaps between volumes examined where unallocated space is."""
    if not space.unallocated:
        return tuple(layers)
    return tuple(replace(each, examined=True, reason=None) if each.kind == "unallocated" else each for each in layers)


def _archive(exhibit: str, path: Path, image: Image) -> Opened:
    """The members of an archive; the archive as one file, and a fault, where its list of members cannot be read."""
    try:
        members = archive.open_archive(exhibit, path, image)
    except Corrupt as error:
        image.close()
        one = FileSystemOfOne(exhibit, path)
        return Opened(None, (one,), (one.info,), (Fault(location=one.info.location, kind="corrupt", message=str(error)),))
    return Opened(image, (members,), (members.info,))


def _search(exhibit: str, image: Image, keys: Keys, shadow_copies: bool) -> Search:
    search = Search(exhibit, keys, shadow_copies, _examine)
    whole = Volume(Medium(image), 0, image.size, named=False)
    _examine(search, whole)
    _guarded(search, whole, volume_groups, search)
    count = image.metadata.get("internal_snapshots")
    if count:
        message = f"{count} snapshots are kept inside of the image; not read: the state that it was in last is examined"
        search.refuse(whole, "qcow-snapshots", Unsupported(message))
    return search


def _examine(search: Search, volume: Volume) -> None:
    """Find out what `volume` holds, in the order of `_OPENERS`.

    One that fails is named, and those after it get their try: what it took the bytes for may lie there by chance, or be what is left of
    something older. Only where it had found something before it failed, the bytes are that.
    """
    if volume.depth > limits.NESTING:
        search.refuse(volume, "unknown", f"layers within layers more than {limits.NESTING} deep")
        return
    failed = False
    for opener in _OPENERS:
        if failed and opener is _nothing:
            return  # that something was recognised has been said
        known = len(search.layers)
        done = _guarded(search, volume, opener, search, volume)
        failed |= done is None
        if done or (done is None and len(search.layers) > known + 1):
            return


def _guarded(search: Search, volume: Volume, opener: Callable[..., bool | None], *arguments: object) -> bool | None:
    """What an opener says. Where it fails on the bytes of `volume`, that volume is refused, nothing is given, and the search goes on."""
    try:
        return bool(opener(*arguments))
    except EvidenceError as error:
        raise_storage(error)
        failure: EvidenceError = error
    except _UNFORESEEN as error:
        if isinstance(error, OSError) and error.errno not in _OF_NUMBERS:
            raise
        failure = Corrupt(f"its reader failed on what is there ({type(error).__name__}: {error})"[:500])
    search.recognised = True
    search.refuse(volume, "unknown", failure)
    return None


def _file_system(search: Search, volume: Volume) -> bool:
    """A file system; the partition table that one without its own boot sector may share the medium with is examined beside it."""
    try:
        found = open_file_systems(volume.medium, search.exhibit, volume.layers, volume.offset, volume.size, volume.description)
    except (Unsupported, Locked) as error:
        search.recognised = True
        signature = signatures.recognise(partial(read_volume, volume))
        if signature is not None and signature.kind in _READ_HERE:
            return False  # one of the openers that follow
        if signature is not None:
            _refuse_signature(search, volume, signature)
        else:
            search.refuse(volume, "encrypted" if isinstance(error, Locked) else "ambiguous", error)
        return True
    for system in found:
        search.found(system)
    kinds = {system.info.kind for system in found}
    if (
        "ntfs" in kinds
        and volume.depth <= limits.NESTING
        and signatures.has_shadow_copies(partial(read_volume, volume))
        and not _restored(volume)
    ):
        shadow_copies_of(search, volume)
    if found and not volume.layers and not kinds & _OWN_BOOT_SECTOR:
        _volume_system(search, volume)
    return bool(found)


def _restored(volume: Volume) -> bool:
    """Whether it is a shadow copy itself: the copies that it holds are those of the volume."""
    return any(layer.kind == "vss" for layer in volume.layers)


def _other_file_system(search: Search, volume: Volume) -> bool:
    """A file system that dfVFS reads and The Sleuth Kit does not."""
    signature = signatures.recognise(partial(read_volume, volume))
    name = str(Location(search.exhibit, volume.layers))
    kinds = ("xfs",) if signature is not None and signature.kind == "xfs" else () if signature else wide.recognise(volume.source, name)
    failure: EvidenceError | None = None
    for kind in kinds:
        said = "not recognised by The Sleuth Kit" if kind != "xfs" else None
        description = "; ".join(filter(None, (volume.description, said))) or None
        try:
            system = wide.WideFileSystem(volume.source, search.exhibit, volume.layers, kind, base=volume.offset, description=description)
        except EvidenceError as error:
            raise_storage(error)
            failure = error
            continue
        search.found(system)
        return True
    if failure is not None and kinds == ("xfs",):
        search.recognised = True
        search.refuse(volume, "xfs", failure)
        return True
    return False


def _volume_system(search: Search, volume: Volume) -> bool:
    if volume.depth >= limits.NESTING:
        message = f"volume systems within volume systems more than {limits.NESTING} deep"
        search.refuse(volume, "unknown", message)
        return True
    inside = volume.depth > 0 and not volume.whole
    try:
        system = open_volume_system(volume.medium, volume.offset, inside=inside)
    except Unsupported as error:
        search.recognised = True
        search.refuse(volume, "ambiguous", error)
        return True
    if not inside and (system is None or all(part.description.startswith(_SAFETY) for part in system.partitions if part.allocated)):
        system = open_cut_volume_system(volume.medium) or system
    if system is None or not any(part.allocated for part in system.partitions):
        return False
    if inside and not all(_lies_in(part, volume) for part in system.partitions if part.allocated):
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


def _lies_in(part: Partition, volume: Volume) -> bool:
    return volume.offset < part.offset and part.offset + part.size <= volume.offset + volume.size


def _all_of(volume: Volume, part: Partition) -> bool:
    return (part.offset, part.size) == (volume.offset, volume.size)


def _partition(search: Search, volume: Volume, system: VolumeSystem, part: Partition) -> None:
    end = volume.offset + volume.size
    inside = Layer("volume" if part.allocated else "unallocated", str(part.offset - volume.offset))
    child = Volume(
        medium=volume.medium,
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
        search.unused(child, "unallocated")
    elif part.offset < volume.offset or part.offset >= end:
        message = f"the volume lies at byte {part.offset}, outside of what was acquired (bytes {volume.offset}-{end - 1})"
        search.refuse(child, "volume", message)
    elif part.offset == volume.offset and search.file_systems and search.file_systems[-1].info.offset == volume.offset:
        return  # a hybrid image: this volume is the file system that was found at its start
    elif _all_of(volume, part) and any(each.allocated and not _all_of(volume, each) for each in system.partitions):
        return  # all of what the table lies in (`c` of BSD, 2 of Sun): the same table would be found in it, again and again
    else:
        if part.size > child.size:
            message = f"the volume has {part.size} bytes by the partition table, and {child.size} were acquired"
            search.faults.append(Fault(location=str(Location(search.exhibit, child.layers)), kind="damaged", message=message))
        _examine(search, child)


def _signature(search: Search, volume: Volume) -> bool:
    signature = signatures.recognise(partial(read_volume, volume))
    if signature is None:
        return False
    _refuse_signature(search, volume, signature)
    return True


def _refuse_signature(search: Search, volume: Volume, signature: signatures.Signature) -> None:
    search.recognised = True
    if signature.state == "locked":
        search.refuse(volume, signature.kind, Locked(f"{signature.name}: encrypted; give an image of the decrypted volume"))
    else:
        message = f"{signature.name}: not read; examine it with another tool, or give its files as a folder"
        search.refuse(volume, signature.kind, Unsupported(message))


def _nothing(search: Search, volume: Volume) -> bool:
    search.refuse(volume, "unknown", NOT_RECOGNISED)
    search.unused(volume, "unknown")
    return True


# by the openers after The Sleuth Kit's, which they follow
_READ_HERE = {"lvm2", "core-storage", "apfs", "xfs", *read_here.KINDS}
_OPENERS: tuple[Callable[[Search, Volume], bool], ...] = (
    bitlocker_volume,
    luks_volume,
    _file_system,
    lvm_member,
    core_storage_group,
    apfs_container,
    read_here.own_file_system,
    _other_file_system,
    _signature,
    _volume_system,
    _nothing,
)
