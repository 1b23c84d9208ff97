"""`review` and `person` on the command line, with a terminal and without."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forensics.case import check, open_case
from forensics.cli import cli
from forensics.errors import UsageError

HOSTILE = "\x1b[31mred\n<script>\u202egnp.exe {{ x }}"


@pytest.fixture
def forensics(folder: Path) -> Callable[..., Result]:
    """The command line on a case of its own, without a terminal. What it raises is raised here."""

    def command(*arguments: str) -> Result:
        environment = {"FORENSICS_CASE": str(folder), "COLUMNS": "250"}
        return CliRunner().invoke(cli, list(arguments), standalone_mode=False, catch_exceptions=False, env=environment)

    return command


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.output.splitlines()]


def test_records_are_confirmed_by_query_and_said_by_the_examiner_of_the_case(forensics: Callable[..., Result], folder: Path) -> None:
    said = forensics("review", "confirm", "kind=photo", "--yes", "--category", "travel-history", "--reliability", "b")
    assert said.output.startswith("confirmed: 5 records")
    found = lines(forensics("review", "list", "confirmed", "--json"))
    assert {each["record"]["finding"]["kind"] for each in found} == {"photo"}  # type: ignore[index]
    assert {(each["category"], each["decision"]["by"], each["decision"]["reliability"]) for each in found} == {  # type: ignore[index]
        ("SOM-TRAVEL-HISTORY", "Dewi", "B")
    }
    (event,) = lines(forensics("review", "history", "--json"))
    assert event["by"] == "Dewi"
    assert event["said"]["query"] == "kind=photo"  # type: ignore[index]
    assert check(open_case(folder)) == []


def test_many_are_not_decided_about_without_a_yes(forensics: Callable[..., Result]) -> None:
    with pytest.raises(UsageError, match="5 records fit: say --yes"):
        forensics("review", "reject", "kind=photo")
    with pytest.raises(UsageError, match="say which records"):
        forensics("review", "reject", "--yes")
    with pytest.raises(UsageError, match="no record fits"):
        forensics("review", "reject", "kind=phto", "--yes")
    assert lines(forensics("review", "history", "--json")) == []


def test_a_dry_run_shows_and_changes_nothing(forensics: Callable[..., Result]) -> None:
    said = forensics("review", "reject", "kind=photo", "--dry-run").output
    assert "DSCF0001.JPG" in said
    assert "would reject 5 records; nothing was changed" in said
    assert lines(forensics("review", "history", "--json")) == []


def test_ids_need_no_yes_and_every_change_of_a_record_is_shown(forensics: Callable[..., Result]) -> None:
    (record,) = lines(forensics("records", "--kind", "travel-document", "--json"))
    name = str(record["id"])
    forensics("review", "confirm", name[:16], "--by", "Budi")
    forensics("review", "note", HOSTILE, name)
    forensics("review", "label", "protection-claim", name)
    forensics("review", "category", "doc-forged", name)
    forensics("review", "confidence", "--likelihood", "very likely", "--credibility", "3", name)
    forensics("review", "reopen", name)
    (shown,) = lines(forensics("review", "show", name[:8], "--json"))
    assert shown["decision"] == {
        "record": name, "category": "SOM-DOC-FORGED", "credibility": 3, "likelihood": "very-likely", "note": HOSTILE,
        "labels": ["protection-claim"], "by": "Dewi", "at": shown["decision"]["at"], "seq": shown["decision"]["seq"],  # type: ignore[index]
    }  # fmt: skip
    assert len(shown["history"]) == 6  # type: ignore[arg-type]
    forensics("review", "label", "protection-claim", name, "--remove")
    assert lines(forensics("review", "list", "label=protection-claim", "--json")) == []


def test_hostile_notes_reach_no_terminal(forensics: Callable[..., Result]) -> None:
    (record,) = lines(forensics("records", "--kind", "travel-document", "--json"))
    name = str(record["id"])
    forensics("review", "confirm", name, "--note", HOSTILE, "--by", "B\x1b[2J")
    for shown in (forensics("review", "show", name).output, forensics("review", "history").output):
        assert r"\x1b[31mred\x0a<script>\u202egnp.exe" in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        (("category", "SOM-X", "all"), "SOM-COUNTERMEASURE"),
        (("label", "secret", "all"), "legal-privilege"),
        (("confirm", "all", "--reliability", "Z"), "A (completely reliable)"),
        (("confirm", "all", "--likelihood", "sure"), "almost-certain"),
        (("confirm", "levl=alert"), "levl"),
    ],
)
def test_what_is_not_of_a_list_is_refused_with_the_list(arguments: tuple[str, ...], listed: str, forensics: Callable[..., Result]) -> None:
    with pytest.raises(UsageError) as refusal:
        forensics("review", *arguments)
    assert listed in str(refusal.value)


def test_the_help_explains_the_query(forensics: Callable[..., Result]) -> None:
    for command in ("list", "confirm", "next"):
        said = forensics("review", command, "--help").output
        assert "path=  pattern of the path" in said
        assert "NAME!=VALUE is what must not fit" in said


def test_records_takes_the_same_queries(forensics: Callable[..., Result]) -> None:
    forensics("review", "confirm", "kind=photo", "path=**/100FUJI/*", "--yes")
    found = lines(forensics("records", "--query", "confirmed", "--json"))
    assert sorted(str(each["location"]).partition("/100FUJI/")[2][:12] for each in found) == ["DSCF0001.JPG", "DSCF0002.JPG"]
    with pytest.raises(UsageError, match="say it all in --query"):
        forensics("records", "--query", "confirmed", "--kind", "photo")


def test_the_summary_counts_by_status_category_and_label(forensics: Callable[..., Result]) -> None:
    forensics("review", "confirm", "kind=photo", "--yes", "--category", "travel-history", "--label", "minor")
    forensics("review", "reject", "kind=url", "--yes")
    urls = len({str(each["id"]) for each in lines(forensics("records", "--kind", "url", "--json"))})
    every = len({str(each["id"]) for each in lines(forensics("records", "--json"))})
    kinds = {"SOM-PAYMENT": ("iban", "payment-card", "crypto-wallet"), "SOM-TRAVEL-HISTORY": ("boarding-pass",)}
    kinds["SOM-IDENTITY"] = ("travel-document",)
    proposed = {
        category: len({str(each["id"]) for kind in named for each in lines(forensics("records", "--kind", kind, "--json"))})
        for category, named in kinds.items()
    }
    assert min(proposed.values()) > 0
    (counted,) = lines(forensics("review", "summary", "--json"))
    assert counted == {
        "records": every, "by_status": {"confirmed": 5, "rejected": urls, "unreviewed": every - urls - 5},
        "by_category": {"SOM-TRAVEL-HISTORY": 5}, "proposed": proposed, "by_label": {"minor": 5}, "persons": 0, "linked": 0, "stale": 0,
    }  # fmt: skip


def test_persons_are_linked_by_query(forensics: Callable[..., Result]) -> None:
    assert forensics("person", "add").output == "P-1: unknown, states of origin: unknown (every state)\n"
    forensics("person", "change", "P-1", "--role", "smuggled person", "--origin", "mm", "--name", "Anna", "--protection-claim")
    forensics("person", "link", "P-1", "kind=photo", "kind=travel-document", "--yes")
    forensics("person", "unlink", "P-1", "kind=photo", "text=fujifilm", "--yes")
    (held,) = lines(forensics("person", "list", "--json"))
    records = sorted(str(each["record"]["id"]) for each in lines(forensics("review", "list", "person=P-1", "--json")))  # type: ignore[index]
    assert held == {
        "id": "P-1", "name": "Anna", "role": "smuggled-person", "states_of_origin": ["MM"], "protection_claim": True, "records": records,
    }  # fmt: skip
    assert len(records) == 4  # five photographs and a travel document, without the two photographs by Fujifilm
    forensics("person", "change", "P-1", "--origin-unknown", "--name", "")
    assert "unknown (every state)" in forensics("person", "show", "P-1").output
    with pytest.raises(UsageError, match="ZZ"):
        forensics("person", "add", "--origin", "ZZ")


# --- on a terminal ----------------------------------------------------------------------------------------------------------


class Terminal:
    """A command on a pseudo-terminal: what it says so far, and answers typed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.said, self._seen = "", 0
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "LANG": "C.UTF-8", "COLUMNS": "200", "FORENSICS_CASE": str(folder)}
        self._master, inner = pty.openpty()
        command = [sys.executable, "-m", "forensics", *arguments]
        self._process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment, close_fds=True)
        os.close(inner)

    def answer(self, question: str, text: str) -> str:
        """Wait until `question` is asked after the last answer, and type `text`. What was said before the question."""
        ends = time.monotonic() + 120
        while question not in self.said[self._seen :]:
            if time.monotonic() > ends or not self._more():
                raise AssertionError(f"{question!r} was not asked; said was: {self.said}")
        told, self._seen = self.said[self._seen :], len(self.said)
        os.write(self._master, text.encode())
        return told

    def interrupt(self) -> None:
        """What Ctrl-C does; the line after it wakes a reader that had shown its question and was not waiting yet."""
        self._process.send_signal(signal.SIGINT)
        os.write(self._master, b"\n")

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._more():
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


QUESTION = "q quit: "


def test_the_number_of_records_is_asked_for_on_a_terminal(folder: Path, forensics: Callable[..., Result]) -> None:
    terminal = Terminal(folder, "review", "reject", "kind=photo")
    terminal.answer("reject 5 records? [y/N]: ", "n\n")
    assert terminal.end() == 0
    assert "nothing was changed" in terminal.said
    terminal = Terminal(folder, "review", "reject", "kind=photo")
    terminal.answer("reject 5 records? [y/N]: ", "y\n")
    assert terminal.end() == 0
    assert len(lines(forensics("review", "list", "rejected", "--json"))) == 5


def test_one_record_after_another_is_decided_and_what_was_left_comes_again(folder: Path, forensics: Callable[..., Result]) -> None:
    terminal = Terminal(folder, "review", "next", "kind=photo", "--by", "Budi")
    assert "record 1 of 5" in terminal.answer(QUESTION, "y\n")
    terminal.answer(QUESTION, "c\n")
    terminal.answer("category: ", "SOM-X\n")
    terminal.answer("category: ", "route\n")
    terminal.answer(QUESTION, "o\n")
    terminal.answer("note: ", "บันทึก\n")
    terminal.answer(QUESTION, "x\n")
    terminal.answer(QUESTION, "no\n")
    terminal.answer(QUESTION, "skip\n")
    assert "record 4 of 5" in terminal.answer(QUESTION, "q\n")
    assert terminal.end() == 0
    assert "'x' is none of these" in terminal.said
    assert "1 confirmed, 1 rejected, 1 skipped; 2 not shown" in terminal.said
    (rejected,) = lines(forensics("review", "list", "rejected", "--json"))
    assert (rejected["category"], rejected["decision"]["note"], rejected["decision"]["by"]) == ("SOM-ROUTE", "บันทึก", "Budi")  # type: ignore[index]

    terminal = Terminal(folder, "review", "next", "kind=photo", "--by", "Budi")
    assert "record 1 of 3" in terminal.answer(QUESTION, "y\n")
    terminal.answer(QUESTION, "\x04")  # Ctrl-D
    assert terminal.end() == 0
    assert len(lines(forensics("review", "list", "confirmed", "--json"))) == 2


def test_an_interruption_keeps_what_was_decided(folder: Path, forensics: Callable[..., Result]) -> None:
    terminal = Terminal(folder, "review", "next", "kind=photo")
    terminal.answer(QUESTION, "y\n")
    terminal.answer(QUESTION, "")
    terminal.interrupt()
    assert terminal.end() == 1
    assert "Traceback" not in terminal.said
    assert len(lines(forensics("review", "list", "confirmed", "--json"))) == 1


def test_next_needs_a_terminal(forensics: Callable[..., Result]) -> None:
    with pytest.raises(UsageError, match="asks on a terminal"):
        forensics("review", "next")
