"""Volumes that are encrypted: opened with the keys that are given for them, else named with their protectors."""

from functools import partial

from forensics.errors import EvidenceError, Locked
from forensics.evidence import bitlocker, luks, signatures
from forensics.evidence.keys import NAMES, Key
from forensics.evidence.libyal import Source
from forensics.evidence.search import Search, Volume, raise_storage, read_volume, why_locked, within
from forensics.location import Layer, Location


def bitlocker_volume(search: Search, volume: Volume) -> bool:
    """A volume in BitLocker; looked for before a file system, since BitLocker To Go looks like FAT too."""
    if not signatures.is_bitlocker(partial(read_volume, volume)):
        return False
    layers = (*volume.layers, Layer("bitlocker"))
    name, keys = str(Location(search.exhibit, layers)), search.keys_of(layers)
    description = None
    try:
        description = bitlocker.describe(volume.source, name)
        unlocked = bitlocker.unlock(volume.source, name, keys)
    except EvidenceError as error:
        raise_storage(error)
        failure = Locked(f"BitLocker: encrypted; {error}")
        search.recognised = True
        search.refuse(volume, "bitlocker", failure, description)
        return True
    _unlocked(search, volume, "bitlocker", description, unlocked, keys)
    return True


def luks_volume(search: Search, volume: Volume) -> bool:
    """A volume in LUKS; looked for before a file system, of which remains may lie behind the header."""
    head = read_volume(volume, 0, 8)
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
        raise_storage(error)
        search.recognised = True
        search.refuse(volume, kind, Locked(f"LUKS version {version}: encrypted; {error}"), description)
        return True
    _unlocked(search, volume, kind, description, unlocked, keys, label)
    return True


def _unlocked(
    search: Search,
    volume: Volume,
    kind: str,
    description: str,
    unlocked: tuple[Source, str] | None,
    keys: tuple[Key, ...],
    label: str = "",
) -> None:
    """What becomes of an encrypted volume: it is examined decrypted, or named as locked."""
    if unlocked is None:
        search.recognised = True
        search.refuse(volume, kind, Locked(why_locked(keys)), description)
        return
    source, by = unlocked
    layers = search.holds(volume, kind, f"{description}; opened with the {NAMES.get(by, by)}", label)
    within(search, volume, source, layers)
