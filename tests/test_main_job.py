"""The main job on real images: every file that other tools found is there, and the result does not depend on how it was reached."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forensics import case as cases
from forensics import index
from forensics.cli import cli
from forensics.engine import run
from forensics.engine.options import Options
from forensics.engine.outcome import Outcome
from forensics.location import Location
from forensics.model import CaseInfo, Examined, Exhibit

FAST = ("known-hash",)


@contextmanager
def examined(
    image: Path, folder: Path, *, children: int = 2, plugins: tuple[str, ...] | None = FAST
) -> Iterator[tuple[index.Index, Outcome]]:
    case = cases.create(folder, CaseInfo(case_id="T"))
    case.add_exhibit(Exhibit(exhibit_id="1", image=str(image), image_format="as found"), None)
    with case.lock():
        outcome = run.examine(case, case.exhibits(), Options(children=children, plugins=plugins), lambda now: None)
    with index.open_index(case.index_path) as found:
        yield found, outcome


def by_path(found: index.Index) -> dict[str, list[Examined]]:
    held: dict[str, list[Examined]] = {}
    for entry in found.entries():
        held.setdefault(Location.parse(entry.entry.location).path, []).append(entry)
    return held


@pytest.mark.parametrize("name", ["winbox-a.E01", "usb-a.raw", "android-a.E01"])
def test_every_file_of_the_truth_is_there_with_its_digest(name: str, evidence: Path, tmp_path: Path) -> None:
    truth = [json.loads(line) for line in (evidence / "cases" / f"{name.split('.')[0]}.truth.jsonl").read_text().splitlines()]
    with examined(evidence / "cases" / name, tmp_path / "case") as (found, outcome):
        held = by_path(found)
        digests = {entry.digests.sha256: entry for entry in found.entries() if entry.digests}
    assert outcome.unchanged == {"1": True}
    for fact in truth:
        if fact["state"] == "allocated":
            assert [entry.digests.sha256 for entry in held[fact["path"]] if entry.digests and "stream=" not in entry.entry.location] == [
                fact["sha256"]
            ]
        elif fact.get("tsk_recovers_content"):
            assert digests[fact["sha256"]].entry.state in ("deleted", "orphan")
            assert digests[fact["sha256"]].entry.content == "intact"


def test_every_file_of_a_phone_as_a_folder_is_there_with_its_digest(evidence: Path, tmp_path: Path) -> None:
    truth = [json.loads(line) for line in (evidence / "cases" / "ios-a.truth.jsonl").read_text().splitlines()]
    with zipfile.ZipFile(evidence / "cases" / "ios-a.zip") as archive:
        archive.extractall(tmp_path / "phone")
    with examined(tmp_path / "phone", tmp_path / "case") as (found, _):
        held = {Location.parse(entry.entry.location).path: entry for entry in found.entries()}
    assert {fact["path"]: fact["sha256"] for fact in truth} == {
        fact["path"]: digests.sha256 for fact in truth if (digests := held[fact["path"]].digests)
    }


@pytest.mark.parametrize(
    "name",
    [
        "ext2.raw",
        "ext2.E01",
        "gpt.raw",
        "mbr.raw",
        "ntfs.raw",
        "fat12.raw",
        "iso9660.raw",
        "image-split.E01",
        "tsk_volume_system.001",
        "vss.E01",
    ],
)
def test_every_live_file_that_fls_lists_is_there_with_its_digest(name: str, evidence: Path, tmp_path: Path) -> None:
    facts = json.loads((evidence / "expected" / f"images__{name}.json").read_text())
    with examined(evidence / "images" / name, tmp_path / "case") as (found, _):
        places = ((Location.parse(entry.entry.location), entry) for entry in found.entries())
        held = {(place.path, place.stream): entry for place, entry in places if not any(layer.kind == "vss" for layer in place.layers)}
    wanted = [file for system in facts["tsk_filesystems"] for file in system.get("files", ())]
    assert wanted
    for file in wanted:
        if file["state"] != "allocated" or not file["mode"].startswith("r/") or not file["size"]:
            continue
        if "-144-" in file["inode"]:  # an index of the file system's own ($Secure:$SDH), not content
            continue
        if not file["md5"].strip("0") or file["path"] == "/$BadClus:$Bad":  # fls did not read it; a list of bad clusters, no content
            continue
        path, _, stream = file["path"].partition(":")
        entry = held[path, stream]
        assert entry.digests is not None
        assert entry.entry.size == file["size"]
        if not stream:  # `fls -h` digests a file's unnamed stream, whichever stream the line is about
            assert entry.digests.md5 == file["md5"]


def test_the_run_digest_does_not_depend_on_children_or_time_zone(evidence: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []
    for number, (children, zone) in enumerate([(1, "UTC"), (2, "Asia/Jakarta")]):
        monkeypatch.setenv("TZ", zone)
        with examined(evidence / "cases" / "usb-a.raw", tmp_path / str(number), children=children, plugins=None) as (_, outcome):
            digests.append(outcome.digest)
    assert digests[0] == digests[1]


def test_a_run_killed_half_way_is_resumed_to_the_same_digest(evidence: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "forensics", "process", str(evidence / "cases" / "winbox-a.E01"), "--json"]
    whole = subprocess.run([*command, "--case", str(tmp_path / "whole")], capture_output=True, text=True, check=False)
    assert whole.returncode in (0, 3), whole.stderr
    expected = next(json.loads(line)["run"]["digest"] for line in whole.stdout.splitlines() if '"run"' in line)
    killed = subprocess.Popen([*command, "--case", str(tmp_path / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    segments = tmp_path / "killed" / "runs" / "run-0001" / "segments"
    for _ in range(600):
        if list(segments.glob("unit-*")) or list(segments.glob("before-*")) or killed.poll() is not None:
            break
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    resumed = subprocess.run([*command, "--case", str(tmp_path / "killed")], capture_output=True, text=True, check=False)
    assert resumed.returncode == whole.returncode, resumed.stderr
    assert next(json.loads(line)["run"]["digest"] for line in resumed.stdout.splitlines() if '"run"' in line) == expected
    assert cases.check(cases.open_case(tmp_path / "killed")) == []


def test_one_changed_byte_of_the_image_changes_the_digest_and_is_named(evidence: Path, tmp_path: Path) -> None:
    image = tmp_path / "usb.raw"
    content = bytearray((evidence / "cases" / "usb-a.raw").read_bytes())
    with examined(evidence / "cases" / "usb-a.raw", tmp_path / "one") as (found, first):
        photo = next(entry for entry in found.entries() if entry.entry.location.partition(";")[0].endswith("Issue 508.jpg"))
    content[photo.entry.start + 2000] ^= 1
    image.write_bytes(content)
    with examined(image, tmp_path / "two") as (_, second):
        pass
    assert first.digest != second.digest
    differences = list(index.compare(tmp_path / "one" / "index.db", "run-0001", tmp_path / "two" / "index.db", "run-0001"))
    assert {(d.what, d.location) for d in differences} == {("entry", photo.entry.location), ("digest of the exhibit", "1:")}


def test_everything_malformed_ends_as_a_fault_a_finding_or_a_line_of_coverage(evidence: Path, tmp_path: Path) -> None:
    files = {f"/{path.name}" for path in (evidence / "malformed").iterdir()}
    with examined(evidence / "malformed", tmp_path / "case", plugins=None) as (found, _):
        entries = [(Location.parse(entry.entry.location), entry) for entry in found.entries()]
        coverage = {row.plugin: row for row in found.coverage()}
    outside = [(place.path, entry) for place, entry in entries if len(place.layers) == 1]
    assert sorted(path for path, _ in outside) == sorted(files)
    assert all(entry.outcome == "read" and entry.digests for _, entry in outside)
    inside = [entry for place, entry in entries if len(place.layers) > 1]
    assert inside
    assert all(entry.outcome in ("read", "failed") for entry in inside if entry.entry.kind == "file")
    assert coverage["type-mismatch"].offered >= len(files)


def test_rules_find_in_an_image_what_yara_finds(evidence: Path, tmp_path: Path) -> None:
    expected = json.loads((evidence / "expected" / "yara_matches.json").read_text())["matches"]
    prefix = "cases/winbox-a.E01!"
    wanted = {(key.removeprefix(prefix), match) for key, matches in expected.items() if key.startswith(prefix) for match in matches}
    case = cases.create(tmp_path / "case", CaseInfo(case_id="T"))
    case.add_exhibit(Exhibit(exhibit_id="1", image=str(evidence / "cases" / "winbox-a.E01"), image_format="as found"), None)
    rules = [str(evidence / "yara")]
    names = ("rule-match", "rule-match-named")
    with case.lock():
        run.examine(
            case, case.exhibits(), Options(plugins=names, plugin_options={name: {"rules": rules} for name in names}), lambda now: None
        )
    with index.open_index(case.index_path) as found:
        got = {
            (Location.parse(r.location).path, f"{str(r.finding.data['namespace']).rpartition('/')[2]}:{r.finding.data['rule']}")
            for r in found.records(kind="rule-match")
            if r.state == "allocated"
        }
    assert wanted
    assert got == wanted


def test_the_command_line_takes_an_image_to_a_report(evidence: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    result = CliRunner().invoke(
        cli, ["process", str(evidence / "images" / "ext2.raw"), "--case", str(tmp_path / "case"), "--lang", "en"], standalone_mode=False
    )
    assert result.exception is None
    (page,) = (tmp_path / "case" / "reports").glob("*/report.html")
    assert "a6c2f0e39afe6c6ab432ca5465349fcefe8dc944398e97b2d957d3f89dbb5d80" in page.read_text(
        encoding="utf-8"
    )  # the manifest's media.sha256


@pytest.mark.parametrize(("content", "words"), [(b"", "empty"), (b"KDMV\x01\0\0\0" + bytes(2000), "VMDK")])
def test_what_is_no_image_is_refused_with_a_reason(content: bytes, words: str, tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "forensics", "process", str(image), "--case", str(tmp_path / "case")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["ext2-bitflip.E01", "ext2-truncated.E01"])
def test_a_damaged_image_is_reported_as_damaged(name: str, evidence: Path, tmp_path: Path) -> None:
    with examined(evidence / "malformed" / name, tmp_path / "case") as (found, outcome):
        assert [fault.location.partition(";")[0] for fault in found.faults() if fault.kind == "damaged"]
    assert outcome.faults
    assert outcome.unchanged == {"1": True}
