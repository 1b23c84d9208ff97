"""L01 and Lx01 images give what libewf reads in them, and are checked against the digests that they carry."""

import hashlib
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from l01_made import CHUNK, ENCASE_5, ENCASE_7, Evidence, File

from forensics import case as cases
from forensics import index
from forensics.engine import run
from forensics.engine.measure import faults as measured_faults
from forensics.engine.options import Options
from forensics.errors import Corrupt, EvidenceError, Locked
from forensics.evidence import limits
from forensics.evidence.ewf import segment_number
from forensics.evidence.image import measure, open_image
from forensics.evidence.layers import Opened, open_exhibit
from forensics.location import Location
from forensics.model import CaseInfo, Digests, Entry, Exhibit, Fault, Measured

NOISE = random.Random(4).randbytes(100_000)
TIMES = {"cr": "1709209400", "ac": "1709209500", "wr": "1709209600", "mo": "1709209700", "dl": "0"}
SPARSE, DELETED, LINK, STREAM = 0x4000000, 0x80, 0x10, 0x2000
TREE = [
    File("a.txt", b"text of a", values=TIMES),
    File("empty"),
    File("deep", None, [File("noise.bin", NOISE), File("zeros", bytes(50_000)), File("ĳ 名.txt", b"name")]),
    File("one byte, repeated", b"\7", values={"ls": "5000", "opr": str(SPARSE), "ha": "", "sha": ""}),
    File("a copy", b"\0", values={"ls": "9", "opr": str(SPARSE), "du": "0", "ha": hashlib.md5(b"text of a").hexdigest(), "sha": ""}),
]
WANTED = {
    "/C/a.txt": b"text of a",
    "/C/empty": b"",
    "/C/deep/noise.bin": NOISE,
    "/C/deep/zeros": bytes(50_000),
    "/C/deep/ĳ 名.txt": b"name",
    "/C/one byte, repeated": b"\7" * 5000,
    "/C/a copy": b"text of a",
}


def write(tmp_path: Path, evidence: Evidence, kind: str = "L01", segments: int = 1) -> Path:
    return evidence.write_lx01(tmp_path / "image.Lx01") if kind == "Lx01" else evidence.write_l01(tmp_path / "image.L01", segments)


def walked(opened: Opened) -> tuple[dict[str, Entry], list[str]]:
    """The entries by their path, and the messages of the faults."""
    entries: dict[str, Entry] = {}
    messages = []
    for item in opened.file_systems[0].walk():
        if isinstance(item, Fault):
            messages.append(item.message)
        else:
            entries[Location.parse(item.location).path] = item
    return entries, messages


def content(opened: Opened, entry: Entry) -> bytes:
    return opened.file_systems[0].open(Location.parse(entry.location)).read(0, entry.size)


def read(path: Path) -> tuple[dict[str, bytes | str], list[str]]:
    """What is in each file, or why it cannot be read; and the faults of the list."""
    opened = open_exhibit("1", path)
    entries, messages = walked(opened)
    found: dict[str, bytes | str] = {}
    for name, entry in entries.items():
        if entry.kind == "file":
            try:
                found[name] = content(opened, entry)
            except Corrupt as error:
                found[name] = str(error)
    opened.close()
    return found, messages


def by_libewf(paths: list[Path]) -> dict[str, tuple[bytes, str | None, list[datetime | None]]]:
    """Content, MD5 and the four times of every file, as libewf reads them."""
    pyewf = pytest.importorskip("pyewf")
    handle = pyewf.handle()
    handle.open([str(path) for path in paths])
    found = {}

    def walk(entry, above: str) -> None:
        for below in entry.sub_file_entries:
            path = f"{above}/{below.name}"
            if not below.number_of_sub_file_entries:
                try:
                    md5 = below.md5_hash_value
                except OSError:
                    md5 = None
                times = [below.modification_time, below.access_time, below.entry_modification_time, below.creation_time]
                found[path] = (below.read_buffer(below.size) if below.size else b"", md5, times)
            walk(below, path)

    walk(handle.get_root_file_entry(), "")
    handle.close()
    return found


# --- as it should be --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "segments"), [("L01", 1), ("L01", 3), ("Lx01", 1)])
@pytest.mark.parametrize("columns", [ENCASE_5, ENCASE_7])
def test_every_file_is_an_entry_with_what_libewf_reads_of_it(tmp_path: Path, kind: str, segments: int, columns: str) -> None:
    path = write(tmp_path, Evidence(TREE, columns), kind, segments)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == segments
    reference = by_libewf(paths)
    assert {name: data for name, (data, _, _) in reference.items()} == WANTED
    opened = open_exhibit("1", paths[-1])
    assert opened.image is not None
    assert opened.image.format == ("EWF2-Lx01" if kind == "Lx01" else "EWF-L01")
    assert list(opened.image.files) == paths
    assert opened.layers[0].kind == kind.lower()
    entries, messages = walked(opened)
    assert messages == []
    assert {name for name, entry in entries.items() if entry.kind == "directory"} == {"/C", "/C/deep"}
    assert {name: content(opened, entry) for name, entry in entries.items() if entry.kind == "file"} == WANTED
    for name, (data, md5, times) in reference.items():
        entry = entries[name]
        assert entry.size == len(data)
        ours = (entry.times.modified, entry.times.accessed, entry.times.changed, entry.times.born)
        assert [one and datetime.fromisoformat(one) for one in ours] == [
            one.replace(tzinfo=UTC) if one and one.year > 1970 else None for one in times
        ]
        stream = opened.file_systems[0].open(Location.parse(entry.location))
        assert stream.mismatch(Digests(sha256="", md5=md5)) is None  # type: ignore[attr-defined]
    opened.close()
    assert open_image(path).metadata["case_number"] == "case 7"
    assert entries["/C/a.txt"].times.modified == "2024-02-29T12:26:40Z"


def test_any_piece_of_a_file_can_be_read(tmp_path: Path) -> None:
    opened = open_exhibit("1", write(tmp_path, Evidence(TREE)))
    stream = opened.file_systems[0].open(Location.parse(walked(opened)[0]["/C/deep/noise.bin"].location))
    assert stream.read(CHUNK - 5, 40_000) == NOISE[CHUNK - 5 : CHUNK + 39_995]
    assert (stream.read(99_990, 50), stream.read(100_000, 1), stream.read(-1, 1)) == (NOISE[-10:], b"", b"")


def test_content_in_several_ranges_is_put_together(tmp_path: Path) -> None:
    found, _ = read(write(tmp_path, Evidence([File("x", b"abcdef"), File("y", b"", values={"ls": "5", "be": "2 4 2 0 3"})])))
    assert found["/C/y"] == b"efabc"


def test_the_digests_of_the_acquisition_are_verified(tmp_path: Path) -> None:
    digest = measure(open_image(write(tmp_path, Evidence(TREE))))
    assert digest.stored_match == {
        "sha256 of the md5 digests of 6 files that match": True,
        "sha256 of the sha1 digests of 5 files that match": True,
    }
    assert digest.damage == ()
    assert digest.md5 == hashlib.md5(Evidence(TREE).medium).hexdigest()


def test_a_file_that_is_not_what_was_acquired_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, Evidence([*TREE, File("changed", b"new", values={"ha": hashlib.md5(b"old").hexdigest()})]))
    digest = measure(open_image(path))
    assert [name for name, holds in digest.stored_match.items() if not holds] == ["md5 of /C/changed"]
    (fault,) = measured_faults(Measured(exhibit="1", phase="before", image=digest))
    assert "/C/changed" in fault.message
    opened = open_exhibit("1", path)
    stream = opened.file_systems[0].open(Location.parse(walked(opened)[0]["/C/changed"].location))
    assert stream.read(0, 3) == b"new"
    said = stream.mismatch(Digests(sha256="", md5=hashlib.md5(b"new").hexdigest()))  # type: ignore[attr-defined]
    assert hashlib.md5(b"old").hexdigest() in said


def test_an_examination_names_such_a_file_and_examines_it_all_the_same(tmp_path: Path) -> None:
    changed = File("changed", b"write to someone@example.org", values={"ha": hashlib.md5(b"old").hexdigest()})
    path = write(tmp_path, Evidence([File("a.txt", b"text of a"), changed]))
    case = cases.create(tmp_path / "case", CaseInfo(case_id="T"))
    case.add_exhibit(Exhibit(exhibit_id="1", image=str(path), image_format="as found"), None)
    with case.lock():
        run.examine(case, case.exhibits(), Options(children=1, plugins=("features",)), lambda now: None)
    with index.open_index(tmp_path / "case" / "index.db") as held:
        faults = [(Location.parse(fault.location).path, fault.kind) for fault in held.faults() if "l01" in fault.location]
        assert faults == [("/C/changed", "damaged")]
        assert [Location.parse(record.location).path for record in held.records()] == ["/C/changed"]


def test_deleted_files_links_and_streams_say_so(tmp_path: Path) -> None:
    files = [
        File("gone", b"was here", values={"opr": str(DELETED), "dl": "1709209800"}),
        File("gone and empty", values={"opr": str(DELETED)}),
        File("link", values={"opr": str(LINK)}),
        File("a.txt·hidden", b"stream", values={"opr": str(STREAM)}),
    ]
    entries, _ = walked(open_exhibit("1", write(tmp_path, Evidence(files))))
    gone = entries["/C/gone"]
    assert (gone.state, gone.content, gone.note) == ("deleted", "unknown", "deleted at 2024-02-29T12:30:00Z")
    assert (entries["/C/gone and empty"].state, entries["/C/gone and empty"].content) == ("deleted", "intact")
    assert (entries["/C/link"].kind, entries["/C/link"].note) == ("link", "symbolic link, junction or reparse point")
    assert (entries["/C/a.txt·hidden"].state, entries["/C/a.txt·hidden"].note) == ("allocated", "alternate stream")


def test_the_sources_of_the_acquisition_are_named(tmp_path: Path) -> None:
    sources = [{"n": "Laptop", "id": "1", "ev": "7-1"}, {"n": "Stick", "id": "2", "ev": "7-2"}, {"n": "\ud800", "id": "3"}]
    opened = open_exhibit("1", write(tmp_path, Evidence([File("a", b"1", values={"src": "2"})], sources=sources)))
    assert opened.image is not None
    assert opened.image.metadata["sources"] == r"Laptop, evidence number 7-1; Stick, evidence number 7-2; \xed\xa0\x80"
    assert walked(opened)[0]["/C/a"].note == "from Stick, evidence number 7-2"


def test_an_image_of_folders_alone_has_no_content(tmp_path: Path) -> None:
    for kind in ("L01", "Lx01"):
        path = write(tmp_path, Evidence([File("folder", None)]), kind)
        entries, messages = walked(open_exhibit("1", path))
        assert (list(entries), messages) == (["/C", "/C/folder"], [])
        assert measure(open_image(path)).size == 0


def test_segments_are_found_by_their_own_extensions() -> None:
    # specifications, "Segment file extensions"
    assert [segment_number(f".L{end}", ".L01") for end in ("01", "99", "AA", "AZ", "BA", "ZZ")] == [1, 99, 100, 125, 126, 775]
    assert segment_number(".MAA", ".L01") == 776
    assert [segment_number(f".L{end}", ".Lx01") for end in ("x01", "xAA", "yAA")] == [1, 100, 776]
    assert segment_number(".E02", ".L01") is None
    assert segment_number(".Ex02", ".Lx01") is None
    assert segment_number(".Lx02", ".Ex01") is None


def test_an_e01_beside_it_is_another_image(tmp_path: Path) -> None:
    path = write(tmp_path, Evidence(TREE))
    (tmp_path / "image.E02").write_bytes(b"EVF\x09\x0d\x0a\xff\x00\x01\x02\x00\x00\x00")
    assert [file.name for file in open_image(path).files] == ["image.L01"]
    assert open_image(path).damage == ()


# --- encrypted, missing, cut, damaged ---------------------------------------------------------------------------------------


def test_an_encrypted_image_is_locked(tmp_path: Path) -> None:
    with pytest.raises(Locked, match=r"image\.Lx01.*encrypted"):
        open_image(Evidence(TREE).write_lx01(tmp_path / "image.Lx01", encrypted=True))


def test_a_missing_segment_takes_only_its_own_content(tmp_path: Path) -> None:
    path = write(tmp_path, Evidence(TREE), segments=3)  # five chunks: two, two, one
    (tmp_path / "image.L02").unlink()
    found, messages = read(path)
    assert (set(found), messages) == (set(WANTED), [])
    assert found["/C/a.txt"] == b"text of a"
    assert found["/C/deep/noise.bin"] == NOISE[: 2 * CHUNK - 10] + bytes(100_000 - (2 * CHUNK - 10))
    digest = measure(open_image(path))
    assert any("segments 2 to 2" in note.message for note in digest.damage)
    assert [name for name, holds in digest.stored_match.items() if not holds] == ["md5 of /C/deep/noise.bin", "sha1 of /C/deep/noise.bin"]


@pytest.mark.parametrize("kind", ["L01", "Lx01"])
def test_content_without_its_list_is_one_file(tmp_path: Path, kind: str) -> None:
    evidence = Evidence(TREE)
    path = write(tmp_path, evidence, kind)
    raw = path.read_bytes()
    at = raw.index("rec\n".encode("utf-16-le")) - 4
    path.write_bytes(raw[: at - 60 if kind == "L01" else at] + (b"" if kind == "L01" else raw[-64 - 64 - 80 :]))
    if kind == "Lx01":  # device information, the last but one section, says how large the medium is
        path.write_bytes(raw[:at] + raw[raw.index(evidence.text) + len(evidence.text) + -len(evidence.text) % 16 + 64 :])
    found, messages = read(path)
    assert list(found) == ["/content of all files"]
    assert isinstance(found["/content of all files"], bytes)
    assert found["/content of all files"].startswith(bytes(evidence.medium))
    assert any("all content is shown as one file" in message for message in messages)


def test_a_list_that_is_cut_short_shows_what_it_has(tmp_path: Path) -> None:
    path = write(tmp_path, Evidence(TREE))
    raw = path.read_bytes()
    path.write_bytes(raw[: raw.index("one byte, repeated".encode("utf-16-le"))])
    found, messages = read(path)
    whole = {name: WANTED[name] for name in ("/C/a.txt", "/C/empty", "/C/deep/noise.bin", "/C/deep/zeros", "/C/deep/ĳ 名.txt")}
    assert found == whole | {"/C/NoName": b"\7"}
    entries, _ = walked(open_exhibit("1", path))
    note = "its line in the list of files has 16 values for 33 columns; it has no name; 1 of its 5000 bytes are stored"
    assert entries["/C/NoName"].note == note
    assert any("cut short" in message for message in messages)
    assert any("counts 1 entries more than follow" in message for message in messages)


def test_a_list_that_was_changed_is_shown_and_said(tmp_path: Path) -> None:
    for kind in ("L01", "Lx01"):
        path = write(tmp_path, Evidence(TREE), kind)
        raw = path.read_bytes()
        path.write_bytes(raw.replace("a.txt".encode("utf-16-le"), "b.txt".encode("utf-16-le")))
        found, messages = read(path)
        assert found["/C/b.txt"] == b"text of a"
        assert any("MD5" in message for message in messages)
    raw = path.with_suffix(".L01").read_bytes()
    at = raw.index(b"ltree\0") + 76 + 20  # in the upper half of the size
    path.with_suffix(".L01").write_bytes(raw[:at] + b"\xff" + raw[at + 1 :])
    found, messages = read(path.with_suffix(".L01"))
    assert len(found) == len(WANTED)
    assert any("damaged header" in message for message in messages)


def test_a_damaged_chunk_reads_as_zeros_and_its_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, Evidence(TREE))
    raw = bytearray(path.read_bytes())
    at = raw.index(NOISE[CHUNK : CHUNK + 100])
    raw[at : at + 100] = bytes(100)
    path.write_bytes(raw)
    found, _ = read(path)
    assert found["/C/deep/noise.bin"] == NOISE[: CHUNK - 10] + bytes(CHUNK) + NOISE[2 * CHUNK - 10 :]
    assert {name for name, data in found.items() if data != WANTED[name]} == {"/C/deep/noise.bin"}
    digest = measure(open_image(path))
    assert {name for name, holds in digest.stored_match.items() if not holds} == {"md5 of /C/deep/noise.bin", "sha1 of /C/deep/noise.bin"}
    assert [(note.offset, note.size) for note in digest.damage] == [(CHUNK, CHUNK)]


def test_a_last_chunk_in_whole_sectors_is_read(tmp_path: Path) -> None:
    evidence = Evidence([File("x", NOISE[:1000])])
    evidence.medium += bytes(24)
    assert read(write(tmp_path, evidence))[0]["/C/x"] == NOISE[:1000]


# --- a list that lies -------------------------------------------------------------------------------------------------------


def test_content_beyond_the_medium_is_corrupt_and_names_its_file(tmp_path: Path) -> None:
    lies = [
        File("beyond", b"x", values={"be": "1 ffffffff 1"}),
        File("ends beyond", b"x", values={"ls": str(1 << 40), "be": f"1 0 {1 << 40:x}"}),
        File("nowhere", b"x", values={"be": ""}),
        File("senseless", b"x", values={"be": "3 zz 1"}),
        File("half a letter", b"x", values={"be": "1 \ud800 1"}),
        File("copy of nothing", b"x", values={"ls": "8", "opr": str(SPARSE), "du": "99999999"}),
        File("endless", b"x", values={"ls": str((1 << 63) - 1)}),
    ]
    found, _ = read(write(tmp_path, Evidence([*TREE, *lies])))
    assert {name: data for name, data in found.items() if isinstance(data, bytes)} == WANTED
    for lie in lies:
        assert f"/C/{lie.name}" in str(found[f"/C/{lie.name}"])
    opened = open_exhibit("1", tmp_path / "image.L01")
    with pytest.raises(Corrupt, match="its size is said to be 9223372036854775807 bytes"):
        opened.file_systems[0].open(Location.parse(walked(opened)[0]["/C/endless"].location))


def test_a_file_of_which_a_part_is_stored_has_that_part(tmp_path: Path) -> None:
    opened = open_exhibit("1", write(tmp_path, Evidence([File("part", b"123", values={"ls": "1000"})])))
    entry = walked(opened)[0]["/C/part"]
    assert (content(opened, entry), entry.note) == (b"123", "3 of its 1000 bytes are stored")


def test_files_of_any_size_out_of_one_byte_are_not_read_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXPANSION_FLOOR", 1 << 20)
    bomb = [File(f"{number}", b"\0", values={"ls": str(1 << 50), "opr": str(SPARSE)}) for number in range(3)]
    digest = measure(open_image(write(tmp_path, Evidence([*TREE, *bomb]))))
    assert digest.stored_match["digests of 3 files"] is False
    assert digest.stored_match["sha256 of the md5 digests of 6 files that match"] is True


@pytest.mark.parametrize("count", [1 << 31, 10**18])
def test_a_count_of_children_that_are_not_there_is_a_fault(tmp_path: Path, count: int) -> None:
    evidence = Evidence(TREE)
    place = next(number for number, line in enumerate(evidence.lines) if "\tdeep\t" in line) - 1
    evidence.lines[place] = f"26\t{count}"
    found, messages = read(write(tmp_path, evidence))
    assert sorted(map(str, found.values())) == sorted(map(str, WANTED.values()))
    assert any(f"line {place + 1} " in message and "more than follow" in message for message in messages)


def test_entries_that_nothing_counts_are_shown(tmp_path: Path) -> None:
    evidence = Evidence(TREE)
    place = next(number for number, line in enumerate(evidence.lines) if "\tC\t" in line) - 1
    evidence.lines[place] = "26\t1"
    found, messages = read(write(tmp_path, evidence))
    assert found["/C/a.txt"] == b"text of a"
    assert found["/deep/noise.bin"] == NOISE
    assert any("follow after all that are counted" in message for message in messages)


def test_a_damaged_line_costs_no_other_file(tmp_path: Path) -> None:
    evidence = Evidence(TREE)
    place = next(number for number, line in enumerate(evidence.lines) if "\tzeros\t" in line)
    evidence.lines[place - 1] = "2?6\t0"
    evidence.lines[place + 2 :] = ["", *evidence.lines[place + 2 :]]
    found, messages = read(write(tmp_path, evidence))
    assert set(found.values()) == set(WANTED.values())
    assert any("cannot be understood" in message for message in messages)


def test_a_tree_without_bottom_ends_with_a_fault(tmp_path: Path) -> None:
    inner = File("bottom", b"deep")
    for _ in range(400):
        inner = File("x", None, [inner])
    opened = open_exhibit("1", write(tmp_path, Evidence([inner, File("after", b"it")])))
    entries, messages = walked(opened)
    assert content(opened, entries["/C/after"]) == b"it"
    assert max(name.count("/") for name in entries) == limits.PATH_DEPTH
    assert messages == [f"146 entries lie more than {limits.PATH_DEPTH} folders deep; they are not listed"]


def test_strange_names_and_twice_the_same_are_all_shown(tmp_path: Path) -> None:
    files = [
        File("a/../../b", b"slashes"),
        File("", b"none"),
        File("..", b"dots"),
        File("\ud800", b"half a letter"),
        File("bell\x07", b"bell"),
        File("x" * 5000, b"long"),
        File("same", b"1", values={"id": "5"}),
        File("same", b"2", values={"id": "5"}),
    ]
    opened = open_exhibit("1", write(tmp_path, Evidence(files)))
    items = [item for item in opened.file_systems[0].walk() if isinstance(item, Entry) and item.kind == "file"]
    assert [content(opened, item) for item in items] == [file.content for file in files]
    notes = [item.note for item in items]
    assert notes[:4] == ["its name holds a slash", "it has no name", None, None]
    assert notes[5] == "its name has 5000 characters, of which the first 4096 are shown"
    assert Location.parse(items[3].location).path.encode("utf-8", "surrogateescape") == b"/C/\xed\xa0\x80"
    assert r"bell\x07" in items[4].location


def test_a_list_of_nothing_but_noise_gives_all_content_as_one_file(tmp_path: Path) -> None:
    evidence = Evidence(TREE)
    evidence.lines[:] = ["5", "rec", "tb", str(len(evidence.medium)), "", "entry", *("\x01\t" * 9 for _ in range(1000))]
    found, messages = read(write(tmp_path, evidence))
    assert found == {"/content of all files": bytes(evidence.medium)}
    assert any("cannot be understood" in message for message in messages)


def test_noise_in_an_image_raises_nothing_but_ours(tmp_path: Path) -> None:
    for kind in ("L01", "Lx01"):
        path = write(tmp_path, Evidence([File("x", b"abc" * 99), File("y", None, [File("z", NOISE[:300])])]), kind)
        whole = path.read_bytes()
        for seed in range(100):
            chance = random.Random(seed)
            raw = bytearray(whole[: chance.randrange(len(whole) // 2, len(whole) + len(whole) // 3)])
            for _ in range(chance.randrange(30)):
                raw[chance.randrange(8, len(raw))] = chance.randrange(256)
            path.write_bytes(raw)
            try:
                opened = open_exhibit("1", path)
            except EvidenceError:
                continue
            for entry in walked(opened)[0].values():
                if entry.kind == "file" and entry.size < 1 << 20:
                    try:
                        content(opened, entry)
                    except Corrupt as error:
                        assert Location.parse(entry.location).path in str(error) or "content" in str(error)
            opened.close()
