"""A file that a library writes by its name: whole or not at all, and digested."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forensics.digest import sha256_file
from forensics.export.listing import Listing
from forensics.segment import sync_folder


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; what is there at the end becomes `path`, after an error nothing does. Raises OSError."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def listed(path: Path, rows: int) -> Listing:
    """What was written to `path`: its `rows` as counted, bytes and SHA-256."""
    return Listing(path.name, rows, path.stat().st_size, sha256_file(path))
