"""What the index says of plugins and runs, and what it says when it cannot be read."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from written_runs import NOTHING, entry, found, plugin, write

from forensics import case as cases
from forensics import index
from forensics.case import Case
from forensics.errors import CaseError
from forensics.model import CaseInfo, Coverage, Derived, Fault, ImageDigest, LayerInfo, Measured, StoredFinding, Value

WITHOUT = plugin("rule-match", idle=NOTHING)
WITH = plugin("rule-match")
NO_RULES = "not asked for: rules are given with --rules"
ANALYSER = plugin("gaps", "analyser")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return cases.create(tmp_path / "case", CaseInfo(case_id="T"))


def coverage(case: Case) -> dict[tuple[str, str], Coverage]:
    with index.open_index(case.index_path) as opened:
        rows = opened.coverage()
    assert len({(row.exhibit, row.plugin) for row in rows}) == len(rows)
    return {(row.exhibit, row.plugin): row for row in rows}


# --- coverage ---------------------------------------------------------------------------------------------------------------


def test_a_plugin_is_covered_as_in_the_run_from_which_the_exhibit_is_shown(case: Case) -> None:
    write(case, "run-0001", ("A", "B"), [WITHOUT], entry("A:/1"), entry("A:/2"), entry("B:/1"))
    write(case, "run-0002", ("A",), [WITH], entry("A:/1", rule_match=0), entry("A:/2", rule_match=0))
    rows = coverage(case)
    assert (rows["A", "rule-match"].read, rows["A", "rule-match"].not_run, rows["A", "rule-match"].reasons) == (2, 0, {})
    assert (rows["B", "rule-match"].read, rows["B", "rule-match"].not_run, rows["B", "rule-match"].reasons) == (0, 1, {NO_RULES: 1})


def test_files_that_a_plugin_was_not_run_on_are_counted_once(case: Case) -> None:
    write(case, "run-0001", ("A", "B"), [WITHOUT], entry("A:/1"), entry("A:/2"), entry("B:/1"))
    write(case, "run-0002", ("A",), [WITHOUT], entry("A:/1"), entry("A:/2"))
    rows = coverage(case)
    assert (rows["A", "rule-match"].offered, rows["A", "rule-match"].not_run) == (2, 2)
    assert (rows["B", "rule-match"].offered, rows["B", "rule-match"].not_run) == (1, 1)


def test_a_plugin_of_another_exhibits_run_has_no_row(case: Case) -> None:
    write(case, "run-0001", ("A", "B"), [WITH, plugin("photo")], entry("A:/1"), entry("B:/1"))
    write(case, "run-0002", ("A",), [WITH], entry("A:/1"))
    assert set(coverage(case)) == {("A", "rule-match"), ("B", "photo"), ("B", "rule-match")}


def test_an_analyser_that_ran_says_so_beside_its_findings(case: Case) -> None:
    derived = Derived(plugin="gaps", findings=(StoredFinding(kind="gap", summary="nothing for a week"),))
    write(case, "run-0001", ("A", "B"), [WITH, ANALYSER], entry("A:/1", rule_match=0), entry("B:/1", rule_match=0), derived)
    rows = coverage(case)
    assert [(rows[name, "gaps"].remark, rows[name, "gaps"].findings) for name in "AB"] == [("analysed", 1), ("analysed", 0)]
    assert rows["A", "rule-match"].remark is None


@pytest.mark.parametrize("location", ["case:records:", "A:records:"], ids=["it raised", "its process ended"])
def test_an_analyser_that_failed_says_so_of_every_exhibit_that_is_shown_from_its_run(case: Case, location: str) -> None:
    """Its fault stands with the first exhibit of the run, which another run may show by now."""
    fault = Fault(location=location, kind="error", message="m", plugin="gaps")
    write(case, "run-0001", ("A", "B"), [ANALYSER], entry("A:/1"), entry("B:/1"), fault)
    assert [row.remark for row in coverage(case).values()] == ["analysis-failed", "analysis-failed"]
    write(case, "run-0002", ("A",), [ANALYSER], entry("A:/1"))
    assert {exhibit: row.remark for (exhibit, _), row in coverage(case).items()} == {"A": "analysed", "B": "analysis-failed"}


def test_an_analyser_with_nothing_to_look_for_was_not_run(case: Case) -> None:
    write(case, "run-0001", ("A",), [plugin("gaps", "analyser", NOTHING)], entry("A:/1"))
    row = coverage(case)["A", "gaps"]
    assert (row.remark, row.offered, row.not_run) == ("analysis-not-run", 0, 0)


def test_a_file_of_another_plugin_that_did_not_load_is_no_failure_of_this_one(case: Case) -> None:
    fault = Fault(location="/other/gaps.py", kind="invalid-plugin", message="there is another of that name", plugin="gaps")
    write(case, "run-0001", ("A",), [ANALYSER], entry("A:/1"), fault)
    assert coverage(case)["A", "gaps"].remark == "analysed"


LOCKED = LayerInfo(location="B:volume@0:", kind="bitlocker", offset=0, size=9, reason="encrypted; no key was given for it")
BROKEN = Fault(location="plugins/broken.py", kind="invalid-plugin", message="it does not load")


@pytest.mark.parametrize(
    ("lines", "remark"),
    [
        ([Fault(location="B:", kind="unsupported", message="no format that is read")], "not-examined"),
        ([LOCKED, Fault(location="B:volume@0:", kind="locked", message="no key was given")], "not-examined"),
        ([LOCKED, LayerInfo(location="B:volume@9:ext4:", kind="ext4", offset=9, size=9, examined=True)], None),
        ([BROKEN], None),
        ([], None),
    ],
    ids=["a format that is not read", "all of it locked", "partly locked and else empty", "a plugin is broken", "an empty folder"],
)
def test_an_exhibit_of_which_nothing_opened_was_not_examined(case: Case, lines: list[Fault | LayerInfo], remark: str | None) -> None:
    write(case, "run-0001", ("B", "A"), [WITH, plugin("photo")], entry("A:/1", rule_match=0), *lines)
    rows = coverage(case)
    assert [rows[name].remark for name in (("B", "photo"), ("B", "rule-match"))] == [remark, remark]
    assert rows["A", "photo"].remark is None


@pytest.mark.parametrize(
    ("name", "inputs", "why"),
    [
        ("rule-match", {}, NO_RULES),
        ("rule-match-named", {}, NO_RULES),
        ("known-hash", {}, "not asked for: known digests are given with --hash-set"),
        ("rule-match-named", {"rules.yar": "f" * 64}, NOTHING),
        ("another", {}, NOTHING),
    ],
)
def test_a_plugin_that_was_not_asked_for_names_the_option(case: Case, name: str, inputs: dict[str, str], why: str) -> None:
    write(case, "run-0001", ("A",), [plugin(name, idle=NOTHING, inputs=inputs)], entry("A:/1"))
    row = coverage(case)["A", name]
    assert (row.not_run, row.reasons) == (1, {why: 1})


@pytest.mark.parametrize(
    ("kind", "selection", "asked", "remark"),
    [
        ("container", "unallocated space", (), "not-asked-carve"),
        ("container", "unallocated space", ("unallocated",), "not-asked-carve"),
        ("container", "unallocated space", ("unallocated", "carve"), None),
        ("extractor", "unallocated space", ("slack",), "not-asked-unallocated"),
        ("extractor", "unallocated space", ("unallocated",), None),
        ("extractor", "slack", ("unallocated",), "not-asked-slack"),
        ("extractor", "unallocated space and slack", (), "not-asked-space"),
        ("extractor", "unallocated space and slack", ("slack",), None),
        ("extractor", "name *.txt and slack", (), None),
    ],
)
def test_a_plugin_of_space_that_was_not_asked_for_says_so(
    case: Case, kind: str, selection: str, asked: tuple[str, ...], remark: str | None
) -> None:
    options: dict[str, Value] = dict.fromkeys(asked, True)
    write(case, "run-0001", ("A",), [plugin("space", kind, selection=selection)], entry("A:/1"), options=options)
    assert coverage(case)["A", "space"].remark == remark


# --- measurements -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["before", "after"])
def test_an_exhibit_that_could_not_be_measured_says_why(case: Case, phase: str) -> None:
    faults = (Fault(location="A:", kind="damaged", message="m"), Fault(location="A:", kind="died", message="measure: killed by SIGSEGV"))
    write(case, "run-0001", ("A",), [], *faults, segment_name=f"{phase}-0")
    with index.open_index(case.index_path) as opened:
        assert opened.unmeasured(phase) == {"A": "measure: killed by SIGSEGV"}
        assert opened.unmeasured("after" if phase == "before" else "before") == {}


def test_an_exhibit_that_was_measured_with_faults_was_measured(case: Case) -> None:
    image = ImageDigest(format="raw", size=4, sha256="f" * 64)
    measured = Measured(exhibit="A", phase="before", image=image)
    write(case, "run-0001", ("A",), [], measured, Fault(location="A:", kind="damaged", message="m"), segment_name="before-0")
    with index.open_index(case.index_path) as opened:
        assert (opened.unmeasured("before"), opened.images()) == ({}, {"A": image})


# --- runs -------------------------------------------------------------------------------------------------------------------


def test_an_entry_leads_to_the_run_that_read_it(case: Case) -> None:
    write(case, "run-0001", ("A", "B"), [WITH], entry("A:/1"), entry("B:/1"))
    write(case, "run-0002", ("A",), [WITH], entry("A:/1"))
    with index.open_index(case.index_path) as opened:
        assert (opened.run_at("A:/1").run, opened.run_at("B:/1").run) == ("run-0002", "run-0001")
        with pytest.raises(CaseError, match="no entry stands there"):
            opened.run_at("B:/2")


# --- an index that cannot be read -------------------------------------------------------------------------------------------


def locked(path: Path) -> None:
    """Write to a database that another connection is writing."""
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path, timeout=0)) as other:
        one.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE a (b)")


def full(path: Path) -> None:
    """Write to a database that may not grow."""
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("PRAGMA max_page_count = 1")
        sql.execute("CREATE TABLE a (b)")


def no_database(path: Path) -> None:
    path.write_bytes(b"something else" * 1000)
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("SELECT * FROM sqlite_master")


@pytest.mark.parametrize(
    ("trouble", "said"), [(locked, "is being written"), (full, "no space is left"), (no_database, "is damaged .*; delete it")]
)
def test_what_sqlite_says_leads_to_what_helps(case: Case, tmp_path: Path, trouble: object, said: str) -> None:
    write(case, "run-0001", ("A",), [WITH], entry("A:/1"))
    with pytest.raises(CaseError, match=said) as raised, index.open_index(case.index_path):
        trouble(tmp_path / "another.db")  # type: ignore[operator]
    assert ("delete" in str(raised.value)) == (trouble is no_database)


def test_two_runs_of_which_one_index_is_damaged_are_not_compared(case: Case, tmp_path: Path) -> None:
    write(case, "run-0001", ("A",), [WITH], entry("A:/1", rule_match=1), found("rule-match", 1))
    (tmp_path / "damaged.db").write_bytes(b"something else" * 1000)
    with pytest.raises(CaseError, match="is damaged"):
        list(index.compare(case.index_path, "run-0001", tmp_path / "damaged.db", "run-0001"))
