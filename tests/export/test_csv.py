"""CSV listings: RFC 4180, readable by Excel, and never calculated by a spreadsheet."""

import csv as reader
import hashlib
import io
from pathlib import Path

import pytest

from forensics.export import csv, jsonl, listing
from forensics.location import unescape
from forensics.model import Coverage, Digests, Entry, Examined, Fault, PluginOutcome, RecordNumber, StoredFinding, Times
from forensics.model import Record as FoundRecord


def rows(path: Path) -> list[list[str]]:
    return list(reader.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def record(**finding: object) -> FoundRecord:
    return FoundRecord(
        id="ab" * 32,
        location="1:ext4:/a.txt",
        state="deleted",
        content="intact",
        sha256="cd" * 32,
        plugin="notes",
        plugin_version="1",
        plugin_digest="ef" * 32,
        finding=StoredFinding(**({"kind": "note", "summary": "a note"} | finding)),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+62812", "-2+3", "@SUM(A1)", '"=1+1', " \u00a0=1+1", "＝1+1", "\u2019@x"])
def test_text_that_a_spreadsheet_would_calculate_gets_an_apostrophe(text: str) -> None:
    assert str(csv.cell(text)).startswith("'")


@pytest.mark.parametrize("text", ["a;=1+1", 'a; "=1+1', "a;@x"])
def test_a_formula_behind_a_semicolon_is_no_cell_of_its_own(text: str) -> None:
    shown = str(csv.cell(text))
    assert ";" not in shown
    assert unescape(shown) == text


def test_tab_and_carriage_return_cannot_lead_a_cell() -> None:
    assert csv.cell("\t=1+1") == "\\x09=1+1"
    assert csv.cell("\r=1+1") == "\\x0d=1+1"


def test_a_negative_number_of_ours_stays_a_number() -> None:
    assert csv.cell(-1) == -1
    assert csv.cell(True) == "yes"
    assert csv.cell(None) == ""


def test_control_and_bidirectional_characters_and_backslashes_can_be_had_back() -> None:
    text = "in\u202evoice\n\x00 C:\\x"
    assert csv.cell(text) == "in\\u202evoice\\x0a\\x00 C:\\\\x"
    assert unescape(str(csv.cell(text))) == text


def test_a_location_is_not_escaped_twice_but_what_poses_as_one_is_made_harmless() -> None:
    assert csv.cell(csv.Made("1:ext4:/caf\\xff\\\\x")) == "1:ext4:/caf\\xff\\\\x"
    assert csv.cell(csv.Made("1:ext4:/a\nb\u202e")) == "1:ext4:/a\\x0ab\\u202e"


def test_a_listing_is_rfc_4180_in_utf_8_with_a_byte_order_mark(tmp_path: Path) -> None:
    written = csv.findings(tmp_path / "findings.csv", [record(summary='says "x", then\u0e02')])
    raw = (tmp_path / "findings.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.count(b"\r\n") == raw.count(b"\n") == 2
    assert b'"says ""x"", then\xe0\xb8\x82"' in raw
    assert written == listing.Listing("findings.csv", 1, len(raw), hashlib.sha256(raw).hexdigest())


def test_a_finding_keeps_its_provenance(tmp_path: Path) -> None:
    found = record(level="alert", when="2026-01-01T00:00:00Z", locator=RecordNumber(3, "page"), data={"b": 1, "a": [1, "=x"]})
    csv.findings(tmp_path / "f.csv", [found])
    head, row = rows(tmp_path / "f.csv")
    named = dict(zip(head, row, strict=True))
    assert named["location"] == "1:ext4:/a.txt"
    assert (named["state"], named["content"]) == ("deleted", "intact")
    assert named["locator"] == "page 3"
    assert (named["plugin"], named["plugin_version"], named["plugin_digest"]) == ("notes", "1", "ef" * 32)
    assert named["data"] == '{"a":[1,"=x"],"b":1}'


def test_an_entry_says_what_became_of_it(tmp_path: Path) -> None:
    entry = Entry(
        location="1:ext4:/a;meta=5", kind="file", size=7, state="deleted", content="partly-reallocated", holes=((0, 4), (8, 2)),
        times=Times(modified="2026-01-01T00:00:00Z"), mode=0o644, target="../=x",
    )  # fmt: skip
    examined = Examined(
        entry=entry,
        outcome="failed",
        reason="corrupt",
        digests=Digests("aa" * 32),
        plugins=(PluginOutcome("photo", "skipped", "not its format"),),
    )
    csv.entries(tmp_path / "f.csv", [examined, Examined(entry=Entry(location="1:ext4:/d", kind="directory", size=0))])
    head, first, second = rows(tmp_path / "f.csv")
    named = dict(zip(head, first, strict=True))
    assert named["holes"] == "0+4 8+2"
    assert named["mode"] == "0644"
    assert named["plugins"] == "photo skipped (not its format)"
    assert named["sha256"] == "aa" * 32
    assert dict(zip(head, second, strict=True))["outcome"] == ""


def test_a_time_of_unknown_zone_says_so(tmp_path: Path) -> None:
    csv.timeline(tmp_path / "t.csv", [("2026-01-01T00:00:00Z", "m.c.", "1:a:/b", ""), ("2026-01-01T00:00:00", "m...", "1:a:/b", "")])
    assert [row[1] for row in rows(tmp_path / "t.csv")] == ["zone", "UTC", "unknown zone"]


def test_faults_and_coverage_have_a_row_each(tmp_path: Path) -> None:
    csv.faults(tmp_path / "f.csv", [Fault(location="1:a:/b", kind="limit", message="=60 s", limit=True)])
    assert rows(tmp_path / "f.csv")[1] == ["1:a:/b", "limit", "", "yes", "'=60 s"]
    line = Coverage(exhibit="1", plugin="p", offered=3, read=1, skipped=1, failed=1, not_run=0, findings=0, reasons={"b": 1, "a": 1})
    csv.coverage(tmp_path / "c.csv", [line])
    assert rows(tmp_path / "c.csv")[1] == ["1", "p", "3", "1", "1", "1", "0", "0", "a: 1; b: 1", ""]


def test_json_lines_are_canonical_and_exact(tmp_path: Path) -> None:
    written = jsonl.write(tmp_path / "f.jsonl", [Fault(location="1:a:/b", kind="error", message="=x\n\u202e")])
    assert (tmp_path / "f.jsonl").read_bytes() == b'{"kind":"error","location":"1:a:/b","message":"=x\\n\xe2\x80\xae","type":"fault"}\n'
    assert written.rows == 1


def test_a_listing_that_fails_midway_leaves_the_earlier_file(tmp_path: Path) -> None:
    csv.faults(tmp_path / "f.csv", [])
    before = (tmp_path / "f.csv").read_bytes()

    def broken():  # type: ignore[no-untyped-def]
        yield Fault(location="1:a:/b", kind="error", message="x")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        csv.faults(tmp_path / "f.csv", broken())
    assert (tmp_path / "f.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]
