"""Deleted content against the allocation map, on volumes whose layout is known because it was made here with other tools."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from forensics.evidence.allocation import Claims, Marks, Owners
from forensics.evidence.layers import FileSystem, open_exhibit
from forensics.location import Location
from forensics.model import Entry

CLUSTER = 2048


def run(*command: str | Path) -> bytes:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, env=environment).stdout


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"{tool} is not installed")


class Card:
    """A FAT16 volume of clusters of 2048 bytes, written with mtools, which takes the first free cluster."""

    def __init__(self, folder: Path) -> None:
        need("mkfs.vfat", "mcopy", "mdel", "mmd")
        self.image, self.folder, self.random = folder / "card.raw", folder, random.Random(1)
        run("mkfs.vfat", "-C", "-F", "16", "-s", "4", "-n", "CARD", "-i", "12345678", self.image, "16384")
        run("mmd", "-i", self.image, "::/NEW")

    def put(self, name: str, size: int) -> bytes:
        data = self.random.randbytes(size)
        (self.folder / "file").write_bytes(data)
        run("mcopy", "-i", self.image, self.folder / "file", f"::/{name}")
        return data

    def drop(self, name: str) -> None:
        run("mdel", "-i", self.image, f"::/{name}")

    def system(self) -> FileSystem:
        (system,) = open_exhibit("1", self.image).file_systems
        return system


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


def entry(system: FileSystem, path: str) -> Entry:
    (found,) = [
        item
        for item in system.walk()
        if isinstance(item, Entry) and Location.parse(item.location).path == path and item.state != "allocated"
    ]
    return found


def read(system: FileSystem, item: Entry) -> bytes:
    stream = system.open(Location.parse(item.location))
    return stream.read(0, stream.size)


def test_deleted_fat_file_whose_clusters_are_free_is_intact(card: Card) -> None:
    card.put("A.BIN", 5000)
    data = card.put("B.BIN", 10000)
    card.put("C.BIN", 5000)
    card.drop("B.BIN")
    found = entry(card.system(), "/_.BIN")
    assert (found.state, found.content, found.holes, found.note) == ("deleted", "intact", (), None)
    assert read(card.system(), found) == data


def test_deleted_fat_file_whose_first_clusters_are_in_use_is_partly_reallocated(card: Card) -> None:
    card.put("A.BIN", 5000)
    data = card.put("B.BIN", 10000)  # five clusters
    card.put("C.BIN", 5000)
    card.drop("B.BIN")
    card.put("NEW/N.BIN", 3000)  # the first two of them
    system = card.system()
    found = entry(system, "/_.BIN")
    assert found.content == "partly-reallocated"
    assert found.holes == ((0, 2 * CLUSTER),)
    assert Location.parse(found.reallocated_to or "").path == "/NEW/N.BIN"
    assert read(system, found)[2 * CLUSTER :] == data[2 * CLUSTER :]


def test_deleted_fat_file_whose_clusters_are_all_in_use_is_reallocated_to_their_owner(card: Card) -> None:
    card.put("A.BIN", 5000)
    card.put("B.BIN", 10000)
    card.put("C.BIN", 5000)
    card.drop("B.BIN")
    card.put("NEW/N.BIN", 9000)
    found = entry(card.system(), "/_.BIN")
    assert (found.content, found.holes) == ("reallocated", ())
    assert Location.parse(found.reallocated_to or "").path == "/NEW/N.BIN"


def test_deleted_fat_file_that_was_fragmented_is_unknown(card: Card) -> None:
    card.put("A.BIN", 2 * CLUSTER)
    card.put("K.BIN", CLUSTER)
    card.put("C.BIN", CLUSTER)
    card.drop("A.BIN")
    card.put("NEW/F.BIN", 4 * CLUSTER)  # before K.BIN and after C.BIN
    card.drop("NEW/F.BIN")
    found = entry(card.system(), "/NEW/_.BIN")
    assert found.content == "unknown"
    assert "not contiguous" in (found.note or "")


def test_two_deleted_fat_files_that_claim_one_cluster_are_unknown(card: Card) -> None:
    card.put("B.BIN", 10000)
    card.drop("B.BIN")
    card.put("NEW/N.BIN", 3000)
    card.drop("NEW/N.BIN")
    found = entry(card.system(), "/_.BIN")
    assert found.content == "unknown"
    assert "claims some of its blocks too" in (found.note or "")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    need("mke2fs", "debugfs")
    source = tmp_path / "source"
    (source / "one").mkdir(parents=True)
    (source / "two").mkdir()
    made = random.Random(2)
    (source / "one" / "x").write_bytes(made.randbytes(1024))
    (source / "one" / "y").write_bytes(made.randbytes(5 * 1024))
    (source / "one" / "z").write_bytes(made.randbytes(1024))
    image = tmp_path / "disk.raw"
    run("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-d", source, image, "4M")
    return image


def debugfs(image: Path, *requests: str) -> str:
    return "".join(run("debugfs", "-w", "-R", request, image).decode() for request in requests)


def test_deleted_ext4_file_part_of_whose_blocks_are_in_use_has_holes_there(disk: Path, tmp_path: Path) -> None:
    before = (tmp_path / "source/one/y").read_bytes()
    (tmp_path / "new").write_bytes(b"n" * 3 * 1024)
    blocks = debugfs(disk, "blocks /one/y").split()
    debugfs(disk, "rm /one/x", "rm /one/y", f"write {tmp_path / 'new'} /two/new")
    taken = set(debugfs(disk, "blocks /two/new").split())
    owned = [number for number, block in enumerate(blocks) if block in taken]
    assert 0 < len(owned) < len(blocks)
    (system,) = open_exhibit("1", disk).file_systems
    found = entry(system, "/one/y")
    assert found.content == "partly-reallocated"
    assert sum(size for _, size in found.holes) == 1024 * len(owned)
    assert {at // 1024 for offset, size in found.holes for at in range(offset, offset + size, 1024)} == set(owned)
    assert Location.parse(found.reallocated_to or "").path == "/two/new"
    data = read(system, found)
    assert all(data[n * 1024 : n * 1024 + 1024] == before[n * 1024 : n * 1024 + 1024] for n in range(5) if n not in owned)


def test_deleted_name_whose_inode_is_used_again_is_reallocated_and_has_nothing_of_the_new_file(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"n" * 3 * 1024)
    debugfs(disk, "rm /one/x", f"write {tmp_path / 'new'} /two/new")
    (system,) = open_exhibit("1", disk).file_systems
    found = entry(system, "/one/x")
    assert (found.content, found.size, found.times.modified) == ("reallocated", 0, None)
    owner = next(item for item in system.walk() if isinstance(item, Entry) and item.location.startswith("1:ext4:/two/new;"))
    assert Location.parse(found.reallocated_to or "").meta == Location.parse(owner.location).meta


def test_deleted_ext4_file_whose_blocks_are_free_is_intact(disk: Path, tmp_path: Path) -> None:
    debugfs(disk, "rm /one/y")
    (system,) = open_exhibit("1", disk).file_systems
    found = entry(system, "/one/y")
    assert found.content == "intact"
    assert read(system, found) == (tmp_path / "source/one/y").read_bytes()


def test_blocks_have_the_owner_that_claimed_them_first() -> None:
    owners = Owners()
    for start, length, owner in ((50, 10, 3), (10, 10, 1), (15, 10, 2), (20, 2, 4), (60, 5, 3)):
        owners.add(start, length, owner, owner)
    owners.settle()
    assert list(owners.within(0, 100)) == [(10, 10, 1, 1), (20, 5, 2, 2), (50, 15, 3, 3)]
    assert list(owners.within(18, 4)) == [(18, 2, 1, 1), (20, 2, 2, 2)]
    assert list(owners.within(25, 25)) == []


def test_a_claim_counts_unless_it_is_known_to_be_older_or_ones_own() -> None:
    claims = Claims()
    claims.add(10, 100, 1, 500)
    claims.add(40, 5, 2, 900)
    claims.settle()
    assert claims.rival(42, 1, 2, 600) is None  # the other was last written at 500, this one was born at 600
    assert claims.rival(42, 1, 2, 400) == 1
    assert claims.rival(42, 1, 2, 0) == 1
    assert claims.rival(42, 1, 1, 100) == 2
    assert claims.rival(200, 10, 3, 0) is None


def test_marks_hold_what_was_marked() -> None:
    marks = Marks()
    assert [marks.mark(number) for number in (5, 5, 2**40, 4096, 4095)] == [False, True, False, False, False]
    assert [number in marks for number in (5, 6, 2**40, 2**40 + 1, 4095, 4097)] == [True, False, True, False, True, False]
