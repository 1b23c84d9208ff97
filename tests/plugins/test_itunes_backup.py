"""iTunes backups, made after their format: names that hashes stand for, the device, the files under their names, encrypted ones opened."""

import contextlib
import hashlib
import plistlib
import random
import struct
import sys
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from forensics.plugins.itunes_backup import itunes_backup, itunes_backup_device
from iphone_backup_decrypt import EncryptedBackup, IncorrectPassphraseError
from itunes_made import FILES, NOTE, PASSWORD, SMS, SMS_NAME, Keys, backup, database, described, mbdb, stored_name, written

from forensics.itunes import keybag
from forensics.plugin import Corrupt, Finding, LimitExceeded, Locked, Member, Unsupported
from forensics.testing import file_of, run, unpack

Unpacked = tuple[list[tuple[Member, bytes]], list[Finding], Exception | None]


def listed(content: bytes, name: str = "Manifest.db", **around: bytes) -> list[Finding]:
    """What is said of the files of a manifest, with nothing of the backup around it but what is given."""
    _, findings, _ = unpack(itunes_backup, content, name=f"/backup/{name}", around={name: content, **around})
    return [finding for finding in findings if finding.kind == "backup-file"]


def unpacked(made: dict[str, bytes], path: str, passwords: Path | None = None) -> Unpacked:
    """What comes out of one file of a backup, as it lies in its folder among the others."""
    up = path.count("/")
    around = {f"../{name}" if up else name: data for name, data in made.items()}
    return unpack(itunes_backup, made[path], name=f"/backup/{path}", around=around, given={"passwords_file": str(passwords or "")})


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("passwords") / "list.txt"
    path.write_text(f"1234\r\n{PASSWORD}\n", encoding="utf-8")
    return path


def test_hashed_name_is_said_to_be_its_file(tmp_path: Path) -> None:
    blob = described(
        Size=315392, LastModified=1_700_000_000, Birth=1_600_000_000, LastStatusChange=1_700_000_001, Mode=0o100644, UserID=501
    )
    (finding,) = listed(database(tmp_path, (SMS_NAME, *SMS, 1, blob)))
    assert (finding.kind, finding.summary) == ("backup-file", "File in an iTunes backup: HomeDomain/Library/SMS/sms.db")
    assert finding.when == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert finding.data == {
        "file_id": SMS_NAME,
        "stored_as": f"3d/{SMS_NAME}",
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
        "missing": True,
    }
    assert str(finding.locator) == "table Files, row 1"


def test_encrypted_file_and_wrong_name_are_told(tmp_path: Path) -> None:
    rows = [(SMS_NAME, *SMS, 1, described(EncryptionKey=b"key")), ("0" * 40, "HomeDomain", "a", 2, None)]
    first, second = listed(database(tmp_path, *rows))
    assert first.data["encrypted"] is True
    assert "note" not in first.data
    assert second.data["note"] == "its stored name is not the SHA-1 of its domain and path"
    assert second.data["entry_kind"] == "directory"


def test_description_that_is_hostile_costs_only_itself(tmp_path: Path) -> None:
    loop = plistlib.dumps({"$top": {"root": plistlib.UID(99)}, "$objects": ["$null"]}, fmt=plistlib.FMT_BINARY)
    rows = [(f"{number:040}", "D", "p", 1, blob) for number, blob in enumerate((loop, b"bplist00", b"", "text", 5, b"<plist>"))]
    assert len(listed(database(tmp_path, *rows))) == 6


def test_encrypted_manifest_is_locked() -> None:
    with pytest.raises(Locked):
        run(itunes_backup, random.Random(1).randbytes(8192), name="Manifest.db")


def test_older_manifest_is_read() -> None:
    records = (b"HomeDomain", b"Library/SMS/sms.db", 0o100644, 1_400_000_000, 9, b""), (b"HomeDomain", b"Library", 0o40755, 0, 0, b"")
    found = listed(mbdb(*records), "Manifest.mbdb")
    assert [(one.data["file_id"], one.data["entry_kind"], one.data.get("size")) for one in found] == [
        (SMS_NAME, "file", 9),
        (sha1(b"HomeDomain-Library").hexdigest(), "directory", 0),
    ]
    assert found[0].when == datetime(2014, 5, 13, 16, 53, 20, tzinfo=UTC)


def test_cut_manifest_gives_its_beginning() -> None:
    data = mbdb(*[(b"HomeDomain", b"p%d" % number, 0o100644, 1, 1, b"") for number in range(10)])
    for end in range(20, len(data), 37):
        members, findings, error = unpack(itunes_backup, data[:end], name="Manifest.mbdb", around={"Manifest.mbdb": b""})
        whole = [finding for finding in findings if finding.kind == "backup-file"]
        assert [finding.data["path"] for finding in whole] == [f"p{number}" for number in range(len(whole))]
        assert isinstance(error, Corrupt) or (end - 6) % ((len(data) - 6) // 10) == 0
        assert members == []


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
        (itunes_backup, bytearray(database(tmp_path, (SMS_NAME, *SMS, 1, described(Size=1)))), "Manifest.db"),
        (itunes_backup, bytearray(mbdb((b"HomeDomain", b"a", 1, 1, 1, b""), (b"D", b"b", 1, 1, 1, b"k"))), "Manifest.mbdb"),
        (
            itunes_backup_device,
            bytearray(plistlib.dumps(device(), fmt=chance.choice((plistlib.FMT_XML, plistlib.FMT_BINARY)))),
            "Info.plist",
        ),
    ]
    for plugin, content, name in made:
        for _ in range(6):
            content[chance.randrange(len(content))] = chance.choice((0, 0xFF, chance.randrange(256)))
        with contextlib.suppress(Unsupported, Corrupt, Locked):
            run(plugin, bytes(content), name=name)


@pytest.mark.parametrize("content", [b"", b"mbd", b"SQLite format 3\0", b"<plist>", b"bplist00", random.Random(4).randbytes(70_001)])
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    for plugin in (itunes_backup, itunes_backup_device):
        for name in ("Manifest.db", SMS_NAME):
            with pytest.raises((Unsupported, Corrupt)):
                run(plugin, content, name=name, around={"Manifest.mbdb": content})


# --- files under their own names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [False, True])
def test_stored_file_comes_out_under_its_domain_and_path(old: bool, tmp_path: Path) -> None:
    made = backup(tmp_path, old=old)
    ((member, data),), findings, error = unpacked(made, SMS_NAME if old else f"3d/{SMS_NAME}")
    assert (member.path, data, member.kind) == ("HomeDomain/Library/SMS/sms.db", FILES[SMS], "file")
    assert member.times.modified == "2023-11-14T22:13:20Z"
    assert (findings, error) == ([], None)


def test_manifest_gives_directories_and_links_and_names_what_is_missing(tmp_path: Path) -> None:
    made = backup(tmp_path)
    members, findings, error = unpacked(made, "Manifest.db")
    assert [(member.path, member.kind, member.target, data) for member, data in members] == [
        ("HomeDomain/Library", "directory", None, b""),
        ("HomeDomain/link", "link", "/private/var", b""),
    ]
    assert {finding.kind for finding in findings} == {"backup-file"}
    assert error is None
    del made[f"3d/{SMS_NAME}"]
    _, findings, _ = unpacked(made, "Manifest.db")
    (lost,) = [finding for finding in findings if finding.kind == "missing-members"]
    assert (lost.data["missing"], lost.data["examples"]) == (1, ["HomeDomain/Library/SMS/sms.db"])
    assert [finding.data["path"] for finding in findings if finding.data.get("missing") is True] == ["Library/SMS/sms.db"]


def test_log_of_a_database_is_its_companion(tmp_path: Path) -> None:
    log = (SMS[0], f"{SMS[1]}-wal")
    keys = Keys()
    made = backup(tmp_path, {SMS: b"database", log: b"log"}, keys)
    (tmp_path / "list").write_text(PASSWORD, encoding="utf-8")
    ((member, _),), _, _ = unpacked(made, f"3d/{SMS_NAME}", tmp_path / "list")
    assert member.companion
    found = member.companion("-wal")
    assert found
    assert (found.path, found.open().read()) == ("HomeDomain/Library/SMS/sms.db-wal", b"log")
    assert member.companion("-journal") is None


def test_file_that_the_manifest_does_not_name_is_told(tmp_path: Path) -> None:
    made = backup(tmp_path) | {f"00/{'0' * 40}": b"x"}
    members, (finding,), error = unpacked(made, f"00/{'0' * 40}")
    assert (members, error) == ([], None)
    assert finding.summary == f"File in the folder of an iTunes backup that its manifest does not name: {'0' * 40}"


def test_name_of_40_digits_without_a_manifest_is_not_mine() -> None:
    for name in (f"/objects/3d/{SMS_NAME}", SMS_NAME, f"/{SMS_NAME.upper()}"):
        with pytest.raises(Unsupported):
            run(itunes_backup, b"content", name=name)


def test_backup_inside_another_container_says_that_its_files_are_not_followed(tmp_path: Path) -> None:
    _, findings, error = unpack(itunes_backup, backup(tmp_path)["Manifest.db"], name="phone/Manifest.db")
    assert "unread-members" in {finding.kind for finding in findings}
    assert isinstance(error, Unsupported)


@pytest.mark.parametrize("first", ["Manifest.db", "Manifest.mbdb"])
def test_manifests_of_both_forms_in_one_folder_each_answer_for_their_own_files(first: str, tmp_path: Path) -> None:
    made = backup(tmp_path, {SMS: b"new"}) | backup(tmp_path, {NOTE: b"old"}, old=True)
    note = stored_name(*NOTE)
    backups = itunes_backup.prepare(passwords_file="").value if itunes_backup.prepare else None
    said: dict[str, set[str]] = {}
    for path in (first, *sorted(made)):
        up = path.count("/")
        around = {f"../{name}" if up else name: data for name, data in made.items()}
        file = file_of(made[path], name=f"/backup/{path}", around=around)
        with contextlib.suppress(Unsupported):
            said[path] = {item.path if isinstance(item, Member) else item.summary for item in itunes_backup(file, backups)}
    assert said[f"3d/{SMS_NAME}"] == {"HomeDomain/Library/SMS/sms.db"}
    assert said[note] == {"AppDomain-org.example.chat/Documents/note.txt"}
    assert "File in an iTunes backup: HomeDomain/Library/SMS/sms.db" in said["Manifest.db"]
    assert "File in an iTunes backup: AppDomain-org.example.chat/Documents/note.txt" in said["Manifest.mbdb"]


# --- encrypted ones ---------------------------------------------------------------------------------------------------------


def by_independent_reader(folder: Path, password: str) -> dict[tuple[str, str], bytes]:
    """What iphone_backup_decrypt reads."""
    reader = EncryptedBackup(backup_directory=str(folder), passphrase=password)
    assert reader.test_decryption()
    rows = [(domain, path) for _, domain, path, _ in reader._get_manifest_rows_generator(flags=1)]
    return {(domain, path): reader.extract_file_as_bytes(path, domain_like=domain) for domain, path in rows}


def test_encrypted_backup_opens_with_the_password_as_an_independent_reader_opens_it(tmp_path: Path, passwords: Path) -> None:
    made = backup(tmp_path, keys=Keys())
    folder = written(tmp_path / "backup", made)
    assert by_independent_reader(folder, PASSWORD) == FILES
    with pytest.raises(IncorrectPassphraseError):
        by_independent_reader(folder, "1234")
    for (domain, path), content in FILES.items():
        name = stored_name(domain, path)
        ((member, data),), _, error = unpacked(made, f"{name[:2]}/{name}", passwords)
        assert (member.path, data, error) == (f"{domain}/{path}", content, None)
    members, findings, error = unpacked(made, "Manifest.db", passwords)
    assert [(finding.data["encrypted"], finding.data["opened"]) for finding in findings if finding.kind == "phone-backup"] == [(True, True)]
    assert {finding.data["path"] for finding in findings if finding.kind == "backup-file"} >= {path for _, path in FILES}
    assert (members[0][0].path, members[0][1][:16]) == ("Manifest.db (decrypted)", b"SQLite format 3\0")
    assert error is None


@pytest.mark.parametrize("old", [False, True])
def test_keys_of_before_ios_10_2_are_read(old: bool, tmp_path: Path, passwords: Path) -> None:
    made = backup(tmp_path, keys=Keys(first=False), old=old)
    ((member, data),), _, error = unpacked(made, SMS_NAME if old else f"3d/{SMS_NAME}", passwords)
    assert (member.path, data, error) == ("HomeDomain/Library/SMS/sms.db", FILES[SMS], None)


@pytest.mark.parametrize("given", ["", "wrong\n", "wrong\nworse\n"])
def test_encrypted_backup_without_the_password_is_locked(given: str, tmp_path: Path) -> None:
    made = backup(tmp_path, keys=Keys())
    (tmp_path / "list").write_text(given)
    for path in ("Manifest.db", f"3d/{SMS_NAME}"):
        members, findings, error = unpacked(made, path, tmp_path / "list" if given else None)
        assert members == []
        assert isinstance(error, Locked)
        assert [finding.data["opened"] for finding in findings] == ([False] if path == "Manifest.db" else [])


def test_older_encrypted_backup_names_its_files_though_they_are_locked(tmp_path: Path) -> None:
    made = backup(tmp_path, keys=Keys(first=False), old=True)
    ((member, data),), findings, error = unpacked(made, SMS_NAME)
    assert (member.path, member.kind, data) == ("HomeDomain/Library/SMS/sms.db", "other", b"")
    assert [finding.kind for finding in findings] == ["locked-members"]
    assert isinstance(error, Locked)


def test_neither_passwords_nor_their_digest_are_recorded(passwords: Path) -> None:
    assert itunes_backup.prepare
    prepared = itunes_backup.prepare(passwords_file=str(passwords))
    said = f"{prepared.inputs} {prepared.notes}"
    for password in (PASSWORD, "1234"):
        assert password not in said
        assert hashlib.sha256(password.encode()).hexdigest() not in said


# --- hostile ones -----------------------------------------------------------------------------------------------------------


def test_names_that_climb_are_told_and_lead_nowhere(tmp_path: Path) -> None:
    files = {("HomeDomain", "../../etc/passwd"): b"1", ("HomeDomain", "/etc/shadow"): b"2"}
    made = backup(tmp_path, files)
    for (domain, path), content in files.items():
        name = stored_name(domain, path)
        ((member, data),), (finding,), _ = unpacked(made, f"{name[:2]}/{name}")
        assert (member.path, data, finding.kind) == (f"{domain}/{path}", content, "suspicious-member-name")


def test_stored_names_that_are_none_are_not_looked_for(tmp_path: Path) -> None:
    names = ["../../../etc/passwd", "/etc/passwd", "3d", "", SMS_NAME.upper(), "g" * 40]
    asked: list[str] = []
    content = database(tmp_path, *[(name, "D", f"p{number}", 1, described(Size=1)) for number, name in enumerate(names)])

    class Around(dict[str, bytes]):
        def __contains__(self, path: object) -> bool:
            asked.append(str(path))
            return super().__contains__(path)

    _, findings, _ = unpack(itunes_backup, content, name="/b/Manifest.db", around=Around({"Manifest.db": content}))
    assert set(asked) == {"Manifest.db", "Manifest.plist", "Manifest.db-wal"}
    assert all(finding.data["missing"] for finding in findings if finding.kind == "backup-file")


def test_a_stored_name_that_is_given_twice_comes_out_as_often_and_within_bounds(tmp_path: Path) -> None:
    rows = [(SMS_NAME, "D", f"p{number}", 1, described(Size=1)) for number in range(100)]
    made = {f"3d/{SMS_NAME}": b"content", "Manifest.db": database(tmp_path, *rows, key="")}
    members, _, _ = unpacked(made, f"3d/{SMS_NAME}")
    assert [(member.path, data) for member, data in members] == [(f"D/p{number}", b"content") for number in range(8)]


@pytest.mark.parametrize("size", [0, -5, (1 << 64) - 1])
def test_stated_size_that_is_not_true_changes_nothing(size: int, tmp_path: Path) -> None:
    made = {f"3d/{SMS_NAME}": b"content", "Manifest.db": database(tmp_path, (SMS_NAME, *SMS, 1, described(Size=size)))}
    ((member, data),), _, error = unpacked(made, f"3d/{SMS_NAME}")
    assert (member.size, data, error) == (None, b"content", None)


@pytest.mark.parametrize("rounds", [0, 1 << 31, 0xFFFFFFFF])
def test_keys_that_ask_for_endless_work_are_a_limit(rounds: int, tmp_path: Path, passwords: Path) -> None:
    keys = Keys()
    keys.bag = keys.bag.replace(b"DPIC\0\0\0\4" + struct.pack(">I", 20), b"DPIC\0\0\0\4" + struct.pack(">I", rounds))
    _, _, error = unpacked(backup(tmp_path, keys=keys), f"3d/{SMS_NAME}", passwords)
    assert isinstance(error, LimitExceeded)
    assert f"{rounds} rounds" in str(error)


def test_passwords_are_tried_as_long_as_is_sensible(tmp_path: Path, passwords: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keybag, "WORK", 30)  # one password takes 30 rounds here
    _, _, error = unpacked(backup(tmp_path, keys=Keys()), f"3d/{SMS_NAME}", passwords)
    assert isinstance(error, Locked)
    assert "none of the first 1 of 2 passwords" in str(error)


def test_key_bag_that_is_cut_is_corrupt_or_locked() -> None:
    bag = Keys().bag
    whole = keybag.read(bag)
    for end in range(len(bag)):
        with pytest.raises((Corrupt, LimitExceeded)):
            keybag.read(bag[:end])
    assert keybag.unlock(whole, PASSWORD.encode())
    assert keybag.unlock(whole, b"wrong") is None


def test_cut_content_is_told(tmp_path: Path, passwords: Path) -> None:
    made = backup(tmp_path, keys=Keys())
    for cut in (1, 16, 100):
        path = f"3d/{SMS_NAME}"
        ((_, data),), findings, error = unpacked(made | {path: made[path][:-cut]}, path, passwords)
        assert FILES[SMS].startswith(data)
        assert [finding.kind for finding in findings] == ["damaged-members"]
        assert isinstance(error, Corrupt)


@pytest.mark.parametrize("part", ["Manifest.db", "Manifest.plist"])
@pytest.mark.parametrize("seed", range(15))
def test_flipped_bytes_of_an_encrypted_backup_end_in_no_other_error(part: str, seed: int, tmp_path: Path, passwords: Path) -> None:
    chance = random.Random(seed)
    made = backup(tmp_path, keys=Keys())
    content = bytearray(made[part])
    for _ in range(3):
        content[chance.randrange(len(content))] = chance.randrange(256)
    made[part] = bytes(content)
    for path in ("Manifest.db", f"3d/{SMS_NAME}"):
        unpacked(made, path, passwords)
    unpacked(made | {"Manifest.plist": made["Manifest.plist"][:-seed]}, "Manifest.db", passwords)
