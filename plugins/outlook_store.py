"""Outlook's stores of a whole mailbox, PST and OST: every message, its text and its attachments (MS-PST; read by libpff)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pypff

from forensics.markup import text_of
from forensics.plugin import (
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

CHUNK = 1 << 18
MAX_ITEMS = 1 << 22
MAX_DEPTH = 64  # folders within folders
MAX_NESTED = 8  # messages within messages
MAX_PEOPLE = 500
MAX_ATTACHMENTS = 5000  # of one message
MAX_TEXT = 1 << 20  # characters of a body that go to the search index
MAX_VALUE = 4096
DAMAGE = (
    OSError,
    MemoryError,
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
)  # what libpff says of hostile bytes; MemoryError is any failure to make an object
# Properties by their number (MS-OXPROPS 2).
CLASS, MESSAGE_ID, IN_REPLY_TO, SENDER, SENDER_SMTP, SENDER_ADDRESS, FLAGS = 0x001A, 0x1035, 0x1042, 0x0C1A, 0x5D01, 0x0C1F, 0x0E07
NAME, ADDRESS, SMTP, ROLE, FILE_NAME, LONG_FILE_NAME = 0x3001, 0x3003, 0x39FE, 0x0C15, 0x3704, 0x3707
ROLES = {1: "recipients", 2: "copies_to", 3: "blind_copies_to"}
MAIL = ("ipm.note", "report.", "ipm.schedule.", "ipm.outlook.recall")


@container(version="1.2", names=("*.pst", "*.ost", "*.pab"), magic=(b"!BDN",))
def outlook_store(file: File) -> Iterator[Member | Finding]:
    """Messages in Outlook's PST and OST files: sender, recipients, date, subject, text, and bodies and attachments as files.

    Raises Unsupported where the content is no such store, or after the rest where there are items that are not read, Corrupt after what
    could be read of a damaged one, LimitExceeded past 4 million items.
    """
    inventory = Inventory("Outlook store")
    with file.open() as stream:
        if stream.read(4) != b"!BDN":
            raise Unsupported("content that is no Outlook store")
        store = pypff.file()
        try:
            store.open_file_object(stream)
            root = store.get_root_folder()
        except DAMAGE as error:
            inventory.damaged("", f"it cannot be opened ({_first(error)})")
        else:
            yield from _Walk(inventory).folder(root, "", 0)
            yield from _Walk(inventory).orphans(store)
            store.close()
    yield from inventory.conclude()


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class _Walk:
    """A walk through a store: how many items it met, and which folders, so that a loop of damaged folders ends."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._items = 0
        self._folders: set[int] = set()

    def folder(self, folder: Any, path: str, depth: int) -> Iterator[Member | Finding]:
        for number in range(self._count(folder, "number_of_sub_messages", path, "its messages")):
            try:
                message = folder.get_sub_message(number)
            except DAMAGE as error:
                self._inventory.damaged(f"{path}{number}", f"message that cannot be read ({_first(error)})")
                continue
            yield from self.message(message, path, 0)
        if depth >= MAX_DEPTH:
            self._inventory.damaged(path, f"folders deeper than {MAX_DEPTH} are not followed")
            return
        for number in range(self._count(folder, "number_of_sub_folders", path, "its folders")):
            try:
                below = folder.get_sub_folder(number)
                name, identifier = below.name or "", below.identifier
            except DAMAGE as error:
                self._inventory.damaged(f"{path}{number}", f"folder that cannot be read ({_first(error)})")
                continue
            if identifier not in self._folders:
                self._folders.add(identifier)
                yield from self.folder(below, f"{path}{_step(name) or identifier}/", depth + 1)

    def orphans(self, store: Any) -> Iterator[Member | Finding]:
        """Messages that no folder holds: what is left of deleted ones."""
        for number in range(self._count(store, "number_of_orphan_items", "orphans", "its items")):
            try:
                item = store.get_orphan_item(number)
            except DAMAGE as error:
                self._inventory.damaged(f"orphans/{number}", f"item that cannot be read ({_first(error)})")
                continue
            if hasattr(item, "get_sender_name"):
                yield from self.message(item, "orphans/", 0)
            else:
                self._inventory.unread(f"orphans/{number}", "an item that is no message")

    def message(self, message: Any, path: str, depth: int) -> Iterator[Member | Finding]:
        self._items += 1
        if self._items > MAX_ITEMS:
            raise LimitExceeded(f"Outlook store of more than {MAX_ITEMS} items; the first were listed")
        identifier = self._count(message, "identifier", f"{path}message", "its number")
        own = f"{path}{identifier}"
        properties = self._properties(message, own)
        attachments = self._attachments(message, own)
        names = [name for _, name in attachments]
        bodies = [
            (suffix, body)
            for suffix, kind in ((".txt", "plain_text_body"), (".html", "html_body"), (".rtf", "rtf_body"))
            if (body := self._body(message, kind, own))
        ]
        yield _finding(message, properties, self._recipients(message, own), names, bodies, path, identifier)
        when = _moment(message, "client_submit_time") or _moment(message, "delivery_time")
        times = Times(modified=_iso(_moment(message, "modification_time")), born=_iso(_moment(message, "creation_time") or when))
        if headers := self._body(message, "transport_headers", own):
            bodies.append(("-headers.txt", headers))
        for suffix, body in bodies:
            name = f"{own}/message{suffix}"
            self._inventory.note(name)
            yield Member(path=name, open=lambda body=body: stream_of((body,)), size=len(body), times=times)  # type: ignore[misc]
        for attachment, name in attachments:
            yield from self._attachment(attachment, f"{own}/{name}", depth)

    def _body(self, message: Any, kind: str, path: str) -> bytes:
        try:
            body = getattr(message, kind)
        except DAMAGE as error:
            if "unable to retrieve" not in str(error) or "missing" not in str(error):
                self._inventory.damaged(path, f"{kind.replace('_', ' ')} that cannot be read ({_first(error)})")
            return b""
        return body.encode("utf-8", "backslashreplace") if isinstance(body, str) else bytes(body or b"")

    def _attachments(self, message: Any, path: str) -> list[tuple[Any, str]]:
        found: list[tuple[Any, str]] = []
        count = self._count(message, "number_of_attachments", path, "its attachments")
        if count > MAX_ATTACHMENTS:
            self._inventory.unread(path, f"of {count} attachments the first {MAX_ATTACHMENTS} are read")
        for number in range(min(count, MAX_ATTACHMENTS)):
            try:
                attachment = message.get_attachment(number)
            except DAMAGE as error:
                self._inventory.damaged(f"{path}/attachment-{number + 1}", f"it cannot be read ({_first(error)})")
                continue
            said = self._properties(attachment, f"{path}/attachment-{number + 1}")
            name = _step(str(said.get(LONG_FILE_NAME) or said.get(FILE_NAME) or "")) or f"attachment-{number + 1}"
            found.append((attachment, name if name not in {other for _, other in found} else f"{number + 1}/{name}"))
        return found

    def _attachment(self, attachment: Any, path: str, depth: int) -> Iterator[Member | Finding]:
        items = self._count(attachment, "number_of_sub_items", path, "what is attached")
        for number in range(items):  # a message that is attached
            try:
                item = attachment.get_sub_item(number)
            except DAMAGE as error:
                self._inventory.damaged(path, f"attached message that cannot be read ({_first(error)})")
                continue
            if not hasattr(item, "get_sender_name"):
                self._inventory.unread(path, "attached item that is no message")
            elif depth >= MAX_NESTED:
                self._inventory.unread(path, f"messages deeper than {MAX_NESTED} are not followed")
            else:
                yield from self.message(item, f"{path}/", depth + 1)
        try:
            size = int(attachment.size)
        except DAMAGE:  # it has no content of its own
            if not items:
                self._inventory.unread(path, "no content: a reference to a file elsewhere, or its content is lost")
            return
        self._inventory.note(path)
        yield Member(path=path, open=lambda: stream_of(self._content(attachment, size, path)), size=size)

    def _content(self, attachment: Any, size: int, path: str) -> Iterator[bytes]:
        count = 0
        try:
            attachment.seek_offset(0)
            while count < size and (piece := attachment.read_buffer(min(CHUNK, size - count))):
                yield piece
                count += len(piece)
        except DAMAGE as error:
            self._inventory.damaged(path, f"readable to byte {count} of {size} ({_first(error)})")
            return
        if count < size:
            self._inventory.damaged(path, f"ends at byte {count} of {size}")

    def _recipients(self, message: Any, path: str) -> list[dict[int, str | int]]:
        try:
            recipients = message.recipients
        except DAMAGE as error:
            if "libpff_" in str(error):  # without a function of the library's own behind it: there are none
                self._inventory.damaged(path, f"recipients that cannot be read ({_first(error)})")
            return []
        return list(self._sets(recipients, path, "recipients")) if recipients else []

    def _properties(self, item: Any, path: str) -> dict[int, str | int]:
        """Texts and numbers of an item's first record set, by the number of the property."""
        return next(self._sets(item, path, "properties"), {})

    def _sets(self, item: Any, path: str, what: str) -> Iterator[dict[int, str | int]]:
        """Texts and numbers of each record set; `what` is what the inventory calls those that are not read."""
        count = self._count(item, "number_of_record_sets", path, f"its {what}")
        for number in range(min(count, MAX_PEOPLE)):
            found: dict[int, str | int] = {}
            try:
                records = item.get_record_set(number)
                total = int(records.number_of_entries)
            except DAMAGE as error:
                self._inventory.damaged(path, f"{what} that cannot be read ({_first(error)})")
                continue
            lost = 0
            for place in range(total):
                try:
                    entry = records.get_entry(place)
                    if entry.value_type in (0x1E, 0x1F) and entry.entry_type not in found:
                        found[entry.entry_type] = str(entry.get_data_as_string() or "")[: 16 * MAX_VALUE]
                    elif entry.value_type == 3:
                        found[entry.entry_type] = int(entry.get_data_as_integer() or 0)
                except DAMAGE:
                    lost += 1
            if lost:
                self._inventory.damaged(path, f"{lost} of {total} entries of its {what} cannot be read")
            yield found
        if count > MAX_PEOPLE:
            self._inventory.unread(path, f"of {count} {what} the first {MAX_PEOPLE} are read")

    def _count(self, item: Any, name: str, path: str, what: str) -> int:
        """A number that libpff gives; 0 where it cannot be read, which goes to the inventory."""
        try:
            return int(getattr(item, name) or 0)
        except DAMAGE as error:
            self._inventory.damaged(path.rstrip("/"), f"{what} cannot be read ({_first(error)})")
            return 0


def _step(name: str) -> str:
    """A name as one step of a path: slashes in it written as escapes."""
    return name.replace("\\", "\\\\").replace("/", "\\x2f")[:500]


def _moment(message: Any, name: str) -> datetime | None:
    try:
        moment = getattr(message, name)
    except DAMAGE:
        return None
    return moment.replace(tzinfo=UTC) if isinstance(moment, datetime) and moment.year > 1601 else None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _finding(
    message: Any,
    properties: dict[int, str | int],
    recipients: list[dict[int, str | int]],
    names: list[str],
    bodies: list[tuple[str, bytes]],
    path: str,
    identifier: int,
) -> Finding:
    data: dict[str, Value] = {"folder": shown(path.rstrip("/"))}
    sender, address = str(properties.get(SENDER, "")), str(properties.get(SENDER_SMTP) or properties.get(SENDER_ADDRESS) or "")
    texts = {
        "sender": _person(sender, address),
        "subject": _text(message, "subject"),
        "message_id": str(properties.get(MESSAGE_ID, "")),
        "in_reply_to": str(properties.get(IN_REPLY_TO, "")),
        "message_class": str(properties.get(CLASS, "")),
    }
    data |= {field: text[:MAX_VALUE] for field, text in texts.items() if text}
    people: dict[str, list[str | int]] = {}
    for recipient in recipients:
        role = ROLES.get(int(recipient.get(ROLE, 1) or 1) & 0xF, "recipients")
        people.setdefault(role, []).append(_person(str(recipient.get(NAME, "")), str(recipient.get(SMTP) or recipient.get(ADDRESS) or "")))
    data |= people
    submitted, delivered = _moment(message, "client_submit_time"), _moment(message, "delivery_time")
    for field, moment in (("submitted", submitted), ("delivered", delivered)):
        if moment:
            data[field] = _iso(moment)
    if names:
        data["attachments"] = [shown(name) for name in names]
    is_mail = texts["message_class"].casefold().startswith(MAIL)
    said = texts["sender"] or "unknown sender"
    text = next((body[:MAX_TEXT].decode("utf-8", "backslashreplace") for suffix, body in bodies if suffix != ".rtf"), "")
    return Finding(
        kind="e-mail" if is_mail else "outlook-item",
        summary=shown(f"{'E-mail' if is_mail else 'Item'} from {said}: {texts['subject'] or 'no subject'}"),
        when=submitted or delivered or _moment(message, "creation_time"),
        data=data,
        locator=RecordNumber(identifier, "item"),
        text="\n".join([texts["sender"], texts["subject"], text_of(text) if "<" in text else text]),
    )


def _person(name: str, address: str) -> str:
    name, address = name.strip(), address.strip()
    return f"{name} <{address}>"[:MAX_VALUE] if name and address and name != address else (address or name)[:MAX_VALUE]


def _text(message: Any, name: str) -> str:
    try:
        return str(getattr(message, name) or "").lstrip("\x01\x02\x03\x04\x05")
    except DAMAGE:
        return ""
