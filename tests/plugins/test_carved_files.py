"""Files carved out of space that no file system describes are, bit for bit, those that were put there; what is broken is said to be."""

import base64
import hashlib
import io
import os
import random
import sqlite3
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from forensics.plugins.carved_files import CONTINUED, carved_files
from PIL import Image

from forensics import case as cases
from forensics import index
from forensics.carving import content as contents
from forensics.engine import run
from forensics.engine.options import Options
from forensics.engine.outcome import Outcome
from forensics.errors import LimitExceeded
from forensics.evidence.space import Space
from forensics.location import Location
from forensics.model import CaseInfo, Examined, Exhibit
from forensics.testing import unpack

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "evidence"))
import interruption as breaking
from commands import tool

FILES = [
    "photos/Apple iPhone 4.jpg",
    "photos/FujiFilm FinePixS2Pro.jpg",
    "photos/HTC Desire.jpg",
    "photos/exif-at-eof.heic",
    "documents/Document.docx",
    "documents/minimal-document.pdf",
    "documents/javascript.pdf",
    "documents/fileAttachment.pdf",
    "artefacts/browser/chrome-History",
    "artefacts/mobile/android-contacts2.db",
    "artefacts/windows/issue22.hive",
    "artefacts/windows/dns_log_malformed.evtx",
]
FLIPPED = [
    "photos/HTC Desire.jpg",
    "noise.png",
    "moving.gif",
    "first.mp4",
    "documents/Document.docx",
    "documents/fileAttachment.pdf",
    "artefacts/windows/issue22.hive",
    "artefacts/mobile/android-contacts2.db",
    "launcher.exe",
]
CARVE = Space(unallocated=True, carve=True)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def drawn(format: str, side: int = 90) -> bytes:
    """A picture of coloured noise, as Pillow writes it."""
    out = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(side).randbytes(side * side * 3)).save(out, format)
    return out.getvalue()


def moving() -> bytes:
    out = io.BytesIO()
    frames = [Image.frombytes("L", (40, 30), random.Random(number).randbytes(1200)) for number in range(5)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


def box(kind: bytes, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def film(data: bytes, *, first: bool) -> bytes:
    """A film of one track, with its index before or behind its data (ISO/IEC 14496-12)."""
    movie = box(b"moov", box(b"mvhd", bytes(100)), box(b"trak", box(b"tkhd", bytes(84))))
    start = box(b"ftyp", b"isom\0\0\2\0isommp42")
    return start + movie + box(b"mdat", data) if first else start + box(b"mdat", data) + movie


def program() -> bytes:
    """A program that Debian or the Python Package Index ships: one of pip's launchers for Windows."""
    import pip

    found = sorted((Path(pip.__file__).parent / "_vendor" / "distlib").glob("*64.exe"))
    if not found:
        pytest.skip("this pip has no launchers for Windows")
    return found[0].read_bytes()


def space(*pieces: bytes, seed: int = 1) -> tuple[bytes, list[int]]:
    """Pieces at the beginning of sectors, noise between them; where each begins."""
    noise = random.Random(seed)
    out, starts = bytearray(noise.randbytes(1024)), []
    for piece in pieces:
        starts.append(len(out))
        out += piece + noise.randbytes(-len(piece) % 512 + 512 * noise.randrange(1, 5))
    return bytes(out), starts


def carved(data: bytes, **more: bytes) -> list[tuple[int, bytes, bool]]:
    """Where each file begins, its bytes, whether it is whole; the finding, the path and the member agree."""
    members, findings, error = unpack(carved_files, data, name="/4096-999999", companions={CONTINUED: more["after"]} if more else {})
    assert error is None
    out = []
    for (member, held), finding in zip(members, findings, strict=True):
        start = int(str(finding.data["offset"])) - 4096
        assert finding.kind == "carved-file"
        assert (member.size, member.path.partition(".")[0]) == (len(held), f"/{start}-{start + len(held) - 1}")
        assert (finding.locator.offset, finding.locator.size) == (start, len(held))  # type: ignore[union-attr]
        assert finding.data["method"] == "signature and structure"
        out.append((start, held, bool(finding.data["whole"])))
    return out


@pytest.fixture(scope="module")
def known(evidence: Path) -> dict[str, bytes]:
    """Files made by others, and by Pillow, one of each format that is carved."""
    made = {"noise.png": drawn("PNG", 300), "noise.jpg": drawn("JPEG"), "noise.gif": drawn("GIF"), "moving.gif": moving()}
    films = {
        "first.mp4": film(random.Random(5).randbytes(70_000), first=True),
        "last.mp4": film(random.Random(6).randbytes(70_000), first=False),
    }
    return {name: (evidence / name).read_bytes() for name in FILES} | made | films | {"launcher.exe": program()}


def test_every_format_is_carved_whole_and_where_it_lies(known: dict[str, bytes]) -> None:
    data, starts = space(*known.values())
    assert carved(data) == [(start, file, True) for start, file in zip(starts, known.values(), strict=True)]


def test_a_thumbnail_in_a_picture_is_not_carved_again(known: dict[str, bytes]) -> None:
    picture = known["photos/FujiFilm FinePixS2Pro.jpg"]
    assert picture.count(b"\xff\xd8\xff") > 1
    assert [held for _, held, _ in carved(space(picture)[0])] == [picture]


def test_a_picture_that_breaks_is_carved_as_far_as_it_is_valid_and_said_to_be_broken(known: dict[str, bytes]) -> None:
    for name in ("photos/HTC Desire.jpg", "noise.png", "moving.gif"):
        half = known[name][: len(known[name]) // 2 // 512 * 512]
        ((_, held, whole),) = carved(space(half + random.Random(9).randbytes(4096))[0])
        assert not whole
        assert known[name][: len(held)].startswith(held[: len(half)])
        assert len(held) < len(half) + 4096


def test_what_breaks_before_anything_can_be_seen_is_refused(known: dict[str, bytes]) -> None:
    heads = [known[name][:size] for name, size in (("photos/HTC Desire.jpg", 300), ("noise.png", 60), ("noise.gif", 2000))]
    assert carved(space(*heads)[0]) == []
    for name in ("documents/javascript.pdf", "first.mp4", "artefacts/windows/issue22.hive"):
        broken = bytearray(known[name])
        broken[20:600] = bytes(580)
        assert carved(space(bytes(broken))[0]) == []


def test_a_pdf_in_two_fragments_is_not_glued(known: dict[str, bytes]) -> None:
    whole = known["documents/fileAttachment.pdf"]
    assert carved(whole[:20480] + random.Random(3).randbytes(8192) + whole[20480:]) == []


def test_a_pdf_with_later_versions_goes_to_its_last_end(known: dict[str, bytes]) -> None:
    first = known["documents/javascript.pdf"]
    offset = first.rindex(b"xref\n", 0, first.rindex(b"startxref"))
    later = first + b"9 0 obj\n<<>>\nendobj\n"
    later += b"xref\n9 1\n%010d 00000 n \ntrailer\n<</Size 10/Root 1 0 R/Prev %d>>\n" % (len(first), offset)
    later += b"startxref\n%d\n%%%%EOF\n" % (len(first) + 20)
    other = known["documents/minimal-document.pdf"]
    assert [held for _, held, _ in carved(space(later, other)[0])] == [later, other]


def test_an_archive_whose_end_is_lost_keeps_the_members_that_have_the_right_checksum() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(zipfile.ZipInfo(f"{number}.txt"), random.Random(number).randbytes(3000), zipfile.ZIP_DEFLATED)
    data = out.getvalue()
    fourth = [at for at in range(len(data)) if data.startswith(b"PK\x03\x04", at)][3]
    ((_, held, whole),) = carved(space(data[: fourth + 700])[0])
    assert (held, whole) == (data[:fourth], False)


def test_a_zip64_archive_and_one_behind_other_bytes_are_carved_whole() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open(zipfile.ZipInfo("large"), "w", force_zip64=True) as member:
        member.write(b"x" * 5000)
    assert [held for _, held, _ in carved(space(out.getvalue())[0])] == [out.getvalue()]


def test_a_database_whose_pages_are_another_files_is_cut_before_them(known: dict[str, bytes]) -> None:
    database = known["artefacts/browser/chrome-History"]
    foreign = database[:40960] + b"\xee" * (len(database) - 40960)
    ((_, held, whole),) = carved(space(foreign)[0])
    assert (held, whole) == (database[:40960], False)


def test_a_database_with_free_and_overflow_pages_is_whole(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as made:
        made.execute("CREATE TABLE t (x BLOB)")
        made.executemany("INSERT INTO t VALUES (?)", [(random.Random(n).randbytes(9000),) for n in range(60)])
        made.execute("DELETE FROM t WHERE rowid % 3 = 0")
    made.close()
    data = (tmp_path / "a.db").read_bytes()
    ((_, held, whole),) = carved(space(data)[0])
    assert (len(held), held == data, whole) == (len(data), True, True)


def test_a_log_of_which_chunks_are_lost_says_so(evidence: Path) -> None:
    log = (evidence / "artefacts/windows/system.evtx").read_bytes()
    lost = log[: 4096 + 3 * 65536] + random.Random(1).randbytes(65536)
    ((_, held, whole),) = carved(space(lost)[0])
    assert (held, whole) == (log[: 4096 + 3 * 65536], False)


def test_a_file_that_goes_on_beyond_the_piece_is_followed_and_what_begins_there_is_left_to_the_next(known: dict[str, bytes]) -> None:
    picture, other = known["photos/HTC Desire.jpg"], known["noise.png"]
    data, starts = space(picture, other)
    cut = starts[0] + len(picture) // 2
    assert carved(data[:cut], after=data[cut:]) == [(starts[0], picture, True)]
    ((_, held, whole),) = carved(data[:cut])
    assert (held, whole) == (picture[: cut - starts[0]], False)


def test_a_film_lets_files_be_found_in_data_that_nothing_bounds(known: dict[str, bytes]) -> None:
    picture = known["noise.jpg"]
    head = len(film(b"", first=True))
    for lead in (bytes(512 * 9 - head % 512), bytes(1111)):  # at the beginning of a sector, and not
        data = film(lead + picture + bytes(9000), first=True)
        found = [held for _, held, _ in carved(space(data)[0])]
        assert found == ([data, picture] if len(lead) != 1111 else [data])


# --- hostile ----------------------------------------------------------------------------------------------------------------------


def hostile() -> dict[str, bytes]:
    ihdr = struct.pack(">I4s", 0xFFFFFFFF, b"IHDR") + bytes(30)
    gif = b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\1\0\1\0\0\2"
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    sqlite = bytearray(b"SQLite format 3\0" + bytes(84) + b"\x0d" + bytes(2000))
    sqlite[16:24] = struct.pack(">HBBBBBB", 512, 1, 1, 0, 64, 32, 32)
    sqlite[24:32] = struct.pack(">II", 7, 0xFFFFFFFF)
    sqlite[92:96] = struct.pack(">I", 7)
    evtx = bytearray(b"ElfFile\0" + bytes(4088))
    evtx[40:44] = struct.pack("<HH", 4096, 65535)
    evtx[124:128] = struct.pack("<I", zlib.crc32(evtx[:120]))
    mz = bytearray(program()[:1024])
    return {
        "png": b"\x89PNG\r\n\x1a\n" + ihdr,
        "png loop": b"\x89PNG\r\n\x1a\n" * 5000,
        "gif without end": gif + b"\1x" * 200_000,
        "jpeg of segments": b"\xff\xd8" + b"\xff\xfe\0\2" * 50_000,
        "jpeg of nothing": b"\xff\xd8\xff\xe0" * 50_000,
        "boxes of no size": struct.pack(">I4s8s", 16, b"ftyp", b"isom\0\0\0\0") + b"\0\0\0\0mdat" * 9000,
        "boxes in boxes": b"".join(struct.pack(">I4s", 1 << 30, b"moov") for _ in range(9000)),
        "box of 2^64": struct.pack(">I4s8s", 16, b"ftyp", b"isom\0\0\0\0") + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1),
        "archives that overlap": (b"PK\x03\x04" + bytes(26)) * 3000 + end * 3000,
        "zip64 of nothing": b"PK\x06\x06" + b"\xff" * 52 + b"PK\x06\x07" + bytes(16) + end,
        "pdf": b"%PDF-1.4\nstartxref\n0\n%%EOF\n" * 2000 + b"startxref\n99999999999\n%%EOF",
        "sqlite of 2 TiB": bytes(sqlite),
        "log of 65535 chunks": bytes(evtx),
        "hive": b"regf" + bytes(504) + struct.pack("<I", int.from_bytes(b"regf", "little")) + b"hbin" * 2000,
        "program": bytes(mz) + bytes(100),
        "signatures": b"MZ" * 60_000,
    }


@pytest.mark.parametrize("name", hostile())
def test_a_hostile_structure_ends_within_its_bytes(name: str) -> None:
    data = hostile()[name]
    data = bytes(512) + data
    members, findings, _ = unpack(carved_files, data, name=f"/0-{len(data) - 1}", given={"limit": 500})
    assert len(members) <= 500
    for _, held in members:
        assert held in data
    assert all(finding.data["size"] for finding in findings)


def test_more_files_than_are_wanted_are_said_to_be_more(known: dict[str, bytes]) -> None:
    members, _, error = unpack(carved_files, space(*[known["noise.png"]] * 5)[0], given={"limit": 3})
    assert len(members) == 3
    assert isinstance(error, LimitExceeded)


def test_reading_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_LEAST", 1 << 20)
    data = (b"%PDF-1.4\n" + b"startxref\n7\n%%EOF\n" * 30) * 400
    members, _, error = unpack(carved_files, data)
    assert members == []
    assert isinstance(error, LimitExceeded)


@pytest.mark.parametrize("name", FLIPPED)
def test_no_flipped_byte_makes_more_of_a_file_than_there_is(name: str, known: dict[str, bytes]) -> None:
    source = random.Random(name)
    for _ in range(25):
        data = bytearray(known[name])
        for _ in range(source.randrange(1, 8)):
            data[source.randrange(min(len(data), 4096))] = source.randrange(256)
        whole = bytes(data) + source.randbytes(700)
        for start, held, _ in carved(whole):
            assert whole[start : start + len(held)] == held


# --- in images ----------------------------------------------------------------------------------------------------------------------


def lay(kind: str, image: Path, files: Iterable[Path]) -> None:
    for path in files:
        if kind == "ntfs":
            tool("ntfscp", "-f", image, path, path.name)
        elif kind == "ext4":
            tool("debugfs", "-w", "-R", f'write "{path}" "{path.name}"', image)
        else:
            tool("mcopy", "-i", image, path, f"::{path.name}")


MAKE = {
    "fat32": ("mkfs.vfat", "-F", "32", "-s", "1"),
    "fat16": ("mkfs.vfat", "-F", "16"),
    "exfat": ("mkfs.exfat",),
    "ext4": ("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "nodiscard"),
    "ntfs": ("mkntfs", "-q", "-F", "-Q"),
}


def wiped(kind: str, image: Path, known: dict[str, bytes], *, small: bool = False) -> dict[str, str]:
    """A file system whose files are gone: the medium was formatted anew, so that nothing names them. Their digests."""
    folder = image.parent / "files"
    folder.mkdir()
    for number, (name, data) in enumerate(sorted(known.items())):
        (folder / f"F{number:02d}{Path(name).suffix.upper()[:4]}").write_bytes(data)
    with open(image, "wb") as out:
        out.truncate(12 << 20 if small else 48 << 20)
    first = "fat32" if kind == "exfat" else kind
    tool(*MAKE[first], image)
    filler = folder / "A"
    filler.write_bytes(random.Random(1).randbytes(0 if small else 8 << 20))  # what a file system writes at its own beginning goes over this
    lay(first, image, sorted(folder.iterdir()))
    tool(*MAKE[kind], image)
    return {sha256(data): name for name, data in known.items()}


@contextmanager
def examined(
    image: Path, folder: Path, plugins: tuple[str, ...] | None, *, children: int = 2, space: Space = CARVE
) -> Iterator[tuple[index.Index, Outcome, list[str]]]:
    said: list[str] = []
    case = cases.create(folder, CaseInfo(case_id="T"))
    case.add_exhibit(Exhibit(exhibit_id="1", image=str(image), image_format="as found"), None)
    options = Options(children=children, plugins=plugins, space=space)
    with case.lock():
        outcome = run.examine(case, case.exhibits(), options, lambda now: None, notice=said.append)
    with index.open_index(case.index_path) as found:
        yield found, outcome, said


def of_carving(found: index.Index) -> list[Examined]:
    return [
        entry for entry in found.entries() if any(layer.kind == "carved-files" for layer in Location.parse(entry.entry.location).layers)
    ]


@pytest.mark.parametrize("kind", MAKE)
def test_files_of_a_medium_that_was_formatted_anew_are_found_by_their_digests(kind: str, known: dict[str, bytes], tmp_path: Path) -> None:
    digests = wiped(kind, tmp_path / "image", known)
    with examined(tmp_path / "image", tmp_path / "case", ("carved-files",)) as (found, outcome, said):
        got = {entry.digests.sha256: entry for entry in of_carving(found) if entry.digests}
        coverage = {row.plugin: row for row in found.coverage()}
        layers = [layer for layer in found.layers() if layer.kind == "unallocated-space"]
        spaces = (line.entry for line in found.entries(state="unallocated") if line.entry.kind == "virtual")
        ranges = [(entry.start, entry.size) for entry in spaces]
    # what lay in more than one piece, or was written over by the new file system, cannot be whole
    raw = (tmp_path / "image").read_bytes()
    in_one_piece = {name for name, data in known.items() if any(data in raw[start : start + size] for start, size in ranges)}
    assert {name for digest, name in digests.items() if digest in got} == in_one_piece
    assert len(in_one_piece) >= (len(known) if kind != "ext4" else 12)
    assert all(entry.entry.state == "unallocated" for entry in got.values())
    assert coverage["carved-files"].findings >= len(in_one_piece)
    assert all(layer.examined and layer.size > 40 << 20 for layer in layers)
    assert outcome.unchanged == {"1": True}
    assert "an estimate" in said[0]


def test_the_plugins_examine_what_was_carved_and_the_features_of_the_space_itself(known: dict[str, bytes], tmp_path: Path) -> None:
    note = b"call dana.khoury@example.org about the boat"
    wiped("fat32", tmp_path / "image", {**known, "note.txt": note + bytes(600)})
    names = ("carved-files", "photo-exif", "features", "zip-archive")
    with examined(tmp_path / "image", tmp_path / "case", names) as (found, _, _):
        records = list(found.records())
        photo = sha256(known["photos/Apple iPhone 4.jpg"])
        assert any(record.plugin == "photo-exif" and record.sha256 == photo and record.state == "unallocated" for record in records)
        mail = [record for record in records if record.finding.data.get("value") == "dana.khoury@example.org"]
        inside = [entry for entry in found.entries() if Location.parse(entry.entry.location).path == "word/document.xml"]
    (of_space,) = [record for record in mail if Location.parse(record.location).layers[-1].kind == "unallocated"]
    place, locator = Location.parse(of_space.location), of_space.finding.locator
    start = int(place.path[1:].partition("-")[0]) + locator.offset  # type: ignore[union-attr]
    assert (tmp_path / "image").read_bytes()[start : start + 23] == b"dana.khoury@example.org"
    assert inside
    assert all(entry.entry.state == "unallocated" for entry in inside)


def test_features_are_found_in_slack_at_the_end_of_the_file_that_it_belongs_to(tmp_path: Path) -> None:
    image = tmp_path / "image"
    with open(image, "wb") as out:
        out.truncate(24 << 20)
    tool("mkfs.vfat", "-F", "16", "-s", "8", image)
    (tmp_path / "OLD.TXT").write_bytes(b"." * 3000 + b"write to dana.khoury@example.org" + b"." * 1000)
    tool("mcopy", "-i", image, tmp_path / "OLD.TXT", "::OLD.TXT")
    raw = bytearray(image.read_bytes())
    old = raw.index(b"." * 3000)
    raw[old : old + 140] = b"nothing to see" * 10
    entry = raw.index(b"OLD     TXT")
    raw[entry + 28 : entry + 32] = struct.pack("<I", 140)  # the file became shorter, its cluster stayed as it was
    image.write_bytes(raw)
    with examined(image, tmp_path / "case", ("features",), space=Space(slack=True)) as (found, _, said):
        (record,) = list(found.records())
        counts = found.counts()
    place = Location.parse(record.location)
    assert (record.state, place.path, place.offset) == ("slack", "/OLD.TXT", 140)
    start = old + 140 + record.finding.locator.offset  # type: ignore[union-attr]
    assert raw[start : start + 23] == b"dana.khoury@example.org"
    assert counts.space == {"slack": 4096 - 140}
    assert "slack" not in counts.entries_by_state
    assert said == []


def test_what_is_found_does_not_depend_on_the_number_of_children(known: dict[str, bytes], tmp_path: Path) -> None:
    wiped("fat32", tmp_path / "image", known)
    digests = []
    for children in (1, 2):
        everything = Space(unallocated=True, slack=True, carve=True)
        with examined(tmp_path / "image", tmp_path / str(children), None, children=children, space=everything) as (_, outcome, _):
            digests.append(outcome.digest)
    assert digests[0] == digests[1]


def test_without_the_option_space_is_named_with_its_size_and_nothing_is_carved(known: dict[str, bytes], tmp_path: Path) -> None:
    wiped("fat32", tmp_path / "image", known)
    with examined(tmp_path / "image", tmp_path / "case", ("carved-files",), space=Space()) as (found, _, said):
        (layer,) = [layer for layer in found.layers() if layer.kind == "unallocated-space"]
        assert not {entry.entry.state for entry in found.entries()} & {"unallocated", "slack"}
        assert [row.offered for row in found.coverage()] == [0]
    theirs = subprocess.run(["blkls", str(tmp_path / "image")], capture_output=True, check=True).stdout
    assert (layer.size, layer.examined) == (len(theirs), False)
    assert "--unallocated" in (layer.reason or "")
    assert said == []


def test_a_run_that_is_killed_while_it_carves_goes_on_to_the_same_result(known: dict[str, bytes], tmp_path: Path) -> None:
    options = ("--plugin", "carved-files", "--plugin", "photo-exif", "--carve", "--slack", "--template", "summary.md")
    image = tmp_path / "image"
    wiped("fat16", image, known, small=True)
    (tmp_path / "work-folder").mkdir()
    whole = breaking.Whole(image, tmp_path / "work-folder", *options)
    chosen = [moment for moment in breaking.moments(whole.steps, 7, 40) if moment.phase == "examining"][:1]
    assert chosen
    for number, moment in enumerate(chosen):
        breaking.killed_at(moment, image, whole.work, tmp_path / str(number), *options)
        breaking.resumed(image, tmp_path / str(number), whole.held, *options)


def test_a_reader_that_dies_while_files_are_carved_is_gone_on_with(known: dict[str, bytes], tmp_path: Path) -> None:
    options = ("--plugin", "carved-files", "--plugin", "features", "--carve", "--template", "summary.md")
    image = tmp_path / "image"
    wiped("fat16", image, known, small=True)
    (tmp_path / "work-folder").mkdir()
    whole = breaking.Whole(image, tmp_path / "work-folder", *options)
    process = breaking.started(breaking.command(image, tmp_path / "case", *options))
    segments = tmp_path / "case" / "runs" / "run-0001" / "segments"
    breaking.until(lambda: any(segments.glob("walk-*")), process)
    for pid in breaking.family(process.pid):
        try:
            if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, 9)
                break
        except OSError:
            continue
    if process.wait(120) not in (0, 3):
        breaking.resumed(image, tmp_path / "case", whole.held, *options)
    assert breaking.held(tmp_path / "case") == whole.held


def test_a_carved_file_is_extracted_by_its_location(known: dict[str, bytes], tmp_path: Path) -> None:
    from click.testing import CliRunner

    from forensics.cli import cli

    wiped("fat32", tmp_path / "image", known)
    with examined(tmp_path / "image", tmp_path / "case", ("carved-files",)) as (found, _, _):
        wanted = sha256(known["noise.png"])
        (place,) = [entry.entry.location for entry in of_carving(found) if entry.digests and entry.digests.sha256 == wanted]
    command = ["extract", place, "--case", str(tmp_path / "case"), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, command, standalone_mode=False)
    assert result.exception is None, result.output
    assert (tmp_path / "out").read_bytes() == known["noise.png"]


def test_base64_pictures_in_text_are_no_business_of_carving(known: dict[str, bytes]) -> None:
    assert carved(base64.b64encode(known["noise.png"])) == []
