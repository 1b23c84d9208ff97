"""The manifest of a backup: every file with its domain, path, description and the name that it is stored under.

Since iOS 10 it is an SQLite database, Manifest.db, whose table `Files` holds an archived MBFile for each file; before that it was
Manifest.mbdb, records one after the other. A stored name is the SHA-1 of domain, hyphen and path.
"""

import plistlib
import re
import sqlite3
import struct
import weakref
from collections.abc import Iterator
from functools import partial
from hashlib import sha1
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import quote
from xml.parsers.expat import ExpatError

from msgspec import Struct

from forensics.errors import Corrupt, LimitExceeded, Unsupported

MAX_FILES = 4_000_000
MAX_DESCRIPTION = 64 << 10  # bytes of one file's description
SAME = 8  # files of one stored name that are followed; the name is a digest of domain and path, so one is the rule
_STEPS = 1_000_000  # of SQLite's virtual machine between two looks
_LISTING, _LOOKUP = 2000, 50  # looks: a query that takes more does not end
_SELECT = "SELECT rowid, fileID, domain, relativePath, flags, file FROM Files "
_ALL = _SELECT + "ORDER BY rowid"
_ONE = _SELECT + "WHERE fileID = ? ORDER BY rowid LIMIT ?"
_ID = re.compile(r"[0-9a-f]{40}")
_KINDS: dict[int, "Kind"] = {1: "file", 2: "directory", 4: "link"}
_MODES: dict[int, "Kind"] = {0x8000: "file", 0x4000: "directory", 0xA000: "link"}
# What plistlib is known to raise on hostile bytes.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, ExpatError, struct.error)

Kind = Literal["file", "directory", "link", "other"]


class Row(Struct, frozen=True, kw_only=True):
    """One file as the manifest has it. `number` is the row's, or the record's from 0; times are seconds since 1970.

    Texts have undecodable bytes as surrogate escapes. `key` is the file's key, wrapped, with its protection class before it. `described`
    says whether the description could be read.
    """

    number: int
    file_id: str
    domain: str
    path: str
    kind: Kind
    described: bool = False
    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    protection_class: int | None = None
    modified: int | None = None
    changed: int | None = None
    born: int | None = None
    target: str | None = None
    key: bytes | None = None

    @property
    def name(self) -> str:
        """Domain and path, as the file is called here."""
        return f"{self.domain}/{self.path}" if self.path else self.domain

    @property
    def stored(self) -> bool:
        """Whether its stored name is one: 40 digits, that lead nowhere else."""
        return bool(_ID.fullmatch(self.file_id))


class Manifest(Protocol):
    """The files of one backup."""

    def rows(self) -> Iterator[Row]:
        """All of them, in order. Raises Corrupt after what could be read, LimitExceeded past four million."""

    def find(self, file_id: str) -> list[Row]:
        """Those that are stored under a name. Raises Corrupt."""


def stored_name(domain: str, path: str) -> str:
    """The name that a file is stored under."""
    return sha1(f"{domain}-{path}".encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


class Database:
    """Manifest.db, out of a private copy at `path`: its schema is not trusted, and its queries end.

    Raises Unsupported where it is a database of another kind, Corrupt where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._looks = [_LISTING]
        try:
            self._connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)
        except sqlite3.Error as error:
            raise _unreadable(error) from error
        weakref.finalize(self, self._connection.close)
        try:
            self._connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
            self._connection.set_progress_handler(partial(_look, self._looks), _STEPS)
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("PRAGMA cell_size_check = ON")
            columns = {row[1] for row in self._connection.execute("PRAGMA table_info(Files)")}
            kind = self._connection.execute("SELECT type FROM sqlite_master WHERE name = 'Files'").fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: a column's name
            raise _unreadable(error) from error
        if kind != ("table",) or not {"fileID", "domain", "relativePath", "flags", "file"} <= columns:
            raise Unsupported("database that is no manifest of a backup: it has no table Files of their form")

    def rows(self) -> Iterator[Row]:
        yield from self._rows(_ALL, (), _LISTING)

    def find(self, file_id: str) -> list[Row]:
        return list(self._rows(_ONE, (file_id, SAME), _LOOKUP))

    def _rows(self, query: str, values: tuple[str | int, ...], looks: int) -> Iterator[Row]:
        self._looks[0] = looks
        try:
            found = self._connection.execute(query, values)
            for count, (rowid, file_id, domain, path, flags, description) in enumerate(found):
                if count >= MAX_FILES:
                    raise LimitExceeded(f"backup of more than {MAX_FILES} files; the first were listed")
                kind = _KINDS.get(flags, "other") if isinstance(flags, int) else "other"
                yield Row(
                    number=rowid, file_id=_text(file_id), domain=_text(domain), path=_text(path), kind=kind, **_described(description)
                )
        except sqlite3.Error as error:
            raise _unreadable(error) from error


def _look(left: list[int]) -> bool:
    """Whether a query is to be ended: it has taken all the looks that were left."""
    left[0] -= 1
    return left[0] < 0


def _unreadable(error: Exception) -> Corrupt:
    return Corrupt(f"Manifest.db that cannot be read to its end ({error})")


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else "" if value is None else str(value)


def _described(blob: object) -> dict[str, Any]:
    """The fields of a `Row` that an MBFile gives, as NSKeyedArchiver writes it; none where it cannot be read."""
    if not isinstance(blob, bytes) or len(blob) > MAX_DESCRIPTION:
        return {}
    try:
        archive = plistlib.loads(blob)
        objects = archive["$objects"]
        root = objects[archive["$top"]["root"].data]
        said = {key: objects[value.data] if isinstance(value, plistlib.UID) else value for key, value in root.items()}
    except DAMAGE:
        return {}
    key = said.get("EncryptionKey")
    key = key.get("NS.data") if isinstance(key, dict) else key
    numbers = {
        "size": "Size", "mode": "Mode", "uid": "UserID", "gid": "GroupID", "protection_class": "ProtectionClass",
        "modified": "LastModified", "changed": "LastStatusChange", "born": "Birth",
    }  # fmt: skip
    found = {field: said[name] for field, name in numbers.items() if type(said.get(name)) is int and abs(said[name]) < 1 << 63}
    if found.get("size", 0) < 0:
        del found["size"]
    target = said.get("Target")
    return {
        "described": True,
        **found,
        **({"target": target} if isinstance(target, str) and target != "$null" else {}),
        **({"key": key} if isinstance(key, bytes) and key else {}),
    }


class Records:
    """Manifest.mbdb, version 5.0, out of its bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._places: dict[bytes, tuple[int, int]] | None = None

    def rows(self) -> Iterator[Row]:
        for _, row in self._walk():
            yield row

    def find(self, file_id: str) -> list[Row]:
        if self._places is None:
            self._places = {}
            try:
                for at, row in self._walk():
                    self._places.setdefault(bytes.fromhex(row.file_id), (row.number, at))
            except (Corrupt, LimitExceeded):
                pass  # said where the manifest itself is read; what stands before it is known
        place = self._places.get(bytes.fromhex(file_id)) if _ID.fullmatch(file_id) else None
        return [_record(self._data, place[1], place[0])[0]] if place else []

    def _walk(self) -> Iterator[tuple[int, Row]]:
        """Every record and where it begins. Raises Corrupt where one is cut short."""
        at, number = 6, 0
        while at < len(self._data):
            if number >= MAX_FILES:
                raise LimitExceeded(f"backup of more than {MAX_FILES} files; the first were listed")
            try:
                row, after = _record(self._data, at, number)
            except struct.error as error:
                raise Corrupt(f"Manifest.mbdb that is cut short in record {number} ({error})") from error
            yield at, row
            at, number = after, number + 1


def _record(data: bytes, at: int, number: int) -> tuple[Row, int]:
    """The record at an offset, and where the next one begins. Raises struct.error where it is cut short."""

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

    domain, path, target, _, key = (text() for _ in range(5))
    mode, _, uid, gid, modified, changed, born, size, protection, properties = struct.unpack_from(">HQIIIIIQBB", data, at)
    at += 40
    for _ in range(properties):
        text(), text()
    row = Row(
        number=number,
        file_id=sha1(domain + b"-" + path, usedforsecurity=False).hexdigest(),
        domain=_text(domain),
        path=_text(path),
        kind=_MODES.get(mode & 0xF000, "other"),
        described=True,
        size=size,
        mode=mode,
        uid=uid,
        gid=gid,
        protection_class=protection,
        modified=modified,
        changed=changed,
        born=born,
        target=_text(target) if target else None,
        key=key or None,
    )
    return row, at
