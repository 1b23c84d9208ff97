"""The content of one stream, read once: in memory while small, in a private spool file when large."""

import contextlib
import errno
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from forensics.digest import StreamDigests
from forensics.errors import Corrupt, LimitExceeded
from forensics.evidence.layers import Stream
from forensics.model import Digests as Digests

CHUNK = 1 << 20
IN_MEMORY = 16 << 20  # larger content goes to the spool
HEAD = 64 << 10  # what the type is read from
LARGEST = 16 << 40  # bytes: what a spool can hold (ext4's own bound, and that of the sandbox)
# A sparse file claims what it likes, and its zeros are read and digested one by one: two hours a terabyte (docs/benchmarks.md).
SPARSE, SPARSE_FLOOR = 64, 1 << 40  # times the bytes of its medium, and bytes, that a file may have: it must pass both to be left
_OWN = " (if it is the image of a medium, unpack it and give it as an exhibit of its own)"
_ZEROS = bytes(CHUNK)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")


class Content:
    """What a plugin reads from. `close` removes every temporary copy."""

    def __init__(self, folder: Path, data: bytes | None, spooled: Path | None) -> None:
        self._folder, self._data, self._spooled = folder, data, spooled
        self._copies: list[Path] = []

    def open(self) -> BinaryIO:
        if self._data is not None:
            return io.BytesIO(self._data)
        assert self._spooled is not None
        return open(self._spooled, "rb")

    def read(self) -> bytes:
        if self._data is not None:
            return self._data
        assert self._spooled is not None
        return self._spooled.read_bytes()

    def head(self, size: int) -> bytes:
        with self.open() as stream:
            return stream.read(size)

    def path(self, name: str) -> Path:
        """A copy of its own folder; of the evidence's `name` only a harmless extension is kept."""
        folder = self._folder / f"copy-{len(self._copies)}"
        folder.mkdir(exist_ok=True)
        self._copies.append(folder)
        suffix = _SUFFIX.search(name)
        path = folder / f"content{suffix[0] if suffix else ''}"
        if self._spooled is not None:
            copied(self._spooled, path)  # no link: SQLite writes into a database with a log beside it, and others read this content after
        else:
            path.write_bytes(self.read())
        return path

    def release(self) -> None:
        """Remove the copies that `path` made."""
        for folder in self._copies:
            shutil.rmtree(folder, ignore_errors=True)
        self._copies.clear()

    def close(self) -> None:
        self.release()
        if self._spooled is not None:
            self._spooled.unlink(missing_ok=True)


def copied(source: Path, target: Path) -> None:
    """Copy a file; what is sparse stays sparse. Raises OSError (disk full)."""
    with open(source, "rb") as held, open(target, "wb") as out:
        size = os.fstat(held.fileno()).st_size
        start = 0
        while start < size:
            try:
                start = os.lseek(held.fileno(), start, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole follows
                    break
                raise
            end = os.lseek(held.fileno(), start, os.SEEK_HOLE)
            os.lseek(out.fileno(), start, os.SEEK_SET)
            os.lseek(held.fileno(), start, os.SEEK_SET)
            while start < end:
                start += os.sendfile(out.fileno(), held.fileno(), start, min(end - start, 1 << 30))
        out.truncate(size)


def read_member(stream: BinaryIO, limit: int, folder: Path) -> tuple[int, Digests, bytes, Content]:
    """As `read`, for a stream that says neither its size nor any offset: its size comes first.

    Raises LimitExceeded where it yields more than `limit` bytes, whatever reading the stream raises, OSError where the spool is full.
    """
    digests, held, size = StreamDigests(), bytearray(), 0
    spooled = folder / "spool"
    out: BinaryIO | None = None
    try:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise LimitExceeded(f"more than {limit} bytes come out of it, which is more than is followed")
            digests.update(chunk)
            if out is None and len(held) + len(chunk) > IN_MEMORY:
                out = open(spooled, "wb")  # noqa: SIM115 - closed below, whatever happens
                out.write(held)
                del held[HEAD:]
            if out is not None:
                with _spooling(size):
                    out.write(chunk)
            else:
                held += chunk
    except BaseException:
        spooled.unlink(missing_ok=True)
        raise
    finally:
        if out is not None:
            out.close()
    content = Content(folder, bytes(held), None) if out is None else Content(folder, None, spooled)
    return size, digests.digests(), bytes(held[:HEAD]), content


def read(
    stream: Stream, size: int, holes: tuple[tuple[int, int], ...], folder: Path, *, keep: bool, medium: int = 0
) -> tuple[Digests, bytes, Content]:
    """Read a stream once, from start to end: its digests, its first 64 KiB, its content.

    `holes` are ranges that belong to other files now: they are read as zeros. With `keep` false, content too large for memory is not
    spooled (nobody will read it). `medium` are the bytes of the medium that holds it (0: unknown). Raises Corrupt where the stream ends
    early, LimitExceeded where it is larger than is read, OSError where the spool is full.
    """
    bound(stream, size, medium)
    if size <= IN_MEMORY:
        data = _zeroed(_exactly(stream, 0, size), 0, holes)
        digests = StreamDigests()
        digests.update(data)
        return digests.digests(), data[:HEAD], Content(folder, data, None)
    spooled = folder / "spool"
    digests, head = StreamDigests(), b""
    with _spooling(size), open(spooled, "wb") as out:
        out.truncate(size if keep else 0)  # first, so that what is too large for the spool is not read for days before that shows
        for offset in range(0, size, CHUNK):
            chunk = _zeroed(_exactly(stream, offset, min(CHUNK, size - offset)), offset, holes)
            digests.update(chunk)
            head = head or chunk[:HEAD]
            if not keep:
                continue
            if chunk == _ZEROS:
                out.seek(len(chunk), os.SEEK_CUR)  # sparse in the file system, sparse in the spool
            else:
                out.write(chunk)
    return digests.digests(), head, Content(folder, None, spooled)


def bound(stream: Stream, size: int, medium: int) -> None:
    """Raise LimitExceeded for a file of `size` bytes that is larger than is read, or that is nearly all holes on a `medium` of so many.

    A file that lies in a folder has the bytes that are allocated to it for its medium: how large the disk under it is says nothing.
    """
    if size > LARGEST:
        raise LimitExceeded(f"has {size} bytes, more than the {LARGEST} that are read of one file")
    held = {"that lie on the disk": getattr(stream, "allocated", None), "of its medium": medium or None}
    for where, most in held.items():
        if most is not None and size > max(SPARSE * most, SPARSE_FLOOR):
            raise LimitExceeded(f"has {size} bytes, more than {SPARSE} times those {where} ({most}): nearly all are holes; not read{_OWN}")


@contextlib.contextmanager
def _spooling(size: int) -> Iterator[None]:
    """Raises LimitExceeded where the spool takes no file of `size` bytes: that is the file's, and the run goes on."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        raise LimitExceeded(f"has {size} bytes, more than one file may have where the case lies") from error


def _exactly(stream: Stream, offset: int, size: int) -> bytes:
    data = stream.read(offset, size)
    while len(data) < size:
        more = stream.read(offset + len(data), size - len(data))
        if not more:
            raise Corrupt(f"content ends at byte {offset + len(data)}, {offset + size} were expected")
        data += more
    return data


def _zeroed(data: bytes, offset: int, holes: tuple[tuple[int, int], ...]) -> bytes:
    if not holes:
        return data
    out = bytearray(data)
    for start, length in holes:
        first, last = max(start - offset, 0), min(start + length - offset, len(out))
        if first < last:
            out[first:last] = bytes(last - first)
    return bytes(out)
