"""Free space of XFS, APFS and Btrfs: what their own tools list, no block of a file, nothing where maps do not hold together."""

import hashlib
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from commands import PATH, tool

from forensics.errors import Corrupt, EvidenceError, Unsupported
from forensics.evidence import apfs_free, xfs_free
from forensics.evidence.btrfs import Btrfs
from forensics.evidence.free_blocks import Run
from forensics.evidence.layers import open_exhibit
from forensics.evidence.space import Space
from forensics.evidence.unallocated import UnallocatedSpace
from forensics.location import Location
from forensics.model import Entry

ASKED = Space(unallocated=True)
BLOCK = 4096


class Held:
    """Bytes in memory as a source."""

    def __init__(self, data: bytes, size: int = 0) -> None:
        self.data, self.size = data, size or len(data)

    def read(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]


def said(*words: str | Path) -> str:
    tool(words[0], "-V" if words[0] == "xfs_db" else "--version")
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, env={"PATH": PATH}, check=True)
    return done.stdout


def space(image: Path) -> UnallocatedSpace:
    (found,) = open_exhibit("1", image, space=ASKED).spaces
    return found


def pieces(found: UnallocatedSpace) -> Iterator[tuple[Entry, bytes]]:
    for entry in found.walk():
        assert isinstance(entry, Entry), entry
        yield entry, found.open(Location.parse(entry.location)).read(0, entry.size)


# --- XFS ------------------------------------------------------------------------------------------------------------------------------


def freesp(image: Path) -> list[Run]:
    """What xfs_db lists; it counts the blocks that a group keeps for its own trees (the free list) one by one, at the head of a group."""
    per_group = int(said("xfs_db", "-r", "-c", "sb 0", "-c", "p agblocks", image).split()[-1])
    listed = [
        tuple(map(int, line.split()))
        for line in said("xfs_db", "-r", "-c", "freesp -d", image).splitlines()
        if re.fullmatch(r"[\d\s]+", line)
    ]
    kept = set()
    groups = int(said("xfs_db", "-r", "-c", "sb 0", "-c", "p agcount", image).split()[-1])
    for group in range(groups):
        text = said("xfs_db", "-r", "-c", f"agf {group}", "-c", "p flfirst fllast", "-c", f"agfl {group}", "-c", "p bno", image)
        first, last = (int(re.search(rf"{name} = (\d+)", text)[1]) for name in ("flfirst", "fllast"))  # type: ignore[index]
        numbers = {int(at): int(block) for at, block in re.findall(r"(\d+):(\d+)", text.partition("bno")[2])}
        kept |= {(group, numbers[at], 1) for at in range(first, last + 1)}
    return [(group * per_group + first, number) for group, first, number in listed if (group, first, number) not in kept]


def test_the_free_space_of_xfs_is_what_xfs_db_lists(evidence: Path, tmp_path: Path) -> None:
    image = open_exhibit("1", evidence / "images/xfs.E01").image
    assert image is not None
    (tmp_path / "xfs.raw").write_bytes(image.read(0, image.size))
    found = space(evidence / "images/xfs.E01")
    listed = freesp(tmp_path / "xfs.raw")
    assert listed
    assert [(start // BLOCK, size // BLOCK) for start, size in found.runs()] == listed
    raw = (tmp_path / "xfs.raw").read_bytes()
    for entry, data in pieces(found):
        assert data == raw[entry.start : entry.start + entry.size]
        assert (entry.state, entry.kind) == ("unallocated", "virtual")


@pytest.mark.parametrize("options", [("-d", "agcount=3"), ("-m", "crc=0", "-b", "size=1024"), ("-b", "size=4096", "-s", "size=4096")])
def test_the_free_space_of_xfs_is_what_xfs_db_lists_whatever_the_version(options: tuple[str, ...], tmp_path: Path) -> None:
    image, files = tmp_path / "xfs.raw", tmp_path / "proto"
    with open(image, "wb") as out:
        out.truncate(320 << 20)
    (tmp_path / "content").write_bytes(os.urandom(300_000))
    files.write_text(f"/\n0 0\nd--755 0 0\none ---644 0 0 {tmp_path}/content\ntwo ---644 0 0 {tmp_path}/content\n$\n")
    tool("mkfs.xfs", "-q", "-f", *options, "-p", files, image)
    block = int(said("xfs_db", "-r", "-c", "sb 0", "-c", "p blocksize", image).split()[-1])
    expected = [(first * block, number * block) for first, number in freesp(image)]
    touching: list[Run] = []
    for start, size in expected:  # runs of two groups may touch
        if touching and sum(touching[-1]) == start:
            start, size = touching[-1][0], touching.pop()[1] + size
        touching.append((start, size))
    assert list(space(image).runs()) == touching


def grown(free: list[Run], wrong: int = 0) -> Held:
    """An XFS of version 4, one group of 1000 blocks of 512 bytes: its superblock, and a tree of free space of two levels."""
    out = bytearray(1000 * 512)
    out[0:16] = struct.pack(">4sIQ", b"XFSB", 512, 1000)
    out[84:92], out[100:104] = struct.pack(">II", 1000, 1), struct.pack(">HH", 4, 512)
    out[512:568] = struct.pack(">4s4I4x2I24x", b"XAGF", 1, 0, 1000, 10, 0, 2)[:52] + struct.pack(">I", sum(number for _, number in free))
    out[512 + 28 : 512 + 32] = struct.pack(">I", 2)
    halves = [free[: len(free) // 2], free[len(free) // 2 :]]
    for block, half in zip((11, 12), halves, strict=True):
        out[block * 512 : block * 512 + 16] = struct.pack(">4sHHII", b"ABTB", 0, len(half), 0, 0)
        out[block * 512 + 16 : block * 512 + 16 + 8 * len(half)] = b"".join(struct.pack(">II", *each) for each in half)
    out[5120 : 5120 + 16] = struct.pack(">4sHHII", b"ABTB", 1, 2, 0, 0)
    out[5136:5152] = b"".join(struct.pack(">II", half[0][0] + wrong, half[0][1]) for half in halves)
    most = (512 - 16) // 12
    out[5136 + 8 * most : 5144 + 8 * most] = struct.pack(">II", 11, 12)
    return Held(bytes(out))


def test_a_tree_of_several_levels_is_read_in_order_and_must_add_up() -> None:
    free = [(100 + 7 * number, 3) for number in range(60)]
    assert list(xfs_free.free_runs(grown(free))) == [(first * 512, number * 512) for first, number in free]
    for damaged in (
        grown(free, wrong=1),
        grown([*free[:30], *free[29:]]),  # a range twice
        grown([*free, (999, 2)]),  # beyond the end
        Held(grown(free).data.replace(struct.pack(">II", 11, 12), struct.pack(">II", 11, 11))),
        Held(grown(free).data.replace(struct.pack(">II", 11, 12), struct.pack(">II", 10, 12))),
        Held(grown(free).data[: 512 + 52] + struct.pack(">I", 179) + grown(free).data[512 + 56 :]),
        Held(grown(free).data[:3000]),
    ):
        with pytest.raises(Corrupt):
            list(xfs_free.free_runs(damaged))


def emptied(levels: int, below: int) -> Held:
    """As `grown`, with a tree in which each node of `levels` has `below` branches, all of them the same, over one leaf without a record."""
    out = bytearray(grown([(100, 1), (200, 1)]).data)
    out[512 + 28 : 512 + 32], out[512 + 52 : 512 + 56] = struct.pack(">I", levels + 1), bytes(4)
    for level in range(levels + 1):
        at = (10 + levels - level) * 512
        out[at : at + 512] = struct.pack(">4sHHII", b"ABTB", level, below if level else 0, 0, 0).ljust(512, b"\0")
        if level:
            start = at + 16 + 8 * ((512 - 16) // 12)
            out[start : start + 4 * below] = struct.pack(">I", 10 + levels - level + 1) * below
    return Held(bytes(out))


def test_branches_without_a_record_are_not_visited_again_and_again() -> None:
    assert list(xfs_free.free_runs(emptied(0, 0))) == []  # a group that is full
    for levels, below in ((1, 1), (2, 2), (8, 41)):
        with pytest.raises(Corrupt, match="a branch without a record"):
            list(xfs_free.free_runs(emptied(levels, below)))


# --- APFS -----------------------------------------------------------------------------------------------------------------------------


def test_no_block_of_a_file_of_apfs_is_free_and_what_is_free_was_never_written(evidence: Path) -> None:
    """The sample was filled once, from empty: all that was ever written in it is in use."""
    import pyfsapfs

    found = space(evidence / "images/apfs.raw")
    raw = (evidence / "images/apfs.raw").read_bytes()
    free = {number for start, size in found.runs() for number in range(start // BLOCK, (start + size) // BLOCK)}
    zero = {number for number in range(len(raw) // BLOCK) if not any(raw[number * BLOCK : (number + 1) * BLOCK])}
    assert len(free) > 800
    assert free <= zero
    container = pyfsapfs.container()
    container.open(str(evidence / "images/apfs.raw"))
    waiting = [container.get_volume(0).get_root_directory()]
    extents = 0
    while waiting:
        entry = waiting.pop()
        waiting += list(entry.sub_file_entries)
        for number in range(entry.number_of_extents):
            start, size, _ = entry.get_extent(number)
            assert free.isdisjoint(range(start // BLOCK, -(-(start + size) // BLOCK)))
            extents += 1
    assert extents


def test_a_container_of_several_chunks_as_mkapfs_makes_it_has_free_blocks_that_were_never_written(tmp_path: Path) -> None:
    image = tmp_path / "apfs.raw"
    with open(image, "wb") as out:
        out.truncate(300 << 20)
    tool("mkapfs", image)
    found = space(image)
    with open(image, "rb") as file:
        for start, size in found.runs():
            hole = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            assert hole == start, start  # mkapfs wrote nothing there
            assert os.lseek(file.fileno(), start, os.SEEK_DATA) >= start + size if start + size < 300 << 20 else True
    assert 256 << 20 < sum(size for _, size in found.runs()) < 300 << 20


def test_an_apfs_whose_maps_do_not_hold_together_has_no_free_space_that_is_told(evidence: Path) -> None:
    raw = (evidence / "images/apfs.raw").read_bytes()
    whole = list(apfs_free.free_runs(Held(raw)))
    refused = 0
    for number in range(BLOCK, 110 * BLOCK, 977):
        damaged = bytearray(raw)
        damaged[number] ^= 0x10
        try:
            runs = list(apfs_free.free_runs(Held(bytes(damaged))))
        except EvidenceError:
            refused += 1
        else:
            assert runs == whole  # it is of no map
    assert refused
    assert apfs_free.sound(raw[:BLOCK])
    assert not apfs_free.sound(raw[1:BLOCK] + b"\0")


# --- Btrfs ----------------------------------------------------------------------------------------------------------------------------


def filled(folder: Path, *options: str) -> Path:
    image, files = folder / "btrfs.raw", folder / "files"
    files.mkdir()
    for number in range(1, 40):
        (files / f"file-{number}").write_bytes(hashlib.sha256(b"%d" % number).digest() * (97 * number))
    with open(image, "wb") as out:
        out.truncate(200 << 20)
    tool("mkfs.btrfs", "-q", "-f", "--rootdir", files, *options, image)
    return image


@pytest.mark.parametrize("options", [(), ("-m", "single", "-n", "4096"), ("--mixed",)])
def test_in_its_chunks_a_btrfs_has_free_what_its_own_tree_of_free_space_lists(options: tuple[str, ...], tmp_path: Path) -> None:
    image = filled(tmp_path, *options)
    chunks = re.findall(
        r"CHUNK_ITEM (\d+)\).*?length (\d+) .*?((?:stripe \d+ devid 1 offset \d+\s+dev_uuid \S+\s+)+)",
        said("btrfs", "inspect-internal", "dump-tree", "-t", "chunk", image),
        re.DOTALL,
    )
    at = {int(start): (int(length), [int(each) for each in re.findall(r"offset (\d+)", stripes)]) for start, length, stripes in chunks}
    assert at
    tree = said("btrfs", "inspect-internal", "dump-tree", "-t", "10", image)
    listed = {(int(start), int(size)) for start, size in re.findall(r"key \((\d+) FREE_SPACE_EXTENT (\d+)\)", tree)}
    expected: set[int] = set()
    for start, size in listed:
        for chunk, (length, places) in at.items():
            if chunk <= start < chunk + length:
                expected |= {place + start - chunk + done for place in places for done in range(0, size, BLOCK)}
    inside = {place + done for length, places in at.values() for place in places for done in range(0, length, BLOCK)}
    kept = {*range(0, 1 << 20, BLOCK), *range(64 << 20, (64 << 20) + (64 << 10), BLOCK)}
    found = {number for start, size in space(image).runs() for number in range(start, start + size, BLOCK)}
    assert found & inside == expected - kept
    assert found - inside == set(range(0, 200 << 20, BLOCK)) - inside - kept


def test_what_is_free_on_a_btrfs_holds_nothing_of_a_file(tmp_path: Path) -> None:
    image = filled(tmp_path)
    content = {hashlib.sha256(b"%d" % number).digest() * 128 for number in range(22, 40)}
    assert any(each in image.read_bytes() for each in content)
    for _, data in pieces(space(image)):
        assert not any(each in data for each in content)


def test_a_btrfs_with_a_log_or_a_damaged_tree_tells_no_free_space(tmp_path: Path) -> None:
    image = filled(tmp_path)
    (system,) = open_exhibit("1", image).file_systems
    assert isinstance(system, Btrfs)
    runs = list(system.free_runs())
    assert all(one[0] + one[1] < two[0] for one, two in pairwise(runs))
    system._head = system._head._replace(log=4096)
    with pytest.raises(Unsupported):
        list(system.free_runs())
    tree = said("btrfs", "inspect-internal", "dump-tree", "-t", "extent", image)
    address = int(re.search(r"^(?:leaf|node) (\d+)", tree, re.MULTILINE)[1])  # type: ignore[index]
    raw = bytearray(image.read_bytes())
    for place in system._volume.places(address, 16384):
        raw[place + 200] ^= 1
    image.write_bytes(raw)
    with pytest.raises(Corrupt):
        list(space(image).runs())
