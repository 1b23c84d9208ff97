"""What plugins read: each a copy of its own where it asks for a file."""

import hashlib
import os
import sqlite3
from pathlib import Path

from forensics.engine import content
from forensics.evidence.layers import open_exhibit
from forensics.location import Location
from forensics.model import Entry


def spooled(folder: Path, tmp_path: Path) -> tuple[str, content.Content]:
    [file_system] = open_exhibit("1", folder).file_systems
    entry = next(each for each in file_system.walk() if isinstance(each, Entry) and each.kind == "file")
    spool = tmp_path / "spool"
    spool.mkdir()
    digests, _, found = content.read(file_system.open(Location.parse(entry.location)), entry.size, (), spool, keep=True)
    return digests.sha256, found


def test_what_a_plugin_does_to_its_copy_is_not_what_the_next_one_reads(tmp_path: Path) -> None:
    exhibit = tmp_path / "exhibit"
    exhibit.mkdir()
    with sqlite3.connect(exhibit / "large.db") as database:
        database.execute("CREATE TABLE t (b BLOB)")
        database.execute("INSERT INTO t VALUES (?)", (os.urandom(20 << 20),))
    database.close()
    expected = hashlib.sha256((exhibit / "large.db").read_bytes()).hexdigest()
    sha256, found = spooled(exhibit, tmp_path)
    with sqlite3.connect(found.path("large.db")) as copy:
        copy.execute("INSERT INTO t VALUES ('changed')")
    copy.close()
    found.release()
    with found.open() as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == sha256 == expected
    found.close()


def test_a_copy_of_a_sparse_file_is_sparse(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.write(b"begin")
        file.seek(3 << 30)
        file.write(b"middle")
        file.truncate(5 << 30)
    content.copied(tmp_path / "sparse", tmp_path / "copy")
    assert os.stat(tmp_path / "copy").st_size == 5 << 30
    assert os.stat(tmp_path / "copy").st_blocks * 512 < 1 << 20
    with open(tmp_path / "copy", "rb") as file:
        assert file.read(5) == b"begin"
        file.seek(3 << 30)
        assert file.read(6) == b"middle"
