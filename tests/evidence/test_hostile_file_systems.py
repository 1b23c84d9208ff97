"""File systems with names, depths and loops that nobody makes by accident."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from forensics.errors import Corrupt, ForensicsError
from forensics.evidence import limits
from forensics.evidence.layers import open_exhibit
from forensics.location import Location, encode
from forensics.model import Entry, Fault

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NAMES = (b"bad\xff\xfe", b"new\nline", b"a" * 255, b"back\\slash", b"semi;colon:at@", b"\xe2\x80\xaegpj.exe", b"x-wal", "ไทย".encode())


def run(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, env={"PATH": PATH, "TZ": "UTC"}).stdout.decode()


def made(folder: Path, kind: str = "ext4") -> Path:
    for tool in ("mke2fs", "debugfs"):
        if shutil.which(tool, path=PATH) is None:
            pytest.skip(f"{tool} is not installed")
    image = folder / "disk.raw"
    run("mke2fs", "-q", "-t", kind, "-b", "1024", "-d", folder / "source", image, "8M")
    return image


def walked(image: Path) -> tuple[list[Entry], list[Fault]]:
    items = [item for system in open_exhibit("1", image).file_systems for item in system.walk()]
    return [item for item in items if isinstance(item, Entry)], [item for item in items if isinstance(item, Fault)]


def test_names_of_any_bytes_are_kept_and_lead_to_their_content(tmp_path: Path) -> None:
    source = os.fsencode(tmp_path / "source")
    os.mkdir(source)
    for name in NAMES:
        with open(source + b"/" + name, "wb") as file:
            file.write(b"content of " + name)
    image = made(tmp_path)
    (system,) = open_exhibit("1", image).file_systems
    found = {}
    for entry in system.walk():
        assert isinstance(entry, Entry)
        assert entry.location.isprintable()
        if entry.kind == "file":
            stream = system.open(Location.parse(entry.location))
            found[encode(Location.parse(entry.location).path)] = stream.read(0, stream.size)
    assert found == {b"/" + name: b"content of " + name for name in NAMES}


def test_a_sibling_is_found_by_names_of_any_bytes(tmp_path: Path) -> None:
    source = os.fsencode(tmp_path) + b"/source/d\xff"
    os.makedirs(source)
    for name in (b"db\xfe", b"db\xfe-wal"):
        with open(source + b"/" + name, "wb") as file:
            file.write(name)
    (system,) = open_exhibit("1", made(tmp_path)).file_systems
    place = next(Location.parse(entry.location) for entry in system.walk() if "/d\\xff/db\\xfe;" in entry.location)
    beside = system.sibling(place, "-wal")
    assert beside is not None
    assert system.open(beside).read(0, 99) == b"db\xfe-wal"


def test_links_keep_their_target_and_special_files_are_not_content(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "short").symlink_to("/etc/passwd")
    (source / "long").symlink_to("/" + "x" * 900)
    os.mkfifo(source / "pipe")
    entries, faults = walked(made(tmp_path))
    kinds = {Location.parse(entry.location).path: (entry.kind, entry.target) for entry in entries}
    assert kinds["/short"] == ("link", "/etc/passwd")
    assert kinds["/long"] == ("link", "/" + "x" * 900)
    assert kinds["/pipe"] == ("other", None)
    assert faults == []


def test_a_loop_of_directories_is_a_fault_and_ends(tmp_path: Path) -> None:
    (tmp_path / "source/a/b").mkdir(parents=True)
    (tmp_path / "source/a/b/file").write_bytes(b"1")
    image = made(tmp_path)
    run("debugfs", "-w", "-R", "ln /a /a/b/loop", image)
    entries, faults = walked(image)
    paths = [Location.parse(entry.location).path for entry in entries]
    assert paths.count("/a/b/loop") == 1
    assert not any(path.startswith("/a/b/loop/") for path in paths)
    assert [(fault.kind, Location.parse(fault.location).path) for fault in faults] == [("corrupt", "/a/b/loop")]


def test_directories_deeper_than_the_bound_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "source" / "/".join("d" * (limits.PATH_DEPTH + 20))).mkdir(parents=True)
    (tmp_path / "source" / "z").write_bytes(b"after it")
    entries, faults = walked(made(tmp_path))
    assert max(entry.location.count("/") for entry in entries) == limits.PATH_DEPTH
    assert [fault.kind for fault in faults] == ["limit"]
    assert any(entry.location.startswith("1:ext4:/z;") for entry in entries)


def test_a_directory_that_cannot_be_read_is_a_fault_and_the_walk_goes_on(tmp_path: Path) -> None:
    for name in ("bad", "good"):
        (tmp_path / "source" / name).mkdir(parents=True)
        (tmp_path / "source" / name / "file").write_bytes(b"1")
    image = made(tmp_path)
    run("debugfs", "-w", "-R", "set_inode_field /bad block[0] 0xffffffff", image)
    run("debugfs", "-w", "-R", "set_inode_field /bad block[5] 0x7fffffff", image)
    entries, faults = walked(image)
    assert any("/good/file" in entry.location for entry in entries)
    assert [(fault.kind, Location.parse(fault.location).path) for fault in faults] == [("corrupt", "/bad")]


def test_content_that_cannot_be_read_is_corrupt_and_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").write_bytes(b"1" * 9000)
    image = made(tmp_path)
    run("debugfs", "-w", "-R", "set_inode_field /file block[5] 0x7fffffff", image)
    (system,) = open_exhibit("1", image).file_systems
    entry = next(item for item in system.walk() if "/file;" in item.location)
    assert isinstance(entry, Entry)
    assert entry.size == 9000
    with pytest.raises(Corrupt, match="1:ext4:/file;meta="):
        system.open(Location.parse(entry.location)).read(0, 9000)


@pytest.mark.parametrize("image", ["ext2.raw", "fat12.raw", "ntfs.raw", "iso9660.raw", "mbr.raw", "gpt.raw"])
def test_a_cut_image_is_walked_as_far_as_it_goes(evidence: Path, tmp_path: Path, image: str) -> None:
    whole = (evidence / "images" / image).read_bytes()
    for share in (2, 8, 40):
        cut = tmp_path / f"{share}-{image}"
        cut.write_bytes(whole[: len(whole) // share])
        opened = open_exhibit("1", cut)
        assert opened.layers
        for system in opened.file_systems:
            for item in system.walk():
                if isinstance(item, Entry) and item.kind == "file":
                    try:
                        stream = system.open(Location.parse(item.location))
                        stream.read(0, min(stream.size, 1 << 20))
                    except ForensicsError as error:
                        assert item.location in str(error)
