"""Disk images of virtual machines and of Apple's tools give the bytes that qemu-img, or the manifest, says."""

import hashlib
import json
import os
import plistlib
import random
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import commands

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence.image import Image, measure, open_image
from forensics.evidence.layers import open_exhibit

MIB = 1 << 20


def qemu(*words: str | Path, tool: str = "qemu-img") -> None:
    commands.tool(tool, *words)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A medium of 12 MiB: noise, text that compresses, and much that was never written."""
    noise = random.Random(7)
    medium = bytearray(12 * MIB)
    for at in range(0, 12, 3):
        medium[at * MIB : at * MIB + 300_000] = noise.randbytes(300_000)
    medium[5 * MIB : 5 * MIB + 240_000] = b"some text, " * 21_818 + b"--"
    path = tmp_path_factory.mktemp("known") / "known.raw"
    path.write_bytes(medium)
    return path


def same(image: Image, medium: bytes) -> bool:
    """Whether an image gives `medium`, read whole and in pieces that cross its blocks."""
    whole = image.size == len(medium) and image.read(0, image.size) == medium
    pieces = all(image.read(at, 70_001) == medium[at : at + 70_001] for at in range(0, len(medium), 999_983))
    return whole and pieces and image.read(image.size, 10) == b""


@pytest.mark.parametrize(
    ("format", "options", "name"),
    [
        ("vmdk", "subformat=monolithicSparse", "VMDK"),
        ("vmdk", "subformat=monolithicFlat", "VMDK"),
        ("vmdk", "subformat=twoGbMaxExtentSparse", "VMDK"),
        ("vmdk", "subformat=twoGbMaxExtentFlat", "VMDK"),
        ("vmdk", "subformat=streamOptimized", "VMDK"),
        ("vpc", "subformat=dynamic,force_size=on", "VHD"),
        ("vpc", "subformat=fixed,force_size=on", "VHD"),
        ("vhdx", "subformat=dynamic", "VHDX"),
        ("vhdx", "subformat=fixed", "VHDX"),
        ("qcow2", "compat=1.1", "QCOW2"),
        ("qcow2", "compat=0.10", "QCOW2"),
        ("qcow", "", "QCOW"),
        ("vdi", "static=off", "VDI"),
        ("vdi", "static=on", "VDI"),
        ("parallels", "", "Parallels"),
    ],
)
def test_an_image_that_qemu_makes_gives_the_same_medium(tmp_path: Path, known: Path, format: str, options: str, name: str) -> None:
    path = tmp_path / f"disk.{format if format != 'vpc' else 'vhd'}"
    qemu("convert", "-O", format, *(["-o", options] if options else []), known, path)
    image = open_image(path)
    assert (image.format, image.damage) == (name, ())
    assert same(image, known.read_bytes())
    assert measure(image).sha256 == hashlib.sha256(known.read_bytes()).hexdigest()
    assert {segment.name for segment in measure(image).segments} == {item.name for item in tmp_path.iterdir()}
    image.close()


@pytest.mark.parametrize("how", ["compression_type=zlib", "compression_type=zstd", "cluster_size=4k", "cluster_size=2M", "compat=0.10"])
def test_compressed_clusters_of_qcow2_give_the_same_medium(tmp_path: Path, known: Path, how: str) -> None:
    qemu("convert", "-O", "qcow2", "-c", "-o", how, known, tmp_path / "disk.qcow2")
    assert same(open_image(tmp_path / "disk.qcow2"), known.read_bytes())


@pytest.mark.parametrize("name", ["ext2.qcow2", "ext2.vmdk", "ext2.vhd", "hfsplus_zlib.dmg"])
def test_sample_images_have_the_medium_of_the_manifest(evidence: Path, name: str) -> None:
    facts = json.loads((evidence / f"expected/images__{name}.json").read_text())["dfvfs"]["media"]
    image = open_image(evidence / "images" / name)
    digest = measure(image)
    assert (digest.size, digest.sha256) == (facts["media_bytes"], facts["media_sha256"])
    image.close()


def test_the_file_system_in_a_virtual_disk_is_walked(evidence: Path) -> None:
    for name in ("ext2.qcow2", "ext2.vmdk", "ext2.vhd"):
        opened = open_exhibit("1", evidence / "images" / name)
        (system,) = opened.file_systems
        assert [layer.location for layer in opened.layers] == ["1:ext2:"]
        assert any(item.location.startswith("1:ext2:/passwords.txt;") for item in system.walk())
        opened.close()


def test_an_image_is_read_by_threads_and_after_a_fork(tmp_path: Path, known: Path) -> None:
    qemu("convert", "-O", "vmdk", known, tmp_path / "disk.vmdk")
    medium = known.read_bytes()
    image = open_image(tmp_path / "disk.vmdk")
    with ThreadPoolExecutor(4) as pool:
        pieces = list(pool.map(lambda at: image.read(at, 50_000), range(0, len(medium), 50_000)))
    assert b"".join(pieces) == medium
    child = os.fork()
    if not child:
        os._exit(0 if image.read(MIB, MIB) == medium[MIB : 2 * MIB] else 1)
    assert image.read(3 * MIB, 1000) == medium[3 * MIB : 3 * MIB + 1000]
    assert os.waitpid(child, 0)[1] == 0


# --- images of several files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subformat", ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "monolithicFlat"])
def test_an_extent_of_a_vmdk_leads_to_the_whole_medium(tmp_path: Path, known: Path, subformat: str) -> None:
    qemu("convert", "-O", "vmdk", "-o", f"subformat={subformat}", known, tmp_path / "disk.vmdk")
    (extent,) = [item for item in tmp_path.iterdir() if item.name != "disk.vmdk"]
    assert same(open_image(extent), known.read_bytes())


def test_a_missing_extent_is_named_and_nothing_is_read(tmp_path: Path, known: Path) -> None:
    qemu("convert", "-O", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", known, tmp_path / "disk.vmdk")
    (tmp_path / "disk-s001.vmdk").unlink()
    with pytest.raises(EvidenceError, match=r"disk-s001\.vmdk'? is missing"):
        open_image(tmp_path / "disk.vmdk")


def test_what_an_image_names_is_looked_for_beside_it_alone(tmp_path: Path, known: Path) -> None:
    (tmp_path / "inside").mkdir()
    secret = tmp_path / "secret.raw"
    secret.write_bytes(b"not evidence" * 1000)
    lines = ("# Disk DescriptorFile", "version=1", "CID=1", "parentCID=ffffffff", 'createType="monolithicFlat"', "", "# Extent description")
    descriptor = "\n".join((*lines, f'RW 16 FLAT "{secret}" 0', "", "# The Disk Data Base", "#DDB", "", 'ddb.adapterType = "ide"', ""))
    (tmp_path / "inside/disk.vmdk").write_text(descriptor)
    with pytest.raises(EvidenceError, match=r"secret\.raw'? is missing"):
        open_image(tmp_path / "inside/disk.vmdk")
    qemu("convert", "-O", "qcow2", known, tmp_path / "base.qcow2")
    qemu("create", "-f", "qcow2", "-b", tmp_path / "base.qcow2", "-F", "qcow2", tmp_path / "inside/top.qcow2")
    with pytest.raises(EvidenceError, match=r"base\.qcow2'? is missing"):
        open_image(tmp_path / "inside/top.qcow2")


def test_a_qcow2_image_is_read_over_its_backing_file(tmp_path: Path, known: Path) -> None:
    qemu("convert", "-O", "qcow2", known, tmp_path / "base.qcow2")
    qemu("create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", tmp_path / "top.qcow2")
    qemu("-c", "write -P 0xab 1000k 300k", tmp_path / "top.qcow2", tool="qemu-io")
    medium = bytearray(known.read_bytes())
    medium[1000 << 10 : 1300 << 10] = b"\xab" * (300 << 10)
    image = open_image(tmp_path / "top.qcow2")
    assert same(image, bytes(medium))
    assert [path.name for path in image.files] == ["top.qcow2", "base.qcow2"]


def test_a_backing_file_may_be_of_another_format_and_raw_is_raw_whatever_it_holds(tmp_path: Path, known: Path) -> None:
    qemu("convert", "-O", "vmdk", known, tmp_path / "base.vmdk")
    qemu("create", "-f", "qcow2", "-b", "base.vmdk", "-F", "vmdk", tmp_path / "top.qcow2")
    assert same(open_image(tmp_path / "top.qcow2"), known.read_bytes())
    qemu("create", "-f", "qcow2", tmp_path / "inner.raw", "1M")
    qemu("create", "-f", "qcow2", "-b", "inner.raw", "-F", "raw", tmp_path / "over.qcow2")
    raw = (tmp_path / "inner.raw").read_bytes()
    assert same(open_image(tmp_path / "over.qcow2"), raw + bytes(-len(raw) % 512))


def test_a_chain_of_images_that_leads_back_to_itself_is_refused(tmp_path: Path) -> None:
    qemu("create", "-f", "qcow2", tmp_path / "b.qcow2", "1M")
    qemu("create", "-f", "qcow2", "-b", "b.qcow2", "-F", "qcow2", tmp_path / "a.qcow2")
    qemu("rebase", "-u", "-b", "a.qcow2", "-F", "qcow2", tmp_path / "b.qcow2")
    with pytest.raises(Unsupported, match="chain"):
        open_image(tmp_path / "a.qcow2")


def test_a_snapshot_of_a_vmdk_is_read_over_its_parent_and_refused_without(tmp_path: Path, known: Path) -> None:
    qemu("convert", "-O", "vmdk", known, tmp_path / "base.vmdk")
    qemu("create", "-f", "vmdk", "-b", tmp_path / "base.vmdk", "-F", "vmdk", tmp_path / "top.vmdk")
    qemu("-c", "write -P 0x77 64k 128k", tmp_path / "top.vmdk", tool="qemu-io")
    medium = bytearray(known.read_bytes())
    medium[64 << 10 : 192 << 10] = b"\x77" * (128 << 10)
    assert same(open_image(tmp_path / "top.vmdk"), bytes(medium))
    (tmp_path / "base.vmdk").unlink()
    with pytest.raises(EvidenceError, match=r"parent 'base\.vmdk' is missing"):
        open_image(tmp_path / "top.vmdk")


def differential(parent: Path, child: Path, block: int, data: bytes) -> None:
    """A differential VHD over a dynamic one, with `data` (2 MiB) in one block (VHD Image Format Specification, 2006)."""
    raw = parent.read_bytes()
    footer = bytearray(raw[:512])
    identifier = bytes(footer[68:84])
    footer[60:64] = (4).to_bytes(4, "big")
    footer[68:84] = bytes(range(16))
    footer[64:68] = bytes(4)
    footer[64:68] = (~sum(footer) & 0xFFFFFFFF).to_bytes(4, "big")
    header = bytearray(raw[512:1536])
    entries = int.from_bytes(header[28:32], "big")
    header[16:24] = (1536).to_bytes(8, "big")
    header[40:56] = identifier
    header[64:576] = parent.name.encode("utf-16-be").ljust(512, b"\0")
    header[36:40] = bytes(4)
    header[36:40] = (~sum(header) & 0xFFFFFFFF).to_bytes(4, "big")
    table = [0xFFFFFFFF] * entries
    first = 1536 + -(-entries * 4 // 512) * 512
    table[block] = first // 512
    places = b"".join(entry.to_bytes(4, "big") for entry in table).ljust(first - 1536, b"\xff")
    child.write_bytes(bytes(footer) + bytes(header) + places + b"\xff" * 512 + data + bytes(footer))


def test_a_differential_vhd_is_read_over_its_parent_and_refused_without(tmp_path: Path, known: Path) -> None:
    qemu("convert", "-O", "vpc", "-o", "subformat=dynamic,force_size=on", known, tmp_path / "base.vhd")
    new = random.Random(9).randbytes(2 * MIB)
    differential(tmp_path / "base.vhd", tmp_path / "top.vhd", 1, new)
    medium = bytearray(known.read_bytes())
    medium[2 * MIB : 4 * MIB] = new
    image = open_image(tmp_path / "top.vhd")
    assert same(image, bytes(medium))
    assert [path.name for path in image.files] == ["top.vhd", "base.vhd"]
    (tmp_path / "base.vhd").rename(tmp_path / "elsewhere.vhd")
    with pytest.raises(EvidenceError, match=r"parent 'base\.vhd' is missing"):
        open_image(tmp_path / "top.vhd")
    qemu("convert", "-O", "vpc", "-o", "subformat=dynamic,force_size=on", known, tmp_path / "base.vhd")
    with pytest.raises(EvidenceError, match="is not the parent"):
        open_image(tmp_path / "top.vhd")


# --- own readers --------------------------------------------------------------------------------------------------------------


def test_an_android_sparse_image_gives_its_raw_fill_and_empty_blocks(tmp_path: Path) -> None:
    noise = random.Random(3).randbytes(8192)
    chunks = [(0xCAC1, 2, noise), (0xCAC2, 3, b"abcd"), (0xCAC3, 1, b""), (0xCAC4, 0, b"crc!"), (0xCAC1, 1, noise[:4096])]
    body = b"".join(struct.pack("<HHII", kind, 0, blocks, 12 + len(data)) + data for kind, blocks, data in chunks)
    header = struct.pack("<IHHHHIIII", 0xED26FF3A, 1, 0, 28, 12, 4096, 7, len(chunks), 0)
    (tmp_path / "system.img").write_bytes(header + body)
    image = open_image(tmp_path / "system.img")
    assert image.format == "Android sparse image"
    assert image.read(0, image.size) == noise + b"abcd" * 3072 + bytes(4096) + noise[:4096]
    assert image.read(8193, 6) == b"bcdabc"
    (tmp_path / "cut.img").write_bytes((header + body)[:-4096])
    cut = open_image(tmp_path / "cut.img")
    assert cut.read(24576, 4096) == bytes(4096)
    assert [(item.offset, item.size) for item in cut.damage] == [(24576, 4096)]


def test_a_sparse_bundle_is_an_image_and_missing_bands_are_zeros(tmp_path: Path, evidence: Path) -> None:
    medium = (evidence / "images/ext2.raw").read_bytes()
    bundle = tmp_path / "backup.sparsebundle"
    (bundle / "bands").mkdir(parents=True)
    (bundle / "token").touch()
    facts = {"CFBundleInfoDictionaryVersion": "6.0", "band-size": MIB, "bundle-backingstore-version": 1, "size": len(medium)}
    facts["diskimage-bundle-type"] = "com.apple.diskimage.sparsebundle"
    (bundle / "Info.plist").write_bytes(plistlib.dumps(facts))
    for number in (0, 1, 3):
        (bundle / f"bands/{number:x}").write_bytes(medium[number * MIB : (number + 1) * MIB])
    opened = open_exhibit("1", bundle)
    assert opened.image is not None
    assert opened.image.format == "sparse bundle (Apple)"
    assert opened.image.read(0, opened.image.size) == medium[: 2 * MIB] + bytes(MIB) + medium[3 * MIB :]
    assert [layer.location for layer in opened.layers] == ["1:ext2:"]


# --- damage and refusal -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format", "cut"), [("vmdk", 600_000), ("qcow2", 600_000), ("vdi", 3 << 20), ("vhdx", 9 << 20)])
def test_a_cut_image_gives_what_it_holds_and_names_the_rest_as_damaged(tmp_path: Path, known: Path, format: str, cut: int) -> None:
    path = tmp_path / f"disk.{format}"
    qemu("convert", "-O", format, known, path)
    with open(path, "r+b") as file:
        file.truncate(cut)
    try:
        image = open_image(path)
    except Corrupt:
        assert format == "vhdx"
        return
    data = image.read(0, image.size)
    assert image.damage
    assert image.damaged_reads
    medium = known.read_bytes()
    damaged = set()
    for item in image.damage:
        damaged |= set(range(item.offset >> 16, (item.offset + item.size + 65535) >> 16))
    for block in range(len(medium) >> 16):
        if block not in damaged:
            assert data[block << 16 : (block + 1) << 16] == medium[block << 16 : (block + 1) << 16]


def test_an_encrypted_image_is_locked(tmp_path: Path, known: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    options = ["--object", f"secret,id=s,file={secret}", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=100"]
    qemu("convert", "-O", "qcow2", *options, known, tmp_path / "disk.qcow2")
    with pytest.raises(Locked, match="encrypted"):
        open_image(tmp_path / "disk.qcow2")


def test_a_qcow2_image_with_features_that_are_not_read_is_refused(tmp_path: Path, known: Path) -> None:
    qemu("create", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=128k", tmp_path / "disk.qcow2", "12M")
    with pytest.raises(Unsupported, match="extended L2"):
        open_image(tmp_path / "disk.qcow2")


def test_snapshots_inside_of_a_qcow2_image_are_a_layer_that_is_not_examined(tmp_path: Path, evidence: Path) -> None:
    path = tmp_path / "disk.qcow2"
    qemu("convert", "-O", "qcow2", evidence / "images/ext2.raw", path)
    qemu("snapshot", "-c", "before", path)
    opened = open_exhibit("1", path)
    assert [(layer.location, layer.examined) for layer in opened.layers] == [("1:ext2:", True), ("1:qcow-snapshots:", False)]
    assert [fault.location for fault in opened.faults] == ["1:qcow-snapshots:"]


HEADS = [
    b"KDMV", b"COWD", b"# Disk DescriptorFile\n", b"QFI\xfb\0\0\0\2", b"QFI\xfb\0\0\0\3", b"vhdxfile", b"conectix",
    b"WithoutFreeSpace\2\0\0\0", b"WithouFreSpacExt\2\0\0\0", b"\x3a\xff\x26\xed\1\0\0\0", b"sprs", bytes(64) + b"\x7f\x10\xda\xbe\1\0\1\0",
]  # fmt: skip


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.strip(b"\0")[:8].hex())
def test_a_header_followed_by_noise_raises_an_error_of_ours_or_reads(tmp_path: Path, head: bytes) -> None:
    for seed in range(12):
        noise = random.Random(seed).randbytes(70_000) if seed else b"\xff" * 70_000
        path = tmp_path / f"{seed}.bin"
        path.write_bytes(head + noise)
        try:
            image = open_image(path)
        except EvidenceError as error:
            assert path.name in str(error)
            continue
        assert len(image.read(0, 100_000)) == min(100_000, image.size)
        image.close()
