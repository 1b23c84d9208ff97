"""Directories that are read here must give what The Sleuth Kit gives, in linear time; where it errs, a test says so."""

import re
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import growth_material
from commands import PATH, tool

from forensics.evidence import ext_names, limits, ntfs_names
from forensics.evidence.directory_names import Content, Name, Positions, Trouble, distinct
from forensics.evidence.layers import open_exhibit
from forensics.evidence.orphans import find_orphans
from forensics.evidence.tsk import TskFileSystem
from forensics.evidence.tsk_constants import ALLOCATED, UNALLOCATED
from forensics.location import Location
from forensics.model import Entry, Fault

IMAGES = ["images/ext2.raw", "images/ntfs.raw", "images/gpt.raw", "images/vss.E01", "images/fs.multiple.E01", "images/image-split.E01"]
CASES = ["cases/android-a.E01", "cases/winbox-a.E01"]
ALL, NONE = 0, 1 << 60  # from how many bytes on a directory is read here
UUID = "11111111-2222-4333-8444-555555555555"  # names go to the same places each time
NAME = "a-name-that-is-long-enough-to-fill-blocks-{:04}"


def walked(image: Path, large: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What is in all file systems of an image."""
    monkeypatch.setattr(limits, "LARGE_DIRECTORY", large)
    systems = [system for system in open_exhibit("1", image).file_systems if isinstance(system, TskFileSystem)]
    assert systems
    return Counter(repr(item) for system in systems for item in system.walk())


def found(image: Path) -> tuple[dict[str, Entry], list[Fault]]:
    items = [item for system in open_exhibit("1", image).file_systems for item in system.walk()]
    entries = [item for item in items if isinstance(item, Entry)]
    return {f"{Location.parse(entry.location).path} {entry.state}": entry for entry in entries}, [
        item for item in items if isinstance(item, Fault)
    ]


def debugfs(image: Path, *commands: str) -> str:
    words = ["debugfs", "-w", "-f", "-", str(image)]
    return subprocess.run(words, input="\n".join(commands), capture_output=True, text=True, env={"PATH": PATH}).stdout


# --- against The Sleuth Kit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", IMAGES + CASES)
def test_every_directory_reads_as_with_the_sleuth_kit(evidence: Path, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert walked(evidence / image, ALL, monkeypatch) == walked(evidence / image, NONE, monkeypatch)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ext4 image of which a directory of 400 names is a hash tree; 40 of them are removed."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("gone", "many"):
        (folder / "source" / name).mkdir(parents=True)
    for number in range(400):
        (folder / "source/many" / NAME.format(number)).write_bytes(b"x")
    image = folder / "disk.raw"
    tool("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-E", f"hash_seed={UUID}", "-d", folder / "source", image, "8M")
    assert subprocess.run(["e2fsck", "-fyD", image], capture_output=True, env={"PATH": PATH}).returncode in (0, 1)  # 1: optimised
    debugfs(image, *(f"rm many/{NAME.format(number)}" for number in range(0, 400, 10)))
    return image


def test_names_in_a_hash_tree_are_those_of_debugfs(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Number of entries" in debugfs(tree, "htree_dump many")
    live = set(re.findall(r"[1-9]\d*  \(\d+\) (a-name\S+)", debugfs(tree, "ls many")))
    assert len(live) == 360
    monkeypatch.setattr(limits, "LARGE_DIRECTORY", ALL)
    entries, faults = found(tree)
    names = {Location.parse(entry.location).path: entry for entry in entries.values() if "/many/" in entry.location}
    assert {path.removeprefix("/many/") for path, entry in names.items() if entry.state == "allocated"} == live
    assert names.keys() <= {f"/many/{NAME.format(number)}" for number in range(400)}  # no pair of the tree is taken for a name
    assert faults == []


def test_deleted_names_of_ext4_are_those_of_the_sleuth_kit(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = walked(tree, ALL, monkeypatch), walked(tree, NONE, monkeypatch)
    assert not ours - theirs
    # it takes some pairs of the tree for names; they lead to any inode
    assert all(NAME.partition("{")[0] not in item for item in theirs - ours)
    assert sum("state='deleted'" in item for item in ours) >= 30


def test_orphans_of_ext4_are_found_where_a_directory_was_deleted(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The Sleuth Kit 4.15 gives up its whole search for orphans at a deleted directory of size 0, which is what the kernel leaves
    image = tmp_path / "disk.raw"
    image.write_bytes(tree.read_bytes())
    number = re.search(r"Inode: (\d+)", debugfs(image, "stat gone"))
    assert number is not None
    debugfs(image, *(f"set_inode_field gone {field}" for field in ("size 0", "links_count 0", "dtime 20260101000000")))
    # another name takes the place of its own, so that nothing leads to it
    debugfs(image, "unlink gone", "symlink gonX there", f"freei <{number[1]}>")
    for large in (ALL, NONE):
        monkeypatch.setattr(limits, "LARGE_DIRECTORY", large)
        entries, faults = found(image)
        assert faults == []
        orphans = [name for name in entries if name.startswith("/$OrphanFiles/")]
        assert f"/$OrphanFiles/OrphanFile-{number[1]} orphan" in orphans
        assert len(orphans) > 1  # and removed files whose names are gone


def test_a_directory_of_25000_names_leads_each_to_its_inode(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    growth_material.huge_directory(image, 25_000)  # name n has inode 13 + n
    (system,) = open_exhibit("1", image).file_systems
    found = [item.location for item in system.walk() if "/many/" in item.location]
    assert found == [f"1:ext2:/many/file-{inode:07}.dat;meta={inode}" for inode in range(13, 25_013)]
    place = Location.parse(found[5_000])
    assert system.sibling(Location(place.exhibit, place.layers, place.path[:-4], place.meta), ".dat") == place
    assert system.sibling(place, "-wal") is None


# --- ext ------------------------------------------------------------------------------------------------------------------------

FORM = ext_names.Format(True, True, 1000, 1024)


def record(inode: int, name: bytes, length: int, type_: int = 1) -> bytes:
    """A directory entry (ext4 documentation, struct ext4_dir_entry_2) that takes `length` bytes with what follows it in the list."""
    return struct.pack("<IHBB", inode, length, len(name), type_) + name


def block(*parts: bytes) -> bytes:
    """Parts at multiples of 4, in a block of 1024 bytes."""
    return b"".join(part + bytes(-len(part) % 4) for part in parts).ljust(1024, b"\0")


def test_what_lies_behind_an_entry_in_its_record_is_deleted() -> None:
    data = block(record(20, b"kept", 1024), record(21, b"removed", 1008), record(22, b"also", 992, 2))
    names = [(name.name, name.meta_addr, name.flags, name.type) for name in ext_names.names_in_block(data, FORM)]
    assert names == [(b"kept", 20, ALLOCATED, 5), (b"removed", 21, UNALLOCATED, 5), (b"also", 22, UNALLOCATED, 3)]


@pytest.mark.parametrize("length", [0, 4, 13, 2000, 65535])
def test_a_length_that_cannot_be_does_not_end_the_search(length: int) -> None:
    data = block(record(20, b"broken", length), record(21, b"next", 1008))
    assert [name.name for name in ext_names.names_in_block(data, FORM)] == [b"next"]


def test_inodes_that_there_cannot_be_are_no_entries_and_names_end_at_a_zero() -> None:
    data = block(record(1001, b"beyond", 16), record(20, b"a/b", 12), record(21, b"cut\0off", 996))
    assert [name.name for name in ext_names.names_in_block(data, FORM)] == [b"a/b", b"cut"]


def test_an_index_block_holds_no_names_but_those_from_before() -> None:
    # dx_node: a fake entry, then limit and count, then pairs; the third pair looks like an entry of inode 12 with a name of 1 byte
    pairs = struct.pack("<HHI", 127, 3, 1) + struct.pack("<II", 5, 2) + struct.pack("<IHBB", 12, 12, 1, 1)
    data = struct.pack("<IHBB", 0, 1024, 0, 0) + pairs + record(30, b"from before", 20)
    assert [name.name for name in ext_names.names_in_block(data.ljust(1024, b"\0"), FORM)] == [b"from before"]


def test_an_entry_without_a_file_type_has_a_length_of_16_bits() -> None:
    old = ext_names.Format(False, False, 1000, 1024)
    data = struct.pack(">IHH", 20, 1024, 4) + b"name"
    assert [(name.name, name.meta_addr, name.type) for name in ext_names.names_in_block(data.ljust(1024, b"\0"), old)] == [(b"name", 20, 0)]


# --- NTFS -----------------------------------------------------------------------------------------------------------------------

BOUNDS = ntfs_names.Bounds(40, 0, 1000, False)
TODAY = 134_000_000_000_000_000  # August 2025, in 100 ns since 1601


def index_entry(address: int, name: str, space: int = 1, parent: int = 40, time: int = TODAY, key: int | None = None) -> bytes:
    """An index entry with its $FILE_NAME (libfsntfs documentation); `key` 0 is what the last entry of a node has."""
    raw = name.encode("utf-16-le")
    length = 16 + 66 + len(raw) + 7 & ~7
    head = struct.pack("<QHHI", 2 << 48 | address, length, 66 + len(raw) if key is None else key, 0)
    body = struct.pack("<QQQQQQQIIBB", 1 << 48 | parent, *[time] * 4, 4096, 5, 0x20, 0, len(name), space) + raw
    return (head + body).ljust(length, b"\0")


def listed(data: bytes, used: int) -> list[tuple[bytes, int, int, int]]:
    names = ntfs_names.entries(data + bytes(100), 0, used, BOUNDS, 0)
    return [(name.name, name.meta_addr, name.meta_seq, name.flags) for name in names]


def test_entries_behind_those_in_use_are_deleted_whatever_their_year() -> None:
    # The Sleuth Kit 4.15 takes none whose times lie after 2020
    data = index_entry(50, "kept.txt") + index_entry(51, "gone.txt")
    kept = len(index_entry(50, "kept.txt"))
    assert listed(data, kept) == [(b"kept.txt", 50, 2, ALLOCATED), (b"gone.txt", 51, 2, UNALLOCATED)]


def test_short_names_are_left_out() -> None:
    data = index_entry(50, "long name.text", 1) + index_entry(50, "LONGNA~1.TEX", 2)
    assert listed(data, len(data)) == [(b"long name.text", 50, 2, ALLOCATED)]


def test_entries_of_another_directory_or_of_no_time_are_not_taken() -> None:
    data = index_entry(50, "other", parent=41) + index_entry(51, "early", time=1) + index_entry(1001, "beyond") + index_entry(52, "last")
    assert listed(data, 0) == [(b"last", 52, 2, UNALLOCATED)]


def test_names_that_a_split_has_moved_are_not_listed_as_deleted() -> None:
    names = [
        Name(b"a", 50, 1, ALLOCATED, 5, 0),
        Name(b"a", 0, 0, UNALLOCATED, 5, 8),
        Name(b"b", 0, 0, UNALLOCATED, 5, 16),
    ]
    assert list(distinct(lambda: iter(names), moved=True)) == [names[0], names[2]]


def test_half_a_pair_of_utf_16_does_not_end_a_listing() -> None:
    assert ntfs_names.text(b"a\0\x00\xd8b\0") == b"a\xed\xa0\x80b"


# --- what is common -------------------------------------------------------------------------------------------------------------


def test_of_names_that_repeat_the_allocated_one_stays() -> None:
    gone, other, live = Name(b"n", 7, 0, UNALLOCATED, 0, 0), Name(b"o", 7, 0, ALLOCATED, 5, 12), Name(b"n", 7, 0, ALLOCATED, 5, 24)
    alone, trouble = Name(b"n", 8, 0, ALLOCATED, 5, 36), Trouble("something cannot be read")
    assert list(distinct(lambda: iter([gone, trouble, other, alone, live, gone, live]))) == [trouble, other, alone, live]


def test_positions_are_found_by_key_in_their_order() -> None:
    places = Positions(iter([(5, 1), (3, 2), (5, 0), (1 << 63, 9)]))
    assert [list(places.find(key)) for key in (3, 4, 5, 1 << 63)] == [[2], [], [1, 0], [9]]


def test_no_more_inodes_are_looked_at_than_the_medium_can_hold() -> None:
    asked: list[int] = []

    class System:
        info = SimpleNamespace(first_inum=1, last_inum=1 << 32)

        def open_meta(self, inode: int) -> Any:
            asked.append(inode)
            raise OSError

    assert list(find_orphans(System(), 1280, lambda address: address == 3, lambda _: iter(()))) == []
    assert asked == [1, 2, 4, 5, 6, 7, 8, 9]  # inodes of 128 bytes


class Run:
    def __init__(self, offset: int, addr: int, len_: int, flags: int = 0) -> None:
        self.offset, self.addr, self.len, self.flags = offset, addr, len_, flags


class Attribute:
    """An attribute of a file whose every block is its number; blocks from 90 on cannot be read."""

    def __init__(self, size: int, *runs: Run) -> None:
        self.info = self
        self.type, self.id, self.size = 1, 0, size
        self._runs = runs

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def read_random(self, offset: int, size: int, *_: int) -> bytes:
        for run in self._runs:
            if run.offset <= offset // 512 < run.offset + run.len:
                if run.addr + offset // 512 - run.offset >= 90:
                    raise OSError
                return b"".join(bytes([run.addr + at // 512 - run.offset]) * 512 for at in range(offset, offset + size, 512))
        return b""


def pieces(size: int, *runs: Run) -> list[Any]:
    attribute = Attribute(size, *runs)
    items = Content(attribute, attribute, 512, 99).blocks(512)
    return [item.message if isinstance(item, Trouble) else (item[0], item[1][0]) for item in items]


def test_blocks_are_read_where_there_are_any() -> None:
    assert pieces(4096, Run(0, 10, 1), Run(1, 0, 6, 2), Run(7, 20, 1)) == [(0, 10), (7 * 512, 20)]


def test_a_block_that_comes_again_ends_a_directory() -> None:
    message = "block 10 stands in it more than once; what follows offset 1024 is not read"
    assert pieces(4096, Run(0, 10, 2), Run(2, 10, 2), Run(4, 30, 4)) == [(0, 10), (512, 11), message]


def test_a_size_of_a_terabyte_reads_no_more_than_its_blocks() -> None:
    message = f"its size is {1 << 40}, but it has blocks for no more than 512 bytes"
    assert pieces(1 << 40, Run(0, 10, 1)) == [(0, 10), message]


def test_what_lies_beyond_the_end_or_cannot_be_read_is_said_and_the_rest_is_read() -> None:
    runs = (Run(0, 98, 1 << 30), Run(1 << 30, 95, 1), Run((1 << 30) + 1, 10, 1))
    beyond, unread = "what follows offset 0 lies beyond the end of the file system", f"512 bytes at offset {1 << 39} cannot be read"
    assert pieces((1 << 39) + 1024, *runs) == [beyond, unread, ((1 << 39) + 512, 10)]


def test_an_index_record_that_is_torn_is_named_and_the_others_are_read() -> None:
    sound = bytearray(1024)
    sound[:8] = b"INDX" + struct.pack("<HH", 40, 3)
    struct.pack_into("<III", sound, 24, 40, 40 + 100, 1000)
    sound[40:46] = b"\x07\0" + b"ab" + b"cd"  # the mark, then the bytes that it stands for
    sound[510:512] = sound[1022:1024] = b"\x07\0"
    sound[64 : 64 + len(entry)] = entry if (entry := index_entry(50, "name")) else b""
    torn = bytearray(sound)
    torn[1022:1024] = b"\x08\0"
    assert ntfs_names.fix_up(bytearray(torn)) == "is torn: sector 1 of it was not written together with the others"
    assert ntfs_names.fix_up(sound) is None
    assert (sound[510:512], sound[1022:1024]) == (b"ab", b"cd")
    assert ntfs_names.fix_up(bytearray(b"INDX" + struct.pack("<HH", 2000, 3)).ljust(1024, b"\0")) is not None
