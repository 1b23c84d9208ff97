"""iTunes and Finder backups of iPhones and iPads: of which device, when, encrypted or not; their files under the names that they had.

In a backup, a file's name is the SHA-1 of its domain and path; `Manifest.db` (before iOS 10 `Manifest.mbdb`) says which is which, and
`Manifest.plist` holds the keys of encrypted ones. Each stored file is a container of one: the file under its own name, decrypted.
"""

import plistlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO, Literal

from forensics.itunes.backup import MAX_PLIST, Backup, Backups
from forensics.itunes.keybag import decrypted, key_of
from forensics.itunes.manifest import DAMAGE, Records, Row, stored_name
from forensics.plugin import (
    Corrupt,
    File,
    Finding,
    Inventory,
    LimitExceeded,
    Locked,
    Member,
    Neighbour,
    Prepared,
    RecordNumber,
    TableRow,
    Times,
    Unsupported,
    Value,
    container,
    extractor,
    passwords,
    shown,
    stream_of,
)

MAX_TEXT = 4096
MANIFESTS = ("Manifest.db", "Manifest.mbdb")
EXAMPLES = 10  # names that a finding lists
_STORED = re.compile(r"[0-9a-f]{40}")
_STORED_GLOB = "[0-9a-f]" * 4 + "?" * 36
_DEVICE = {
    "Device Name": "device_name",
    "DeviceName": "device_name",
    "Display Name": "device_name",
    "Product Name": "device_model",
    "Product Type": "device_type",
    "ProductType": "device_type",
    "Product Version": "system_version",
    "ProductVersion": "system_version",
    "Build Version": "system_build",
    "BuildVersion": "system_build",
    "Serial Number": "serial_number",
    "SerialNumber": "serial_number",
    "Unique Identifier": "device_id",
    "UniqueDeviceID": "device_id",
    "Target Identifier": "device_id",
    "IMEI": "imei",
    "IMEI 2": "imei_2",
    "MEID": "meid",
    "ICCID": "iccid",
    "ICCID 2": "iccid_2",
    "Phone Number": "phone_number",
    "GUID": "backup_id",
    "UUID": "backup_id",
    "iTunes Version": "itunes_version",
    "macOS Version": "macos_version",
    "Version": "format_version",
    "SnapshotState": "snapshot_state",
    "BackupState": "backup_state",
}


@extractor(version="1.0", names=("Info.plist", "Manifest.plist", "Status.plist"))
def itunes_backup_device(file: File) -> Iterator[Finding]:
    """The device of an iTunes backup, when it was made and whether it is encrypted: Info.plist, Manifest.plist, Status.plist.

    Raises Unsupported where the content is no property list of a backup (every application has an Info.plist), LimitExceeded for one
    beyond what is sensible.
    """
    if file.size > MAX_PLIST:
        raise LimitExceeded(f"property list of {file.size} bytes (limit {MAX_PLIST})")
    try:
        content = plistlib.loads(file.read())
    except DAMAGE as error:
        raise Unsupported(f"content that is no property list ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict):
        raise Unsupported("property list of no backup")
    if "Last Backup Date" in content and ("Unique Identifier" in content or "Target Identifier" in content):
        when, part = content["Last Backup Date"], "Info.plist"
    elif "IsEncrypted" in content and ("Lockdown" in content or "BackupKeyBag" in content):
        when, part = content.get("Date"), "Manifest.plist"
    elif "IsFullBackup" in content and "SnapshotState" in content:
        when, part = content.get("Date"), "Status.plist"
    else:
        raise Unsupported("property list of no backup")
    data: dict[str, Value] = {"format": f"iTunes backup, {part}"}
    lockdown = content.get("Lockdown")
    for source in (lockdown if isinstance(lockdown, dict) else {}, content):
        data |= {
            field: str(source[key])[:MAX_TEXT]
            for key, field in _DEVICE.items()
            if isinstance(source.get(key), str | int | float) and source[key] != ""
        }
    for key, field in (("IsEncrypted", "encrypted"), ("WasPasscodeSet", "passcode_set"), ("IsFullBackup", "full_backup")):
        if isinstance(content.get(key), bool | int):
            data[field] = bool(content[key])
    installed = content.get("Installed Applications") or content.get("Applications")
    if installed and isinstance(installed, list | dict):
        data["applications"] = [str(name)[:200] for name in sorted(map(str, installed))[:1000]]
    moment = when.replace(tzinfo=UTC) if isinstance(when, datetime) else None
    name = data.get("device_name", "a device")
    encrypted = f", {'' if data['encrypted'] else 'not '}encrypted" if "encrypted" in data else ""
    yield Finding(kind="phone-backup", summary=shown(f"iTunes backup of {name}{encrypted}"), when=moment, data=data, level="notable")


def prepare(*, passwords_file: str = "") -> Prepared:
    """The passwords, as `forensics.plugin.passwords` reads them, and the backups that they open. Raises UsageError."""
    found = passwords(passwords_file)
    return Prepared(Backups(found.value), found.inputs, found.notes)


@container(version="2.1", names=(*MANIFESTS, _STORED_GLOB), needs=("content", "name", "location"), prepare=prepare)
def itunes_backup(file: File, backups: Backups, *, passwords_file: str = "") -> Iterator[Member | Finding]:
    """An iTunes backup's files under domain and path, decrypted where a password opens it; and what its manifest says of each.

    Raises Unsupported where the content is no part of a backup, Locked where it is encrypted and no password opens it, Corrupt after what
    could be read of a damaged one, LimitExceeded for keys that ask for more work than is sensible, and past 4 million files.
    """
    if file.location.stream:
        raise Unsupported("a stream beside a file's content is no part of a backup")
    if _STORED.fullmatch(file.name):
        return _stored_file(file, backups)
    if file.name.lower() in [name.lower() for name in MANIFESTS]:
        return _manifest(file, backups)
    raise Unsupported("a name that no file of a backup has")


# --- the manifest -----------------------------------------------------------------------------------------------------------


def _manifest(file: File, backups: Backups) -> Iterator[Member | Finding]:
    """What a manifest says of its files. Members are the manifest itself, decrypted, and what has a name and no content."""
    own = Neighbour(file.size, file.open)
    deleted = None if file.allocated else file.sha256  # it is not the one that its folder has now
    backup = backups.of((*_place(file), deleted), lambda name: own if name == file.name else file.beside(name), file.name)
    if backup is None:
        raise Unsupported("content that is no manifest of a backup")
    inventory = Inventory("iTunes backup", passwords=True)
    if backup.encrypted:
        yield _encrypted(file, backup)
    if backup.manifest is None:
        raise Locked(f"encrypted iTunes backup, its names too: {backup.why}")
    if backup.key:
        yield Member(path=f"{file.name} (decrypted)", open=partial(_plain, file, backup.key, partial(inventory.damaged, file.name)))
    folders = not isinstance(backup.manifest, Records)
    around = file.beside(file.name) is not None
    missing: list[str] = []
    lost = 0
    for row in backup.manifest.rows():
        inventory.note(row.path, directory=row.kind == "directory")
        gone = around and row.kind == "file" and not (row.stored and file.beside(_stored_at(row, folders)))
        if gone:
            lost += 1
            missing += [shown(row.name)] if len(missing) < EXAMPLES else []
        yield _described(row, folders, gone)
        if row.kind in ("directory", "link"):
            yield _member(row, partial(stream_of, ()), row.kind)
    if lost:
        yield Finding(
            kind="missing-members",
            summary=f"iTunes backup that lacks {lost} of {inventory.members} files in its manifest: {missing[0]}",
            data={"format": inventory.what, "members": inventory.members, "missing": lost, "examples": list(missing)},
            level="notable",
        )
    if inventory.members and not around:
        inventory.unread("its files", "inside another container they are not found by name; give the backup itself as an exhibit")
    yield from inventory.conclude()


def _encrypted(file: File, backup: Backup) -> Finding:
    opened = backup.classes is not None
    state = "opened with a password" if opened else "what it holds stays locked"
    return Finding(
        kind="phone-backup",
        summary=f"iTunes backup, encrypted; {state}",
        data={"format": f"iTunes backup, {shown(file.name)}", "encrypted": True, "opened": opened},
        level="notable",
    )


def _described(row: Row, folders: bool, gone: bool) -> Finding:
    """What the manifest says of one file. `folders`: stored files lie in folders; `gone`: this one does not lie there."""
    data: dict[str, Value] = {
        "file_id": shown(row.file_id),
        "stored_as": shown(_stored_at(row, folders)),
        "domain": shown(row.domain),
        "path": shown(row.path),
        "entry_kind": row.kind,
    }
    times = {"modified": _moment(row.modified), "changed": _moment(row.changed), "created": _moment(row.born)}
    data |= {f"time_{field}": _text(moment) for field, moment in times.items() if moment}
    numbers = {"size": row.size, "uid": row.uid, "gid": row.gid, "protection_class": row.protection_class}
    data |= {field: number for field, number in numbers.items() if number is not None}
    if row.mode is not None:
        data["mode"] = f"{row.mode & 0xFFFFFFFF:o}"
    if row.target is not None:
        data["target"] = shown(row.target)
    if row.described:
        data["encrypted"] = row.key is not None
    if gone:
        data["missing"] = True
    if not row.stored:
        data["note"] = "its stored name is no SHA-1, so it is not looked for"
    elif row.file_id != stored_name(row.domain, row.path):
        data["note"] = "its stored name is not the SHA-1 of its domain and path"
    return Finding(
        kind="backup-file",
        summary=shown(f"File in an iTunes backup: {row.name}"),
        when=times["modified"],
        data=data,
        locator=TableRow("Files", row.number) if folders else RecordNumber(row.number),
    )


def _stored_at(row: Row, folders: bool) -> str:
    """Where a file is stored, from the manifest's folder."""
    return f"{row.file_id[:2]}/{row.file_id}" if folders else row.file_id


# --- a stored file ----------------------------------------------------------------------------------------------------------


def _stored_file(file: File, backups: Backups) -> Iterator[Member | Finding]:
    """The file under its own name."""
    folder = _folder(file)
    up, name = ("../", "Manifest.db") if folder[-1:] == [file.name[:2]] else ("", "Manifest.mbdb")
    backup = backups.of((*_place(file, up), None), lambda name: file.beside(f"{up}{name}"), name)
    if backup is None:
        raise Unsupported("no manifest of a backup is where it would be")
    if backup.manifest is None:
        raise Locked(f"file in an encrypted iTunes backup: {backup.why}")
    inventory = Inventory("iTunes backup", passwords=True)
    rows = [row for row in backup.manifest.find(file.name) if row.kind not in ("directory", "link")]
    for row in rows:
        inventory.note(row.path)
        yield _named(file, row, backup, inventory, partial(_companion, file, up, backup, row))
    if not rows:
        yield Finding(
            kind="backup-file",
            summary=f"File in the folder of an iTunes backup that its manifest does not name: {file.name}",
            data={"format": inventory.what, "file_id": file.name, "note": "the manifest does not name it"},
        )
    yield from inventory.conclude()


def _named(
    file: File | Neighbour, row: Row, backup: Backup, inventory: Inventory, companion: Callable[[str], Member | None] | None = None
) -> Member:
    """A stored file as the file that it stands for."""
    if not backup.encrypted or row.key is None:
        return _member(row, file.open, companion=companion)
    if backup.classes is None:
        inventory.locked(f"{row.name}: {backup.why}")
        return _member(row, partial(stream_of, ()), "other")
    try:
        key = key_of(backup.classes, row.key, row.protection_class)
    except Corrupt as error:
        inventory.damaged(row.name, str(error))
        return _member(row, partial(stream_of, ()), "other")
    return _member(row, partial(_plain, file, key, partial(inventory.damaged, row.name)), companion=companion)


def _companion(file: File, up: str, backup: Backup, row: Row, suffix: str) -> Member | None:
    """The file whose path is that of `row` plus a suffix, out of the same backup."""
    name = stored_name(row.domain, row.path + suffix)
    near = file.beside(f"{up}{name[:2]}/{name}" if up else name)
    rows = [each for each in backup.manifest.find(name) if each.kind == "file"] if near and backup.manifest else []
    return _named(near, rows[0], backup, Inventory("companion")) if near and rows else None


def _plain(file: File | Neighbour, key: bytes, damaged: Callable[[str], None]) -> BinaryIO:
    return stream_of(decrypted(file.open(), file.size, key, damaged))


def _member(
    row: Row,
    content: Callable[[], BinaryIO],
    kind: Literal["file", "directory", "link", "other"] = "file",
    companion: Callable[[str], Member | None] | None = None,
) -> Member:
    """A file by its manifest's row. The size that is stated there is not held against its content: in real backups they often differ."""
    times = Times(modified=_text(_moment(row.modified)), changed=_text(_moment(row.changed)), born=_text(_moment(row.born)))
    target = shown(row.target) if row.target is not None else None
    return Member(path=row.name, open=content, times=times, kind=kind, target=target, companion=companion)


def _folder(file: File) -> list[str]:
    return file.location.path.split("/")[:-1]


def _place(file: File, up: str = "") -> tuple[object, ...]:
    """The folder of the backup, as something to remember it by."""
    folder = _folder(file)
    return file.location.exhibit, file.location.layers, *(folder[:-1] if up else folder)


def _moment(seconds: int | None) -> datetime | None:
    if not seconds:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
