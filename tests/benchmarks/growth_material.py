"""Evidence whose size tempts a program to hold it in memory: one huge sparse file, one huge directory, a case of very many records."""

import hashlib
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from forensics import segment
from forensics.case import create
from forensics.model import (
    CaseInfo,
    Digests,
    Entry,
    Examined,
    Exhibit,
    Line,
    PluginInfo,
    PluginOutcome,
    Result,
    RunInfo,
    StoredFinding,
    Times,
)

BLOCK = 4096
INODE = 128
PATH = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin"}
SQLITE = b"SQLite format 3\0" + struct.pack(">HBBBBBBIIIIIIIIIII", 4096, 1, 1, 0, 64, 32, 32, 1, 1, 0, 0, 1, 4, 0, 0, 1, 0, 0)
_LINES = 50_000  # of a segment


# --- file systems -----------------------------------------------------------------------------------------------------------


def sparse_file(image: Path, name: str, size: int, head: bytes) -> None:
    """An ext4 image of 64 MB with one sparse file of `size` bytes: `head` at its start, a few bytes in its middle and at its end."""
    folder = image.with_suffix(".files")
    folder.mkdir()
    with open(folder / name, "wb") as file:
        file.write(head)
        file.seek(size // 2)
        file.write(b"in the middle")
        file.seek(size - 10)
        file.write(b"at the end")
    _make(image, 64 << 20, "-t", "ext4", "-d", str(folder))
    (folder / name).unlink()
    folder.rmdir()


def huge_directory(image: Path, entries: int) -> None:
    """An ext2 image with one directory of so many empty files, each with an inode of its own.

    No tool makes such a directory in reasonable time without mounting it, so its blocks are written as a file, which is then declared a
    directory, and the inodes are written where mke2fs has put their tables (e2fsprogs, "The Second Extended Filesystem").
    """
    size = (entries * (INODE + 32) >> 20) + 128 << 20
    options = ("-t", "ext2", "-b", str(BLOCK), "-I", str(INODE), "-N", str(entries + 4096), "-m", "0", "-O", "^resize_inode,^dir_index")
    _make(image, size, *options)
    data = image.with_suffix(".directory")
    own = first = 12  # 11 is lost+found
    data.write_bytes(b"".join(_directory_blocks(own, range(first + 1, first + 1 + entries))))
    _debugfs(image, f"write {data} many")
    data.unlink()
    shown = _debugfs(image, "stat many", writing=False)
    if not re.search(rf"Inode: {own}\s", shown):
        raise ValueError(f"debugfs has not given inode {own} to the directory: {shown[:200]}")
    for field in ("mode 040755", "links_count 2"):
        _debugfs(image, f"set_inode_field many {field}")
    with open(image, "r+b") as file:
        _write_inodes(file.fileno(), first + 1, entries)
    repaired = subprocess.run(["e2fsck", "-f", "-y", str(image)], check=False, env=PATH, capture_output=True, text=True)
    if repaired.returncode > 1:  # 1: counts and the type in the root's entry were corrected
        raise ValueError(f"{image}: e2fsck ended with {repaired.returncode}: {repaired.stdout[-500:]}")


def _make(image: Path, size: int, *options: str) -> None:
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mke2fs", "-q", "-F", *options, str(image)], check=True, env=PATH, capture_output=True)


def _debugfs(image: Path, command: str, writing: bool = True) -> str:
    options = ["-w"] if writing else []
    return subprocess.run(["debugfs", *options, "-R", command, str(image)], check=True, env=PATH, capture_output=True, text=True).stdout


def _directory_blocks(own: int, inodes: range) -> Iterator[bytes]:
    """The blocks of a linear directory; the last entry of each reaches to the block's end."""
    waiting = [(own, b".", 2), (2, b"..", 2)]
    used = 24
    for inode in inodes:
        name = b"file-%07d.dat" % inode
        length = (8 + len(name) + 3) & ~3
        if used + length > BLOCK:
            yield _directory_block(waiting)
            waiting, used = [], 0
        waiting.append((inode, name, 1))
        used += length
    yield _directory_block(waiting)


def _directory_block(entries: list[tuple[int, bytes, int]]) -> bytes:
    block = bytearray()
    for number, (inode, name, kind) in enumerate(entries):
        length = BLOCK - len(block) if number == len(entries) - 1 else (8 + len(name) + 3) & ~3
        block += struct.pack("<IHBB", inode, length, len(name), kind) + name.ljust(length - 8, b"\0")
    return bytes(block)


def _write_inodes(image: int, first: int, count: int) -> None:
    """Inodes of empty regular files (mode, times of 2024-01-01, one link), and their bits in the maps."""
    superblock = os.pread(image, 1024, 1024)
    inodes_per_group, groups = struct.unpack_from("<I", superblock, 40)[0], BLOCK
    inode = struct.pack("<HHIIIIIHHII", 0o100644, 1000, 0, *[1704067200] * 3, 0, 1000, 1, 0, 0).ljust(INODE, b"\0")
    at, left = first - 1, count
    while left:
        group, index = divmod(at, inodes_per_group)
        number = min(left, inodes_per_group - index)
        bitmap, table = struct.unpack_from("<II", os.pread(image, 32, groups + 32 * group), 4)
        os.pwrite(image, inode * number, table * BLOCK + index * INODE)
        bits = int.from_bytes(os.pread(image, inodes_per_group // 8, bitmap * BLOCK), "little") | ((1 << number) - 1) << index
        os.pwrite(image, bits.to_bytes(inodes_per_group // 8, "little"), bitmap * BLOCK)
        at, left = at + number, left - number


# --- a case -----------------------------------------------------------------------------------------------------------------

PLUGINS = ("photo-exif", "rule-match", "features")


def case_of_records(folder: Path, records: int) -> None:
    """A case with one complete run of so many entries, each with one finding of its own, as `forensics examine` would leave it."""
    case = create(folder, CaseInfo(case_id="GROWTH"))
    image = folder.with_suffix(".raw")
    image.write_bytes(b"")
    with case.lock():
        exhibit = case.add_exhibit(Exhibit(exhibit_id="", image=str(image), image_format="raw"), None)
    run = case.run_folder("run-0001")
    for name in ("segments", "plan"):
        (run / name).mkdir(parents=True)
    plugins = tuple(
        PluginInfo(name=name, kind="extractor", version="1", description=name, digest="0" * 64, source=name, selection="every file")
        for name in PLUGINS
    )
    info = RunInfo(
        run="run-0001",
        exhibits=(exhibit.exhibit_id,),
        tool="1",
        tool_digest="0" * 64,
        started="2024-01-01T00:00:00Z",
        libraries={},
        plugins=plugins,
    )
    (run / "run.json").write_bytes(msgspec.json.encode(info))
    for start in range(0, records, _LINES):
        with segment.Writer(run / "segments" / f"unit-{start:09d}.jsonl.zst") as writer:
            for number in range(start, min(start + _LINES, records)):
                writer.write(b"".join(map(segment.encode, _found(exhibit.exhibit_id, number))))
            writer.commit()
    (run / "complete").write_text(f"{'0' * 64}\n", encoding="ascii")


def _found(exhibit: str, number: int) -> Iterator[Line]:
    sha256 = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()
    moment = f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:{number % 59:02}Z"
    plugin = PLUGINS[number % len(PLUGINS)]
    entry = Entry(
        location=f"{exhibit}:volume@1048576:ntfs:/Users/alice/Pictures/{number // 1000:04}/file-{number:07}.jpg;meta={number + 100}-128-1",
        kind="file",
        size=number % 5_000_000,
        times=Times(modified=moment, accessed=moment, changed=moment, born=moment),
    )
    yield Examined(
        entry=entry,
        outcome="read",
        digests=Digests(sha256=sha256),
        mime="image/jpeg",
        plugins=(PluginOutcome(plugin=plugin, outcome="read", findings=1),),
    )
    finding = StoredFinding(
        kind=("photo", "rule-match", "phone-number")[number % len(PLUGINS)],
        summary=f"Finding {number} of {plugin}: something that takes about as many words as findings do",
        when=moment if number % 2 else None,
        level="info" if number % 10 else "notable",
        data={"camera_make": "Canon", "camera_model": f"Model {number % 97}", "value": str(number)},
    )
    yield Result(plugin=plugin, content=sha256, findings=(finding,))
