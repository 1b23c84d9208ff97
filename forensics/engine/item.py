"""What is examined: a stream of a file system, or a file inside another."""

from collections.abc import Callable

from msgspec import Struct

from forensics.engine.content import Content
from forensics.evidence.filesystem import Stream
from forensics.location import Location
from forensics.model import Digests, Entry
from forensics.plugin import Neighbour


class Item(Struct, frozen=True, kw_only=True):
    """One file with its content read.

    `depth` counts the containers around it; `beside` gives the file whose name is this one's plus a suffix, `around` the one at a path from
    its folder. `medium` are the bytes of the file system that it lies in, 0 inside a container.
    """

    place: int
    entry: Entry
    location: Location
    depth: int
    digests: Digests
    head: bytes
    content: Content
    beside: Callable[[str], tuple[Location, Stream] | None]
    around: Callable[[str], Neighbour | None] = lambda path: None
    medium: int = 0
