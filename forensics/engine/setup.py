"""What a child is told once, when it starts; and what it tells while it works."""

import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics.evidence.keys import Keys
from forensics.evidence.space import Space
from forensics.model import Scope, Value

NO_ENTRY = -1  # the place of what is outside any file in `Status.entry`: opening, measuring, walking
READING = -1  # the place of the engine's own reading in `Status.plugin`
IDLE = -2
PREPARING = -3  # loading plugins and what they prepare
BROKEN = 71  # exit code of a child whose pipe or folder a plugin took away
_STATUS = struct.Struct("<qqqd")
_ENTRY = (1 << 32) - 1
_MOST = (1 << 63) - 1


class Limits(Struct, frozen=True):
    """Bounds of one plugin on one file: CPU seconds (a base, and more by size), wall seconds as a multiple, anonymous memory in bytes.

    The same hold between two signs of life while an exhibit is opened, measured or walked, by the size of its image. `prepare` is the CPU
    seconds in which all plugins are loaded, with their rules and hash sets.
    """

    cpu_base: float = 60.0
    cpu_per_mb: float = 2.0
    wall_factor: float = 5.0
    memory: int = 2 << 30
    prepare: float = 1800.0

    def cpu(self, size: int) -> float:
        """CPU seconds for content of `size` bytes."""
        return self.cpu_base + self.cpu_per_mb * size / 1e6


class Setup(Struct, frozen=True, kw_only=True):
    """Everything that a child needs to know: the exhibits' images, where plugins lie, their options, the scope, where it may write.

    `cache` is a folder in which plugins keep what they prepared for the next process and the next run, written before evidence is read.
    `keys` open locked layers; a setup travels over pipes alone, and is written nowhere. `space` is what is examined beside files.
    """

    exhibits: dict[str, str]
    plugin_folders: tuple[str, ...]
    plugins: tuple[str, ...] | None
    options: dict[str, dict[str, Value]]
    spool: str
    output: str
    index: str = ""
    cache: str = ""
    scope: Scope = Scope()
    skip_known: bool = False
    keys: Keys = Keys()
    space: Space = Space()


encode = msgspec.json.encode
decode = msgspec.json.Decoder(Setup).decode


def place(entry: int, member: int) -> int:
    """Which file a child is on, as one number: the entry's in its unit, and how many files inside it were begun before (0: itself)."""
    return entry | member << 32


def entry_of(place: int) -> int:
    """The number of the entry in its unit."""
    return place & _ENTRY


class Status:
    """The few words that a child writes, and its supervisor reads, in a mapped file: which entry, which plugin, since when.

    `intact` says whether the child can go on. It is asked before the next file is begun, and where `strict` before anything new is
    begun, so that then the plugin that took away what the child needs is the one that stands here when the child ends.
    """

    def __init__(self, path: Path, *, create: bool = False, intact: Callable[[], bool] = lambda: True) -> None:
        self._intact = intact
        self.strict, self._last = False, IDLE
        if create:
            path.write_bytes(bytes(_STATUS.size))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), _STATUS.size)
        if create:
            self.publish(NO_ENTRY, IDLE, 0)

    def publish(self, entry: int, plugin: int, size: int) -> None:
        """Say that work on `plugin` of `entry` (content of `size` bytes) begins now. Ends the process where it cannot go on."""
        if (self.strict or (plugin < 0 and self._last >= 0)) and not self._intact():
            os._exit(BROKEN)
        self._last = plugin
        # a size that evidence only claims must not keep the place from being told
        _STATUS.pack_into(self._map, 0, entry, plugin, max(0, min(size, _MOST)), time.monotonic())

    def read(self) -> tuple[int, int, int, float]:
        """Entry, plugin, size, monotonic time when that began."""
        entry, plugin, size, wall = _STATUS.unpack_from(self._map, 0)
        return entry, plugin, size, wall

    def close(self) -> None:
        self._map.close()
