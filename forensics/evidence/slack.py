"""File slack: what lies between the end of an allocated file's content and the end of the blocks that it has.

Each file whose slack holds anything but zeros gives one entry, whose location is the file's with the offset at which its content ends;
those that hold zeros alone are counted in one entry more.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from forensics.errors import EvidenceError
from forensics.evidence import limits
from forensics.evidence.directories import Directories
from forensics.evidence.filesystem import Stream
from forensics.evidence.libyal import Source
from forensics.evidence.tsk_constants import COMPRESSED, NON_RESIDENT
from forensics.evidence.tsk_entries import Found, Run
from forensics.evidence.tsk_walk import Walk
from forensics.location import Location
from forensics.model import Entry, EntryKind, Fault, LayerInfo, State

STATE: State = "slack"


class Slacking(Protocol):
    """What is needed of a file system whose files have slack."""

    @property
    def info(self) -> LayerInfo: ...
    def walk_slack(self) -> Iterator[Entry | Fault]: ...
    def open(self, location: Location) -> Stream: ...


def pieces(runs: list[Run], size: int, block: int) -> Iterator[tuple[int, int]]:
    """Offset (from where the file system begins) and number of the bytes beyond byte `size` of a stream that has these runs."""
    for offset, first, number in runs:
        start, end = offset * block, (offset + number) * block
        skipped = max(0, size - start)
        if skipped < end - start:
            yield first * block + skipped, end - start - skipped


class SlackStream:
    """The slack of one stream: `parts` are (offset on the medium, bytes), one after the other."""

    def __init__(self, source: Source, parts: list[tuple[int, int]]) -> None:
        self._source, self._parts = source, parts
        self.size = sum(size for _, size in parts)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end."""
        out = []
        for start, length in self._parts:
            if offset >= length:
                offset -= length
                continue
            wanted = min(size, length - offset)
            if wanted <= 0:
                break
            out.append(self._source.read(start + offset, wanted))
            if len(out[-1]) < wanted:
                break  # the image ends here
            size, offset = size - wanted, 0
        return b"".join(out)

    def changed(self) -> bool:
        """Never: an image is read-only and its digest is taken."""
        return False


class SlackSpace:
    """The slack of a file system's allocated files. Satisfies `FileSystem`."""

    def __init__(self, system: "Slacking") -> None:
        self._system = system

    @property
    def info(self) -> LayerInfo:
        """The file system's own layer: the locations are those of its files."""
        return self._system.info

    def walk(self) -> Iterator[Entry | Fault]:
        """One entry for each file whose slack holds anything."""
        return self._system.walk_slack()

    def open(self, location: Location) -> Stream:
        """The slack at a location that the walk gave. Raises Corrupt."""
        return self._system.open(location)

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """None: there is nothing beside it."""
        return None


class SlackWalk(Walk):
    """Goes through the allocated files, and yields their slack in their place."""

    def __init__(self, fs: Any, kind: str, prefix: str, base: int, source: Source) -> None:
        super().__init__(fs, kind, prefix, base, Directories(fs, kind, source, base))
        self._source = source
        self._empty = self._empty_bytes = 0

    def run(self) -> Iterator[Entry | Fault]:
        """The slack of every allocated stream; what the file system's own walk says of it is left out."""
        for item in super().run():
            if isinstance(item, Entry) and item.state == STATE:
                yield item
        if self._empty:
            note = f"the slack of {self._empty} files, {self._empty_bytes} bytes, holds zeros alone, and is not listed"
            yield Entry(location=f"{self._prefix}/;meta=slack", kind="other", size=0, state=STATE, note=note)

    def _allocated(self, file: Any, path: str, kind: EntryKind, meta: Any, address: int, folder: int | None) -> Iterator[Entry]:
        if folder is None or kind == "other":
            return  # another name of a file that was seen before
        for stream in self._streams(file, address, kind == "directory")[0]:
            yield from self._slack(stream, path)

    def _root(self, root: int) -> Iterator[Entry]:
        self._live.mark(root)
        return iter(())

    def _own_hidden(self) -> None:
        return

    def _second(self) -> Iterator[Entry | Fault]:
        return iter(())

    def _note_deleted(self, folder: Any, file: Any, depth: int) -> None:
        return

    def _slack(self, stream: Found, path: str) -> Iterator[Entry]:
        parts = slack_of(stream, self._base, self._block)
        if not parts:
            return
        size = sum(length for _, length in parts)
        try:
            whole = SlackStream(self._source, parts)
            zeros = all(not any(whole.read(at, limits.READ)) for at in range(0, size, limits.READ))
        except EvidenceError:
            zeros = False  # reading it again will say why
        if zeros:
            self._empty += 1
            self._empty_bytes += size
            return
        location = f"{self._location(path, stream.meta, stream.name)};offset={stream.size}"
        yield Entry(location=location, kind="virtual", size=size, state=STATE, start=parts[0][0])


def slack_of(stream: Found, base: int, block: int) -> list[tuple[int, int]]:
    """Where on the medium the slack of a stream lies; nowhere for what is compressed or lies in the file's own record."""
    if not stream.flags & NON_RESIDENT or stream.flags & COMPRESSED or stream.size < 0:
        return []
    return [(base + start, length) for start, length in pieces(stream.runs, stream.size, block)]
