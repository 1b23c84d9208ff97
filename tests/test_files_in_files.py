"""Files inside files: found, read, bounded, survived, extracted again; and what is locked, opened with a key that is kept nowhere."""

import gzip
import hashlib
import io
import json
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Literal

import pytest
from click.testing import CliRunner, Result

from forensics import case as cases
from forensics import index, segment
from forensics.cli import cli
from forensics.engine import run, unpack
from forensics.engine.content import Content
from forensics.engine.extraction import path_to
from forensics.engine.item import Item
from forensics.engine.options import Options
from forensics.engine.outcome import Outcome
from forensics.errors import ForensicsError
from forensics.evidence import limits
from forensics.evidence.keys import Keys, parse
from forensics.location import Layer, Location
from forensics.model import CaseInfo, Digests, Entry, Examined, Exhibit, Fault
from forensics.plugin import Member

INNER = b"meet me at inner@example.org\n"
DEADLY = '''"""Dies."""
import ctypes
from collections.abc import Iterator
from forensics.plugin import File, Finding, extractor


@extractor(version="1", mime=("text/*",))
def deadly(file: File) -> Iterator[Finding]:
    """Ends its process at a certain word."""
    if b"deadly" in file.read():
        ctypes.string_at(0)
    yield Finding(kind="survived", summary=str(file.size))
'''


def zipped(*files: tuple[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that is given twice
        for name, content in files:
            archive.writestr(name, content)
    return held.getvalue()


def tarred(*files: tuple[str, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return held.getvalue()


def examine(image: Path, folder: Path, **options: object) -> tuple[cases.Case, Outcome, dict[str, Examined], list[Fault]]:
    case = cases.create(folder, CaseInfo(case_id="T"))
    case.add_exhibit(Exhibit(exhibit_id="1", image=str(image), image_format="as found"), None)
    with case.lock():
        outcome = run.examine(case, case.exhibits(), Options(children=1, **options), lambda now: None)  # type: ignore[arg-type]
    with index.open_index(case.index_path) as found:
        return case, outcome, {entry.entry.location: entry for entry in found.entries()}, list(found.faults())


def forensics(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False, catch_exceptions=True)


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    exhibit = tmp_path / "exhibit"
    exhibit.mkdir()
    inner = zipped(("deep/note.txt", INNER), ("deep/other.txt", b"other"))
    (exhibit / "post.tar.gz").write_bytes(tarred(("in/outer.zip", zipped(("inner.zip", inner), ("same.txt", b"1"), ("same.txt", b"2")))))
    return exhibit


def test_a_file_four_containers_deep_is_read_and_extracted_with_its_digest(nested: Path, tmp_path: Path) -> None:
    case, _, entries, faults = examine(nested, tmp_path / "case")
    by_digest = {entry.digests.sha256: place for place, entry in entries.items() if entry.digests}
    place = Location.parse(by_digest[hashlib.sha256(INNER).hexdigest()])
    assert [layer.kind for layer in place.layers] == ["folder", "tar-archive", "zip-archive", "zip-archive"]
    assert (place.path, place.meta) == ("deep/note.txt", "1")
    assert {hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()} <= set(by_digest)
    assert not [fault for fault in faults if fault.kind != "limit"]
    with index.open_index(case.index_path) as found:
        assert str(place) in {record.location for record in found.records() if record.finding.data.get("value") == "inner@example.org"}
    target = tmp_path / "note.txt"
    done = forensics("extract", str(place), "--case", str(case.folder), "--output", str(target))
    assert done.exit_code == 0, done.exception
    assert target.read_bytes() == INNER
    assert not list(case.folder.glob("spool*"))


def test_the_way_to_a_file_in_a_file_is_told_from_its_location() -> None:
    base = Location.parse("1:volume@512:ntfs:/a b;meta=5-128-1")
    inside = Location.parse(f"1:volume@512:ntfs:{Layer('zip-archive', base.inner)}:x;meta=3")
    deeper = Location.parse(f"1:volume@512:ntfs:{inside.layers[-1]}:{Layer('tar-archive', inside.inner)}:y;meta=7")
    containers = frozenset({"zip-archive", "tar-archive"})
    assert path_to(base, containers) == (base, ())
    assert path_to(inside, containers) == (base, (("zip-archive", 3),))
    assert path_to(deeper, containers) == (base, (("zip-archive", 3), ("tar-archive", 7)))


def test_a_member_that_kills_costs_nothing_but_the_plugin_on_it(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "deadly.py").write_text(DEADLY)
    files = [(f"{number:02}.txt", b"deadly" if number == 7 else b"harmless " * number) for number in range(1, 15)]
    inner = zipped(*files)
    (tmp_path / "exhibit").mkdir()
    (tmp_path / "exhibit" / "a.zip").write_bytes(zipped(("first.txt", b"first"), ("inner.zip", inner), ("last.txt", b"last")))
    (tmp_path / "exhibit" / "z.txt").write_bytes(b"after it")
    options = {"plugin_folders": (str(tmp_path / "plugins"),), "plugins": ("deadly", "zip-archive", "features")}
    case, _, entries, faults = examine(tmp_path / "exhibit", tmp_path / "case", **options)
    assert [(Location.parse(fault.location).path, fault.plugin, fault.kind) for fault in faults] == [("07.txt", "deadly", "died")]
    assert sorted(Location.parse(place).path for place in entries) == sorted(
        ["/a.zip", "/z.txt", "first.txt", "inner.zip", "last.txt", *(name for name, _ in files)]
    )
    assert {entry.digests.sha256 for entry in entries.values() if entry.digests} >= {hashlib.sha256(data).hexdigest() for _, data in files}
    with index.open_index(case.index_path) as found:
        survived = sorted(Location.parse(record.location).path for record in found.records(plugin="deadly"))
    assert survived == sorted(["/z.txt", "first.txt", "last.txt", *(name for name, data in files if data != b"deadly")])
    lines = [line for path in (case.run_folder("run-0001") / "segments").glob("unit-*") for line in segment.read(path)]
    places = [line.entry.location for line in lines if isinstance(line, Examined)]
    assert len(places) == len(set(places))


def test_containers_are_opened_to_a_certain_depth_and_it_is_said(tmp_path: Path) -> None:
    content = b"core"
    for _ in range(limits.NESTING + 2):
        content = gzip.compress(content, mtime=0)
    (tmp_path / "exhibit").mkdir()
    (tmp_path / "exhibit" / "x.gz").write_bytes(content)
    _, _, entries, faults = examine(tmp_path / "exhibit", tmp_path / "case", plugins=("compressed-stream",))
    assert max(len(Location.parse(place).layers) for place in entries) == 1 + limits.NESTING
    assert [(fault.kind, fault.plugin) for fault in faults] == [("limit", "compressed-stream")]


def test_what_comes_out_of_a_file_is_bounded_by_its_size() -> None:
    assert unpack.Expansion(0, 1000, 0).bytes_left == limits.EXPANSION_FLOOR
    assert unpack.Expansion(0, 100 << 20, 0).bytes_left == limits.EXPANSION * (100 << 20)


def of_a_container(path: str, size: int | None, kind: Literal["file", "other"], expansion: unpack.Expansion, folder: Path) -> list[object]:
    """What the engine says of one member, of five bytes, of a container."""
    place = Location.parse("1:volume@512:ntfs:/a.zip")
    entry = Entry(location=str(place), kind="file", size=1000)
    content = Content(folder, b"", None)
    container = Item(
        place=0, entry=entry, location=place, depth=0, digests=Digests(sha256="0" * 64), head=b"", content=content, beside=lambda _: None
    )
    member = Member(path=path, open=lambda: io.BytesIO(b"hello"), size=size, kind=kind)
    return list(unpack.read(container, "zip-archive", member, 1, expansion, folder, lambda: None))


@pytest.mark.parametrize("size", [-1, limits.MEDIUM + 1, 1 << 63, (1 << 70) - 1])
def test_size_that_no_medium_has_is_a_fault_and_not_recorded(size: int, tmp_path: Path) -> None:
    fault, listed = of_a_container("a", size, "other", unpack.Expansion(0, 1000, 0), tmp_path)
    assert isinstance(fault, Fault) and fault.kind == "corrupt" and str(size) in fault.message
    assert isinstance(listed, Examined) and listed.entry.size == 0
    fault, item = of_a_container("a", size, "file", unpack.Expansion(0, 1000, 0), tmp_path)
    assert isinstance(fault, Fault) and fault.kind == "corrupt"
    assert isinstance(item, Item) and item.entry.size == 5


@pytest.mark.parametrize("size", [0, 1 << 40, limits.MEDIUM])
def test_size_that_a_medium_may_have_is_recorded(size: int, tmp_path: Path) -> None:
    (listed,) = of_a_container("a", size, "other", unpack.Expansion(0, 1000, 0), tmp_path)
    assert isinstance(listed, Examined) and listed.entry.size == size


def test_long_names_count_as_what_came_out(tmp_path: Path) -> None:
    expansion = unpack.Expansion(0, 1000, 0)
    of_a_container("a" * 1000, None, "other", expansion, tmp_path)
    assert expansion.bytes_left == limits.EXPANSION_FLOOR
    of_a_container("a" * (64 << 10), None, "other", expansion, tmp_path)
    assert expansion.bytes_left < limits.EXPANSION_FLOOR - (60 << 10)


def test_a_locked_volume_is_examined_with_its_key_which_is_kept_nowhere(evidence: Path, tmp_path: Path) -> None:
    """Password and content: manifest.json and expected/ of the evidence (dfVFS's own tests)."""
    image = evidence / "images" / "luks1.E01"
    password = json.loads((evidence / "manifest.json").read_text())
    secret = "luksde-TEST"
    assert secret in json.dumps(password)
    case, outcome, entries, _ = examine(image, tmp_path / "case", keys=Keys((parse(f"password:{secret}"),)))
    assert outcome.faults == 0
    place = next(place for place in entries if Location.parse(place).path == "/passwords.txt")
    held = [path for path in case.folder.rglob("*") if path.is_file()]
    assert held
    assert not [path for path in held if secret.encode() in path.read_bytes()]
    refused = forensics("extract", place, "--case", str(case.folder))
    assert isinstance(refused.exception, ForensicsError)
    assert "give the keys" in str(refused.exception)
    target = tmp_path / "passwords.txt"
    done = CliRunner().invoke(
        cli, ["extract", place, "--case", str(case.folder), "--output", str(target), "--key", "password:"], input=f"{secret}\n"
    )
    assert done.exit_code == 0, done.output
    assert secret not in done.output
    assert target.read_bytes().startswith(b"place,user,password")
