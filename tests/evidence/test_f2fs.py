"""F2FS is read as mkfs.f2fs and sload.f2fs wrote it; damage, encryption and what was not written to its end are named."""

import base64
import hashlib
import lzma
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import trees
from commands import PATH, tool

from forensics.errors import Corrupt, Locked
from forensics.evidence.f2fs_volume import crc
from forensics.evidence.layers import Opened, open_exhibit
from forensics.location import Location
from forensics.model import Entry, Fault

BLOCK = 4096
CHECKPOINTS = (512, 1024)  # blocks, in an image of this size
COMPRESSED = {  # what lies in the images of data/, which a sload.f2fs with compression filled
    b"/packed.txt": b"what repeats packs well\n" * 3000,
    b"/zeros.bin": bytes(100_000),
    b"/deep/mixed.bin": b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(512)) + b"and what repeats, repeats\n" * 2000,
    b"/short.txt": b"short\n",
}


def filled(folder: Path, *options: str, source: Path | None = None, names: int = 600, size: int = 120) -> tuple[Path, Path]:
    """A tree of files, and a volume that sload.f2fs filled with it (it leaves out named pipes)."""
    if source is None:
        source = trees.planted(folder, names=names)
        (source / "pipe").unlink()
        os.utime(source, (1_500_000_000, 1_500_000_000))
    image = folder / "f2fs.raw"
    with open(image, "wb") as file:
        file.truncate(size * trees.MIB)
    tool("mkfs.f2fs", "-q", *options, image)
    tool("sload.f2fs", "-P", "-f", source, image)
    return source, image


def walked(image: Path) -> tuple[Opened, dict[str, Entry], list[Fault]]:
    opened = open_exhibit("1", image)
    items = [item for system in opened.file_systems for item in system.walk()]
    entries = {Location.parse(item.location).path: item for item in items if isinstance(item, Entry)}
    return opened, entries, [*opened.faults, *(item for item in items if isinstance(item, Fault))]


def place(image: Path, node: int) -> int:
    """The byte at which the node of a number lies: found by its footer, the last of them in the checkpoint's order."""
    data = image.read_bytes()
    wanted = struct.pack("<II", node, node)
    found = [at - 4072 for at in (match.start() for match in re.finditer(re.escape(wanted), data)) if at % BLOCK == 4072]
    assert found
    return found[-1]


def patch(image: Path, at: int, value: bytes) -> None:
    with open(image, "r+b") as file:
        file.seek(at)
        file.write(value)


@pytest.mark.parametrize(
    "options",
    [(), ("-O", "extra_attr,inode_checksum,sb_checksum,inode_crtime"), ("-O", "extra_attr,project_quota,encrypt"), ("-i",)],
    ids=" ".join,
)
def test_what_sload_f2fs_wrote_comes_back(tmp_path: Path, options: tuple[str, ...]) -> None:
    source, image = filled(tmp_path, "-l", "a label ไทย", *options)
    opened = open_exhibit("1", image)
    (system,) = opened.file_systems
    assert opened.faults == ()
    assert system.info.label == "a label ไทย"
    trees.assert_same(system, source)


def test_inodes_have_the_numbers_and_sizes_that_dump_f2fs_shows(tmp_path: Path) -> None:
    _, image = filled(tmp_path, names=20)
    (system,) = open_exhibit("1", image).file_systems
    for path, entry in trees.entries(system).items():
        words = ["dump.f2fs", "-i", Location.parse(entry.location).meta or "", str(image)]
        # it asks whether to write the file out, and is told nothing
        shown = subprocess.run(words, input=b"N\n", capture_output=True, env={"PATH": PATH}).stdout.decode(errors="backslashreplace")
        fields = {name: int(value, 16) for name, value in re.findall(r"^(i_\w+)\s+\[0x\s*([0-9a-f]+) :", shown, re.MULTILINE)}
        assert fields["i_mode"] & 0o7777 == entry.mode
        assert entry.kind == "directory" or fields["i_size"] == entry.size
        name = path.rpartition(b"/")[2]
        assert f"[{name.decode(errors='replace')}]" in shown or not name.isascii() or name in (b"one", b"hard")  # one inode, two names


def test_a_directory_of_many_blocks_and_a_file_with_indirect_nodes_are_read_whole(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "many").mkdir(parents=True)
    for number in range(2500):
        (source / f"many/a name that takes several of the slots of a block of the directory {number}").touch()
    content = b"".join(struct.pack("<Q", number) * 512 for number in range(5000))
    (source / "large").write_bytes(content)
    _, image = filled(tmp_path, source=source)
    (system,) = open_exhibit("1", image).file_systems
    found = trees.assert_same(system, source)
    stream = system.open(Location.parse(found[b"/large"].location))
    for offset in (0, 923 * BLOCK - 5, (923 + 1018) * BLOCK - 5, (923 + 2036) * BLOCK - 5, len(content) - 9000, 1):
        assert stream.read(offset, 9000) == content[offset : offset + 9000]
    with open(image, "rb") as file:
        file.seek(found[b"/large"].start)
        assert file.read(16) == content[:16]


@pytest.mark.parametrize("method", ["lz4", "lzo"])
def test_compressed_files_are_unpacked(tmp_path: Path, method: str) -> None:
    image = tmp_path / "f2fs.raw"
    image.write_bytes(lzma.decompress((Path(__file__).parent / f"data/f2fs-{method}.raw.xz").read_bytes()))
    (system,) = open_exhibit("1", image).file_systems
    found = trees.entries(system)
    assert set(found) == {*COMPRESSED, b"/deep"}
    for path, content in COMPRESSED.items():
        stream = system.open(Location.parse(found[path].location))
        assert stream.read(0, stream.size) == content
        for offset in (1, 16_383, 16_384, 40_000):
            assert stream.read(offset, 20_000) == content[offset : offset + 20_000]
    # one bit of a cluster's packed bytes is turned: it is named, and what lies before it is read
    entry = found[b"/packed.txt"]
    number = int(Location.parse(entry.location).meta or "")
    first, second = struct.unpack_from("<II", image.read_bytes(), place(image, number) + 360 + 36)
    assert first == 0xFFFFFFFE
    patch(image, second * BLOCK + 24, b"\xff\xff\xff")
    (system,) = open_exhibit("1", image).file_systems
    with pytest.raises(Corrupt, match=r"1:f2fs:/packed\.txt;meta=.* at offset 0 cannot be read: .*cluster of block 0"):
        system.open(Location.parse(entry.location)).read(0, 100)


def test_the_file_beside_another_is_found_by_its_name(tmp_path: Path) -> None:
    _, image = filled(tmp_path, names=3)
    (system,) = open_exhibit("1", image).file_systems
    found = trees.entries(system)
    beside = system.sibling(Location.parse(found[b"/a/b/c/mixed.bin"].location.replace(".bin;", ";")), ".bin")
    assert str(beside) == found[b"/a/b/c/mixed.bin"].location


def test_the_second_superblock_and_the_older_checkpoint_are_read_where_the_first_do_not_hold(tmp_path: Path) -> None:
    source, image = filled(tmp_path, "-O", "extra_attr,sb_checksum", names=3)
    patch(image, 1024 + 200, b"\1\2\3")
    versions = [struct.unpack_from("<Q", image.read_bytes(), block * BLOCK)[0] for block in CHECKPOINTS]
    newer = CHECKPOINTS[versions.index(max(versions))]
    patch(image, newer * BLOCK + 24, b"\1\2\3")
    opened, entries, faults = walked(image)
    assert set(entries) >= {"/noise.bin", "/a/b/c/mixed.bin"}
    assert [(fault.location, fault.kind, fault.message) for fault in faults] == [
        ("1:f2fs:", "damaged", "the superblock at byte 1024 has a checksum that does not hold; its copy at byte 5120 was used"),
        ("1:f2fs:", "damaged", f"the checkpoint at block {newer} has a checksum that does not hold"),
    ]
    assert source.is_dir()
    for block in CHECKPOINTS:
        patch(image, block * BLOCK + 24, b"\1\2\3")
    opened, _, faults = walked(image)
    assert opened.file_systems == ()
    assert "the checkpoint at block 512 has a checksum that does not hold; the checkpoint at block 1024" in faults[0].message


def test_a_volume_whose_first_superblock_was_wiped_is_recognised_by_the_second(tmp_path: Path) -> None:
    _, image = filled(tmp_path, names=3)
    patch(image, 0, bytes(BLOCK))
    _, entries, faults = walked(image)
    assert "/noise.bin" in entries
    assert [fault.message for fault in faults] == ["the superblock at byte 1024 is not there; its copy at byte 5120 was used"]


def test_a_volume_that_was_not_unmounted_is_named(tmp_path: Path) -> None:
    _, image = filled(tmp_path, names=3)
    data = image.read_bytes()
    for start in CHECKPOINTS:
        count = struct.unpack_from("<I", data, start * BLOCK + 136)[0]
        for block in (start, start + count - 1):
            one = bytearray(data[block * BLOCK : (block + 1) * BLOCK])
            one[132] &= 0xFE
            at = struct.unpack_from("<I", one, 164)[0]
            one[at : at + 4] = crc(bytes(one[:at])).to_bytes(4, "little")
            patch(image, block * BLOCK, bytes(one))
    _, entries, faults = walked(image)
    assert "/noise.bin" in entries
    assert [(fault.kind, fault.message[:19]) for fault in faults] == [("unsupported", "was not unmounted: ")]


def test_what_fscrypt_encrypts_is_listed_and_locked(tmp_path: Path) -> None:
    _, image = filled(tmp_path, names=3)
    _, entries, _ = walked(image)
    for path in ("/a/b", "/text.txt", "/long-link"):
        at = place(image, int(Location.parse(entries[path].location).meta or ""))
        patch(image, at + 2, b"\x04")  # i_advise: FADVISE_ENCRYPT_BIT
    opened, entries, faults = walked(image)
    assert faults == []
    (system,) = opened.file_systems
    name = base64.urlsafe_b64encode(b"zero.bin").decode().rstrip("=")
    assert f"/a/b/{name}" in entries
    assert entries["/long-link"].target is None
    for path in ("/a/b", "/text.txt", "/long-link"):
        assert entries[path].note == "encrypted by fscrypt; its key is not in the file system"
    with pytest.raises(Locked, match=r"1:f2fs:/text\.txt;meta="):
        system.open(Location.parse(entries["/text.txt"].location))


def test_a_checksum_of_an_inode_that_does_not_hold_is_said(tmp_path: Path) -> None:
    _, image = filled(tmp_path, "-O", "extra_attr,inode_checksum", names=3)
    _, entries, _ = walked(image)
    assert {entry.note for entry in entries.values()} == {None}
    patch(image, place(image, int(Location.parse(entries["/text.txt"].location).meta or "")) + 4, b"\x99")
    _, entries, _ = walked(image)
    assert entries["/text.txt"].note == "the checksum of its inode does not hold"
    assert entries["/text.txt"].uid == 0x99


def test_a_directory_that_holds_itself_is_entered_once(tmp_path: Path) -> None:
    (tmp_path / "source/one/two").mkdir(parents=True)
    (tmp_path / "source/file").write_bytes(b"1")
    _, image = filled(tmp_path, source=tmp_path / "source")
    _, entries, _ = walked(image)
    one, two = (int(Location.parse(entries[path].location).meta or "") for path in ("/one", "/one/two"))
    data = image.read_bytes()[place(image, one) :][:BLOCK]
    places = [match.start() for match in re.finditer(re.escape(struct.pack("<IH", two, 3)), data)]
    blocks = [place(image, one) + at for at in places]
    if not blocks:  # the directory has a block of its own
        content = image.read_bytes()
        blocks = [match.start() for match in re.finditer(re.escape(struct.pack("<IH", two, 3)), content)]
    for at in blocks:
        patch(image, at, struct.pack("<I", one))
    _, entries, faults = walked(image)
    assert set(entries) == {"/one", "/one/two", "/file"}
    assert [(fault.location, fault.kind) for fault in faults] == [("1:f2fs:/one/two", "corrupt")]


def test_a_node_that_says_that_it_is_another_is_a_fault_and_the_rest_goes_on(tmp_path: Path) -> None:
    _, image = filled(tmp_path, names=3)
    _, entries, _ = walked(image)
    number = int(Location.parse(entries["/text.txt"].location).meta or "")
    patch(image, place(image, number) + 4072, struct.pack("<I", number + 1))
    _, after, faults = walked(image)
    assert set(entries) - set(after) == {"/text.txt"}
    assert [(fault.location, fault.kind) for fault in faults] == [(f"1:f2fs:/text.txt;meta={number}", "corrupt")]


def test_an_inode_that_no_walk_gave_is_refused(tmp_path: Path) -> None:
    _, image = filled(tmp_path, names=3)
    (system,) = open_exhibit("1", image).file_systems
    for meta in ("0", "1", "3", "x", "999999", "4294967295", "99999999999", "-1"):
        with pytest.raises(Corrupt, match="1:f2fs:/x;meta="):
            system.open(Location.parse(f"1:f2fs:/x;meta={meta}"))


def test_damage_ends_in_faults(tmp_path: Path) -> None:
    source = trees.planted(tmp_path, names=60)
    for name in ("sparse.bin", "noise.bin", "a/b/zero.bin"):
        (source / name).unlink()
    _, image = filled(tmp_path, source=source, size=90)
    data = image.read_bytes()
    nodes = [at for at in range(0, len(data), BLOCK) if _is_node(data, at)]
    assert trees.assert_survives(image, tmp_path, range(30), region=(nodes[0], nodes[-1] + BLOCK), cut=False) > 20
    assert trees.assert_survives(image, tmp_path, range(60, 75), region=(1024, 8 << 20), cut=False) > 2
    assert trees.assert_survives(image, tmp_path, range(92, 104, 4)) > 0


def _is_node(data: bytes, at: int) -> bool:
    node, inode = struct.unpack_from("<II", data, at + 4072)
    return node == inode and 3 <= node < 1000
