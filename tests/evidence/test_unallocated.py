"""Unallocated space and slack, against blkls of The Sleuth Kit, which reads them by another way."""

import hashlib
import shutil
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from commands import tool

from forensics.engine import estimate
from forensics.errors import Corrupt
from forensics.evidence import free_blocks, unallocated
from forensics.evidence.layers import Opened, open_exhibit
from forensics.evidence.slack import SlackSpace, pieces
from forensics.evidence.space import Space
from forensics.evidence.tsk import TskFileSystem
from forensics.evidence.unallocated import UnallocatedSpace
from forensics.location import Location
from forensics.model import Entry, Fault

BOTH = Space(unallocated=True, slack=True)
IMAGES = [
    "images/ext2.raw",
    "images/fat12.raw",
    "images/gpt.raw",
    "images/mbr.raw",
    "images/ntfs.raw",
    "images/tsk_volume_system.001",
    "images/image-split.E01",
    "images/vss.E01",
    "cases/usb-a.raw",
    "cases/winbox-a.E01",
    "cases/android-a.E01",
]
MADE = {
    "ext2": ("mke2fs", "-q", "-F", "-t", "ext2"),
    "ext2-1k": ("mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", "-g", "1024"),
    "ext3": ("mke2fs", "-q", "-F", "-t", "ext3"),
    "ext4": ("mke2fs", "-q", "-F", "-t", "ext4"),
    "ext4-32": ("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^64bit,^metadata_csum", "-b", "1024", "-g", "8192"),
    "ext4-sparse2": ("mke2fs", "-q", "-F", "-t", "ext4", "-O", "sparse_super2", "-b", "1024"),
    "fat12": ("mkfs.vfat", "-F", "12", "-s", "32"),
    "fat16": ("mkfs.vfat", "-F", "16"),
    "fat32": ("mkfs.vfat", "-F", "32", "-s", "1"),
    "exfat": ("mkfs.exfat",),
    "ntfs": ("mkntfs", "-q", "-F"),
}


def blkls(*words: str | Path) -> bytes:
    if shutil.which("blkls") is None:
        pytest.skip("blkls is not installed")
    return subprocess.run(["blkls", *map(str, words)], check=True, capture_output=True).stdout


def walked(system: UnallocatedSpace | SlackSpace) -> list[tuple[Entry, bytes]]:
    found = []
    for entry in system.walk():
        assert isinstance(entry, Entry), entry
        if entry.kind == "virtual":
            stream = system.open(Location.parse(entry.location))
            assert stream.size == entry.size
            found.append((entry, stream.read(0, stream.size)))
    return found


def free_of(opened: Opened, system: TskFileSystem) -> UnallocatedSpace:
    (space,) = (
        each
        for each in opened.file_systems
        if isinstance(each, UnallocatedSpace) and each.info.location == system.info.location.rstrip(":") + ":unallocated:"
    )
    return space


def live(opened: Opened) -> list[TskFileSystem]:
    found = [each for each in opened.file_systems if isinstance(each, TskFileSystem)]
    return [each for each in found if not any(layer.kind == "vss" for layer in each.layers)]


@pytest.mark.parametrize("image", IMAGES)
def test_the_runs_of_unallocated_space_are_what_blkls_writes(image: str, evidence: Path) -> None:
    opened = open_exhibit("1", evidence / image, space=BOTH)
    parts = [evidence / image] if not image.endswith(".001") else sorted((evidence / image).parent.glob("tsk_volume_system.00?"))
    systems = live(opened)
    assert systems
    for system in systems:
        ours = walked(free_of(opened, system))
        theirs = blkls("-o", str(system.info.offset // 512), *parts)
        assert hashlib.sha256(b"".join(data for _, data in ours)).hexdigest() == hashlib.sha256(theirs).hexdigest()
        assert all(entry.state == "unallocated" and entry.start >= system.info.offset for entry, _ in ours)


@pytest.mark.parametrize("kind", [kind for kind in MADE if kind != "ext4"])
def test_the_runs_are_what_blkls_writes_of_file_systems_that_others_make(kind: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    size = {"fat32": 40 << 20, "exfat": 16 << 20}.get(kind, 24 << 20)
    image.write_bytes(b"".join(hashlib.sha256(str(number).encode()).digest() * 16 for number in range(size // 512)))
    tool(*MADE[kind], image)
    opened = open_exhibit("1", image, space=BOTH)
    (system,) = live(opened)
    ours = walked(free_of(opened, system))
    theirs = blkls(image)
    assert len(theirs) > size // 2
    assert sum(len(data) for _, data in ours) == len(theirs)
    assert b"".join(data for _, data in ours) == theirs


def test_the_runs_of_hfs_are_what_blkls_writes(evidence: Path, tmp_path: Path) -> None:
    opened = open_exhibit("1", evidence / "images/hfsplus_zlib.dmg", space=BOTH)
    (system,) = live(opened)
    assert opened.image is not None
    (tmp_path / "decoded").write_bytes(opened.image.read(0, opened.image.size))
    theirs = blkls("-o", str(system.info.offset // 512), tmp_path / "decoded")
    assert theirs
    assert b"".join(data for _, data in walked(free_of(opened, system))) == theirs


@pytest.mark.parametrize("kind", ["ext4", "ext4-32", "ext4-sparse2", "ext2-1k"])
def test_the_runs_are_the_free_blocks_that_dumpe2fs_lists(kind: str, tmp_path: Path) -> None:
    """blkls takes the copies of the super block in groups whose bitmap was never written for free; e2fsprogs and the kernel do not."""
    image = tmp_path / "image"
    with open(image, "wb") as out:
        out.truncate(24 << 20)
    tool(*MADE[kind], image)
    listing = subprocess.run(["/usr/sbin/dumpe2fs", image], check=True, capture_output=True, text=True).stdout
    block = int(next(line for line in listing.splitlines() if line.startswith("Block size:")).split()[-1])
    free: set[int] = set()
    for line in listing.splitlines():
        if line.startswith("  Free blocks: "):
            for span in filter(None, line.removeprefix("  Free blocks: ").split(", ")):
                first, _, last = span.partition("-")
                free |= set(range(int(first), int(last or first) + 1))
    (system,) = live(open_exhibit("1", image))
    assert {number for start, size in system.free_runs() for number in range(start // block, (start + size) // block)} == free


def lay(kind: str, image: Path, folder: Path, names: list[str]) -> None:
    for name in names:
        if kind == "ext4":
            tool("debugfs", "-w", "-R", f"write {folder / name} {name}", image)
        elif kind == "ntfs":
            tool("ntfscp", "-f", image, folder / name, name)
        else:
            tool("mcopy", "-i", image, folder / name, f"::{name}")


@pytest.mark.parametrize("kind", ["ext4", "ntfs", "fat16"])
def test_slack_is_what_blkls_writes_of_it_and_its_location_is_the_end_of_the_file(kind: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"left by somebody" * ((24 << 20) // 16))
    tool(*MADE[kind], image)
    sizes = {"a.txt": 5000, "b.bin": 70001, "c.bin": 8192}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"x" * size)
    lay(kind, image, tmp_path, list(sizes))
    opened = open_exhibit("1", image, space=BOTH)
    (slack,) = (each for each in opened.file_systems if isinstance(each, SlackSpace))
    found = walked(slack)
    named = {Location.parse(entry.location).path.removeprefix("/"): (entry, data) for entry, data in found}
    raw = image.read_bytes()
    theirs = blkls("-s", image)
    for name, size in sizes.items():
        if name in named:
            entry, data = named[name]
            assert entry.state == "slack"
            assert Location.parse(entry.location).offset == size
            assert raw[entry.start : entry.start + entry.size] == data
            assert data in theirs
    if kind != "fat16":  # mcopy and the kernel write whole clusters
        assert b"".join(data for _, data in found).count(b"left by somebody") == theirs.count(b"left by somebody")


def test_without_the_option_nothing_is_added(evidence: Path) -> None:
    plain = open_exhibit("1", evidence / "images/mbr.raw")
    asked = open_exhibit("1", evidence / "images/mbr.raw", space=BOTH)
    assert plain.faults == asked.faults
    assert [each.info.location for each in plain.file_systems] == [
        each.info.location for each in asked.file_systems if not isinstance(each, UnallocatedSpace | SlackSpace)
    ]
    assert [layer.reason for layer in plain.layers if layer.kind == "unallocated"].count(None) == 0
    assert all(layer.examined for layer in asked.layers if layer.kind == "unallocated")


def test_gaps_between_volumes_and_unknown_media_are_unallocated_space(evidence: Path, tmp_path: Path) -> None:
    raw = (evidence / "images/mbr.raw").read_bytes()
    opened = open_exhibit("1", evidence / "images/mbr.raw", space=BOTH)
    gaps = {layer.location: layer for layer in opened.layers if layer.kind == "unallocated"}
    assert gaps
    spaces = {each.info.location: each for each in opened.spaces}
    for location, layer in gaps.items():
        assert b"".join(data for _, data in walked(spaces[location])) == raw[layer.offset : layer.offset + layer.size]
    wiped = tmp_path / "wiped"
    wiped.write_bytes(b"\xa5\x11\x07\x99" * 40000)
    opened = open_exhibit("1", wiped, space=BOTH)
    (space,) = (each for each in opened.file_systems if isinstance(each, UnallocatedSpace))
    assert b"".join(data for _, data in walked(space)) == wiped.read_bytes()
    assert [type(each).__name__ for each in open_exhibit("1", wiped).file_systems] == ["FileSystemOfOne"]


def test_a_long_range_is_cut_and_what_follows_a_piece_is_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(unallocated, "PIECE", 10000)
    monkeypatch.setattr(unallocated, "NEXT", 3000)
    path = tmp_path / "wiped"
    path.write_bytes(bytes(range(7, 251)) * 500)
    opened = open_exhibit("1", path, space=BOTH)
    (space,) = (each for each in opened.file_systems if isinstance(each, UnallocatedSpace))
    found = walked(space)
    assert [entry.size for entry, _ in found] == [10000] * 12 + [2000]
    assert b"".join(data for _, data in found) == path.read_bytes()
    for number, (entry, _) in enumerate(found):
        beside = space.sibling(Location.parse(entry.location), unallocated.CONTINUED)
        if number == 12:
            assert beside is None
        else:
            assert beside is not None
            after = (number + 1) * 10000
            assert space.open(beside).read(0, 9999) == path.read_bytes()[after : after + 3000][: 122000 - after]


def test_a_location_that_is_no_range_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wiped"
    path.write_bytes(b"\xa5\x11\x07\x99" * 40000)
    (space,) = open_exhibit("1", path, space=BOTH).spaces
    for wrong in ("/9-3", "/0-999999999999", "/a-b", "/", "/0-" + "9" * 30):
        with pytest.raises(Corrupt):
            space.open(Location("1", (), wrong))


@pytest.mark.parametrize("kind", ["ext4", "fat32", "exfat", "ntfs"])
def test_a_damaged_map_ends_as_a_fault_and_never_without_a_word(kind: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    with open(image, "wb") as out:
        out.truncate(40 << 20)
    tool(*MADE[kind], image)
    opened = open_exhibit("1", image, space=BOTH)
    (system,) = live(opened)
    whole = sum(size for _, size in system.free_runs())
    raw = bytearray(image.read_bytes())
    for seed in range(40):
        damaged = bytearray(raw)
        for number in range(24):
            at = int.from_bytes(hashlib.sha256(f"{kind}{seed}{number}".encode()).digest()[:2], "big") % 8192
            damaged[at] ^= 1 << (number % 8)

        def read(offset: int, size: int, damaged: bytearray = damaged) -> bytes:
            assert 0 <= size <= 64 << 20
            return bytes(damaged[offset : offset + size]) if offset >= 0 else b""

        try:
            runs = list(free_blocks.free_runs(system.info.kind, system._fs, read))
        except free_blocks.EvidenceError:
            continue
        assert runs == sorted(runs)
        assert all(one[0] + one[1] < two[0] for one, two in pairwise(runs))
    assert whole > 0


def test_bits_become_runs_in_both_orders() -> None:
    bitmap = bytes([0b00000001, 0xFF, 0x00, 0x00, 0b11110000])
    assert list(free_blocks.zero_bits([bitmap], 40)) == [(1, 7), (16, 20)]
    assert list(free_blocks.zero_bits([bitmap[:2], bitmap[2:]], 34)) == [(1, 7), (16, 18)]
    assert list(free_blocks.zero_bits([bitmap], 40, high_first=True)) == [(0, 7), (16, 16), (36, 4)]


def test_slack_of_a_stream_of_several_runs_begins_where_the_content_ends() -> None:
    assert list(pieces([(0, 10, 2), (2, 90, 1), (3, 50, 2)], 2500, 1000)) == [(90500, 500), (50000, 2000)]
    assert list(pieces([(0, 10, 2)], 2000, 1000)) == []


def test_how_much_there_is_is_said_without_examining_it(evidence: Path) -> None:
    opened = open_exhibit("1", evidence / "images/ext2.raw")
    (space,) = opened.spaces
    said = unallocated.stated(space, examined=False)
    free_count, block = struct.unpack_from("<I", (evidence / "images/ext2.raw").read_bytes(), 1024 + 12)[0], 1024
    assert (said.size, said.examined, said.reason) == (free_count * block, False, unallocated.NOT_ASKED)
    assert not isinstance(said, Fault)


def test_the_estimate_counts_what_will_run_and_says_that_it_is_one() -> None:
    carve, scan = Space(unallocated=True, carve=True), Space(unallocated=True)
    one = estimate.seconds(10**9, scan, 1, ("carved-files",))
    assert one == pytest.approx(10**9 / estimate.READING)
    assert estimate.seconds(10**9, carve, 1, ("carved-files",)) == pytest.approx(one + 10**9 / estimate.RATES["carved-files"])
    assert estimate.seconds(10**9, carve, 2, ("features",)) == pytest.approx(estimate.seconds(10**9, scan, 1, ("features",)) / 2)
    assert "1000000 bytes of unallocated space will take about a second (an estimate" in estimate.sentence(10**6, scan, 2, ())
    assert "hours" in estimate.sentence(10**13, carve, 2, ("features", "rule-match"))
