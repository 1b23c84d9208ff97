"""What a child is told to do, and what it answers: all that the two sides of its pipe have in common, and nothing that reads evidence."""

import struct

import msgspec
from msgspec import Struct

from forensics.model import Entry, Fault, PluginInfo

DONE = struct.Struct("<qqq")  # entries, files inside the next entry, bytes


class Death(Struct, frozen=True):
    """Why the pair of a file (its place, see `setup.place`) and a plugin ended its child twice, and is not tried again."""

    entry: int
    plugin: int
    message: str
    limit: bool


class Wanted(Struct, frozen=True):
    """What to extract: the entry in a file system that it is or lies in, and through which containers, each with a member's number."""

    base: Entry
    through: tuple[tuple[str, int], ...] = ()


class Before(Struct, frozen=True):
    """What a child is given of an earlier run for one unit: the plugins whose word is kept, and the unit's segment as it is stored."""

    kept: tuple[str, ...]
    segment: bytes


class Described(Struct, frozen=True):
    """Answer to ``describe``: the plugins as this run would use them; `sandbox` is which bounds the child is held in."""

    plugins: tuple[PluginInfo, ...]
    faults: tuple[Fault, ...]
    sandbox: str = ""


class OpenedInfo(Struct, frozen=True):
    """Answer to ``open``: how many file systems an exhibit has, whether it is an image, the bytes of each of the image's files, and of the
    decoded medium (0: a folder, of which nobody knows before it is read); and how many of them no file has, as far as that is known."""

    file_systems: int
    is_image: bool
    format: str
    sizes: tuple[int, ...] = ()
    size: int = 0
    unallocated: int = 0


class Task(Struct, frozen=True, omit_defaults=True):
    """What a child is to do.

    `unit` is the encoded unit of ``examine``; `start` the entry to begin with, the number of an analyser, or 1 where a walk is done again;
    `skip` how many files inside that entry are done; `again` is set where a child died of the unit before. `sizes` are the bytes of the
    files of each exhibit's image, as they were when it was first opened. `before` is what an earlier run says of the unit.
    `run` is the one whose records an analyser is given.
    """

    what: str
    exhibit: str = ""
    file_system: int = 0
    phase: str = ""
    start: int = 0
    skip: int = 0
    again: bool = False
    deaths: tuple[Death, ...] = ()
    unit: msgspec.Raw = msgspec.Raw(b"null")
    sizes: dict[str, tuple[int, ...]] = {}
    wanted: Wanted | None = None
    before: Before | None = None
    run: str = ""
