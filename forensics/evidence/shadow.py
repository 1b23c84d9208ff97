"""Volume shadow copies of NTFS, through libvshadow: each store is the whole volume as it was when the copy was made."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from forensics.errors import Corrupt
from forensics.evidence import limits, shadow_blocks
from forensics.evidence.libyal import FAILURES, Derived, OpenFile, Source, opened


class Store(NamedTuple):
    """One shadow copy: its number from 1 (the oldest) on, its identifier, when it was made (ISO 8601, UTC), the volume's bytes then.

    `bytes` is `None` where the volume does not hold its data.
    """

    number: int
    identifier: str
    created: str
    bytes: Derived | None


def stores(source: Source, name: str) -> Iterator[Store]:
    """The shadow copies of a volume, oldest first. Raises Corrupt where the catalogue cannot be read."""
    import pyvshadow

    file = OpenFile(source)
    volume = pyvshadow.volume()
    opened(lambda: volume.open_file_object(file), name, (file,))
    count = int(opened(lambda: volume.number_of_stores, name, (file,)))
    for number in range(min(count, limits.SNAPSHOTS)):
        store = opened(lambda number=number: volume.get_store(number), name, (file,))  # type: ignore[misc]
        try:
            created = store.get_creation_time().isoformat() + "Z"
        except FAILURES:
            created = "unknown"
        place = f"{name}, shadow copy {number + 1}"
        size = int(store.volume_size)
        data = Derived(store, size, place, (file,), (volume,)) if store.has_in_volume_data() else None
        yield Store(number + 1, str(store.identifier), created, data)


def same_bytes(source: Source, identifier: str) -> Callable[[int, int], bool]:
    """Tells of a range of bytes (offset, size) whether a store shows what the volume has today; never where its lists are damaged."""
    try:
        return shadow_blocks.differing(source, identifier).same
    except Corrupt:
        return lambda offset, size: False
