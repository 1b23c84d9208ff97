"""Documents: who wrote them with what and when, whether they are encrypted, and what in them runs, embeds or fetches something.

PDF (ISO 32000-1, 14.3.3), OLE documents (MS-OLEPS, MS-DOC, MS-XLS), Office Open XML (ECMA-376 part 2, section 11) and OpenDocument
(OASIS ODF 1.2 part 1, section 4). Content is never rendered or run; what is found is a lead, not a verdict.
"""

import html
import logging
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, BinaryIO

from forensics.plugin import Corrupt, File, Finding, LimitExceeded, Unsupported, Value, extractor

MAX_TEXT = 4096  # characters of a property that are kept
MAX_LISTED = 20  # names, targets and the like that are listed
MAX_OBJECTS = 5000  # objects of a PDF that are looked at
MAX_XML = 8 << 20  # bytes of a property file or a list of relations
MAX_BODY = 16 << 20  # bytes of text in which fields are looked for
MAX_DIRECTORY = 16 << 20  # bytes of a ZIP's central directory: some 200,000 members
MAX_SCRIPT = 64 << 10  # characters of script that go to the search index
# What the libraries are known to raise on hostile bytes.
DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,  # also NotImplementedError and RecursionError
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


class _Document:
    """What is gathered of one document until it is said."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.data: dict[str, Value] = {"format": kind}
        self.created: datetime | None = None
        self.modified: datetime | None = None
        self.encryption = ""
        self.active: dict[str, list[str]] = {}  # what is active, and where it stands
        self.script = ""
        self.damage: Corrupt | LimitExceeded | None = None

    def put(self, field: str, value: object) -> None:
        """Keep a property, as text without the NULs and blanks around it; nothing where it is empty."""
        text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else "" if value is None else str(value)
        if text := text[:MAX_TEXT].strip("\0 \t\r\n"):
            self.data[field] = text

    def count(self, field: str, value: object) -> None:
        """Keep a number, where it is one and can be right."""
        text = str(value)
        if text.isascii() and text.isdecimal() and len(text) < 10:
            self.data[field] = int(text)

    def found(self, what: str, where: object) -> None:
        places = self.active.setdefault(what, [])
        if (place := str(where)[:MAX_TEXT]) not in places and len(places) < MAX_LISTED:
            places.append(place)


@extractor(
    version="1.0",
    mime=(
        "application/pdf",
        "application/msword",
        "application/vnd.ms-excel*",
        "application/vnd.ms-powerpoint*",
        "application/vnd.ms-word*",
        "application/vnd.ms-office",
        "application/vnd.visio",
        "application/vnd.openxmlformats-officedocument*",
        "application/vnd.oasis.opendocument.*",
        "application/encrypted",
        "application/CDFV2*",
        "application/x-ole-storage",
    ),
    names=("*.do[ct]", "*.do[ct][xm]", "*.xl[stab]", "*.xl[stab][xmb]", "*.pp[ts]", "*.p[po][tsa][xm]", "*.od[tspg]", "*.ot[tsp]"),
)
def document_properties(file: File) -> Iterator[Finding]:
    """Author, times, software, encryption and active content of PDF, Office and OpenDocument files.

    Raises Unsupported where the content is none of these, Corrupt or LimitExceeded after what could be read of a damaged one.
    """
    with file.open() as stream, _quiet() as said:
        head = stream.read(1024)
        stream.seek(0)
        if b"%PDF-" in head:
            document = _pdf(stream, said)
        elif head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
            document = _ole(stream)
        elif head.startswith(b"PK\x03\x04"):
            document = _zip(stream, file.size)
        else:
            raise Unsupported(f"content of type {file.mime} is none of PDF, OLE, Office Open XML and OpenDocument")
    if document.damage and len(document.data) == 1 and not document.active:  # nothing but its kind was readable
        raise document.damage
    yield _document(document)
    if document.encryption:
        yield Finding(
            kind="encrypted-document",
            summary=f"Encrypted {document.kind}: {document.encryption}",
            when=document.created,
            data={"format": document.kind, "encryption": document.encryption},
            level="notable",
        )
    if document.active:
        yield _active(document)
    if document.damage:
        raise document.damage


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep libraries from logging and warning about evidence; gives what pypdf would have logged. All is restored afterwards."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage()) if len(said) < 100 else None  # type: ignore[method-assign]
    loggers = {name: logging.getLogger(name) for name in ("pypdf", "olefile")}
    before = {name: logger.propagate for name, logger in loggers.items()}
    for logger in loggers.values():
        logger.propagate = False
        logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield said
    finally:
        for name, logger in loggers.items():
            logger.removeHandler(handler)
            logger.propagate = before[name]


# --- PDF --------------------------------------------------------------------------------------------------------------------

_PDF_FIELDS = {
    "/Title": "title",
    "/Author": "author",
    "/Subject": "subject",
    "/Keywords": "keywords",
    "/Creator": "application",
    "/Producer": "producer",
    "/Company": "company",
    "/CreationDate": "time_created",
    "/ModDate": "time_modified",
}
_PDF_ACTIONS = {
    "/JavaScript": "JavaScript",
    "/Launch": "start of a program",
    "/SubmitForm": "sending of a form",
    "/ImportData": "import of data",
}


def _pdf_damage() -> tuple[type[Exception], ...]:
    """What pypdf is known to raise on hostile bytes."""
    from pypdf.errors import DependencyError, PyPdfError

    return (*DAMAGE, PyPdfError, DependencyError)


def _pdf(stream: BinaryIO, said: list[str]) -> _Document:
    import pypdf  # only where there is a PDF: it is the slowest to load of all libraries

    document = _Document("PDF document")
    try:
        reader = pypdf.PdfReader(stream, strict=False)
        if reader.is_encrypted and not _pdf_unlocked(reader, document):
            return document
        info = _resolved(reader.trailer.get("/Info"))
        for key, field in _PDF_FIELDS.items():
            if isinstance(info, dict):
                document.put(field, _resolved(info.get(key)))
        document.created, document.modified = (_pdf_time(document.data.get(field)) for field in ("time_created", "time_modified"))
        root = _resolved(reader.trailer.get("/Root"))
        if isinstance(root, dict):
            document.put("version", _resolved(root.get("/Version")) or reader.pdf_header.removeprefix("%PDF-"))
            pages = _resolved(root.get("/Pages"))
            document.count("pages", _resolved(pages.get("/Count")) if isinstance(pages, dict) else None)
            _pdf_active(root, document)
        if any("xref" in line or "Object Streams" in line or "EOF marker" in line for line in said):
            document.damage = Corrupt("PDF whose table of objects is damaged; it was read by looking for the objects themselves")
    except _pdf_damage() as error:
        document.damage = Corrupt(f"PDF that cannot be read to its end ({type(error).__name__}: {error})")
    return document


def _pdf_unlocked(reader: Any, document: _Document) -> bool:
    """Note how the PDF is encrypted (ISO 32000-1, 7.6), and try the empty password, with which any reader opens it."""
    rules = _resolved(reader.trailer.get("/Encrypt"))
    rules = rules if isinstance(rules, dict) else {}
    version, revision, bits = (_resolved(rules.get(key)) for key in ("/V", "/R", "/Length"))
    method = f"{str(rules.get('/Filter', '')).removeprefix('/')} V{version} R{revision}, {bits or 40} bits"
    document.data["encrypted"] = True
    try:
        opened = bool(reader.decrypt(""))
    except _pdf_damage():
        opened = False
    document.encryption = f"{method}, {'opens without a password' if opened else 'needs a password to open'}"
    return opened


def _resolved(value: Any) -> Any:
    """What a reference of a PDF points to, through at most ten references."""
    from pypdf.generic import IndirectObject

    for _ in range(10):
        if not isinstance(value, IndirectObject):
            break
        value = value.get_object()
    return value


def _pdf_active(root: Any, document: _Document) -> None:
    """Walk the objects that the catalogue reaches, breadth first, and note actions and embedded files (ISO 32000-1, 12.6.4 and 7.11.4)."""
    from pypdf.generic import IndirectObject

    waiting: list[Any] = [root]
    seen: set[int] = set()
    scripts: list[str] = []
    for count, item in enumerate(waiting):
        if count >= MAX_OBJECTS:
            document.data["objects_not_read"] = True
            break
        try:
            if isinstance(item, IndirectObject):
                if item.idnum in seen:
                    continue
                seen.add(item.idnum)
                item = _resolved(item)
        except _pdf_damage() as error:
            document.damage = Corrupt(f"PDF with an object that cannot be read ({type(error).__name__}: {error})")
            continue
        if isinstance(item, dict):
            _pdf_dictionary(item, document, scripts)
            waiting.extend(value for key, value in item.items() if key != "/Parent" and isinstance(value, IndirectObject | dict | list))
        elif isinstance(item, list):
            waiting.extend(value for value in item[:MAX_OBJECTS] if isinstance(value, IndirectObject | dict | list))
    document.script = "\n".join(scripts)[:MAX_SCRIPT]


def _pdf_dictionary(item: Any, document: _Document, scripts: list[str]) -> None:
    try:
        opening = _resolved(item.get("/OpenAction"))
        if isinstance(opening, dict) and (kind := _PDF_ACTIONS.get(str(_resolved(opening.get("/S"))))):
            document.found(kind, "runs on opening")
        if (kind := _PDF_ACTIONS.get(str(_resolved(item.get("/S"))))) and kind not in document.active:
            document.found(kind, "runs when something is done")
        if "/JS" in item:
            code = _resolved(item["/JS"])
            scripts.append(code.get_data()[:MAX_SCRIPT].decode("latin-1") if hasattr(code, "get_data") else str(code)[:MAX_SCRIPT])
        if isinstance(_resolved(item.get("/EF")), dict):
            document.found("embedded file", _resolved(item.get("/UF")) or _resolved(item.get("/F")) or "without a name")
        if "/XFA" in item:
            document.found("XFA form", "form")
    except _pdf_damage() as error:
        document.damage = Corrupt(f"PDF with an action that cannot be read ({type(error).__name__}: {error})")


def _pdf_time(text: object) -> datetime | None:
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


# --- OLE --------------------------------------------------------------------------------------------------------------------

_OLE_TEXTS = {
    "title": "title",
    "subject": "subject",
    "author": "author",
    "keywords": "keywords",
    "comments": "comments",
    "template": "template",
    "last_saved_by": "last_modified_by",
    "revision_number": "revision",
    "creating_application": "application",
    "category": "category",
    "manager": "manager",
    "company": "company",
}
# Field codes stand between 0x13 and 0x14 or 0x15 (MS-DOC 2.8.25), in one or two bytes a character.
_DDE = re.compile(rb"\x13\s*(DDE(?:AUTO)?\s[^\x13-\x15]{0,500})", re.IGNORECASE)
_WIDE_DDE = re.compile(rb"\x13\0(?:\s\0)*(D\0D\0E\0(?:A\0U\0T\0O\0)?\s\0(?:[^\x13-\x15].){0,500})", re.IGNORECASE | re.DOTALL)
_HIDDEN = {1: " (hidden)", 2: " (very hidden)"}  # MS-XLS 2.4.28, hsState
_OLE_KINDS = {
    "worddocument": "Word document",
    "workbook": "Excel workbook",
    "book": "Excel workbook",
    "powerpoint document": "PowerPoint presentation",
    "visiodocument": "Visio drawing",
    "encryptedpackage": "Office document",
}


def _ole(stream: BinaryIO) -> _Document:
    import olefile  # only where there is such a file

    document = _Document("OLE document")
    try:
        with olefile.OleFileIO(stream) as ole:
            paths = sorted("/".join(path) for path in ole.listdir(streams=True, storages=True))
            known = [kind for name, kind in _OLE_KINDS.items() if any(path.casefold() == name for path in paths)]
            document.kind = known[0] if known else document.kind
            document.data["format"] = document.kind
            if not known and "\x05SummaryInformation" not in paths:
                raise Unsupported("OLE file that holds neither a document nor properties of one")
            _ole_active(ole, paths, document)
            _ole_properties(ole, document)
    except Unsupported:
        raise
    except DAMAGE as error:
        document.damage = Corrupt(f"OLE file that cannot be read to its end ({type(error).__name__}: {error})")
    return document


def _ole_properties(ole: Any, document: _Document) -> None:
    meta = ole.get_metadata()
    page = (meta.codepage or 1252) & 0xFFFF  # MS-OLEPS 2.18: a signed 16-bit number
    for attribute, field in _OLE_TEXTS.items():
        value = getattr(meta, attribute)
        document.put(field, _in_code_page(value, page) if isinstance(value, bytes) else value)
    for attribute, field in (("create_time", "time_created"), ("last_saved_time", "time_modified"), ("last_printed", "time_printed")):
        moment = getattr(meta, attribute)
        if isinstance(moment, datetime) and moment.year > 1601:  # FILETIME zero stands for "never"
            moment = moment.replace(tzinfo=UTC)
            document.data[field] = moment.isoformat().replace("+00:00", "Z")
            if field == "time_created":
                document.created = moment
            elif field == "time_modified":
                document.modified = moment
    document.count("pages", meta.num_pages or meta.slides)
    document.count("words", meta.num_words)
    if isinstance(meta.total_edit_time, int):
        document.count("edit_minutes", meta.total_edit_time // 60)


def _in_code_page(text: bytes, page: int) -> str:
    names = {65001: "utf-8", 1200: "utf-16-le", 10000: "mac-roman"}
    try:
        return text.decode(names.get(page, f"cp{page}"), "backslashreplace")
    except LookupError:
        return text.decode("latin-1")


def _ole_active(ole: Any, paths: list[str], document: _Document) -> None:
    for path in paths:
        last = path.rpartition("/")[2]
        if last.casefold() == "_vba_project":
            document.found("VBA macros", path)
        elif last in ("\x01Ole10Native", "Package") or re.fullmatch(r"ObjectPool/_\d+|MBD[0-9A-F]{8}", path):
            document.found("embedded object", path)
        elif path.casefold() == "encryptedpackage":
            document.encryption = "as a whole (MS-OFFCRYPTO), needs a password to open"
        elif path.casefold() == "encryptedsummary":  # PowerPoint 97-2003 moves its properties there (MS-PPT 2.3.7)
            document.encryption = "needs a password to open"
        elif path.casefold() in ("workbook", "book"):
            _workbook(ole.openstream(path).read(MAX_XML), document)
        elif path == "WordDocument":
            body = ole.openstream(path).read(MAX_BODY)
            if len(body) > 12 and struct.unpack_from("<H", body, 10)[0] & 0x0100:  # FibBase.fEncrypted, MS-DOC 2.5.2
                document.encryption = "needs a password to open"
            for code, encoding in ((_DDE, "cp1252"), (_WIDE_DDE, "utf-16-le")):
                for field in code.findall(body):
                    document.found("DDE field", field.decode(encoding, "backslashreplace").strip())
    if document.encryption:
        document.data["encrypted"] = True


def _workbook(body: bytes, document: _Document) -> None:
    """Records of a workbook's globals (MS-XLS 2.4.28 BoundSheet8, 2.4.117 FilePass): Excel 4 macro sheets, encryption."""
    offset = 0
    while offset + 4 <= len(body):
        record, size = struct.unpack_from("<HH", body, offset)
        if record == 0x0085 and size >= 8 and offset + 4 + size <= len(body):
            hidden, sheet, length, wide = struct.unpack_from("<BBBB", body, offset + 8)
            if sheet == 1:
                raw = body[offset + 12 : offset + 12 + length * (1 + (wide & 1))]
                name = raw.decode("utf-16-le" if wide & 1 else "latin-1", "backslashreplace")
                document.found("Excel 4 macros", f"sheet {name}{_HIDDEN.get(hidden & 3, '')}")
        elif record == 0x002F:
            document.encryption = "needs a password to open"
        elif record == 0x000A:  # EOF: the sheets follow
            break
        offset += 4 + size


# --- Office Open XML and OpenDocument ---------------------------------------------------------------------------------------

_OOXML_FIELDS = {
    "title": "title",
    "subject": "subject",
    "creator": "author",
    "keywords": "keywords",
    "description": "comments",
    "category": "category",
    "lastModifiedBy": "last_modified_by",
    "revision": "revision",
    "created": "time_created",
    "modified": "time_modified",
    "lastPrinted": "time_printed",
    "Application": "application",
    "AppVersion": "application_version",
    "Company": "company",
    "Manager": "manager",
    "Template": "template",
}
_ODF_FIELDS = {
    "title": "title",
    "subject": "subject",
    "keyword": "keywords",
    "description": "comments",
    "initial-creator": "author",
    "creator": "last_modified_by",
    "generator": "application",
    "editing-cycles": "revision",
    "creation-date": "time_created",
    "date": "time_modified",
    "print-date": "time_printed",
}
_COUNTS = {"Pages": "pages", "Slides": "pages", "Words": "words", "TotalTime": "edit_minutes"}
_OOXML_KINDS = {"word/": "Word document", "xl/": "Excel workbook", "ppt/": "PowerPoint presentation", "visio/": "Visio drawing"}
_ODF_KINDS = {"text": "OpenDocument text", "spreadsheet": "OpenDocument spreadsheet", "presentation": "OpenDocument presentation"}
_FIELD_CODES = re.compile(rb"<\w+:instrText\b[^>]*>([^<]*)<|<\w+:fldSimple\b[^>]*?:instr=\"([^\"]*)\"|<\w+:fldChar\b")
_FETCHED = re.compile(r"https?:|ftp:|mhtml:|\\\\|//|file://[^/]|file:///(?:/|\\\\)", re.IGNORECASE)


def _zip(stream: BinaryIO, size: int) -> _Document:
    document = _Document("ZIP document")
    try:
        _check_directory(stream, size)
        with zipfile.ZipFile(stream) as archive:
            names = sorted(archive.namelist())
            if "[Content_Types].xml" in names:
                _ooxml(archive, names, document)
            elif "mimetype" in names and (kind := _member(archive, "mimetype")).startswith(b"application/vnd.oasis.opendocument."):
                _odf(archive, names, kind.decode("ascii", "backslashreplace").rpartition("opendocument.")[2], document)
            else:
                raise Unsupported("ZIP archive that holds neither Office Open XML nor OpenDocument")
    except Unsupported:
        raise
    except LimitExceeded as limit:
        document.damage = limit
    except DAMAGE as error:
        document.damage = Corrupt(f"document in a ZIP archive that cannot be read to its end ({type(error).__name__}: {error})")
    return document


def _check_directory(stream: BinaryIO, size: int) -> None:
    """Refuse a central directory (APPNOTE 4.3.16 and 4.3.14) that would not fit memory: zipfile reads it whole."""
    start = max(size - 66_000, 0)
    stream.seek(start)
    tail = stream.read(66_000)
    at = tail.rfind(b"PK\x05\x06")
    claimed = struct.unpack_from("<I", tail, at + 12)[0] if 0 <= at <= len(tail) - 22 else 0
    big = tail.rfind(b"PK\x06\x06")
    if 0 <= big <= len(tail) - 56:
        claimed = max(claimed if claimed != 0xFFFFFFFF else 0, struct.unpack_from("<Q", tail, big + 40)[0])
    if min(claimed, size) > MAX_DIRECTORY:
        raise LimitExceeded(f"ZIP archive with a directory of {claimed} bytes: more than {MAX_DIRECTORY} are not read")
    stream.seek(0)


def _member(archive: zipfile.ZipFile, name: str, limit: int = MAX_XML, *, cut: bool = False) -> bytes:
    """The content of a member, up to `limit` bytes; raises LimitExceeded where it holds more, unless it may be `cut`."""
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # all that ECMA-376 part 2, 9.2 and ODF allow
        raise Corrupt(f"document with {name!r} compressed by method {info.compress_type}, which such documents do not use")
    with archive.open(info) as member:
        content = member.read(limit + 1)
    if len(content) > limit and not cut:
        raise LimitExceeded(f"document with {name!r} of more than {limit} bytes")
    return content[:limit]


def _ooxml(archive: zipfile.ZipFile, names: list[str], document: _Document) -> None:
    document.kind = next((kind for start, kind in _OOXML_KINDS.items() if any(name.startswith(start) for name in names)), "Office document")
    document.data["format"] = document.kind
    for name in names:
        lower = name.casefold()
        if lower.endswith("vbaproject.bin"):
            document.found("VBA macros", name)
        elif "/macrosheets/" in lower and lower.endswith(".xml"):
            document.found("Excel 4 macros", name)
        elif "/embeddings/" in lower:
            document.found("embedded object", name)
        elif "/activex/" in lower and lower.endswith(".bin"):
            document.found("ActiveX control", name)
    for part in ("docProps/core.xml", "docProps/app.xml"):
        if part in names:
            _properties(archive, part, _OOXML_FIELDS, document)
    for name in names:
        lower = name.casefold()
        if lower.endswith(".rels"):
            _relations(_xml(archive, name), document)
        elif re.fullmatch(r"word/(document|header\d*|footer\d*|footnotes|endnotes|comments)\.xml", lower):
            _fields(_member(archive, name, MAX_BODY, cut=True), document)
        elif re.fullmatch(r"xl/externallinks/externallink\d+\.xml", lower) and b"ddeLink" in _member(archive, name, cut=True):
            document.found("DDE field", name)


def _odf(archive: zipfile.ZipFile, names: list[str], kind: str, document: _Document) -> None:
    document.kind = _ODF_KINDS.get(kind.partition("-")[0], "OpenDocument file")
    document.data["format"] = document.kind
    for name in names:
        if re.fullmatch(r"Basic/[^/]+/(?!script-l[bc]\.xml).+\.xml", name) or re.match(r"Scripts/.+", name):
            document.found("macros", name)
        elif re.fullmatch(r"Object \d+/content\.xml|Object \d+", name):
            document.found("embedded object", name)
    if "META-INF/manifest.xml" in names and b"encryption-data" in _member(archive, "META-INF/manifest.xml", cut=True):
        document.encryption = "needs a password to open"  # ODF 1.2 part 3, section 3.4; meta.xml then is encrypted, too
        document.data["encrypted"] = True
    elif "meta.xml" in names:
        _properties(archive, "meta.xml", _ODF_FIELDS, document)
        for element in _xml(archive, "meta.xml").iter():
            if _local(element.tag) == "document-statistic":
                for key, value in element.attrib.items():
                    field = {"page-count": "pages", "word-count": "words"}.get(_local(key))
                    if field:
                        document.count(field, value)


def _xml(archive: zipfile.ZipFile, name: str) -> Any:
    from defusedxml.ElementTree import fromstring  # only where there is such a file

    return fromstring(_member(archive, name), forbid_dtd=True)


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _properties(archive: zipfile.ZipFile, part: str, fields: dict[str, str], document: _Document) -> None:
    for element in _xml(archive, part).iter():
        name = _local(element.tag)
        if name in fields and element.text:
            document.put(fields[name], element.text)
        elif name in _COUNTS:
            document.count(_COUNTS[name], element.text)
    document.created, document.modified = (_iso(document.data.get(field)) for field in ("time_created", "time_modified"))


def _relations(root: Any, document: _Document) -> None:
    """What a document refers to outside itself (ECMA-376 part 2, 9.3), without hyperlinks, which nobody follows unasked."""
    for relation in root.iter():
        if _local(relation.tag) != "Relationship" or relation.get("TargetMode") != "External":
            continue
        kind, target = str(relation.get("Type", "")).rpartition("/")[2], str(relation.get("Target", ""))[:MAX_TEXT]
        if kind == "hyperlink" or not target:
            continue
        if kind == "attachedTemplate":
            document.put("attached_template", target)
        if _FETCHED.match(target):
            document.found("external template" if kind == "attachedTemplate" else "external content", f"{kind}: {target}")
        elif kind in ("oleObject", "frame", "subDocument"):
            document.found("external content", f"{kind}: {target}")


def _fields(body: bytes, document: _Document) -> None:
    """Field codes that start a DDE conversation (ECMA-376 part 1, 17.16); their text may be spread over several runs."""
    code = ""
    for found in [*_FIELD_CODES.finditer(body), None]:
        if found and found[1] is not None:
            code += html.unescape(found[1].decode("utf-8", "backslashreplace"))
            continue
        for text in (code, html.unescape((found[2] or b"").decode("utf-8", "backslashreplace")) if found else ""):
            if re.match(r"\s*\"?dde(auto)?\b", text, re.IGNORECASE):
                document.found("DDE field", text.strip())
        code = ""


def _iso(text: object) -> datetime | None:
    """A W3C date and time; in UTC where the zone is said, else naive (OpenDocument gives local time)."""
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(text)))
        return moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


# --- saying it --------------------------------------------------------------------------------------------------------------


def _line(text: object) -> str:
    return "".join(char if char.isprintable() else " " for char in str(text)[:100]).strip()


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment.tzinfo else f"{moment:%Y-%m-%d %H:%M:%S} (zone unknown)"


def _document(document: _Document) -> Finding:
    data = document.data
    parts = [document.kind + (f" “{_line(data['title'])}”" if "title" in data else "")]
    people = (("by", "author"), ("last saved by", "last_modified_by"))
    parts += [f"{words} {_line(data[field])}" for words, field in people if field in data]
    when = document.created or document.modified
    if when:
        data["when_from"] = "time_created" if document.created else "time_modified"
        parts.append(f"{'created' if document.created else 'modified'} {_clock(when)}")
    parts += ["encrypted"] if document.encryption else []
    return Finding(
        kind="document",
        summary=", ".join(parts),
        when=when,
        data=data,
        text="\n".join(str(data[field]) for field in ("title", "subject", "keywords", "comments", "category") if field in data),
    )


def _active(document: _Document) -> Finding:
    kinds = sorted(document.active)
    places = [f"{kind}: {_line(place)}" for kind in kinds for place in document.active[kind]]
    return Finding(
        kind="active-content",
        summary=f"{document.kind} holds {', '.join(kinds)}",
        when=document.modified or document.created,
        data={"format": document.kind, "active": [*kinds], "places": [*places[: 5 * MAX_LISTED]]},
        level="notable",
        text="\n".join([*places, document.script]).strip(),
    )
