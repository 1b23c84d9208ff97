"""What mksquashfs packed comes back, whatever it packed it with; what is damaged, old or unknown is named."""

import re
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import trees
from commands import tool
from mounted import run

from forensics.errors import Corrupt
from forensics.evidence import limits
from forensics.evidence.layers import open_exhibit
from forensics.location import Location
from forensics.model import Fault


def packed(source: Path, *options: str) -> Path:
    image = source.parent / "image.sqfs"
    tool("mksquashfs", source, image, "-noappend", "-no-progress", *options)
    return image


@pytest.mark.parametrize(
    "options",
    [
        ("-comp", "gzip"),
        ("-comp", "lzo"),
        ("-comp", "lz4"),
        ("-comp", "lz4", "-Xhc"),
        ("-comp", "xz"),
        ("-comp", "xz", "-Xbcj", "x86"),
        ("-comp", "lzma"),
        ("-comp", "zstd"),
        ("-noI", "-noD", "-noF", "-noX"),
        ("-no-fragments",),
        ("-always-use-fragments", "-b", "1M"),
        ("-b", "4096", "-no-exports", "-no-duplicates"),
    ],
    ids=" ".join,
)
def test_what_mksquashfs_packed_comes_back(tmp_path: Path, options: tuple[str, ...]) -> None:
    source = trees.planted(tmp_path)
    opened = open_exhibit("1", packed(source, *options))
    (system,) = opened.file_systems
    found = trees.assert_same(system, source)
    assert opened.faults == ()
    assert found[b"/one"].location.partition(";")[2] == found[b"/a/hard"].location.partition(";")[2]
    assert [layer.kind for layer in opened.layers] == ["squashfs"]


def test_the_listing_is_that_of_unsquashfs(tmp_path: Path) -> None:
    image = packed(trees.planted(tmp_path, names=30))
    shown = {}
    for line in run("unsquashfs", "-lln", image).splitlines():
        found = re.fullmatch(r"(\S)\S+ (\d+)/(\d+)\s+(\d+) (\S+) (\S+) squashfs-root(/.*?)(?: -> .*)?", line)
        if found:
            kind, uid, gid, size, day, minute, path = found.groups()
            shown[path] = (
                {"-": "file", "d": "directory", "l": "link"}.get(kind, "other"),
                int(uid),
                int(gid),
                int(size),
                f"{day}T{minute}",
            )
    (system,) = open_exhibit("1", image).file_systems
    entries = {path.decode(): entry for path, entry in trees.entries(system).items() if path.isascii()}
    assert len(shown) >= len(entries) > 40
    for path, entry in entries.items():
        kind, uid, gid, size, minute = shown[path]
        assert (entry.kind, entry.uid, entry.gid, (entry.times.modified or "")[:16]) == (kind, uid, gid, minute)
        assert entry.kind not in ("file", "link") or entry.size == size


def test_more_names_than_the_bound_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TREE_NAMES", 10)
    (system,) = open_exhibit("1", packed(trees.planted(tmp_path, names=30))).file_systems
    items = list(system.walk())
    assert [item.kind for item in items if isinstance(item, Fault)] == ["limit"]
    assert len(items) == 11


def test_directories_deeper_than_the_bound_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "source" / "/".join("d" * (limits.PATH_DEPTH + 20))).mkdir(parents=True)
    (tmp_path / "source/z").write_bytes(b"after it")
    (system,) = open_exhibit("1", packed(tmp_path / "source")).file_systems
    items = list(system.walk())
    assert [item.kind for item in items if isinstance(item, Fault)] == ["limit"]
    assert max(item.location.count("/") for item in items) == limits.PATH_DEPTH
    assert any(item.location.startswith("1:squashfs:/z;") for item in items)


def test_a_directory_of_many_names_is_listed_whole(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(9000):
        (source / f"a name that is rather long, so that the list takes several blocks, {number}").touch()
    (system,) = open_exhibit("1", packed(source)).file_systems
    trees.assert_same(system, source)


def test_a_file_of_more_blocks_than_are_remembered_is_read_at_any_place(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    content = b"".join(struct.pack("<Q", number) * 512 for number in range(3000))
    (source / "file").write_bytes(content)
    (system,) = open_exhibit("1", packed(source, "-b", "4096")).file_systems
    (entry,) = trees.entries(system).values()
    stream = system.open(Location.parse(entry.location))
    for offset in (0, 2999 * 4096, 5, 1024 * 4096 - 3, 2048 * 4096, 4095):
        assert stream.read(offset, 9000) == content[offset : offset + 9000]
    assert stream.read(len(content), 1) == b""


def test_the_file_beside_another_is_found_by_its_name(tmp_path: Path) -> None:
    (system,) = open_exhibit("1", packed(trees.planted(tmp_path))).file_systems
    found = trees.entries(system)
    place = Location.parse(found[b"/a/hard"].location)
    beside = system.sibling(Location("1", place.layers, "/a/b/c/mixed"), ".bin")
    assert str(beside) == found[b"/a/b/c/mixed.bin"].location
    assert system.sibling(place, "-wal") is None
    assert system.sibling(Location("1", place.layers, "/nowhere/a"), "-wal") is None


def test_a_partition_that_holds_one_is_read(tmp_path: Path) -> None:
    source = trees.planted(tmp_path, names=3)
    image, disk = packed(source), tmp_path / "disk.raw"
    with open(disk, "wb") as file:
        file.truncate(8 * trees.MIB)
    tool("sfdisk", "-q", disk, stdin="label: dos\nstart=2048,size=12288,type=83\n")
    with open(disk, "r+b") as file:
        file.seek(trees.MIB)
        file.write(image.read_bytes())
    (system,) = open_exhibit("1", disk).file_systems
    assert system.info.location == "1:volume@1048576:squashfs:"
    found = trees.assert_same(system, source)
    entry = found[b"/noise.bin"]
    with open(disk, "rb") as file:
        file.seek(entry.start)
        assert file.read(1000) == (source / "noise.bin").read_bytes()[:1000]  # noise is stored as it is


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [(28, b"\x03\0", "version 3"), (20, b"\x09\0", "compressed by method 9"), (12, b"\1\2\3\4", "blocks are said to have 67305985 bytes")],
)
def test_what_is_not_read_is_named(tmp_path: Path, at: int, value: bytes, message: str) -> None:
    image = packed(trees.planted(tmp_path, names=3))
    data = bytearray(image.read_bytes())
    data[at : at + len(value)] = value
    image.write_bytes(data)
    opened = open_exhibit("1", image)
    assert opened.file_systems == ()
    (fault,) = opened.faults
    assert message in fault.message


def test_an_inode_that_no_walk_gave_is_refused(tmp_path: Path) -> None:
    (system,) = open_exhibit("1", packed(trees.planted(tmp_path, names=3))).file_systems
    for meta in ("1", "1-", "-1", "1-99999999", "1-18446744073709551615", "x-1", "1-2-3"):
        with pytest.raises(Corrupt, match="1:squashfs:/x;meta="):
            system.open(Location.parse(f"1:squashfs:/x;meta={meta}"))


def test_a_directory_that_holds_itself_is_entered_once(tmp_path: Path) -> None:
    (tmp_path / "source/one").mkdir(parents=True)
    (tmp_path / "source/one/two").mkdir()
    (tmp_path / "source/one/two/file").write_bytes(b"1")
    image = packed(tmp_path / "source", "-noI")
    data = bytearray(image.read_bytes())
    inodes, lists = struct.unpack_from("<QQ", data, 64)
    # the list of /one is made to name the inode of /one itself: number and place of "one" as the root's list has them
    names = {}
    at = lists + 2
    while at < len(data) and len(names) < 3:
        count, block, first = struct.unpack_from("<III", data, at)
        offset, step, _, length = struct.unpack_from("<HhHH", data, at + 12)
        assert (count, block) == (0, 0)
        names[bytes(data[at + 20 : at + 21 + length])] = (at, first, offset, step)
        at += 21 + length
    _, first, offset, step = names[b"one"]
    at = names[b"two"][0]
    struct.pack_into("<I", data, at + 8, first)
    struct.pack_into("<Hh", data, at + 12, offset, step)
    assert inodes
    image.write_bytes(data)
    (system,) = open_exhibit("1", image).file_systems
    items = list(system.walk())
    faults = [item for item in items if isinstance(item, Fault)]
    assert [(fault.location, fault.kind) for fault in faults] == [("1:squashfs:/one/two", "corrupt")]
    assert len(items) == 3


def test_damage_ends_in_faults(tmp_path: Path) -> None:
    source = trees.planted(tmp_path, names=40)
    (source / "sparse.bin").unlink()
    (source / "a/b/zero.bin").unlink()
    assert trees.assert_survives(packed(source), tmp_path, range(40)) > 10
    plain = packed(source, "-noI", "-noX")
    begin, end = struct.unpack_from("<Q", plain.read_bytes(), 64)[0], plain.stat().st_size - 4096
    assert trees.assert_survives(plain, tmp_path, range(40, 120), region=(begin, end), cut=False) > 80
    assert trees.assert_survives(plain, tmp_path, range(120, 160), region=(0, 96), cut=False) > 10


def test_a_file_that_claims_more_than_a_medium_can_hold_is_a_fault_and_the_others_are_listed(tmp_path: Path) -> None:
    image = packed(trees.planted(tmp_path, names=3), "-noI")
    data = image.read_bytes()
    size = struct.pack("<Q", 20 * trees.MIB + 4)  # of sparse.bin, in the inode of an extended file
    assert data.count(size) == 1
    image.write_bytes(data.replace(size, struct.pack("<Q", 1 << 63)))
    items = list(open_exhibit("1", image).file_systems[0].walk())
    (fault,) = (item for item in items if isinstance(item, Fault))
    assert fault.location.partition(";")[0] == "1:squashfs:/sparse.bin"
    assert (fault.kind, f"{1 << 63} bytes" in fault.message) == ("corrupt", True)
    assert len(items) > 15
