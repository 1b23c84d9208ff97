"""What every reader of a file system offers, whether it reads with The Sleuth Kit or from a folder."""

from collections.abc import Iterator
from typing import Protocol

from forensics.location import Location
from forensics.model import Entry, Fault, LayerInfo


class Stream(Protocol):
    """The content of one stream: `size` bytes."""

    @property
    def size(self) -> int:
        """Bytes of content."""

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end. Raises Corrupt that names the location and the offset."""

    def changed(self) -> bool:
        """Whether the content may have changed since it was opened: only a file in a folder ever does."""


class FileSystem(Protocol):
    """One file system of an exhibit, read-only."""

    @property
    def info(self) -> LayerInfo:
        """Its layer; `location` is the prefix of the locations of its entries."""

    def walk(self) -> Iterator[Entry | Fault]:
        """Every stream of every name, each walk in the same order; what cannot be read is a fault at its place."""

    def open(self, location: Location) -> Stream:
        """The content at a location that the walk gave. Raises Corrupt where nothing is there (any more) or it cannot be read."""

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """The allocated file beside it whose name is its name and `suffix`; `None` where there is none."""
