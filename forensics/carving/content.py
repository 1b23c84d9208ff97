"""The bytes that files are carved out of, and what a walk through a structure says."""

from collections.abc import Iterator
from typing import BinaryIO

import re2
from msgspec import Struct

from forensics.errors import LimitExceeded

WINDOW = 1 << 20
_EACH = 256  # what one read costs, in bytes: so that many small steps count as much as a few large ones
_ROUNDS = 24  # times that the whole may be read
_LEAST = 256 << 20


class Extent(Struct, frozen=True):
    """How far a file goes from where it begins: bytes, what was checked, and where it breaks off (`None`: it is whole).

    `opaque` says that nothing in the structure tells whether its bytes are its own to the end: other files may lie in it.
    """

    size: int
    checked: str
    broken: str | None = None
    opaque: bool = False
    suffix: str = ""


class Content:
    """Bytes to carve from: streams, one after the other, as if they were one. What is read in all is bounded."""

    def __init__(self, *streams: tuple[BinaryIO, int]) -> None:
        self._streams = streams
        self.size = sum(size for _, size in streams)
        self._left = _LEAST + _ROUNDS * self.size

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end. Raises LimitExceeded where following structures took too much reading."""
        if offset < 0 or size <= 0:
            return b""
        self._spend(size + _EACH)
        parts: list[bytes] = []
        for stream, length in self._streams:
            if offset < length and size > 0:
                stream.seek(offset)
                parts.append(stream.read(min(size, length - offset)))
                size -= len(parts[-1])
                offset = length  # what is left begins with the next stream
            offset -= length
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise LimitExceeded("following the structures in it took more reading than is allowed; what comes after was not carved")

    def number(self, offset: int, size: int, order: str = "little") -> int:
        """An unsigned number; 0 where the bytes end before."""
        raw = self.read(offset, size)
        return int.from_bytes(raw, "little" if order == "little" else "big") if len(raw) == size else 0

    def matches(self, pattern: "Pattern", start: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Where the pattern stands between two offsets, and what stands there; one that is cut by a window is found in the next."""
        end = self.size if end is None else min(end, self.size)
        at = start
        while at < end:
            window = self.read(at, min(WINDOW + pattern.longest - 1, end - at))
            for first, last in pattern.spans(window):
                if first < WINDOW:
                    self._spend(_EACH // 2)
                    yield at + first, window[first:last]
            at += WINDOW


class Pattern:
    """Bytes to look for, in linear time whatever the content; no match is longer than `longest`."""

    def __init__(self, pattern: bytes, longest: int) -> None:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1  # bytes, not text
        options.dot_nl = True
        options.log_errors = False
        self._compiled = re2.compile(pattern, options)
        self.longest = longest

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        return (match.span() for match in self._compiled.finditer(data))
