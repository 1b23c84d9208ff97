"""A tree of files to make a file system of, what must come back of it, and what must hold where the medium is damaged."""

import hashlib
import os
import random
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from forensics.errors import EvidenceError
from forensics.evidence.filesystem import FileSystem
from forensics.evidence.layers import open_exhibit
from forensics.location import Location, encode
from forensics.model import Entry, Fault

_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
MIB = 1 << 20


def planted(folder: Path, *, special: bool = True, names: int = 600) -> Path:
    """A tree with files empty, small, large, sparse, that pack well and not at all, links, and names of any bytes."""
    source, noise = folder / "source", random.Random(7)
    for name in ("a/b/c", "many", "empty"):
        (source / name).mkdir(parents=True)
    files = {
        "empty.txt": b"",
        "one": b"1",
        "text.txt": b"what repeats packs well\n" * 20_000,
        "noise.bin": noise.randbytes(700_001),
        "a/exact.bin": noise.randbytes(2 << 17),
        "a/b/zero.bin": bytes(MIB),
        "a/b/c/mixed.bin": noise.randbytes(200_000) + bytes(400_000) + b"end" * 1000,
        "a/ไทย.txt": "ภาษาไทย".encode(),
    }
    files |= {f"many/file-{number:04d}.txt": f"number {number}\n".encode() * (number % 50) for number in range(names)}
    for name, data in files.items():
        (source / name).write_bytes(data)
    (source / "a/link").symlink_to("../text.txt")
    (source / "long-link").symlink_to("/" + "x" * 900)
    os.link(source / "one", source / "a/hard")
    with open(source / "sparse.bin", "wb") as file:
        file.seek(20 * MIB)
        file.write(b"tail")
    if special:
        os.mkfifo(source / "pipe")
        with open(os.fsencode(source) + b"/bad\xff\xfe", "wb") as file:
            file.write(b"a name that is no text")
    (source / "one").chmod(0o4751)
    (source / "text.txt").chmod(0o640)
    for path in sorted(source.rglob("*"), reverse=True):
        os.utime(path, ns=(1_500_000_000 * 10**9, noise.randrange(1_400_000_000, 1_600_000_000) * 10**9), follow_symlinks=False)
    return source


def entries(system: FileSystem) -> dict[bytes, Entry]:
    """The entries of a walk without faults, by path."""
    found = {}
    for item in system.walk():
        assert isinstance(item, Entry), item
        found[encode(Location.parse(item.location).path)] = item
    return found


def digest(system: FileSystem, entry: Entry) -> str:
    stream, found = system.open(Location.parse(entry.location)), hashlib.sha256()
    for offset in range(0, stream.size, MIB):
        found.update(stream.read(offset, MIB))
    return found.hexdigest()


def assert_same(system: FileSystem, source: Path, *, ignore: tuple[bytes, ...] = (), owners: bool = True) -> dict[bytes, Entry]:
    """Every file of `source` is there with its kind, permissions, owner, time, target, size and SHA-256, and nothing else is."""
    found = {path: entry for path, entry in entries(system).items() if path not in ignore}
    root = os.fsencode(source)
    planted = {os.path.join(folder, name)[len(root) :] for folder, *names in os.walk(root) for name in (*names[0], *names[1])}
    assert set(found) == planted
    for path, entry in found.items():
        status = os.lstat(root + path)
        assert entry.kind == _KINDS.get(stat.S_IFMT(status.st_mode), "other"), path
        assert entry.mode == stat.S_IMODE(status.st_mode), path
        if owners:
            assert (entry.uid, entry.gid) == (status.st_uid, status.st_gid), path
        wanted = datetime.fromtimestamp(status.st_mtime_ns // 10**9, UTC).isoformat()[:19]
        assert (entry.times.modified or "")[:19] == wanted, path
        if entry.kind == "link":
            assert (entry.target or "").encode() == os.readlink(root + path)
        if entry.kind == "file":
            assert entry.size == status.st_size
            with open(root + path, "rb") as file:
                assert digest(system, entry) == hashlib.file_digest(file, "sha256").hexdigest(), path
    return found


def _write(path: Path, data: bytearray) -> None:
    """Write a file, with holes for what is zeros: most of an image is."""
    piece = 64 << 10
    with open(path, "wb") as file:
        file.truncate(len(data))
        for at in range(0, len(data), piece):
            if data.count(0, at, at + piece) < len(data[at : at + piece]):
                file.seek(at)
                file.write(data[at : at + piece])


def assert_survives(
    image: Path,
    folder: Path,
    seeds: range,
    *,
    region: tuple[int, int] | None = None,
    cut: bool = True,
    seal: Callable[[bytearray], None] | None = None,
) -> int:
    """Cut, or with bits turned, the image is walked to an end, in faults and errors that name their place. How many faults there were.

    Bits are turned between the bytes `region`, where there are not zeros: one, or twenty. `seal` makes the checksums
    hold again, so that it is not by them that the damage is noticed.
    """
    whole, faults = image.read_bytes(), 0
    used = [at for at in range(*(region or (0, len(whole) - 64)), 64) if any(whole[at : at + 64])]
    for seed in seeds:
        chance = random.Random(seed)
        data = bytearray(whole)
        if cut and seed % 4 == 0:
            data = data[: chance.randrange(1 << 16, len(data))]
        else:
            for at in chance.sample(used, min(len(used), 1 if seed % 2 else 20)):
                data[at + chance.randrange(64)] ^= 1 << chance.randrange(8)
        if seal is not None:
            seal(data)
        copy = folder / "damaged.raw"
        _write(copy, data)
        opened = open_exhibit("1", copy)
        faults += len(opened.faults)
        for system in opened.file_systems:
            for item in system.walk():
                if isinstance(item, Fault):
                    faults += 1
                    Location.parse(item.location)
                elif item.kind == "file":
                    try:
                        stream = system.open(Location.parse(item.location))
                        stream.read(0, min(stream.size, MIB))
                    except EvidenceError as error:
                        faults += 1
                        assert item.location in str(error)
        opened.close()
    return faults
