"""Btrfs is read as mkfs.btrfs and the kernel wrote it; damage, missing devices and what is not read are named."""

import os
import re
import shutil
import struct
import sys
from pathlib import Path

import google_crc32c
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import trees
from commands import tool
from mounted import mounted, run

from forensics.errors import Corrupt, Locked, Unsupported
from forensics.evidence.layers import Opened, open_exhibit
from forensics.location import Location
from forensics.model import Entry, Fault

MIB = trees.MIB
SUPER = 64 << 10
NODE = 16 << 10


def empty(folder: Path, *options: str, size: int = 256, name: str = "btrfs.raw") -> Path:
    image = folder / name
    with open(image, "wb") as file:
        file.truncate(size * MIB)
    tool("mkfs.btrfs", "-q", *options, image)
    return image


def filled(folder: Path, *options: str, names: int = 600) -> tuple[Path, Path]:
    """A tree of files, and a volume that mkfs.btrfs filled with it (it takes no special files)."""
    source = trees.planted(folder, special=False, names=names)
    return source, empty(folder, "--rootdir", str(source), *options)


def walked(opened: Opened) -> tuple[dict[str, Entry], list[Fault]]:
    items = [item for system in opened.file_systems for item in system.walk()]
    entries = {Location.parse(item.location).path: item for item in items if isinstance(item, Entry)}
    return entries, [*opened.faults, *(item for item in items if isinstance(item, Fault))]


def places(image: Path, address: int) -> list[int]:
    """The bytes at which copies of an address lie, by btrfs-map-logical."""
    return [int(text) for text in re.findall(r"physical (\d+)", run("btrfs-map-logical", "-l", str(address), image))]


def turn(image: Path, at: int) -> None:
    with open(image, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize(
    "options",
    [(), ("--csum", "sha256"), ("--csum", "blake2"), ("--csum", "xxhash"), ("-O", "^no-holes,^skinny-metadata"), ("-M", "-n", "4096")],
    ids=" ".join,
)
def test_what_mkfs_btrfs_wrote_comes_back(tmp_path: Path, options: tuple[str, ...]) -> None:
    source, image = filled(tmp_path, *options)
    opened = open_exhibit("1", image)
    (system,) = opened.file_systems
    assert ("not verified" in (system.info.description or "")) == ("xxhash" in options)
    found = trees.assert_same(system, source)
    assert opened.faults == ()
    assert found[b"/a/link"].target == "../text.txt"


def test_inodes_have_the_numbers_sizes_and_times_that_dump_tree_shows(tmp_path: Path) -> None:
    _, image = filled(tmp_path, "-L", "a label")
    text = run("btrfs", "inspect-internal", "dump-tree", "-t", "5", image)
    shown = {}
    for item in text.split("\titem ")[1:]:
        head = re.match(r"\d+ key \((\d+) INODE_ITEM 0\)", item)
        if head:
            times = [re.search(rf"{name} (\d+)\.(\d+) ", item) for name in ("mtime", "atime", "ctime", "otime")]
            size, mode = re.search(r" size (\d+) ", item), re.search(r" mode (\d+) ", item)
            assert size and mode
            shown[f"5-{head[1]}"] = (int(size[1]), int(mode[1], 8) & 0o7777, [(int(one[1]), int(one[2])) if one else None for one in times])
    opened = open_exhibit("1", image)
    (system,) = opened.file_systems
    assert system.info.label == "a label"
    found = {Location.parse(entry.location).meta: entry for entry in trees.entries(system).values()}
    assert set(found) == set(shown) - {"5-256"}
    for meta, entry in found.items():
        size, mode, times = shown[meta or ""]
        assert entry.mode == mode
        assert entry.kind == "directory" or entry.size == size
        each = (entry.times.modified, entry.times.accessed, entry.times.changed, entry.times.born)
        for text_of, wanted in zip(each, times, strict=True):
            assert wanted is not None
            if not wanted[0]:
                assert text_of is None
                continue
            assert text_of is not None and text_of.endswith("Z")
            assert int((text_of[20:-1] or "0").ljust(9, "0")) == wanted[1]


def test_the_volume_of_the_evidence_holds_what_its_neighbours_hold(evidence: Path) -> None:
    import hashlib
    import json

    facts = json.loads((evidence / "expected/images__fs.multiple.E01.json").read_text())["tsk_filesystems"][1]["files"]
    wanted = {fact["path"]: (fact["size"], fact["md5"]) for fact in facts if fact["path"].endswith((".jpg", ".txt"))}
    opened = open_exhibit("1", evidence / "images/fs.multiple.E01")
    (system,) = [each for each in opened.file_systems if each.info.kind == "btrfs"]
    found = {}
    for path, entry in trees.entries(system).items():
        content = system.open(Location.parse(entry.location)).read(0, entry.size)
        found[path.decode()] = entry.size, hashlib.md5(content).hexdigest()
    assert found == wanted


@pytest.mark.parametrize("options", ["compress-force=zlib", "compress-force=lzo", "compress-force=zstd", "nodatasum", "compress=no"])
def test_what_the_kernel_wrote_comes_back(tmp_path: Path, options: str) -> None:
    source = trees.planted(tmp_path)
    image = empty(tmp_path)
    with mounted(image, options=options) as folder:
        run("cp", "-a", f"{source}/.", folder)
    (system,) = open_exhibit("1", image).file_systems
    trees.assert_same(system, source)


def test_holes_and_reserved_space_are_zeros_and_written_parts_are_not(tmp_path: Path) -> None:
    image = empty(tmp_path)
    with mounted(image, options="compress-force=zstd") as folder:
        (folder / "file").write_bytes(b"abc" * 300_000)
        run("sync")
        with open(folder / "file", "r+b") as file:
            file.seek(100_001)
            file.write(b"x" * 70_000)  # cuts packed extents
        run("fallocate", "-p", "-o", "8192", "-l", "40960", folder / "file")
        run("fallocate", "-l", str(2 * MIB), folder / "reserved")
        with open(folder / "reserved", "r+b") as file:
            file.seek(MIB)
            file.write(b"written")
        shutil.copy(folder / "file", tmp_path / "file")
        shutil.copy(folder / "reserved", tmp_path / "reserved")
    (system,) = open_exhibit("1", image).file_systems
    found = trees.entries(system)
    for name in ("file", "reserved"):
        stream = system.open(Location.parse(found[b"/" + name.encode()].location))
        content = (tmp_path / name).read_bytes()
        assert stream.read(0, stream.size) == content
        for offset in (0, 8191, 99_999, 131_071, MIB - 5, len(content) - 3):
            assert stream.read(offset, 5000) == content[offset : offset + 5000]


def test_subvolumes_and_snapshots_stand_under_their_paths(tmp_path: Path) -> None:
    image = empty(tmp_path)
    with mounted(image) as folder:
        run("btrfs", "subvolume", "create", folder / "@home")
        run("btrfs", "subvolume", "create", folder / "@home/inner")
        (folder / "@home/letter").write_text("as it was")
        (folder / "@home/inner/deep").write_text("deep")
        run("btrfs", "subvolume", "snapshot", "-r", folder / "@home", folder / "snapshot-1")
        (folder / "@home/letter").write_text("as it is now")
        run("btrfs", "subvolume", "snapshot", folder / "@home", folder / "snapshot-2")
        run("btrfs", "subvolume", "set-default", folder / "@home")
        shown = {path: int(number) for number, path in re.findall(r"ID (\d+) .*path (\S+)", run("btrfs", "subvolume", "list", folder))}
    opened = open_exhibit("1", image)
    (system,) = opened.file_systems
    assert f"mounted by default: subvolume {shown['@home']}" in (system.info.description or "")
    entries, faults = walked(opened)
    assert faults == []
    assert set(entries) == {
        *("/@home", "/@home/inner", "/@home/inner/deep", "/@home/letter", "/snapshot-1", "/snapshot-1/inner", "/snapshot-1/letter"),
        *("/snapshot-2", "/snapshot-2/inner", "/snapshot-2/letter"),
    }
    for path, text in {"/@home": b"as it is now", "/snapshot-1": b"as it was", "/snapshot-2": b"as it is now"}.items():
        entry = entries[f"{path}/letter"]
        assert entry.location.endswith(f";meta={shown[path[1:]]}-257")
        assert system.open(Location.parse(entry.location)).read(0, 99) == text
    assert entries["/snapshot-1/inner"].note == (
        f"stands for subvolume {shown['@home/inner']}, which is not part of this one: snapshots do not hold subvolumes"
    )
    beside = system.sibling(Location.parse(entries["/@home/inner/deep"].location.replace("deep;", "de;")), "ep")
    assert str(beside) == entries["/@home/inner/deep"].location


def test_a_tree_of_several_levels_is_walked_whole(tmp_path: Path) -> None:
    image = empty(tmp_path, "-M", "-n", "4096")
    with mounted(image) as folder:
        for number in range(4000):
            (folder / f"a name that is so long that few of them fit into one block of the tree {number}").write_bytes(b"%d" % number)
    (system,) = open_exhibit("1", image).file_systems
    found = trees.entries(system)
    assert len(found) == 4000
    for path, entry in list(found.items())[::97]:
        assert system.open(Location.parse(entry.location)).read(0, 9) == path.rpartition(b" ")[2]


def test_a_log_that_was_not_replayed_is_named(tmp_path: Path) -> None:
    image, copy = empty(tmp_path), tmp_path / "copy.raw"
    with mounted(image) as folder:
        (folder / "old").write_text("old")
        run("sync")
        descriptor = os.open(folder / "new", os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, b"new")
        os.fsync(descriptor)
        run("sync", "--data", folder / "new")
        shutil.copyfile(image, copy)
        os.close(descriptor)
    if not struct.unpack_from("<Q", copy.read_bytes(), SUPER + 96)[0]:
        pytest.skip("the kernel committed instead of writing its log")
    _, faults = walked(open_exhibit("1", copy))
    assert [(fault.location, fault.kind) for fault in faults] == [("1:btrfs:", "unsupported")]
    assert "log" in faults[0].message


def test_a_sector_whose_checksum_does_not_hold_is_named_with_its_place(tmp_path: Path) -> None:
    source, image = filled(tmp_path, names=3)
    (system,) = open_exhibit("1", image).file_systems
    entry = trees.entries(system)[b"/noise.bin"]
    turn(image, entry.start + 12_345)
    (system,) = open_exhibit("1", image).file_systems
    stream = system.open(Location.parse(entry.location))
    content = (source / "noise.bin").read_bytes()
    assert stream.read(0, 12_288) == content[:12_288]
    assert stream.read(16_384, 99_999) == content[16_384 : 16_384 + 99_999]
    with pytest.raises(Corrupt, match=rf"1:btrfs:/noise.bin;.* at offset 12000 .* at byte {entry.start + 12_288} ") as caught:
        stream.read(12_000, 1000)
    assert "checksum" in str(caught.value)


def test_a_second_copy_of_data_is_read_where_the_first_is_damaged(tmp_path: Path) -> None:
    source = trees.planted(tmp_path, names=3)
    image = empty(tmp_path, "-d", "dup")
    with mounted(image, options="compress=no") as folder:
        run("cp", "-a", f"{source}/.", folder)
    (system,) = open_exhibit("1", image).file_systems
    turn(image, trees.entries(system)[b"/noise.bin"].start + 12_345)
    opened = open_exhibit("1", image)
    trees.assert_same(opened.file_systems[0], source)
    _, faults = walked(opened)
    assert [fault.kind for fault in faults] == ["damaged"]
    assert faults[0].message.startswith("1 blocks, the first at address")


def test_a_second_copy_of_a_tree_block_is_read_and_where_both_are_damaged_the_rest_goes_on(tmp_path: Path) -> None:
    _, image = filled(tmp_path, "-m", "dup", names=900)
    text = run("btrfs", "inspect-internal", "dump-tree", "-t", "5", image)
    leaves = [int(leaf.split()[0]) for leaf in text.split("\nleaf ")[1:] if leaf.count(" INODE_ITEM 0) itemoff") > 10]
    assert len(leaves) > 10
    copies = places(image, leaves[5])
    assert len(copies) == 2
    before, _ = walked(open_exhibit("1", image))
    turn(image, copies[0] + 5000)
    entries, faults = walked(open_exhibit("1", image))
    assert entries == before
    assert [fault.kind for fault in faults] == ["damaged"]
    turn(image, copies[1] + 5000)
    entries, faults = walked(open_exhibit("1", image))
    assert len(entries) > 300
    assert {fault.kind for fault in faults} == {"corrupt"}
    assert any(f"the tree block at address {leaves[5]} (byte {copies[0]}): its checksum does not hold" == fault.message for fault in faults)


def test_a_damaged_superblock_is_read_from_its_copy(tmp_path: Path) -> None:
    _, image = filled(tmp_path, names=3)
    turn(image, SUPER + 130)
    entries, faults = walked(open_exhibit("1", image))
    assert "/noise.bin" in entries
    assert [fault.kind for fault in faults] == ["damaged"]
    assert faults[0].message == "the checksum of the superblock at byte 65536 does not hold; its copy at byte 67108864 was used"
    turn(image, 64 * MIB + 130)
    opened = open_exhibit("1", image)
    assert opened.file_systems == ()
    assert "nor does a copy of it hold" in opened.faults[0].message


@pytest.mark.parametrize(("profile", "readable"), [("raid1", True), ("raid0", False), ("single", None)])
def test_what_lies_on_another_device_is_named(tmp_path: Path, profile: str, readable: bool | None) -> None:
    first, second = (tmp_path / name for name in ("first.raw", "second.raw"))
    for image in (first, second):
        with open(image, "wb") as file:
            file.truncate(256 * MIB)
    tool("mkfs.btrfs", "-q", "-d", profile, "-m", "raid1", first, second)
    source = trees.planted(tmp_path, names=3)
    with mounted(first, second, options="compress=no") as folder:
        run("cp", "-a", f"{source}/.", folder)
    for number, image in ((1, first), (2, second)):
        opened = open_exhibit("1", image)
        (system,) = opened.file_systems
        assert f"device {number} of 2" in (system.info.description or "")
        if readable:
            trees.assert_same(system, source)
            continue
        entry = trees.entries(system)[b"/noise.bin"]
        if readable is False:
            with pytest.raises(Unsupported, match=r"/noise.bin;.*profile RAID0 over 2 devices, of which one is here: not read"):
                system.open(Location.parse(entry.location)).read(0, entry.size)


def sealed(data: bytearray, identifier: bytes) -> None:
    """Make the checksums of the tree blocks and the superblocks hold."""
    for at in range(0, len(data) - NODE + 1, 4096):
        if data[at + 32 : at + 48] == identifier:
            size = 4096 if data[at + 64 : at + 72] == b"_BHRfS_M" else NODE
            data[at : at + 4] = google_crc32c.value(bytes(data[at + 32 : at + size])).to_bytes(4, "little")


def test_damage_ends_in_faults(tmp_path: Path) -> None:
    source = trees.planted(tmp_path, special=False, names=60)
    for name in ("sparse.bin", "noise.bin", "a/b/zero.bin"):
        (source / name).unlink()
    image = empty(tmp_path, "--shrink", "-m", "single", "--rootdir", str(source), size=128)
    data = image.read_bytes()
    identifier = data[SUPER + 32 : SUPER + 48]
    assert trees.assert_survives(image, tmp_path, range(24)) > 20
    blocks = [at for at in range(SUPER, len(data), 4096) if data[at + 32 : at + 48] == identifier]
    begin, end = min(at for at in blocks if at > SUPER), max(blocks) + NODE
    found = trees.assert_survives(
        image, tmp_path, range(24, 84), region=(begin, end), cut=False, seal=lambda each: sealed(each, identifier)
    )
    assert found > 60
    region = (SUPER + 32, SUPER + 1024)
    trees.assert_survives(image, tmp_path, range(84, 110), region=region, cut=False, seal=lambda each: sealed(each, identifier))


def test_an_inode_that_no_walk_gave_is_refused(tmp_path: Path) -> None:
    _, image = filled(tmp_path, names=3)
    (system,) = open_exhibit("1", image).file_systems
    for meta in ("5", "5-", "5-999999", "999-257", "5-256", "x-1", "5-2", "18446744073709551615-18446744073709551615"):
        with pytest.raises(Corrupt, match="1:btrfs:/x;meta="):
            system.open(Location.parse(f"1:btrfs:/x;meta={meta}"))


def test_a_file_whose_content_is_encrypted_is_an_entry_and_its_content_locked(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/secret").write_bytes(os.urandom(20_000))
    (tmp_path / "source/plain").write_bytes(b"plain")
    image = empty(tmp_path, "--shrink", "-m", "single", "--rootdir", str(tmp_path / "source"), size=128)
    data = bytearray(image.read_bytes())
    clear, secret = (struct.pack("<QBBHB", 20_480, 0, encrypted, 0, 1) for encrypted in (0, 1))  # btrfs_file_extent_item
    assert data.count(clear)
    data = data.replace(clear, secret)
    sealed(data, bytes(data[SUPER + 32 : SUPER + 48]))
    image.write_bytes(data)
    opened = open_exhibit("1", image)
    entries, faults = walked(opened)
    assert (faults, entries["/secret"].size, entries["/secret"].start) == ([], 20_000, -1)
    with pytest.raises(Locked, match="encrypted"):
        opened.file_systems[0].open(Location.parse(entries["/secret"].location)).read(0, 20_000)
