"""What is to be read, as units of a fixed budget, in the order in which it lies on the medium.

Entries come from the walk in windows of a fixed number; each window is sorted by place on the medium and cut into units. So memory
stays flat whatever the number of entries, and the plan is the same on every machine. Files of a shadow copy that the live volume has in the
same blocks stand in units of their own, which are examined after it.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from forensics.model import Entry, Fault

WINDOW = 1 << 16  # entries sorted together
UNIT_ENTRIES = 1024
UNIT_BYTES = 64 << 20
CUT = "could not be walked to its end"  # says the fault of a file system of which not all is planned


class Unit(Struct, frozen=True):
    """A lot of entries of one file system of one exhibit: what one child is given at a time."""

    exhibit: str
    file_system: int
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes of content to read."""
        return sum(entry.size for entry in self.entries if entry.kind not in ("directory", "link"))


encode = msgspec.json.Encoder(order="sorted").encode
decode = msgspec.json.Decoder(Unit).decode


def units(exhibit: str, number: int, walk: Iterable[Entry | Fault], most: int = WINDOW) -> Iterator[Unit | Fault]:
    """The units of file system `number` of `exhibit`, and the faults of its `walk` as they come; `most` entries are sorted together."""
    window: list[Entry] = []
    for item in walk:
        if isinstance(item, Fault):
            yield item
            continue
        window.append(item)
        if len(window) == most:
            yield from _cut(exhibit, number, window)
            window = []
    yield from _cut(exhibit, number, window)


def _cut(exhibit: str, number: int, window: list[Entry]) -> Iterator[Unit]:
    window.sort(key=lambda entry: entry.start)  # stable: what has no place keeps the order of the walk, first
    for alike in (False, True):
        yield from _lots(exhibit, number, [entry for entry in window if entry.same_blocks == alike])


def _lots(exhibit: str, number: int, entries: list[Entry]) -> Iterator[Unit]:
    lot: list[Entry] = []
    size = 0
    for entry in entries:
        if lot and (len(lot) == UNIT_ENTRIES or size + entry.size > UNIT_BYTES):
            yield Unit(exhibit, number, tuple(lot))
            lot, size = [], 0
        lot.append(entry)
        size += entry.size
    if lot:
        yield Unit(exhibit, number, tuple(lot))
