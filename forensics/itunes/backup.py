"""One backup, opened: its manifest, and the keys that a password gives. What was opened is kept, since each of its files asks for it."""

import plistlib
import shutil
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Protocol

from msgspec import Struct

from forensics.errors import Corrupt, EvidenceError, LimitExceeded
from forensics.itunes import keybag
from forensics.itunes.manifest import DAMAGE, Database, Manifest, Records

MAX_PLIST = 64 << 20  # bytes of a property list: applications' own are in it
MAX_RECORDS = 256 << 20  # bytes of a Manifest.mbdb, which is kept in memory
MAX_DATABASE = 2 << 30  # bytes of a Manifest.db, which is copied
KEPT = 4  # backups that stay open
_CHUNK = 1 << 20
_SQLITE = b"SQLite format 3\0"
_MBDB = b"mbdb"


class Near(Protocol):
    """A file of a backup."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def open(self) -> Callable[[], BinaryIO]:
        """Gives its content as a stream."""


class Backup(Struct, frozen=True):
    """A backup: its manifest (`None` where it stays locked), whether it is encrypted, the keys of its classes, or why there are none.

    `key` is that of its Manifest.db, where that is encrypted and opened.
    """

    manifest: Manifest | None
    encrypted: bool
    classes: dict[int, bytes] | None = None
    why: str = ""
    key: bytes | None = None


class Backups:
    """The backups opened last, by place and manifest, and the passwords that are tried on them. One that fails is not tried again."""

    def __init__(self, passwords: tuple[bytes, ...] = ()) -> None:
        self._passwords = passwords
        self._held: OrderedDict[Hashable, Backup | EvidenceError | None] = OrderedDict()

    def of(self, place: Hashable, find: Callable[[str], Near | None], name: str) -> Backup | None:
        """The backup at a place: its manifest is called `name`, and `find` gives its files by their names. `None` where it is none.

        A folder may have manifests of both forms, one backup over another: each is a backup of its own.
        Raises Unsupported, Corrupt or LimitExceeded where its manifest, or the list of its keys, cannot be read.
        """
        key = (place, name)
        if key in self._held:
            self._held.move_to_end(key)
        else:
            if (manifest := find(name)) is None:
                return None
            try:
                self._held[key] = opened(manifest, find, self._passwords)
            except EvidenceError as error:
                self._held[key] = error
            if len(self._held) > KEPT:
                self._held.popitem(last=False)
        found = self._held[key]
        if isinstance(found, EvidenceError):
            raise type(found)(str(found))
        return found


def opened(manifest: Near, find: Callable[[str], Near | None], passwords: tuple[bytes, ...]) -> Backup | None:
    """Open a backup by its manifest. `None` where that is no manifest. Raises as `Backups.of`."""
    with manifest.open() as stream:
        head = stream.read(16)
    properties = _properties(find("Manifest.plist"))
    encrypted = properties.get("IsEncrypted") is True
    if head.startswith(_MBDB):
        if manifest.size > MAX_RECORDS:
            raise LimitExceeded(f"Manifest.mbdb of {manifest.size} bytes (limit {MAX_RECORDS})")
        with manifest.open() as stream:
            records = Records(stream.read(MAX_RECORDS))
        return Backup(records, encrypted, *_unlocked(properties, passwords)) if encrypted else Backup(records, encrypted)
    if head == _SQLITE:
        database = _database(_pieces(manifest), _log(find("Manifest.db-wal")))
        return Backup(database, encrypted, *_unlocked(properties, passwords)) if encrypted else Backup(database, encrypted)
    if not encrypted:
        if head and manifest.size % 4096 == 0 and len(set(head)) > 8:  # pages of a database, but as AES left them
            return Backup(
                None, True, None, "its Manifest.plist, which holds the keys, is not beside it or does not say that it is encrypted"
            )
        return None
    classes, why = _unlocked(properties, passwords)
    if classes is None:
        return Backup(None, True, None, why)
    key = keybag.key_of(classes, properties.get("ManifestKey"))
    with manifest.open() as stream:
        pieces = keybag.decrypted(stream, _within(manifest), key, lambda why: None)  # whether it is whole, SQLite says
        return Backup(_database(pieces), True, classes, "", key)


def _properties(near: Near | None) -> dict[str, object]:
    """Manifest.plist; empty where it is not there or is no property list."""
    if near is None or near.size > MAX_PLIST:
        return {}
    try:
        with near.open() as stream:
            found = plistlib.loads(stream.read(MAX_PLIST))
    except DAMAGE:
        return {}
    return found if isinstance(found, dict) else {}


def _unlocked(properties: dict[str, object], passwords: tuple[bytes, ...]) -> tuple[dict[int, bytes] | None, str]:
    """The keys that a password gives, or why none does."""
    bag = keybag.read(properties.get("BackupKeyBag"))
    tried = passwords[: max(1, keybag.WORK // bag.work)]
    for password in tried:
        if classes := keybag.unlock(bag, password):
            return classes, ""
    if not passwords:
        return None, "no password was given"
    if len(tried) < len(passwords):
        return (
            None,
            f"none of the first {len(tried)} of {len(passwords)} passwords opens it; each takes long, so give the likely ones first",
        )
    return None, "the password given does not open it" if len(passwords) == 1 else f"none of the {len(passwords)} passwords given opens it"


def _within(near: Near) -> int:
    if near.size > MAX_DATABASE:
        raise LimitExceeded(f"Manifest.db of {near.size} bytes (limit {MAX_DATABASE})")
    return near.size


def _pieces(near: Near) -> Iterator[bytes]:
    left = _within(near)
    with near.open() as stream:
        while left and (data := stream.read(min(_CHUNK, left))):
            left -= len(data)
            yield data


def _log(near: Near | None) -> Iterator[bytes]:
    """The log beside the database: what was written last may stand in it alone."""
    return _pieces(near) if near is not None and 0 < near.size <= MAX_RECORDS else iter(())


def _database(pieces: Iterator[bytes], log: Iterator[bytes] = iter(())) -> Database:
    """The database out of a private copy, which is gone with it."""
    folder = Path(tempfile.mkdtemp(prefix="backup-"))
    with ExitStack() as leaving:
        leaving.callback(shutil.rmtree, folder, ignore_errors=True)
        with (folder / "manifest").open("wb") as out:
            out.writelines(pieces)
        with (folder / "manifest-wal").open("wb") as out:
            out.writelines(log)
        with (folder / "manifest").open("rb") as written:
            if written.read(len(_SQLITE)) != _SQLITE:
                raise Corrupt("Manifest.db that its own key does not decrypt")
        database = Database(folder / "manifest")
        leaving.pop_all()
    weakref.finalize(database, shutil.rmtree, folder, ignore_errors=True)
    return database
