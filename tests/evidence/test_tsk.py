"""What The Sleuth Kit's own tools list must be in the walk, with the same content; facts are those of fls, made elsewhere."""

import hashlib
import json
import plistlib
import shutil
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.errors import Corrupt
from forensics.evidence.layers import FileSystem, open_exhibit
from forensics.evidence.tsk import TskFileSystem
from forensics.location import Location
from forensics.model import Entry

IMAGES = [
    "images/ext2.raw",
    "images/ext2.E01",
    "images/fat12.raw",
    "images/fs.multiple.E01",
    "images/gpt.raw",
    "images/image-split.E01",
    "images/iso9660.raw",
    "images/mbr.raw",
    "images/ntfs.raw",
    "images/tsk_volume_system.001",
    "images/vss.E01",
    "cases/android-a.E01",
    "cases/usb-a.raw",
    "cases/winbox-a.E01",
]
CASES = ["android-a.E01", "usb-a.raw", "winbox-a.E01"]


def entries(system: FileSystem) -> Iterator[Entry]:
    for item in system.walk():
        assert isinstance(item, Entry), item
        yield item


def content(system: FileSystem, entry: Entry) -> bytes:
    stream = system.open(Location.parse(entry.location))
    assert stream.size == entry.size
    return b"".join(stream.read(offset, 5000) for offset in range(0, stream.size, 5000))


def listed(system: FileSystem) -> dict[str, Entry]:
    """Entries by path, a stream after a colon as fls writes it; a deleted name after an allocated one of the same path is kept apart."""
    found: dict[str, Entry] = {}
    for entry in entries(system):
        location = Location.parse(entry.location)
        name = f"{location.path}:{location.stream}" if location.stream else location.path
        while name in found:
            name += " (again)"
        found[name] = entry
    return found


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def run(*command: str | Path) -> None:
    subprocess.run(
        [str(word) for word in command],
        check=True,
        capture_output=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"},
    )


@pytest.mark.parametrize("image", IMAGES)
def test_every_name_that_fls_lists_is_walked_with_its_content(evidence: Path, image: str) -> None:
    expected = json.loads((evidence / "expected" / f"{image.replace('/', '__')}.json").read_text())
    opened = open_exhibit("1", evidence / image)
    systems = {
        system.info.offset // 512: system
        for system in opened.file_systems
        if ":vss@" not in system.info.location and isinstance(system, TskFileSystem)
    }
    facts = {each["start_sector"]: each for each in expected["tsk_filesystems"]}
    assert sorted(systems) == [start for start, each in sorted(facts.items()) if "files" in each]
    for start, system in systems.items():
        found = listed(system)
        for fact in facts[start]["files"]:
            path, _, target = fact["path"].partition(" -> ")
            meta = fact["inode"]
            if "-144-" in meta and not fact["mode"].startswith(("d/", "-/d")):
                assert path.partition(":")[0] in {name.partition(":")[0] for name in found}  # an index is no content: its file is there
                continue
            entry = found[path]
            if entry.kind == "link":
                assert entry.target == target
            if fact["state"] == "deleted-realloc":
                assert (entry.content, entry.size) == ("reallocated", 0)
                continue
            assert Location.parse(entry.location).meta == meta
            assert entry.size == fact["size"]
            assert (entry.state == "allocated") == (fact["state"] == "allocated"), path
            assert (entry.state == "orphan") == path.startswith("/$OrphanFiles/")
            if entry.kind in ("file", "virtual") and fact["md5"] != "0" * 32 and ":" not in path:
                assert hashlib.md5(content(system, entry)).hexdigest() == fact["md5"], path
        listed_by_fls = {fact["path"].partition(" -> ")[0] for fact in facts[start]["files"]}
        more = {name for name in found if name not in listed_by_fls}
        assert more <= {"/$Extend/$ObjId", "/$Extend/$Quota", "/$Extend/$Reparse"} | {n for n in more if "$Txf" in n or "$Tops" in n}


@pytest.mark.parametrize("image", IMAGES)
def test_two_walks_give_the_same_entries_in_the_same_order(evidence: Path, image: str) -> None:
    walks = [[entry.location for system in open_exhibit("1", evidence / image).file_systems for entry in system.walk()] for _ in range(2)]
    assert walks[0] == walks[1] != []
    assert len(set(walks[0])) == len(walks[0])


@pytest.mark.parametrize("image", CASES)
def test_cases_read_as_their_truth_says(evidence: Path, image: str) -> None:
    (system,) = open_exhibit("1", evidence / "cases" / image).file_systems
    found = listed(system)
    for line in (evidence / "cases" / f"{image.partition('.')[0]}.truth.jsonl").read_text().splitlines():
        fact = json.loads(line)
        path = fact["path"].replace("/GONE", "/_ONE") if "fat" in system.info.kind else fact["path"]
        entry = found[path]
        assert (entry.state == "allocated") == (fact["state"] == "allocated")
        if fact["state"] == "allocated" or fact.get("tsk_recovers_content"):
            assert hashlib.sha256(content(system, entry)).hexdigest() == fact["sha256"], path
        if fact["state"] != "allocated" and fact.get("tsk_recovers_content"):
            assert entry.content == "intact", (path, entry.note)


def test_labels_are_those_of_the_volumes(evidence: Path) -> None:
    for image in IMAGES:
        expected = json.loads((evidence / "expected" / f"{image.replace('/', '__')}.json").read_text())
        labels = {each["start_sector"]: each.get("label") for each in expected["tsk_filesystems"]}
        for system in open_exhibit("1", evidence / image).file_systems:
            label = labels[system.info.offset // 512]
            assert system.info.label == (None if label == "$EMPTY_VOLUME_LABEL" else label)


def test_fat_times_do_not_depend_on_the_time_zone_of_the_process(evidence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Jakarta")
    time.tzset()
    (system,) = open_exhibit("1", evidence / "cases/usb-a.raw").file_systems
    times = listed(system)["/DCIM"].times
    assert system.info.timezone == "local"
    assert (times.modified, times.accessed, times.changed) == ("2026-11-24T02:53:00", "2026-11-24T00:00:00", None)  # fls: 1795488780


def test_ntfs_symbolic_link_keeps_its_target(evidence: Path) -> None:
    system = open_exhibit("1", evidence / "images/vss.E01").file_systems[0]
    assert (listed(system)["/a_link"].target or "").endswith(r"x:\\a_directory\\another_file")  # escaped, as locations are


def test_ntfs_times_have_seven_digits_and_are_utc(evidence: Path) -> None:
    (system,) = open_exhibit("1", evidence / "images/ntfs.raw").file_systems
    assert system.info.timezone == "utc"
    assert listed(system)["/passwords.txt"].times.modified == "2019-08-31T10:22:59.9595800Z"


def test_alternate_data_stream_reads_as_icat_reads_it(evidence: Path, tmp_path: Path) -> None:
    need("icat")
    opened = open_exhibit("1", evidence / "cases/winbox-a.E01")
    assert opened.image is not None
    raw = tmp_path / "winbox.raw"
    raw.write_bytes(opened.image.read(0, opened.image.size))
    (system,) = opened.file_systems
    streams = [entry for entry in entries(system) if ";stream=" in entry.location and entry.size < 1 << 20]
    assert [Location.parse(entry.location).stream for entry in streams if "Document.docx" in entry.location] == ["Zone.Identifier"]
    for entry in streams:
        command = ["icat", "-o", "2048", str(raw), Location.parse(entry.location).meta or ""]
        assert content(system, entry) == subprocess.run(command, check=True, capture_output=True).stdout


def test_start_is_where_the_content_lies_on_the_medium(evidence: Path) -> None:
    opened = open_exhibit("1", evidence / "images/mbr.raw")
    assert opened.image is not None
    for system in opened.file_systems:
        for entry in entries(system):
            if entry.kind == "file" and entry.start >= 0 and entry.size:
                assert opened.image.read(entry.start, entry.size) == content(system, entry)


def test_a_location_whose_meta_address_is_unknown_is_corrupt(evidence: Path) -> None:
    (system,) = open_exhibit("1", evidence / "images/ntfs.raw").file_systems
    for meta in ("99999999", "66-128-77", "x", "1-2", None, "9" * 30, "99999999999999999999-128-1"):
        with pytest.raises(Corrupt, match="1:ntfs:/a"):
            system.open(Location("1", path="/a", layers=Location.parse("1:ntfs:").layers, meta=meta))


def test_a_sibling_is_found_beside_and_nowhere_else(evidence: Path) -> None:
    (system,) = open_exhibit("1", evidence / "images/ntfs.raw").file_systems
    found = listed(system)
    place = Location.parse(found["/a_directory/a_file"].location)
    assert system.sibling(place, "-wal") is None
    cut = Location(place.exhibit, place.layers, "/a_directory/a_f", place.meta)
    assert system.sibling(cut, "ile") == place
    assert system.sibling(Location(place.exhibit, place.layers, "/no/a_f", place.meta), "ile") is None


def test_hfs_plus_is_read_with_resource_forks(evidence: Path, tmp_path: Path) -> None:
    expected = json.loads((evidence / "expected/images__hfsplus_zlib.dmg.json").read_text())["dfvfs"]
    raw = tmp_path / "hfs.raw"
    raw.write_bytes(decoded_dmg((evidence / "images/hfsplus_zlib.dmg").read_bytes()))
    assert hashlib.sha256(raw.read_bytes()).hexdigest() == expected["media"]["media_sha256"]
    (system,) = open_exhibit("1", raw).file_systems
    found = listed(system)
    for fact in expected["filesystems"][0]["files"]:
        if "Private" in fact["path"]:
            continue  # the two tools write the control characters of these names differently
        entry = found[fact["path"]]
        assert entry.kind == fact["type"]
        assert (entry.times.modified or "").startswith(fact["mtime"][:19])
        if "sha256" in fact:
            assert hashlib.sha256(content(system, entry)).hexdigest() == fact["sha256"]
    assert found["/a_directory/a_resourcefork:rsrc"].size > 0
    assert content(system, found["/a_directory/a_resourcefork:rsrc"]) == b"My resource fork\n"


def decoded_dmg(data: bytes) -> bytes:
    """The medium in a UDIF image with zlib blocks: trailer "koly", property list, block tables "mish"."""
    at, size = struct.unpack_from(">QQ", data, len(data) - 512 + 0xD8)
    out = bytearray()
    for table in plistlib.loads(data[at : at + size])["resource-fork"]["blkx"]:
        mish = table["Data"]
        first = struct.unpack_from(">Q", mish, 8)[0]
        for number in range(struct.unpack_from(">I", mish, 200)[0]):
            kind, _, sector, count, offset, length = struct.unpack_from(">IIQQQQ", mish, 204 + 40 * number)
            if kind in (0xFFFFFFFF, 0x7FFFFFFE):
                continue
            block = data[offset : offset + length]
            plain = zlib.decompress(block) if kind == 0x80000005 else block.ljust(count * 512, b"\0")
            start = (first + sector) * 512
            out.extend(bytes(max(0, start + len(plain) - len(out))))
            out[start : start + len(plain)] = plain
    return bytes(out)
