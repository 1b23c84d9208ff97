"""What plugins read: each a copy of its own where it asks for a file."""

import hashlib
import json
import os
import re
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.engine import content, measure
from forensics.engine.keep import Keeper
from forensics.engine.plan import Unit
from forensics.engine.setup import READING, Status
from forensics.engine.worker import Examiner
from forensics.engine.workshop import Tools
from forensics.errors import Corrupt, LimitExceeded
from forensics.evidence.layers import open_exhibit
from forensics.location import Location
from forensics.members import stream_of
from forensics.model import Entry, Fault, ImageDigest, LayerInfo, Scope


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


class Hollow:
    """A stream of zeros that ends after its first megabyte, whatever it claims."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, offset: int, size: int) -> bytes:
        return b"" if offset else bytes(size)

    def changed(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("size", "medium", "why"),
    [
        (1 << 62, 0, "more than the 17592186044416 that are read of one file"),
        ((16 << 40) + 1, 1 << 50, "more than the 17592186044416 that are read of one file"),
        ((1 << 40) + 1, 1 << 30, r"more than 64 times those of its medium \(1073741824\)"),
    ],
)
def test_content_that_is_nearly_all_holes_is_left_beyond_a_bound(tmp_path: Path, size: int, medium: int, why: str) -> None:
    with pytest.raises(LimitExceeded, match=why):
        content.read(Hollow(size), size, (), tmp_path, keep=True, medium=medium)


@pytest.mark.parametrize(("size", "medium"), [(20_000_000_000, 64_000_000), (1 << 40, 1 << 20), (2 << 40, 1 << 36), (2 << 40, 0)])
def test_sparse_files_of_a_size_that_people_have_are_read_from_small_media(tmp_path: Path, size: int, medium: int) -> None:
    with pytest.raises(Corrupt, match="content ends at byte 1048576"):  # it was begun
        content.read(Hollow(size), size, (), tmp_path, keep=True, medium=medium)


class Small:
    """A file system on a gigabyte, with one file."""

    info = LayerInfo(location="1:ext4:", kind="ext4", offset=0, size=1 << 30, examined=True)

    def open(self, location: Location) -> Hollow:
        return Hollow(2 << 40)

    def sibling(self, location: Location, suffix: str) -> Location | None:
        return None

    def walk(self) -> Iterator[Entry | Fault]:
        yield Entry(location="1:ext4:/huge;meta=12", kind="file", size=2 << 40)


def test_a_file_of_holes_is_a_fault_of_its_own_in_the_run(tmp_path: Path) -> None:
    system, status = Small(), Status(tmp_path / "status", create=True)
    unit = Unit("1", 0, tuple(item for item in system.walk() if isinstance(item, Entry)))
    examiner = Examiner(Tools(()), Scope(), tmp_path, Keeper(tmp_path / "attachments"), status, None)
    (done,) = examiner.examine(unit, system, 0, 0, {})
    fault, entry = map(json.loads, done.lines.splitlines())
    assert (fault["kind"], fault["location"], "64 times" in fault["message"]) == ("limit", "1:ext4:/huge;meta=12", True)
    assert (entry["outcome"], entry["reason"]) == ("failed", "could not be read: limit")
    status.close()


def hollow_file(folder: Path, size: int, data: bytes = b"", at: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    with open(folder / "hollow", "wb") as file:
        file.truncate(size)
        file.seek(at)
        file.write(data)
    return folder


def measured(folder: Path) -> tuple[ImageDigest, list[int]]:
    told: list[int] = []
    return measure.exhibit(open_exhibit("1", folder), "1", "before", told.append).image, told


def test_the_holes_of_a_file_in_a_folder_are_zeros_to_its_digest(tmp_path: Path) -> None:
    size, at = 40 << 20, 30 << 20
    image, told = measured(hollow_file(tmp_path / "exhibit", size, b"data", at))
    content = hashlib.sha256(bytes(at) + b"data" + bytes(size - at - 4)).hexdigest()
    assert image.sha256 == hashlib.sha256(f"{content}  /hollow\n".encode()).hexdigest()
    assert (image.size, sum(told), image.damage) == (size, size, ())


def test_a_file_in_a_folder_that_is_nearly_all_holes_is_left_as_one_in_an_image_is(tmp_path: Path) -> None:
    folder = hollow_file(tmp_path / "exhibit", 10 << 40, b"data")
    (folder / "small").write_bytes(b"small")
    image, told = measured(folder)
    small = hashlib.sha256(b"small").hexdigest()
    assert image.sha256 == hashlib.sha256(f"{'not read':64}  /hollow\n{small}  /small\n".encode()).hexdigest()
    assert (image.size, told) == (5, [5])
    (damage,) = image.damage
    assert re.match(r"1:folder:/hollow: has 10995116277760 bytes, more than 64 times those that lie on the disk \(\d+\): ", damage.message)
    stream = open_exhibit("1", folder).file_systems[0].open(Location.parse("1:folder:/hollow"))
    with pytest.raises(LimitExceeded, match=r"nearly all are holes; not read .*as an exhibit of its own"):
        content.read(stream, stream.size, (), tmp_path, keep=True)


def test_a_file_that_the_spool_cannot_take_is_beyond_a_bound_and_its_disk_is_not_full(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, before[1]))
    try:
        with pytest.raises(LimitExceeded, match="has 67108865 bytes, more than one file may have"):
            content.read(Hollow((64 << 20) + 1), (64 << 20) + 1, (), tmp_path, keep=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_member_that_the_spool_cannot_take_is_beyond_a_bound_and_its_disk_is_not_full(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((18 << 20) + 5, before[1]))
    try:
        with pytest.raises(LimitExceeded, match="more than one file may have"):
            content.read_member(stream_of(bytes(1 << 20) for _ in range(20)), 1 << 30, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_place_is_told_whatever_size_the_evidence_claims(tmp_path: Path) -> None:
    status = Status(tmp_path / "status", create=True)
    for size, told in ((1 << 63, (1 << 63) - 1), (1 << 70, (1 << 63) - 1), (5, 5), (-1, 0)):
        status.publish(7, READING, size)
        assert status.read()[:3] == (7, READING, told)
    status.close()
