"""Outlook's single messages, MSG files: who wrote to whom when about what, and every attachment (MS-OXMSG, MS-OXPROPS)."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from forensics.markup import text_of
from forensics.plugin import Corrupt, File, Finding, Inventory, Member, Unsupported, Value, container, shown, stream_of

MAX_STREAM = 256 << 20  # bytes of a property or an attachment, which the library reads whole
MAX_NESTED = 8  # messages within messages
MAX_LISTED = 2000  # recipients, attachments
MAX_TEXT = 1 << 20  # characters of the text that go to the search index
MAX_VALUE = 4096
MAX_RTF = 4 << 20  # bytes of compressed RTF
PROPERTIES = "__properties_version1.0"
# Properties by their number (MS-OXPROPS 2).
CLASS, SUBJECT, SENDER, SENDER_SMTP, SENDER_ADDRESS, REPRESENTED, REPRESENTED_ADDRESS = (
    0x001A,
    0x0037,
    0x0C1A,
    0x5D01,
    0x0C1F,
    0x0042,
    0x0065,
)
MESSAGE_ID, IN_REPLY_TO, HEADERS, BODY, HTML, RTF = 0x1035, 0x1042, 0x007D, 0x1000, 0x1013, 0x1009
SUBMITTED, DELIVERED, CREATED, CODE_PAGE, INTERNET_CODE_PAGE = 0x0039, 0x0E06, 0x3007, 0x3FFD, 0x3FDE
NAME, ADDRESS, SMTP, ROLE, FILE_NAME, LONG_FILE_NAME, ATTACHED = 0x3001, 0x3003, 0x39FE, 0x0C15, 0x3704, 0x3707, 0x3701
METHOD, LONG_PATH, SHORT_PATH = 0x3705, 0x370D, 0x3708
REFERENCES = (2, 3, 4, 7)  # attached by reference, or on the web
ROLES = {1: "recipients", 2: "copies_to", 3: "blind_copies_to"}
TEXT8, TEXT16, BINARY, NUMBER, TIME, STORAGE = 0x001E, 0x001F, 0x0102, 0x0003, 0x0040, 0x000D
# What olefile is known to raise on hostile bytes.
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, struct.error)

Path = tuple[str, ...]


@container(version="1.2", mime=("application/vnd.ms-outlook",), names=("*.msg", "*.oft"))
def outlook_message(file: File) -> Iterator[Member | Finding]:
    """Sender, recipients, date, subject and text of an Outlook MSG file, with its bodies and attachments as files.

    Messages within are read likewise. Raises Unsupported where the content is no such message, or after the rest where attachments are
    stored in a way that is not read, Corrupt after what could be read of a damaged one.
    """
    import olefile  # only where there is such a file

    inventory = Inventory("Outlook message")
    with file.open() as stream:
        if stream.read(8) != b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
            raise Unsupported("content that is no OLE file")
        stream.seek(0)
        try:
            ole = olefile.OleFileIO(stream)
            found = [tuple(path) for path in ole.listdir(streams=True, storages=True)]
        except DAMAGE as error:
            raise Corrupt(f"OLE file that cannot be read ({type(error).__name__}: {error})") from error
        with ole:
            if (PROPERTIES,) not in found or not any(path[0].startswith("__substg1.0_") for path in found):
                raise Unsupported("OLE file that is no Outlook message")
            yield from _Message(ole, found, inventory).read((), "", 0)
    yield from inventory.conclude()


class _Message:
    """An open MSG file: its streams and storages by the storage that they lie in."""

    def __init__(self, ole: Any, found: list[Path], inventory: Inventory) -> None:
        self._ole = ole
        self._inventory = inventory
        self._below: dict[Path, list[str]] = {}
        for path in found:
            self._below.setdefault(path[:-1], []).append(path[-1])

    def read(self, place: Path, prefix: str, depth: int) -> Iterator[Member | Finding]:
        """A message that lies in the storage `place`; its members' paths begin with `prefix`."""
        fixed = self._fixed(place, 24 if place else 32)
        attachments = self._storages(place, "__attach_version1.0_#", f"{prefix}attachments")
        names: list[str] = []
        page = self._page(fixed)
        for attachment in attachments:
            name = (
                self._text(attachment, LONG_FILE_NAME, page)
                or self._text(attachment, FILE_NAME, page)
                or self._text(attachment, NAME, page)
            )
            name = name.replace("\\", "\\\\").replace("/", "\\x2f")[:500] or f"attachment-{len(names) + 1}"
            names.append(f"{len(names) + 1}/{name}" if name in names else name)
        bodies = self._bodies(place, fixed)
        yield self._finding(place, fixed, names, bodies, f"{prefix}recipients")
        for name, content in bodies:
            self._inventory.note(f"{prefix}{name}")
            yield Member(path=f"{prefix}{name}", open=lambda content=content: stream_of((content,)), size=len(content))  # type: ignore[misc]
        for attachment, name in zip(attachments, names, strict=True):
            path = f"{prefix}{name}"
            inner = (*attachment, f"__substg1.0_{ATTACHED:04X}{STORAGE:04X}")
            if PROPERTIES in self._below.get(inner, ()):
                if depth < MAX_NESTED:
                    yield from self.read(inner, f"{path}/", depth + 1)
                else:
                    self._inventory.unread(path, f"messages deeper than {MAX_NESTED} are not followed")
                continue
            stream = (*attachment, f"__substg1.0_{ATTACHED:04X}{BINARY:04X}")
            if stream[-1] not in self._below.get(attachment, ()):
                if inner[-1] in self._below.get(attachment, ()):
                    self._inventory.unread(path, "an OLE object, a storage of its own")
                else:
                    self._absent(attachment, path, page)
                continue
            self._inventory.note(path)
            yield Member(path=path, open=lambda stream=stream, path=path: stream_of(self._content(stream, path)), size=self._size(stream))  # type: ignore[misc]

    def _absent(self, attachment: Path, path: str, page: str) -> None:
        """Say of an attachment without content whether it is a reference (MS-OXCMSG 2.2.2.9) or whether its content is lost."""
        _, value = self._fixed(attachment, 8).get(METHOD, (NUMBER, bytes(8)))
        if struct.unpack_from("<I", value)[0] in REFERENCES:
            where = self._text(attachment, LONG_PATH, page) or self._text(attachment, SHORT_PATH, page)
            self._inventory.unread(path, f"a reference to a file elsewhere{f' ({shown(where[:500])})' if where else ''}")
        else:
            self._inventory.damaged(path, "the stream of its content is missing")

    def _storages(self, place: Path, start: str, what: str) -> list[Path]:
        """The first storages in `place` whose names begin so; `what` is what the inventory calls them where there are more."""
        found = [(*place, name) for name in sorted(self._below.get(place, ())) if name.startswith(start)]
        if len(found) > MAX_LISTED:
            self._inventory.unread(what, f"of {len(found)} the first {MAX_LISTED} are read")
        return found[:MAX_LISTED]

    def _size(self, path: Path) -> int | None:
        try:
            return int(self._ole.get_size(list(path)))
        except DAMAGE:
            return None

    def _content(self, path: Path, name: str) -> Iterator[bytes]:
        data = self._stream(path, name)
        yield from (data,) if data else ()

    def _stream(self, path: Path, name: str) -> bytes:
        """A stream's bytes; what cannot be read goes to the inventory."""
        if path[-1] not in self._below.get(path[:-1], ()):
            return b""
        try:
            if (size := self._ole.get_size(list(path))) > MAX_STREAM:
                self._inventory.unread(name, f"stream of {size} bytes (limit {MAX_STREAM})")
                return b""
            with self._ole.openstream(list(path)) as stream:
                data = bytes(stream.read())
        except DAMAGE as error:
            self._inventory.damaged(name, f"stream that cannot be read ({type(error).__name__}: {error})")
            return b""
        if len(data) < size:
            self._inventory.damaged(name, f"{len(data)} of {size} bytes are there")
        return data

    def _fixed(self, place: Path, header: int) -> dict[int, tuple[int, bytes]]:
        """The properties of fixed length: number, type and eight bytes of value each, after a header (MS-OXMSG 2.4)."""
        data = self._stream((*place, PROPERTIES), PROPERTIES)[header:]
        found = {}
        if len(data) % 16:
            self._inventory.damaged(PROPERTIES, f"its last entry has {len(data) % 16} of 16 bytes")
        for at in range(0, len(data) - 15, 16):
            kind, number = struct.unpack_from("<HH", data, at)
            found[number] = (kind, data[at + 8 : at + 16])
        return found

    def _page(self, fixed: dict[int, tuple[int, bytes]]) -> str:
        number = struct.unpack_from("<I", fixed.get(CODE_PAGE, fixed.get(INTERNET_CODE_PAGE, (0, bytes(8))))[1])[0] or 1252
        return {65001: "utf-8", 20127: "ascii", 28591: "latin-1", 50220: "iso2022_jp"}.get(number, f"cp{number}")

    def _text(self, place: Path, number: int, page: str) -> str:
        wide = self._stream((*place, f"__substg1.0_{number:04X}{TEXT16:04X}"), f"property {number:04X}")
        if wide:
            return wide.decode("utf-16-le", "backslashreplace").rstrip("\0")
        narrow = self._stream((*place, f"__substg1.0_{number:04X}{TEXT8:04X}"), f"property {number:04X}")
        try:
            return narrow.decode(page, "backslashreplace").rstrip("\0")
        except LookupError:
            return narrow.decode("cp1252", "backslashreplace").rstrip("\0")

    def _bodies(self, place: Path, fixed: dict[int, tuple[int, bytes]]) -> list[tuple[str, bytes]]:
        """The text in each form that it is kept in, and the headers of its transport."""
        page = self._page(fixed)
        pages = self._stream((*place, f"__substg1.0_{HTML:04X}{BINARY:04X}"), "HTML body")
        packed = self._stream((*place, f"__substg1.0_{RTF:04X}{BINARY:04X}"), "RTF body")
        rtf = b""
        if len(packed) > MAX_RTF:
            self._inventory.unread("message.rtf", f"compressed RTF of {len(packed)} bytes (limit {MAX_RTF})")
        elif packed:
            try:
                rtf = _unpacked_rtf(packed)
            except Corrupt as error:
                self._inventory.damaged("message.rtf", str(error))
        found = [
            ("message.txt", self._text(place, BODY, page).encode("utf-8", "backslashreplace")),
            ("message.html", pages or self._text(place, HTML, page).encode("utf-8", "backslashreplace")),
            ("message.rtf", rtf),
            ("message-headers.txt", self._text(place, HEADERS, page).encode("utf-8", "backslashreplace")),
        ]
        return [(name, content) for name, content in found if content]

    def _finding(
        self, place: Path, fixed: dict[int, tuple[int, bytes]], names: list[str], bodies: list[tuple[str, bytes]], recipients: str
    ) -> Finding:
        """What the message says of itself; `recipients` is what the inventory calls those."""
        page = self._page(fixed)
        sender = _person(
            self._text(place, SENDER, page) or self._text(place, REPRESENTED, page),
            self._text(place, SENDER_SMTP, page) or self._text(place, SENDER_ADDRESS, page) or self._text(place, REPRESENTED_ADDRESS, page),
        )
        texts = {
            "sender": sender,
            "subject": self._text(place, SUBJECT, page),
            "message_id": self._text(place, MESSAGE_ID, page),
            "in_reply_to": self._text(place, IN_REPLY_TO, page),
            "message_class": self._text(place, CLASS, page),
        }
        data: dict[str, Value] = {field: text[:MAX_VALUE] for field, text in texts.items() if text}
        people: dict[str, list[str | int]] = {}
        for recipient in self._storages(place, "__recip_version1.0_#", recipients):
            role = struct.unpack_from("<I", self._fixed(recipient, 8).get(ROLE, (NUMBER, b"\1" + bytes(7)))[1])[0]
            address = self._text(recipient, SMTP, page) or self._text(recipient, ADDRESS, page)
            people.setdefault(ROLES.get(role & 0xF, "recipients"), []).append(_person(self._text(recipient, NAME, page), address))
        data |= people
        moments = {
            field: _moment(fixed, number) for field, number in (("submitted", SUBMITTED), ("delivered", DELIVERED), ("created", CREATED))
        }
        data |= {field: moment.isoformat().replace("+00:00", "Z") for field, moment in moments.items() if moment and field != "created"}
        if names:
            data["attachments"] = [shown(name) for name in names]
        by_name = dict(bodies)
        text = (by_name.get("message.txt") or by_name.get("message.html") or b"")[:MAX_TEXT].decode("utf-8", "backslashreplace")
        text = text_of(text) if "message.txt" not in by_name else text
        return Finding(
            kind="e-mail",
            summary=shown(f"E-mail from {sender or 'unknown sender'}: {texts['subject'] or 'no subject'}"),
            when=moments["submitted"] or moments["delivered"] or moments["created"],
            data=data,
            text="\n".join([sender, texts["subject"], text]),
        )


def _person(name: str, address: str) -> str:
    name, address = name.strip(), address.strip()
    return f"{name} <{address}>"[:MAX_VALUE] if name and address and name != address else (address or name)[:MAX_VALUE]


def _moment(fixed: dict[int, tuple[int, bytes]], number: int) -> datetime | None:
    """A FILETIME (100 ns since 1601, UTC)."""
    kind, value = fixed.get(number, (0, b""))
    ticks = int.from_bytes(value, "little")
    if kind != TIME or not ticks:
        return None
    try:
        return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None


# What the dictionary of compressed RTF begins with (MS-OXRTFCP 2.1.2.1).
_RTF = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArial"
    b"Times New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)


def _unpacked_rtf(packed: bytes) -> bytes:
    """RTF out of its compressed form (MS-OXRTFCP 2.2). Raises Corrupt."""
    if len(packed) < 16:
        raise Corrupt("compressed RTF without a header")
    size, kind = struct.unpack_from("<I4s", packed, 4)
    if kind == b"MELA":
        return packed[16 : 16 + size]
    if kind != b"LZFu" or size > 32 * len(packed):  # two bytes give at most 17
        raise Corrupt(f"compressed RTF of kind {kind!r} that claims {size} bytes")
    window = bytearray(_RTF.ljust(4096, b"\0"))
    write, at, out = len(_RTF), 16, bytearray()
    while at < len(packed):
        control, at = packed[at], at + 1
        for bit in range(8):
            if not control >> bit & 1:
                if at >= len(packed):
                    return bytes(out)
                run = packed[at : at + 1]
                at += 1
            else:
                if at + 2 > len(packed):
                    return bytes(out)
                (token,) = struct.unpack_from(">H", packed, at)
                at += 2
                offset, length = token >> 4, (token & 15) + 2
                if offset == write:
                    return bytes(out)
                run = b""
                for step in range(length):
                    one = window[(offset + step) % 4096]
                    window[(write + step) % 4096] = one
                    run += bytes((one,))
            for step, one in enumerate(run):
                window[(write + step) % 4096] = one
            write = (write + len(run)) % 4096
            out += run
            if len(out) >= size:
                return bytes(out[:size])
    return bytes(out)
