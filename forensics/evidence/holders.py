"""What holds volumes beside partition tables: LVM2, CoreStorage, APFS containers, shadow copies of NTFS."""

from functools import partial

from msgspec.structs import replace

from forensics.errors import EvidenceError, Locked, Unsupported
from forensics.evidence import apfs, apfs_free, core_storage, lvm, shadow, signatures, wide
from forensics.evidence.filesystem import FileSystem
from forensics.evidence.keys import NAMES
from forensics.evidence.libyal import Source
from forensics.evidence.search import Member, Search, Volume, raise_storage, read_volume, why_locked, within
from forensics.evidence.tsk import TskFileSystem
from forensics.evidence.unallocated import UnallocatedSpace
from forensics.location import Layer, Location


def lvm_member(search: Search, volume: Volume) -> bool:
    """A physical volume of LVM2: its group is opened once all of the image has been seen."""
    signature = signatures.recognise(partial(read_volume, volume))
    if signature is None or signature.kind != "lvm2":
        return False
    search.recognised = True
    name = search.place(volume, "lvm2")
    try:
        member = Member(volume, lvm.label(volume.source, name))
    except EvidenceError as error:
        raise_storage(error)
        search.refuse(volume, "lvm2", error)
        return True
    search.holds(volume, "lvm2", f"LVM2 physical volume {member.label.identifier} of group {member.label.group}", member.label.group)
    search.members.append(member)
    return True


def volume_groups(search: Search) -> None:
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


def _volume_group(search: Search, first: Member, members: list[Member]) -> None:
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
        raise_storage(error)
        search.refuse(group, "lvm2-group", error)
        return
    for logical in found:
        inside = (*layers, Layer("volume", logical.name))
        if logical.bytes is None:
            one = replace(group, layers=inside, named=True, offset=0, size=logical.size)
            search.refuse(one, "volume", Unsupported(logical.reason or ""))
        else:
            within(search, volume, logical.bytes, inside, f"logical volume {logical.name}")


def core_storage_group(search: Search, volume: Volume) -> bool:
    """A volume group of CoreStorage, and what its logical volumes hold."""
    signature = signatures.recognise(partial(read_volume, volume))
    if signature is None or signature.kind != "core-storage":
        return False
    search.recognised = True
    layers = (*volume.layers, Layer("core-storage"))
    name, keys = str(Location(search.exhibit, layers)), search.keys_of((*layers, Layer("volume", "1")))
    try:
        label, found = core_storage.open_group(volume.source, name, keys)
    except EvidenceError as error:
        raise_storage(error)
        search.refuse(volume, "core-storage", Locked(f"{signature.name}: {error}"))
        return True
    search.holds(volume, "core-storage", f"CoreStorage volume group of {len(found)} logical volumes", label)
    for number, logical in enumerate(found, 1):
        inside = (*layers, Layer("volume", str(number)))
        if logical.bytes is None:
            locked = Volume(volume.medium, volume.offset, logical.size, inside, description=f"logical volume {logical.name}")
            search.refuse(locked, "filevault", Locked(why_locked(keys)), "FileVault 2; protectors: password, recovery password")
        else:
            opened = f"; opened with the {NAMES[logical.key]}" if logical.key else ""
            within(search, volume, logical.bytes, inside, f"logical volume {logical.name}{opened}")
    return True


def apfs_container(search: Search, volume: Volume) -> bool:
    """A container of APFS: each of its volumes is a file system."""
    signature = signatures.recognise(partial(read_volume, volume))
    if signature is None or signature.kind != "apfs":
        return False
    search.recognised = True
    name = search.place(volume, "apfs-container")
    try:
        volumes = wide.apfs_volumes(volume.source, name)
    except EvidenceError as error:
        raise_storage(error)
        search.refuse(volume, "apfs-container", error)
        return True
    layers = search.holds(volume, "apfs-container", f"APFS container of {len(volumes)} volumes")
    runs, free = partial(apfs_free.free_runs, volume.source), (*layers, Layer("unallocated"))
    search.free(UnallocatedSpace(search.exhibit, free, volume.source, 0, runs, stated=False, place=volume.offset))
    for each in volumes:
        inside = (*layers, Layer("volume", str(each.number)))
        keys = search.keys_of(inside)
        place = Volume(volume.medium, volume.offset, volume.size, inside, description=f"volume {each.name}")
        source, each = (volume.source, each) if each.problem is None else _apfs_without_snapshots(volume, each, name)
        if each.problem is not None:
            search.refuse(place, "apfs", Unsupported(f"the volume cannot be read: {each.problem}"))
            continue
        try:
            found = wide.open_apfs(source, search.exhibit, inside, each, keys)
        except EvidenceError as error:
            raise_storage(error)
            search.refuse(place, "apfs", error)
            continue
        if found is None:
            search.refuse(place, "apfs", Locked(why_locked(keys)), "APFS, encrypted (FileVault); protectors: password, recovery password")
            continue
        search.found(found[0])
        _apfs_snapshots(search, place, inside, each)
    return True


def _apfs_without_snapshots(volume: Volume, failed: wide.ApfsVolume, name: str) -> tuple[Source, wide.ApfsVolume]:
    """A volume that libfsapfs could not open, as it is without its snapshots; as it was where that is not why."""
    try:
        source = apfs.without_snapshots(volume.source, failed.number)
        found = wide.apfs_volumes(source, name)[failed.number - 1 : failed.number]
    except EvidenceError as error:
        raise_storage(error)
        found = []
    return (source, found[0]) if found and found[0].problem is None else (volume.source, failed)


def _apfs_snapshots(search: Search, place: Volume, inside: tuple[Layer, ...], volume: wide.ApfsVolume) -> None:
    """The snapshots of a volume are named: nothing reads them here."""
    layers = (*inside, Layer("apfs"))
    try:
        found = apfs.snapshots(place.source, volume.number)
    except EvidenceError as error:
        raise_storage(error)
        one = replace(place, layers=(*layers, Layer("snapshots")))
        search.refuse(one, "apfs-snapshots", Unsupported(f"whether the volume has snapshots cannot be told: {error}"))
        return
    for snapshot in found:
        one = replace(place, layers=(*layers, Layer("snapshot", snapshot.name)), description=f"APFS snapshot, made {snapshot.created}")
        search.refuse(
            one, "apfs-snapshot", Unsupported("snapshots of APFS are not read: the state that the volume was in last is examined")
        )


def _compare(found: list[FileSystem], before: list[FileSystem], volume: Volume, store: shadow.Store) -> None:
    """Have what was found in a shadow copy compared with the volume's own file system, block by block, when it is walked."""
    layers = (*volume.layers, Layer("ntfs"))
    live = next((each for each in before if isinstance(each, TskFileSystem) and each.layers == layers), None)
    for system in found:
        if live and isinstance(system, TskFileSystem) and system.info.kind == "ntfs" and system.info.offset == 0:
            system.compare_with(live, partial(shadow.same_bytes, volume.source, store.identifier))


def shadow_copies_of(search: Search, volume: Volume) -> None:
    """The shadow copies of an NTFS volume: each is a layer of its own, and the file system in it is walked as any other."""
    layers = (*volume.layers, Layer("ntfs"))
    place = Volume(volume.medium, volume.offset, volume.size, (*layers, Layer("vss")))
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
            before = len(search.file_systems)
            within(search, volume, store.bytes, inside, description)
            _compare(search.file_systems[before:], search.file_systems[:before], volume, store)
    except EvidenceError as error:
        raise_storage(error)
        search.refuse(place, "vss", Unsupported(f"volume shadow copies: {error}"))
