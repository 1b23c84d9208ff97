"""A folder and a single file as exhibits."""

import os
from pathlib import Path

import pytest

from forensics.errors import Corrupt, EvidenceError
from forensics.evidence import limits
from forensics.evidence.layers import open_exhibit
from forensics.location import Location, encode
from forensics.model import Entry, Fault


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "exhibit"
    (root / "b" / "deep").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"alpha")
    (root / "b" / "deep" / "c.db").write_bytes(b"database")
    (root / "b" / "deep" / "c.db-wal").write_bytes(b"log")
    (root / "link").symlink_to("/etc/passwd")
    (root / "b" / "out").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    os.utime(root / "a.txt", ns=(1_600_000_000_000_000_001, 1_500_000_000_123_456_789))
    return root


def entries(root: Path) -> dict[str, Entry]:
    found = {}
    for item in open_exhibit("1", root).file_systems[0].walk():
        assert isinstance(item, Entry), item
        found[item.location] = item
    return found


def test_a_folder_is_walked_in_order_of_its_names(folder: Path) -> None:
    assert list(entries(folder)) == [
        "1:folder:/a.txt",
        "1:folder:/b",
        "1:folder:/b/deep",
        "1:folder:/b/deep/c.db",
        "1:folder:/b/deep/c.db-wal",
        "1:folder:/b/out",
        "1:folder:/link",
        "1:folder:/pipe",
    ]


def test_times_have_nanoseconds_and_are_utc(folder: Path) -> None:
    times = entries(folder)["1:folder:/a.txt"].times
    assert times.modified == "2017-07-14T02:40:00.123456789Z"
    assert times.accessed == "2020-09-13T12:26:40.000000001Z"
    assert times.born is None


def test_links_are_entries_and_are_not_followed(folder: Path) -> None:
    found = entries(folder)
    assert (found["1:folder:/link"].kind, found["1:folder:/link"].target) == ("link", "/etc/passwd")
    system = open_exhibit("1", folder).file_systems[0]
    for path in ("/link", "/b/out/exhibit/a.txt", "/../exhibit/a.txt", "/b/../a.txt", "a.txt", "/", "", "//a.txt", "/a.txt\0"):
        with pytest.raises(Corrupt):
            system.open(Location("1", path=path))


def test_a_pipe_is_other_and_is_never_opened(folder: Path) -> None:
    system = open_exhibit("1", folder).file_systems[0]
    assert entries(folder)["1:folder:/pipe"].kind == "other"
    with pytest.raises(Corrupt, match="no regular file"):
        system.open(Location.parse("1:folder:/pipe"))


def test_content_and_sibling_are_found_by_path(folder: Path) -> None:
    system = open_exhibit("1", folder).file_systems[0]
    place = Location.parse("1:folder:/b/deep/c.db")
    assert system.open(place).read(0, 99) == b"database"
    assert system.open(place).read(4, 2) == b"ba"
    beside = system.sibling(place, "-wal")
    assert str(beside) == "1:folder:/b/deep/c.db-wal"
    assert system.sibling(place, "-shm") is None


def test_a_file_that_changes_while_it_is_read_says_so(folder: Path) -> None:
    stream = open_exhibit("1", folder).file_systems[0].open(Location.parse("1:folder:/a.txt"))
    assert not stream.changed()
    with open(folder / "a.txt", "ab") as file:
        file.write(b"more")
    assert stream.changed()
    assert stream.read(0, 99) == b"alpha"
    (folder / "a.txt").write_bytes(b"")
    with pytest.raises(Corrupt, match=r"1:folder:/a.txt: ends at offset 0"):
        stream.read(0, 5)


def test_a_folder_that_may_not_be_read_is_a_fault_and_the_walk_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def refusing(path: bytes) -> object:
        if os.fsencode(path).endswith(b"/b"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)  # root may read everything, so the refusal is made here
    items = list(open_exhibit("1", folder).file_systems[0].walk())
    faults = [item for item in items if isinstance(item, Fault)]
    assert [(fault.location, fault.kind) for fault in faults] == [("1:folder:/b", "error")]
    assert items[-1].location == "1:folder:/pipe"


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    with open(root + b"/bad\xff\n", "wb") as file:
        file.write(b"x")
    system = open_exhibit("1", tmp_path).file_systems[0]
    (found,) = entries(tmp_path).values()
    assert found.location == "1:folder:/bad\\xff\\x0a"
    assert encode(Location.parse(found.location).path) == b"/bad\xff\n"
    assert system.open(Location.parse(found.location)).read(0, 9) == b"x"


def test_folders_deeper_than_the_bound_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "/".join("d" * (limits.PATH_DEPTH + 5))).mkdir(parents=True)
    items = list(open_exhibit("1", tmp_path).file_systems[0].walk())
    assert [item.kind for item in items if isinstance(item, Fault)] == ["limit"]
    assert sum(isinstance(item, Entry) for item in items) == limits.PATH_DEPTH


def test_a_photograph_is_an_exhibit_of_one_file(evidence: Path) -> None:
    path = evidence / "mrz/passport-td3.png"
    opened = open_exhibit("1", path)
    assert (opened.image, opened.faults) == (None, ())
    (system,) = opened.file_systems
    (entry,) = system.walk()
    assert (entry.location, opened.layers[0].kind) == ("1:file:/passport-td3.png", "file")
    assert system.open(Location.parse(entry.location)).read(0, 1 << 20) == path.read_bytes()


def test_what_is_not_there_is_an_evidence_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="nothing-here"):
        open_exhibit("1", tmp_path / "nothing-here")
