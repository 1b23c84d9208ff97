"""Archives as exhibits: every member with its name, content and times; hostile ones harm nothing."""

import gzip
import io
import random
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from forensics.errors import Corrupt, EvidenceError, Locked
from forensics.evidence import limits
from forensics.evidence.image import measure
from forensics.evidence.layers import Opened, open_exhibit
from forensics.location import Location
from forensics.model import Entry, Fault

FILES = {
    "private/var/mobile/sms.db": b"SQLite format 3\0" + bytes(1000),
    "private/var/mobile/sms.db-wal": b"wal",
    "photo.jpg": random.Random(1).randbytes(200_000),
    "../../etc/passwd": b"harmless here",
    "C:\\Users\\a.txt": b"backslashes",
    "empty": b"",
}


def entries(opened: Opened) -> list[Entry]:
    (system,) = opened.file_systems
    return [item for item in system.walk() if isinstance(item, Entry)]


def content(opened: Opened, entry: Entry) -> bytes:
    stream = opened.file_systems[0].open(Location.parse(entry.location))
    return stream.read(0, stream.size)


def make_zip(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 2, 29, 12, 30, 58)), data, zipfile.ZIP_DEFLATED)
    return path


def make_tar(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode, info.uid = len(data), 1_709_210_000, 0o640, 501
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "photo.jpg"
        archive.addfile(link)
    return path


@pytest.mark.parametrize("name", ["phone.zip", "phone.ufdr", "phone.tar", "phone.tar.gz", "phone.tgz"])
def test_every_member_is_an_entry_with_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    opened = open_exhibit("1", make_zip(path) if name[6:] in ("zip", "ufdr") else make_tar(path))
    found = {Location.parse(entry.location).path: entry for entry in entries(opened) if entry.kind == "file"}
    assert set(found) == {f"/{member}" for member in FILES}
    for member, data in FILES.items():
        entry = found[f"/{member}"]
        assert (entry.size, content(opened, entry)) == (len(data), data)
    assert str(Location.parse(found["/../../etc/passwd"].location)) == found["/../../etc/passwd"].location
    assert opened.image is not None
    assert measure(opened.image).size == path.stat().st_size
    assert opened.faults == ()
    database = Location.parse(found["/private/var/mobile/sms.db"].location)
    beside = opened.file_systems[0].sibling(database, "-wal")
    assert beside is not None
    assert opened.file_systems[0].open(beside).read(0, 10) == b"wal"
    assert opened.file_systems[0].sibling(database, "-journal") is None


def test_content_is_read_in_pieces_and_backwards(tmp_path: Path) -> None:
    for path in (make_zip(tmp_path / "a.zip"), make_tar(tmp_path / "a.tar.gz")):
        opened = open_exhibit("1", path)
        (entry,) = [entry for entry in entries(opened) if "photo" in entry.location and entry.kind == "file"]
        stream = opened.file_systems[0].open(Location.parse(entry.location))
        data = FILES["photo.jpg"]
        assert stream.read(150_000, 1000) == data[150_000:151_000]
        assert stream.read(5, 1000) == data[5:1005]
        assert stream.read(199_990, 1000) == data[199_990:]


def test_times_permissions_and_links_are_kept(tmp_path: Path) -> None:
    (first, *_) = entries(open_exhibit("1", make_zip(tmp_path / "a.zip")))
    assert first.times.modified == "2024-02-29T12:30:58"  # local time, of a zone that the archive does not say
    found = {Location.parse(entry.location).path: entry for entry in entries(open_exhibit("1", make_tar(tmp_path / "a.tar")))}
    assert found["/photo.jpg"].times.modified == "2024-02-29T12:33:20Z"
    assert (found["/photo.jpg"].mode, found["/photo.jpg"].uid) == (0o640, 501)
    assert (found["/link"].kind, found["/link"].target) == ("link", "photo.jpg")
    info = zipfile.ZipInfo("x", (2020, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    info.extra = struct.pack("<HHBi", 0x5455, 5, 1, 1_709_210_000)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr(info, "target")
    (entry,) = entries(open_exhibit("1", tmp_path / "b.zip"))
    assert (entry.kind, entry.times.modified) == ("link", "2024-02-29T12:33:20Z")


def test_two_members_of_one_name_are_told_apart(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for data in (b"first", b"second"):
            info = tarfile.TarInfo("same")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    opened = open_exhibit("1", tmp_path / "a.tar")
    assert [content(opened, entry) for entry in entries(opened)] == [b"first", b"second"]


def test_a_member_with_a_wrong_checksum_is_corrupt_and_the_others_are_read(tmp_path: Path) -> None:
    raw = bytearray(make_zip(tmp_path / "a.zip", {"a": b"aaaa" * 100, "b": random.Random(1).randbytes(500)}).read_bytes())
    at = raw.index(b"\x01b") if b"\x01b" in raw else raw.index(b"b", raw.index(b"PK\x03\x04", 10))
    raw[at + 100] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(raw)
    opened = open_exhibit("1", tmp_path / "a.zip")
    first, second = entries(opened)
    assert content(opened, first) == b"aaaa" * 100
    with pytest.raises(Corrupt, match="1:zip:/b"):
        content(opened, second)


def test_an_encrypted_member_is_locked(tmp_path: Path) -> None:
    raw = bytearray(make_zip(tmp_path / "a.zip", {"a": b"secret"}).read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + at] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    opened = open_exhibit("1", tmp_path / "a.zip")
    (entry,) = entries(opened)
    assert entry.note == "encrypted in the archive"
    with pytest.raises(Locked, match="encrypted"):
        content(opened, entry)


def test_a_cut_archive_gives_what_it_holds_and_a_fault(tmp_path: Path) -> None:
    raw = make_tar(tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(raw[:150_000])
    opened = open_exhibit("1", tmp_path / "a.tar")
    items = list(opened.file_systems[0].walk())
    assert any(isinstance(item, Entry) and "sms.db" in item.location for item in items)
    raw = make_zip(tmp_path / "b.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(raw[:-60])
    opened = open_exhibit("1", tmp_path / "b.zip")
    assert [(layer.kind, fault.kind) for layer, fault in zip(opened.layers, opened.faults, strict=True)] == [("file", "corrupt")]


def test_members_beyond_the_bound_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBERS", 3)
    items = list(open_exhibit("1", make_zip(tmp_path / "a.zip")).file_systems[0].walk())
    assert [isinstance(item, Fault) for item in items] == [False, False, False, True]


def test_documents_that_are_zip_archives_stay_files(tmp_path: Path) -> None:
    for name in ("letter.docx", "app.apk", "archive.bin"):
        opened = open_exhibit("1", make_zip(tmp_path / name))
        assert [layer.kind for layer in opened.layers] == ["file"]


def test_noise_in_an_archive_raises_nothing_but_ours(tmp_path: Path) -> None:
    for seed in range(60):
        chance = random.Random(seed)
        path = tmp_path / ("a.zip" if seed % 3 == 0 else "a.tar" if seed % 3 == 1 else "a.tgz")
        raw = bytearray((make_zip(path) if seed % 3 == 0 else make_tar(path)).read_bytes())
        for _ in range(20):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        if seed % 3 == 2 and seed % 2:
            raw = bytearray(gzip.compress(bytes(chance.randbytes(5000))))
        path.write_bytes(raw)
        opened = open_exhibit("1", path)
        for item in opened.file_systems[0].walk():
            if isinstance(item, Entry) and item.kind == "file" and item.size < 1 << 20:
                try:
                    content(opened, item)
                except EvidenceError:
                    continue


def test_a_member_that_claims_more_than_a_medium_can_hold_is_named_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as archive:
        large = zipfile.ZipInfo("large", (2024, 2, 29, 12, 30, 58))
        large.extra = struct.pack("<HHQ", 1, 8, 1 << 63)  # APPNOTE 4.5.3: it counts where the size in the list is all ones
        archive.writestr(large, b"small")
        archive.writestr("after", b"after it")
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\1\2") + 24
    raw[at : at + 4] = b"\xff" * 4
    path.write_bytes(raw)
    opened = open_exhibit("1", path)
    first, second = entries(opened)
    assert (first.size, content(opened, second)) == (0, b"after it")
    with pytest.raises(Corrupt, match=f"large.*{1 << 63} bytes"):
        content(opened, first)
