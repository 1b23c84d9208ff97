"""iTunes backups, made after their format: names that hashes stand for, the device, and what is encrypted."""

import contextlib
import plistlib
import random
import sqlite3
import struct
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from forensics.plugins.itunes_backup import itunes_backup, itunes_backup_device

from forensics.plugin import Corrupt, Finding, Locked, Unsupported
from forensics.testing import run

SMS = "3d0d7e5fb2ce288813306e4d4636395e047a3d28"  # the name of HomeDomain-Library/SMS/sms.db in every backup


def described(**values: Any) -> bytes:
    """An MBFile as NSKeyedArchiver writes it."""
    root: dict[str, Any] = {"$class": plistlib.UID(2), "RelativePath": plistlib.UID(3), **values}
    objects: list[Any] = ["$null", root, {"$classname": "MBFile", "$classes": ["MBFile", "NSObject"]}, "Library/SMS/sms.db", b"key"]
    archive = {"$version": 100000, "$archiver": "NSKeyedArchiver", "$top": {"root": plistlib.UID(1)}, "$objects": objects}
    return plistlib.dumps(archive, fmt=plistlib.FMT_BINARY)


def manifest(tmp_path: Path, *rows: tuple[Any, ...]) -> bytes:
    path = tmp_path / "made.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB)")
    connection.executemany("INSERT INTO Files VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path.read_bytes()


def test_hashed_name_is_said_to_be_its_file(tmp_path: Path) -> None:
    blob = described(
        Size=315392, LastModified=1_700_000_000, Birth=1_600_000_000, LastStatusChange=1_700_000_001, Mode=0o100644, UserID=501
    )
    (finding,) = run(itunes_backup, manifest(tmp_path, (SMS, "HomeDomain", "Library/SMS/sms.db", 1, blob)), name="Manifest.db")
    assert (finding.kind, finding.summary) == ("backup-file", "File in an iTunes backup: HomeDomain/Library/SMS/sms.db")
    assert finding.when == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert finding.data == {
        "file_id": SMS,
        "stored_as": f"3d/{SMS}",
        "domain": "HomeDomain",
        "path": "Library/SMS/sms.db",
        "entry_kind": "file",
        "time_modified": "2023-11-14T22:13:20Z",
        "time_changed": "2023-11-14T22:13:21Z",
        "time_created": "2020-09-13T12:26:40Z",
        "size": 315392,
        "uid": 501,
        "mode": "100644",
        "encrypted": False,
    }
    assert str(finding.locator) == "table Files, row 1"


def test_encrypted_file_and_wrong_name_are_told(tmp_path: Path) -> None:
    rows = [(SMS, "HomeDomain", "Library/SMS/sms.db", 1, described(EncryptionKey=plistlib.UID(4))), ("0" * 40, "HomeDomain", "a", 2, None)]
    first, second = run(itunes_backup, manifest(tmp_path, *rows))
    assert first.data["encrypted"] is True
    assert "note" not in first.data
    assert second.data["note"] == "its name is not the SHA-1 of its domain and path"
    assert second.data["entry_kind"] == "directory"


def test_description_that_is_hostile_costs_only_itself(tmp_path: Path) -> None:
    loop = plistlib.dumps({"$top": {"root": plistlib.UID(99)}, "$objects": ["$null"]}, fmt=plistlib.FMT_BINARY)
    rows = [(f"{number:040}", "D", "p", 1, blob) for number, blob in enumerate((loop, b"bplist00", b"", "text", 5, b"<plist>"))]
    assert len(run(itunes_backup, manifest(tmp_path, *rows))) == 6


def test_encrypted_manifest_is_locked() -> None:
    with pytest.raises(Locked):
        run(itunes_backup, random.Random(1).randbytes(8192), name="Manifest.db")


def mbdb(*records: tuple[bytes, bytes, int, int, int]) -> bytes:
    data = b"mbdb\5\0"
    for domain, path, mode, modified, size in records:
        for text in (domain, path):
            data += struct.pack(">H", len(text)) + text
        data += b"\xff\xff" * 3 + struct.pack(">HQIIIIIQBB", mode, 7, 501, 501, modified, modified, modified, size, 4, 1)
        data += struct.pack(">H", 1) + b"k" + struct.pack(">H", 2) + b"vv"
    return data


def test_older_manifest_is_read() -> None:
    found = run(
        itunes_backup, mbdb((b"HomeDomain", b"Library/SMS/sms.db", 0o100644, 1_400_000_000, 9), (b"HomeDomain", b"Library", 0o40755, 0, 0))
    )
    assert [(one.data["file_id"], one.data["entry_kind"], one.data.get("size")) for one in found] == [
        (SMS, "file", 9),
        (sha1(b"HomeDomain-Library").hexdigest(), "directory", 0),
    ]
    assert found[0].when == datetime(2014, 5, 13, 16, 53, 20, tzinfo=UTC)


def test_cut_manifest_gives_its_beginning() -> None:
    data = mbdb(*[(b"HomeDomain", b"p%d" % number, 0o100644, 1, 1) for number in range(10)])
    for end in range(20, len(data), 37):
        found: list[Finding] = []
        try:
            found = run(itunes_backup, data[:end])
        except Corrupt:
            continue
        assert found


def device(**changes: Any) -> dict[str, Any]:
    return {
        "Device Name": "Dana's iPhone",
        "Product Type": "iPhone10,4",
        "Product Version": "15.7",
        "Serial Number": "F17XXXXXXXXX",
        "Unique Identifier": "00008030AAAA",
        "IMEI": "490154203237518",
        "ICCID": "8966000000000000000",
        "Phone Number": "+66 2 123 4567",
        "Last Backup Date": datetime(2024, 3, 4, 5, 6, 7),
        "Installed Applications": ["org.example.b", "org.example.a"],
        **changes,
    }


@pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY])
def test_device_is_described(form: plistlib.PlistFormat) -> None:
    (finding,) = run(itunes_backup_device, plistlib.dumps(device(), fmt=form), name="Info.plist")
    assert (finding.kind, finding.summary) == ("phone-backup", "iTunes backup of Dana's iPhone")
    assert finding.when == datetime(2024, 3, 4, 5, 6, 7, tzinfo=UTC)
    said = {key: finding.data[key] for key in ("device_type", "system_version", "serial_number", "imei", "iccid", "phone_number")}
    assert said == {
        "device_type": "iPhone10,4",
        "system_version": "15.7",
        "serial_number": "F17XXXXXXXXX",
        "imei": "490154203237518",
        "iccid": "8966000000000000000",
        "phone_number": "+66 2 123 4567",
    }
    assert finding.data["applications"] == ["org.example.a", "org.example.b"]


def test_manifest_says_whether_it_is_encrypted() -> None:
    content = {
        "IsEncrypted": True,
        "WasPasscodeSet": True,
        "Date": datetime(2024, 1, 1),
        "Lockdown": {"DeviceName": "x", "SerialNumber": "s"},
    }
    (finding,) = run(itunes_backup_device, plistlib.dumps(content))
    assert finding.summary == "iTunes backup of x, encrypted"
    assert (finding.data["encrypted"], finding.data["passcode_set"], finding.data["serial_number"]) == (True, True, "s")


def test_property_list_of_an_application_is_not_mine() -> None:
    with pytest.raises(Unsupported):
        run(itunes_backup_device, plistlib.dumps({"CFBundleIdentifier": "org.example"}), name="Info.plist")


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_end_in_no_other_error(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    made = [
        (itunes_backup, bytearray(manifest(tmp_path, (SMS, "HomeDomain", "Library/SMS/sms.db", 1, described(Size=1))))),
        (itunes_backup, bytearray(mbdb((b"HomeDomain", b"a", 1, 1, 1), (b"D", b"b", 1, 1, 1)))),
        (itunes_backup_device, bytearray(plistlib.dumps(device(), fmt=chance.choice((plistlib.FMT_XML, plistlib.FMT_BINARY))))),
    ]
    for plugin, content in made:
        for _ in range(6):
            content[chance.randrange(len(content))] = chance.choice((0, 0xFF, chance.randrange(256)))
        with contextlib.suppress(Unsupported, Corrupt, Locked):
            run(plugin, bytes(content))


@pytest.mark.parametrize("content", [b"", b"mbd", b"SQLite format 3\0", b"<plist>", b"bplist00", random.Random(4).randbytes(70_001)])
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    for plugin in (itunes_backup, itunes_backup_device):
        with pytest.raises((Unsupported, Corrupt)):
            run(plugin, content)
