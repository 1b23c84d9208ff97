"""CoreStorage volume groups of Apple, which carry FileVault 2 before APFS, through libfvde."""

from typing import Any, NamedTuple

from forensics.evidence.keys import Key
from forensics.evidence.libyal import FAILURES, Derived, OpenFile, Source, opened


class Logical(NamedTuple):
    """A logical volume: name, size, its bytes where it is open, and the kind of key that opened it ("" where it is not encrypted)."""

    name: str
    size: int
    bytes: Derived | None
    key: str


def open_group(source: Source, name: str, keys: tuple[Key, ...]) -> tuple[str, list[Logical]]:
    """The group's name and its logical volumes. Raises Corrupt where its metadata cannot be read."""
    found: list[Logical] = []
    group, file, label = _open(source, name)
    count = int(opened(lambda: group[1].number_of_logical_volumes, name, (file,)))
    for number in range(min(count, 64)):
        found.append(_logical(source, name, number, keys))
    return label, found


def _logical(source: Source, name: str, number: int, keys: tuple[Key, ...]) -> Logical:
    label, size = "", 0
    for key in (None, *keys):
        group, file, _ = _open(source, name)
        volume = opened(lambda group=group: group[1].get_logical_volume(number), name, (file,))  # type: ignore[misc]
        label, size = volume.name or "", int(volume.size)
        try:
            if key is not None and key.kind == "password":
                volume.set_password(key.text)
            elif key is not None and key.kind == "recovery":
                volume.set_recovery_password(key.text)
            elif key is not None:
                continue
            if volume.is_locked():
                volume.unlock()
            locked = volume.is_locked()
        except FAILURES:
            locked = True
        if not locked:
            return Logical(label, size, Derived(volume, size, name, (file,), (group,)), key.kind if key else "")
    return Logical(label, size, None, "")


def _open(source: Source, name: str) -> tuple[tuple[Any, Any], OpenFile, str]:
    import pyfvde

    file = OpenFile(source)
    volume = pyfvde.volume()
    opened(lambda: volume.open_file_object(file), name, (file,))
    opened(lambda: volume.open_physical_volume_files_as_file_objects([file]), name, (file,))
    group = opened(lambda: volume.get_volume_group(), name, (file,))
    return (volume, group), file, str(group.name or "")
