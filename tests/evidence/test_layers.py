"""Every volume and every gap is a layer; what is not examined says why."""

import errno
import hashlib
import json
import lzma
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence import layers, limits, signatures
from forensics.evidence.image import open_image
from forensics.evidence.layers import Opened, open_exhibit, open_layers
from forensics.evidence.search import Search, Volume
from forensics.location import Location
from forensics.model import Entry, LayerInfo

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
MIB = 1 << 20


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool, path=PATH) is None:
            pytest.skip(f"{tool} is not installed")


def run(*command: str | Path, stdin: str = "") -> None:
    words = [str(word) for word in command]
    subprocess.run(words, check=True, capture_output=True, env={"PATH": PATH, "TZ": "UTC"}, input=stdin.encode())


def partitioned(image: Path, script: str, size: int = 16 * MIB) -> None:
    need("sfdisk")
    with open(image, "wb") as file:
        file.truncate(size)
    run("sfdisk", "--no-reread", "--no-tell-kernel", image, stdin=script)


def write(image: Path, offset: int, data: bytes) -> None:
    with open(image, "r+b") as file:
        file.seek(offset)
        file.write(data)


def rows(opened: Opened) -> list[tuple[str, str, bool]]:
    return [(layer.location, layer.kind, layer.examined) for layer in opened.layers]


@pytest.mark.parametrize(
    "image", ["gpt.raw", "mbr.raw", "fs.multiple.E01", "image-split.E01", "tsk_volume_system.001", "ext2.raw", "iso9660.raw", "vss.E01"]
)
def test_volumes_are_where_mmls_says_and_with_the_gaps_cover_the_medium(evidence: Path, image: str) -> None:
    expected = json.loads((evidence / f"expected/images__{image}.json").read_text())
    opened = open_exhibit("1", evidence / "images" / image)
    assert opened.image is not None
    scheme = expected["volume_system"]
    volumes = [layer for layer in opened.layers if ":volume@" in layer.location]
    facts = scheme["partitions"] if scheme else []
    described = [(layer.offset, (layer.description or "").partition("; ")[0]) for layer in volumes]
    assert described == [(part["start_sector"] * 512, part["description"]) for part in facts]
    if not scheme:
        assert opened.layers[0].examined
        return
    ranges = [(part["start_sector"] * 512, part["sectors"] * 512) for part in facts]
    ranges += [(layer.offset, layer.size) for layer in opened.layers if layer.kind == "unallocated"]
    reached = 0
    for offset, size in sorted(ranges):
        assert offset <= reached
        reached = max(reached, offset + size)
    assert reached == opened.image.size


def test_what_is_recognised_and_not_read_is_named_and_is_a_fault(evidence: Path) -> None:
    opened = open_exhibit("1", evidence / "images/luks1.E01")
    (layer,) = [layer for layer in opened.layers if layer.kind == "luks1"]
    (said,) = opened.faults
    assert not layer.examined
    assert layer.reason
    assert (said.location, said.kind) == (layer.location, "locked")


def test_locations_of_layers_parse_back(evidence: Path) -> None:
    for image in ("gpt.raw", "mbr.raw", "fs.multiple.E01", "luks1.E01", "vss.E01", "lvm.E01", "apfs.raw"):
        for layer in open_exhibit("2026-1", evidence / "images" / image).layers:
            assert str(Location.parse(layer.location)) == layer.location


def test_logical_partitions_are_found_in_the_extended_one(tmp_path: Path) -> None:
    need("mke2fs", "mkfs.vfat")
    image = tmp_path / "disk.raw"
    partitioned(image, "label: dos\nstart=2048,size=4096,type=83\nstart=8192,size=16384,type=5\nstart=10240,size=4096,type=83\n")
    run("mke2fs", "-q", "-t", "ext4", "-E", f"offset={2048 * 512}", image, "2048k")
    opened = open_exhibit("1", image)
    assert [(layer.offset // 512, layer.kind) for layer in opened.layers if ":volume@" in layer.location] == [
        (2048, "ext4"),
        (10240, "unknown"),
    ]
    assert [fault.message for fault in opened.faults] == ["not examined: no file system recognised"]


@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_a_volume_beyond_the_end_of_a_cut_image_is_a_fault_and_the_others_are_examined(tmp_path: Path, label: str) -> None:
    need("mke2fs")
    image = tmp_path / "disk.raw"
    partitioned(image, f"label: {label}\nstart=2048,size=4096,type=linux\nstart=8192,size=4096,type=linux\n")
    run("mke2fs", "-q", "-t", "ext4", "-E", f"offset={2048 * 512}", image, "2048k")
    whole = image.read_bytes()
    image.write_bytes(whole[: 3 * MIB])
    opened = open_exhibit("1", image)
    assert [layer.kind for layer in opened.layers if ":volume@" in layer.location] == ["ext4", "volume"]
    assert "outside of what was acquired" in opened.faults[-1].message


def test_a_lost_partition_table_is_read_from_its_backup_and_said_to_be_damaged(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    partitioned(image, "label: gpt\nstart=2048,size=4096,type=linux\n")
    write(image, 0, bytes(34 * 512))
    opened = open_exhibit("1", image)
    assert ("1:gpt:", "damaged") in [(fault.location, fault.kind) for fault in opened.faults]
    assert [layer.offset for layer in opened.layers if ":volume@" in layer.location] == [MIB]


def test_a_volume_with_two_file_systems_has_both_examined_and_named(tmp_path: Path) -> None:
    need("mke2fs", "mkfs.vfat")
    image = tmp_path / "both.raw"
    run("mkfs.vfat", "-C", "-F", "16", "-R", "32", "-s", "4", image, "16384")
    boot = image.read_bytes()[:512]
    run("mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", image, "16M")
    write(image, 0, boot)  # ext leaves the first kilobyte alone
    opened = open_exhibit("1", image)
    assert rows(opened) == [("1:fat16:", "fat16", True), ("1:ext2:", "ext2", True)]
    assert all("EXT2/3/4 or FAT" in (layer.description or "") for layer in opened.layers)
    assert [system.info.kind for system in opened.file_systems] == ["fat16", "ext2"]
    assert any("/lost+found" in item.location for item in opened.file_systems[1].walk())


def test_a_hybrid_iso_image_is_examined_as_iso_and_by_its_partition_table(tmp_path: Path) -> None:
    need("genisoimage", "sfdisk")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file.txt").write_bytes(b"on the disc")
    image = tmp_path / "hybrid.raw"
    run("genisoimage", "-quiet", "-o", image, tmp_path / "tree")
    with open(image, "r+b") as file:
        file.truncate(8 * MIB)
    run("sfdisk", "--no-reread", "--no-tell-kernel", image, stdin="label: dos\nstart=8192,size=4096,type=ef\n")
    opened = open_exhibit("1", image)
    assert ("1:iso9660:", "iso9660", True) in rows(opened)
    assert ("1:volume@4194304:", "unknown", False) in rows(opened)


@pytest.mark.parametrize("signature", signatures._TABLE, ids=lambda signature: signature.kind)
def test_each_signature_is_told_in_a_partition(tmp_path: Path, signature: signatures.Signature) -> None:
    image = tmp_path / "disk.raw"
    partitioned(image, "label: gpt\nstart=2048,size=16384,type=linux\n")
    at, mark = signature.marks[-1]
    write(image, MIB + at, mark)
    opened = open_exhibit("1", image)
    (layer,) = [layer for layer in opened.layers if ":volume@" in layer.location]
    kind = "apfs-container" if signature.kind == "apfs" else signature.kind
    assert (layer.kind, layer.examined) == (kind, False)
    assert [fault.kind for fault in opened.faults] == [signature.state]


@pytest.mark.parametrize(
    ("tool", "arguments", "kind"),
    [
        ("mkfs.xfs", ("-q", "-f"), "xfs"),
        ("mkfs.btrfs", ("-q", "-f"), "btrfs"),
        ("mkfs.f2fs", ("-q", "-f"), "f2fs"),
        ("mkswap", (), "linux-swap"),
        ("mkfs.exfat", (), "exfat"),
        ("mkfs.ntfs", ("-q", "-F", "-f"), "ntfs"),
    ],
)
def test_what_its_own_tool_makes_is_told(tmp_path: Path, tool: str, arguments: tuple[str, ...], kind: str) -> None:
    need(tool)
    image = tmp_path / "volume.raw"
    with open(image, "wb") as file:
        file.truncate(320 * MIB)
    run(tool, *arguments, image)
    opened = open_exhibit("1", image)
    assert [layer.kind for layer in opened.layers] == [kind]


def test_a_luks_volume_is_locked(tmp_path: Path) -> None:
    need("cryptsetup")
    image = tmp_path / "volume.raw"
    with open(image, "wb") as file:
        file.truncate(32 * MIB)
    run("cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", image, stdin="x")
    opened = open_exhibit("1", image)
    assert ([layer.kind for layer in opened.layers], [fault.kind for fault in opened.faults]) == (["luks2"], ["locked"])


def test_a_partition_that_is_all_of_its_disk_is_not_searched_for_the_same_table_again(tmp_path: Path) -> None:
    """The files and their digests are those of the other images of dfVFS."""
    image = tmp_path / "ufs2.raw"
    image.write_bytes(lzma.decompress((Path(__file__).parents[2] / "test_images/ufs2.raw.xz").read_bytes()))
    opened = open_exhibit("1", image)
    assert [row for row in rows(opened) if row[1] != "unallocated"] == [("1:bsd:", "bsd", True), ("1:volume@8192:ufs2:", "ufs2", True)]
    assert opened.faults == ()
    (system,) = opened.file_systems
    (entry,) = [each for each in system.walk() if isinstance(each, Entry) and "/passwords.txt" in each.location]
    content = system.open(Location.parse(entry.location)).read(0, entry.size)
    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == "39cb097008d17660abd0539891a672af"


class Opaque:
    """An opener that fails on the volume at one megabyte, or elsewhere; where it is said so, after it found something."""

    def __init__(self, error: Exception, at: int = MIB, *, found: bool = False) -> None:
        self.error, self.at, self.found = error, at, found

    def __call__(self, search: Search, volume: Volume) -> bool:
        if volume.offset == self.at:
            if self.found:
                search.holds(volume, "luks2", "LUKS2")
            raise self.error
        return False


def two_volumes(folder: Path) -> Path:
    """A disk of two partitions, the second of them an ext2."""
    need("mke2fs")
    image = folder / "disk.raw"
    partitioned(image, "label: dos\nstart=2048,size=4096,type=83\nstart=8192,size=4096,type=83\n", size=8 * MIB)
    run("mke2fs", "-q", "-t", "ext2", "-E", f"offset={8192 * 512}", image, "2048k")
    return image


UNFORESEEN = (TypeError("one"), KeyError("two"), struct.error("three"), OverflowError("four"), RecursionError("five"), OSError("six"))


def test_a_volume_on_which_its_reader_fails_is_lost_and_said_and_the_others_are_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, openers = two_volumes(tmp_path), layers._OPENERS
    for error in (*UNFORESEEN, Corrupt("seven"), Locked("eight")):
        monkeypatch.setattr(layers, "_OPENERS", (Opaque(error), *openers))
        opened = open_exhibit("1", image)
        assert [row for row in rows(opened) if ":volume@" in row[0]] == [
            ("1:volume@1048576:", "unknown", False),
            ("1:volume@4194304:ext2:", "ext2", True),
        ]
        (fault,) = opened.faults
        assert (fault.location, fault.kind) == ("1:volume@1048576:", "locked" if isinstance(error, Locked) else "unsupported")
        assert str(error) in fault.message


def test_where_one_reader_fails_those_after_it_get_their_try_and_both_answers_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, openers = two_volumes(tmp_path), layers._OPENERS
    monkeypatch.setattr(layers, "_OPENERS", (Opaque(TypeError("one"), 4 * MIB), Opaque(Corrupt("two"), 4 * MIB), *openers))
    opened = open_exhibit("1", image)
    assert [row for row in rows(opened) if "@4194304" in row[0]] == [
        ("1:volume@4194304:", "unknown", False),
        ("1:volume@4194304:", "unknown", False),
        ("1:volume@4194304:ext2:", "ext2", True),
    ]
    assert [fault.message for fault in opened.faults if "@4194304" in fault.location] == [
        "not examined: its reader failed on what is there (TypeError: one)",
        "not examined: two",
    ]
    assert "/lost+found" in [Location.parse(entry.location).path for entry in opened.file_systems[0].walk()]


def test_a_reader_that_failed_after_it_found_something_is_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, openers = two_volumes(tmp_path), layers._OPENERS
    monkeypatch.setattr(layers, "_OPENERS", (Opaque(Corrupt("one"), 4 * MIB, found=True), *openers))
    assert [row for row in rows(open_exhibit("1", image)) if "@4194304" in row[0]] == [
        ("1:volume@4194304:luks2:", "luks2", True),
        ("1:volume@4194304:", "unknown", False),
    ]


def test_storage_that_fails_while_volumes_are_searched_is_no_fault_of_a_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, openers = two_volumes(tmp_path), layers._OPENERS
    for error in (EvidenceError("the storage"), OSError(errno.EIO, "the storage"), MemoryError("the storage")):
        monkeypatch.setattr(layers, "_OPENERS", (Opaque(error), *openers))
        with pytest.raises(type(error), match="the storage"):
            open_exhibit("1", image)


def test_a_raw_file_of_no_known_type_is_one_file_and_a_fault(tmp_path: Path) -> None:
    image = tmp_path / "bogus.raw"
    image.write_bytes(bytes([1, 2, 3, 200]) * 50_000)
    opened = open_exhibit("1", image)
    assert rows(opened) == [("1:file:", "file", True), ("1:unknown:", "unknown", False)]
    assert [(fault.kind, fault.message) for fault in opened.faults] == [("unsupported", "not examined: no file system recognised")]
    image.write_bytes(bytes([1, 2, 3, 200]) * 100)
    assert rows(open_exhibit("1", image)) == [("1:file:", "file", True)]
    assert open_exhibit("1", image).faults == ()


def test_no_file_of_evidence_is_taken_for_a_medium(evidence: Path) -> None:
    folders = ("artefacts", "barcodes", "documents", "malformed", "mrz", "photos", "yara")
    paths = [path for folder in folders for path in (evidence / folder).rglob("*") if path.is_file() and path.stat().st_size]
    for path in sorted(path for path in paths if path.suffix not in (".E01", ".zip")):
        try:
            opened = open_exhibit("1", path)
        except Unsupported:
            continue
        assert opened.layers[0].kind == "file", path


def test_layers_beyond_the_bound_are_a_fault(evidence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LAYERS", 4)
    image = open_image(evidence / "images/gpt.raw")
    found = open_layers("1", image)
    image.close()
    assert len(found.layers) == 4
    assert all(isinstance(layer, LayerInfo) for layer in found.layers)
    assert len(found.file_systems) == 1
    assert [fault.kind for fault in found.faults] == ["limit"]
