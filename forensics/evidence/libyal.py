"""What the libyal libraries read from, and what they give back: bytes by position, one call at a time, their errors in our words.

The libraries (libvmdk, libvhdi, libqcow, libmodi, libbde, libvshadow ...) take an object that looks like an open file, and give back
objects that are not made for several threads. Each is guarded by a lock here.
"""

import re
import threading
from collections.abc import Callable
from typing import Any, Protocol

from forensics.errors import Corrupt, EvidenceError
from forensics.evidence.files import Files

# What the bindings raise on damaged bytes: a message of many lines, of which the first names what could not be done.
FAILURES = (OSError, MemoryError, RuntimeError, ValueError, OverflowError, TypeError, SystemError)


class Source(Protocol):
    """A range of bytes with a size: an image, a volume, a decrypted volume, a snapshot."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end. Raises EvidenceError."""


class OneFile:
    """One of an image's files as a source."""

    def __init__(self, files: Files, index: int) -> None:
        self._files, self._index = files, index
        self.size = files.sizes[index]

    def read(self, offset: int, size: int) -> bytes:
        return self._files.read(self._index, offset, size)


class Part:
    """`size` bytes of a source from `base` on."""

    def __init__(self, source: Source, base: int, size: int) -> None:
        self._source, self._base = source, base
        self.size = max(0, min(size, source.size - base))

    def read(self, offset: int, size: int) -> bytes:
        if offset < 0 or offset >= self.size:
            return b""
        return self._source.read(self._base + offset, min(size, self.size - offset))


class Zeros:
    """A file that is all zeros: what stands for sparse extents of a disk image."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, offset: int, size: int) -> bytes:
        return bytes(max(0, min(size, self.size - offset)))


class OpenFile:
    """A source as the open file that libyal asks for. `failure` is what the source raised, which cannot pass through the library."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._offset = 0
        self.failure: EvidenceError | None = None

    def read(self, size: int | None = None) -> bytes:
        """Called by the library."""
        wanted = self.source.size - self._offset if size is None or size < 0 else size
        try:
            data = self.source.read(self._offset, wanted)
        except EvidenceError as error:
            self.failure = error
            raise OSError(str(error)) from error
        self._offset += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> None:
        """Called by the library."""
        self._offset = max(0, offset + (0, self._offset, self.source.size)[whence])

    def tell(self) -> int:
        """Called by the library."""
        return self._offset

    def get_offset(self) -> int:
        """Called by the library."""
        return self._offset

    def get_size(self) -> int:
        """Called by the library."""
        return self.source.size


class Derived:
    """Bytes that a libyal object gives: a decrypted volume, a logical volume, a snapshot. Reads pass one at a time.

    `below` are the open files that it reads from; `keep` what must live as long. Raises Corrupt where the library cannot read.
    """

    def __init__(self, handle: Any, size: int, name: str, below: tuple[OpenFile, ...], keep: tuple[Any, ...] = ()) -> None:
        self._handle, self.size, self._name = handle, size, name
        self._below, self._keep = below, keep
        self._lock = threading.Lock()

    def read(self, offset: int, size: int) -> bytes:
        size = min(size, self.size - offset)
        if offset < 0 or size <= 0:
            return b""
        parts: list[bytes] = []
        with self._lock:
            while size:
                data = self._some(offset, size)
                parts.append(data)
                offset, size = offset + len(data), size - len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, offset: int, size: int) -> bytes:
        try:
            data: bytes = self._handle.read_buffer_at_offset(min(size, _MOST), offset)
        except FAILURES as error:
            raise_failure(self._below)
            raise Corrupt(f"{self._name}: {size} bytes at byte {offset} cannot be read: {said(error)}") from error
        if not data:
            raise Corrupt(f"{self._name}: ends at byte {offset} of {self.size}")
        return data


_FUNCTION = re.compile(r"^(?:py)?\w+: ")
_MOST = 1 << 20  # bytes asked of a library at once


def opened(open_it: Callable[[], Any], name: str, below: tuple[OpenFile, ...]) -> Any:
    """What `open_it` gives. Raises Corrupt naming `name` where the library refuses, or what the source itself raised."""
    try:
        return open_it()
    except FAILURES as error:
        raise_failure(below)
        raise Corrupt(f"{name}: cannot be opened: {said(error)}") from error


def raise_failure(below: tuple[OpenFile, ...]) -> None:
    """Raise what a source raised while a library read from it."""
    for file in below:
        failure, file.failure = file.failure, None
        if failure is not None:
            raise failure


def said(error: BaseException) -> str:
    """The library's words alone, without the names of its functions, which change with its version; the last is the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    sentences = [_FUNCTION.sub("", sentence) for sentence in re.split(r"\.\s+(?=\w+: )", lines[0])]
    return "; ".join(dict.fromkeys(sentence.rstrip(". ") for sentence in sentences[:2]))[:300]
