"""The benchmark's own parts: that it reads each side's output, misses nothing that is missing, and measures whole process trees."""

import json
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import check
import environments
import ewf_chunks
import exifread
import found
import growth_material
import make_evidence
import measure
import pyewf
import sides
import table
from found import Found, Truth
from measure import Usage
from PIL import Image

from forensics import index
from forensics.case import open_case

ROOT = Path(__file__).parents[1]
ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


def side(files: dict[tuple[str, str], int], **more: object) -> Found:
    given: dict[str, object] = {
        "deleted": None,
        "matches": frozenset(),
        "exif": {},
        "paths": {digest: f"/{digest[0]}" for _, digest in files},
    }
    return Found(Counter(files), **(given | more))  # type: ignore[arg-type]


# --- reading what the tools write -------------------------------------------------------------------------------------------


def test_a_name_with_commas_and_odd_separators_is_one_name_to_hashdeep() -> None:
    line = f"5,{'a' * 32},{'b' * 40},{ONE},/x/a,b\u2028c.txt"
    assert list(found.hashdeep(f"%%%% HASHDEEP-1.0\n%%%% size,md5,sha1,sha256,filename\n## Invoked from: /\n{line}\n")) == [
        ("/x/a,b\u2028c.txt", ONE)
    ]


def test_a_line_that_is_no_digest_is_named() -> None:
    with pytest.raises(ValueError, match="no digest: 'hashdeep: cannot open'"):
        list(found.hashdeep("hashdeep: cannot open\n"))


def test_a_match_by_yara_keeps_the_blanks_of_its_path() -> None:
    assert list(found.yara_lines("rule_a /x/a b c.txt\n")) == [("rule_a", "/x/a b c.txt")]
    with pytest.raises(ValueError, match="no match"):
        list(found.yara_lines("error\n"))


def test_values_of_tags_are_compared_without_padding() -> None:
    assert found.plain("NIKON CORPORATION\0 ") == "NIKON CORPORATION"
    assert found.plain("Canon  EOS\n5D") == "Canon EOS 5D"


def test_the_folder_of_a_side_by_hand_is_read_by_content_and_partition(tmp_path: Path) -> None:
    lines, where = [], {"p2048": ONE, "p1679360": TWO, "p3063808": THREE}
    for name, digest in where.items():
        (tmp_path / "files" / name).mkdir(parents=True)
        lines.append(f"1,{'a' * 32},{'b' * 40},{digest},{tmp_path}/files/{name}/a picture.jpg")
    (tmp_path / "hashes").write_text("\n".join(lines) + "\n")
    (tmp_path / "yara").write_text(f"rule_a {tmp_path}/files/p2048/a picture.jpg\n")
    tags = {"SourceFile": f"{tmp_path}/files/p1679360/a picture.jpg", "Make": "Canon ", "DateTimeOriginal": "2020:01:02 03:04:05"}
    (tmp_path / "exif.json").write_text(json.dumps([tags, {"SourceFile": f"{tmp_path}/files/p2048/a picture.jpg"}]))
    (tmp_path / "timeline.csv").write_text("Date,Size\na\nb\n")
    for name in ("before", "after"):
        (tmp_path / f"image.{name}").write_text(f"{ONE}  bench.raw\n")
    read = found.of_hand(tmp_path)
    assert read.files == {("ntfs", ONE): 1, ("ext4", TWO): 1, ("fat32", THREE): 1}
    assert read.matches == {("rule_a", ONE)}
    assert read.exif == {TWO: {"make": "Canon", "original": "2020:01:02 03:04:05"}}
    assert (read.dated, read.problems) == (2, ())
    (tmp_path / "image.after").write_text(f"{TWO}  bench.raw\n")
    assert found.of_hand(tmp_path).problems == ("the image's digest differs before and after",)
    (tmp_path / "image.after").write_text(f"MD5 hash calculated over data:\t{'a' * 32}\n\newfverify: FAILURE\n")
    assert found.of_hand(tmp_path).problems[0].startswith("the image's digest was not verified")


def test_plaso_has_a_line_a_time_stamp_and_one_of_each_file_is_taken() -> None:
    place = {"location": "/a.txt", "parent": {"location": "/p2"}}
    event = {"pathspec": place, "filename": "/a.txt", "sha256_hash": ONE, "yara_match": ["rule_a"]}
    lines = [json.dumps(event | {"timestamp_desc": name}) for name in ("Creation Time", "Content Modification Time")]
    read = found.of_lines(found.of_plaso([*lines, json.dumps({"pathspec": {"location": "/folder"}})]))
    assert read.files == {("ext4", ONE): 1}
    assert read.matches == {("rule_a", ONE)}


# --- missing nothing that is missing ----------------------------------------------------------------------------------------

TRUTH = [
    Truth("ntfs", "/a", 5, ONE, deleted=False),
    Truth("ntfs", "/b", 5, ONE, deleted=False),
    Truth("fat32", "/c", 7, TWO, deleted=False),
    Truth("ntfs", "/gone", 5, ONE, deleted=True),
    Truth("ntfs", "/gone empty", 0, THREE, deleted=True),
]


def test_a_live_file_found_once_of_twice_is_missing_and_named() -> None:
    checked = check.against_truth(side({("ntfs", ONE): 1, ("fat32", TWO): 1}), TRUTH)
    assert (checked.live, checked.live_total) == (2, 3)
    assert len(checked.missing) == 1
    assert "ntfs /b" in checked.missing[0] and "1 of 2 times" in checked.missing[0]


def test_a_live_file_on_another_file_system_does_not_count() -> None:
    checked = check.against_truth(side({("ntfs", ONE): 2, ("ntfs", TWO): 1}), TRUTH)
    assert [line.split(" (")[0] for line in checked.missing] == ["live file not found: fat32 /c"]


def test_deleted_files_are_counted_beyond_the_live_ones_and_empty_ones_are_left_out() -> None:
    checked = check.against_truth(side({("ntfs", ONE): 3, ("fat32", TWO): 1}), TRUTH)
    assert (checked.deleted, checked.deleted_total, checked.missing) == (1, 1, ())
    assert check.against_truth(side({("ntfs", ONE): 2, ("fat32", TWO): 1}), TRUTH).deleted == 0


def test_a_side_that_says_what_is_deleted_is_believed() -> None:
    counted = side({("ntfs", ONE): 3, ("fat32", TWO): 1}, deleted=Counter())
    assert check.against_truth(counted, TRUTH).deleted == 0


def test_a_match_that_only_the_other_side_has_is_missing_on_content_that_was_read() -> None:
    ours = side({("ntfs", ONE): 1}, matches=frozenset({("both", ONE), ("here", ONE)}))
    theirs = side({("ntfs", ONE): 1, ("ntfs", TWO): 1}, matches=frozenset({("both", ONE), ("there", ONE), ("other", TWO)}))
    compared = check.matches(ours, theirs, "yara")
    assert compared.same == 1
    assert [line.split(":")[0] for line in compared.missing] == ["rule there matches by yara and not here"]
    assert [line.split(":")[0] for line in compared.named] == ["rule other", "rule here matches here and not by yara"]


def test_a_camera_is_missing_where_the_exif_directories_hold_it_and_named_where_other_metadata_do() -> None:
    ours = side({("ntfs", ONE): 1, ("ntfs", TWO): 1}, exif={ONE: {"make": "Canon"}, TWO: {"make": "Nikon"}})
    theirs = side(
        {("ntfs", ONE): 1, ("ntfs", TWO): 1}, exif={ONE: {"make": "Canon", "model": "5D"}, TWO: {"make": "NIKON", "model": "D70"}}
    )
    compared = check.exif(ours, theirs, "hand", {"/1": {"model": "IFD0"}, "/2": {"make": "IFD0", "model": "XMP-tiff"}}.__getitem__)
    assert compared.same == 1
    assert [line.split(": ")[1] for line in compared.missing] == ["'5D' by exiftool from IFD0, nothing here"]
    assert sorted(line.split(": ")[1] for line in compared.named) == [
        "'D70' by exiftool from XMP-tiff, nothing here",
        "'Nikon' here, 'NIKON' by exiftool from IFD0",
    ]


# --- making evidence -------------------------------------------------------------------------------------------------------


def test_made_photographs_hold_camera_and_time_and_are_the_same_every_time(tmp_path: Path) -> None:
    make_evidence.main(tmp_path / "one")
    make_evidence.main(tmp_path / "two")
    path = tmp_path / "one" / "photos" / "picture 01.jpg"
    with open(path, "rb") as file:
        tags = exifread.process_file(file, details=False)
    assert str(tags["Image Make"]) == "NIKON CORPORATION"
    assert str(tags["Image Model"]) == "NIKON D70"
    assert str(tags["EXIF DateTimeOriginal"]) == "2011:02:02 01:01:00"
    with Image.open(path) as picture:
        assert picture.size == (8, 8)
    assert (tmp_path / "two" / "photos" / "picture 01.jpg").read_bytes() == path.read_bytes()


def test_a_made_directory_is_whole_to_e2fsck_and_fls(tmp_path: Path) -> None:
    image = tmp_path / "many.raw"
    growth_material.huge_directory(image, 20_000)
    done = subprocess.run(["e2fsck", "-f", "-n", str(image)], capture_output=True, check=False, env=growth_material.PATH)
    assert done.returncode == 0
    listed = subprocess.run(["fls", "-r", "-F", str(image)], capture_output=True, text=True, check=True).stdout.splitlines()
    assert sum("file-" in line for line in listed) == 20_000


def test_a_made_sparse_file_has_its_size_and_its_ends(tmp_path: Path) -> None:
    image = tmp_path / "sparse.raw"
    growth_material.sparse_file(image, "huge.db", 3 << 30, growth_material.SQLITE)
    shown = subprocess.run(
        ["debugfs", "-R", "stat huge.db", str(image)], capture_output=True, text=True, check=True, env=growth_material.PATH
    )
    assert "Size: 3221225472" in shown.stdout
    assert image.stat().st_blocks * 512 < 64 << 20


def test_a_made_case_is_one_that_the_index_reads(tmp_path: Path) -> None:
    growth_material.case_of_records(tmp_path / "case", 1000)
    case = open_case(tmp_path / "case")
    index.ensure(case)
    with index.open_index(case.index_path) as held:
        assert held.counts().records_by_kind == {"phone-number": 333, "photo": 334, "rule-match": 333}
        assert held.counts().distinct_contents == 1000


# --- measuring --------------------------------------------------------------------------------------------------------------


def measured(command: list[str], log: Path, **more: object) -> Usage:
    """`measure.run` in a process of its own: it waits for every child of its process, and this one may have others."""
    given = json.dumps({"command": command, "log": str(log)} | more)
    script = (
        f"import json, pathlib, sys; sys.path.insert(0, {str(Path(measure.__file__).parent)!r}); import measure\n"
        "given = json.loads(sys.argv[1])\n"
        "given |= {name: pathlib.Path(given[name]) for name in ('log', 'stdout') if name in given}\n"
        "print(json.dumps([*measure.run(**given), list(measure.descendants(measure.os.getpid()))]))"
    )
    *values, left = json.loads(subprocess.run([sys.executable, "-c", script, given], capture_output=True, check=True).stdout)
    assert left == []
    return Usage(*values)


def test_a_process_that_outlives_its_parent_is_waited_for_and_its_memory_counted(tmp_path: Path) -> None:
    ready, done = str(tmp_path / "ready"), str(tmp_path / "done")
    grandchild = f"held = b'x' * (64 << 20); import time; open({ready!r}, 'w'); time.sleep(1.5); open({done!r}, 'w')"
    parent = (
        f"import os, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        f"while not os.path.exists({ready!r}): time.sleep(0.05)\n"
        "time.sleep(1); sys.exit(5)"
    )
    used = measured([sys.executable, "-c", parent], tmp_path / "log")
    assert used.code == 5
    assert (tmp_path / "done").exists()
    assert used.child >= 64 << 20
    assert used.tree >= used.child + used.parent > used.child
    assert used.pss >= 64 << 20


def test_a_command_beyond_its_limit_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    child = f"import time; time.sleep(60); open({str(tmp_path / 'done')!r}, 'w')"
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    used = measured([sys.executable, "-c", parent], tmp_path / "log", limit=0.5)
    assert used.code == -9
    assert not (tmp_path / "done").exists()


def test_output_goes_where_it_is_told(tmp_path: Path) -> None:
    used = measured([sys.executable, "-c", "print('found')"], tmp_path / "log", stdout=str(tmp_path / "out"))
    assert used.code == 0
    assert (tmp_path / "out").read_text() == "found\n"


def test_the_compressed_chunks_of_an_image_inflate_to_what_libewf_reads() -> None:
    path = ROOT / "test_images" / "ext2.E01"
    handle = pyewf.handle()
    handle.open([str(path)])
    medium = handle.read(handle.get_media_size())
    handle.close()
    chunks = list(ewf_chunks.chunks(path))
    size = chunks[0][1]
    expected = {medium[at : at + size] for at in range(0, len(medium), size)}
    assert chunks
    assert {zlib.decompressobj().decompress(stored) for stored, _ in chunks} <= expected


# --- telling ----------------------------------------------------------------------------------------------------------------


def test_the_table_stands_between_its_markers_and_the_rest_of_the_page_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    table.between(page, "bench", "| new |")
    assert page.read_text() == "before\n<!-- bench -->\n| new |\n<!-- /bench -->\nafter\n"
    with pytest.raises(ValueError, match="growth"):
        table.between(page, "growth", "x")


def test_the_shipped_page_has_both_places() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    for marker in ("bench", "growth"):
        assert text.index(f"<!-- {marker} -->") < text.index(f"<!-- /{marker} -->")


def test_a_bar_in_a_cell_does_not_split_it() -> None:
    assert table.markdown(["a"], [["x|y\nz"]]).splitlines()[2] == "| x\\|y z |"


def test_a_median_is_given_with_its_spread() -> None:
    assert table.spread([3.0, 1.0, 2.0]) == "2.0 (1.0-3.0)"
    assert table.spread([3.0]) == "3.0"
    assert (table.ratio(3.0, 2.0), table.ratio(3.0, None)) == ("1.50", "-")


def test_all_rules_stand_in_one_file_with_their_imports_at_the_top(tmp_path: Path) -> None:
    sides.one_file(tmp_path / "rules.yara")
    lines = (tmp_path / "rules.yara").read_text().splitlines()
    imports = [number for number, line in enumerate(lines) if line.startswith("import ")]
    assert imports == list(range(len(imports))) and imports
    assert "rule bench_pdf" in "\n".join(lines)


def test_an_environment_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    made = environments.make(tmp_path / "env", [str(tmp_path / "no-such-package")])
    assert made.failure is not None
    assert made.failure.startswith("cannot be installed: ")
