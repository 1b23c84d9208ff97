"""Timesketch, KML, XLSX, SQLite, bodyfile: read back with other libraries; hostile text, times of an unknown zone, nothing at all."""

import csv
import json
import sqlite3
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from forensics.export import bodyfile, kml, timesketch, xlsx
from forensics.export import sqlite as database
from forensics.export.choice import Choice
from forensics.location import Location, unescape
from forensics.model import CaseInfo, Coverage, Digests, Entry, Examined, Fault, Record, Times
from forensics.review.query import parse
from forensics.review.state import Review

sys.path.insert(0, str(Path(__file__).parent))
import uco_made as made

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
HOSTILE = "=cmd|' /C calc'!A0 \"</name><script>alert(1)</script>&\n\x00\x1b[31m\u202egpj"
KML = "{http://www.opengis.net/kml/2.2}"


class Found:
    """What an index says, out of lists."""

    def __init__(self, records: Iterable[Record] = (), entries: Iterable[Examined] = (), faults: Iterable[Fault] = ()) -> None:
        self._records, self._entries, self._faults = list(records), list(entries), list(faults)

    def choose(self, **_: Any) -> Iterable[Record]:
        return iter(self._records)

    def entries(self, **_: Any) -> Iterable[Examined]:
        return iter(self._entries)

    def faults(self) -> Iterable[Fault]:
        return iter(self._faults)

    def timeline(self) -> Iterable[tuple[str, str, str, str]]:
        for line in self._entries:
            if line.entry.times.modified:
                yield line.entry.times.modified, "m...", line.entry.location, ""

    def coverage(self) -> tuple[Coverage, ...]:
        return (Coverage(exhibit="2026-1", plugin="p", offered=1, read=1, skipped=0, failed=0, not_run=0, findings=0),)

    def layers(self) -> tuple[()]:
        return ()

    def runs(self) -> tuple[Any, ...]:
        return (made.RUN,)

    def run_digest(self, run: str) -> str:
        return made.RUN_DIGEST

    def limited(self, run: str) -> bool:
        return False

    def images(self) -> dict[str, Any]:
        return made.IMAGES

    def checks(self) -> dict[str, bool]:
        return {"2026-1": True}


def choice(*records: Record, entries: Iterable[Examined] = (), faults: Iterable[Fault] = (), query: str = "") -> Choice:
    return Choice(Found(records, entries, faults), parse(query), Review({}, {}))  # type: ignore[arg-type]


def entry(path: str = "/a.txt;meta=5", **given: Any) -> Examined:
    digests = given.pop("digests", None)
    return Examined(entry=Entry(**({"location": f"2026-1:ext4:{path}", "kind": "file", "size": 7} | given)), digests=digests)


# --- Timesketch -------------------------------------------------------------------------------------------------------------


def test_timesketch_json_lines_have_its_three_fields_and_a_zone(tmp_path: Path) -> None:
    found = made.record(1, summary=HOSTILE, when="2026-01-01T00:00:00.123456789Z")
    known, unknown = timesketch.write(tmp_path / "t.jsonl", lambda: timesketch.finding_events([found]))
    (event,) = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert event["message"] == HOSTILE
    assert event["datetime"] == "2026-01-01T00:00:00.123456+00:00"
    assert datetime.fromisoformat(event["datetime"]).utcoffset() is not None
    assert event["time_found"] == "2026-01-01T00:00:00.123456789Z"
    assert event["timestamp_desc"] == "Found by photo-exif"
    assert (known.rows, unknown.rows) == (1, 0)


def test_a_time_without_a_zone_never_gets_one(tmp_path: Path) -> None:
    naive, aware = made.photo(1), made.record(2, when="2026-01-01T00:00:00Z")
    timesketch.write(tmp_path / "t.jsonl", lambda: timesketch.finding_events([naive, aware]))
    assert "2026-10-01" not in (tmp_path / "t.jsonl").read_text()
    event = json.loads((tmp_path / "t-unknown-zone.jsonl").read_text())
    assert event["datetime_without_zone"] == "2026-10-01T12:00:00"
    assert "datetime" not in event  # without which Timesketch refuses the file


def test_timesketch_csv_reads_back_and_is_not_calculated(tmp_path: Path) -> None:
    found = made.record(1, summary="=1+1", when="2026-01-01T00:00:00Z")
    timesketch.write(tmp_path / "t.csv", lambda: timesketch.finding_events([found]))
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["message"], row["datetime"], row["timestamp_desc"]) == ("'=1+1", "2026-01-01T00:00:00+00:00", "Found by photo-exif")
    assert row["location"] == found.location


def test_the_letters_of_macb_become_words() -> None:
    events = list(
        timesketch.file_events([("2026-01-01T00:00:00Z", "m.cb", "1:ext4:/a", ""), ("2026-01-01T00:00:00Z", "photo", "1:a:/b", "")])
    )
    assert [event["timestamp_desc"] for event in events] == ["Modified, Metadata changed, Born"]


# --- KML --------------------------------------------------------------------------------------------------------------------


def placemarks(path: Path) -> list[ElementTree.Element]:
    return list(ElementTree.parse(path).getroot().iter(f"{KML}Placemark"))


def test_a_placemark_has_longitude_latitude_and_altitude(tmp_path: Path) -> None:
    written = kml.write(tmp_path / "a.kml", [made.photo(1), made.passport(2)], "case")
    (mark,) = placemarks(tmp_path / "a.kml")
    assert written.rows == 1
    assert mark.findtext(f"{KML}Point/{KML}coordinates") == "0.0000001,13.7553000,-2.5000000"
    assert mark.findtext(f"{KML}Point/{KML}altitudeMode") == "absolute"


def test_a_time_of_unknown_zone_is_the_span_in_which_it_lies_wherever_it_was(tmp_path: Path) -> None:
    kml.write(tmp_path / "a.kml", [made.photo(1)], "case")
    (mark,) = placemarks(tmp_path / "a.kml")
    assert mark.findtext(f"{KML}TimeSpan/{KML}begin") == "2026-09-30T22:00:00Z"  # at UTC+14 it is noon on 1 October then
    assert mark.findtext(f"{KML}TimeSpan/{KML}end") == "2026-10-02T00:00:00Z"  # and at UTC-12 then


def test_a_time_in_utc_is_a_moment(tmp_path: Path) -> None:
    data: Any = {"gps_latitude": 1.5, "gps_longitude": 2}
    kml.write(tmp_path / "a.kml", [made.record(1, when="2026-01-01T00:00:00Z", data=data)], "case")
    (mark,) = placemarks(tmp_path / "a.kml")
    assert mark.findtext(f"{KML}TimeStamp/{KML}when") == "2026-01-01T00:00:00Z"
    assert mark.findtext(f"{KML}Point/{KML}altitudeMode") == "clampToGround"


def test_hostile_text_neither_breaks_the_map_nor_becomes_html(tmp_path: Path) -> None:
    data: Any = {"gps_latitude": 1.5, "gps_longitude": 2.5}
    kml.write(tmp_path / "a.kml", [made.record(1, summary=HOSTILE, data=data, when="9999-12-31T23:59:59")], "]]><x>")
    (mark,) = placemarks(tmp_path / "a.kml")
    assert "<script>" in (mark.findtext(f"{KML}name") or "")  # plain text there
    assert "<script>" not in (mark.findtext(f"{KML}description") or "")  # HTML there
    assert "&lt;script&gt;" in (mark.findtext(f"{KML}description") or "")
    assert mark.find(f"{KML}TimeSpan") is None


@pytest.mark.parametrize("place", [(91.0, 0.0), (0.0, 181.0), (True, False), ("1", "2"), (None, 1.0), (float("nan"), 1.0)])
def test_what_is_no_place_is_no_placemark(tmp_path: Path, place: tuple[Any, Any]) -> None:
    data: Any = {"gps_latitude": place[0], "gps_longitude": place[1]}
    assert kml.write(tmp_path / "a.kml", [made.record(1, data=data)], "case").rows == 0
    assert placemarks(tmp_path / "a.kml") == []


# --- XLSX -------------------------------------------------------------------------------------------------------------------


def sheet(path: Path, name: str) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(path, read_only=True)
    with closing(book):
        return list(book[name].iter_rows(values_only=True))


def test_a_workbook_has_a_sheet_for_each_listing(tmp_path: Path) -> None:
    fault = Fault(location="2026-1:ext4:/b", kind="error", message="it failed")
    given = choice(made.photo(1), entries=[entry(digests=Digests("aa" * 32))], faults=[fault])
    written = xlsx.write(tmp_path / "a.xlsx", given, at=AT)
    head, row = sheet(tmp_path / "a.xlsx", "findings")
    named = dict(zip(head, row, strict=False))
    assert (named["record"], named["summary"], named["when"]) == (made.photo(1).id, "Photograph by Maker", "2026-10-01T12:00:00")
    assert sheet(tmp_path / "a.xlsx", "files")[1][:3] == ("2026-1:ext4:/a.txt;meta=5", "file", 7)
    assert sheet(tmp_path / "a.xlsx", "faults")[1][4] == "it failed"
    assert sheet(tmp_path / "a.xlsx", "coverage")[1][:3] == ("2026-1", "p", 1)
    assert written.rows == 4


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "http://203.0.113.7/", "{=A1}", "internal:A1", "1e5", '=HYPERLINK("x")'])
def test_no_text_becomes_a_formula_a_link_or_a_number(tmp_path: Path, text: str) -> None:
    xlsx.write(tmp_path / "a.xlsx", choice(made.record(1, summary=text)), at=AT)
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    cell = book["findings"].cell(2, 4)
    assert (cell.value, cell.hyperlink) == (text, None)
    with zipfile.ZipFile(tmp_path / "a.xlsx") as parts:
        whole = b"".join(parts.read(name) for name in parts.namelist() if "worksheets" in name)
        assert not any("externalLink" in name or (name.endswith(".rels") and "worksheets" in name) for name in parts.namelist())
    assert b't="inlineStr"><is><t>' in whole
    assert b"<f>" not in whole
    assert b"hyperlink" not in whole


def test_control_characters_and_over_long_text_are_harmless(tmp_path: Path) -> None:
    xlsx.write(tmp_path / "a.xlsx", choice(made.record(1, summary=HOSTILE), made.record(2, summary="x" * 100_000)), at=AT)
    _, first, second = sheet(tmp_path / "a.xlsx", "findings")
    assert "\\x00" in first[3]
    assert "\u202e" not in first[3]
    assert len(second[3]) == 32_767
    assert second[3].endswith("(cut: 100000 characters)")


def test_what_is_more_than_a_sheet_holds_goes_on_in_the_next(tmp_path: Path) -> None:
    xlsx.write(tmp_path / "a.xlsx", choice(*made.mixed(6)), at=AT, rows=4)
    first, second, third = (sheet(tmp_path / "a.xlsx", name) for name in ("findings", "findings 2", "findings 3"))
    assert [len(each) for each in (first, second, third)] == [4, 4, 2]
    assert first[0] == second[0] == third[0]


def test_a_workbook_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterable[Record]:
        yield made.photo(1)
        raise OSError("the disk is full")

    given = choice()
    given.index.choose = lambda **_: broken()  # type: ignore[method-assign, assignment]
    with pytest.raises(OSError, match="full"):
        xlsx.write(tmp_path / "a.xlsx", given, at=AT)
    with pytest.raises(OSError, match="full"):
        database.write(tmp_path / "a.sqlite", given, case=CaseInfo(), exhibits=(), meta={})
    assert list(tmp_path.iterdir()) == []


# --- SQLite -----------------------------------------------------------------------------------------------------------------


def test_the_database_answers_questions(tmp_path: Path) -> None:
    fault = Fault(location="2026-1:ext4:/b", kind="error", message="it failed")
    given = choice(
        made.photo(1), made.passport(2), entries=[entry(size=2**63, times=Times(modified="2026-01-01T00:00:00Z"))], faults=[fault]
    )
    written = database.write(tmp_path / "a.sqlite", given, case=made.CASE, exhibits=(made.PHONE, made.SIM), meta={"tool": "t"})
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as sql:

        def one(query: str) -> tuple[Any, ...]:
            return sql.execute(query).fetchone()  # type: ignore[no-any-return]

        assert one("SELECT time, utc, status, exhibit FROM records WHERE kind = 'photo'") == (
            "2026-10-01T12:00:00",
            0,
            "unreviewed",
            "2026-1",
        )
        assert one("SELECT data ->> 'document_number', category FROM records WHERE kind = 'travel-document'") == (
            "L898902C3",
            "SOM-IDENTITY",
        )
        assert one("SELECT COUNT(*) FROM entries JOIN timeline USING (location)") == (1,)
        assert one("SELECT typeof(size) FROM entries") == ("real",)  # more than SQLite's integers hold
        assert one("SELECT parent FROM exhibits WHERE exhibit = '2026-1-1'") == ("2026-1",)
        assert one("SELECT digest FROM runs") == (made.RUN_DIGEST,)
        assert one("SELECT value FROM meta WHERE name = 'case'") == ("TH-2026-17",)
        assert one("PRAGMA integrity_check") == ("ok",)
    assert written.rows == 2 + 1 + 1 + 1 + 1


def test_undecodable_text_is_kept_as_escapes(tmp_path: Path) -> None:
    database.write(tmp_path / "a.sqlite", choice(made.record(1, summary="caf\udcff\x00")), case=CaseInfo(), exhibits=(), meta={})
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as sql:
        assert sql.execute("SELECT summary FROM records").fetchone() == ("caf\\xff\x00",)


def test_a_query_leaves_of_the_timeline_its_findings_in_order(tmp_path: Path) -> None:
    records = [made.photo(1), made.record(3, when="2026-01-01T00:00:00.5Z"), made.record(2, when="2026-01-01T00:00:00Z")]
    given = choice(*records, entries=[entry(times=Times(modified="2025-01-01T00:00:00Z"))], query="kind=photo")
    assert [event[0] for event in given.timeline()] == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-10-01T12:00:00"]


# --- bodyfile ---------------------------------------------------------------------------------------------------------------


def body(value: Examined, *, local: bool = False) -> list[str]:
    line = bodyfile.line(value, local=local).decode()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    return line[:-1].split("|")


def test_a_line_has_the_eleven_fields_of_the_sleuth_kit() -> None:
    times = Times(
        modified="1970-01-01T00:00:02.9Z", accessed="1970-01-01T00:00:01Z", changed="1970-01-01T00:00:03Z", born="1970-01-01T00:00:04Z"
    )
    fields = body(entry(mode=0o104755, uid=1000, gid=100, times=times, digests=Digests("aa" * 32, None, "bb" * 16)))
    assert fields == ["bb" * 16, "2026-1:ext4:/a.txt", "5", "r/rrwsr-xr-x", "1000", "100", "7", "1", "2", "3", "4"]


def test_a_bar_and_a_line_break_in_a_name_break_no_line_and_can_be_had_back() -> None:
    place = Location("1", (), "/a|b\nc\udcff\\x", "5|6")
    fields = body(Examined(entry=Entry(location=str(place), kind="link", size=0, target="x|\n")))
    assert len(fields) == 11
    assert unescape(fields[1].removeprefix("1:")) == "/a|b\nc\udcff\\x -> x|\n"


def test_a_deleted_entry_says_so_and_whether_its_content_is_another_files() -> None:
    assert body(entry(state="deleted", content="intact"))[1].endswith("/a.txt (deleted)")
    assert body(entry(state="deleted", content="reallocated"))[1].endswith("/a.txt (deleted-realloc)")
    assert body(entry("/a.txt;meta=5;stream=Zone.Identifier"))[1] == "2026-1:ext4:/a.txt:Zone.Identifier"


def test_times_of_unknown_zone_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    mixed = entry(times=Times(modified="1970-01-01T00:00:02", born="1970-01-01T00:00:04Z"))
    assert body(mixed)[7:] == ["0", "0", "0", "4"]
    assert body(mixed, local=True)[7:] == ["0", "2", "0", "0"]
    assert bodyfile.write(tmp_path / "a", [mixed, entry()]).rows == 2
    assert bodyfile.write_local(tmp_path / "b", [mixed, entry()]).rows == 1


def test_what_is_no_time_is_an_unknown_one() -> None:
    assert body(entry(times=Times(modified="9999-99-99T00:00:00Z", accessed="x")))[7:9] == ["0", "0"]
    assert body(entry(times=Times(modified="1969-12-31T23:59:59.5Z")))[8] == "-1"
