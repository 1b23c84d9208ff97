"""AD1 images give their files, names and times, and are checked against the digests that they carry."""

import hashlib
import random
import struct
import zlib
from pathlib import Path

import pytest

from forensics.errors import Corrupt, EvidenceError, Locked, Unsupported
from forensics.evidence.image import measure, open_image
from forensics.evidence.layers import open_exhibit
from forensics.location import Location
from forensics.model import Entry, Fault

CHUNK = 65536
NOISE = random.Random(4).randbytes(150_000)
TREE = {"a.txt": b"text of a", "empty": b"", "deep": {"noise.bin": NOISE, "zeros": bytes(200_000)}}


class Maker:
    """Writes an AD1 image in the layout that AD1-tools reads (libad1_reader.c): every address counts from after the segment's header."""

    def __init__(self, version: int = 4) -> None:
        self.body = bytearray(512)
        self.version = version

    def put(self, data: bytes) -> int:
        self.body += data
        return len(self.body) - len(data)

    def value(self, following: int, category: int, key: int, text: str) -> int:
        return self.put(struct.pack("<QIII", following, category, key, len(text)) + text.encode())

    def content(self, data: bytes) -> int:
        if not data:
            return 0
        places = [self.put(zlib.compress(data[at : at + CHUNK])) for at in range(0, len(data), CHUNK)]
        return self.put(struct.pack(f"<Q{len(places) + 1}Q", len(places), *places, len(self.body)))

    def item(self, name: str, what: "dict[str, object] | bytes", following: int) -> int:
        if isinstance(what, bytes):
            last = self.value(0, 1, 0x5002, hashlib.sha1(what).hexdigest())
            last = self.value(last, 1, 0x5001, hashlib.md5(what).hexdigest())
            for key, when in ((0x9, "20240229T123320"), (0x8, "20240101T000000.25"), (0x7, "20240301T000000")):
                last = self.value(last, 5, key, when)
            last = self.value(last, 2, 0x2, "1")
            table, child, kind, size = self.content(what), 0, 0, len(what)
        else:
            table, child, kind, size, last = 0, 0, 5, 0, 0
            for below, inner in reversed(what.items()):
                child = self.item(below, inner, child)  # type: ignore[arg-type]
        raw = name.encode()
        return self.put(struct.pack("<QQQQQII", following, child, last, table, size, kind, len(raw)) + raw + bytes(8))

    def write(self, path: Path, tree: "dict[str, object]", segments: int = 1) -> Path:
        first = self.item("C:\\", tree, 0)
        self.body[:512] = (b"ADLOGICALIMAGE\0\0" + struct.pack("<IIIQQI", self.version, 1, CHUNK, 0, first, 3)).ljust(512, b"\0")
        size = -(-len(self.body) // segments)
        for number in range(segments):
            header = bytearray(b"ADSEGMENTEDFILE\0".ljust(512, b"\0"))
            struct.pack_into("<II", header, 0x18, number + 1, segments)
            struct.pack_into("<I", header, 0x28, 512)
            path.with_suffix(f".ad{number + 1}").write_bytes(header + self.body[number * size : (number + 1) * size])
        return path.with_suffix(".ad1")


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("version", [3, 4])
def test_every_file_is_an_entry_with_its_content_and_times(tmp_path: Path, segments: int, version: int) -> None:
    opened = open_exhibit("1", Maker(version).write(tmp_path / "image.ad1", TREE, segments))
    assert opened.image is not None
    assert [path.name for path in opened.image.files] == [f"image.ad{number}" for number in range(1, segments + 1)]
    (system,) = opened.file_systems
    assert [layer.timezone for layer in opened.layers] == ["utc"]
    found = {}
    for item in system.walk():
        assert isinstance(item, Entry)
        found[Location.parse(item.location).path] = item
    assert {path: entry.kind for path, entry in found.items()} == {
        "/C:\\": "directory", "/C:\\/a.txt": "file", "/C:\\/empty": "file", "/C:\\/deep": "directory",
        "/C:\\/deep/noise.bin": "file", "/C:\\/deep/zeros": "file",
    }  # fmt: skip
    for path, data in (("a.txt", b"text of a"), ("empty", b""), ("deep/noise.bin", NOISE), ("deep/zeros", bytes(200_000))):
        entry = found[f"/C:\\/{path}"]
        stream = system.open(Location.parse(entry.location))
        assert (entry.size, stream.read(0, len(data) + 10)) == (len(data), data)
        assert stream.read(70_000, 100) == data[70_000:70_100]
    times = found["/C:\\/a.txt"].times
    assert (times.modified, times.born, times.accessed) == ("2024-02-29T12:33:20Z", "2024-01-01T00:00:00.25Z", "2024-03-01T00:00:00Z")


def test_the_digests_of_the_acquisition_are_verified(tmp_path: Path) -> None:
    path = Maker().write(tmp_path / "image.ad1", TREE)
    digest = measure(open_image(path))
    assert list(digest.stored_match.values()) == [True, True]
    assert any("md5 digests of 4 files" in name for name in digest.stored_match)
    raw = bytearray(path.read_bytes())
    at = raw.index(zlib.compress(b"text of a"))
    raw[at : at + len(zlib.compress(b"text of b"))] = zlib.compress(b"text of b")
    path.write_bytes(raw)
    matches = measure(open_image(path)).stored_match
    assert {name for name, holds in matches.items() if "/C:" in name and not holds} == {"md5 of /C:\\/a.txt", "sha1 of /C:\\/a.txt"}


def test_a_damaged_chunk_is_corrupt_and_the_other_files_are_read(tmp_path: Path) -> None:
    path = Maker().write(tmp_path / "image.ad1", TREE)
    raw = bytearray(path.read_bytes())
    at = raw.index(zlib.compress(NOISE[:CHUNK]))
    raw[at + 100 : at + 200] = bytes(100)
    path.write_bytes(raw)
    (system,) = open_exhibit("1", path).file_systems
    read = {}
    for item in system.walk():
        assert isinstance(item, Entry)
        if item.kind == "file":
            try:
                read[item.location.rpartition("/")[2].partition(";")[0]] = system.open(Location.parse(item.location)).read(0, item.size)
            except Corrupt as error:
                assert "noise.bin" in str(error)
    assert set(read) == {"a.txt", "empty", "zeros"}


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    path = Maker().write(tmp_path / "image.ad1", TREE, 3)
    (tmp_path / "image.ad2").unlink()
    for name in ("image.ad1", "image.ad3"):
        with pytest.raises(EvidenceError, match=r"\.ad2"):
            open_image(path.with_name(name))


def test_encrypted_and_unknown_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ad1").write_bytes(b"ADCRYPT\0".ljust(4096, b"\0"))
    with pytest.raises(Locked, match="encrypted"):
        open_image(tmp_path / "a.ad1")
    with pytest.raises(Unsupported, match="version 9"):
        open_image(Maker(9).write(tmp_path / "b.ad1", TREE))


def test_a_tree_that_leads_back_to_itself_ends_with_a_fault(tmp_path: Path) -> None:
    path = Maker().write(tmp_path / "image.ad1", TREE)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"a.txt") - 48
    first = int.from_bytes(raw[512 + 36 : 512 + 44], "little")
    raw[at + 8 : at + 16] = first.to_bytes(8, "little")
    path.write_bytes(raw)
    items = list(open_exhibit("1", path).file_systems[0].walk())
    assert isinstance(items[-1], Fault)
    assert "already found" in items[-1].message


def test_noise_in_an_image_raises_nothing_but_ours(tmp_path: Path) -> None:
    whole = Maker().write(tmp_path / "image.ad1", TREE).read_bytes()
    for seed in range(80):
        chance = random.Random(seed)
        raw = bytearray(whole)
        for _ in range(30):
            at = chance.choice((chance.randrange(16, 1100), chance.randrange(len(raw)), len(raw) - 1 - chance.randrange(900)))
            raw[at] = chance.randrange(256)
        (tmp_path / "image.ad1").write_bytes(raw)
        try:
            opened = open_exhibit("1", tmp_path / "image.ad1")
            for item in opened.file_systems[0].walk():
                if isinstance(item, Entry) and item.kind == "file" and item.size < 1 << 20:
                    opened.file_systems[0].open(Location.parse(item.location)).read(0, item.size)
        except EvidenceError:
            continue


def test_a_file_that_claims_more_than_a_medium_can_hold_is_named_and_not_read(tmp_path: Path) -> None:
    path = Maker().write(tmp_path / "image.ad1", TREE)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"a.txt") - 48
    raw[at + 32 : at + 40] = (1 << 63).to_bytes(8, "little")
    path.write_bytes(raw)
    (system,) = open_exhibit("1", path).file_systems
    found = {item.location.rpartition("/")[2].partition(";")[0]: item for item in system.walk() if isinstance(item, Entry)}
    assert {name: found[name].size for name in ("a.txt", "noise.bin", "zeros")} == {"a.txt": 0, "noise.bin": 150_000, "zeros": 200_000}
    assert found["a.txt"].note == f"its size is said to be {1 << 63} bytes, and its content is not read"
    with pytest.raises(Corrupt, match=f"a.txt.*{1 << 63} bytes"):
        system.open(Location.parse(found["a.txt"].location))
    matches = measure(open_image(path)).stored_match
    assert {name for name, holds in matches.items() if "/C:" in name and not holds} == {"md5 of /C:\\/a.txt", "sha1 of /C:\\/a.txt"}
