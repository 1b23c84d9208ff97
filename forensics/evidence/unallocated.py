"""Space that belongs to no file: free blocks of a file system, gaps between volumes, media on which nothing is recognised.

It is walked as a file system of its own whose entries are byte ranges, in order, none longer than `PIECE`. What goes on beyond the end of a
piece is its sibling `CONTINUED`, so that what begins in one piece can be followed into the next. Blocks that do not lie side by side are
never joined.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

from forensics.errors import Corrupt, EvidenceError, Unsupported
from forensics.evidence import free_blocks
from forensics.evidence.filesystem import FileSystem
from forensics.evidence.libyal import Source
from forensics.evidence.space import KIND
from forensics.evidence.tsk import TskFileSystem
from forensics.location import Layer, Location
from forensics.model import Entry, Fault, FaultKind, LayerInfo

PIECE = 256 << 20  # bytes of one entry
NEXT = 64 << 20  # bytes that are looked at beyond its end
CONTINUED = "-continued"
NOT_ASKED = "not asked for: unallocated space is examined with --unallocated or --carve"
SHADOWED = "the space of a shadow copy is that of its volume"


class UnallocatedSpace:
    """Byte ranges of a medium that no file has. Satisfies `FileSystem`.

    `runs` gives them (offset, size) from byte `base` of the medium on; `layers` are those that lead to them. It is `stated` where the
    layers of the exhibit already say that it is there. `source` itself begins at byte `place` of what holds it.
    """

    def __init__(
        self,
        exhibit: str,
        layers: tuple[Layer, ...],
        source: Source,
        base: int,
        runs: Callable[[], Iterable[free_blocks.Run]],
        *,
        stated: bool,
        place: int = 0,
    ) -> None:
        self._exhibit, self._layers, self._source, self._base, self._runs = exhibit, layers, source, base, runs
        self.stated, self._place = stated, place
        self.info = LayerInfo(location=str(Location(exhibit, layers)), kind=KIND, offset=place + base, size=0, reason=NOT_ASKED)

    def runs(self) -> Iterator[free_blocks.Run]:
        """Its byte ranges as far as they were acquired. Raises Unsupported, Corrupt where the map of blocks cannot be read."""
        end = self._source.size - self._base
        for offset, size in self._runs():
            if 0 <= offset < end:
                yield offset, min(size, end - offset)

    def walk(self) -> Iterator[Entry | Fault]:
        """An entry for each contiguous range, or for each `PIECE` of one."""
        try:
            for offset, size in self.runs():
                for at in range(offset, offset + size, PIECE):
                    length = min(PIECE, offset + size - at)
                    more = min(NEXT, offset + size - at - length)
                    yield Entry(
                        location=str(self._location(at, length, more)),
                        kind="virtual",
                        size=length,
                        state="unallocated",
                        start=self._place + self._base + at,
                    )
        except EvidenceError as error:
            kind: FaultKind = "unsupported" if isinstance(error, Unsupported) else "corrupt"
            yield Fault(location=self.info.location, kind=kind, message=f"its unallocated space is not examined: {error}")

    def open(self, location: Location) -> "Range":
        """The bytes of an entry, or those that follow it. Raises Corrupt for any other location."""
        continued = location.path.endswith(CONTINUED)
        start, size, more = self._range(location)
        first, length = (start + size, more) if continued else (start, size)
        if first < 0 or first + length > self._source.size - self._base:
            raise Corrupt(f"{location}: lies outside of what was acquired")
        return Range(self._source, self._base + first, length)

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """What follows the entry without a break, where its range was cut."""
        if suffix != CONTINUED or not self._range(location)[2]:
            return None
        return Location(self._exhibit, self._layers, location.path + CONTINUED, location.meta)

    def _location(self, start: int, size: int, more: int) -> Location:
        """The path says first and last byte; the address how many bytes are looked at behind them."""
        return Location(self._exhibit, self._layers, f"/{start}-{start + size - 1}", str(more) if more else None)

    def _range(self, location: Location) -> tuple[int, int, int]:
        first, _, last = location.path.removeprefix("/").removesuffix(CONTINUED).partition("-")
        more = location.meta or "0"
        if not all(text.isascii() and text.isdecimal() and len(text) < 20 for text in (first, last, more)) or int(last) < int(first):
            raise Corrupt(f"{location}: is no byte range")
        return int(first), int(last) - int(first) + 1, int(more)


class Range:
    """A range of bytes of a medium, as a stream."""

    def __init__(self, source: Source, offset: int, size: int) -> None:
        self._source, self._offset, self.size = source, offset, size

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end."""
        size = min(size, self.size - offset)
        return self._source.read(self._offset + offset, size) if size > 0 and offset >= 0 else b""

    def changed(self) -> bool:
        """Never: an image is read-only and its digest is taken."""
        return False


@runtime_checkable
class Spacious(Protocol):
    """A file system that says itself where its unallocated space is; `None` where that is another's to say."""

    def space(self) -> UnallocatedSpace | None: ...


def space_of(system: FileSystem) -> UnallocatedSpace | None:
    """The free blocks of a file system; `None` for a shadow copy, whose free blocks are those of its volume, and where there is no map."""
    if isinstance(system, Spacious):
        return system.space()
    if not isinstance(system, TskFileSystem) or any(layer.kind == "vss" for layer in system.layers):
        return None
    layers = (*system.layers, Layer("unallocated"))
    return UnallocatedSpace(system.exhibit, layers, system.source, system.info.offset, system.free_runs, stated=False)


def stated(space: UnallocatedSpace, *, examined: bool) -> LayerInfo:
    """How much unallocated space there is, or why that is not known; `size` -1 where it is not."""
    try:
        size, reason = sum(size for _, size in space.runs()), NOT_ASKED
    except EvidenceError as error:
        size, reason = -1, str(error)
    known = examined and size >= 0
    info = space.info
    return LayerInfo(
        location=info.location, kind=KIND, offset=info.offset, size=max(size, 0), examined=known, reason=None if known else reason
    )
