"""What lies within layers: logical volumes, shadow copies, and layers within layers."""

import json
import struct
import sys
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from commands import tool

from forensics.errors import Corrupt
from forensics.evidence import apfs, limits, lvm, wide
from forensics.evidence.image import open_image
from forensics.evidence.keys import Keys, parse
from forensics.evidence.layers import open_exhibit
from forensics.location import Location
from forensics.model import Entry

MIB = 1 << 20


def test_logical_volumes_are_named_and_examined(evidence: Path) -> None:
    opened = open_exhibit("1", evidence / "images/lvm.E01")
    assert [(layer.location, layer.size, layer.examined) for layer in opened.layers] == [
        ("1:lvm2:", 10485760, True),
        ("1:lvm2:volume@test_logical_volume1:ext2:", 4194304, True),
        ("1:lvm2:volume@test_logical_volume2:", 4194304, False),
    ]
    (system,) = opened.file_systems
    facts = json.loads((evidence / "expected/images__lvm.E01.json").read_text())["dfvfs"]["filesystems"][0]["files"]
    found = {Location.parse(item.location).path for item in system.walk() if isinstance(item, Entry)}
    assert {fact["path"] for fact in facts} <= found


def test_a_group_of_which_a_physical_volume_is_missing_is_not_examined(evidence: Path, tmp_path: Path) -> None:
    image = open_image(evidence / "images/lvm.E01")
    raw = bytearray(image.read(0, image.size))
    label = lvm.label(image, "volume")
    assert (label.group, label.needs) == ("test_volume_group", [label.identifier])
    other = b"V9N6H5-XXXX-loJm-EETL-HsKy-AokL-v5JL-0RY7"
    at = raw.rindex(b"physical_volumes {", 0, MIB)
    identifier = raw.index(b'id = "', at) + 6
    raw[identifier : identifier + 38] = other[:38]
    (tmp_path / "lvm.raw").write_bytes(raw)
    opened = open_exhibit("1", tmp_path / "lvm.raw")
    assert [(layer.kind, layer.examined) for layer in opened.layers] == [("lvm2", True), ("lvm2-group", False)]
    assert "is not complete" in opened.faults[0].message


def checksum(data: bytes) -> bytes:
    """LVM2's CRC-32: with a start of its own, and not inverted at the end (lib/misc/crc.c)."""
    return (zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "little")


@pytest.mark.parametrize(("old", "new"), [(b'type = "striped"', b'type = "thin"   '), (b"stripe_count = 1", b"stripe_count = 2")])
def test_a_logical_volume_that_is_not_linear_is_refused_and_not_read_wrong(evidence: Path, tmp_path: Path, old: bytes, new: bytes) -> None:
    image = open_image(evidence / "images/lvm.E01")
    raw = bytearray(image.read(0, image.size)).replace(old, new)
    area = raw.index(b" LVM2 x[5A%r0N*>") - 4
    start, length = (int.from_bytes(raw[area + at : area + at + 8], "little") for at in (40, 48))
    raw[area + 56 : area + 60] = checksum(raw[area + start : area + start + length])
    raw[area : area + 4] = checksum(raw[area + 4 : area + 512])
    (tmp_path / "lvm.raw").write_bytes(raw)
    opened = open_exhibit("1", tmp_path / "lvm.raw")
    assert [layer.examined for layer in opened.layers] == [True, False, False]
    assert all("linear ones are read" in (layer.reason or "") for layer in opened.layers[1:])


def test_a_description_of_a_group_is_read_as_nested_values() -> None:
    text = 'a {\nb = 1 # a note\nc = ["x", "y z"]\nd {\ne = "q\\"uote"\n}\n}\nf = -3\n'
    assert lvm.parse(text, "x") == {"a": {"b": 1, "c": ["x", "y z"], "d": {"e": 'q"uote'}}, "f": -3}
    for bad in ("}", "a", "a { " * 40, "= 3"):
        with pytest.raises(Corrupt):
            lvm.parse(bad, "x")


@pytest.mark.parametrize("size", [3, MIB])
def test_a_description_that_ends_within_a_string_is_read_once(size: int) -> None:
    for text in ('a = "' + '\\"' * size, 'a = "' + '\\"' * size + "\\", 'a = "' + '"' * (2 * size)):
        with pytest.raises(Corrupt, match="ends within"):
            lvm.parse(text, "x")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("status", 5, None),
        ("segment1", {"type": "striped", "stripe_count": 1, "extent_count": [1]}, r"number of extents is given as '\[1\]'"),
        ("segment1", {"type": "striped", "stripe_count": 1, "extent_count": "many"}, "number of extents is given as 'many'"),
        ("segment1", {"type": "striped", "stripe_count": 1, "extent_count": 1 << 52}, "is said to have"),
    ],
)
def test_values_of_another_kind_in_the_description_of_a_group_are_named(
    evidence: Path, name: str, value: object, message: str | None
) -> None:
    image = open_image(evidence / "images/lvm.E01")
    text = lvm.label(image, "volume").text
    text["logical_volumes"]["test_logical_volume1"][name] = value
    if message is None:  # it is not said to be visible
        assert [each.name for each in lvm.logical_volumes([image], text, "x")] == ["test_logical_volume2"]
        return
    with pytest.raises(Corrupt, match=message):
        lvm.logical_volumes([image], text, "x")


def test_each_shadow_copy_is_a_layer_with_its_time_and_its_files(evidence: Path) -> None:
    opened = open_exhibit("1", evidence / "images/vss.E01")
    copies = [layer for layer in opened.layers if layer.kind == "vss"]
    assert len(copies) == 2  # the manifest's vss_stores
    assert [layer.location for layer in copies] == ["1:ntfs:vss@1:", "1:ntfs:vss@2:"]
    # dfvfs's own test of this image: creation times of the two stores
    assert "made 2021-05-01T17:40:03.223030Z" in (copies[0].description or "")
    assert "made 2021-05-01T17:41:28.224986Z" in (copies[1].description or "")
    now, first, second = ({Location.parse(item.location).path for item in system.walk()} for system in opened.file_systems)
    assert "/a_directory/a_file" in first
    assert first < now
    assert first <= second <= now
    assert opened.faults == ()
    assert not open_exhibit("1", evidence / "images/ntfs.raw").faults


def test_shadow_copies_are_named_and_left_out_where_that_is_asked(evidence: Path) -> None:
    opened = open_exhibit("1", evidence / "images/vss.E01", shadow_copies=False)
    assert [(layer.location, layer.examined) for layer in opened.layers] == [
        ("1:ntfs:", True),
        ("1:ntfs:vss@1:", False),
        ("1:ntfs:vss@2:", False),
    ]
    assert ["left out" in fault.message for fault in opened.faults] == [True, True]
    assert len(opened.file_systems) == 1


def test_content_of_a_shadow_copy_is_read_through_it(evidence: Path) -> None:
    opened = open_exhibit("1", evidence / "images/vss.E01")
    facts = json.loads((evidence / "expected/images__vss.E01.json").read_text())["tsk_filesystems"][0]["files"]
    size = {fact["path"]: fact["size"] for fact in facts}["/passwords.txt"]
    for system in opened.file_systems:
        for item in system.walk():
            assert isinstance(item, Entry)
            location = Location.parse(item.location)
            if location.path == "/passwords.txt" and not location.stream:
                assert system.open(location).read(0, item.size).startswith(b"place,user,password")
                assert item.size == size


def test_layers_nest_up_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "inner.raw"
    with open(inner, "wb") as file:
        file.truncate(4 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", inner)
    (tmp_path / "secret").write_text("x")
    for number in range(3):
        options = ["--object", f"secret,id=s,file={tmp_path / 'secret'}", "-o", "key-secret=s,iter-time=100"]
        tool("qemu-img", "convert", "-f", "raw", "-O", "luks", *options, inner, tmp_path / f"{number}.luks")
        inner = tmp_path / f"{number}.luks"
    keys = Keys((parse("password:x"),))
    opened = open_exhibit("1", inner, keys=keys)
    assert [layer.location for layer in opened.layers][-1] == "1:luks1:luks1:luks1:ext4:"
    only = Keys((parse("1:luks1=password:x"),))
    assert [(layer.location, layer.examined) for layer in open_exhibit("1", inner, keys=only).layers] == [
        ("1:luks1:", True),
        ("1:luks1:luks1:", False),
    ]
    monkeypatch.setattr(limits, "NESTING", 2)
    assert "more than 2 deep" in open_exhibit("1", inner, keys=keys).faults[0].message


def test_a_disk_with_partitions_inside_of_a_decrypted_volume_is_opened(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    with open(disk, "wb") as file:
        file.truncate(8 * MIB)
    tool("sfdisk", "--no-reread", "--no-tell-kernel", disk, stdin="label: gpt\nstart=2048,size=8192,type=linux\n")
    tool("mke2fs", "-q", "-t", "ext4", "-E", f"offset={MIB}", disk, "4096k")
    (tmp_path / "secret").write_text("x")
    options = ["--object", f"secret,id=s,file={tmp_path / 'secret'}", "-o", "key-secret=s,iter-time=100"]
    tool("qemu-img", "convert", "-f", "raw", "-O", "luks", *options, disk, tmp_path / "a.luks")
    opened = open_exhibit("1", tmp_path / "a.luks", keys=Keys((parse("password:x"),)))
    assert ("1:luks1:volume@1048576:ext4:", "ext4") in [(layer.location, layer.kind) for layer in opened.layers]


# --- APFS snapshots -----------------------------------------------------------------------------------------------------------


def fletcher(data: bytes) -> bytes:
    """The checksum of an object (Apple File System Reference, "Objects")."""
    most, first, second = 0xFFFFFFFF, 0, 0
    for (word,) in struct.iter_unpack("<I", data):
        first = (first + word) % most
        second = (second + first) % most
    low = most - (first + second) % most
    return struct.pack("<II", low, most - (first + low) % most)


def with_snapshots(evidence: Path, path: Path, names: dict[str, int], counted: int | None = None) -> Path:
    """The sample container with snapshots put in: the counter at 216, the tree's root in block 88 (Apple File System Reference)."""
    raw = bytearray((evidence / "images/apfs.raw").read_bytes())
    superblock = 0
    for at in range(0, len(raw), 4096):
        if raw[at + 32 : at + 36] == b"APSB":
            raw[at + 216 : at + 224] = (len(names) if counted is None else counted).to_bytes(8, "little")
            superblock = at
    tree = int.from_bytes(raw[superblock + 152 : superblock + 160], "little") * 4096
    table, keys, values = b"", b"", b""
    for number, (name, seconds) in enumerate(names.items()):
        text = name.encode() + b"\0"
        values = struct.pack("<QQQQQIIH", 1, 2, seconds * 10**9, 0, 0, 0, 0, len(text)) + text + values
        table += struct.pack("<HHHH", len(keys), 8, len(values), 50 + len(text))
        keys += ((1 << 60) | (number + 5)).to_bytes(8, "little")
    raw[tree + 32 : tree + 56] = struct.pack("<HHIHHHHHHHH", 3, 0, len(names), 0, 64, 0, 0, 0, 0, 0, 0)
    raw[tree + 56 : tree + 56 + len(table)] = table
    raw[tree + 56 + 64 : tree + 56 + 64 + len(keys)] = keys
    raw[tree + 4056 - len(values) : tree + 4056] = values
    for at in range(0, len(raw), 4096):
        if raw[at + 32 : at + 36] == b"APSB" or at == tree:
            raw[at : at + 8] = fletcher(raw[at + 8 : at + 4096])
    path.write_bytes(raw)
    return path


def test_snapshots_of_apfs_are_named_with_their_times(evidence: Path, tmp_path: Path) -> None:
    names = {"com.apple.TimeMachine.2022-01-14-071941.local": 1_642_144_781, "before update": 1_642_150_000}
    opened = open_exhibit("1", with_snapshots(evidence, tmp_path / "apfs.raw", names))
    found = [layer for layer in opened.layers if "snapshot" in layer.location]
    assert [(layer.location.partition(":apfs:")[2], layer.examined) for layer in found] == [
        ("snapshot@com.apple.TimeMachine.2022-01-14-071941.local:", False),
        ("snapshot@before update:", False),
    ]
    assert "made 2022-01-14T07:19:41Z" in (found[0].description or "")
    assert [fault.kind for fault in opened.faults] == ["unsupported", "unsupported"]


def test_a_volume_without_snapshots_says_nothing_of_them_and_a_damaged_list_does(evidence: Path, tmp_path: Path) -> None:
    assert open_exhibit("1", evidence / "images/apfs.raw").faults == ()
    raw = bytearray(with_snapshots(evidence, tmp_path / "apfs.raw", {"one": 1}).read_bytes())
    tree = 88 * 4096
    raw[tree + 32 : tree + 56] = bytes(24)
    raw[tree : tree + 8] = fletcher(raw[tree + 8 : tree + 4096])
    (tmp_path / "apfs.raw").write_bytes(raw)
    opened = open_exhibit("1", tmp_path / "apfs.raw")
    assert [(layer.location, layer.examined) for layer in opened.layers] == [
        ("1:apfs-container:", True),
        ("1:apfs-container:volume@1:apfs:", True),
        ("1:apfs-container:volume@1:apfs:snapshots:", False),
    ]
    (fault,) = opened.faults
    assert "whether the volume has snapshots cannot be told" in fault.message
    with_snapshots(evidence, tmp_path / "apfs.raw", {"one": 1}, counted=3)
    (fault,) = open_exhibit("1", tmp_path / "apfs.raw").faults
    assert "whether the volume has snapshots cannot be told: the volume counts 3 snapshots, and 1 can be read" in fault.message


def test_a_volume_whose_snapshots_fill_several_nodes_is_read_as_one_without_them(evidence: Path, tmp_path: Path) -> None:
    """libfsapfs opens no such volume; Macs that back up every hour have them."""
    raw = bytearray(with_snapshots(evidence, tmp_path / "apfs.raw", {"one": 1, "two": 2}).read_bytes())
    tree = 88 * 4096
    leaf = next(at for at in range(0, len(raw), 4096) if not any(raw[at : at + 4096]))
    entries, values = raw[tree + 56 : tree + 2048], raw[tree + 2048 : tree + 4056]
    raw[leaf : leaf + 4096] = bytes(32) + struct.pack("<HHIHHHHHHHH", 2, 0, 2, 0, 64, 0, 0, 0, 0, 0, 0) + entries + bytes(40) + values
    raw[tree + 32 : tree + 4056] = struct.pack("<HHIHHHHHHHH", 1, 1, 1, 0, 64, 0, 0, 0, 0, 0, 0) + bytes(4000)
    raw[tree + 56 : tree + 64] = struct.pack("<HHHH", 0, 8, 8, 8)
    raw[tree + 120 : tree + 128] = ((1 << 60) | 5).to_bytes(8, "little")
    raw[tree + 4048 : tree + 4056] = (leaf // 4096).to_bytes(8, "little")
    for at in (tree, leaf):
        raw[at : at + 8] = fletcher(raw[at + 8 : at + 4096])
    (tmp_path / "apfs.raw").write_bytes(raw)
    image = open_image(tmp_path / "apfs.raw")
    (alone,) = wide.apfs_volumes(image, "1:apfs-container:")
    assert alone.problem is not None
    assert [snapshot.name for snapshot in apfs.snapshots(image, 1)] == ["one", "two"]
    opened = open_exhibit("1", tmp_path / "apfs.raw")
    assert [layer.location.partition(":volume@1:")[2] for layer in opened.layers[1:]] == [
        "apfs:",
        "apfs:snapshot@one:",
        "apfs:snapshot@two:",
    ]
    plain = open_exhibit("1", evidence / "images/apfs.raw").file_systems[0]
    assert list(opened.file_systems[0].walk()) == list(plain.walk())


def test_a_volume_that_cannot_be_read_without_its_snapshots_either_is_said(evidence: Path, tmp_path: Path) -> None:
    raw = bytearray((evidence / "images/apfs.raw").read_bytes())
    at = max(at for at in range(0, len(raw), 4096) if raw[at + 32 : at + 36] == b"APSB")
    raw[at + 128] ^= 0xFF  # where its object map lies
    raw[at : at + 8] = fletcher(raw[at + 8 : at + 4096])
    (tmp_path / "apfs.raw").write_bytes(raw)
    opened = open_exhibit("1", tmp_path / "apfs.raw")
    assert opened.file_systems == ()
    (fault,) = opened.faults
    assert (fault.location, fault.kind) == ("1:apfs-container:volume@1:", "unsupported")


def test_a_tree_of_snapshots_that_leads_to_a_block_twice_is_left(evidence: Path, tmp_path: Path) -> None:
    raw = bytearray(with_snapshots(evidence, tmp_path / "apfs.raw", {"one": 1, "two": 2}).read_bytes())
    empty = next(at for at in range(0, len(raw), 4096) if not any(raw[at : at + 4096])) // 4096
    for seconds in (1, 2):  # what a leaf says of a snapshot becomes what an inner node says of a branch: the number of a block
        at = raw.index(struct.pack("<QQQ", 1, 2, seconds * 10**9))
        raw[at : at + 8] = empty.to_bytes(8, "little")
    raw[88 * 4096 + 32] = 1
    (tmp_path / "apfs.raw").write_bytes(raw)
    with pytest.raises(Corrupt, match=f"leads to block {empty} again"):
        apfs.snapshots(open_image(tmp_path / "apfs.raw"), 1)


def test_counters_of_apfs_stand_where_they_are_read(evidence: Path) -> None:
    # the volume's superblock counts files, folders and links just before snapshots: dfvfs lists 7, 2 and 1
    raw = (evidence / "images/apfs.raw").read_bytes()
    at = max(at for at in range(0, len(raw), 4096) if raw[at + 32 : at + 36] == b"APSB")
    files = json.loads((evidence / "expected/images__apfs.raw.json").read_text())["dfvfs"]["filesystems"][0]["files"]
    kinds = [sum(fact["type"] == kind for fact in files) for kind in ("file", "directory", "link")]
    assert list(struct.unpack_from("<QQQ", raw, at + 184)) == kinds


# --- other partition tables ---------------------------------------------------------------------------------------------------


def test_an_apple_partition_map_is_read(tmp_path: Path) -> None:
    def entry(first: int, blocks: int, name: str, kind: str) -> bytes:  # Inside Macintosh: Devices, "Partition Map"
        facts = struct.pack(">HHIII32s32sIII", 0x504D, 0, 3, first, blocks, name.encode(), kind.encode(), 0, blocks, 0x33)
        return facts.ljust(512, b"\0")

    disk = bytearray(8 * MIB)
    disk[0:8] = struct.pack(">HHI", 0x4552, 512, len(disk) // 512)
    disk[512:1024] = entry(1, 63, "Apple", "Apple_partition_map")
    disk[1024:1536] = entry(64, 8192, "disk image", "Apple_HFS")
    disk[1536:2048] = entry(8256, 8128, "", "Apple_Free")
    (tmp_path / "disk.raw").write_bytes(disk)
    volume = tmp_path / "volume.raw"
    with open(volume, "wb") as file:
        file.truncate(4 * MIB)
    tool("mke2fs", "-q", "-t", "ext2", volume)
    disk[64 * 512 : 64 * 512 + 4 * MIB] = volume.read_bytes()
    (tmp_path / "disk.raw").write_bytes(disk)
    opened = open_exhibit("1", tmp_path / "disk.raw")
    assert [(layer.location, layer.kind) for layer in opened.layers] == [
        ("1:mac:", "mac"),
        ("1:unallocated@0:", "unallocated"),
        ("1:volume@32768:ext2:", "ext2"),
        ("1:unallocated@4227072:", "unallocated"),
    ]


def test_a_sun_label_is_read(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    with open(disk, "wb") as file:
        file.truncate(64 * MIB)
    tool(
        "sfdisk", "--no-reread", "--no-tell-kernel", disk, stdin="label: sun\nstart=0,size=16065,type=83\nstart=16065,size=32130,type=83\n"
    )
    opened = open_exhibit("1", disk)
    assert ("1:sun:", "sun") in [(layer.location, layer.kind) for layer in opened.layers]
    assert 16065 * 512 in [layer.offset for layer in opened.layers if layer.location.startswith("1:volume@")]
