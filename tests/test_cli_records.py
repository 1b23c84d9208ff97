"""`records`, `compare`, `why` and `extract` from the command line: what they show, what they leave out, what they leave behind."""

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from written_runs import NOTHING, entry, found, plugin, write

from forensics import case as cases
from forensics.case import Case
from forensics.cli import cli
from forensics.cli.records import SHOWN
from forensics.engine import alone
from forensics.errors import UsageError
from forensics.model import CaseInfo

MANY = SHOWN + 5


def run(*words: str) -> str:
    return CliRunner().invoke(cli, list(words), standalone_mode=False, catch_exceptions=False).stdout_bytes.decode()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return cases.create(tmp_path / "case", CaseInfo(case_id="T"))


@pytest.fixture
def full(case: Case) -> str:
    """The folder of a case with more records than a table shows; the second run found what the first did."""
    for name in ("run-0001", "run-0002"):
        write(case, name, ("A",), [plugin("finds")], entry("A:/1", finds=MANY), found("finds", MANY))
    return str(case.folder)


# --- records ----------------------------------------------------------------------------------------------------------------


def test_a_table_shows_the_first_records_and_says_how_to_see_the_others(full: str) -> None:
    text = run("records", "--case", full)
    assert text.count("thing ") == SHOWN
    assert text.splitlines()[-1] == f"{MANY - SHOWN} more; --limit shows more, --csv and --json print all"


def test_a_limit_widens_and_narrows_the_table(full: str) -> None:
    text = run("records", "--case", full, "--limit", str(MANY))
    assert text.count("thing ") == MANY and " more;" not in text
    assert run("records", "--case", full, "--limit", "2").count("thing ") == 2


def test_programs_get_every_record(full: str) -> None:
    assert len(run("records", "--case", full, "--json").splitlines()) == MANY
    assert len(run("records", "--case", full, "--csv").splitlines()) == MANY + 1


# --- compare ----------------------------------------------------------------------------------------------------------------


def test_the_first_differences_are_shown_and_the_others_counted(full: str, case: Case) -> None:
    write(case, "run-0003", ("B",), [], *(entry(f"B:/{number:04}") for number in range(MANY)))
    lines = [json.loads(line) for line in run("compare", "run-0001", "run-0003", "--case", full, "--json").splitlines()]
    assert [line["location"] for line in lines[1:]] == ["A:/1", "A:/1", *(f"B:/{number:04}" for number in range(MANY))]
    text = run("compare", "run-0001", "run-0003", "--case", full)
    assert (text.count("│ first "), text.count("│ second ")) == (2, SHOWN - 2)
    assert text.splitlines()[-1] == f"{MANY + 2 - SHOWN} more; --json prints all"


def test_runs_that_found_the_same_are_the_same(full: str) -> None:
    assert run("compare", "run-0001", "run-0002", "--case", full).startswith("the same: ")


# --- why --------------------------------------------------------------------------------------------------------------------


def rows(text: str) -> dict[str, tuple[str, str]]:
    """The lines of the table of plugins: outcome and why, by plugin."""
    cells = ([cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line.startswith("│"))
    return {line[0]: (line[1], line[2]) for line in cells if len(line) == 3}


def test_a_file_is_explained_by_the_run_that_read_it(case: Case) -> None:
    idle = plugin("rule-match", idle=NOTHING)
    write(case, "run-0001", ("A", "B"), [plugin("photo"), idle], entry("A:/1", photo=0), entry("B:/1", photo=0))
    write(case, "run-0002", ("A",), [plugin("rule-match")], entry("A:/1", rule_match=0))
    assert rows(run("why", "B:/1", "--case", str(case.folder))) == {"photo": ("read", "0 findings"), "rule-match": ("not run", NOTHING)}
    assert rows(run("why", "A:/1", "--case", str(case.folder))) == {"rule-match": ("read", "0 findings")}


# --- extract ----------------------------------------------------------------------------------------------------------------

CONTENT = b"evidence" * 1000


@pytest.fixture
def extractable(case: Case, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder of a case with a file whose content lies in the case's extracted folder already."""
    digest = sha256(CONTENT).hexdigest()
    write(case, "run-0001", ("A",), [], entry("A:/1", digest, len(CONTENT)))
    (case.extracted / digest[:2]).mkdir()
    (case.extracted / digest[:2] / digest).write_bytes(CONTENT)
    monkeypatch.setattr(alone, "extract", lambda case, wanted, options: (digest, len(CONTENT)))
    return str(case.folder)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond `size` bytes of a file fails, as on a full medium (setrlimit(2))."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_be_written_whole_is_not_there_and_the_next_try_writes_it(extractable: str, tmp_path: Path) -> None:
    output = tmp_path / "out" / "file.bin"
    with files_of_at_most(1000), pytest.raises(OSError, match="File too large"):
        run("extract", "A:/1", "--case", extractable, "--output", str(output))
    assert list(output.parent.iterdir()) == []
    run("extract", "A:/1", "--case", extractable, "--output", str(output))
    assert output.read_bytes() == CONTENT
    assert list(output.parent.iterdir()) == [output]


def test_a_file_that_is_there_is_not_written_over(extractable: str, tmp_path: Path) -> None:
    output = tmp_path / "file.bin"
    output.write_bytes(b"another's")
    with pytest.raises(UsageError, match="exists already"):
        run("extract", "A:/1", "--case", extractable, "--output", str(output))
    assert output.read_bytes() == b"another's"
