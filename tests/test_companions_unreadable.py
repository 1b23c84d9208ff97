"""A database whose write-ahead log cannot be read is examined without it, and that is said: it is neither absent nor the end of the run."""

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import BinaryIO

import pytest
from msgspec.structs import replace

from forensics import segment
from forensics.engine import around
from forensics.engine.extraction import _beside
from forensics.engine.keep import Keeper
from forensics.engine.plan import units
from forensics.engine.setup import Status
from forensics.engine.task import Before
from forensics.engine.worker import Examiner
from forensics.engine.workshop import Tool, Tools, equip
from forensics.errors import Corrupt, EvidenceError, LimitExceeded, TimedOut
from forensics.evidence.layers import open_exhibit
from forensics.location import Location
from forensics.model import LayerInfo, Scope
from forensics.plugin import Member

RECOVERED = "sqlite-recovered"


class Failing:
    """A file system of which a write-ahead log is there and fails at a step: when it is looked for, opened or read."""

    def __init__(self, inner: object, step: str, error: EvidenceError) -> None:
        self._inner, self._step, self._error = inner, step, error

    def sibling(self, location: Location, suffix: str) -> Location | None:
        if suffix == "-wal" and self._step == "looked for":
            raise self._error
        return self._inner.sibling(location, suffix)  # type: ignore[attr-defined,no-any-return]

    def open(self, location: Location) -> object:
        stream = self._inner.open(location)  # type: ignore[attr-defined]
        if not location.path.endswith("-wal") or self._step in ("", "looked for"):
            return stream
        if self._step == "opened":
            raise self._error
        return FailingStream(stream.size, self._error)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class FailingStream:
    def __init__(self, size: int, error: EvidenceError) -> None:
        self.size, self._error = size, error

    def read(self, offset: int, size: int) -> bytes:
        raise self._error


@pytest.fixture
def exhibit(tmp_path: Path) -> Path:
    """A history of which one visit was deleted, with its write-ahead log."""
    folder = tmp_path / "exhibit"
    folder.mkdir()
    with closing(sqlite3.connect(tmp_path / "History", isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE urls (id INTEGER PRIMARY KEY, url TEXT)")
        database.executemany("INSERT INTO urls (url) VALUES (?)", [(f"https://example.org/{number}",) for number in range(9)])
        database.execute("DELETE FROM urls WHERE id = 5")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("INSERT INTO urls (url) VALUES ('https://example.org/in-the-log')")
        for name in ("History", "History-wal"):
            (folder / name).write_bytes((tmp_path / name).read_bytes())
    return folder


@cache
def equipped(names: tuple[str, ...]) -> tuple[Tool, ...]:
    return equip((), names, {})[0]


def said(
    exhibit: Path,
    spool: Path,
    step: str = "",
    error: EvidenceError = Corrupt("no"),
    *names: str,
    before: Before | None = None,
    kind: type[Failing] = Failing,
) -> bytes:
    """The lines of a unit of the exhibit, whose write-ahead log fails at a step."""
    (spool / "attachments").mkdir(parents=True, exist_ok=True)
    [file_system] = [kind(each, step, error) for each in open_exhibit("1", exhibit).file_systems]
    status = Status(spool / "status", create=True)
    examiner = Examiner(Tools(equipped((RECOVERED, *names))), Scope(), spool, Keeper(spool / "attachments"), status, None)
    [unit] = units("1", 0, file_system.walk())  # type: ignore[operator]
    lines = b"".join(done.lines for done in examiner.examine(unit, file_system, 0, 0, {}, before))  # type: ignore[arg-type]
    status.close()
    return lines


def history(lines: bytes) -> tuple[dict[str, object], list[dict[str, object]], list[object]]:
    """Of the database: what became of the plugin, its faults, what it found."""
    parsed = [json.loads(line) for line in lines.splitlines()]
    [entry] = [line for line in parsed if line.get("entry", {}).get("location") == "1:folder:/History"]
    [outcome] = entry["plugins"]
    faults = [line for line in parsed if line["type"] == "fault" and line.get("plugin") == RECOVERED]
    return outcome, faults, [line["findings"] for line in parsed if line["type"] == "result"]


@pytest.mark.parametrize("step", ["looked for", "opened", "read"])
def test_the_database_is_examined_without_its_log_and_a_fault_says_so(step: str, exhibit: Path, tmp_path: Path) -> None:
    outcome, [fault], [findings] = history(said(exhibit, tmp_path / "spool", step, Corrupt("sector 7 is bad")))
    assert outcome["outcome"] == "read"
    assert (fault["location"], fault["kind"], fault.get("limit", False)) == ("1:folder:/History", "corrupt", False)
    assert "companion History-wal is there and could not be read, so it was examined without: sector 7 is bad" in str(fault["message"])
    assert any("https://example.org/4" in str(finding) for finding in findings)  # type: ignore[attr-defined]


class Small(Failing):
    """A file system of a gigabyte whose write-ahead log claims more bytes than anybody reads: nearly all of them are holes."""

    @property
    def info(self) -> LayerInfo:
        return replace(self._inner.info, size=1 << 30)  # type: ignore[attr-defined]

    def open(self, location: Location) -> object:
        return FailingStream(2 << 40, self._error) if location.path.endswith("-wal") else self._inner.open(location)  # type: ignore[attr-defined]


def test_a_log_of_holes_is_not_read_for_days(exhibit: Path, tmp_path: Path) -> None:
    outcome, [fault], _ = history(said(exhibit, tmp_path / "spool", error=Corrupt("was read"), kind=Small))
    assert (outcome["outcome"], fault["kind"]) == ("read", "limit")
    assert "64 times those of its medium" in str(fault["message"])


def test_a_log_that_cannot_be_read_is_another_thing_than_none(exhibit: Path, tmp_path: Path) -> None:
    readable, faults, _ = history(said(exhibit, tmp_path / "spool"))
    unreadable, _, _ = history(said(exhibit, tmp_path / "spool", "read"))
    (exhibit / "History-wal").unlink()
    absent, none, _ = history(said(exhibit, tmp_path / "spool"))
    assert len({readable["context"], unreadable["context"], absent["context"]}) == 3
    assert faults == none == []


@pytest.mark.parametrize(("error", "kind", "limit"), [(TimedOut("slow"), "limit", True), (LimitExceeded("large"), "limit", False)])
def test_a_limit_of_time_makes_the_run_one_that_is_not_comparable(
    error: EvidenceError, kind: str, limit: bool, exhibit: Path, tmp_path: Path
) -> None:
    _, [fault], _ = history(said(exhibit, tmp_path / "spool", "opened", error))
    assert (fault["kind"], fault.get("limit", False)) == (kind, limit)


def test_a_run_that_keeps_what_was_found_keeps_what_was_said_of_the_log(exhibit: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    first = said(exhibit, spool, "read")
    with segment.Writer(spool / "unit") as writer:
        writer.write(first)
        writer.commit()
    before = Before((RECOVERED,), (spool / "unit").read_bytes())
    again = said(exhibit, spool, "read", Corrupt("no"), "features", before=before)
    whole = said(exhibit, spool, "read", Corrupt("no"), "features")
    assert sorted(again.splitlines()) == sorted(whole.splitlines())
    kept = [line for line in map(json.loads, again.splitlines()) if line["type"] == "fault" and line.get("plugin") == RECOVERED]
    assert kept == history(first)[1] != []


# --- inside containers --------------------------------------------------------------------------------------------------------


def broken() -> BinaryIO:
    raise Corrupt("block 3 does not inflate")


def too_much() -> BinaryIO:
    raise MemoryError


def beside(suffix: str, found: Member | None, folder: Path) -> bytes | None:
    """The content of a member's companion."""
    member = Member(path="/a.db", open=io.BytesIO, companion=lambda asked: found if asked == suffix else None)
    got = around.companion(member, Location.parse("1:folder:zip@/x.zip:/a.db"), folder, "-wal")
    return got and got[1].read(0, got[1].size)


def test_a_companion_in_a_container_is_read_missing_or_refused(tmp_path: Path) -> None:
    assert beside("-wal", Member(path="/a.db-wal", open=lambda: io.BytesIO(b"log")), tmp_path) == b"log"
    assert beside("-wal", None, tmp_path) is None
    assert beside("-journal", Member(path="/a.db-journal", open=lambda: io.BytesIO(b"log")), tmp_path) is None
    with pytest.raises(EvidenceError, match="block 3 does not inflate"):
        beside("-wal", Member(path="/a.db-wal", open=broken), tmp_path)
    with pytest.raises(TimedOut, match="MemoryError"):
        beside("-wal", Member(path="/a.db-wal", open=too_much), tmp_path)


def test_what_was_carved_without_what_follows_is_extracted_without_it(tmp_path: Path) -> None:
    class Unreadable:
        def sibling(self, location: Location, suffix: str) -> Iterator[Location]:
            raise Corrupt("no")

    assert _beside(Unreadable(), Location.parse("1:unallocated:/0-4096"), tmp_path) == {}  # type: ignore[arg-type]
