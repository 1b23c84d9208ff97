"""iTunes and Finder backups of iPhones and iPads: of which device, when, encrypted or not, and which file each hashed name stands for.

In a backup, a file's name is the SHA-1 of its domain and path; `Manifest.db` (before iOS 10 `Manifest.mbdb`) says which is which.
"""

import plistlib
import sqlite3
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any
from urllib.parse import quote
from xml.parsers.expat import ExpatError

from forensics.plugin import Corrupt, File, Finding, LimitExceeded, Locked, RecordNumber, TableRow, Unsupported, Value, extractor, shown

MAX_PLIST = 64 << 20  # bytes of a property list: applications' own are in it
MAX_DESCRIPTION = 64 << 10  # bytes of one file's description
MAX_FILES = 4_000_000
MAX_STEPS = 2000  # millions of steps of SQLite's virtual machine: a query that takes more does not end
MAX_TEXT = 4096
KINDS = {1: "file", 2: "directory", 4: "link"}
# What plistlib is known to raise on hostile bytes.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, ExpatError, struct.error)
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


@extractor(version="1.0", names=("Manifest.db", "Manifest.mbdb"), companions=("-wal",))
def itunes_backup(file: File) -> Iterator[Finding]:
    """Which file each hashed name in an iTunes backup stands for: domain, path, size and times, by Manifest.db or Manifest.mbdb.

    Raises Unsupported where the content is neither, Locked where it is encrypted, Corrupt after what could be read of a damaged one,
    LimitExceeded past 4 million files.
    """
    with file.open() as stream:
        head = stream.read(16)
    if head.startswith(b"mbdb"):
        yield from _old(file.read())
    elif head == b"SQLite format 3\0":
        yield from _new(file)
    elif head and file.size % 4096 == 0 and len(set(head)) > 8:  # pages of a database, but as AES left them
        yield Finding(
            kind="phone-backup",
            summary="iTunes backup whose Manifest.db is encrypted: names and contents stay locked",
            data={"format": "iTunes backup, Manifest.db", "encrypted": True},
            level="notable",
        )
        raise Locked("Manifest.db is encrypted; names and contents of the backup's files need its password")
    else:
        raise Unsupported("content that is no manifest of a backup")


def _new(file: File) -> Iterator[Finding]:
    """The rows of table `Files`. The database is a private copy, its schema is not trusted, and its queries end."""
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        return steps > MAX_STEPS

    connection = sqlite3.connect(f"file:{quote(str(file.path()))}?mode=rw", uri=True)
    try:
        connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
        connection.set_progress_handler(step, 1_000_000)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        columns = {row[1] for row in connection.execute("PRAGMA table_info(Files)")}
        kind = connection.execute("SELECT type FROM sqlite_master WHERE name = 'Files'").fetchone()
        if kind != ("table",) or not {"fileID", "domain", "relativePath", "flags", "file"} <= columns:
            raise Unsupported("database that is no manifest of a backup: it has no table Files of their form")
        rows = connection.execute("SELECT rowid, fileID, domain, relativePath, flags, file FROM Files ORDER BY rowid")
        for number, (rowid, identifier, domain, path, flags, description) in enumerate(rows):
            if number >= MAX_FILES:
                raise LimitExceeded(f"backup of more than {MAX_FILES} files; the first were listed")
            yield _file(
                TableRow("Files", rowid), str(identifier or ""), str(domain or ""), str(path or ""), flags, _description(description)
            )
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: a column's name
        raise Corrupt(f"Manifest.db that cannot be read to its end ({error})") from error
    finally:
        connection.close()


def _description(blob: object) -> dict[str, Any]:
    """A file's description: an MBFile as NSKeyedArchiver writes it; empty where it cannot be read."""
    if not isinstance(blob, bytes) or len(blob) > MAX_DESCRIPTION:
        return {}
    try:
        archive = plistlib.loads(blob)
        objects = archive["$objects"]
        root = objects[archive["$top"]["root"].data]
        return {key: objects[value.data] if isinstance(value, plistlib.UID) else value for key, value in root.items()}
    except DAMAGE:
        return {}


def _file(locator: TableRow | RecordNumber, identifier: str, domain: str, path: str, flags: object, said: dict[str, Any]) -> Finding:
    data: dict[str, Value] = {
        "file_id": identifier[:200],
        "stored_as": f"{identifier[:2]}/{identifier[:200]}" if isinstance(locator, TableRow) else identifier,
        "domain": shown(domain),
        "path": shown(path),
        "entry_kind": KINDS.get(flags, str(flags)) if isinstance(flags, int) else "unknown",
    }
    times = {
        field: _moment(said.get(key))
        for key, field in (("LastModified", "modified"), ("LastStatusChange", "changed"), ("Birth", "created"))
    }
    data |= {f"time_{field}": moment.isoformat().replace("+00:00", "Z") for field, moment in times.items() if moment}
    numbers = (("Size", "size"), ("UserID", "uid"), ("GroupID", "gid"), ("ProtectionClass", "protection_class"))
    data |= {field: said[key] for key, field in numbers if isinstance(said.get(key), int)}
    if isinstance(said.get("Mode"), int):
        data["mode"] = f"{said['Mode'] & 0xFFFFFFFF:o}"
    if isinstance(said.get("Target"), str):
        data["target"] = shown(said["Target"])
    if said:
        data["encrypted"] = said.get("EncryptionKey") not in (None, "$null", b"")
    if len(identifier) == 40 and identifier != sha1(f"{domain}-{path}".encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest():
        data["note"] = "its name is not the SHA-1 of its domain and path"
    return Finding(
        kind="backup-file",
        summary=shown(f"File in an iTunes backup: {domain}/{path}"),
        when=times["modified"],
        data=data,
        locator=locator,
    )


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int) or not seconds:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return None


# --- Manifest.mbdb ----------------------------------------------------------------------------------------------------------


def _old(data: bytes) -> Iterator[Finding]:
    """The records of a Manifest.mbdb, version 5.0, one after the other. Raises Corrupt where one is cut short."""
    at, number = 6, 0

    def text() -> bytes:
        nonlocal at
        (length,) = struct.unpack_from(">H", data, at)
        at += 2
        if length == 0xFFFF:
            return b""
        if at + length > len(data):
            raise struct.error("a text is cut short")
        at += length
        return data[at - length : at]

    while at < len(data):
        try:
            domain, path, target, _, key = (text() for _ in range(5))
            mode, inode, uid, gid, modified, changed, born, size, protection, properties = struct.unpack_from(">HQIIIIIQBB", data, at)
            at += 40
            for _ in range(properties):
                text(), text()
        except struct.error as error:
            raise Corrupt(f"Manifest.mbdb that is cut short in record {number} ({error})") from error
        said: dict[str, Any] = {
            "Mode": mode,
            "InodeNumber": inode,
            "UserID": uid,
            "GroupID": gid,
            "LastModified": modified,
            "LastStatusChange": changed,
            "Birth": born,
            "Size": size,
            "ProtectionClass": protection,
            "EncryptionKey": key,
            **({"Target": _name(target)} if target else {}),
        }
        identifier = sha1(domain + b"-" + path, usedforsecurity=False).hexdigest()
        flags = {0x8000: 1, 0x4000: 2, 0xA000: 4}.get(mode & 0xF000, 0)
        yield _file(RecordNumber(number), identifier, _name(domain), _name(path), flags, said)
        number += 1
        if number >= MAX_FILES:
            raise LimitExceeded(f"backup of more than {MAX_FILES} files; the first were listed")


def _name(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
