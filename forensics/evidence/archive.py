"""An archive of files as an exhibit: zip (also UFDR and other phone extractions), tar, tar.gz; its members are a file system.

Names stay as they are: nothing is unpacked, so that ``../`` in a name leads nowhere. A member is found by its number in the archive, since
two may have the same name.
"""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from forensics.errors import Corrupt, LimitExceeded, Locked, Unsupported
from forensics.evidence import limits
from forensics.evidence.filesystem import FileSystem
from forensics.evidence.libyal import Source
from forensics.evidence.openfile import SourceFile
from forensics.location import Layer, Location, decode, encode, escape
from forensics.model import Digests, Entry, EntryKind, Fault, LayerInfo, State, Times

_ZIP_NAMES = {".zip", ".ufdr", ".clbx"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_BROKEN = (Corrupt, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, tarfile.TarError, ValueError, struct.error)


class Member(NamedTuple):
    """A member: its path ("/" first), kind, size, times, permissions, a link's target, where its content begins (-1: it is compressed)."""

    path: str
    kind: EntryKind
    size: int
    times: Times
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    target: str | None = None
    start: int = -1
    note: str | None = None
    state: State = "allocated"


def _file(source: Source) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(SourceFile(source), 1 << 20))


def is_archive(path: Path, source: Source) -> bool:
    """Whether it is an archive, by its name and its first bytes. The name counts because many a document is a zip archive too."""
    return _kind(path, source) is not None


def open_archive(exhibit: str, path: Path, source: Source) -> FileSystem:
    """The members of an archive. Raises Corrupt where its list of members cannot be read."""
    kind = _kind(path, source)
    return _Zip(exhibit, source) if kind == "zip" else _Tar(exhibit, source, kind or "tar")


def _kind(path: Path, source: Source) -> str | None:
    head, name = source.read(0, 512), path.name.lower()
    if path.suffix.lower() in _ZIP_NAMES and head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if name.endswith(".tar") and head.startswith(b"ustar", 257):
        return "tar"
    return "tar-gz" if name.endswith((".tgz", ".tar.gz")) and head.startswith(b"\x1f\x8b") else None


class Archive:
    """What archives of every kind share. Satisfies `FileSystem`; one thread at a time."""

    def __init__(self, exhibit: str, source: Source, kind: str, description: str) -> None:
        self._exhibit, self._layers, self._source = exhibit, (Layer(kind),), source
        self._prefix = str(Location(exhibit, self._layers))
        self._members: list[Member] = []
        self._numbers: dict[str, int] = {}
        self._problem: str | None = None
        self.info = LayerInfo(
            location=self._prefix, kind=kind, offset=0, size=source.size, description=description, examined=True, timezone="local"
        )

    def _list(self, members: Iterator[Member]) -> None:
        """Take in the list of members. What is wrong with it after its start is a fault of the walk."""
        try:
            for number, member in enumerate(members):
                if number >= limits.MEMBERS:
                    raise LimitExceeded(f"{self._prefix}: more than {limits.MEMBERS} members; those after them are not listed")
                self._members.append(member)
                self._numbers.setdefault(member.path, number)
        except LimitExceeded as error:
            self._problem = str(error)
        except _BROKEN as error:
            if not self._members:
                raise Corrupt(f"{self._prefix}: the list of members cannot be read: {error}") from error
            self._problem = f"the list of members ends early: {error}"

    def walk(self) -> Iterator[Entry | Fault]:
        """Every member, in the order of the archive's list."""
        for number, member in enumerate(self._members):
            yield Entry(
                location=f"{self._prefix}{escape(member.path, separators=True)};meta={number}",
                kind=member.kind,
                size=member.size,
                state=member.state,
                content=None if member.state == "allocated" else "unknown" if member.size else "intact",
                times=member.times,
                mode=member.mode,
                uid=member.uid,
                gid=member.gid,
                target=escape(member.target[: limits.LINK_TARGET]) if member.target is not None else None,
                start=member.start,
                note=member.note,
            )
        if self._problem:
            yield Fault(location=self._prefix, kind="damaged", message=self._problem)

    def open(self, location: Location) -> "_Stream":
        """The content of a member. Raises Corrupt where there is none, Locked where it is encrypted, Unsupported for its compression."""
        meta = location.meta or ""
        if not (meta.isascii() and meta.isdecimal() and len(meta) < 10) or int(meta) >= len(self._members) or location.stream:
            raise Corrupt(f"{location}: there is no such member")
        return _Stream(self._content(int(meta), str(location)), self._members[int(meta)].size, str(location), self._stored(int(meta)))

    def sibling(self, location: Location, suffix: str) -> Location | None:
        """The member whose name is its name and `suffix`."""
        number = self._numbers.get(location.path + suffix)
        if number is None or self._members[number].kind != "file":
            return None
        return Location(self._exhibit, self._layers, location.path + suffix, str(number))

    def _content(self, number: int, place: str) -> BinaryIO:
        raise NotImplementedError

    def _stored(self, number: int) -> tuple[str, str]:
        """MD5 and SHA-1 of a member as its acquisition stored them; empty where it did not."""
        return "", ""


class _Stream:
    """The content of one member, unpacked as it is read; reading backwards begins again."""

    def __init__(self, file: BinaryIO, size: int, place: str, stored: tuple[str, str]) -> None:
        self._file, self.size, self._place, self._stored = file, size, place, stored

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, short only at the end. Raises Corrupt where it cannot be unpacked."""
        size = min(size, self.size - offset)
        if offset < 0 or size <= 0:
            return b""
        try:
            self._file.seek(offset)
            data = self._file.read(size)
            if offset + size == self.size:
                self._file.read(1)  # at its end the checksum is verified
        except _BROKEN as error:
            raise Corrupt(f"{self._place}: cannot be unpacked at byte {offset}: {error}") from error
        if len(data) < size:
            raise Corrupt(f"{self._place}: ends at byte {offset + len(data)}, but its size is {self.size}")
        return data

    def changed(self) -> bool:
        """Never: the archive's digest is taken."""
        return False

    def mismatch(self, digests: Digests) -> str | None:
        """What of the content's digests is not as its acquisition stored it; `None` where nothing differs, or nothing was stored."""
        for name, stored, found in zip(("MD5", "SHA-1"), self._stored, (digests.md5, digests.sha1), strict=True):
            if stored and found and stored != found:
                return f"its {name} is {found}, and {stored} was stored at acquisition: its content is not what was acquired"
        return None


class _Zip(Archive):
    """A zip archive (APPNOTE 6.3.10)."""

    def __init__(self, exhibit: str, source: Source) -> None:
        super().__init__(exhibit, source, "zip", "zip archive")
        try:
            self._zip = zipfile.ZipFile(_file(source))
        except _BROKEN as error:
            raise Corrupt(f"{self._prefix}: the list of members cannot be read: {error}") from error
        self._list(map(_zip_member, self._zip.infolist()))

    def _content(self, number: int, place: str) -> BinaryIO:
        info = self._zip.infolist()[number]
        if info.file_size > limits.MEDIUM:
            raise Corrupt(f"{place}: is said to have {info.file_size} bytes, more than there can be")
        if info.flag_bits & 1:
            raise Locked(f"{place}: is encrypted; unpack the archive with its password, and add the folder")
        try:
            return cast(BinaryIO, self._zip.open(info))
        except NotImplementedError as error:
            raise Unsupported(f"{place}: is packed in a way that is not read ({error})") from error
        except _BROKEN as error:
            raise Corrupt(f"{place}: cannot be unpacked: {error}") from error


def _zip_member(info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16 if info.create_system == 3 else 0
    kind: EntryKind = "directory" if info.is_dir() else "link" if stat.S_ISLNK(mode) else "file"
    return Member(
        path=f"/{info.filename.rstrip('/') if info.is_dir() else info.filename}",
        kind=kind,
        size=0 if kind == "directory" or info.file_size > limits.MEDIUM else info.file_size,
        times=_zip_times(info),
        mode=stat.S_IMODE(mode) if mode else None,
        start=info.header_offset if 0 <= info.header_offset <= limits.MEDIUM else -1,
        note="encrypted in the archive" if info.flag_bits & 1 else None,
    )


def _zip_times(info: zipfile.ZipInfo) -> Times:
    """Times in UTC from the extra fields of Info-ZIP and of NTFS; else the local time, without a zone, that every member has."""
    extra, at = info.extra, 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        body = extra[at + 4 : at + 4 + size]
        at += 4 + size
        if kind == 0x000A and len(body) >= 32 and body[4:8] == b"\x01\x00\x18\x00":  # APPNOTE 4.5.5
            modified, accessed, born = struct.unpack_from("<QQQ", body, 8)
            return Times(_filetime(modified), _filetime(accessed), None, _filetime(born))
        if kind == 0x5455 and len(body) >= 5 and body[0] & 1:  # Info-ZIP, "UT": the central copy holds the modification time alone
            return Times(_posix(struct.unpack_from("<i", body, 1)[0]))
    try:
        return Times(datetime(*info.date_time).isoformat())  # noqa: DTZ001 - local time of a zone that nobody wrote down
    except ValueError:
        return Times()


def _filetime(value: int) -> str | None:
    try:
        text = (_FILETIME_EPOCH + timedelta(microseconds=value // 10)).isoformat()[:19]
    except OverflowError:
        return None
    return (f"{text}.{value % 10_000_000:07d}Z" if value % 10_000_000 else f"{text}Z") if value else None


def _posix(seconds: float) -> str | None:
    try:
        whole = int(seconds // 1)
        text = (_EPOCH + timedelta(seconds=whole)).isoformat()[:19]
        rest = round((seconds - whole) * 1e6)
    except (OverflowError, ValueError):
        return None
    return f"{text}.{rest:06d}Z" if 0 < rest < 1_000_000 else f"{text}Z"


class _Tar(Archive):
    """A tar archive (POSIX.1-2017 pax, and GNU's), plain or compressed by gzip."""

    def __init__(self, exhibit: str, source: Source, kind: str) -> None:
        super().__init__(exhibit, source, kind, "tar archive" if kind == "tar" else "tar archive, compressed by gzip")
        file = _file(source)
        self._packed = kind != "tar"
        try:
            opened = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if self._packed else file
            self._tar = tarfile.TarFile(fileobj=opened, mode="r", encoding="utf-8", errors="surrogateescape")
        except _BROKEN as error:
            raise Corrupt(f"{self._prefix}: the list of members cannot be read: {error}") from error
        self._infos: list[tarfile.TarInfo] = []
        self._list(self._each())
        self.info = LayerInfo(
            location=self._prefix, kind=kind, offset=0, size=source.size, description=self.info.description, examined=True, timezone="utc"
        )

    def _each(self) -> Iterator[Member]:
        for info in self._tar:
            self._infos.append(info)
            yield _tar_member(info, self._packed)

    def _content(self, number: int, place: str) -> BinaryIO:
        info = self._infos[number]
        if not info.isreg():
            raise Corrupt(f"{place}: is no file")
        try:
            return cast(BinaryIO, self._tar.extractfile(info))
        except _BROKEN as error:
            raise Corrupt(f"{place}: cannot be unpacked: {error}") from error


def _tar_member(info: tarfile.TarInfo, packed: bool) -> Member:
    kind: EntryKind = "file" if info.isreg() else "directory" if info.isdir() else "link" if info.issym() or info.islnk() else "other"
    note = "a hard link: its content is that of its target" if info.islnk() else None
    return Member(
        path=f"/{decode(encode(info.name)).removeprefix('./')}",
        kind=kind,
        size=info.size if kind == "file" else 0,
        times=Times(_posix(info.mtime)),
        mode=info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        target=info.linkname if kind == "link" else None,
        start=-1 if packed else info.offset_data,
        note=note,
    )
