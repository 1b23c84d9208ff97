"""What the index shows of a case is each exhibit's latest complete run, however and in whatever order the index came to hold its runs."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from forensics import case as cases
from forensics import index, report, segment
from forensics.case import Case
from forensics.cli import cli
from forensics.engine import run
from forensics.engine.options import Options
from forensics.errors import CaseError, CaseLocked
from forensics.model import CaseInfo, Entry, Examined, Exhibit, RunInfo

ANALYSER = '''
from forensics.plugin import Finding, analyser

@analyser(version="1")
def lists_all(records):
    """One finding for each record that it is given."""
    for record in list(records()):
        yield Finding(kind="seen", summary=record.location, derived_from=(record.id,))
'''


def examine(case: Case, *exhibits: str, plugins: Path | None = None) -> str:
    given = tuple(each for each in case.exhibits() if each.exhibit_id in exhibits)
    names = ("features",) if plugins is None else ("features", "lists-all")
    options = Options(children=1, plugin_folders=(str(plugins),) if plugins else (), plugins=names)
    with case.lock():
        return run.examine(case, given, options, lambda now: None).digest


def made(folder: Path, *files: tuple[str, str]) -> Case:
    """A case whose exhibits are folders with one file each: the exhibit's id, and what the file holds."""
    case = cases.create(folder / "case", CaseInfo(case_id="T"))
    for name, text in files:
        (folder / name).mkdir()
        (folder / name / "note.txt").write_text(text)
        case.add_exhibit(Exhibit(exhibit_id=name, image=str(folder / name), image_format="as found"), None)
    return case


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Exhibits a and b, both examined in the first run, a alone in the second."""
    found = made(tmp_path, ("a", "first@example.org"), ("b", "someone@example.org"))
    examine(found, "a", "b")
    (tmp_path / "a" / "note.txt").write_text("second@example.org")
    examine(found, "a")
    return found


def shown(case: Case) -> tuple[set[str], set[str]]:
    """The runs that are shown, and the summaries of what they found."""
    with index.open_index(case.index_path) as found:
        return {each.run for each in found.runs()}, {record.finding.summary for record in found.records()}


LATEST = ({"run-0001", "run-0002"}, {"someone@example.org", "second@example.org"})


def infos(case: Case) -> Iterator[tuple[RunInfo, list[Path]]]:
    for name in case.runs():
        folder = case.run_folder(name)
        yield msgspec.json.decode((folder / "run.json").read_bytes(), type=RunInfo), sorted((folder / "segments").glob("*.jsonl.zst"))


def test_each_exhibit_is_shown_as_its_latest_run_found_it(case: Case) -> None:
    runs, found = shown(case)
    assert (runs, {each.split()[-1] for each in found}) == LATEST


def test_runs_that_are_indexed_in_another_order_are_shown_alike(case: Case) -> None:
    before = shown(case)
    case.index_path.unlink()
    index.start(case.index_path)
    for info, segments in reversed(list(infos(case))):
        index.add_run(case.index_path, info, segments)
        index.conclude_run(case.index_path, info.run)
    assert shown(case) == before


def test_a_run_that_is_not_concluded_is_not_shown_and_the_one_before_still_is(case: Case) -> None:
    before = shown(case)
    info, segments = list(infos(case))[-1]
    index.add_run(case.index_path, msgspec.structs.replace(info, run="run-0003"), segments)
    assert shown(case) == before
    assert index.runs_in(case.index_path) == {"run-0001", "run-0002"}


def test_an_examination_without_the_index_tells_of_earlier_runs_too(case: Case, tmp_path: Path) -> None:
    case.index_path.unlink()
    (tmp_path / "a" / "note.txt").write_text("third@example.org")
    examine(case, "a")
    runs, found = shown(case)
    assert runs == {"run-0001", "run-0003"} and {each.split()[-1] for each in found} == {"someone@example.org", "third@example.org"}


def test_an_analyser_is_given_the_records_of_its_own_run_alone(tmp_path: Path) -> None:
    """So the digest of a run does not depend on what else the case holds."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "lists_all.py").write_text(ANALYSER)
    files = ("phone", "first@example.org"), ("sim", "second@example.org")
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    both, alone = made(tmp_path / "one", *files), made(tmp_path / "other", files[1])
    examine(both, "phone", plugins=plugins)
    digest = examine(both, "sim", plugins=plugins)
    with index.open_index(both.index_path) as found:
        seen = [record.finding.summary for record in found.records(kind="seen")]
        assert sorted(each.partition(":")[0] for each in seen) == ["phone", "sim"]
    with index.open_index(both.index_path, "run-0002") as found:
        assert [record.location.partition(":")[0] for record in found.records()] == ["sim", "sim"]
        here = {record.id for record in found.records()}
    examine(alone, "sim", plugins=plugins)
    with index.open_index(alone.index_path) as found:
        assert {record.id for record in found.records()} == here
    assert len(digest) == 64


@pytest.mark.parametrize("text", [b"not a database at all, but as long as the head of one" * 40, b""], ids=["other bytes", "empty"])
def test_an_index_that_is_damaged_is_built_again(case: Case, text: bytes) -> None:
    before = shown(case)
    case.index_path.write_bytes(text)
    index.look(case)
    assert shown(case) == before


def test_an_index_that_is_being_written_is_left_alone(case: Case) -> None:
    """A reader waits its five seconds, and does not take what it cannot read for damage."""
    before = shown(case)
    with sqlite3.connect(case.index_path, check_same_thread=False) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        caught: list[CaseError] = []

        def read() -> None:
            try:
                index.look(case)
            except CaseError as error:
                caught.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        reader.join()
        assert "is being written" in str(caught[0])
        writer.rollback()
    assert shown(case) == before


def test_who_only_reads_does_not_build_while_another_is_at_work(case: Case) -> None:
    case.index_path.unlink()
    with case.lock(), pytest.raises(CaseLocked):
        index.look(case)
    assert not case.index_path.exists()


def test_a_report_that_cannot_be_written_leaves_none_behind(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in a folder of another name until it is whole; what a killed process left is removed by the next report."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    left = case.reports / ".20260101T000000Z.part"
    left.mkdir()
    (left / "findings.csv").write_text("cut")
    command = ["report", "--case", str(case.folder), "--template", "summary.md"]
    with monkeypatch.context() as patch:
        patch.setattr(report, "write", full)
        assert isinstance(CliRunner().invoke(cli, command).exception, OSError)
    assert not [each for each in case.reports.iterdir() if not each.name.startswith(".")]
    assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
    (made_now,) = case.reports.iterdir()
    assert (made_now / "summary.md").is_file()


def test_a_size_that_no_database_holds_is_kept_as_the_entry_states_it(case: Case) -> None:
    info, _ = next(infos(case))
    path = case.folder / "odd.jsonl.zst"
    stated = Examined(entry=Entry(location="a:/odd", kind="file", state="allocated", size=2**63 + 5), outcome="skipped", reason="locked")
    with segment.Writer(path) as writer:
        writer.write(segment.encode(stated))
        writer.commit()
    index.add_run(case.index_path, msgspec.structs.replace(info, run="run-0003"), [path])
    with index.open_index(case.index_path, "run-0003") as found:
        assert [entry.entry.size for entry in found.entries()] == [2**63 + 5]
