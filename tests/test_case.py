"""A case folder is made, opened, locked, and vouched for."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from unprivileged import ordinary_user

from forensics import case, custody, segment
from forensics.digest import sha256_file
from forensics.errors import CaseError, CaseLocked, CaseTooNew, CustodyBroken, UsageError
from forensics.model import Authority, CaseInfo, Exhibit, Fault

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
INFO = CaseInfo(case_id="A-123", agency="Border Force")
FULL_EXHIBIT = {
    "kind": "phone",
    "description": "black phone",
    "condition_text": "screen cracked",
    "seal_no": "S-1",
    "owner_role": "holder",
    "power_state_on_receipt": "off",
    "seized_at": "2026-02-28T10:00:00+07:00",
    "seized_place": "Checkpoint 4",
    "seized_by": "Officer Tan",
    "seizure_authority": "W-7",
    "acquisition_type": "physical",
    "acquisition_tool": "imager",
    "acquisition_tool_version": "1.0",
    "acquisition_tool_sha256": "0" * 64,
    "acquired_at": "2026-03-01T08:00:00Z",
    "acquisition_ended_at": "2026-03-01T09:00:00Z",
    "acquired_by": "Dana",
    "changes_made_to_original": "none known",
    "write_blocker": "blocker 1",
}


@pytest.fixture
def made(tmp_path: Path) -> case.Case:
    return case.create(tmp_path / "case", INFO, "Dana", AT)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "phone.raw"
    path.parent.mkdir()
    path.write_bytes(b"image")
    return path


def exhibit(image: Path, name: str = "", **fields: str) -> Exhibit:
    return Exhibit(exhibit_id=name, image=str(image), image_format="raw", **fields)


def examined(made: case.Case, run: str = "run-0001") -> Path:
    """A complete run of one segment, written and logged as a run is. Returns the segment's path."""
    folder = made.run_folder(run)
    (folder / "segments").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    custody.append(made.folder, "examined", object=run, body={"run": run, "run_sha256": sha256_file(folder / "run.json")}, at=AT)
    path = folder / "segments" / "unit-0.jsonl.zst"
    with segment.Writer(path) as writer:
        writer.write(segment.encode(Fault(location="1:/a", kind="corrupt", message="m")))
        digest = writer.commit()
    body = {"run": run, "run_digest": "d" * 64, "segments": {path.name: digest}}
    custody.append(made.folder, "examined", object=run, body=body, at=AT)
    (folder / "complete").write_text("d" * 64 + "\n")
    return path


# --- create and open


def test_new_case_opens_with_what_it_was_given(made: case.Case) -> None:
    opened = case.open_case(made.folder)
    assert opened == made
    assert (opened.info.case_id, opened.info.agency, opened.info.opened_at) == ("A-123", "Border Force", "2026-03-01")
    assert (opened.languages, opened.runs(), opened.exhibits()) == (("en",), (), ())


def test_making_a_case_is_the_first_custody_event(made: case.Case) -> None:
    (line,) = custody.read(made.folder)
    assert (line.event, line.object, line.by, line.at) == ("created", "A-123", "Dana", "2026-03-01T08:00:00.000Z")


def test_case_folder_is_for_its_owner_alone(made: case.Case) -> None:
    assert made.folder.stat().st_mode & 0o077 == 0


def test_folder_that_holds_something_is_not_made_a_case(tmp_path: Path, made: case.Case) -> None:
    with pytest.raises(CaseError, match="is not an empty folder"):
        case.create(made.folder, INFO, "Dana", AT)


def test_empty_folder_becomes_a_case(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert case.create(tmp_path / "empty", INFO, "Dana", AT).folder == tmp_path / "empty"


def test_bad_value_for_a_new_case_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="opened_at is a date"):
        case.create(tmp_path / "case", CaseInfo(opened_at="soon"), "Dana", AT)
    assert not (tmp_path / "case").exists()


def test_other_folder_is_not_a_case(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="is not a case"):
        case.open_case(tmp_path)


def test_case_of_a_newer_version_is_refused(made: case.Case) -> None:
    path = made.folder / "case.toml"
    path.write_text(path.read_text().replace("format = 2", "format = 3"))
    with pytest.raises(CaseTooNew, match="use a newer version"):
        case.open_case(made.folder)


def test_damaged_case_toml_is_named_with_its_line(made: case.Case) -> None:
    (made.folder / "case.toml").write_text("format = 2\n[case]\nagency = 'x\n")
    with pytest.raises(CaseError, match=r"case\.toml: is damaged: .* line 3"):
        case.open_case(made.folder)


def test_case_toml_that_is_not_utf8_is_named_with_its_line(made: case.Case) -> None:
    (made.folder / "case.toml").write_bytes(b"format = 2\n# \xff\n")
    with pytest.raises(CaseError, match=r"line 2: byte 0xff is not UTF-8"):
        case.open_case(made.folder)


def test_changed_field_is_kept_and_so_are_comments(made: case.Case) -> None:
    path = made.folder / "case.toml"
    path.write_text(path.read_text() + "# remember the SIM\n")
    changed = case.change(made, {"case.legal_authority.id": "W-7", "languages": ("th",)})
    assert (changed.info.authority.id, changed.languages) == ("W-7", ("th", "en"))
    assert path.read_text().endswith("# remember the SIM\n")


def test_folder_without_permission_says_what_to_do() -> None:
    with ordinary_user() as folder:
        (folder / "closed").mkdir(mode=0o500)
        with pytest.raises(CaseError, match=r"closed/case: cannot be written \(Permission denied\); give yourself the right"):
            case.create(folder / "closed" / "case", INFO, "Dana", AT)


def test_making_a_case_that_was_interrupted_is_gone_on_with_and_logged(made: case.Case) -> None:
    (made.folder / "case.toml").unlink()  # the last that is made of it
    again = case.create(made.folder, INFO, "Dana", AT)
    assert [line.event for line in custody.read(again.folder)] == ["created", "interrupted"]
    assert case.check(again) == []


def test_full_medium_says_what_to_do() -> None:
    with pytest.raises(CaseError, match=r"cannot be written \(No space left on device\); free some space"):
        with case._writing(Path("/case")), open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")


def test_runs_come_in_order_of_their_numbers(made: case.Case) -> None:
    for name in ("run-0002", "run-10000", "run-9999", ".run-0003", "notes"):
        (made.folder / "runs" / name).mkdir()
    assert made.runs() == ("run-0002", "run-9999", "run-10000")


def test_name_that_is_no_run_is_refused(made: case.Case) -> None:
    with pytest.raises(UsageError, match="is not a run"):
        made.run_folder("../../etc")


# --- lock


def test_second_writer_is_told_who_holds_the_case(made: case.Case) -> None:
    with made.lock():
        held = json.loads((made.folder / "lock").read_text())
        assert held["pid"] == os.getpid()
        with pytest.raises(CaseLocked, match=rf"process {os.getpid()} of \S+ on \S+ has been writing to it since 20"):
            with made.lock():
                pass
    with made.lock():
        pass


def test_lock_ends_with_its_process(made: case.Case) -> None:
    code = f"from pathlib import Path; from forensics import case; import os\nwith case.locked(Path({str(made.folder)!r})): os._exit(3)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3
    with made.lock():
        assert json.loads((made.folder / "lock").read_text())["pid"] == os.getpid()


def test_forged_lock_file_is_not_repeated_raw(made: case.Case) -> None:
    with made.lock():
        (made.folder / "lock").write_text(json.dumps({"pid": "\x1b[2J", "host": "h", "user": "u", "since": "s"}))
        with pytest.raises(CaseLocked, match=r"process \\x1b\[2J of u"):
            with made.lock():
                pass


# --- exhibits


def test_exhibit_gets_the_next_number_of_the_year(made: case.Case, image: Path) -> None:
    stored = [made.add_exhibit(exhibit(image, name), "Dana", AT).exhibit_id for name in ("", "SIM", "2026-7", "")]
    assert stored == ["2026-1", "SIM", "2026-7", "2026-8"]
    assert [item.exhibit_id for item in made.exhibits()] == stored


def test_added_exhibit_is_a_received_event_and_reads_back(made: case.Case, image: Path) -> None:
    stored = made.add_exhibit(exhibit(image, "X-1", seal_no="S-1"), "Dana", AT)
    assert made.exhibits() == (stored,)
    assert (stored.image, stored.seal_no) == (str(image), "S-1")
    line = list(custody.read(made.folder))[-1]
    assert (line.event, line.object, line.by) == ("received", "X-1", "Dana")


def test_id_that_is_taken_is_refused(made: case.Case, image: Path) -> None:
    made.add_exhibit(exhibit(image, "X-1"), "Dana", AT)
    with pytest.raises(UsageError, match="'X-1' is in the case already"):
        made.add_exhibit(exhibit(image, "X-1"), "Dana", AT)


@pytest.mark.parametrize("name", [" ", "a\nb", "x" * 101])
def test_id_that_would_not_print_is_refused(made: case.Case, image: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be an exhibit's id"):
        made.add_exhibit(exhibit(image, name), "Dana", AT)


def test_image_that_is_not_there_is_refused(made: case.Case, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.E01: there is no such image"):
        made.add_exhibit(exhibit(tmp_path / "nowhere.E01"), "Dana", AT)


def test_image_is_found_after_case_and_image_moved_together(made: case.Case, image: Path, tmp_path: Path) -> None:
    made.add_exhibit(exhibit(image), "Dana", AT)
    (tmp_path / "new").mkdir()
    shutil.move(made.folder, tmp_path / "new" / "case")
    shutil.move(image.parent, tmp_path / "new" / "images")
    (moved,) = case.open_case(tmp_path / "new" / "case").exhibits()
    assert moved.image == str(tmp_path / "new" / "images" / "phone.raw")


def test_corrected_exhibit_wins_and_the_log_keeps_both(made: case.Case, image: Path) -> None:
    stored = made.add_exhibit(exhibit(image, "X-1", seal_no="S-1"), "Dana", AT)
    case.correct_exhibit(made, exhibit(image, "X-1", seal_no="S-2"), "seal misread", "Dana", AT)
    assert [item.seal_no for item in made.exhibits()] == ["S-2"]
    bodies = [line.body["exhibit"]["seal_no"] for line in custody.read(made.folder) if line.body and "exhibit" in line.body]
    assert (bodies, stored.seal_no) == (["S-1", "S-2"], "S-1")


def test_correction_needs_a_reason(made: case.Case, image: Path) -> None:
    made.add_exhibit(exhibit(image, "X-1"), "Dana", AT)
    with pytest.raises(UsageError, match="lacks: purpose"):
        case.correct_exhibit(made, exhibit(image, "X-1"), "", "Dana", AT)


def test_correction_of_what_is_not_in_the_case_is_refused(made: case.Case, image: Path) -> None:
    with pytest.raises(UsageError, match="is not in the case"):
        case.correct_exhibit(made, exhibit(image, "X-1"), "typo", "Dana", AT)


def test_exhibit_that_does_not_read_names_its_line(made: case.Case) -> None:
    custody.append(made.folder, "received", object="X-1", body={"exhibit": {"exhibit_id": 7}}, at=AT)
    with pytest.raises(CustodyBroken, match="line 2: its exhibit 'X-1' does not read"):
        made.exhibits()


def test_received_package_is_not_an_exhibit(made: case.Case) -> None:
    custody.append(made.folder, "received", object="package", body={"package": "A-1"}, at=AT)
    assert made.exhibits() == ()


# --- what a seal requires


def test_every_required_field_of_the_case_is_named() -> None:
    assert case.missing_fields(CaseInfo(), ()) == (
        "case.case_id",
        "case.agency",
        "case.officer_in_charge",
        "case.offence_or_purpose",
        "case.opened_at",
        "case.retention_until",
        "case.requested_questions",
        "case.legal_authority.type",
        "case.legal_authority.id",
        "case.legal_authority.scope_text",
        "exhibit",
    )


def test_nothing_is_missing_where_all_is_filled_in(image: Path) -> None:
    info = CaseInfo(
        case_id="1",
        agency="a",
        officer_in_charge="o",
        offence_or_purpose="p",
        opened_at="2026-03-01",
        retention_until="2036-03-01",
        requested_questions=("who?",),
        authority=Authority(type="warrant", id="W", scope_text="all"),
    )
    assert case.missing_fields(info, [exhibit(image, "X", **FULL_EXHIBIT)]) == ()
    without = {name: value for name, value in FULL_EXHIBIT.items() if name not in ("write_blocker", "seized_place", "seal_no")}
    assert case.missing_fields(info, [exhibit(image, "X", **without)]) == (
        "exhibit.X.seal_no",
        "exhibit.X.seizure.place",
        "exhibit.X.acquisition.write_blocker",
    )
    assert "exhibit.X.acquisition.write_blocker" not in case.missing_fields(
        info, [exhibit(image, "X", **without, no_write_blocker_reason="a cloud export")]
    )


# --- check


def test_untouched_case_checks(made: case.Case) -> None:
    examined(made)
    assert case.check(made) == []


def test_changed_segment_is_named(made: case.Case) -> None:
    path = examined(made)
    path.unlink()
    with segment.Writer(path) as writer:
        writer.write(segment.encode(Fault(location="1:/a", kind="corrupt", message="another")))
        writer.commit()
    assert case.check(made) == [
        "custody.jsonl, line 3: runs/run-0001/segments/unit-0.jsonl.zst: was changed: it does not have the digest that was logged"
    ]


def test_missing_segment_is_named(made: case.Case) -> None:
    examined(made).unlink()
    assert case.check(made) == ["custody.jsonl, line 3: runs/run-0001/segments/unit-0.jsonl.zst: is missing"]


def test_segment_cut_short_is_named(made: case.Case) -> None:
    path = examined(made)
    path.write_bytes(path.read_bytes()[:-5])
    (problem,) = case.check(made)
    assert problem.startswith("custody.jsonl, line 3: ") and "unit-0.jsonl.zst" in problem


def test_segment_that_nothing_lists_is_named(made: case.Case) -> None:
    path = examined(made)
    shutil.copy(path, path.with_name("unit-1.jsonl.zst"))
    assert case.check(made) == ["runs/run-0001/segments/unit-1.jsonl.zst: the custody log does not list it"]


def test_run_that_nothing_vouches_for_is_named(made: case.Case) -> None:
    examined(made)
    shutil.copytree(made.run_folder("run-0001"), made.run_folder("run-0002"))
    assert case.check(made) == [
        "runs/run-0002: the custody log does not say that this run was started",
        "runs/run-0002: says that it is complete, but the custody log does not list its segments",
    ]


def test_changed_run_description_is_named(made: case.Case) -> None:
    examined(made)
    (made.run_folder("run-0001") / "run.json").write_text("{ }")
    (problem,) = case.check(made)
    assert problem.startswith("custody.jsonl, line 2: runs/run-0001/run.json: was changed")


def test_changed_run_digest_is_named(made: case.Case) -> None:
    examined(made)
    (made.run_folder("run-0001") / "complete").write_text("e" * 64 + "\n")
    (problem,) = case.check(made)
    assert problem.startswith("custody.jsonl, line 3: runs/run-0001/complete: was changed")


def test_removed_body_is_a_problem_of_ones_own_case(made: case.Case) -> None:
    examined(made)
    line = list(custody.read(made.folder))[2]
    (made.folder / "custody" / "bodies" / f"{line.body_sha256}.json").unlink()
    assert case.check(made)[0].startswith("custody.jsonl, line 3: the body of its event 'examined'")


def test_interrupted_run_is_not_a_problem(made: case.Case) -> None:
    path = examined(made)
    folder = made.run_folder("run-0002")
    (folder / "segments").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    custody.append(
        made.folder, "examined", object="run-0002", body={"run": "run-0002", "run_sha256": sha256_file(folder / "run.json")}, at=AT
    )
    shutil.copy(path, folder / "segments")
    assert case.check(made) == []


def test_extracted_files_match_their_names(made: case.Case) -> None:
    good = made.extracted / "2c" / "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # SHA-256 of hello
    bad = made.extracted / "00" / ("00" * 32)
    for path in (good, bad):
        path.parent.mkdir()
        path.write_bytes(b"hello")
    (made.extracted / "00" / "notes.txt").write_text("x")
    (made.extracted / "aa").symlink_to("/etc")
    assert case.check(made) == [
        f"extracted/00/{bad.name}: was changed: it does not have the SHA-256 that is its name",
        "extracted/00/notes.txt: does not belong there: files there are named by their SHA-256",
        "extracted/aa: does not belong there: files there are named by their SHA-256",
    ]


def reported(made: case.Case) -> Path:
    """A report of two files, logged as `report` logs it. Returns its folder."""
    folder = made.reports / "20260301T080000Z"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<p>nothing was found</p>")
    (folder / "files.csv").write_text("location")
    files = {path.name: sha256_file(path) for path in folder.iterdir()}
    custody.append(made.folder, "reported", object=folder.name, body={"report": folder.name, "files": files}, at=AT)
    return folder


def test_untouched_report_checks(made: case.Case) -> None:
    reported(made)
    assert case.check(made) == []


def test_changed_and_missing_files_of_a_report_are_named(made: case.Case) -> None:
    folder = reported(made)
    (folder / "report.html").write_text("<p>something was found</p>")
    (folder / "files.csv").unlink()
    assert case.check(made) == [
        "custody.jsonl, line 2: reports/20260301T080000Z/files.csv: is missing",
        "custody.jsonl, line 2: reports/20260301T080000Z/report.html: was changed: it does not have the SHA-256 that was logged",
    ]


def test_report_that_was_removed_is_named_once(made: case.Case) -> None:
    shutil.rmtree(reported(made))
    assert case.check(made) == ["custody.jsonl, line 2: reports/20260301T080000Z: this report is missing"]


@pytest.mark.parametrize("name", ["../runs", "..", "", "/etc", "a\0b"])
def test_report_is_looked_for_in_its_folder_alone(made: case.Case, name: str) -> None:
    folder = reported(made)
    custody.append(made.folder, "reported", object="1", body={"report": name, "files": {"hostname": "0" * 64}}, at=AT)
    custody.append(made.folder, "reported", object="2", body={"report": folder.name, "files": {name: "0" * 64}}, at=AT)
    one, other = case.check(made)
    assert one.startswith("custody.jsonl, line 3: ") and one.endswith(": is not the name of a report")
    assert other.startswith("custody.jsonl, line 4: ") and other.endswith(": is not the name of a report's file")


def test_report_that_a_person_wrote_down_without_files_checks(made: case.Case) -> None:
    custody.append(made.folder, "reported", object="by hand", body={"purpose": "told by telephone"}, at=AT)
    assert case.check(made) == []


def test_changed_custody_log_fails_the_check(made: case.Case) -> None:
    examined(made)
    path = made.folder / "custody.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"created"', b'"verified"'))
    assert case.check(made) == ["custody.jsonl, line 2: does not carry the digest of line 1: that line was changed, or this one was"]


def test_a_path_that_goes_up_behind_a_link_is_refused(made: case.Case, tmp_path: Path) -> None:
    """As text it names one file, to the kernel another: neither is taken for the exhibit."""
    (tmp_path / "here").mkdir()
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far" / "away")
    for folder in ("here", "far"):
        (tmp_path / folder / "x.raw").write_bytes(folder.encode())
    with pytest.raises(UsageError, match="may mean two images"):
        made.add_exhibit(Exhibit(exhibit_id="", image=str(tmp_path / "here" / "link" / ".." / "x.raw"), image_format="raw"), None)
