"""The immutable file of records: zstandard-compressed canonical JSON lines, written whole or not at all, read streaming.

A segment's digest is that of its uncompressed lines: the same on every machine, whatever the version of zstandard.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec
import zstandard

from forensics.errors import CustodyBroken
from forensics.model import Line

_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_encoder = msgspec.json.Encoder(order="sorted")


class Writer:
    """Writes one segment under a temporary name; `commit` makes it durable and visible, leaving without it leaves nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.part")
        self._file = open(self._temporary, "wb")  # noqa: SIM115 - closed by commit or by leaving
        self._zstd = zstandard.ZstdCompressor(level=3).stream_writer(self._file, closefd=False)
        self._sha256 = hashlib.sha256()
        self.lines = 0

    def write(self, lines: bytes) -> None:
        """Add whole encoded lines, each with its newline."""
        self._sha256.update(lines)
        self._zstd.write(lines)
        self.lines += lines.count(b"\n")

    def commit(self) -> str:
        """Make the segment durable under its name. Returns the SHA-256 of its uncompressed lines. Raises OSError (disk full)."""
        self._zstd.close()  # type: ignore[no-untyped-call]
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.rename(self._temporary, self.path)
        sync_folder(self.path.parent)
        return self._sha256.hexdigest()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # a full disk, on which what is still held back is lost too
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """A small file, durable under its name or not there at all. Raises OSError (disk full)."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make a rename in `path` durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def encode(line: Line) -> bytes:
    """One line of a segment, with its newline."""
    return _encoder.encode(line) + b"\n"


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a segment as bytes, without newlines. Raises CustodyBroken where the file is damaged."""
    with open(path, "rb") as file:
        yield from lines_of(file, str(path))


def lines_of(content: BinaryIO | bytes, name: str = "a unit") -> Iterator[bytes]:
    """The lines of a segment that is open or in memory; `name` is what an error calls it. Raises CustodyBroken where it is damaged."""
    rest = b""
    try:
        with zstandard.ZstdDecompressor().stream_reader(content) as stream:
            while chunk := stream.read(1 << 20):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
    except zstandard.ZstdError as error:
        raise CustodyBroken(f"{name}: the segment cannot be decompressed ({error}); restore it from a copy or examine again") from error
    if rest:
        raise CustodyBroken(f"{name}: the segment ends in the middle of a line; restore it from a copy or examine again")


def decoded(raw: bytes, path: Path) -> Line:
    """A line of the segment at `path`, typed. Raises CustodyBroken where it is none."""
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise CustodyBroken(f"{path}: a line is not a record ({error}); restore it from a copy or examine again") from error


def read(path: Path) -> Iterator[Line]:
    """The lines of a segment, typed. Raises CustodyBroken where the file is damaged."""
    for raw in raw_lines(path):
        yield decoded(raw, path)


def digest(path: Path) -> str:
    """SHA-256 of a segment's uncompressed lines. Raises CustodyBroken where the file is damaged."""
    total = hashlib.sha256()
    for raw in raw_lines(path):
        total.update(raw + b"\n")
    return total.hexdigest()
