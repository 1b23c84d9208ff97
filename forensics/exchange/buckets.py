"""Items of one length, put down in any order and read back sorted, in flat memory whatever their number.

They are spread over 256 files by their first byte. Digests and random names begin with every byte equally often, so each file is a small
part of the whole, and is sorted by itself.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_HELD = 4096  # bytes held back for each file


class Buckets:
    """`size` bytes an item; the files lie in `folder`, which is made, and removed on leaving."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self._held = [bytearray() for _ in range(256)]
        folder.mkdir(mode=0o700)

    def add(self, item: bytes) -> None:
        """Put down one item. Raises ValueError where it is not of the length agreed, OSError."""
        if len(item) != self._size:
            raise ValueError(f"an item of {len(item)} bytes among items of {self._size}")
        held = self._held[item[0]]
        held += item
        if len(held) >= _HELD:
            self._put(item[0])

    def _put(self, first: int) -> None:
        with open(self._folder / f"{first:02x}", "ab") as file:
            file.write(self._held[first])
        self._held[first].clear()

    def sorted(self) -> Iterator[bytes]:
        """All items in order of their bytes."""
        for first in range(256):
            path = self._folder / f"{first:02x}"
            data = (path.read_bytes() if path.exists() else b"") + self._held[first]
            yield from sorted(bytes(data[at : at + self._size]) for at in range(0, len(data), self._size))

    def __enter__(self) -> "Buckets":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()
