"""`forensics export` on real cases: the card of test_images, and file systems whose bodyfile The Sleuth Kit writes, too."""

import csv
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from forensics import custody
from forensics.export.formats import FORMATS

ROOT = Path(__file__).parents[2]
# GPSLongitude and GPSLatitude as `exiftool -n` 12.57 shows them of what `icat` takes from the card
PLACES = {"DSCF0002.JPG": (2.297, 48.857833)}


def forensics(*arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "forensics", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def process(image: Path, folder: Path, *more: object) -> Path:
    forensics("process", image, "--case", folder, "--by", "tester", "--no-input", *more)
    return folder


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = ROOT / "test_images"
    return process(images / "card.E01", tmp_path_factory.mktemp("card") / "case", "--rules", images / "demo.yar")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_format_is_written_digested_and_logged(card: Path, tmp_path: Path, name: str) -> None:
    said = json.loads(forensics("export", name, "--case", card, "--by", "tester", "--out", tmp_path / "out", "--json"))["export"]
    written = {each["name"]: each["sha256"] for each in said["files"]}
    for file, digest in written.items():
        assert hashlib.sha256((Path(said["folder"]) / file).read_bytes()).hexdigest() == digest
    line = list(custody.read(card))[-1]
    assert (line.event, line.by) == ("exported", "tester")
    assert line.body is not None
    assert {file: facts["sha256"] for file, facts in line.body["files"].items()} == written
    assert line.body["format"] == name


def test_the_graph_of_the_card_conforms_and_names_its_inventory(card: Path, tmp_path: Path) -> None:
    from importlib.resources import files

    forensics(
        "export", "case-uco", "--case", card, "--by", "t", "--out", tmp_path / "a.jsonld", "--query", "kind=photo", "--kind", "rule-match"
    )
    ontology = str(files("case_utils.ontology") / "case-1.5.0.ttl")
    command = [sys.executable, "-m", "pyshacl_turbo", "-s", ontology, "-e", ontology, "-df", "json-ld", str(tmp_path / "a.jsonld")]
    assert "Conforms: True" in subprocess.run(command, capture_output=True, text=True, check=False).stdout
    digest = hashlib.sha256((tmp_path / "a-files.jsonl").read_bytes()).hexdigest()
    assert digest.upper() in (tmp_path / "a.jsonld").read_text()


def test_the_map_shows_where_the_photograph_was_taken(card: Path, tmp_path: Path) -> None:
    forensics("export", "kml", "--case", card, "--by", "t", "--out", tmp_path / "a.kml")
    space = "{http://www.opengis.net/kml/2.2}"
    marks = ElementTree.parse(tmp_path / "a.kml").getroot().iter(f"{space}Placemark")
    places = {}
    for mark in marks:
        location = next(data.findtext(f"{space}value") for data in mark.iter(f"{space}Data") if data.get("name") == "location")
        longitude, latitude = (mark.findtext(f"{space}Point/{space}coordinates") or "").split(",")[:2]
        places[(location or "").partition(";")[0].rpartition("/")[2]] = (float(longitude), float(latitude))
    for name, place in PLACES.items():
        assert places[name] == pytest.approx(place, abs=1e-5)


def test_filters_choose_records_and_exhibits(card: Path, tmp_path: Path) -> None:
    forensics("export", "csv", "--case", card, "--by", "t", "--out", tmp_path / "csv", "--kind", "photo", "--kind", "boarding-pass")
    with open(tmp_path / "csv/findings.csv", encoding="utf-8-sig", newline="") as file:
        assert {row["kind"] for row in csv.DictReader(file)} == {"photo", "boarding-pass"}
    forensics(
        "export", "sqlite", "--case", card, "--by", "t", "--out", tmp_path / "a.sqlite", "--exhibit", "2026-1", "--query", "level=notable"
    )
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as sql:
        assert sql.execute("SELECT DISTINCT level FROM records").fetchall() == [("notable",)]
        assert sql.execute("SELECT COUNT(*) FROM entries").fetchone()[0] > 20
    said = forensics("export", "sqlite", "--case", card, "--by", "t", "--exhibit", "7", code=2)
    assert "no exhibit 7" in said


def test_an_export_overwrites_nothing(card: Path, tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("mine")
    assert "exists already" in forensics("export", "xlsx", "--case", card, "--by", "t", "--out", tmp_path / "a.xlsx", code=2)
    assert (tmp_path / "a.xlsx").read_text() == "mine"
    (tmp_path / "b-files.jsonl").write_text("mine")  # would be the inventory
    assert "b-files.jsonl exists" in forensics("export", "case-uco", "--case", card, "--by", "t", "--out", tmp_path / "b.jsonld", code=2)
    assert "not an empty folder" in forensics("export", "csv", "--case", card, "--by", "t", "--out", tmp_path, code=2)


def test_a_bodyfile_takes_no_query(card: Path) -> None:
    assert "--exhibit does" in forensics("export", "bodyfile", "--case", card, "--by", "t", "--kind", "photo", code=2)


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nothing")
    (folder / "exhibit").mkdir()
    return process(folder / "exhibit", folder / "case", "--plugin", "photo-exif")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_can_say_that_nothing_was_found(nothing: Path, tmp_path: Path, name: str) -> None:
    said = json.loads(
        forensics("export", name, "--case", nothing, "--by", "t", "--out", tmp_path / f"out{FORMATS[name].ending or ''}", "--json")
    )
    for each in said["export"]["files"]:
        path = Path(said["export"]["folder"]) / each["name"]
        if path.suffix == ".jsonld":
            assert json.loads(path.read_text())["@graph"]
        elif path.suffix == ".kml":
            ElementTree.parse(path)
        elif path.suffix == ".xlsx":
            openpyxl.load_workbook(path).close()


# --- against The Sleuth Kit -------------------------------------------------------------------------------------------------


def fls(image: Path) -> dict[tuple[str, str], list[str]]:
    """What `fls -m` writes, by name and inode; in UTC."""
    done = subprocess.run(["fls", "-r", "-m", "/", image], capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"})
    rows = (line.split("|") for line in done.stdout.splitlines())
    # the second time of a name, and the trees of an index (, 144): neither is a content of its own
    return {(row[1], row[2]): row for row in rows if "($FILE_NAME)" not in row[1] and not (":" in row[1] and "-144-" in row[2])}


def ours(path: Path) -> dict[tuple[str, str], list[str]]:
    rows = (line.split("|") for line in path.read_text().splitlines())
    return {(row[1].split(":", 2)[2], row[2]): row for row in rows}


@pytest.mark.skipif(shutil.which("fls") is None, reason="The Sleuth Kit's tools are not installed")
@pytest.mark.parametrize(("image", "local"), [("ext2.raw", False), ("ntfs.raw", False), ("fat12.raw", True)])
def test_the_bodyfile_is_the_one_of_the_sleuth_kit(evidence: Path, tmp_path: Path, image: str, local: bool) -> None:
    """Names, inodes, sizes and times of all files; FAT's times as `fls` reads the clock's reading under TZ=UTC."""
    case = process(evidence / "images" / image, tmp_path / "case", "--plugin", "photo-exif")
    forensics("export", "bodyfile", "--case", case, "--by", "t", "--out", tmp_path / "a.body")
    mine, theirs = ours(tmp_path / "a.body"), fls(evidence / "images" / image)
    timed = ours(tmp_path / "a-unknown-zone.body") if local else mine
    both = [key for key in theirs if key in mine and theirs[key][3][0] in "rdl"]
    assert len(both) >= 4
    assert {key[0] for key in theirs if theirs[key][3][0] in "rdl"} <= {key[0] for key in mine}
    for key in both:
        assert mine[key][6] == theirs[key][6]
        if "$MFT" in key[0] or "Volume Label" in key[0]:
            continue  # times from before 1970, which `fls` prints as after 2038; a label is no file
        assert timed[key][7:] == theirs[key][7:]
        if image.startswith("ext2"):
            assert mine[key][3:6] == theirs[key][3:6]  # mode, owner, group


@pytest.mark.skipif(shutil.which("mactime") is None, reason="The Sleuth Kit's tools are not installed")
def test_mactime_reads_the_bodyfile(evidence: Path, tmp_path: Path) -> None:
    case = process(evidence / "images" / "ext2.raw", tmp_path / "case", "--plugin", "photo-exif")
    forensics("export", "bodyfile", "--case", case, "--by", "t", "--out", tmp_path / "a.body")
    done = subprocess.run(["mactime", "-b", tmp_path / "a.body", "-d", "-y", "-z", "UTC"], capture_output=True, text=True, check=True)
    rows: list[Any] = [row for row in csv.reader(done.stdout.splitlines()) if "passwords.txt" in row[-1]]
    assert ["2021-07-22T14:07:32Z", "116", "mac."] in [row[:3] for row in rows]
