"""Over an examined case, only what is new is done: the records are those of a run that kept nothing."""

import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from forensics import case as cases
from forensics import custody, index, segment
from forensics.case import Case
from forensics.engine import run
from forensics.engine.keep import Keeper
from forensics.engine.options import Options
from forensics.engine.outcome import Outcome
from forensics.engine.plan import units
from forensics.engine.setup import Status
from forensics.engine.task import Before
from forensics.engine.worker import Done, Examiner
from forensics.engine.workshop import Tool, Tools, equip
from forensics.evidence.layers import open_exhibit
from forensics.location import Location
from forensics.model import CaseInfo, Exhibit, Scope

IMAGES = Path(__file__).parents[1] / "test_images"
RULE = 'rule address { strings: $a = "@example" condition: $a }\n'


def made(folder: Path, *images: Path) -> Case:
    case = cases.create(folder, CaseInfo(case_id="T"))
    for number, image in enumerate(images, 1):
        case.add_exhibit(Exhibit(exhibit_id=str(number), image=str(image), image_format="as found"), None)
    return case


def examine(case: Case, *plugins: str, again: bool = False, said: list[str] | None = None, **options: object) -> Outcome:
    given = Options(children=2, plugins=plugins or None, plugin_options=options.get("given", {}), again=again)  # type: ignore[arg-type]
    with case.lock():
        return run.examine(case, case.exhibits(), given, lambda now: None, notice=(said if said is not None else []).append)


def everything(case: Case, name: str) -> tuple[list[object], list[object], list[object], object]:
    with index.open_index(case.index_path, name) as found:
        return list(found.entries()), list(found.records()), list(found.faults()), found.coverage()


@pytest.fixture
def exhibit(tmp_path: Path) -> Path:
    """A folder with files inside files, and some that are damaged."""
    folder = tmp_path / "exhibit"
    folder.mkdir()
    for number in range(30):
        (folder / f"note-{number}.txt").write_text(f"write to someone{number}@example.org")
    shutil.make_archive(str(tmp_path / "inner"), "zip", folder)
    (folder / "archive.zip").write_bytes((tmp_path / "inner.zip").read_bytes())
    (folder / "cut.zip").write_bytes((tmp_path / "inner.zip").read_bytes()[:-300])
    (folder / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe1 nothing that an EXIF reader can use")
    return folder


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("features",), ("features", "photo-exif", "type-mismatch")),  # plugins that read files of their own type
        (("features",), ("features", "zip-archive")),  # a container: its files were not there before
        (("features", "zip-archive"), ("features", "zip-archive", "machine-readable-zone")),  # offered files inside files
        (("features", "zip-archive"), ("zip-archive",)),  # one less
        (("features", "zip-archive"), ("features",)),  # a container less: so are its files
        (("features", "zip-archive", "timeline-gaps"), ("features", "timeline-gaps", "zip-archive")),  # the same
        (("photo-exif",), ("features",)),  # nothing in common
    ],
    ids=str,
)
def test_the_records_are_those_of_a_run_that_kept_nothing(
    first: tuple[str, ...], then: tuple[str, ...], exhibit: Path, tmp_path: Path
) -> None:
    built, fresh = made(tmp_path / "built", exhibit, IMAGES / "ext2.E01"), made(tmp_path / "fresh", exhibit, IMAGES / "ext2.E01")
    examine(built, *first)
    second = examine(built, *then)
    alone = examine(fresh, *then)
    assert second.built_on == {"1": "run-0001", "2": "run-0001"} and alone.built_on == {}
    assert second.digest == alone.digest
    assert everything(built, "run-0002") == everything(fresh, "run-0001")
    assert examine(built, *then, again=True).digest == alone.digest


def test_new_rules_are_matched_and_all_else_is_kept(exhibit: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yar"
    rules.write_text('rule nothing { strings: $a = "in no file" condition: $a }\n')
    case, fresh = made(tmp_path / "built", exhibit), made(tmp_path / "fresh", exhibit)
    given = {"rule-match": {"rules": [str(rules)]}}
    examine(case, "features", "rule-match", "zip-archive", given=given)
    rules.write_text(RULE)
    second = examine(case, "features", "rule-match", "zip-archive", given=given)
    alone = examine(fresh, "features", "rule-match", "zip-archive", given=given)
    assert second.digest == alone.digest
    with index.open_index(case.index_path) as found:
        assert sum(1 for _ in found.records(kind="rule-match")) >= 60  # thirty notes, and the same in the archive
    last = [line.body for line in custody.read(case.folder) if line.event == "examined" and line.body][-1]
    assert last["kept"] == {"1": {"of": "run-0001", "plugins": ["features", "zip-archive"], "read_for": ["rule-match"]}}


def test_an_exhibit_that_is_another_now_is_examined_anew(exhibit: Path, tmp_path: Path) -> None:
    case = made(tmp_path / "case", exhibit)
    examine(case, "features")
    (exhibit / "note-3.txt").write_text("write to somebody-else@example.org")
    said: list[str] = []
    second = examine(case, "features", said=said)
    assert second.built_on == {}
    assert said == ["exhibit 1: it is not as it was in run-0001, so nothing of that is kept"]
    with index.open_index(case.index_path) as found:
        assert "somebody-else@example.org" in {record.finding.data.get("value") for record in found.records()}


def test_nothing_is_kept_of_a_run_whose_segments_were_changed(exhibit: Path, tmp_path: Path) -> None:
    case = made(tmp_path / "case", exhibit)
    examine(case, "features")
    path = next((case.run_folder("run-0001") / "segments").glob("unit-*"))
    lines = [raw for raw in segment.raw_lines(path) if b"note-7" not in raw]
    with segment.Writer(path) as writer:
        for raw in lines:
            writer.write(raw + b"\n")
        writer.commit()
    second = examine(case, "features")
    assert second.built_on == {}
    with index.open_index(case.index_path) as found:
        assert any("note-7.txt" in entry.entry.location for entry in found.entries())


def test_nothing_is_kept_of_a_run_whose_plan_leaves_out_a_file(exhibit: Path, tmp_path: Path) -> None:
    case = made(tmp_path / "case", exhibit)
    examine(case, "features")
    [path] = (case.run_folder("run-0001") / "plan").glob("*.jsonl.zst")
    units = [json.loads(raw) for raw in segment.raw_lines(path)]
    for unit in units:
        unit["entries"] = [entry for entry in unit["entries"] if "note-7.txt" not in entry["location"]]
    with segment.Writer(path) as writer:
        for unit in units:
            writer.write(json.dumps(unit).encode() + b"\n")
        writer.commit()
    [problem] = cases.check(case)
    assert f"runs/run-0001/plan/{path.name}: was changed" in problem
    second = examine(case, "features", "type-mismatch")
    assert second.built_on == {}
    with index.open_index(case.index_path) as found:
        assert any("note-7.txt" in entry.entry.location for entry in found.entries())


class Counting:
    """A file system that notes which files are opened."""

    def __init__(self, inner: object) -> None:
        self._inner, self.opened = inner, []  # type: ignore[var-annotated]

    def open(self, location: Location) -> object:
        self.opened.append(location.name)
        return self._inner.open(location)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "spool"
    (folder / "attachments").mkdir(parents=True)
    yield folder


@cache
def equipped(names: tuple[str, ...]) -> tuple[Tool, ...]:
    tools, faults = equip((), names, {})
    assert not faults
    return tools


def pieces(
    names: tuple[str, ...], spool: Path, file_system: Counting, before: Before | None, start: int = 0, skip: int = 0
) -> Iterator[Done]:
    tools = equipped(names)
    status = Status(spool / "status", create=True)
    examiner = Examiner(Tools(tools), Scope(), spool, Keeper(spool / "attachments"), status, None)
    [unit] = units("1", 0, file_system.walk())  # type: ignore[attr-defined]
    yield from examiner.examine(unit, file_system, start, skip, {}, before)  # type: ignore[arg-type]
    status.close()


def lines(names: tuple[str, ...], spool: Path, file_system: Counting, before: Before | None) -> bytes:
    return b"".join(done.lines for done in pieces(names, spool, file_system, before))


def before_of(names: tuple[str, ...], kept: tuple[str, ...], spool: Path, file_system: Counting) -> tuple[Before, bytes]:
    """What a run with the plugins `names` says of the unit, and the same as lines."""
    said = lines(names, spool, file_system, None)
    with segment.Writer(spool / "unit") as writer:
        writer.write(said)
        writer.commit()
    return Before(kept, (spool / "unit").read_bytes()), said


def test_only_what_a_new_plugin_is_offered_is_read_again(spool: Path) -> None:
    [file_system] = [Counting(each) for each in open_exhibit("1", IMAGES / "card.E01").file_systems]
    before, first = before_of(("features", "zip-archive"), ("features", "zip-archive"), spool, file_system)
    assert len(file_system.opened) > 10
    file_system.opened.clear()
    both = lines(("features", "photo-exif", "zip-archive"), spool, file_system, before)
    offered = [line["entry"]["location"] for line in map(json.loads, both.splitlines()) if "photo-exif" in str(line.get("plugins"))]
    assert sorted(file_system.opened) == sorted(Location.parse(location).name for location in offered) != []
    file_system.opened.clear()
    assert sorted(lines(("features", "zip-archive"), spool, file_system, before).splitlines()) == sorted(first.splitlines())
    assert file_system.opened == []


@pytest.mark.parametrize("new", ["machine-readable-zone", "compressed-stream"])
def test_it_goes_on_behind_any_piece_that_was_done(new: str, exhibit: Path, spool: Path) -> None:
    [file_system] = [Counting(each) for each in open_exhibit("1", exhibit).file_systems]
    names = ("features", "zip-archive", new)
    before, _ = before_of(names[:2], names[:2], spool, file_system)
    whole = list(pieces(names, spool, file_system, before))
    assert len(whole) > 30
    for number, done in enumerate(whole[:-1]):
        rest = pieces(names, spool, file_system, before, done.entries, done.members)
        kept = b"".join(each.lines for each in whole[: number + 1])
        again = kept + b"".join(each.lines for each in rest)
        found = [line for line in again.splitlines() if b'"type":"result"' not in line]
        assert sorted(found) == sorted(line for each in whole for line in each.lines.splitlines() if b'"type":"result"' not in line)
        assert set(again.splitlines()) == {line for each in whole for line in each.lines.splitlines()}
