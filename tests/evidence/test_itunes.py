"""A backup in a folder, an archive and an image: its files are examined under the names that they had on the phone."""

import hashlib
import os
import sqlite3
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))
from commands import tool
from itunes_made import NOTE, PASSWORD, SMS, SMS_NAME, Keys, backup, stored_name, written

from forensics import case as cases
from forensics import index
from forensics.cli import cli
from forensics.engine import run
from forensics.engine.around import neighbour
from forensics.engine.options import Options
from forensics.errors import Corrupt
from forensics.evidence.filesystem import FileSystem
from forensics.evidence.layers import open_exhibit
from forensics.location import Location
from forensics.model import CaseInfo, Entry, Examined, Exhibit, Fault

UDID = "00008030-000A1B2C3D4E5F6A"


def messages(folder: Path) -> dict[tuple[str, str], bytes]:
    """A database whose log alone holds a message that was deleted."""
    path = folder / "sms.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE message (text TEXT)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO message VALUES ('in the log alone')")
        connection.execute("DELETE FROM message")
        return {SMS: path.read_bytes(), (SMS[0], f"{SMS[1]}-wal"): Path(f"{path}-wal").read_bytes()}


def examined(image: Path, folder: Path, passwords: Path) -> tuple[cases.Case, dict[str, Examined], list[Fault]]:
    case = cases.create(folder, CaseInfo(case_id="T"))
    case.add_exhibit(Exhibit(exhibit_id="1", image=str(image), image_format="as found"), None)
    options = Options(
        children=1,
        plugins=("itunes-backup", "features", "sqlite-recovered"),
        plugin_options={"itunes-backup": {"passwords_file": str(passwords)}},
    )
    with case.lock():
        run.examine(case, case.exhibits(), options, lambda now: None)
    with index.open_index(case.index_path) as found:
        return case, {entry.entry.location: entry for entry in found.entries()}, list(found.faults())


def test_encrypted_backup_in_a_folder_is_examined_and_extracted_under_its_own_names(tmp_path: Path) -> None:
    files = {NOTE: b"meet me at inner@example.org\n", **messages(tmp_path)}
    written(tmp_path / "exhibit" / "Backup" / UDID, backup(tmp_path, files, Keys()))
    (tmp_path / "list").write_text(PASSWORD, encoding="utf-8")
    case, entries, faults = examined(tmp_path / "exhibit", tmp_path / "case", tmp_path / "list")
    assert faults == []
    inside = {place.path: entries[str(place)] for place in map(Location.parse, entries) if place.layers[-1].kind == "itunes-backup"}
    for (domain, path), content in files.items():
        found = inside[f"{domain}/{path}"]
        assert found.digests and found.digests.sha256 == hashlib.sha256(content).hexdigest()
        name = stored_name(domain, path)
        assert f"1:folder:/Backup/{UDID}/{name[:2]}/{name}" in entries
        assert found.entry.times.modified == "2023-11-14T22:13:20Z"
    assert inside["HomeDomain/Library"].entry.kind == "directory"
    assert inside["Manifest.db (decrypted)"].mime == "application/vnd.sqlite3"
    with index.open_index(case.index_path) as found_records:
        records = list(found_records.records())
    (mail,) = [record for record in records if record.finding.data.get("value") == "inner@example.org"]
    assert Location.parse(mail.location).path == "/".join(NOTE)
    assert "in the log alone" in str([record.finding for record in records if record.plugin == "sqlite-recovered"])
    target = tmp_path / "note.txt"
    words = ["extract", mail.location, "--case", str(case.folder), "--output", str(target), "--passwords", str(tmp_path / "list")]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exit_code == 0, done.exception
    assert target.read_bytes() == files[NOTE]


# --- what lies around a file ------------------------------------------------------------------------------------------------


def in_folder(folder: Path) -> Path:
    return folder / "source"


def in_archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "phone.zip", "w") as archive:
        for path in sorted((folder / "source").rglob("*")):
            archive.write(path, path.relative_to(folder / "source"))
    return folder / "phone.zip"


def in_image(folder: Path) -> Path:
    tool("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-d", folder / "source", folder / "disk.raw", "2M")
    return folder / "disk.raw"


def stored(system: FileSystem) -> Location:
    places = [Location.parse(entry.location) for entry in system.walk() if isinstance(entry, Entry)]
    return next(place for place in places if place.name == SMS_NAME)


@pytest.mark.parametrize("made", [in_folder, in_archive, in_image])
def test_manifest_is_found_from_a_stored_file_and_nothing_outside(made: object, tmp_path: Path) -> None:
    files = backup(tmp_path, {SMS: b"content"})
    written(tmp_path / "source" / "Backup" / UDID, files)
    assert callable(made)
    opened = open_exhibit("1", made(tmp_path))
    system = opened.file_systems[0]
    place = stored(system)
    for path in ("Manifest.db", "Manifest.plist", f"3d/{SMS_NAME}"):
        near = neighbour(system, place, f"../{path}")
        assert near
        assert (near.size, near.open().read()) == (len(files[path]), files[path])
    assert neighbour(system, place, SMS_NAME)
    for path in (
        "",
        ".",
        "..",
        "../..",
        "../../../../../../etc/passwd",
        "/etc/passwd",
        "./x",
        "x//y",
        "../3d/../Manifest.db",
        "x\0",
        "none",
    ):
        assert neighbour(system, place, path) is None


def test_link_to_outside_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    written(tmp_path / "source", backup(tmp_path, {SMS: b"content"}))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    os.symlink(tmp_path / "outside", tmp_path / "source" / "way")
    (tmp_path / "source" / "Manifest.mbdb").symlink_to(tmp_path / "outside" / "secret")
    (system,) = open_exhibit("1", tmp_path / "source").file_systems
    assert neighbour(system, stored(system), "../Manifest.mbdb") is None
    with pytest.raises(Corrupt):
        neighbour(system, stored(system), "../way/secret")
