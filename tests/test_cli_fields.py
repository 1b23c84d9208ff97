"""What a person says of a case and of its exhibits: every field by an option, and required fields by answering on a terminal."""

import fcntl
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from forensics import case as cases
from forensics import custody, settings
from forensics.cli import cli
from forensics.errors import UsageError
from forensics.model import Authority, CaseInfo, Exhibit

IMAGE = Path(__file__).parents[1] / "test_images" / "ext2.E01"
SHA256 = "A6C2F0E39AFE6C6AB432CA5465349FCEFE8DC944398E97B2D957D3F89DBB5D80"
# Marked R in the lists of fields of a case, its authority, an exhibit, its seizure and its acquisition; the write blocker counts as one
REQUIRED = 7 + 3 + 6 + 4 + 9


def run(*arguments: str) -> Result:
    """Arguments to the command line, without a terminal. What it raises is raised here."""
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False, catch_exceptions=False)


def value_of(name: str) -> str:
    """Something that the field takes."""
    if name in ("seized_at", "acquired_at", "acquisition_ended_at"):
        return "2026-03-01T14:05+07:00"
    if name in ("opened_at", "retention_until", "issued", "expires"):
        return "2026-03-01"
    if name.endswith("sha256"):
        return SHA256
    return {"kind": "phone", "owner_role": "holder", "acquisition_type": "logical", "type": "warrant", "phase": "investigative"}.get(
        name, f"the {name} of ธนา"
    )


def kept(name: str) -> str:
    return value_of(name).lower() if name.endswith("sha256") else value_of(name)


CASE = [name for name in CaseInfo.__struct_fields__ if name != "authority"]
EXHIBIT = [name for name in Exhibit.__struct_fields__ if name not in ("exhibit_id", "image", "image_format")]
LISTS = ("requested_questions", "related_refs")


def option(name: str, prefix: str = "") -> str:
    return f"--{prefix}{name.removesuffix('_exhibit').replace('_', '-')}"


def case_options() -> list[str]:
    given = [part for name in CASE for part in (option(name), value_of(name))]
    return given + [part for name in Authority.__struct_fields__ for part in (option(name, "authority-"), value_of(name))]


# --- by option --------------------------------------------------------------------------------------------------------------


def test_the_tables_tell_of_every_field() -> None:
    assert list(settings.CASE_FIELDS) == CASE
    assert set(settings.AUTHORITY_FIELDS) == set(Authority.__struct_fields__)
    assert set(settings.EXHIBIT_FIELDS) == set(EXHIBIT)


def test_what_is_asked_for_is_what_is_listed_as_missing(tmp_path: Path) -> None:
    case = cases.create(tmp_path / "case")
    exhibit = case.add_exhibit(Exhibit(exhibit_id="1", image=str(IMAGE), image_format="as found"), None)
    listed = [name.rpartition(".")[2] for name in cases.missing_fields(CaseInfo(), [exhibit])]
    required = [name for table in settings.TABLES.values() for name, (needed, _) in table.items() if needed]
    assert len(listed) == REQUIRED
    assert len(required) == REQUIRED + 1  # there, the reason for having no write blocker is a field of its own


def test_every_field_of_a_new_case_is_an_option(tmp_path: Path) -> None:
    run("case", "new", "--case", str(tmp_path / "case"), *case_options())
    info = cases.open_case(tmp_path / "case").info
    assert {name: getattr(info, name) for name in CASE} == {name: (kept(name),) if name in LISTS else kept(name) for name in CASE}
    assert msgspec.structs.asdict(info.authority) == {name: kept(name) for name in Authority.__struct_fields__}


@pytest.mark.parametrize("prefix", ["", "exhibit-"])
def test_every_field_of_an_exhibit_is_an_option_and_stands_in_the_custody_log(prefix: str, tmp_path: Path) -> None:
    run("case", "new", "--case", str(tmp_path / "case"))
    given = [part for name in EXHIBIT for part in (option(name, prefix), value_of(name))]
    run("exhibit", "add", str(IMAGE), "--case", str(tmp_path / "case"), *given)
    (received,) = [line for line in custody.read(tmp_path / "case") if line.event == "received"]
    assert received.body is not None
    assert {name: received.body["exhibit"][name] for name in EXHIBIT} == {name: kept(name) for name in EXHIBIT}


def test_a_case_with_every_field_given_to_process_lacks_nothing(tmp_path: Path) -> None:
    given = [part for name in EXHIBIT for part in (option(name, "exhibit-"), value_of(name))]
    run("process", str(IMAGE), "--case", str(tmp_path / "case"), "--plugin", "known-hash", *case_options(), *given)
    assert json.loads(run("case", "show", "--case", str(tmp_path / "case"), "--json").output)["missing"] == []


def test_options_for_a_case_that_is_there_change_its_settings_and_keep_the_rest(tmp_path: Path) -> None:
    process = ("process", str(IMAGE), "--case", str(tmp_path / "case"), "--plugin", "known-hash")
    run(*process, "--agency", "First", "--examiner", "E. X.")
    path = tmp_path / "case" / "case.toml"
    path.write_text(path.read_text() + "# by hand\n")
    run(*process, "--agency", "Second", "--authority-id", "W-7")
    info = cases.open_case(tmp_path / "case").info
    assert (info.agency, info.examiner, info.authority.id) == ("Second", "E. X.", "W-7")
    assert path.read_text().endswith("# by hand\n")


def test_an_option_that_says_another_thing_of_an_exhibit_corrects_it_in_the_name_of_somebody(tmp_path: Path) -> None:
    process = ("process", str(IMAGE), "--case", str(tmp_path / "case"), "--plugin", "known-hash")
    run(*process, "--exhibit-serial", "1")
    run(*process, "--exhibit-serial", "1")
    with pytest.raises(UsageError, match="--by"):
        run(*process, "--exhibit-serial", "2")
    run(*process, "--exhibit-serial", "2", "--by", "J. Doe")
    events = [line.event for line in custody.read(tmp_path / "case") if line.event in ("received", "corrected")]
    assert events == ["received", "corrected"]
    assert [exhibit.serial for exhibit in cases.exhibits(tmp_path / "case")] == ["2"]


def test_an_exhibit_is_corrected_and_the_log_says_why(tmp_path: Path) -> None:
    folder = str(tmp_path / "case")
    run("case", "new", "--case", folder)
    run("exhibit", "add", str(IMAGE), "--case", folder, "--id", "A-1", "--serial", "1")
    run("exhibit", "correct", "A-1", "--case", folder, "--serial", "7", "--make", "Acme", "--purpose", "misread", "--by", "J. Doe")
    last = list(custody.read(tmp_path / "case"))[-1]
    assert last.body is not None
    assert (last.event, last.by, last.body["purpose"]) == ("corrected", "J. Doe", "misread")
    assert (last.body["exhibit"]["serial"], last.body["exhibit"]["make"]) == ("7", "Acme")


def test_one_serial_number_is_not_given_to_two_exhibits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="serial belongs to one exhibit"):
        run("process", str(IMAGE), str(IMAGE.parent / "card.E01"), "--case", str(tmp_path / "case"), "--exhibit-serial", "1")
    assert not (tmp_path / "case").exists()


@pytest.mark.parametrize(
    ("command", "given", "said"),
    [
        ("case", ("--opened-at", "soon"), r"case\.opened_at is a date such as 2026-03-01"),
        ("case", ("--authority-type", "a hunch"), "is one of: warrant, consent"),
        ("case", ("--agency", "two\nlines"), "is not one line of text"),
        ("exhibit", ("--seized-at", "yesterday"), r"exhibit\.seized_at is a date such as 2026-03-01T14:05"),
        ("exhibit", ("--owner-role", "uncle"), "is one of: holder, suspected facilitator"),
        ("exhibit", ("--stated-sha256", "00ff"), "64 hexadecimal digits"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_nothing_is_made(command: str, given: tuple[str, str], said: str, tmp_path: Path) -> None:
    if command == "exhibit":
        run("case", "new", "--case", str(tmp_path / "case"))
        with pytest.raises(UsageError, match=said):
            run("exhibit", "add", str(IMAGE), "--case", str(tmp_path / "case"), *given)
        assert cases.exhibits(tmp_path / "case") == ()
    else:
        with pytest.raises(UsageError, match=said):
            run("case", "new", "--case", str(tmp_path / "case"), *given)
        assert not (tmp_path / "case").exists()


def test_the_help_groups_the_fields_behind_the_other_options() -> None:
    text = run("process", "--help").output
    headings = re.findall(r"^([A-Z][^:(\n]*)(?: \(.*\))?:$", text, re.MULTILINE)
    assert headings == ["Options", "The case, kept in case.toml", "Its legal authority", "The exhibit, kept in the custody log"]
    assert text.index("--rules") < text.index("--agency") < text.index("--authority-id") < text.index("--exhibit-serial")


# --- on a terminal ----------------------------------------------------------------------------------------------------------


class Terminal:
    """A command on a pseudo-terminal: what it says so far, and answers typed."""

    def __init__(self, *arguments: str) -> None:
        self.said, self._answered = "", 0
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "LANG": "C.UTF-8", "PYTHONWARNINGS": "default", "COLUMNS": "200"}
        self._master, inner = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "forensics", *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=environment,
            start_new_session=True,  # a session whose terminal it is: so that Ctrl-C is an interrupt, and not a letter
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inner)

    def until(self, text: str, after: int = 0) -> str:
        """Read until `text` was said. What was said since `after`."""
        ends = time.monotonic() + 120
        while text not in self.said[after:]:
            if time.monotonic() > ends or not self._more():
                raise AssertionError(f"{text!r} was not said; said was: {self.said}")
        return self.said[after:]

    def answer(self, question: str, text: str) -> None:
        """Wait until `question` is asked after the last answer, and type `text`."""
        self.until("): ", self._answered + self.until(f"  {question} (", self._answered).index(f"  {question} ("))
        self._answered = len(self.said)
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._more():
            pass
        os.close(self._master)
        return self._process.wait()

    def interrupt(self) -> int:
        """Press Ctrl-C until the command has ended (one that comes just before a line is read waits for the next key); the exit code."""
        while self._process.poll() is None:
            os.write(self._master, b"\x03")
            while select.select([self._master], [], [], 0.3)[0] and self._more():
                pass
        os.close(self._master)
        return self._process.wait()

    def _more(self) -> bool:
        if not select.select([self._master], [], [], 60)[0]:
            self._process.kill()
            return False
        try:
            data = os.read(self._master, 4096)
        except OSError:  # Linux: the other side is closed
            return False
        self.said += data.decode("utf-8", "replace")
        return bool(data)


CONTROL_D = "\x04"


def test_a_new_case_asks_for_each_required_field_once_and_keeps_the_answers(tmp_path: Path) -> None:
    terminal = Terminal("case", "new", "--case", str(tmp_path / "case"), "--agency", "Border Force")
    terminal.answer("case_id", "A-7\n")
    terminal.answer("officer_in_charge", "ธนา\n")
    terminal.answer("offence_or_purpose", "\n")
    terminal.answer("retention_until", "in a while\n")
    terminal.until("is a date such as 2026-03-01")
    terminal.answer("retention_until", "2036-01-01\n")
    terminal.answer("requested_questions", "Who paid?; To whom?\n")
    terminal.answer("type", "WARRANT\n")
    terminal.answer("id", "W-7\n")
    terminal.answer("scope_text", "all\n")
    assert terminal.end() == 0
    info = cases.open_case(tmp_path / "case").info
    assert (info.case_id, info.agency, info.officer_in_charge, info.offence_or_purpose) == ("A-7", "Border Force", "ธนา", None)
    assert (info.retention_until, info.requested_questions) == ("2036-01-01", ("Who paid?", "To whom?"))
    assert info.authority == Authority(type="warrant", id="W-7", scope_text="all")
    assert "  agency (" not in terminal.said  # it was given
    assert json.loads(run("case", "show", "--case", str(tmp_path / "case"), "--json").output)["missing"] == [
        "case.offence_or_purpose",
        "exhibit",
    ]


def test_an_exhibit_asks_and_the_answers_stand_in_the_custody_log(tmp_path: Path) -> None:
    run("case", "new", "--case", str(tmp_path / "case"))
    terminal = Terminal("exhibit", "add", str(IMAGE), "--case", str(tmp_path / "case"), "--by", "J. Doe", "--kind", "storage")
    terminal.answer("description", "a card\n")
    terminal.answer("owner_role", "uncle\n")
    terminal.until("is one of: holder")
    terminal.answer("owner_role", "Holder\n")
    for name in list(settings.EXHIBIT_FIELDS)[list(settings.EXHIBIT_FIELDS).index("power_state_on_receipt") :]:
        if name == "changes_made_to_original":
            terminal.answer(name, CONTROL_D)
            break
        if name != "no_write_blocker_reason":  # there was a write blocker
            terminal.answer(name, f"{value_of(name)}\n")
    assert terminal.end() == 0
    assert "no_write_blocker_reason (" not in terminal.said
    (received,) = [line for line in custody.read(tmp_path / "case") if line.event == "received"]
    assert received.body is not None
    stored = received.body["exhibit"]
    assert (stored["description"], stored["kind"], stored["owner_role"], stored["seized_place"]) == (
        "a card",
        "storage",
        "holder",
        value_of("seized_place"),
    )
    missing = [name for name in cases.missing_fields(CaseInfo(), cases.exhibits(tmp_path / "case")) if name.startswith("exhibit.")]
    assert missing == ["exhibit.2026-1.acquisition.changes_made_to_original".replace("2026-1", received.object)]


def test_process_asks_once_and_not_again_in_a_later_run(tmp_path: Path) -> None:
    process = ("process", str(IMAGE), "--case", str(tmp_path / "case"), "--plugin", "known-hash")
    first = Terminal(*process)
    first.answer("case_id", "A-7\n")
    first.answer("agency", CONTROL_D)
    first.answer("description", "a card\n")
    first.answer("kind", CONTROL_D)
    assert first.end() == 0
    assert "report: " in first.said
    case = cases.open_case(tmp_path / "case")
    assert (case.info.case_id, case.info.agency) == ("A-7", None)
    assert [exhibit.description for exhibit in case.exhibits()] == ["a card"]
    again = Terminal(*process)
    assert again.end() == 0
    assert "Required fields" not in again.said
    (page,) = sorted((tmp_path / "case" / "reports").glob("*/summary.md"))[:1]
    assert "26 required fields are not filled in" in page.read_text(encoding="utf-8")  # all but the two answered and the day of opening
    filled = Terminal("case", "fill", "--case", str(tmp_path / "case"))
    filled.answer("agency", "Border Force\n")
    filled.answer("officer_in_charge", CONTROL_D)
    assert filled.end() == 0
    assert cases.open_case(tmp_path / "case").info.agency == "Border Force"


def test_an_interrupted_interview_makes_nothing(tmp_path: Path) -> None:
    terminal = Terminal("case", "new", "--case", str(tmp_path / "case"))
    terminal.answer("case_id", "A-7\n")
    terminal.answer("agency", "")
    assert terminal.interrupt() == 1
    assert "Traceback" not in terminal.said
    assert not (tmp_path / "case").exists()


def test_nobody_is_asked_for_a_case_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "notes.txt").write_text("mine")
    terminal = Terminal("case", "new", "--case", str(tmp_path / "case"))
    assert terminal.end() == 1
    assert "is not an empty folder" in terminal.said
    assert "Required fields" not in terminal.said


def test_a_case_that_was_made_without_a_terminal_is_asked_for_once_by_process(tmp_path: Path) -> None:
    run("case", "new", "--case", str(tmp_path / "case"), "--agency", "Border Force")
    terminal = Terminal("process", str(IMAGE), "--case", str(tmp_path / "case"), "--plugin", "known-hash")
    terminal.answer("case_id", "A-8\n")
    terminal.answer("officer_in_charge", CONTROL_D)
    terminal.answer("description", CONTROL_D)
    assert terminal.end() == 0
    case = cases.open_case(tmp_path / "case")
    assert (case.info.case_id, case.info.agency) == ("A-8", "Border Force")
    assert "case.officer_in_charge" in case.settings.asked


@pytest.mark.parametrize("option", ["--no-input", "--json"])
def test_nobody_is_asked_when_told_so_or_when_a_program_reads(option: str, tmp_path: Path) -> None:
    terminal = Terminal("process", str(IMAGE), "--case", str(tmp_path / "case"), "--plugin", "known-hash", option)
    assert terminal.end() == 0
    assert "Required fields" not in terminal.said


def test_nobody_is_asked_without_a_terminal(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "forensics", "case", "new", "--case", str(tmp_path / "case")],
        input="A-7\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, "Required fields" in made.stdout) == (0, False)
    assert cases.open_case(tmp_path / "case").info.case_id is None
