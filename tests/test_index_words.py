"""The words of an index, in their own database beside it: found as they were written, whatever becomes of either file."""

import contextlib
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from written_runs import entry, found, plugin, write

from forensics import case as cases
from forensics import index
from forensics.case import Case
from forensics.digest import canonical, canonical_record
from forensics.errors import CaseError
from forensics.index import build, words
from forensics.model import ByteRange, CaseInfo, Record, RecordNumber, RegistryKey, RunInfo, StoredFinding, TableRow

SEEN = plugin("seen")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    made = cases.create(tmp_path / "case", CaseInfo(case_id="T"))
    write(made, "run-0001", ("A",), [SEEN], found("seen", 3000), entry("A:/1", seen=3000))
    return made


def search(case: Case, text: str) -> list[tuple[str, str]]:
    with index.open_index(case.index_path) as opened:
        return list(opened.search(text))


def count(case: Case) -> int:
    with contextlib.closing(sqlite3.connect(words.path_of(case.index_path))) as held:
        return int(held.execute("SELECT COUNT(*) FROM words").fetchone()[0])


def again(case: Case) -> None:
    """Read the run's segments into the index once more."""
    folder = case.run_folder("run-0001")
    info = RunInfo(
        run="run-0001",
        exhibits=("A",),
        tool="forensics",
        tool_digest="e" * 64,
        started="2026-03-01T08:00:00Z",
        libraries={},
        plugins=(SEEN,),
    )
    index.add_run(case.index_path, info, (folder / "segments").glob("*"))
    index.conclude_run(case.index_path, "run-0001")


def test_every_finding_is_found_by_its_words_though_they_come_in_lots(case: Case) -> None:
    assert [len(search(case, f"thing {number:04}")) for number in (0, 1023, 1024, 2999, 3000)] == [1, 1, 1, 1, 0]
    assert search(case, "2999") == [("A:/1", "thing 2999")]
    assert count(case) == 3000


def test_a_run_that_is_read_again_has_its_words_once(case: Case) -> None:
    again(case)
    assert count(case) == 3000
    assert search(case, "2999") == [("A:/1", "thing 2999")]


def test_words_of_one_run_are_not_lost_when_another_is_added(case: Case) -> None:
    write(case, "run-0002", ("B",), [SEEN], found("seen", 1), entry("B:/1", seen=1))
    assert count(case) == 3001
    assert search(case, "thing 0000") == [("A:/1", "thing 0000"), ("B:/1", "thing 0000")]


@pytest.mark.parametrize(
    "text", [None, b"not a database at all, but as long as the head of one" * 40, b""], ids=["gone", "other bytes", "empty"]
)
def test_words_that_are_gone_or_damaged_make_the_index_anew(case: Case, text: bytes | None) -> None:
    path = words.path_of(case.index_path)
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    assert not build.is_current(case.index_path)
    index.start(case.index_path)
    again(case)
    assert search(case, "2999") == [("A:/1", "thing 2999")]


def test_a_run_whose_words_are_not_there_is_not_held_whole(case: Case) -> None:
    """As after the words of another index were put beside this one."""
    path = words.path_of(case.index_path)
    path.unlink()
    words.make(path)
    assert index.runs_in(case.index_path) == set()
    again(case)
    assert (index.runs_in(case.index_path), count(case)) == ({"run-0001"}, 3000)


def test_words_that_another_run_left_under_the_same_numbers_are_forgotten(case: Case) -> None:
    """As after a crash between the commit of the words and that of the index."""
    with contextlib.closing(sqlite3.connect(words.path_of(case.index_path))) as held, held:
        held.execute("UPDATE parts SET run = 'run-0000'")
    again(case)
    assert (index.runs_in(case.index_path), count(case)) == ({"run-0001"}, 3000)


def test_words_that_cannot_be_written_are_an_error_and_the_run_is_not_held(case: Case) -> None:
    with contextlib.closing(sqlite3.connect(words.path_of(case.index_path))) as held, held:
        held.execute("DROP TABLE words")
    with pytest.raises(CaseError, match="no such table: words"):
        write(case, "run-0002", ("B",), [SEEN], found("seen", 2), entry("B:/1", seen=2))
    assert index.runs_in(case.index_path) == {"run-0001"}


def test_words_of_a_run_that_could_not_be_read_are_not_kept(case: Case) -> None:
    with pytest.raises(CaseError, match="that no segment holds"):
        write(case, "run-0002", ("B",), [SEEN], found("seen", 2), entry("B:/1", seen=2), entry("B:/2", sha256="9" * 64, seen=1))
    assert count(case) == 3000
    assert index.runs_in(case.index_path) == {"run-0001"}


ODD: list[dict[str, Any]] = [
    {"data": {}},
    {"data": {"a": "text", "b": 1, "c": True, "d": None, "e": ["x", 2]}},
    {"data": {"fraction": 0.1, "whole": 1.0, "large": 1e21}},
    {"data": {"exact": 2**53 - 1, "inexact": 2**53, "negative": -(2**60)}},
    {"data": {"list": ["x", 2**60]}},
    {"data": {"ชื่อ": "คน", "\U0001f600": "e", "\ufb01": "ligature"}},  # names that sort otherwise as UTF-16 than as UTF-8
    {"data": {"control": "\x00\x1f\x7f\u2028"}},
    {"data": {"surrogate": "\udcff"}},
    {"locator": ByteRange(2**60, 3)},
    {"locator": TableRow("t", -(2**60))},
    {"locator": RegistryKey("k", None)},
    {"locator": RecordNumber(7, "page"), "when": "2026-01-01T00:00:00Z", "derived_from": ("a" * 64,)},
]


@pytest.mark.parametrize("given", ODD)
def test_the_fast_canonical_json_of_a_record_is_the_canonical_json(given: dict[str, Any]) -> None:
    finding = StoredFinding(kind="k", summary="s", **given)
    record = Record(
        id="", location="A:/ก\\\\xff", state="deleted", sha256="a" * 64, plugin="p", plugin_version="1", plugin_digest="d", finding=finding
    )
    assert canonical_record(record) == canonical(record)
