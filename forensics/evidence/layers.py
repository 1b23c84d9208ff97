"""What is in an exhibit: volume systems, volumes and gaps, file systems; what is not examined, and why.

The openers of a volume's content are tried in a fixed order (`_OPENERS`); a format that gets a reader is one more line there. What
lies within something that decrypts, joins or restores bytes (LUKS, a logical volume, a shadow copy) is examined in the same way again.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence import apfs, archive, bitlocker, core_storage, limits, luks, lvm, shadow, signatures, wide
from forensics.evidence.ad1 import Ad1Image
from forensics.evidence.apple_image import is_sparse_bundle, open_sparse_bundle
from forensics.evidence.filesystem import FileSystem, Stream
from forensics.evidence.folder import FileSystemOfOne, FolderSystem
from forensics.evidence.image import Image, open_image
from forensics.evidence.keys import NAMES, Key, Keys
from forensics.evidence.libyal import Part, Source
from forensics.evidence.tsk import Medium, Partition, VolumeSystem, open_cut_volume_system, open_file_systems, open_volume_system
from forensics.evidence.tsk_constants import SCHEME_NAMES
from forensics.filetype import UNKNOWN, mime_of
from forensics.location import Layer, Location
from forensics.model import Fault, FaultKind, LayerInfo

__all__ = ["FileSystem", "Layers", "Opened", "Stream", "open_exhibit", "open_layers"]

_HEAD = 64 << 10
NOT_RECOGNISED = "no file system recognised"
_SAFETY = "GPT Safety Partition"  # what The Sleuth Kit calls the entry that guards a GPT from tools that know only the MBR
GAP = "space outside any volume"
# The boot sector belongs to these file systems; the others leave it to a partition table, as a hybrid ISO image does.
_OWN_BOOT_SECTOR = {"ntfs", "fat12", "fat16", "fat32", "exfat"}
NO_KEYS = Keys()


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
    """A range of a medium that may hold something: `layers` are those that lead to it, `depth` how many of them hold others.

    `named` says whether the last of these is itself (a partition) or what gives its bytes (decryption). The medium is the image's own, or
    that of a layer (decrypted, joined, restored), which begins at its byte 0.
    """

    medium: Medium
    offset: int
    size: int
    layers: tuple[Layer, ...] = ()
    depth: int = 0
    description: str | None = None
    named: bool = True

    @property
    def source(self) -> Source:
        """Its bytes alone."""
        image: Source = self.medium.image
        return image if not self.offset and self.size == image.size else Part(image, self.offset, self.size)

    @property
    def whole(self) -> bool:
        """Whether it is all of its medium."""
        return self.offset == 0 and self.size == self.medium.image.size


class _Member(Struct, frozen=True):
    """A physical volume of an LVM2 volume group."""

    volume: _Volume
    label: lvm.Label


class _Search:
    """The search of one image, and what it has found so far."""

    def __init__(self, exhibit: str, keys: Keys, shadow_copies: bool) -> None:
        self.exhibit, self.keys, self.shadow_copies = exhibit, keys, shadow_copies
        self.file_systems: list[FileSystem] = []
        self.layers: list[LayerInfo] = []
        self.faults: list[Fault] = []
        self.members: list[_Member] = []
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

    def found(self, system: FileSystem) -> None:
        """A file system to walk."""
        self.recognised = True
        if not self.full:
            self.file_systems.append(system)
        self.add(system.info)

    def holds(self, volume: _Volume, kind: str, description: str, label: str | None = None, at: str = "") -> tuple[Layer, ...]:
        """A layer that holds others: it is examined in that these are. Its layers come back."""
        self.recognised = True
        layers = (*volume.layers, Layer(kind, at))
        self.add(
            LayerInfo(
                location=str(Location(self.exhibit, layers)),
                kind=kind,
                offset=volume.offset,
                size=volume.size,
                label=label or None,
                description=f"{volume.description}; {description}" if volume.description else description,
                examined=True,
            )
        )
        return layers

    def refuse(self, volume: _Volume, kind: str, failure: Exception | str, description: str | None = None) -> None:
        """A volume that is not examined, and the fault that says so."""
        place = self.place(volume, kind)
        said = [text for text in (volume.description, description) if text]
        self.add(
            LayerInfo(
                location=place,
                kind=kind,
                offset=volume.offset,
                size=volume.size,
                description="; ".join(said) or None,
                reason=str(failure),
            )
        )
        kind_of_fault: FaultKind = "locked" if isinstance(failure, Locked) else "unsupported"
        self.faults.append(Fault(location=place, kind=kind_of_fault, message=f"not examined: {failure}"))

    def place(self, volume: _Volume, kind: str) -> str:
        return str(Location(self.exhibit, volume.layers if volume.named else (*volume.layers, Layer(kind))))

    def keys_of(self, layers: tuple[Layer, ...]) -> tuple[Key, ...]:
        return tuple(self.keys.of(str(Location(self.exhibit, layers))))


def _read(volume: _Volume, offset: int, size: int) -> bytes:
    return bytes(volume.medium.image.read(volume.offset + offset, max(0, min(size, volume.size - offset))))


def open_layers(exhibit: str, image: Image, keys: Keys = NO_KEYS) -> Layers:
    """The layers of `image`. What is not read is a layer with a reason and a fault; raises EvidenceError where the storage fails."""
    search = _search(exhibit, image, keys, True)
    return Layers(tuple(search.file_systems), tuple(search.layers), tuple(search.faults))


def open_exhibit(exhibit: str, path: Path, *, keys: Keys = NO_KEYS, shadow_copies: bool = True) -> Opened:
    """Open what was received: a folder, an image of a medium, an archive of files, or a single file; `keys` open what is locked in it.

    Each shadow copy of a volume is as large as the volume. With `shadow_copies` false they are named, and not examined.

    A single file with neither volume system nor file system is one file (kind "file"); one that looks like no known type either gets a
    fault and a layer that is not examined, since it may be a medium that nothing here can read. Raises Unsupported for an image format
    that is recognised and not read, EvidenceError where the path cannot be read.
    """
    if path.is_dir() and not is_sparse_bundle(path):
        folder = FolderSystem(exhibit, path)
        return Opened(None, (folder,), (folder.info,))
    image = open_sparse_bundle(path) if path.is_dir() else open_image(path)
    try:
        if isinstance(image, Ad1Image):
            files = image.members(exhibit)
            return Opened(image, (files,), (files.info,))
        if image.format == "raw" and archive.is_archive(path, image):
            return _archive(exhibit, path, image)
        search = _search(exhibit, image, keys, shadow_copies)
        strange = image.size >= _HEAD and mime_of(image.read(0, _HEAD)) == UNKNOWN
    except EvidenceError:
        image.close()
        raise
    if search.recognised or image.format != "raw":
        return Opened(image, tuple(search.file_systems), tuple(search.layers), tuple(search.faults))
    image.close()
    one = FileSystemOfOne(exhibit, path)
    return Opened(None, (one,), (one.info, *search.layers) if strange else (one.info,), tuple(search.faults) if strange else ())


def _archive(exhibit: str, path: Path, image: Image) -> Opened:
    """The members of an archive; the archive as one file, and a fault, where its list of members cannot be read."""
    try:
        members = archive.open_archive(exhibit, path, image)
    except Corrupt as error:
        image.close()
        one = FileSystemOfOne(exhibit, path)
        return Opened(None, (one,), (one.info,), (Fault(location=one.info.location, kind="corrupt", message=str(error)),))
    return Opened(image, (members,), (members.info,))


def _search(exhibit: str, image: Image, keys: Keys, shadow_copies: bool) -> _Search:
    search = _Search(exhibit, keys, shadow_copies)
    whole = _Volume(Medium(image), 0, image.size, named=False)
    _examine(search, whole)
    _volume_groups(search)
    count = image.metadata.get("internal_snapshots")
    if count:
        message = f"{count} snapshots are kept inside of the image; not read: the state that it was in last is examined"
        search.refuse(whole, "qcow-snapshots", Unsupported(message))
    return search


def _examine(search: _Search, volume: _Volume) -> None:
    """Find out what `volume` holds, in the order of `_OPENERS`."""
    if volume.depth > limits.NESTING:
        search.refuse(volume, "unknown", f"layers within layers more than {limits.NESTING} deep")
        return
    for opener in _OPENERS:
        if opener(search, volume):
            return


def _within(search: _Search, volume: _Volume, bytes: Source, layers: tuple[Layer, ...], description: str | None = None) -> None:
    """Examine what a layer gives: its bytes are a medium of their own."""
    named = layers[-1].kind == "volume"
    _examine(search, _Volume(Medium(bytes), 0, bytes.size, layers, volume.depth + 1, description, named))


# --- what is encrypted --------------------------------------------------------------------------------------------------------


def _bitlocker(search: _Search, volume: _Volume) -> bool:
    if not signatures.is_bitlocker(partial(_read, volume)):
        return False
    layers = (*volume.layers, Layer("bitlocker"))
    name, keys = str(Location(search.exhibit, layers)), search.keys_of(layers)
    description = None
    try:
        description = bitlocker.describe(volume.source, name)
        unlocked = bitlocker.unlock(volume.source, name, keys)
    except EvidenceError as error:
        _storage(error)
        failure = Locked(f"BitLocker: encrypted; {error}")
        search.recognised = True
        search.refuse(volume, "bitlocker", failure, description)
        return True
    _unlocked(search, volume, "bitlocker", description, unlocked, keys)
    return True


def _luks(search: _Search, volume: _Volume) -> bool:
    head = _read(volume, 0, 8)
    version = {luks.MAGIC_V1: 1, luks.MAGIC_V2: 2}.get(head)
    if version is None:
        return False
    kind = f"luks{version}"
    layers = (*volume.layers, Layer(kind))
    name, keys = str(Location(search.exhibit, layers)), search.keys_of(layers)
    description, label = None, ""
    try:
        header = luks.read_header(volume.source, name)
        description, label = header.description, header.label
        unlocked = luks.unlock(volume.source, name, header, keys)
    except EvidenceError as error:
        _storage(error)
        search.recognised = True
        search.refuse(volume, kind, Locked(f"LUKS version {version}: encrypted; {error}"), description)
        return True
    _unlocked(search, volume, kind, description, unlocked, keys, label)
    return True


def _unlocked(
    search: _Search,
    volume: _Volume,
    kind: str,
    description: str,
    unlocked: tuple[Source, str] | None,
    keys: tuple[Key, ...],
    label: str = "",
) -> None:
    """What becomes of an encrypted volume: it is examined decrypted, or named as locked."""
    if unlocked is None:
        search.recognised = True
        search.refuse(volume, kind, Locked(_why_locked(keys)), description)
        return
    source, by = unlocked
    layers = search.holds(volume, kind, f"{description}; opened with the {NAMES.get(by, by)}", label)
    _within(search, volume, source, layers)


def _why_locked(keys: tuple[Key, ...]) -> str:
    if keys:
        return (
            f"encrypted; none of the {len(keys)} keys given for it opens it"
            if len(keys) > 1
            else "encrypted; the key given does not open it"
        )
    return "encrypted; no key was given for it"


def _storage(error: EvidenceError) -> None:
    """Raise `error` on where it is the storage that failed, and not the structure of a layer."""
    if type(error) is EvidenceError:
        raise error


# --- what holds volumes -------------------------------------------------------------------------------------------------------


def _lvm(search: _Search, volume: _Volume) -> bool:
    """A physical volume of LVM2: its group is opened once all of the image has been seen."""
    signature = signatures.recognise(partial(_read, volume))
    if signature is None or signature.kind != "lvm2":
        return False
    search.recognised = True
    name = search.place(volume, "lvm2")
    try:
        member = _Member(volume, lvm.label(volume.source, name))
    except EvidenceError as error:
        _storage(error)
        search.refuse(volume, "lvm2", error)
        return True
    search.holds(volume, "lvm2", f"LVM2 physical volume {member.label.identifier} of group {member.label.group}", member.label.group)
    search.members.append(member)
    return True


def _volume_groups(search: _Search) -> None:
    """Open the volume groups whose physical volumes were all found; what they hold may be physical volumes of other groups."""
    done: set[int] = set()
    while True:
        waiting = [number for number in range(len(search.members)) if number not in done]
        if not waiting:
            return
        first = search.members[waiting[0]]
        needs = first.label.needs
        together = {search.members[number].label.identifier: number for number in waiting if search.members[number].label.needs == needs}
        done |= {waiting[0], *together.values()}
        _volume_group(search, first, [search.members[number] for number in together.values()])


def _volume_group(search: _Search, first: _Member, members: list[_Member]) -> None:
    volume, label = first.volume, first.label
    layers = (*volume.layers, Layer("lvm2"))
    name = str(Location(search.exhibit, layers))
    by_identifier = {member.label.identifier: member.volume.source for member in members}
    missing = [identifier for identifier in label.needs if identifier not in by_identifier]
    group = replace(volume, layers=layers, description=None, named=False)
    if missing or not label.needs:
        message = f"volume group {label.group} is not complete: physical volume {', '.join(missing) or 'list'} is not in this exhibit"
        search.refuse(group, "lvm2-group", Unsupported(message))
        return
    try:
        found = lvm.logical_volumes([by_identifier[identifier] for identifier in label.needs], label.text, name)
    except EvidenceError as error:
        _storage(error)
        search.refuse(group, "lvm2-group", error)
        return
    for logical in found:
        inside = (*layers, Layer("volume", logical.name))
        if logical.bytes is None:
            one = replace(group, layers=inside, named=True, offset=0, size=logical.size)
            search.refuse(one, "volume", Unsupported(logical.reason or ""))
        else:
            _within(search, volume, logical.bytes, inside, f"logical volume {logical.name}")


def _core_storage(search: _Search, volume: _Volume) -> bool:
    signature = signatures.recognise(partial(_read, volume))
    if signature is None or signature.kind != "core-storage":
        return False
    search.recognised = True
    layers = (*volume.layers, Layer("core-storage"))
    name, keys = str(Location(search.exhibit, layers)), search.keys_of((*layers, Layer("volume", "1")))
    try:
        label, found = core_storage.open_group(volume.source, name, keys)
    except EvidenceError as error:
        _storage(error)
        search.refuse(volume, "core-storage", Locked(f"{signature.name}: {error}"))
        return True
    search.holds(volume, "core-storage", f"CoreStorage volume group of {len(found)} logical volumes", label)
    for number, logical in enumerate(found, 1):
        inside = (*layers, Layer("volume", str(number)))
        if logical.bytes is None:
            locked = _Volume(volume.medium, volume.offset, logical.size, inside, description=f"logical volume {logical.name}")
            search.refuse(locked, "filevault", Locked(_why_locked(keys)), "FileVault 2; protectors: password, recovery password")
        else:
            opened = f"; opened with the {NAMES[logical.key]}" if logical.key else ""
            _within(search, volume, logical.bytes, inside, f"logical volume {logical.name}{opened}")
    return True


def _apfs(search: _Search, volume: _Volume) -> bool:
    signature = signatures.recognise(partial(_read, volume))
    if signature is None or signature.kind != "apfs":
        return False
    search.recognised = True
    name = search.place(volume, "apfs-container")
    try:
        volumes = wide.apfs_volumes(volume.source, name)
    except EvidenceError as error:
        _storage(error)
        search.refuse(volume, "apfs-container", error)
        return True
    layers = search.holds(volume, "apfs-container", f"APFS container of {len(volumes)} volumes")
    for each in volumes:
        inside = (*layers, Layer("volume", str(each.number)))
        keys = search.keys_of(inside)
        place = _Volume(volume.medium, volume.offset, volume.size, inside, description=f"volume {each.name}")
        if each.problem is not None:
            search.refuse(place, "apfs", Unsupported(f"the volume cannot be read: {each.problem}"))
            continue
        try:
            found = wide.open_apfs(volume.source, search.exhibit, inside, each, keys)
        except EvidenceError as error:
            _storage(error)
            search.refuse(place, "apfs", error)
            continue
        if found is None:
            search.refuse(place, "apfs", Locked(_why_locked(keys)), "APFS, encrypted (FileVault); protectors: password, recovery password")
            continue
        search.found(found[0])
        _apfs_snapshots(search, place, inside, each)
    return True


def _apfs_snapshots(search: _Search, place: _Volume, inside: tuple[Layer, ...], volume: wide.ApfsVolume) -> None:
    """The snapshots of a volume are named: nothing reads them here."""
    layers = (*inside, Layer("apfs"))
    try:
        found = apfs.snapshots(place.source, volume.number)
    except EvidenceError as error:
        _storage(error)
        one = replace(place, layers=(*layers, Layer("snapshots")))
        search.refuse(one, "apfs-snapshots", Unsupported(f"whether the volume has snapshots cannot be told: {error}"))
        return
    for snapshot in found:
        one = replace(place, layers=(*layers, Layer("snapshot", snapshot.name)), description=f"APFS snapshot, made {snapshot.created}")
        search.refuse(
            one, "apfs-snapshot", Unsupported("snapshots of APFS are not read: the state that the volume was in last is examined")
        )


def _shadow_copies(search: _Search, volume: _Volume) -> None:
    """The shadow copies of an NTFS volume: each is a layer of its own, and the file system in it is walked as any other."""
    layers = (*volume.layers, Layer("ntfs"))
    place = _Volume(volume.medium, volume.offset, volume.size, (*layers, Layer("vss")))
    name = str(Location(search.exhibit, place.layers))
    try:
        for store in shadow.stores(volume.source, name):
            description = f"volume shadow copy {store.number}, made {store.created}"
            if store.bytes is None or not search.shadow_copies:
                one = replace(place, layers=(*layers, Layer("vss", str(store.number))), description=description)
                why = "left out, as was asked" if store.bytes else "its data is not on this volume"
                search.refuse(one, "vss", Unsupported(why))
                continue
            inside = search.holds(replace(place, layers=layers), "vss", description, store.identifier, at=str(store.number))
            _within(search, volume, store.bytes, inside, description)
    except EvidenceError as error:
        _storage(error)
        search.refuse(place, "vss", Unsupported(f"volume shadow copies: {error}"))


# --- file systems and partition tables ----------------------------------------------------------------------------------------


def _file_system(search: _Search, volume: _Volume) -> bool:
    """A file system; the partition table that one without its own boot sector may share the medium with is examined beside it."""
    try:
        found = open_file_systems(volume.medium, search.exhibit, volume.layers, volume.offset, volume.size, volume.description)
    except (Unsupported, Locked) as error:
        search.recognised = True
        signature = signatures.recognise(partial(_read, volume))
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
        and signatures.has_shadow_copies(partial(_read, volume))
        and not _restored(volume)
    ):
        _shadow_copies(search, volume)
    if found and not volume.layers and not kinds & _OWN_BOOT_SECTOR:
        _volume_system(search, volume)
    return bool(found)


def _restored(volume: _Volume) -> bool:
    """Whether it is a shadow copy itself: the copies that it holds are those of the volume."""
    return any(layer.kind == "vss" for layer in volume.layers)


def _other_file_system(search: _Search, volume: _Volume) -> bool:
    """A file system that dfVFS reads and The Sleuth Kit does not."""
    signature = signatures.recognise(partial(_read, volume))
    name = str(Location(search.exhibit, volume.layers))
    kinds = ("xfs",) if signature is not None and signature.kind == "xfs" else () if signature else wide.recognise(volume.source, name)
    failure: EvidenceError | None = None
    for kind in kinds:
        said = "not recognised by The Sleuth Kit" if kind != "xfs" else None
        description = "; ".join(filter(None, (volume.description, said))) or None
        try:
            system = wide.WideFileSystem(volume.source, search.exhibit, volume.layers, kind, base=volume.offset, description=description)
        except EvidenceError as error:
            _storage(error)
            failure = error
            continue
        search.found(system)
        return True
    if failure is not None and kinds == ("xfs",):
        search.recognised = True
        search.refuse(volume, "xfs", failure)
        return True
    return False


def _volume_system(search: _Search, volume: _Volume) -> bool:
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


def _lies_in(part: Partition, volume: _Volume) -> bool:
    return volume.offset < part.offset and part.offset + part.size <= volume.offset + volume.size


def _partition(search: _Search, volume: _Volume, system: VolumeSystem, part: Partition) -> None:
    end = volume.offset + volume.size
    inside = Layer("volume" if part.allocated else "unallocated", str(part.offset - volume.offset))
    child = _Volume(
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
    elif part.offset < volume.offset or part.offset >= end:
        message = f"the volume lies at byte {part.offset}, outside of what was acquired (bytes {volume.offset}-{end - 1})"
        search.refuse(child, "volume", message)
    elif part.offset == volume.offset and search.file_systems and search.file_systems[-1].info.offset == volume.offset:
        return  # a hybrid image: this volume is the file system that was found at its start
    else:
        if part.size > child.size:
            message = f"the volume has {part.size} bytes by the partition table, and {child.size} were acquired"
            search.faults.append(Fault(location=str(Location(search.exhibit, child.layers)), kind="damaged", message=message))
        _examine(search, child)


def _signature(search: _Search, volume: _Volume) -> bool:
    signature = signatures.recognise(partial(_read, volume))
    if signature is None:
        return False
    _refuse_signature(search, volume, signature)
    return True


def _refuse_signature(search: _Search, volume: _Volume, signature: signatures.Signature) -> None:
    search.recognised = True
    if signature.state == "locked":
        search.refuse(volume, signature.kind, Locked(f"{signature.name}: encrypted; give an image of the decrypted volume"))
    else:
        message = f"{signature.name}: not read; examine it with another tool, or give its files as a folder"
        search.refuse(volume, signature.kind, Unsupported(message))


def _nothing(search: _Search, volume: _Volume) -> bool:
    search.refuse(volume, "unknown", NOT_RECOGNISED)
    return True


_READ_HERE = {"lvm2", "core-storage", "apfs", "xfs"}  # by the openers after The Sleuth Kit's, which they follow
_OPENERS: tuple[Callable[[_Search, _Volume], bool], ...] = (
    _bitlocker,
    _luks,
    _file_system,
    _lvm,
    _core_storage,
    _apfs,
    _other_file_system,
    _signature,
    _volume_system,
    _nothing,
)
