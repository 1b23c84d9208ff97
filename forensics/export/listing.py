"""A listing file: written whole or not at all, its rows counted and its bytes digested while they are written.

Every export that writes lines is written through here, so that a listing's SHA-256 and row count can stand in the report beside
its name.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from forensics.segment import sync_folder

_FLUSH = 1 << 16


class Listing(Struct, frozen=True):
    """A file that was written: name without folder, rows (a header is none), bytes, SHA-256 of its bytes."""

    name: str
    rows: int
    size: int
    sha256: str


def write(path: Path, lines: Iterable[bytes], *, head: bytes = b"") -> Listing:
    """Write `head` and then `lines`, each a whole row with its line end, to `path`; an earlier file of that name is replaced at the end.

    Memory stays flat whatever the number of lines. Raises OSError (disk full, no such folder); then nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.part")
    total, rows, size = hashlib.sha256(), 0, 0
    try:
        with open(temporary, "wb") as file:
            held = bytearray(head)
            for line in lines:
                rows += 1
                held += line
                if len(held) >= _FLUSH:
                    total.update(held)
                    size += file.write(held)
                    held.clear()
            total.update(held)
            size += file.write(held)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return Listing(path.name, rows, size, total.hexdigest())
