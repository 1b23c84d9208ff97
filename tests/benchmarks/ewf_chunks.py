"""The compressed chunks of an E01 as they lie in its files, so that inflating can be timed by itself."""

import struct
from collections.abc import Iterator
from pathlib import Path


def chunks(path: Path) -> Iterator[tuple[bytes, int]]:
    """The compressed chunks of one file of an E01, and the size that each inflates to (libewf's EWF specification, "volume", "table")."""
    size = end = 0
    with open(path, "rb") as file:
        place = 13
        while True:
            file.seek(place)
            kind, following = struct.unpack_from("<16sQ", file.read(76))
            kind = kind.rstrip(b"\0")
            if kind in (b"volume", b"disk"):
                _, _, sectors, sector = struct.unpack("<IIII", file.read(16))
                size = sectors * sector
            elif kind == b"sectors":
                end = following
            elif kind == b"table":
                count, base = struct.unpack("<I4xQ", file.read(24)[:16])
                offsets = struct.unpack(f"<{count}I", file.read(4 * count))
                starts = [base + (offset & 0x7FFFFFFF) for offset in offsets]
                for offset, start, stop in zip(offsets, starts, [*starts[1:], end], strict=True):
                    if offset & 0x80000000:
                        file.seek(start)
                        yield file.read(stop - start), size
            if kind in (b"done", b"next") or following <= place:
                return
            place = following
