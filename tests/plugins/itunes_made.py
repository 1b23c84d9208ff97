"""Backups as iTunes makes them, written for tests: of the newer form (Manifest.db) and the older (Manifest.mbdb), encrypted and not.

What is encrypted is opened by an independent reader, iphone_backup_decrypt, in the tests.
"""

import hashlib
import plistlib
import random
import sqlite3
import struct
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

PASSWORD = "päss wörd"
SMS = ("HomeDomain", "Library/SMS/sms.db")
SMS_NAME = "3d0d7e5fb2ce288813306e4d4636395e047a3d28"  # the name of sms.db in every backup
NOTE = ("AppDomain-org.example.chat", "Documents/note.txt")
FILES = {
    SMS: b"not a database " * 1000,
    NOTE: b"meet me at inner@example.org\n",
    ("HomeDomain", "empty"): b"",
    ("HomeDomain", "block"): b"b" * 32,
}
WHEN = 1_700_000_000  # 2023-11-14 22:13:20 UTC
CLASS = 3


def stored_name(domain: str, path: str) -> str:
    return hashlib.sha1(f"{domain}-{path}".encode()).hexdigest()


def described(**values: Any) -> bytes:
    """An MBFile as NSKeyedArchiver writes it; bytes and texts stand as objects of their own."""
    root: dict[str, Any] = {"$class": plistlib.UID(2)}
    objects: list[Any] = ["$null", root, {"$classname": "MBFile", "$classes": ["MBFile", "NSObject"]}]
    for key, value in values.items():
        if isinstance(value, bytes | str):
            root[key] = plistlib.UID(len(objects))
            objects.append({"NS.data": value, "$class": plistlib.UID(2)} if isinstance(value, bytes) else value)
        else:
            root[key] = value
    archive = {"$version": 100000, "$archiver": "NSKeyedArchiver", "$top": {"root": plistlib.UID(1)}, "$objects": objects}
    return plistlib.dumps(archive, fmt=plistlib.FMT_BINARY)


def database(folder: Path, *rows: tuple[Any, ...], key: str = " PRIMARY KEY") -> bytes:
    """A Manifest.db of these rows: fileID, domain, relativePath, flags, file."""
    path = folder / "made.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE Files (fileID TEXT{key}, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB)")
        connection.executemany("INSERT INTO Files VALUES (?, ?, ?, ?, ?)", rows)
        connection.commit()
    content = path.read_bytes()
    path.unlink()
    return content


def mbdb(*records: tuple[bytes, bytes, int, int, int, bytes]) -> bytes:
    """A Manifest.mbdb of these records: domain, path, mode, time of modification, size, key."""
    data = b"mbdb\5\0"
    for domain, path, mode, modified, size, key in records:
        for text in (domain, path):
            data += struct.pack(">H", len(text)) + text
        data += b"\xff\xff" * 2 + (struct.pack(">H", len(key)) + key if key else b"\xff\xff")
        data += struct.pack(">HQIIIIIQBB", mode, 7, 501, 501, modified, modified, modified, size, CLASS, 1)
        data += struct.pack(">H", 1) + b"k" + struct.pack(">H", 2) + b"vv"
    return data


def encrypted(data: bytes, key: bytes) -> bytes:
    """AES-256-CBC with a zero vector and padding, as a backup's files are."""
    count = 16 - len(data) % 16
    cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    return cipher.update(data + bytes((count,)) * count) + cipher.finalize()


class Keys:
    """A key bag with one protection class, and the keys that it wraps. `first` is false for what iOS before 10.2 wrote."""

    def __init__(self, password: str = PASSWORD, *, rounds: int = 10, first_rounds: int = 20, first: bool = True) -> None:
        self._chance = random.Random(password)
        salt, first_salt = self._bytes(20), self._bytes(20)
        own = password.encode()
        if first:
            own = hashlib.pbkdf2_hmac("sha256", own, first_salt, first_rounds, 32)
        own = hashlib.pbkdf2_hmac("sha1", own, salt, rounds, 32)
        self._class = self._bytes(32)
        number = struct.Struct(">I").pack
        fields = [(b"VERS", number(3)), (b"TYPE", number(1)), (b"UUID", self._bytes(16)), (b"HMCK", bytes(40)), (b"WRAP", number(1))]
        fields += [(b"SALT", salt), (b"ITER", number(rounds))]
        fields += [(b"DPWT", number(1)), (b"DPIC", number(first_rounds)), (b"DPSL", first_salt)] if first else []
        fields += [(b"UUID", self._bytes(16)), (b"CLAS", number(CLASS)), (b"WRAP", number(2)), (b"KTYP", number(0))]
        fields += [(b"WPKY", aes_key_wrap(own, self._class))]
        self.bag = b"".join(tag + number(len(value)) + value for tag, value in fields)

    def _bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)

    def key(self) -> tuple[bytes, bytes]:
        """A new key, and as a manifest holds it."""
        key = self._bytes(32)
        return key, struct.pack("<I", CLASS) + aes_key_wrap(self._class, key)


def properties(keys: Keys | None, wrapped: bytes | None = None) -> bytes:
    """A Manifest.plist."""
    held: dict[str, Any] = {"IsEncrypted": keys is not None, "Version": "10.0", "Date": datetime(2024, 1, 1), "Lockdown": {}}
    held |= {"BackupKeyBag": keys.bag} if keys else {}
    return plistlib.dumps(held | ({"ManifestKey": wrapped} if wrapped else {}), fmt=plistlib.FMT_BINARY)


def backup(
    folder: Path, files: Mapping[tuple[str, str], bytes] = FILES, keys: Keys | None = None, *, old: bool = False
) -> dict[str, bytes]:
    """A backup's files by their paths in its folder. `folder` is for what is made on the way."""
    made: dict[str, bytes] = {}
    rows: list[tuple[Any, ...]] = [(stored_name("HomeDomain", "Library"), "HomeDomain", "Library", 2, described(Mode=0o40755, Size=0))]
    link = described(Mode=0o120755, Size=0, Target="/private/var")
    rows.append((stored_name("HomeDomain", "link"), "HomeDomain", "link", 4, link))
    records = [(b"HomeDomain", b"Library", 0o40755, 0, 0, b"")]
    for (domain, path), content in files.items():
        name = stored_name(domain, path)
        key, wrapped = keys.key() if keys else (b"", b"")
        given = {"Size": len(content), "LastModified": WHEN, "Birth": WHEN - 10, "LastStatusChange": WHEN + 1, "Mode": 0o100644}
        given |= {"ProtectionClass": CLASS, "UserID": 501, "RelativePath": path}
        rows.append((name, domain, path, 1, described(**given, **({"EncryptionKey": wrapped} if keys else {}))))
        records.append((domain.encode(), path.encode(), 0o100644, WHEN, len(content), wrapped))
        made[name if old else f"{name[:2]}/{name}"] = encrypted(content, key) if keys else content
    if old:
        return made | {"Manifest.mbdb": mbdb(*records), "Manifest.plist": properties(keys)}
    key, wrapped = keys.key() if keys else (b"", b"")
    manifest = database(folder, *rows)
    return made | {"Manifest.db": encrypted(manifest, key) if keys else manifest, "Manifest.plist": properties(keys, wrapped)}


def written(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The backup on disk."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder
