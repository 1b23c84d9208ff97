"""APFS and XFS are walked as dfVFS's own tests, and the tools that made them, say."""

import hashlib
import json
import lzma
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from forensics.errors import Corrupt, EvidenceError
from forensics.evidence.filesystem import FileSystem
from forensics.evidence.image import open_image
from forensics.evidence.keys import Keys, parse
from forensics.evidence.layers import open_exhibit
from forensics.evidence.wide import NO_DELETED, WideFileSystem, recognise
from forensics.location import Location
from forensics.model import Entry, Fault

MIB = 1 << 20


def listed(system: FileSystem) -> dict[str, Entry]:
    found = {}
    for item in system.walk():
        assert isinstance(item, Entry), item
        location = Location.parse(item.location)
        found[location.path + (f":{location.stream}" if location.stream else "")] = item
    return found


def content(system: FileSystem, entry: Entry) -> bytes:
    return system.open(Location.parse(entry.location)).read(0, entry.size)


@pytest.mark.parametrize(("image", "prefix"), [("xfs.E01", "1:xfs:"), ("apfs.raw", "1:apfs-container:volume@1:apfs:")])
def test_every_file_that_dfvfs_lists_is_walked_with_its_content(evidence: Path, image: str, prefix: str) -> None:
    facts = json.loads((evidence / f"expected/images__{image}.json").read_text())["dfvfs"]["filesystems"][0]["files"]
    opened = open_exhibit("1", evidence / "images" / image)
    (system,) = opened.file_systems
    found = listed(system)
    assert {path for path in found if ":" not in path} == {fact["path"] for fact in facts}
    for fact in facts:
        entry = found[fact["path"]]
        assert entry.location.startswith(prefix)
        assert (entry.kind, entry.state) == (fact["type"], "allocated")
        if "sha256" in fact:
            assert (entry.size, hashlib.sha256(content(system, entry)).hexdigest()) == (fact["size"], fact["sha256"])
        if image == "xfs.E01":
            assert (entry.times.modified or "")[:29] == fact["mtime"][:29]
    assert NO_DELETED in (system.info.description or "")
    assert opened.faults == ()


def test_times_of_apfs_are_those_of_its_inodes(evidence: Path) -> None:
    # Apple File System Reference, j_inode_val_t: parent 2, own number 18, then create_time, mod_time, change_time, access_time
    raw = (evidence / "images/apfs.raw").read_bytes()
    at = raw.index((2).to_bytes(8, "little") + (18).to_bytes(8, "little"))
    born, modified, changed, accessed = (int.from_bytes(raw[at + place : at + place + 8], "little") for place in (16, 24, 32, 40))
    entry = listed(open_exhibit("1", evidence / "images/apfs.raw").file_systems[0])["/passwords.txt"]
    found = [entry.times.born, entry.times.modified, entry.times.changed, entry.times.accessed]
    assert [(text or "")[20:29] for text in found] == [f"{value % 10**9:09d}" for value in (born, modified, changed, accessed)]
    assert all((text or "").startswith("2022-01-14T07:19:41.") and (text or "").endswith("Z") for text in found)


def test_a_resource_fork_and_a_link_of_apfs_are_kept(evidence: Path) -> None:
    (system,) = open_exhibit("1", evidence / "images/apfs.raw").file_systems
    found = listed(system)
    assert content(system, found["/a_directory/a_resourcefork:rsrc"]) == b"My resource fork\n"
    assert found["/a_link"].target == "a_directory/another_file"


def test_the_file_beside_another_is_found_by_its_name(evidence: Path) -> None:
    for image in ("xfs.E01", "apfs.raw"):
        (system,) = open_exhibit("1", evidence / "images" / image).file_systems
        entry = listed(system)["/a_directory/a_file"]
        beside = Location.parse(entry.location.replace("a_file;", "another;"))
        found = system.sibling(beside, "_file")
        assert found is not None
        assert system.open(found).read(0, 100) == b"This is another file.\n"
        assert system.sibling(beside, "_nothing") is None


def xfs(folder: Path, files: dict[str, bytes]) -> Path:
    """An XFS volume that mkfs.xfs fills from a prototype file (mkfs.xfs(8), -p)."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    tool = shutil.which("mkfs.xfs", path=path)
    if tool is None:
        pytest.skip("mkfs.xfs is not installed")
    (folder / "from").mkdir()
    lines = ["unused", "0 0", "d--755 0 0"]
    for number, (name, data) in enumerate(files.items()):
        (folder / f"from/{number}").write_bytes(data)
        lines.append(f"{name} ---644 1000 1000 {folder}/from/{number}")
    (folder / "prototype").write_text("\n".join([*lines, "$", "$"]) + "\n")
    image = folder / "xfs.raw"
    with open(image, "wb") as file:
        file.truncate(320 * MIB)
    subprocess.run([tool, "-q", "-f", "-p", str(folder / "prototype"), str(image)], check=True, capture_output=True)
    return image


def test_files_that_mkfs_xfs_wrote_are_read_back(tmp_path: Path) -> None:
    noise = random.Random(2)
    files = {f"file-{number:04d}.bin": noise.randbytes(noise.choice((1, 511, 4096, 70_000))) for number in range(300)}
    files["large.bin"] = noise.randbytes(3 * MIB + 17)
    (system,) = open_exhibit("1", xfs(tmp_path, files)).file_systems
    found = listed(system)
    assert set(found) == {f"/{name}" for name in files}
    for name, data in files.items():
        assert content(system, found[f"/{name}"]) == data
    assert found["/large.bin"].uid == 1000
    stream = system.open(Location.parse(found["/large.bin"].location))
    assert stream.read(MIB - 3, 10) == files["large.bin"][MIB - 3 : MIB + 7]
    assert stream.read(stream.size - 2, 10) == files["large.bin"][-2:]


def test_a_damaged_xfs_volume_yields_faults_and_ends(tmp_path: Path, evidence: Path) -> None:
    raw = open_image(evidence / "images/xfs.E01").read(0, 16 * MIB)
    used = [at for at in range(512, len(raw), 512) if any(raw[at : at + 512])]
    for seed in range(30):
        chance = random.Random(seed)
        damaged = bytearray(raw)
        for at in chance.sample(used, 40):
            damaged[at : at + 64] = chance.randbytes(64)
        (tmp_path / "xfs.raw").write_bytes(damaged)
        for system in open_exhibit("1", tmp_path / "xfs.raw").file_systems:
            for item in system.walk():
                if isinstance(item, Fault) or item.kind != "file" or item.size > MIB:
                    continue
                try:
                    content(system, item)
                except EvidenceError as error:
                    assert item.location.partition(";")[0] in str(error)


def test_a_location_that_no_walk_gave_is_refused(evidence: Path) -> None:
    (system,) = open_exhibit("1", evidence / "images/xfs.E01").file_systems
    for text in ("1:xfs:/x;meta=99999999", "1:xfs:/x;meta=a", "1:xfs:/x", "1:xfs:/passwords.txt;meta=11077;stream=rsrc"):
        with pytest.raises(Corrupt, match="1:xfs:/"):
            system.open(Location.parse(text))


def test_dfvfs_reads_ext_where_it_is_asked(evidence: Path) -> None:
    image = open_image(evidence / "images/ext2.raw")
    assert recognise(image, "1:") == ("ext",)
    system = WideFileSystem(image, "1", (), "ext")
    facts = json.loads((evidence / "expected/images__ext2.raw.json").read_text())["dfvfs"]["filesystems"][0]["files"]
    found = listed(system)
    assert {fact["path"] for fact in facts} <= set(found)
    assert content(system, found["/a_directory/another_file"]) == b"This is another file.\n"


@pytest.fixture(scope="module")
def locked_container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("apfs") / "apfs_encrypted.dmg"
    path.write_bytes(lzma.decompress((Path(__file__).parents[2] / "test_images/apfs_encrypted.dmg.xz").read_bytes()))
    return path


def test_a_volume_that_macos_encrypted_opens_with_its_password_and_says_so(locked_container: Path) -> None:
    """The digests are those of the same files in the other images of dfVFS, which other tools read."""
    (system,) = open_exhibit("1", locked_container, keys=Keys((parse("password:wrong"), parse("password:apfs-TEST")))).file_systems
    assert system.info.location == "1:volume@20480:apfs-container:volume@1:apfs:"
    assert (system.info.description or "").startswith("encrypted (FileVault); opened with the password; ")
    files = listed(system)
    read = {name: content(system, files[name]) for name in ("/passwords.txt", "/a_directory/a_file", "/a_directory/another_file")}
    assert {name: hashlib.md5(data, usedforsecurity=False).hexdigest() for name, data in read.items()} == {
        "/passwords.txt": "39cb097008d17660abd0539891a672af",
        "/a_directory/a_file": "85bebf486af24792085f769afa46717d",
        "/a_directory/another_file": "d54ff73404ed6041a3bd66850b061bff",
    }


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((), "no key was given for it"),
        (("password:apfs-test",), "the key given does not open it"),
    ],
)
def test_a_volume_that_macos_encrypted_stays_shut_without_its_password(locked_container: Path, given: tuple[str, ...], why: str) -> None:
    opened = open_exhibit("1", locked_container, keys=Keys(tuple(map(parse, given))))
    assert opened.file_systems == ()
    (fault,) = [fault for fault in opened.faults if fault.kind == "locked"]
    assert fault.location == "1:volume@20480:apfs-container:volume@1:"
    assert fault.message == f"not examined: encrypted; {why}"
