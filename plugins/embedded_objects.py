"""Files within documents: packages and objects in OLE files, attachments in PDF files.

OLE (MS-OLEDS 2.3.6 for Ole10Native, MS-CFB), PDF (ISO 32000-1, 7.11.4). What Office Open XML and OpenDocument files hold are members of a
zip archive: `zip-archive` opens them, and what is an OLE file among them comes here.
"""

import hashlib
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, BinaryIO

from forensics.plugin import (
    Corrupt,
    File,
    Finding,
    Inventory,
    LimitExceeded,
    Member,
    RecordNumber,
    Times,
    Unsupported,
    Value,
    container,
    shown,
    stream_of,
)

MAX_STREAM = 256 << 20  # bytes of a stream of an OLE file, which the library reads whole
MAX_OBJECTS = 50_000  # objects of a PDF that are looked at
MAX_FILES = 5000
MAX_TEXT = 4096
# What the libraries are known to raise on hostile bytes.
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,  # also NotImplementedError and RecursionError
    struct.error,
    zlib.error,
)


@container(
    version="1.0",
    mime=(
        "application/pdf",
        "application/msword",
        "application/vnd.ms-excel*",
        "application/vnd.ms-powerpoint*",
        "application/vnd.ms-word*",
        "application/vnd.ms-office",
        "application/vnd.ms-works*",
        "application/vnd.visio",
        "application/encrypted",
        "application/CDFV2*",
        "application/x-ole-storage",
    ),
)
def embedded_objects(file: File) -> Iterator[Member | Finding]:
    """Files embedded in OLE documents and attached to PDF files, with the paths that they had on their author's machine.

    Raises Unsupported where the content is neither or holds nothing of the kind, Corrupt after what could be read of a damaged one, Locked
    for a document that is encrypted, LimitExceeded past 5000 files.
    """
    with file.open() as stream, _quiet():
        head = stream.read(1024)
        stream.seek(0)
        if b"%PDF-" in head:
            yield from _pdf(stream)
        elif head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
            yield from _ole(stream)
        else:
            raise Unsupported(f"content of type {file.mime} is neither PDF nor OLE")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries from logging and warning about evidence; all is restored afterwards."""
    loggers = [logging.getLogger(name) for name in ("pypdf", "olefile")]
    before = [logger.propagate for logger in loggers]
    silence = logging.NullHandler()
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(silence)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(silence)
            logger.propagate = propagate


# --- OLE --------------------------------------------------------------------------------------------------------------------


def _ole(stream: BinaryIO) -> Iterator[Member | Finding]:
    """Packages (``\\x01Ole10Native``), and whole files in a stream of their own (``Package``, ``CONTENTS``)."""
    import olefile  # only where there is such a file

    inventory = Inventory("OLE document")
    try:
        ole = olefile.OleFileIO(stream)
        paths = sorted(tuple(path) for path in ole.listdir())
    except DAMAGE as error:
        raise Corrupt(f"OLE file that cannot be read ({type(error).__name__}: {error})") from error
    with ole:
        found = 0
        for path in paths:
            kind = path[-1].casefold()
            if kind == "encryptedpackage":
                inventory.locked(path[-1])
            if kind not in ("\x01ole10native", "package", "contents"):
                continue
            found += 1
            if found > MAX_FILES:
                raise LimitExceeded(f"OLE file of more than {MAX_FILES} embedded files; the first were read")
            data = _stream(ole, path, inventory)
            if not data:
                continue
            folder = "/".join(path[:-1])
            if kind == "\x01ole10native":
                yield from _package(data, folder, found, inventory)
            else:
                name = f"{folder}/{path[-1]}".lstrip("/")
                inventory.note(name)
                yield Member(path=name, open=lambda data=data: stream_of((data,)), size=len(data))  # type: ignore[misc]
    if not inventory.members:
        yield from inventory.conclude()
        raise Unsupported("OLE file in which no file is embedded")
    yield from inventory.conclude()


def _stream(ole: Any, path: tuple[str, ...], inventory: Inventory) -> bytes:
    name = "/".join(path)
    try:
        if (size := ole.get_size(list(path))) > MAX_STREAM:
            inventory.unread(name, f"stream of {size} bytes (limit {MAX_STREAM})")
            return b""
        with ole.openstream(list(path)) as stream:
            data = bytes(stream.read())
    except DAMAGE as error:
        inventory.damaged(name, f"stream that cannot be read ({type(error).__name__}: {error})")
        return b""
    if len(data) < size:
        inventory.damaged(name, f"{len(data)} of {size} bytes are there")
    return data


def _package(data: bytes, folder: str, number: int, inventory: Inventory) -> Iterator[Member | Finding]:
    """What the Packager keeps of a file: label, path where it came from, path where it was put to be opened, content."""
    try:
        label, source, temporary, content = _native(data)
    except (ValueError, struct.error):  # other programs keep their own content there, behind its length
        label, source, temporary, content = "", "", "", data[4:]
    name = re.split(r"[/\\]", label or source or temporary)[-1] or "Ole10Native"
    path = f"{folder}/{name}".lstrip("/")
    inventory.note(path)
    size = int.from_bytes(data[:4], "little")
    if size > len(data) - 4:
        inventory.damaged(path, f"{len(data) - 4} of {size} bytes are there")
    if label or source:
        fields = {"name": label, "original_path": source, "temporary_path": temporary}
        values: dict[str, Value] = {field: shown(text) for field, text in fields.items() if text}
        yield Finding(
            kind="embedded-file",
            summary=shown(f"File embedded in a document: {label or source}, from {source or 'an unknown place'}"),
            data={"format": inventory.what, "size": len(content), **values},
            level="notable",
            locator=RecordNumber(number, "embedded file"),
        )
    yield Member(path=path, open=lambda: stream_of((content,)), size=len(content))


def _native(data: bytes) -> tuple[str, str, str, bytes]:
    """The fields of a package. Raises ValueError or struct.error where the stream is none."""
    (kind,) = struct.unpack_from("<H", data, 4)
    if kind != 2:
        raise ValueError("no package")
    at = 6
    texts = []
    for _ in range(2):
        end = data.index(b"\0", at, at + MAX_TEXT)
        texts.append(data[at:end])
        at = end + 1
    _, length = struct.unpack_from("<II", data, at)  # 3 for an embedded file, 1 for a link to one; length of the third text
    if length > MAX_TEXT:
        raise ValueError("no package")
    texts.append(data[at + 8 : at + 8 + length].rstrip(b"\0"))
    (size,) = struct.unpack_from("<I", data, at + 8 + length)
    begin = at + 12 + length
    label, source, temporary = (text.decode("utf-8", "surrogateescape") for text in texts)
    return label, source, temporary, data[begin : begin + size]


# --- PDF --------------------------------------------------------------------------------------------------------------------


def _pdf_damage() -> tuple[type[Exception], ...]:
    """What pypdf is known to raise on hostile bytes."""
    from pypdf.errors import DependencyError, PyPdfError

    return (*DAMAGE, PyPdfError, DependencyError)


def _pdf(stream: BinaryIO) -> Iterator[Member | Finding]:
    """Every file specification with an embedded file that the catalogue reaches, breadth first."""
    import pypdf  # only where there is a PDF: it is the slowest to load of all libraries

    inventory = Inventory("PDF document")
    try:
        reader = pypdf.PdfReader(stream, strict=False)
        if reader.is_encrypted and not _unlocked(reader):
            inventory.locked("all that it may hold")
        root = None if inventory.locks else _resolved(reader.trailer.get("/Root"))
    except _pdf_damage() as error:
        raise Corrupt(f"PDF that cannot be read ({type(error).__name__}: {error})") from error
    for number, specification in enumerate(_specifications(root, inventory), 1):
        if number > MAX_FILES:
            raise LimitExceeded(f"PDF of more than {MAX_FILES} embedded files; the first were read")
        yield from _attachment(specification, number, inventory)
    if not inventory.members:
        yield from inventory.conclude()
        raise Unsupported("PDF without embedded files")
    yield from inventory.conclude()


def _unlocked(reader: Any) -> bool:
    """Whether the empty password opens it, with which any reader opens it."""
    try:
        return bool(reader.decrypt(""))
    except _pdf_damage():
        return False


def _resolved(value: Any) -> Any:
    """What a reference of a PDF points to, through at most ten references."""
    from pypdf.generic import IndirectObject

    for _ in range(10):
        if not isinstance(value, IndirectObject):
            break
        value = value.get_object()
    return value


def _specifications(root: Any, inventory: Inventory) -> Iterator[Any]:
    from pypdf.generic import IndirectObject

    waiting: list[Any] = [root]
    seen: set[int] = set()
    for count, item in enumerate(waiting):
        if count >= MAX_OBJECTS:
            inventory.unread("", f"of its objects, only the first {MAX_OBJECTS} were looked at")
            return
        try:
            if isinstance(item, IndirectObject):
                if item.idnum in seen:
                    continue
                seen.add(item.idnum)
                item = _resolved(item)
            if isinstance(item, dict):
                if isinstance(_resolved(item.get("/EF")), dict):
                    yield item
                below = [value for key, value in item.items() if key not in ("/Parent", "/EF")]
            else:
                below = item[:MAX_OBJECTS] if isinstance(item, list) else []
        except _pdf_damage() as error:
            inventory.damaged("", f"object that cannot be read ({type(error).__name__}: {error})")
            continue
        waiting.extend(value for value in below if isinstance(value, IndirectObject | dict | list))


def _attachment(item: Any, number: int, inventory: Inventory) -> Iterator[Member | Finding]:
    """The file of a specification (ISO 32000-1, tables 44 to 46), checked against the MD5 that it may state."""
    name, content, stated, values = f"attachment-{number}", b"", b"", {}
    dates: dict[str, datetime | None] = {}
    try:
        name = str(_resolved(item.get("/UF")) or _resolved(item.get("/F")) or name)[:MAX_TEXT]
        files = _resolved(item.get("/EF"))
        embedded = _resolved(files.get("/UF") or files.get("/F") or next(iter(files.values()), None))
        parameters = _resolved(embedded.get("/Params"))
        parameters = parameters if isinstance(parameters, dict) else {}
        dates = {field: _date(_resolved(parameters.get(key))) for field, key in (("modified", "/ModDate"), ("born", "/CreationDate"))}
        if description := _resolved(item.get("/Desc")):
            values["description"] = str(description)[:MAX_TEXT]
        checksum = _resolved(parameters.get("/CheckSum"))
        stated = getattr(checksum, "original_bytes", checksum) if checksum is not None else b""
        content = bytes(embedded.get_data())
    except _pdf_damage() as error:
        inventory.damaged(name, f"attachment that cannot be read ({type(error).__name__}: {error})")
    if content and isinstance(stated, bytes) and len(stated) == 16 and hashlib.md5(content, usedforsecurity=False).digest() != stated:
        inventory.damaged(name, f"its MD5 is not the stated {stated.hex()}")
    inventory.note(name)
    yield Finding(
        kind="embedded-file",
        summary=shown(f"File attached to a PDF document: {name}"),
        when=dates.get("modified") or dates.get("born"),
        data={"format": inventory.what, "name": shown(name), "size": len(content), **{key: shown(text) for key, text in values.items()}},
        level="notable",
        locator=RecordNumber(number, "embedded file"),
    )
    yield Member(
        path=name,
        open=lambda: stream_of((content,) if content else ()),
        size=len(content),
        times=Times(**{field: _iso(moment) for field, moment in dates.items()}),
    )


def _date(text: object) -> datetime | None:
    """``D:YYYYMMDDHHmmSSOHH'mm'`` (ISO 32000-1, 7.9.4), in UTC where the zone is said, else naive."""
    found = re.match(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-])(\d\d)'?(\d\d)?)?", str(text), re.ASCII)
    if not found:
        return None
    parts = zip(found.groups()[:6], (1, 1, 1, 0, 0, 0), strict=True)
    year, month, day, hour, minute, second = (int(part or default) for part, default in parts)
    minutes = 0 if not found[8] else int(f"{found[8]}1") * (60 * int(found[9]) + int(found[10] or 0))
    try:
        moment = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a PDF need not say its zone
        return moment.replace(tzinfo=timezone(timedelta(minutes=minutes))).astimezone(UTC) if found[7] or found[8] else moment
    except (ValueError, OverflowError):
        return None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
