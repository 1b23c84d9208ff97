"""What a child is told once, when it starts; and what it tells while it works."""

import mmap
import struct
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics.model import Scope, Value

READING = -1  # the place of the engine's own reading in `Status.plugin`
IDLE = -2
_STATUS = struct.Struct("<qqqdd")


class Limits(Struct, frozen=True):
    """Bounds of one plugin on one file: CPU seconds (a base, and more by size), wall seconds as a multiple, anonymous memory in bytes."""

    cpu_base: float = 60.0
    cpu_per_mb: float = 2.0
    wall_factor: float = 5.0
    memory: int = 2 << 30

    def cpu(self, size: int) -> float:
        """CPU seconds for content of `size` bytes."""
        return self.cpu_base + self.cpu_per_mb * size / 1e6


class Setup(Struct, frozen=True, kw_only=True):
    """Everything that a child needs to know: the exhibits' images, where plugins lie, their options, the scope, where it may write."""

    exhibits: dict[str, str]
    plugin_folders: tuple[str, ...]
    plugins: tuple[str, ...] | None
    options: dict[str, dict[str, Value]]
    spool: str
    output: str
    index: str = ""
    scope: Scope = Scope()
    skip_known: bool = False


encode = msgspec.json.encode
decode = msgspec.json.Decoder(Setup).decode


class Status:
    """The few words that a child writes, and its supervisor reads, in a mapped file: which entry, which plugin, since when."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(_STATUS.size))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), _STATUS.size)
        if create:
            self.publish(-1, IDLE, 0)

    def publish(self, entry: int, plugin: int, size: int) -> None:
        """Say that work on `plugin` of `entry` (content of `size` bytes) begins now."""
        _STATUS.pack_into(self._map, 0, entry, plugin, size, time.process_time(), time.monotonic())

    def read(self) -> tuple[int, int, int, float, float]:
        """Entry, plugin, size, CPU seconds used by the child when that began, monotonic time when it began."""
        entry, plugin, size, cpu, wall = _STATUS.unpack_from(self._map, 0)
        return entry, plugin, size, cpu, wall

    def close(self) -> None:
        self._map.close()
