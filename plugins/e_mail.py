"""E-mail messages as files: who wrote to whom when about what, the text, and every part as a file (RFC 5322, RFC 2045 to 2047, RFC 2231).

A message is read line by line, and its parts are decoded as they are read: size costs no memory.
"""

import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value, getaddresses, parsedate_to_datetime
from typing import BinaryIO

from msgspec import Struct

from forensics.markup import text_of
from forensics.plugin import File, Finding, Inventory, LimitExceeded, Member, Unsupported, Value, container, shown, stream_of

MAX_LINE = 1 << 16  # bytes of a line that are looked at together; a longer one is taken in pieces
MAX_HEADERS = 1 << 20  # bytes of a part's headers
MAX_FIELD = 1 << 16  # characters of a header that are looked at: the standard library's time grows with their square
MAX_PARAMETERS = 1000  # of a Content-Type
MAX_NESTING = 200  # comments within comments, groups of addresses
MAX_GROUPS = 1 << 14  # characters of a header that groups addresses; its time too grows with their square
MAX_ENDLESS = 20  # encoded words that are begun and not ended
MAX_PARTS = 10_000
MAX_DEPTH = 64  # multipart within multipart
MAX_TEXT = 1 << 20  # bytes of text that go to the search index
MAX_VALUE = 4096  # characters of a header that are kept
MAX_LISTED = 500  # addresses of a header, names of attachments
CHUNK = 1 << 16
KNOWN = {
    "from",
    "to",
    "date",
    "subject",
    "message-id",
    "received",
    "mime-version",
    "return-path",
    "content-type",
    "delivered-to",
    "reply-to",
    "cc",
}
SUFFIXES = {
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "message/rfc822": ".eml",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "application/pdf": ".pdf",
}
# Headers that are taken apart.
READ = {
    *("from", "to", "cc", "bcc", "reply-to", "sender", "return-path", "date", "subject", "message-id", "in-reply-to"),
    *("x-mailer", "user-agent", "x-originating-ip", "content-type", "content-disposition", "content-transfer-encoding"),
}
# What the standard library raises on bad headers.
WRONG = (MessageError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")
_MARK = re.compile(r'\\.|["():]', re.DOTALL)


class _Part(Struct, frozen=True):
    """A part of a message that holds no others: its number (as IMAP counts), headers, and where its body stands."""

    number: str
    headers: Message
    begin: int
    end: int


class _Open(Struct):
    """A multipart whose end has not come: the lines that begin a part of it and that end it, its number, where its body begins, its parts
    so far, whether text stands before."""

    marks: tuple[bytes, bytes]
    number: str
    begin: int
    parts: int = 0
    text: bool = False


@container(version="1.1", mime=("message/rfc822", "message/news"), names=("*.eml", "*.emlx", "*.mht", "*.mhtml"))
def e_mail(file: File) -> Iterator[Member | Finding]:
    """Sender, recipients, date, subject and text of an e-mail message, and each of its parts and attachments as a file.

    Raises Unsupported where the content does not begin like a message, LimitExceeded for headers or parts beyond what is sensible, Corrupt
    after the parts that could be read of a damaged one.
    """
    inventory = Inventory("e-mail message")
    with file.open() as stream:
        begin, end = _extent(stream, file.size)
        headers, body = _headers(stream, begin, end, inventory)
        if sum(name.casefold() in KNOWN for name in set(headers.keys())) < 2:
            raise Unsupported("content that does not begin with the headers of a message")
        parts = list(_parts(stream, headers, body, end, inventory))
        names = [_name(part) for part in parts]
        yield _finding(stream, headers, parts, names, inventory)
        taken: set[str] = set()
        for part, name in zip(parts, names, strict=True):
            path = name or f"part-{part.number}{SUFFIXES.get(_type(part.headers), '')}"
            path = f"part-{part.number}/{path}" if path in taken else path  # pictures within a text often share a name
            taken.add(path)
            inventory.note(path)
            yield Member(path=path, open=lambda part=part, path=path: stream_of(_decoded(stream, part, path, inventory)))  # type: ignore[misc]
    yield from inventory.conclude()


def _extent(stream: BinaryIO, size: int) -> tuple[int, int]:
    """Where the message stands: after mbox's "From " line, or within Apple Mail's file, which says its length before it."""
    stream.seek(0)
    first = stream.readline(MAX_LINE)
    if first.startswith(b"From "):
        return len(first), size
    if first.strip().isdigit() and len(first) < 20:
        return len(first), min(size, len(first) + int(first))
    return 0, size


def _headers(stream: BinaryIO, begin: int, end: int, inventory: Inventory) -> tuple[Message, int]:
    """The header fields from `begin`, and where the body begins. Those cut short go to the inventory. Raises LimitExceeded."""
    message = Message()
    stream.seek(begin)
    at, field = begin, bytearray()  # added to in place: a field may have as many lines as there is room for
    while at < end:
        line = stream.readline(min(MAX_LINE, end - at))
        at += len(line)
        if at - begin > MAX_HEADERS:
            raise LimitExceeded(f"headers of more than {MAX_HEADERS} bytes")
        if line.startswith((b" ", b"\t")) and field:
            field += b" " + line.strip()
            continue
        _put(message, field, inventory)
        field = bytearray(line.strip())
        if not field:
            break
        if not _FIELD.match(line):  # no header: the body begins without an empty line
            at -= len(line)
            field.clear()
            break
    _put(message, field, inventory)
    return message, at


def _put(message: Message, field: bytearray, inventory: Inventory) -> None:
    raw, colon, content = field.partition(b":")
    if not colon or len(message) >= 2000:
        return
    name, value = raw.strip().decode("ascii", "backslashreplace"), content.strip().decode("utf-8", "backslashreplace")
    kept = value[:MAX_FIELD]
    if name.casefold().startswith("content-"):
        kept = ";".join(kept.split(";", MAX_PARAMETERS)[:MAX_PARAMETERS])
    if len(kept) < len(value) and name.casefold() in READ:
        inventory.unread(f"header {name}", f"of {len(value)} characters the first {len(kept)} are read")
    message[name] = kept


def _type(headers: Message) -> str:
    return headers.get_content_type()


def _parameter(headers: Message, name: str, header: str = "content-type") -> str:
    try:
        value = headers.get_param(name, "", header)
        return collapse_rfc2231_value(value) if value else ""
    except WRONG:
        return ""


def _name(part: _Part) -> str:
    """The file name that a part states, decoded; empty for none."""
    name = _parameter(part.headers, "filename", "content-disposition") or _parameter(part.headers, "name")
    return _text(name)[:1000]


def _text(value: str) -> str:
    """A header's value with its encoded words decoded (RFC 2047); what cannot be decoded stays as it is."""
    if "=?" not in value:
        return value
    if any(line.count("=?", max(0, line.rfind("?="))) > MAX_ENDLESS for line in value.splitlines()):
        return value  # an end would be looked for from each of them
    try:
        pieces = decode_header(value)
        return "".join(
            piece if isinstance(piece, str) else piece.decode(charset or "utf-8", "backslashreplace") for piece, charset in pieces
        )
    except (*WRONG, binascii.Error):
        return value


# --- parts ------------------------------------------------------------------------------------------------------------------


def _parts(stream: BinaryIO, headers: Message, body: int, end: int, inventory: Inventory) -> Iterator[_Part]:
    """The parts that hold no others, in order. A message within is one part: it is opened as a file of its own.

    A multipart of which no part begins is damaged; what it holds is one part.
    """
    boundary = _boundary(headers)
    if not boundary:
        yield _Part("1", headers, body, end)
        return
    opened = [_Open(_marks(boundary), "", body)]
    part: tuple[str, Message, int] | None = None
    found = 0
    at, line_end = body, b""
    stream.seek(body)
    while at < end:
        line = stream.readline(min(MAX_LINE, end - at))
        if not line:
            break
        start, at = at, at + len(line)
        previous, line_end = line_end, line[-2:] if line.endswith(b"\r\n") else line[-1:] if line.endswith(b"\n") else b"-"
        said, depth = b"", None
        if line.startswith(b"--") and previous != b"-":  # b"-": the line before was longer than is read at once
            said = line.rstrip(b"\r\n \t")
            depth = next((place for place in range(len(opened) - 1, -1, -1) if said in opened[place].marks), None)
        if depth is None:
            opened[-1].text = opened[-1].text or not (opened[-1].parts or line.isspace())
            continue
        closing = said == opened[depth].marks[1]
        if part is not None:
            yield _Part(*part, max(part[2], start - len(previous)))  # the line's end before a boundary belongs to it (RFC 2046, 5.1.1)
            found, part = found + 1, None
        elif (closing or depth < len(opened) - 1) and opened[-1].text and not opened[-1].parts:
            yield _whole(opened[-1], max(opened[-1].begin, start - len(previous)), inventory)
            found += 1
        if found >= MAX_PARTS:
            raise LimitExceeded(f"message of more than {MAX_PARTS} parts; the first were read")
        del opened[depth + 1 :]
        if closing:
            opened.pop()
            if not opened:
                return
            continue
        opened[depth].parts += 1
        number = ".".join(filter(None, (opened[depth].number, str(opened[depth].parts))))
        own, at = _headers(stream, at, end, inventory)
        stream.seek(at)
        inner = _boundary(own)
        if inner and len(opened) < MAX_DEPTH:
            opened.append(_Open(_marks(inner), number, at))
        else:
            part = (number, own, at)
        line_end = b""
    if part is not None:
        yield _Part(*part, end)
    elif opened[-1].text and not opened[-1].parts:
        yield _whole(opened[-1], end, inventory)


def _whole(multipart: _Open, end: int, inventory: Inventory) -> _Part:
    """What a multipart of which no part begins holds, as a text, which is what a part without headers is (RFC 2046, 5.1)."""
    number = multipart.number or "1"
    inventory.damaged(f"part-{number}", "multipart whose boundary begins no part; what it holds is taken as one")
    return _Part(number, Message(), multipart.begin, end)


def _marks(boundary: bytes) -> tuple[bytes, bytes]:
    return b"--" + boundary, b"--" + boundary + b"--"


def _boundary(headers: Message) -> bytes:
    if headers.get_content_maintype() != "multipart":
        return b""
    return _parameter(headers, "boundary").rstrip().encode("utf-8", "backslashreplace")[:1000]


def _decoded(stream: BinaryIO, part: _Part, path: str, inventory: Inventory) -> Iterator[bytes]:
    """A part's content, decoded from its transfer encoding (RFC 2045, 6)."""
    encoding = str(part.headers.get("content-transfer-encoding", "")).split(";")[0].strip().casefold()
    if encoding == "base64":
        yield from _base64(_raw(stream, part), path, inventory)
    elif encoding == "quoted-printable":
        yield from (binascii.a2b_qp(line) for line in _lines(stream, part))
    elif encoding in ("x-uuencode", "uuencode", "x-uue"):
        yield from _uuencoded(_lines(stream, part))
    else:
        yield from _raw(stream, part)


def _raw(stream: BinaryIO, part: _Part) -> Iterator[bytes]:
    at = part.begin
    while at < part.end:
        stream.seek(at)
        piece = stream.read(min(CHUNK, part.end - at))
        if not piece:
            return
        at += len(piece)
        yield piece


def _lines(stream: BinaryIO, part: _Part) -> Iterator[bytes]:
    at = part.begin
    while at < part.end:
        stream.seek(at)
        line = stream.readline(min(MAX_LINE, part.end - at))
        if not line:
            return
        at += len(line)
        yield line


def _base64(pieces: Iterator[bytes], path: str, inventory: Inventory) -> Iterator[bytes]:
    """What is no letter of the alphabet is passed over (RFC 2045, 6.8); four letters at a time, or up to padding."""
    kept = b""
    for piece in pieces:
        kept += re.sub(rb"[^A-Za-z0-9+/=]", b"", piece)
        whole = len(kept) - len(kept) % 4
        ready, kept = kept[:whole], kept[whole:]
        for group in re.findall(rb"[^=]+={0,2}", ready):
            group = group[: len(group) - len(group) % 4] if b"=" not in group else group
            try:
                yield binascii.a2b_base64(group)
            except binascii.Error:
                inventory.damaged(path, "its base64 is not valid; what follows is missing")
                return
    if kept.strip(b"="):
        inventory.damaged(path, "its base64 is cut short")
        if len(kept.rstrip(b"=")) > 1:
            yield binascii.a2b_base64(kept.rstrip(b"=").ljust(4, b"="))


def _uuencoded(lines: Iterator[bytes]) -> Iterator[bytes]:
    inside = False
    for line in lines:
        if line.startswith(b"begin "):
            inside = True
        elif line.strip() == b"end":
            return
        elif inside:
            try:
                yield binascii.a2b_uu(line)
            except binascii.Error:
                continue


# --- the finding ------------------------------------------------------------------------------------------------------------


def _finding(stream: BinaryIO, headers: Message, parts: list[_Part], names: list[str], inventory: Inventory) -> Finding:
    data: dict[str, Value] = {}
    recipients: list[str] = []
    for header, field in (
        ("from", "sender"),
        ("subject", "subject"),
        ("date", "date"),
        ("message-id", "message_id"),
        ("in-reply-to", "in_reply_to"),
        ("x-mailer", "application"),
        ("user-agent", "application"),
        ("x-originating-ip", "originating_ip"),
        ("return-path", "return_path"),
    ):
        if value := _text(str(headers.get(header, "")))[:MAX_VALUE].strip():
            data[field] = value
    for header, field in (
        ("to", "recipients"),
        ("cc", "copies_to"),
        ("bcc", "blind_copies_to"),
        ("reply-to", "reply_to"),
        ("sender", "sent_by"),
    ):
        if people := _people(headers.get_all(header, []), header, inventory):
            data[field] = list(people)
            recipients = people if header == "to" else recipients
    if received := headers.get_all("received", []):
        data["received"] = [str(line)[:MAX_VALUE] for line in received[:50]]
    if attachments := [name for name in names if name]:
        data["attachments"] = [shown(name) for name in attachments[:MAX_LISTED]]
    sender, subject = str(data.get("sender", "unknown sender")), str(data.get("subject", "no subject"))
    return Finding(
        kind="e-mail",
        summary=shown(f"E-mail from {sender}: {subject}"),
        when=_date(str(data.get("date", ""))),
        data=data,
        text="\n".join([sender, subject, *recipients, _body(stream, parts)]),
    )


def _people(fields: list[str], header: str, inventory: Inventory) -> list[str]:
    """Addresses with their names, as ``Name <address>``; headers that cannot be taken apart as they stand."""
    kept = [str(field) for field in fields[:50]]
    whole = ", ".join(kept)
    nesting, groups = _shape(whole)
    if groups and len(whole) > MAX_GROUPS:
        inventory.unread(f"header {header}", f"groups of addresses in {len(whole)} characters; the first {MAX_GROUPS} are read")
        kept = [whole[:MAX_GROUPS]]
    try:
        pairs = getaddresses(kept) if nesting <= MAX_NESTING and groups <= MAX_NESTING else None
    except WRONG:
        pairs = None
    if pairs is None:
        return [str(field)[:MAX_VALUE] for field in fields[:MAX_LISTED]]
    found = [f"{_text(name)} <{address}>" if name else address for name, address in pairs if name or address]
    return [person[:MAX_VALUE] for person in found[:MAX_LISTED]]


def _shape(text: str) -> tuple[int, int]:
    """How deep comments lie within each other in a list of addresses, and how many groups begin in it (RFC 5322, 3.2.2, 3.4)."""
    depth = deepest = groups = 0
    quoted = False
    for mark in _MARK.findall(text):
        if mark == '"':
            quoted ^= not depth
        elif quoted:
            continue
        elif mark == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif mark == ")":
            depth = max(0, depth - 1)
        elif mark == ":":
            groups += not depth
    return deepest, groups


def _date(text: str) -> datetime | None:
    """A Date header (RFC 5322, 3.3) in UTC; naive where it says ``-0000``, time of unknown zone; `None` where it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment
    except WRONG:
        return None


def _body(stream: BinaryIO, parts: list[_Part]) -> str:
    """The text of the message for the search index: plain parts, else those in HTML without their tags."""
    for wanted in ("text/plain", "text/html"):
        texts = []
        left = MAX_TEXT
        for part in parts:
            if _type(part.headers) != wanted or str(part.headers.get("content-disposition", "")).casefold().startswith("attachment"):
                continue
            content = bytearray()  # added to in place: a piece may be a line
            for piece in _decoded(stream, part, "", Inventory("e-mail message")):
                content += piece
                if len(content) >= left:
                    break
            left -= len(content)
            try:
                text = content.decode(_parameter(part.headers, "charset") or "utf-8", "backslashreplace")
            except WRONG:
                text = content.decode("utf-8", "backslashreplace")
            texts.append(text_of(text) if wanted == "text/html" else text)
            if left <= 0:
                break
        if any(text.strip() for text in texts):
            return "\n".join(texts)
    return ""
